//! `sessions.patch`: the rules by which a session's settings change (contract 9.6). Pure: an entry, what is asked for
//! and what the models say become a changed entry or the first refusal.

use openclaw_protocol::protocol::{KnownError, errors, limits, texts};
use openclaw_protocol::types::{
    ErrorShape, GroupActivation, ResponseUsageChoice, SendPolicy, SessionsPatchParams,
};

use super::Entry;
use super::key::SessionKey;
use super::levels::{self, Thinking};

/// What the last parts of a subagent's key begin with.
const SUBAGENT: &str = "subagent:";
/// Members of other releases that belong to the model chosen before.
const OF_THE_MODEL: [&str; 3] = [
    "authProfileOverride",
    "authProfileOverrideSource",
    "authProfileOverrideCompactionCount",
];
/// Models that have the level `xhigh`, as `provider/model`.
const WITH_XHIGH: [&str; 3] = [
    "openai/gpt-5.2",
    "openai-codex/gpt-5.2-codex",
    "openai-codex/gpt-5.1-codex",
];
/// A provider whose models only think or do not.
const ONLY_ON_OR_OFF: &str = "zai";

/// A model by its provider and name there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelName {
    /// Provider.
    pub provider: String,
    /// Model.
    pub model: String,
}

impl ModelName {
    /// `provider/model`.
    #[must_use]
    pub fn joined(&self) -> String {
        format!("{}/{}", self.provider, self.model)
    }

    fn has_xhigh(&self) -> bool {
        WITH_XHIGH.contains(&self.joined().to_lowercase().as_str())
    }

    /// The thinking levels to choose from, as texts list them.
    fn levels(&self) -> &'static str {
        if self.provider.eq_ignore_ascii_case(ONLY_ON_OR_OFF) {
            texts::THINKING_LEVELS_ON_OFF
        } else if self.has_xhigh() {
            texts::THINKING_LEVELS_XHIGH
        } else {
            texts::THINKING_LEVELS
        }
    }
}

/// What a model's name in a patch comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelWish {
    /// The model that answers anyway: nothing needs to be set.
    Default,
    /// Another one.
    Other(ModelName),
}

/// What the models say about a patch, asked before the store is.
#[derive(Debug, Clone)]
pub struct ModelFacts {
    /// The model of a session that has chosen none.
    pub default: ModelName,
    /// What the name in the patch means; none where there is no name.
    pub wish: Option<Result<ModelWish, PatchRefusal>>,
}

/// Why a patch changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct PatchRefusal {
    error: &'static KnownError,
    text: String,
}

impl PatchRefusal {
    fn plain(error: &'static KnownError) -> Self {
        Self::with(error, &[])
    }

    /// The refusal of `error` with its placeholders filled.
    pub(crate) fn with(error: &'static KnownError, values: &[(&str, &str)]) -> Self {
        Self {
            error,
            text: error.text_with(values),
        }
    }

    /// The error for the client.
    #[must_use]
    pub fn shape(&self) -> ErrorShape {
        self.error.code.error(self.text.as_str())
    }
}

/// Whether a label may be given: none where another session has it.
pub(super) type LabelTaken<'a> = &'a dyn Fn(&str) -> bool;

/// Changes `entry` as `patch` says. On a refusal the entry is half changed and must be thrown away.
///
/// # Errors
/// The first member that is refused, in the order of the original.
pub(super) fn apply(
    entry: &mut Entry,
    key: &SessionKey,
    patch: &SessionsPatchParams,
    models: &ModelFacts,
    is_taken: LabelTaken<'_>,
) -> Result<(), PatchRefusal> {
    spawned_by(entry, key, patch)?;
    label(entry, patch, is_taken)?;
    thinking(entry, patch, models)?;
    let word = |said: &Said, parse: Parse, refusal| match said {
        Some(Some(said)) => match parse(said) {
            Some(word) => Ok(Some(Some(word.to_owned()))),
            None => Err(PatchRefusal::plain(refusal)),
        },
        Some(None) => Ok(Some(None)),
        None => Ok(None),
    };
    let not_off = |stored: Option<String>| stored.filter(|word| word != levels::OFF);
    let set = |member: &mut Option<String>, change: Option<Option<String>>| {
        if let Some(value) = change {
            *member = value;
        }
    };
    set(
        &mut entry.verbose_level,
        word(
            &patch.verbose_level,
            levels::verbose,
            &errors::SESSION_VERBOSE_LEVEL,
        )?,
    );
    let reasoning = word(
        &patch.reasoning_level,
        levels::reasoning,
        &errors::SESSION_REASONING_LEVEL,
    )?;
    set(&mut entry.reasoning_level, reasoning.map(not_off));
    if let Some(usage) = patch.response_usage {
        entry.response_usage = usage.and_then(stored_usage).map(str::to_owned);
    }
    set(
        &mut entry.elevated_level,
        word(
            &patch.elevated_level,
            levels::elevated,
            &errors::SESSION_ELEVATED_LEVEL,
        )?,
    );
    set(
        &mut entry.exec_host,
        word(
            &patch.exec_host,
            levels::exec_host,
            &errors::SESSION_EXEC_HOST,
        )?,
    );
    set(
        &mut entry.exec_security,
        word(
            &patch.exec_security,
            levels::exec_security,
            &errors::SESSION_EXEC_SECURITY,
        )?,
    );
    set(
        &mut entry.exec_ask,
        word(&patch.exec_ask, levels::exec_ask, &errors::SESSION_EXEC_ASK)?,
    );
    exec_node(entry, patch)?;
    model(entry, models)?;
    xhigh(entry, patch, models)?;
    if let Some(policy) = patch.send_policy {
        entry.send_policy = policy.map(|policy: SendPolicy| policy.to_string());
    }
    if let Some(activation) = patch.group_activation {
        entry.group_activation =
            activation.map(|activation: GroupActivation| activation.to_string());
    }
    Ok(())
}

/// A member of the patch that a word is said in.
type Said = Option<Option<openclaw_protocol::rt::NonEmptyString>>;
type Parse = fn(&str) -> Option<&'static str>;

/// How a choice of usage lines is stored; none for none.
#[must_use]
pub fn stored_usage(choice: ResponseUsageChoice) -> Option<&'static str> {
    match choice {
        ResponseUsageChoice::Off => None,
        ResponseUsageChoice::Tokens | ResponseUsageChoice::On => {
            Some(ResponseUsageChoice::Tokens.as_str())
        }
        ResponseUsageChoice::Full => Some(choice.as_str()),
    }
}

fn spawned_by(
    entry: &mut Entry,
    key: &SessionKey,
    patch: &SessionsPatchParams,
) -> Result<(), PatchRefusal> {
    let refuse = |error| Err(PatchRefusal::plain(error));
    let parent = match &patch.spawned_by {
        None => return Ok(()),
        Some(None) if entry.spawned_by.is_some() => {
            return refuse(&errors::SESSION_SPAWNED_BY_CLEAR);
        }
        Some(None) => return Ok(()),
        Some(Some(parent)) => parent.trim(),
    };
    if parent.is_empty() {
        return refuse(&errors::SESSION_SPAWNED_BY_EMPTY);
    }
    if !is_subagent(key) {
        return refuse(&errors::SESSION_SPAWNED_BY_KEY);
    }
    if entry
        .spawned_by
        .as_deref()
        .is_some_and(|known| known != parent)
    {
        return refuse(&errors::SESSION_SPAWNED_BY_CHANGE);
    }
    entry.spawned_by = Some(parent.to_owned());
    Ok(())
}

fn is_subagent(key: &SessionKey) -> bool {
    key.canonical()
        .splitn(3, ':')
        .nth(2)
        .is_some_and(|rest| rest.starts_with(SUBAGENT))
}

fn label(
    entry: &mut Entry,
    patch: &SessionsPatchParams,
    is_taken: LabelTaken<'_>,
) -> Result<(), PatchRefusal> {
    let label = match &patch.label {
        None => return Ok(()),
        Some(None) => {
            entry.label = None;
            return Ok(());
        }
        Some(Some(label)) => label.trim(),
    };
    if label.is_empty() {
        return Err(PatchRefusal::plain(&errors::SESSION_LABEL_EMPTY));
    }
    // As JavaScript counts; the schema has counted code points already.
    if label.encode_utf16().count() as u64 > limits::SESSION_LABEL_CHARS {
        let max = limits::SESSION_LABEL_CHARS.to_string();
        return Err(PatchRefusal::with(
            &errors::SESSION_LABEL_TOO_LONG,
            &[("max", &max)],
        ));
    }
    if is_taken(label) {
        return Err(PatchRefusal::with(
            &errors::SESSION_LABEL_IN_USE,
            &[("label", label)],
        ));
    }
    entry.label = Some(label.to_owned());
    Ok(())
}

fn thinking(
    entry: &mut Entry,
    patch: &SessionsPatchParams,
    models: &ModelFacts,
) -> Result<(), PatchRefusal> {
    let Some(said) = &patch.thinking_level else {
        return Ok(());
    };
    let level = match said {
        None => None,
        Some(said) => Some(Thinking::parse(said).ok_or_else(|| {
            let levels = model_of(entry, models).levels();
            PatchRefusal::with(&errors::SESSION_THINKING_LEVEL, &[("levels", levels)])
        })?),
    };
    entry.thinking_level = level
        .filter(|level| *level != Thinking::Off)
        .map(|level| level.as_str().to_owned());
    Ok(())
}

fn exec_node(entry: &mut Entry, patch: &SessionsPatchParams) -> Result<(), PatchRefusal> {
    match &patch.exec_node {
        None => {}
        Some(None) => entry.exec_node = None,
        Some(Some(node)) if node.trim().is_empty() => {
            return Err(PatchRefusal::plain(&errors::SESSION_EXEC_NODE));
        }
        Some(Some(node)) => entry.exec_node = Some(node.trim().to_owned()),
    }
    Ok(())
}

fn model(entry: &mut Entry, models: &ModelFacts) -> Result<(), PatchRefusal> {
    let wish = match &models.wish {
        None => return Ok(()),
        Some(Err(refusal)) => return Err(refusal.clone()),
        Some(Ok(wish)) => wish,
    };
    choose_model(entry, wish);
    Ok(())
}

/// Sets the model of a session, and forgets what belonged to the one before.
pub(crate) fn choose_model(entry: &mut Entry, wish: &ModelWish) {
    (entry.provider_override, entry.model_override) = match wish {
        ModelWish::Default => (None, None),
        ModelWish::Other(name) => (Some(name.provider.clone()), Some(name.model.clone())),
    };
    for member in OF_THE_MODEL {
        entry.extra.remove(member);
    }
}

/// `xhigh` only where the model has it: refused if it was asked for, lowered if only the model is new.
fn xhigh(
    entry: &mut Entry,
    patch: &SessionsPatchParams,
    models: &ModelFacts,
) -> Result<(), PatchRefusal> {
    let is_set = entry.thinking_level.as_deref() == Some(Thinking::XHigh.as_str());
    if !is_set || model_of(entry, models).has_xhigh() {
        return Ok(());
    }
    if patch.thinking_level.is_some() {
        let [others @ .., last] = WITH_XHIGH;
        let names = format!("{} or {last}", others.join(", "));
        return Err(PatchRefusal::with(
            &errors::SESSION_THINKING_XHIGH,
            &[("models", &names)],
        ));
    }
    entry.thinking_level = Some(Thinking::High.as_str().to_owned());
    Ok(())
}

/// The model that answers in a session.
fn model_of(entry: &Entry, models: &ModelFacts) -> ModelName {
    match (&entry.provider_override, &entry.model_override) {
        (Some(provider), Some(model)) => ModelName {
            provider: provider.clone(),
            model: model.clone(),
        },
        _ => models.default.clone(),
    }
}

#[cfg(test)]
mod tests;
