//! `skills`: what agents know how to do.

use std::collections::BTreeMap;

use openclaw_schema_runtime::SecretString;
use schemars::JsonSchema;
use serde::Deserialize;

/// `skills`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Skills {
    /// Where they are looked for beside the workspaces and the shared folder.
    pub load: SkillsLoad,
    /// How what they need is installed.
    pub install: SkillsInstall,
    /// Settings of single skills by their key.
    pub entries: BTreeMap<String, SkillEntry>,
}

/// `skills.load`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct SkillsLoad {
    /// Further folders of skills; `~` is the home directory. The workspace and the shared folder go before them.
    #[schemars(length(max = 32))]
    pub extra_dirs: Vec<String>,
}

/// `skills.install`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct SkillsInstall {
    /// Whether Homebrew, where it is installed, is preferred to everything else.
    pub prefer_brew: bool,
    /// What installs Node packages.
    pub node_manager: NodeManager,
}

impl Default for SkillsInstall {
    fn default() -> Self {
        Self {
            prefer_brew: true,
            node_manager: NodeManager::default(),
        }
    }
}

/// `skills.install.nodeManager`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NodeManager {
    /// The one that comes with Node.
    #[default]
    Npm,
    /// pnpm.
    Pnpm,
    /// Yarn.
    Yarn,
    /// Bun.
    Bun,
}

impl NodeManager {
    /// The name in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Npm => "npm",
            Self::Pnpm => "pnpm",
            Self::Yarn => "yarn",
            Self::Bun => "bun",
        }
    }
}

/// One of `skills.entries`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct SkillEntry {
    /// Whether agents may use it.
    pub enabled: Option<bool>,
    /// Its key: stands for the environment variable that the skill calls its main one.
    #[schemars(with = "Option<String>", extend("x-secret" = true))]
    pub api_key: Option<SecretString>,
    /// Environment variables by name.
    #[schemars(with = "BTreeMap<String, String>", extend("x-secret" = true))]
    pub env: BTreeMap<String, SecretString>,
}
