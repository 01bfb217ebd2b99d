//! What `sessions.list` reads of a session's entry, and the row that it shows of it. A list may be of many thousands, so
//! members that no row has are passed over, and what only rows need is parsed for rows.

use openclaw_protocol::types::{DeliveryContext, SendPolicy, SessionRow};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::key::kind;

/// The part of an [`Entry`](super::Entry) that rows show; the members are described there.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Listed {
    pub(super) session_id: String,
    pub(super) updated_at: Option<u64>,
    pub(super) label: Option<String>,
    pub(super) spawned_by: Option<String>,
    pub(super) display_name: Option<String>,
    pub(super) subject: Option<String>,
    pub(super) system_sent: Option<bool>,
    pub(super) agent_calls_only: bool,
    pub(super) aborted_last_run: Option<bool>,
    pub(super) chat_type: Option<String>,
    pub(super) channel: Option<String>,
    pub(super) group_channel: Option<String>,
    pub(super) space: Option<String>,
    pub(super) origin: Option<Box<RawValue>>,
    pub(super) delivery_context: Option<Box<RawValue>>,
    pub(super) last_channel: Option<String>,
    pub(super) last_to: Option<String>,
    pub(super) last_account_id: Option<String>,
    pub(super) thinking_level: Option<String>,
    pub(super) verbose_level: Option<String>,
    pub(super) reasoning_level: Option<String>,
    pub(super) elevated_level: Option<String>,
    pub(super) send_policy: Option<String>,
    pub(super) response_usage: Option<String>,
    pub(super) input_tokens: Option<u64>,
    pub(super) output_tokens: Option<u64>,
    pub(super) total_tokens: Option<u64>,
    pub(super) model_provider: Option<String>,
    pub(super) model: Option<String>,
    pub(super) context_tokens: Option<u64>,
}

/// Who opened a session.
#[derive(Deserialize)]
struct Opener {
    #[serde(default)]
    label: Option<String>,
}

impl Listed {
    /// Whether a search for `words`, in lower case, finds the session with this key.
    pub(super) fn mentions(&self, key: &str, words: &str) -> bool {
        let name = self.shown_name();
        let texts = [
            Some(key),
            name.as_deref(),
            self.label.as_deref(),
            self.subject.as_deref(),
            Some(self.session_id.as_str()),
        ];
        let mut texts = texts.into_iter().flatten();
        texts.any(|text| text.to_lowercase().contains(words))
    }

    /// As [`Entry::shown_name`](super::Entry::shown_name).
    fn shown_name(&self) -> Option<String> {
        let set = self.display_name.as_ref().or(self.label.as_ref()).cloned();
        set.or_else(|| shaped::<Opener>(self.origin.as_deref())?.label)
    }

    /// Tokens in the window, as far as they are known.
    fn tokens(&self) -> u64 {
        let (input, output) = (self.input_tokens, self.output_tokens);
        let counted = input.unwrap_or(0).saturating_add(output.unwrap_or(0));
        self.total_tokens.unwrap_or(counted)
    }

    /// The row of the session with this key.
    pub(super) fn row(self, key: String) -> SessionRow {
        let kind = kind(&key, self.chat_type.as_deref());
        let empty = SessionRow::new(key, kind, self.updated_at, self.tokens());
        SessionRow {
            display_name: self.shown_name(),
            delivery_context: shaped(self.delivery_context.as_deref())
                .or_else(|| self.last_delivery()),
            label: self.label,
            channel: self.channel,
            subject: self.subject,
            group_channel: self.group_channel,
            space: self.space,
            chat_type: self.chat_type.and_then(|kind| kind.parse().ok()),
            origin: shaped(self.origin.as_deref()),
            session_id: Some(self.session_id).filter(|id| !id.is_empty()),
            system_sent: self.system_sent,
            aborted_last_run: self.aborted_last_run,
            thinking_level: self.thinking_level,
            verbose_level: self.verbose_level,
            reasoning_level: self.reasoning_level,
            elevated_level: self.elevated_level,
            send_policy: self
                .send_policy
                .and_then(|policy| policy.parse::<SendPolicy>().ok()),
            input_tokens: self.input_tokens,
            output_tokens: self.output_tokens,
            response_usage: self.response_usage,
            model_provider: self.model_provider,
            model: self.model,
            context_tokens: self.context_tokens,
            last_channel: self.last_channel,
            last_to: self.last_to,
            last_account_id: self.last_account_id,
            ..empty
        }
    }

    /// Where replies go when the entry only tells where the last message came from, as after a reset.
    fn last_delivery(&self) -> Option<DeliveryContext> {
        Some(DeliveryContext {
            channel: Some(self.last_channel.clone()?),
            to: self.last_to.clone(),
            account_id: self.last_account_id.clone(),
            ..DeliveryContext::default()
        })
    }
}

/// A stored object as the protocol shows it: without members that it does not have, and not at all if it does not fit.
fn shaped<T: DeserializeOwned>(stored: Option<&RawValue>) -> Option<T> {
    serde_json::from_str(stored?.get()).ok()
}
