//! Which model is meant: by session, agent and defaults, by aliases, and what the configuration knows of it.

use tokio::time::Instant;

use super::{CLI, Choice, ECHO, Models};
use crate::config::{Agent, Cost, InputKind, Model, ModelApi, ModelChoice, Provider};
use crate::sessions::Entry;
use crate::sessions::key::normalise_agent_id;

/// Context window that is shown for a model whose configuration does not tell it.
pub(super) const DEFAULT_CONTEXT_TOKENS: u64 = 200_000;

impl Models {
    /// The model for a session of `agent`: what the session says, else the agent, else the defaults, else the echo.
    pub fn choose(&self, agent: &str, entry: Option<&Entry>) -> Choice {
        let (provider, model) = self
            .of_session(entry)
            .or_else(|| self.of_agent(agent))
            .or_else(|| {
                self.config
                    .agents
                    .defaults
                    .model
                    .primary
                    .as_deref()
                    .map(|name| self.parse(name))
            })
            .unwrap_or_else(|| (ECHO.to_owned(), ECHO.to_owned()));
        self.describe(provider, model)
    }

    /// The models to ask in turn for one reply: `choice`, then the configured fallbacks. Providers that failed lately come
    /// last, in the same order: asking them is better than not to answer.
    pub fn candidates(&self, agent: &str, choice: &Choice) -> Vec<Choice> {
        let own = self.listed(agent).map(|agent| &agent.model);
        let says = |model: &&ModelChoice| model.primary.is_some() || !model.fallbacks.is_empty();
        let model = own
            .filter(says)
            .unwrap_or(&self.config.agents.defaults.model);
        let mut candidates = vec![choice.clone()];
        for name in &model.fallbacks {
            let (provider, model) = self.parse(name);
            let is_known = |known: &Choice| known.provider == provider && known.model == model;
            if !candidates.iter().any(is_known) {
                candidates.push(self.describe(provider, model));
            }
        }
        let now = Instant::now();
        candidates
            .sort_by_cached_key(|candidate| self.cool_down.is_cooling(&candidate.provider, now));
        candidates
    }

    /// A provider has answered.
    pub fn succeeded(&self, provider: &str) {
        self.cool_down.succeeded(provider);
    }

    /// A provider has failed: others are asked before it for a while.
    pub fn failed(&self, provider: &str) {
        // Others can be named by clients, as many as they like.
        if self.config.models.providers.contains_key(provider) {
            self.cool_down.failed(provider, Instant::now());
        }
    }

    /// Price per million tokens of a model that answered once; none where the configuration tells none.
    pub fn cost_of(&self, provider: &str, model: &str) -> Option<Cost> {
        spec_of(self.config.models.providers.get(provider)?, model)?.cost
    }

    fn of_session(&self, entry: Option<&Entry>) -> Option<(String, String)> {
        let entry = entry?;
        let model = entry.model_override.as_deref()?;
        match entry.provider_override.as_deref() {
            Some(provider) => Some((provider.to_owned(), model.to_owned())),
            None => Some(self.parse(model)),
        }
    }

    fn of_agent(&self, agent: &str) -> Option<(String, String)> {
        let agent = self.listed(agent)?;
        agent.model.primary.as_deref().map(|name| self.parse(name))
    }

    fn listed(&self, agent: &str) -> Option<&Agent> {
        let mut agents = self.config.agents.list.iter();
        agents.find(|listed| normalise_agent_id(&listed.id) == agent)
    }

    /// `provider/model`, an alias of `agents.defaults.models`, or the bare name of a model that a provider lists.
    fn parse(&self, name: &str) -> (String, String) {
        let name = name.trim();
        let is_alias = |alias: &str| alias.eq_ignore_ascii_case(name);
        let aliases = &self.config.agents.defaults.models;
        let meant = aliases
            .iter()
            .find(|(_, model)| model.alias.as_deref().is_some_and(is_alias));
        let name = meant.map_or(name, |(meant, _)| meant.as_str());
        if let Some((provider, model)) = name.split_once('/') {
            return (provider.trim().to_owned(), model.trim().to_owned());
        }
        let lists = |provider: &Provider| provider.models.iter().any(|model| model.id == name);
        let owner = self
            .config
            .models
            .providers
            .iter()
            .find(|(_, provider)| lists(provider));
        // Without an owner the name stands for both, and the refusal names it.
        (
            owner.map_or(name, |(id, _)| id.as_str()).to_owned(),
            name.to_owned(),
        )
    }

    fn describe(&self, provider: String, model: String) -> Choice {
        let configured = self.config.models.providers.get(&provider);
        let spec = configured.and_then(|configured| spec_of(configured, &model));
        let is_program = configured.is_none() && self.program(&provider).is_some();
        let of_defaults = self.config.agents.defaults.context_tokens;
        let window = of_defaults.or_else(|| spec.and_then(|spec| spec.context_window));
        Choice {
            api: match configured {
                Some(configured) => api_of(configured, spec).as_str(),
                None if is_program => CLI,
                None => ECHO,
            },
            context_tokens: window.map_or(DEFAULT_CONTEXT_TOKENS, Into::into),
            max_tokens: spec.and_then(|spec| spec.max_tokens).map(Into::into),
            reasoning: spec.is_some_and(|spec| spec.reasoning),
            images: !is_program && spec.is_none_or(|spec| spec.input.contains(&InputKind::Image)),
            cost: match configured {
                None if !is_program => Some(Cost::default()),
                _ => spec.and_then(|spec| spec.cost),
            },
            provider,
            model,
        }
    }
}

pub(super) fn spec_of<'a>(provider: &'a Provider, model: &str) -> Option<&'a Model> {
    provider.models.iter().find(|spec| spec.id == model)
}

pub(super) fn api_of(provider: &Provider, spec: Option<&Model>) -> ModelApi {
    spec.and_then(|spec| spec.api)
        .or(provider.api)
        .unwrap_or(ModelApi::OpenaiCompletions)
}
