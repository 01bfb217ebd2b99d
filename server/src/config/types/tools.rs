//! `tools`: what agents may do.

use std::num::NonZeroU64;

use openclaw_core::words;
use schemars::JsonSchema;
use serde::Deserialize;

/// Longest command when nothing is configured, in seconds.
const DEFAULT_EXEC_TIMEOUT_SECONDS: NonZeroU64 = NonZeroU64::new(1800).unwrap();

/// `tools`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Tools {
    /// Tools that agents may use, by name, group (`group:fs`, `group:runtime`, `group:sessions`, `group:automation`,
    /// `group:nodes`, `group:ui`, `group:mcp`), server (`mcp__<name>`) or `*`; all when empty.
    pub allow: Vec<String>,
    /// Tools that they may not use; goes before `allow`.
    pub deny: Vec<String>,
    /// Commands on the gateway's host.
    pub exec: ExecTool,
}

/// `agents.list[].tools`: narrows what [`Tools`] allows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct AgentTools {
    /// Tools that this agent may use; all that are allowed when empty.
    pub allow: Vec<String>,
    /// Tools that it may not use.
    pub deny: Vec<String>,
}

/// `tools.exec`: commands on the gateway's host.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ExecTool {
    /// Which commands are run.
    pub security: ExecSecurity,
    /// When a person is asked.
    pub ask: ExecAsk,
    /// Programs that may be run without being asked for when `security` is `allowlist`, by name.
    pub safe_bins: Vec<String>,
    /// Longest command in seconds.
    pub timeout_sec: NonZeroU64,
}

impl Default for ExecTool {
    fn default() -> Self {
        Self {
            security: ExecSecurity::default(),
            ask: ExecAsk::default(),
            safe_bins: Vec::new(),
            timeout_sec: DEFAULT_EXEC_TIMEOUT_SECONDS,
        }
    }
}

words! {
    /// What may run at all: `tools.exec.security`, `security` in the exec approvals; the strictest first.
    #[derive(Default, PartialOrd, Ord)]
    ExecSecurity {
        /// Nothing.
        #[default]
        Deny = "deny",
        /// What is known to be harmless or on the allowlist, and what a person said yes to.
        Allowlist = "allowlist",
        /// Everything.
        Full = "full",
    }
}

words! {
    /// When a person is asked: `tools.exec.ask`, `ask` in the exec approvals; the strictest last. Nobody is asked about what
    /// `security` denies.
    #[derive(Default, PartialOrd, Ord)]
    ExecAsk {
        /// Never: `security` alone decides.
        Off = "off",
        /// When the command is not known to be harmless, or not on the allowlist.
        #[default]
        OnMiss = "on-miss",
        /// About every command.
        Always = "always",
    }
}
