//! `agents`: the agents and what they have in common.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use schemars::JsonSchema;
use serde::Deserialize;

use super::cli_backends::CliBackend;
use super::tools::AgentTools;

/// Runs of all agents at a time when nothing is configured.
const DEFAULT_MAX_CONCURRENT: NonZeroU64 = NonZeroU64::new(4).unwrap();
/// Characters of one workspace file that a model is told, when nothing is configured.
const DEFAULT_BOOTSTRAP_MAX_CHARS: NonZeroU64 = NonZeroU64::new(20_000).unwrap();

/// `agents`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Agents {
    /// What holds for every agent that does not say otherwise.
    pub defaults: AgentDefaults,
    /// The agents; one called `main` when empty.
    pub list: Vec<Agent>,
}

impl Agents {
    /// Id of the agent that is meant when none is named: the first marked default, else the first, else `main`.
    #[must_use]
    pub fn default_id(&self) -> &str {
        self.list
            .iter()
            .find(|agent| agent.default)
            .or_else(|| self.list.first())
            .map_or(DEFAULT_AGENT_ID, |agent| agent.id.as_str())
    }

    /// The listed agent of that id, compared without regard to case.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Agent> {
        self.list
            .iter()
            .find(|agent| agent.id.eq_ignore_ascii_case(id))
    }
}

/// The agent that exists without configuration.
pub const DEFAULT_AGENT_ID: &str = "main";

/// `agents.defaults`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct AgentDefaults {
    /// Directory the agent works in; `~` is the home directory.
    pub workspace: Option<String>,
    /// Which model answers.
    pub model: ModelChoice,
    /// Models by `provider/model` with their aliases.
    pub models: BTreeMap<String, ModelAlias>,
    /// Programs that answer in place of a model, by the part of a model's name before the slash.
    pub cli_backends: BTreeMap<String, CliBackend>,
    /// Longest run in seconds.
    pub timeout_seconds: Option<NonZeroU64>,
    /// How much the model reasons unless the session says otherwise.
    pub thinking_default: Option<ThinkingLevel>,
    /// Whether tool events are shown unless the session says otherwise.
    pub verbose_default: Option<VerboseLevel>,
    /// Regular unprompted turns.
    pub heartbeat: Heartbeat,
    /// Size of the context window that sessions report, in tokens.
    pub context_tokens: Option<NonZeroU64>,
    /// Whether a new workspace stays without its starting files.
    pub skip_bootstrap: bool,
    /// Most characters of one of the workspace's files that a model is told.
    pub bootstrap_max_chars: NonZeroU64,
    /// The user's time zone, IANA name.
    pub user_timezone: Option<String>,
    /// Runs of all agents at a time.
    pub max_concurrent: NonZeroU64,
}

impl Default for AgentDefaults {
    fn default() -> Self {
        Self {
            workspace: None,
            model: ModelChoice::default(),
            models: BTreeMap::new(),
            cli_backends: BTreeMap::new(),
            timeout_seconds: None,
            thinking_default: None,
            verbose_default: None,
            heartbeat: Heartbeat::default(),
            context_tokens: None,
            skip_bootstrap: false,
            bootstrap_max_chars: DEFAULT_BOOTSTRAP_MAX_CHARS,
            user_timezone: None,
            max_concurrent: DEFAULT_MAX_CONCURRENT,
        }
    }
}

/// One of `agents.list`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Agent {
    /// Name in session keys.
    #[schemars(length(min = 1))]
    pub id: String,
    /// Whether this is the one meant when none is named.
    #[serde(default)]
    pub default: bool,
    /// Display name.
    #[serde(default)]
    pub name: Option<String>,
    /// Directory it works in.
    #[serde(default)]
    pub workspace: Option<String>,
    /// Which model answers.
    #[serde(default)]
    pub model: ModelChoice,
    /// How it presents itself.
    #[serde(default)]
    pub identity: Identity,
    /// Regular unprompted turns.
    #[serde(default)]
    pub heartbeat: Option<Heartbeat>,
    /// What it may do, beside what holds for all.
    #[serde(default)]
    pub tools: AgentTools,
}

/// `agents.list[].identity`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Identity {
    /// Name.
    pub name: Option<String>,
    /// Character in a few words.
    pub theme: Option<String>,
    /// Emoji.
    pub emoji: Option<String>,
    /// Avatar: a URL, a data URL or a path in the workspace.
    pub avatar: Option<String>,
}

/// A model and what to fall back on, as `provider/model`. In the file a string or an object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(from = "ModelChoiceForm")]
pub struct ModelChoice {
    /// The model of choice.
    pub primary: Option<String>,
    /// Models tried in turn when it fails.
    pub fallbacks: Vec<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum ModelChoiceForm {
    Primary(String),
    #[serde(rename_all = "camelCase")]
    Full {
        #[serde(default)]
        primary: Option<String>,
        #[serde(default)]
        fallbacks: Vec<String>,
    },
}

impl From<ModelChoiceForm> for ModelChoice {
    fn from(form: ModelChoiceForm) -> Self {
        match form {
            ModelChoiceForm::Primary(primary) => Self {
                primary: Some(primary),
                fallbacks: Vec::new(),
            },
            ModelChoiceForm::Full { primary, fallbacks } => Self { primary, fallbacks },
        }
    }
}

/// One of `agents.defaults.models`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ModelAlias {
    /// Short name for the model.
    pub alias: Option<String>,
}

/// `heartbeat` of an agent: regular unprompted turns.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Heartbeat {
    /// Interval as a duration text (`30m`); zero turns it off.
    pub every: Option<String>,
    /// Model for these turns.
    pub model: Option<String>,
    /// Session they run in.
    pub session: Option<String>,
    /// Where an answer goes.
    pub target: Option<String>,
    /// Recipient at the target.
    pub to: Option<String>,
    /// What the agent is told.
    pub prompt: Option<String>,
    /// Longest answer that still counts as nothing to report, in characters.
    pub ack_max_chars: Option<u64>,
    /// Hours of the day in which they run; all day when absent.
    pub active_hours: Option<ActiveHours>,
}

/// `heartbeat.activeHours`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ActiveHours {
    /// First minute, as `08:00`.
    pub start: String,
    /// First minute after them, as `22:00` or `24:00`; before the start it is one of the next day.
    pub end: String,
    /// Time zone: an IANA name, `local` for the machine's, `user` (or absent) for `agents.defaults.userTimezone`.
    pub timezone: Option<String>,
}

/// How much a model reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ThinkingLevel {
    /// Not at all.
    Off,
    /// As little as it can.
    Minimal,
    /// Little.
    Low,
    /// Some.
    Medium,
    /// Much.
    High,
    /// As much as it can.
    Xhigh,
}

impl ThinkingLevel {
    /// The name in session entries.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Xhigh => "xhigh",
        }
    }
}

/// How much of tool use is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum VerboseLevel {
    /// Nothing.
    Off,
    /// Calls and their outcome.
    On,
    /// Results as well.
    Full,
}

impl VerboseLevel {
    /// The name in session entries.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::On => "on",
            Self::Full => "full",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_agent_is_the_marked_one_else_the_first_else_main() {
        let check = |list: &str, expected: &str| {
            let agents = Agents {
                list: serde_json::from_str(list).unwrap(),
                ..Agents::default()
            };
            assert_eq!(agents.default_id(), expected, "{list}");
        };
        check("[]", "main");
        check(r#"[{"id":"ops"},{"id":"aux"}]"#, "ops");
        check(r#"[{"id":"ops"},{"id":"aux","default":true}]"#, "aux");
    }

    #[test]
    fn agents_are_found_without_regard_to_case() {
        let agents = Agents {
            list: serde_json::from_str(r#"[{"id":"Ops"}]"#).unwrap(),
            ..Agents::default()
        };
        assert!(agents.get("ops").is_some());
        assert!(agents.get("main").is_none());
    }

    #[test]
    fn a_model_choice_is_a_string_or_an_object() {
        let check = |text: &str, primary: Option<&str>, fallbacks: &[&str]| {
            let choice: ModelChoice = serde_json::from_str(text).unwrap();
            assert_eq!(choice.primary.as_deref(), primary, "{text}");
            assert_eq!(choice.fallbacks, fallbacks, "{text}");
        };
        check(r#""mock/echo-1""#, Some("mock/echo-1"), &[]);
        check(
            r#"{"primary":"a/b","fallbacks":["c/d"]}"#,
            Some("a/b"),
            &["c/d"],
        );
        check("{}", None, &[]);
    }
}
