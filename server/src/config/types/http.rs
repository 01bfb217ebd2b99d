//! `gateway.http` and `hooks`: what programs can do over plain HTTP (contract 10.6 to 10.8). All of it is off by default.

use std::num::NonZeroU64;

use openclaw_schema_runtime::SecretString;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::limits::{HOOKS_BODY_BYTES, RESPONSES_BODY_BYTES};

/// `gateway.http`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct GatewayHttp {
    /// Interfaces that programs made for other services know.
    pub endpoints: Endpoints,
}

/// `gateway.http.endpoints`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Endpoints {
    /// `/v1/chat/completions`.
    pub chat_completions: ChatCompletions,
    /// `/v1/responses`.
    pub responses: Responses,
}

/// `gateway.http.endpoints.chatCompletions`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ChatCompletions {
    /// Whether it is served.
    pub enabled: bool,
}

/// `gateway.http.endpoints.responses`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Responses {
    /// Whether it is served.
    pub enabled: bool,
    /// Largest body of a request, in bytes.
    pub max_body_bytes: NonZeroU64,
}

impl Default for Responses {
    fn default() -> Self {
        Self {
            enabled: false,
            max_body_bytes: or_one(RESPONSES_BODY_BYTES),
        }
    }
}

/// What the keys of hooks' own conversations begin with.
pub const HOOK_SESSIONS: &str = "hook:";

/// `hooks`: addresses that other services call when something happens.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Hooks {
    /// Whether they are served; needs a token.
    pub enabled: bool,
    /// Path they are under.
    pub path: String,
    /// Secret that callers show.
    #[schemars(with = "Option<String>", extend("x-secret" = true))]
    pub token: Option<SecretString>,
    /// Largest body of a request, in bytes.
    pub max_body_bytes: NonZeroU64,
    /// Mappings that come with the gateway: `gmail`.
    pub presets: Vec<String>,
    /// What other paths than `wake` and `agent` mean; the first that matches counts.
    pub mappings: Vec<HookMapping>,
    /// Beginnings of the conversations that callers may name; `hook:` alone when absent, any where one is empty.
    pub allowed_session_key_prefixes: Vec<String>,
}

impl Default for Hooks {
    fn default() -> Self {
        Self {
            enabled: false,
            path: "/hooks".to_owned(),
            token: None,
            max_body_bytes: or_one(HOOKS_BODY_BYTES),
            presets: Vec::new(),
            mappings: Vec::new(),
            allowed_session_key_prefixes: vec![HOOK_SESSIONS.to_owned()],
        }
    }
}

/// One of `hooks.mappings`. Texts may hold `{{a.b[0]}}` for a member of the request's body, `{{headers.x}}`,
/// `{{query.x}}`, `{{path}}` and `{{now}}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct HookMapping {
    /// A name for the log.
    pub id: Option<String>,
    /// Which requests it is for; all of them when empty.
    #[serde(rename = "match")]
    pub matches: HookMatch,
    /// What happens.
    pub action: HookAction,
    /// When the agent is told.
    pub wake_mode: HookWakeMode,
    /// Name of the hook in what the agent is told.
    pub name: Option<String>,
    /// Conversation of the turn; a new one when absent.
    pub session_key: Option<String>,
    /// Text of an `agent` action.
    pub message_template: Option<String>,
    /// Text of a `wake` action.
    pub text_template: Option<String>,
    /// Whether the reply is sent to a channel.
    pub deliver: Option<bool>,
    /// Does without the warning that the text came from outside.
    pub allow_unsafe_external_content: bool,
    /// Channel the reply is sent to.
    pub channel: Option<String>,
    /// Address the reply is sent to.
    pub to: Option<String>,
    /// Model of the turn.
    pub model: Option<String>,
    /// Thinking level of the turn.
    pub thinking: Option<String>,
    /// Time limit of the turn.
    pub timeout_seconds: Option<NonZeroU64>,
    /// A program module that changes the request. Not supported: such a mapping fails.
    pub transform: Option<HookTransform>,
}

/// `hooks.mappings[].match`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct HookMatch {
    /// Path below `hooks.path`.
    pub path: Option<String>,
    /// `source` in the request's body.
    pub source: Option<String>,
}

/// `hooks.mappings[].action`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HookAction {
    /// A turn of an agent.
    #[default]
    Agent,
    /// A note for the main conversation.
    Wake,
}

/// When a hook's effect is told to the main conversation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HookWakeMode {
    /// At once.
    #[default]
    Now,
    /// With the next heartbeat.
    NextHeartbeat,
}

/// `hooks.mappings[].transform`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct HookTransform {
    /// The module.
    pub module: String,
}

const fn or_one(limit: u64) -> NonZeroU64 {
    match NonZeroU64::new(limit) {
        Some(limit) => limit,
        None => NonZeroU64::MIN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_off_and_bounded_by_default() {
        let endpoints = Endpoints::default();
        assert!(!endpoints.chat_completions.enabled && !endpoints.responses.enabled);
        assert_eq!(
            endpoints.responses.max_body_bytes.get(),
            RESPONSES_BODY_BYTES
        );
        let hooks = Hooks::default();
        assert!(!hooks.enabled && hooks.token.is_none());
        assert_eq!(hooks.max_body_bytes.get(), HOOKS_BODY_BYTES);
    }
}
