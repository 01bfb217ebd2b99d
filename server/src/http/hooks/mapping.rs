//! What a request to a hook means: `wake`, `agent`, or what `hooks.mappings` says about its path or source.

use openclaw_protocol::types::WakeMode;
use serde::Deserialize;
use serde_json::Value;

use super::super::body::object;
use super::template::{Context, render};
use crate::agent::{CHANNELS, LAST_CHANNEL, is_known_channel};
use crate::config::{HookAction, HookMapping, HookMatch, HookWakeMode};
use crate::limits::MAX_HOOK_MAPPINGS;
use crate::outbox::Wish;
use crate::text::given;

/// Name of a hook that has none.
const DEFAULT_NAME: &str = "Hook";

/// What is to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// A note for the main conversation.
    Wake {
        /// The note.
        text: String,
        /// When it is told.
        mode: HookWakeMode,
    },
    /// A turn of an agent.
    Agent(Box<AgentHook>),
}

/// A turn that a hook asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AgentHook {
    pub(super) message: String,
    pub(super) name: String,
    pub(super) mode: HookWakeMode,
    /// None: a new conversation.
    pub(super) session_key: Option<String>,
    /// The caller named the conversation, not the configuration.
    pub(super) is_callers_key: bool,
    pub(super) model: Option<String>,
    pub(super) thinking: Option<String>,
    pub(super) timeout_seconds: Option<u64>,
    /// Where the reply is to go beside the note of it.
    pub(super) deliver: Deliver,
    /// The text may be anybody's.
    pub(super) is_external: bool,
}

/// Where the reply of a hook's turn is to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Deliver {
    /// Nowhere.
    No,
    /// To where the agent was spoken to last, if it was through a channel: nobody has asked for it.
    IfPossible,
    /// There.
    To(Wish),
}

impl Deliver {
    /// What a hook says about it; replies go out unless it says otherwise.
    fn of(deliver: Option<bool>, channel: Option<String>, to: Option<String>) -> Self {
        match (deliver, channel, to) {
            (Some(false), ..) => Self::No,
            (None, None, None) => Self::IfPossible,
            (_, channel, to) => Self::To(Wish {
                channel,
                to,
                account_id: None,
            }),
        }
    }
}

/// Why a request has no meaning. The texts are for the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Meaningless {
    /// `wake` without a text.
    #[error("text required")]
    Text,
    /// `agent` without a message.
    #[error("message required")]
    Message,
    /// A model that is blank.
    #[error("model required")]
    Model,
    /// A conversation that callers may not name.
    #[error("sessionKey must begin with {0}")]
    SessionKey(String),
    /// A channel that nobody knows.
    #[error("channel must be {LAST_CHANNEL}|{}", CHANNELS.join("|"))]
    Channel,
    /// Something of the wrong type.
    #[error("{0}")]
    Shape(String),
    /// A mapping made no text.
    #[error("hook mapping requires {0}")]
    Mapping(&'static str),
}

/// Why a matching mapping cannot be used; for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("hook mapping {id:?} needs the transform module {module:?}, and this gateway runs none")]
pub(super) struct NeedsModule {
    id: String,
    module: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WakeBody {
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    mode: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AgentBody {
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    wake_mode: Option<String>,
    #[serde(default)]
    session_key: Option<String>,
    #[serde(default)]
    deliver: Option<bool>,
    #[serde(default)]
    channel: Option<String>,
    #[serde(default)]
    to: Option<String>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    thinking: Option<String>,
    #[serde(default)]
    timeout_seconds: Option<f64>,
}

/// `wake`.
pub(super) fn wake(payload: Value) -> Result<Action, Meaningless> {
    let body: WakeBody = read(payload)?;
    Ok(Action::Wake {
        text: given(body.text.as_deref()).ok_or(Meaningless::Text)?,
        mode: mode(body.mode.as_deref()),
    })
}

/// `agent`.
pub(super) fn agent(payload: Value) -> Result<Action, Meaningless> {
    let body: AgentBody = read(payload)?;
    let message = given(body.message.as_deref()).ok_or(Meaningless::Message)?;
    let channel = channel(body.channel.as_deref())?;
    let model = match body.model {
        Some(model) => Some(given(Some(&model)).ok_or(Meaningless::Model)?),
        None => None,
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a conversion that saturates"
    )]
    let seconds = |seconds: f64| (seconds >= 1.0).then_some(seconds as u64);
    Ok(Action::Agent(Box::new(AgentHook {
        message,
        name: given(body.name.as_deref()).unwrap_or_else(|| DEFAULT_NAME.to_owned()),
        mode: mode(body.wake_mode.as_deref()),
        session_key: given(body.session_key.as_deref()),
        is_callers_key: true,
        model,
        thinking: given(body.thinking.as_deref()),
        timeout_seconds: body.timeout_seconds.and_then(seconds),
        deliver: Deliver::of(body.deliver, channel, given(body.to.as_deref())),
        is_external: true,
    })))
}

/// The mappings in force: the configured ones before those of presets, so that the former can replace the latter.
pub(super) fn in_force(configured: &[HookMapping], presets: &[String]) -> Vec<HookMapping> {
    let gmail = presets
        .iter()
        .any(|preset| preset.trim().eq_ignore_ascii_case("gmail"));
    configured
        .iter()
        .cloned()
        .chain(gmail.then(gmail_mapping))
        .take(MAX_HOOK_MAPPINGS)
        .collect()
}

/// New mail, as Gmail's push service passes it on.
fn gmail_mapping() -> HookMapping {
    let text = |text: &str| Some(text.to_owned());
    HookMapping {
        id: text("gmail"),
        matches: HookMatch {
            path: text("gmail"),
            source: None,
        },
        name: text("Gmail"),
        session_key: text("hook:gmail:{{messages[0].id}}"),
        message_template: text(
            "New mail from {{messages[0].from}}\nSubject: {{messages[0].subject}}\n{{messages[0].snippet}}\n{{messages[0].body}}",
        ),
        ..HookMapping::default()
    }
}

/// What the first matching mapping makes of a request; none when nothing matches.
///
/// # Errors
/// The outer one is the gateway's fault, the inner one the caller's.
pub(super) fn mapped(
    mappings: &[HookMapping],
    context: &Context,
) -> Result<Option<Result<Action, Meaningless>>, NeedsModule> {
    let Some(mapping) = mappings
        .iter()
        .find(|mapping| matches(&mapping.matches, context))
    else {
        return Ok(None);
    };
    if let Some(transform) = &mapping.transform {
        return Err(NeedsModule {
            id: mapping.id.clone().unwrap_or_default(),
            module: transform.module.clone(),
        });
    }
    let text = |template: &Option<String>| {
        let template = template.as_deref()?;
        Some(render(template, context)).filter(|text| !text.is_empty())
    };
    Ok(Some(match mapping.action {
        HookAction::Wake => match text(&mapping.text_template) {
            Some(text) => Ok(Action::Wake {
                text,
                mode: mapping.wake_mode,
            }),
            None => Err(Meaningless::Mapping("text")),
        },
        HookAction::Agent => agent_of(mapping, text),
    }))
}

/// The turn that a mapping asks for; `text` fills its templates.
fn agent_of(
    mapping: &HookMapping,
    text: impl Fn(&Option<String>) -> Option<String>,
) -> Result<Action, Meaningless> {
    let message = text(&mapping.message_template).ok_or(Meaningless::Mapping("message"))?;
    let channel = channel(text(&mapping.channel).as_deref())?;
    Ok(Action::Agent(Box::new(AgentHook {
        message,
        name: text(&mapping.name).unwrap_or_else(|| DEFAULT_NAME.to_owned()),
        mode: mapping.wake_mode,
        session_key: text(&mapping.session_key),
        is_callers_key: is_callers(mapping.session_key.as_deref()),
        model: text(&mapping.model),
        thinking: text(&mapping.thinking),
        timeout_seconds: mapping.timeout_seconds.map(Into::into),
        deliver: Deliver::of(
            mapping.deliver,
            channel,
            given(text(&mapping.to).as_deref()),
        ),
        is_external: !mapping.allow_unsafe_external_content,
    })))
}

/// A channel's name that is not blank.
fn channel(name: Option<&str>) -> Result<Option<String>, Meaningless> {
    let name = given(name);
    match &name {
        Some(name) if !is_known_channel(name) => Err(Meaningless::Channel),
        _ => Ok(name),
    }
}

/// Does a template leave the beginning of its text, and so all of it, to the caller?
fn is_callers(template: Option<&str>) -> bool {
    template.is_some_and(|template| template.trim_start().starts_with("{{"))
}

fn matches(wanted: &HookMatch, context: &Context) -> bool {
    let path = |path: &str| path.trim().trim_matches('/') == context.path;
    let source = |source: &str| {
        context
            .payload
            .get("source")
            .and_then(Value::as_str)
            .map(str::trim)
            == Some(source.trim())
    };
    wanted.path.as_deref().is_none_or(path) && wanted.source.as_deref().is_none_or(source)
}

fn read<T: serde::de::DeserializeOwned>(payload: Value) -> Result<T, Meaningless> {
    object(payload).map_err(Meaningless::Shape)
}

fn mode(word: Option<&str>) -> HookWakeMode {
    match word {
        Some(word) if word == WakeMode::NextHeartbeat.as_str() => HookWakeMode::NextHeartbeat,
        _ => HookWakeMode::Now,
    }
}

#[cfg(test)]
mod tests;
