//! The shape of `openclaw.json` as far as the gateway reads it (contract 11.1). Field docs become the descriptions of
//! the served schema. Keys that are not listed are ignored here and kept in the file.
//!
//! Fields with a fixed default hold a plain value; `Option` means that absence itself has a meaning.

mod agents;
mod cli_backends;
mod gateway;
mod http;
mod mcp;
mod models;
mod skills;
mod tools;

use std::num::NonZeroU16;

use schemars::JsonSchema;
use serde::Deserialize;

pub use agents::{
    ActiveHours, Agent, AgentDefaults, Agents, DEFAULT_AGENT_ID, Heartbeat, Identity, ModelAlias,
    ModelChoice, ThinkingLevel, VerboseLevel,
};
pub use cli_backends::{CliBackend, CliInput, CliOutput};
pub use gateway::{
    Auth, AuthMode, Bind, Connections, ControlUi, Gateway, GatewayMode, Nodes, Remote, Tailscale,
    TailscaleMode, Tls,
};
pub use http::{
    ChatCompletions, Endpoints, GatewayHttp, HOOK_SESSIONS, HookAction, HookMapping, HookMatch,
    HookTransform, HookWakeMode, Hooks, Responses,
};
pub use mcp::{Mcp, McpServer, McpTransport};
pub use models::{Cost, InputKind, Model, ModelApi, Models, ModelsMode, Provider, ProviderAuth};
pub use skills::{NodeManager, SkillEntry, Skills, SkillsInstall, SkillsLoad};
pub use tools::{AgentTools, ExecAsk, ExecSecurity, ExecTool, Tools};

/// The whole configuration.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Config {
    /// The daemon: where it listens and whom it lets in.
    pub gateway: Gateway,
    /// How conversations map to sessions.
    pub session: Session,
    /// Agents and what they have in common.
    pub agents: Agents,
    /// Model providers.
    pub models: Models,
    /// What agents may do.
    pub tools: Tools,
    /// Servers of tools.
    pub mcp: Mcp,
    /// What agents know how to do.
    pub skills: Skills,
    /// How the assistant presents itself in web clients.
    pub ui: Ui,
    /// What is logged, and where.
    pub logging: Logging,
    /// Pages that agents show on canvases.
    pub canvas_host: CanvasHost,
    /// Addresses that other services call.
    pub hooks: Hooks,
    /// Jobs that run by the clock.
    pub cron: Cron,
}

/// `cron`: jobs that run by the clock.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Cron {
    /// Whether the clock runs jobs; by hand they run in any case.
    pub enabled: bool,
    /// Path that clients are told as the place of the jobs.
    pub store: Option<String>,
}

impl Default for Cron {
    fn default() -> Self {
        Self {
            enabled: true,
            store: None,
        }
    }
}

/// `session`: how conversations map to sessions.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Session {
    /// Last part of the key of an agent's main session. Stored trimmed and lower-cased; blank means `main`.
    pub main_key: String,
    /// One session a sender, or one for all.
    pub scope: SessionScope,
    /// Path template of the session store that clients are shown; `{agentId}` stands for the agent.
    pub store: Option<String>,
}

/// Main session key when none is configured (contract 4.3).
pub const DEFAULT_MAIN_KEY: &str = "main";

impl Default for Session {
    fn default() -> Self {
        Self {
            main_key: DEFAULT_MAIN_KEY.to_owned(),
            scope: SessionScope::default(),
            store: None,
        }
    }
}

/// `session.scope`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SessionScope {
    /// Every sender has a session of its own.
    #[default]
    PerSender,
    /// All share one session.
    Global,
}

impl SessionScope {
    /// The name on the wire and in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PerSender => "per-sender",
            Self::Global => "global",
        }
    }
}

/// `ui`: how web clients present the assistant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Ui {
    /// The assistant.
    pub assistant: Assistant,
}

/// `ui.assistant`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Assistant {
    /// Name shown.
    #[schemars(length(max = 50))]
    pub name: Option<String>,
    /// Avatar: a text, an emoji, a URL or a path in the workspace.
    #[schemars(length(max = 200))]
    pub avatar: Option<String>,
}

/// `logging`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Logging {
    /// Least severe level written to the log file.
    pub level: LogLevel,
    /// Log file; `~` is the home directory.
    pub file: Option<String>,
    /// Least severe level written to the console; as `level` when absent.
    pub console_level: Option<LogLevel>,
}

/// A log level, by the names of the configuration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Nothing.
    Silent,
    /// Only what ends the process; logged as errors.
    Fatal,
    /// Failures.
    Error,
    /// What should be looked at.
    Warn,
    /// The course of events.
    #[default]
    Info,
    /// Details for finding faults.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// The directive for a tracing filter.
    #[must_use]
    pub fn as_filter(self) -> &'static str {
        match self {
            Self::Silent => "off",
            Self::Fatal | Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// `canvasHost`: pages that agents show on canvases (contract 10.4).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct CanvasHost {
    /// Whether canvas pages are served at all.
    pub enabled: bool,
    /// Port of the canvas listener of its own.
    pub port: NonZeroU16,
    /// Directory of the pages; `<state dir>/canvas` when absent.
    pub root: Option<String>,
    /// Whether pages reload when a file changes.
    pub live_reload: bool,
}

/// Canvas port when none is configured.
pub const DEFAULT_CANVAS_PORT: NonZeroU16 = NonZeroU16::new(18_793).unwrap();

impl Default for CanvasHost {
    fn default() -> Self {
        Self {
            enabled: true,
            port: DEFAULT_CANVAS_PORT,
            root: None,
            live_reload: true,
        }
    }
}
