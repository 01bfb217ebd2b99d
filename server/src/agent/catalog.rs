//! `agents.list` and `models.list`: what there is to choose from (contract 9.7; odd 67).

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openclaw_protocol::protocol::limits;
use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::types::{
    AgentSummary, AgentSummaryIdentity, AgentsListResult, ModelChoice, ModelInput,
    ModelsListResult, SessionScope,
};

use super::avatar;
use super::runs::Runs;
use super::tools::Workspace;
use crate::config::{Agent, DEFAULT_MAIN_KEY, Identity, InputKind, Model};
use crate::sessions::key::normalise_agent_id;

/// Folders of agents that are listed where none is configured; more than people make.
const MAX_FOUND: usize = 100;
/// The folder of the state directory that holds a folder for each agent.
const AGENTS_DIR: &str = "agents";
/// Largest picture that is shown within a list.
const MAX_AVATAR: usize = limits::AGENT_AVATAR_BYTES as usize;

impl Runs {
    /// `agents.list`: the default agent first, then by id. Reads pictures and, where no agent is configured, the names of
    /// folders; callers on the I/O thread put it aside.
    #[must_use]
    pub fn agents(&self) -> AgentsListResult {
        let parts = self.parts();
        let rules = self.sessions().rules();
        let default = rules.default_agent.as_str();
        let mut ids: Vec<String> = parts
            .config
            .agents
            .list
            .iter()
            .map(|agent| normalise_agent_id(&agent.id))
            .collect();
        if ids.is_empty() {
            ids = found(&parts.paths.state_dir.join(AGENTS_DIR));
        }
        ids.retain(|id| id != default);
        ids.sort();
        ids.dedup();
        let agents = std::iter::once(default.to_owned()).chain(ids);
        let scope = if rules.global_scope {
            SessionScope::Global
        } else {
            SessionScope::PerSender
        };
        AgentsListResult::new(
            NonEmptyString::or(default, DEFAULT_MAIN_KEY),
            NonEmptyString::or(rules.main_key.as_str(), DEFAULT_MAIN_KEY),
            scope,
            agents.map(|id| self.agent_summary(&id)).collect(),
        )
    }

    fn agent_summary(&self, id: &str) -> AgentSummary {
        let configured = self.parts().agent(id);
        let name = |agent: &Agent| shown(agent.name.as_deref());
        let identity = |agent: &Agent| self.identity_of(id, &agent.identity);
        AgentSummary {
            name: configured.and_then(name),
            identity: configured.and_then(identity),
            ..AgentSummary::new(NonEmptyString::or(id, DEFAULT_MAIN_KEY))
        }
    }

    fn identity_of(&self, id: &str, identity: &Identity) -> Option<AgentSummaryIdentity> {
        let avatar = shown(identity.avatar.as_deref());
        let url = avatar
            .as_ref()
            .and_then(|avatar| self.avatar_url(id, avatar));
        let identity = AgentSummaryIdentity {
            name: shown(identity.name.as_deref()),
            theme: shown(identity.theme.as_deref()),
            emoji: shown(identity.emoji.as_deref()),
            avatar_url: url.and_then(NonEmptyString::new),
            avatar,
        };
        (identity != AgentSummaryIdentity::default()).then_some(identity)
    }

    /// A picture as a client can load it: an address as it is, a file of the agent's workspace as what it holds.
    fn avatar_url(&self, agent: &str, avatar: &str) -> Option<String> {
        if avatar::is_address(avatar) {
            return Some(avatar.to_owned());
        }
        let bytes = Workspace::new(self.parts().workspace(agent))
            .read(avatar)
            .ok()?;
        let kind = avatar::media_type(avatar).filter(|_| bytes.len() <= MAX_AVATAR)?;
        Some(format!("data:{kind};base64,{}", STANDARD.encode(bytes)))
    }

    /// `models.list`: what is configured, by provider, then name. With nothing configured the echo answers, and is listed.
    #[must_use]
    pub fn models_list(&self) -> ModelsListResult {
        let config = &self.parts().config;
        let listed = config.models.providers.iter().flat_map(|(id, provider)| {
            provider.models.iter().filter_map(|model| choice(id, model))
        });
        let mut models: Vec<ModelChoice> = listed.collect();
        if models.is_empty() {
            let defaults = self
                .models()
                .choose(&self.sessions().rules().default_agent, None);
            let text = |text: &str| NonEmptyString::or(text, "model");
            models.push(ModelChoice {
                context_window: Some(defaults.context_tokens).filter(|tokens| *tokens > 0),
                ..ModelChoice::new(
                    text(&defaults.model),
                    text(&defaults.model),
                    text(&defaults.provider),
                )
            });
        }
        models.sort_by(|a, b| (&a.provider, &a.name, &a.id).cmp(&(&b.provider, &b.name, &b.id)));
        ModelsListResult::new(models)
    }
}

fn shown(text: Option<&str>) -> Option<NonEmptyString> {
    NonEmptyString::new(text?.trim())
}

/// The agents that have a folder of their own.
fn found(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let names = folders.filter_map(|entry| entry.file_name().into_string().ok());
    names
        .filter(|name| normalise_agent_id(name) == *name)
        .take(MAX_FOUND)
        .collect()
}

fn choice(provider: &str, model: &Model) -> Option<ModelChoice> {
    let id = shown(Some(&model.id))?;
    let name = shown(model.name.as_deref()).unwrap_or_else(|| id.clone());
    let input = |kind: &InputKind| match kind {
        InputKind::Text => ModelInput::Text,
        InputKind::Image => ModelInput::Image,
    };
    Some(ModelChoice {
        context_window: model.context_window.map(Into::into),
        reasoning: Some(model.reasoning),
        input: Some(model.input.iter().map(input).collect()),
        ..ModelChoice::new(id, name, shown(Some(provider))?)
    })
}
