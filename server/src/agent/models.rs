//! Which model answers: from configuration and session to a backend, its price and its context window.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::backend::cli::{CliModel, Program};
use super::backend::http::{Dialect, Endpoint, HttpModel, Timeouts};
use super::backend::{Backend, BackendError, Echo, Usage};
use crate::config::{
    Agent, Config, Cost, InputKind, Model, ModelApi, ModelChoice, Provider, ProviderAuth,
};
use crate::paths::Environment;
use crate::sessions::Entry;
use crate::sessions::key::normalise_agent_id;

/// Provider id and model id of the built-in echo.
const ECHO: &str = "echo";
/// What transcripts note of a program that answered.
const CLI: &str = "cli";
/// Context window that is shown for a model whose configuration does not tell it.
const DEFAULT_CONTEXT_TOKENS: u64 = 200_000;
/// Tokens that a price of [`Cost`] is for.
const PRICED_TOKENS: f64 = 1_000_000.0;
/// How long a provider that failed is asked last, at first and at most; doubled with every failure in a row.
const COOL_DOWN: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(3600));

/// A model, chosen for a run.
#[derive(Debug, Clone)]
pub struct Choice {
    /// Provider id.
    pub provider: String,
    /// Model id at the provider.
    pub model: String,
    /// API by which it is reached; what transcripts note.
    pub api: &'static str,
    /// Context window in tokens.
    pub context_tokens: u64,
    /// Longest reply in tokens, where it is configured.
    pub max_tokens: Option<u64>,
    /// Whether it can think before it answers.
    pub reasoning: bool,
    /// Whether it takes images.
    pub images: bool,
    /// Price per million tokens.
    pub cost: Cost,
}

impl Choice {
    /// Whether the built-in echo answers, because no model is configured.
    #[must_use]
    pub fn is_echo(&self) -> bool {
        self.provider == ECHO && self.api == ECHO
    }
}

/// What a call cost, in the currency of the provider.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Price {
    /// Of the prompt.
    pub input: f64,
    /// Of the reply.
    pub output: f64,
    /// Of reading the cache.
    pub cache_read: f64,
    /// Of writing the cache.
    pub cache_write: f64,
}

impl Price {
    /// All of it.
    pub fn total(&self) -> f64 {
        self.input + self.output + self.cache_read + self.cache_write
    }
}

impl Choice {
    /// What `usage` costs with this model.
    pub fn price(&self, usage: &Usage) -> Price {
        // Counts of tokens are far below 2^52.
        #[allow(clippy::cast_precision_loss)]
        let of = |tokens: u64, price: f64| tokens as f64 / PRICED_TOKENS * price;
        Price {
            input: of(usage.input, self.cost.input),
            output: of(usage.output, self.cost.output),
            cache_read: of(usage.cache_read, self.cost.cache_read),
            cache_write: of(usage.cache_write, self.cost.cache_write),
        }
    }
}

/// The configured models and their clients.
pub struct Models {
    config: Arc<Config>,
    timeouts: Timeouts,
    /// Clients by provider and, for models with headers or an API of their own, model. As many as are configured.
    clients: Mutex<HashMap<(String, String), HttpModel>>,
    /// Configured providers that failed lately.
    cooling: Mutex<HashMap<String, Cooling>>,
    /// What keeps the calls of a program apart. As many as are configured or built in.
    programs: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    /// What programs are started with.
    environment: Arc<Environment>,
    /// Answers in place of every configured backend.
    instead: Option<Arc<dyn Backend>>,
}

/// A provider that failed.
#[derive(Debug, Clone, Copy)]
struct Cooling {
    until: Instant,
    /// Failures in a row.
    failures: u32,
}

impl Models {
    /// The models of `config`.
    pub fn new(config: Arc<Config>) -> Self {
        if config.agents.defaults.model.primary.is_none() && !config.models.providers.is_empty() {
            tracing::warn!(
                "models.providers is set but agents.defaults.model is not: the built-in echo answers"
            );
        }
        Self {
            config,
            timeouts: Timeouts::default(),
            clients: Mutex::default(),
            cooling: Mutex::default(),
            programs: Mutex::default(),
            environment: Arc::default(),
            instead: None,
        }
    }

    /// The same models; programs are started with `environment`.
    #[must_use]
    pub fn with_environment(self, environment: Environment) -> Self {
        Self {
            environment: Arc::new(environment),
            ..self
        }
    }

    /// The same models, waited for as long as `timeouts` say.
    #[cfg(test)]
    pub(super) fn with_timeouts(self, timeouts: Timeouts) -> Self {
        Self { timeouts, ..self }
    }

    /// As [`Models::new`], but `backend` answers every call: for tests.
    pub fn answered_by(config: Arc<Config>, backend: Arc<dyn Backend>) -> Self {
        Self {
            instead: Some(backend),
            ..Self::new(config)
        }
    }

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

    /// The backend of a choice for an agent that works in `workspace`, or why there is none.
    pub fn backend(
        &self,
        choice: &Choice,
        workspace: &Path,
    ) -> Result<Arc<dyn Backend>, BackendError> {
        if let Some(backend) = &self.instead {
            return Ok(Arc::clone(backend));
        }
        let Choice {
            provider: id,
            model,
            ..
        } = choice;
        let Some(provider) = self.config.models.providers.get(id) else {
            if id == ECHO {
                return Ok(Arc::new(Echo));
            }
            if let Some(program) = self.program(id) {
                let turn = Arc::clone(self.programs().entry(id.clone()).or_default());
                let environment = Arc::clone(&self.environment);
                let backend = CliModel::new(id, program, environment, workspace, turn);
                return Ok(Arc::new(backend));
            }
            return Err(BackendError::NotConfigured(format!(
                "no provider \"{id}\" is configured for the model \"{id}/{model}\" (models.providers)"
            )));
        };
        let api = api_of(provider, spec_of(provider, model));
        let Some(dialect) = Dialect::of(api) else {
            return Err(BackendError::NotConfigured(format!(
                "model provider \"{id}\": the api \"{}\" is not supported",
                api.as_str()
            )));
        };
        self.client(id, provider, model, dialect)
            .map(|client| Arc::new(client) as Arc<dyn Backend>)
    }

    /// The program that answers in place of this provider's models.
    fn program(&self, id: &str) -> Option<Program> {
        Program::of(id, self.config.agents.defaults.cli_backends.get(id))
    }

    fn programs(&self) -> MutexGuard<'_, HashMap<String, Arc<tokio::sync::Mutex<()>>>> {
        self.programs.lock().unwrap_or_else(PoisonError::into_inner)
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
        let cooling = self.cooling();
        candidates.sort_by_key(|candidate| {
            cooling
                .get(&candidate.provider)
                .is_some_and(|cooling| cooling.until > now)
        });
        candidates
    }

    /// A provider has answered.
    pub fn succeeded(&self, provider: &str) {
        self.cooling().remove(provider);
    }

    /// A provider has failed: others are asked before it for a while.
    pub fn failed(&self, provider: &str) {
        // Others can be named by clients, as many as they like.
        if !self.config.models.providers.contains_key(provider) {
            return;
        }
        let mut cooling = self.cooling();
        let failures = cooling.get(provider).map_or(0, |cooling| cooling.failures);
        let (first, most) = COOL_DOWN;
        let time = first.saturating_mul(1 << failures.min(16)).min(most);
        let entry = Cooling {
            until: Instant::now() + time,
            failures: failures.saturating_add(1),
        };
        cooling.insert(provider.to_owned(), entry);
    }

    fn cooling(&self) -> MutexGuard<'_, HashMap<String, Cooling>> {
        self.cooling.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn client(
        &self,
        id: &str,
        provider: &Provider,
        model: &str,
        dialect: Dialect,
    ) -> Result<HttpModel, BackendError> {
        let spec = spec_of(provider, model);
        let own_headers = spec
            .map(|spec| &spec.headers)
            .filter(|headers| !headers.is_empty());
        let is_own = own_headers.is_some() || spec.is_some_and(|spec| spec.api.is_some());
        let key = (
            id.to_owned(),
            if is_own {
                model.to_owned()
            } else {
                String::new()
            },
        );
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&key) {
            return Ok(client.clone());
        }
        let headers = provider
            .headers
            .iter()
            .chain(own_headers.into_iter().flatten());
        let endpoint = Endpoint {
            provider: id.to_owned(),
            dialect,
            bearer: provider.auth_header
                || matches!(provider.auth, ProviderAuth::Oauth | ProviderAuth::Token),
            base_url: provider.base_url.clone(),
            api_key: provider.api_key.as_ref().map(|key| key.expose().to_owned()),
            headers: headers
                .map(|(name, value)| (name.clone(), value.expose().to_owned()))
                .collect(),
        };
        let client = HttpModel::new(&endpoint, self.timeouts)?;
        clients.insert(key, client.clone());
        Ok(client)
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
            cost: spec.map(|spec| spec.cost).unwrap_or_default(),
            provider,
            model,
        }
    }
}

fn spec_of<'a>(provider: &'a Provider, model: &str) -> Option<&'a Model> {
    provider.models.iter().find(|spec| spec.id == model)
}

fn api_of(provider: &Provider, spec: Option<&Model>) -> ModelApi {
    spec.and_then(|spec| spec.api)
        .or(provider.api)
        .unwrap_or(ModelApi::OpenaiCompletions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn models(config: serde_json::Value) -> Models {
        Models::new(Arc::new(serde_json::from_value(config).unwrap()))
    }

    fn configured() -> Models {
        models(json!({
            "agents": {
                "defaults": {"model": {"primary": "mock/echo-1"}, "models": {"mock/echo-2": {"alias": "Second"}}},
                "list": [{"id": "main"}, {"id": "Ops", "model": "other/big"}]
            },
            "models": {"providers": {
                "mock": {"baseUrl": "http://127.0.0.1:1/v1", "apiKey": "k", "models": [
                    {"id": "echo-1", "contextWindow": 128_000, "cost": {"input": 2, "output": 10, "cacheRead": 1, "cacheWrite": 3}},
                    {"id": "echo-2", "reasoning": true, "input": ["text", "image"]}
                ]},
                "claude": {"baseUrl": "http://127.0.0.1:1", "api": "anthropic-messages", "models": [{"id": "c", "maxTokens": 900}]},
                "other": {"baseUrl": "http://127.0.0.1:1", "api": "google-generative-ai"},
                "broken": {"baseUrl": "nowhere"}
            }}
        }))
    }

    #[track_caller]
    fn check(
        models: &Models,
        agent: &str,
        entry: Option<Entry>,
        chosen: &str,
        backend: Result<(), &str>,
    ) {
        let choice = models.choose(agent, entry.as_ref());
        assert_eq!(format!("{}/{}", choice.provider, choice.model), chosen);
        let found = models
            .backend(&choice, Path::new("/w"))
            .map(drop)
            .map_err(|error| error.to_string());
        assert_eq!(found, backend.map_err(str::to_owned), "{chosen}");
    }

    fn session(provider: Option<&str>, model: &str) -> Option<Entry> {
        let provider_override = provider.map(str::to_owned);
        Some(Entry {
            model_override: Some(model.into()),
            provider_override,
            ..Entry::default()
        })
    }

    #[test]
    fn who_answers() {
        let models = configured();
        check(&models, "main", None, "mock/echo-1", Ok(()));
        check(
            &models,
            "nobody",
            Some(Entry::default()),
            "mock/echo-1",
            Ok(()),
        );
        check(
            &models,
            "main",
            session(None, "second"),
            "mock/echo-2",
            Ok(()),
        );
        check(
            &models,
            "main",
            session(None, "echo-2"),
            "mock/echo-2",
            Ok(()),
        );
        check(
            &models,
            "main",
            session(Some("mock"), "a/b"),
            "mock/a/b",
            Ok(()),
        );
        check(
            &models,
            "main",
            session(None, "echo/echo"),
            "echo/echo",
            Ok(()),
        );
        let unsupported =
            "model provider \"other\": the api \"google-generative-ai\" is not supported";
        check(&models, "ops", None, "other/big", Err(unsupported));
        check(&models, "main", session(None, "c"), "claude/c", Ok(()));
        check(
            &models,
            "main",
            session(None, "broken/x"),
            "broken/x",
            Err("model provider \"broken\": baseUrl is not a URL"),
        );
        let missing =
            "no provider \"gone\" is configured for the model \"gone/x\" (models.providers)";
        check(
            &models,
            "main",
            session(None, "gone/x"),
            "gone/x",
            Err(missing),
        );
        check(&self::models(json!({})), "main", None, "echo/echo", Ok(()));
        check(
            &models,
            "main",
            session(None, "claude-cli/opus"),
            "claude-cli/opus",
            Ok(()),
        );
        let program = models.choose("main", session(None, "codex-cli/default").as_ref());
        assert_eq!((program.api, program.images), (CLI, false));
        let echo = models.choose("main", session(None, "echo/echo").as_ref());
        assert_eq!((echo.api, echo.images), (ECHO, true));
    }

    #[test]
    fn what_is_known_of_a_model() {
        let models = configured();
        let first = models.choose("main", None);
        assert_eq!(
            (
                first.api,
                first.context_tokens,
                first.reasoning,
                first.images
            ),
            ("openai-completions", 128_000, false, false)
        );
        let usage = Usage {
            input: 1_000_000,
            output: 500_000,
            cache_read: 2_000_000,
            cache_write: 0,
        };
        let price = Price {
            input: 2.0,
            output: 5.0,
            cache_read: 2.0,
            cache_write: 0.0,
        };
        assert_eq!((first.price(&usage), price.total()), (price, 9.0));
        let second = models.choose("main", session(None, "mock/echo-2").as_ref());
        assert_eq!(
            (second.context_tokens, second.reasoning, second.images),
            (DEFAULT_CONTEXT_TOKENS, true, true)
        );
        let echo = self::models(json!({"agents": {"defaults": {"contextTokens": 5000}}}))
            .choose("main", None);
        assert_eq!((echo.api, echo.context_tokens), ("echo", 5000));
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_asked_in_which_order() {
        let models = models(json!({
            "agents": {
                "defaults": {"model": {"primary": "a/1", "fallbacks": ["b/1", "a/1", "c/1"]}},
                "list": [{"id": "main"}, {"id": "ops", "model": {"primary": "c/1", "fallbacks": ["a/2"]}}, {"id": "solo", "model": "b/1"}]
            },
            "models": {"providers": {
                "a": {"baseUrl": "http://a"}, "b": {"baseUrl": "http://b"}, "c": {"baseUrl": "http://c"}
            }}
        }));
        let order = |agent: &str, entry: Option<Entry>| {
            let first = models.choose(agent, entry.as_ref());
            let names = models.candidates(agent, &first).into_iter();
            let names = names.map(|choice| format!("{}/{}", choice.provider, choice.model));
            names.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(order("main", None), "a/1 b/1 c/1");
        assert_eq!(order("main", session(None, "x/1")), "x/1 b/1 a/1 c/1");
        assert_eq!(order("ops", None), "c/1 a/2");
        assert_eq!(order("solo", None), "b/1");
        models.failed("a");
        assert_eq!(order("main", None), "b/1 c/1 a/1");
        models.failed("b");
        assert_eq!(order("main", None), "c/1 a/1 b/1");
        models.succeeded("a");
        assert_eq!(order("main", None), "a/1 c/1 b/1");
        tokio::time::advance(COOL_DOWN.0).await;
        assert_eq!(order("main", None), "a/1 b/1 c/1");
        models.failed("b");
        tokio::time::advance(COOL_DOWN.0).await;
        assert_eq!(
            order("main", None),
            "a/1 c/1 b/1",
            "twice as long the second time"
        );
        tokio::time::advance(COOL_DOWN.0).await;
        assert_eq!(order("main", None), "a/1 b/1 c/1");
        for _ in 0..40 {
            models.failed("b");
        }
        tokio::time::advance(COOL_DOWN.1).await;
        assert_eq!(order("main", None), "a/1 b/1 c/1", "an hour is enough");
        models.failed("made up");
        assert!(!models.cooling().contains_key("made up"));
    }

    #[test]
    fn clients_are_made_once() {
        let models = configured();
        for _ in 0..3 {
            for model in ["echo-1", "echo-2", "x"] {
                models
                    .backend(
                        &models.choose("main", session(Some("mock"), model).as_ref()),
                        Path::new("/w"),
                    )
                    .map(drop)
                    .unwrap();
            }
        }
        assert_eq!(models.clients.lock().unwrap().len(), 1);
    }
}
