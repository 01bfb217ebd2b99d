//! The record of one session: its id, settings, counters and where it came from. Fields are those of the reference's
//! session store, so that `sessions.list` shows what clients know; members this gateway does not use are kept.

use std::ops::ControlFlow;

use openclaw_protocol::types::DeliveryContext;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::key::{SessionKey, agent_prefix};
use crate::store::{Reader, StoreError, Table, Writer};

/// A session's entry.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Entry {
    /// Names the transcript; a reset gives a new one.
    pub session_id: String,
    /// Last change, ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<u64>,
    /// A chat client has spoken here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_sent: Option<bool>,
    /// Nobody but callers of `agent` has spoken in the transcript; lists then show no words of it. The gateway's own: clients
    /// are not shown it. False in entries of before, so that what they show stays.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub agent_calls_only: bool,
    /// The last run was aborted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aborted_last_run: Option<bool>,
    /// `direct`, `group` or `channel`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat_type: Option<String>,
    /// Name given by a user; unique where `sessions.patch` set it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Name shown, where one was set on purpose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Channel of a group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Id of a group within its channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_id: Option<String>,
    /// Subject of a group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Room of a group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_channel: Option<String>,
    /// Server, team or workspace of a group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub space: Option<String>,
    /// Key of the session that started this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spawned_by: Option<String>,
    /// Who opened the session and through what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<Value>,
    /// Where replies go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery_context: Option<Value>,
    /// Channel of the last message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_channel: Option<String>,
    /// Peer of the last message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_to: Option<String>,
    /// Channel account of the last message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_account_id: Option<String>,
    /// Thinking level of this session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking_level: Option<String>,
    /// Verbose level of this session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verbose_level: Option<String>,
    /// Reasoning level of this session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_level: Option<String>,
    /// Elevated level of this session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elevated_level: Option<String>,
    /// `allow` or `deny`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub send_policy: Option<String>,
    /// Usage footer of replies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_usage: Option<String>,
    /// Provider chosen for this session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_override: Option<String>,
    /// Model chosen for this session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_override: Option<String>,
    /// Where commands run: `sandbox`, `gateway` or `node`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exec_host: Option<String>,
    /// Which commands may run: `deny`, `allowlist` or `full`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exec_security: Option<String>,
    /// When a person is asked first: `off`, `on-miss` or `always`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exec_ask: Option<String>,
    /// Node that runs commands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exec_node: Option<String>,
    /// When a group is answered: `mention` or `always`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_activation: Option<String>,
    /// Prompt tokens of the last run, without cached ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    /// Reply tokens of the last run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// Tokens of context that the last run used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_tokens: Option<u64>,
    /// Provider of the last run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_provider: Option<String>,
    /// Model of the last run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Context window of that model in tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<u64>,
    /// What other releases stored; kept as it is.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Entry {
    /// A new session, as of `now` (ms), with a random id.
    #[must_use]
    pub fn new(now: u64) -> Self {
        Self {
            session_id: uuid::Uuid::new_v4().to_string(),
            updated_at: Some(now),
            ..Self::default()
        }
    }

    /// `updatedAt`, which never goes backwards, is now `now`.
    pub fn touch(&mut self, now: u64) {
        self.updated_at = Some(self.updated_at.map_or(now, |before| before.max(now)));
    }

    /// Somebody speaks here: a caller of `agent`, or another. `is_silent`: the transcript is empty so far. A chat client may
    /// have spoken whose words are still on their way there.
    pub fn spoken_by(&mut self, is_agent_call: bool, is_silent: bool) {
        let is_first = is_silent && self.system_sent != Some(true);
        self.agent_calls_only = is_agent_call && (self.agent_calls_only || is_first);
    }

    /// Where replies go; when only that is known, as after a reset, to where the last message came from.
    #[must_use]
    pub fn delivery(&self) -> Option<DeliveryContext> {
        let stored = self.delivery_context.as_ref();
        let stored = stored.and_then(|stored| serde_json::from_value(stored.clone()).ok());
        stored.or_else(|| {
            Some(DeliveryContext {
                channel: Some(self.last_channel.clone()?),
                to: self.last_to.clone(),
                account_id: self.last_account_id.clone(),
                ..DeliveryContext::default()
            })
        })
    }

    /// What identifies the session to a person: a set name, else the label, else who opened it.
    #[must_use]
    pub fn shown_name(&self) -> Option<&str> {
        let origin = || {
            self.origin
                .as_ref()
                .and_then(|origin| origin.get("label"))
                .and_then(Value::as_str)
        };
        self.display_name
            .as_deref()
            .or(self.label.as_deref())
            .or_else(origin)
    }
}

/// The stored form. The key is part of the value because a long one is only a digest in the record's key.
#[derive(Serialize, Deserialize)]
struct Record<K, E> {
    key: K,
    entry: E,
}

/// The entry of a session. A damaged record counts as none, so that the session can be used again; the store has
/// counted and logged it.
pub(super) fn load(reader: &Reader<'_>, key: &SessionKey) -> Result<Option<Entry>, StoreError> {
    match reader.get::<Record<String, Entry>>(Table::Sessions, &key.stored()) {
        Ok(record) => Ok(record.map(|record| record.entry)),
        Err(StoreError::Damaged { .. }) => Ok(None),
        Err(other) => Err(other),
    }
}

/// Writes the entry of a session.
pub(super) fn store(
    writer: &mut Writer<'_>,
    key: &SessionKey,
    entry: &Entry,
) -> Result<(), StoreError> {
    writer.put(
        Table::Sessions,
        &key.stored(),
        &Record {
            key: key.canonical(),
            entry,
        },
    )
}

/// Removes the entry of a session; whether there was one.
pub(super) fn remove(writer: &mut Writer<'_>, key: &SessionKey) -> Result<bool, StoreError> {
    writer.delete(Table::Sessions, &key.stored())
}

/// What identifies a session, without the rest of its entry: a scan over all sessions reads this several times faster.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Tag {
    /// Names the transcript.
    pub(super) session_id: String,
    /// Name given by a user.
    pub(super) label: Option<String>,
    /// Key of the session that started this one.
    pub(super) spawned_by: Option<String>,
}

/// When a session changed last, without anything else of its entry: read of every session at a start.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Stamp {
    /// ms.
    #[serde(default)]
    pub(super) updated_at: Option<u64>,
}

/// As [`visit`], with [`Tag`]s.
pub(super) fn visit_tags(
    reader: &Reader<'_>,
    agent: Option<&str>,
    each: impl FnMut(&str, String, Tag) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    visit_as(reader, agent, each)
}

/// Visits every entry as (agent id, canonical key, entry); only those of `agent` if one is given.
pub(super) fn visit(
    reader: &Reader<'_>,
    agent: Option<&str>,
    each: impl FnMut(&str, String, Entry) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    visit_as(reader, agent, each)
}

/// As [`visit`], with as much of each entry as `E` has.
pub(super) fn visit_as<E: DeserializeOwned>(
    reader: &Reader<'_>,
    agent: Option<&str>,
    mut each: impl FnMut(&str, String, E) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    let prefix = agent.map(agent_prefix).unwrap_or_default();
    reader.scan::<Record<String, E>>(Table::Sessions, &prefix, |stored, record| {
        let agent = stored.split(|byte| *byte == 0).next().unwrap_or_default();
        each(&String::from_utf8_lossy(agent), record.key, record.entry)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn members_of_other_releases_survive() {
        let stored = json!({
            "sessionId": "s", "updatedAt": 5, "label": "L", "compactionCount": 3, "skillsSnapshot": {"skills": []},
            "origin": {"label": "Ann", "provider": "webchat"}
        });
        let mut entry: Entry = serde_json::from_value(stored.clone()).unwrap();
        assert_eq!(serde_json::to_value(&entry).unwrap(), stored);
        entry.touch(9);
        assert_eq!(entry.updated_at, Some(9));
        entry.touch(7);
        assert_eq!(entry.updated_at, Some(9));
    }

    #[test]
    fn who_has_spoken() {
        // What the entry says before, then: an `agent` call, an empty transcript, and what the entry says after.
        for (only, chatted, is_agent_call, is_silent, after) in [
            (false, None, true, true, true),
            (false, Some(false), true, true, true),
            (false, Some(true), true, true, false),
            (false, None, true, false, false),
            (true, None, true, false, true),
            (true, Some(false), true, false, true),
            (true, None, false, false, false),
            (true, Some(true), false, false, false),
            (false, None, false, true, false),
        ] {
            let mut entry = Entry {
                agent_calls_only: only,
                system_sent: chatted,
                ..Entry::default()
            };
            entry.spoken_by(is_agent_call, is_silent);
            let given = (only, chatted, is_agent_call, is_silent);
            assert_eq!(entry.agent_calls_only, after, "{given:?}");
        }
    }

    #[test]
    fn names_in_order_of_preference() {
        let origin = Some(json!({"label": "Ann"}));
        let mut entry = Entry {
            origin,
            ..Entry::default()
        };
        assert_eq!(entry.shown_name(), Some("Ann"));
        entry.label = Some("Work".into());
        assert_eq!(entry.shown_name(), Some("Work"));
        entry.display_name = Some("Team".into());
        assert_eq!(entry.shown_name(), Some("Team"));
        assert_eq!(Entry::default().shown_name(), None);
    }
}
