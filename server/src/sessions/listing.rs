//! `sessions.list`: the rows of sessions, filtered and sorted (contract 9.6, methods.md 11).

use std::ops::ControlFlow;

use openclaw_protocol::types::{
    DeliveryContext, SendPolicy, SessionRow, SessionsDefaults, SessionsListParams,
    SessionsListResult,
};
use serde_json::Value;

use super::key::{GLOBAL, UNKNOWN, kind, normalise_agent_id};
use super::{Entry, MULTIPLE, Sessions, entry, titles};
use crate::store::{Reader, StoreError};

const MINUTE_MS: u64 = 60_000;

impl Sessions {
    /// The sessions that `params` asks for as of `now`, newest first. Reads every entry; callers on the I/O thread put
    /// it aside.
    ///
    /// # Errors
    /// Whatever the store says; damaged entries are passed over.
    pub fn list(
        &self,
        params: &SessionsListParams,
        now: u64,
        defaults: SessionsDefaults,
    ) -> Result<SessionsListResult, StoreError> {
        self.read(|reader| {
            let mut found = find(reader, params)?;
            found.sort_by_key(|(_, entry)| std::cmp::Reverse(entry.updated_at.unwrap_or(0)));
            if let Some(words) = params
                .search
                .as_deref()
                .map(|words| words.trim().to_lowercase())
                && !words.is_empty()
            {
                found.retain(|(key, entry)| mentions(key, entry, &words));
            }
            if let Some(minutes) = params.active_minutes {
                let since = now.saturating_sub(minutes.max(1).saturating_mul(MINUTE_MS));
                found.retain(|(_, entry)| {
                    entry
                        .updated_at
                        .is_some_and(|updated_at| updated_at >= since)
                });
            }
            if let Some(limit) = params.limit {
                found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
            }
            let mut sessions = Vec::with_capacity(found.len());
            for (key, entry) in found {
                let mut row = row(&key, &entry);
                if params.include_derived_titles == Some(true) {
                    row.derived_title = titles::title(reader, &entry)?;
                }
                if params.include_last_message == Some(true) {
                    row.last_message_preview = titles::last_words(reader, &entry.session_id)?;
                }
                sessions.push(row);
            }
            let count = sessions.len() as u64;
            Ok(SessionsListResult::new(
                now,
                MULTIPLE.to_owned(),
                count,
                defaults,
                sessions,
            ))
        })
    }
}

/// The entries that pass the filters on what is stored.
pub(super) fn find(
    reader: &Reader<'_>,
    params: &SessionsListParams,
) -> Result<Vec<(String, Entry)>, StoreError> {
    let agent = params.agent_id.as_ref().map(|id| normalise_agent_id(id));
    let label = params.label.as_ref().map(|label| label.trim());
    let mut found = Vec::new();
    entry::visit(reader, agent.as_deref(), |_, key, entry| {
        let wanted = match key.as_str() {
            GLOBAL => params.include_global == Some(true) && agent.is_none(),
            UNKNOWN => params.include_unknown == Some(true) && agent.is_none(),
            _ => true,
        };
        let spawned = params
            .spawned_by
            .as_ref()
            .is_none_or(|by| entry.spawned_by.as_deref() == Some(by));
        let labelled = label.is_none_or(|label| entry.label.as_deref() == Some(label));
        if wanted && spawned && labelled {
            found.push((key, entry));
        }
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

fn mentions(key: &str, entry: &Entry, words: &str) -> bool {
    let texts = [
        Some(key),
        entry.shown_name(),
        entry.label.as_deref(),
        entry.subject.as_deref(),
        Some(entry.session_id.as_str()),
    ];
    let mut texts = texts.into_iter().flatten();
    texts.any(|text| text.to_lowercase().contains(words))
}

/// Tokens in the window, as far as they are known.
fn total_tokens(entry: &Entry) -> u64 {
    let counted = entry
        .input_tokens
        .unwrap_or(0)
        .saturating_add(entry.output_tokens.unwrap_or(0));
    entry.total_tokens.unwrap_or(counted)
}

fn row(key: &str, entry: &Entry) -> SessionRow {
    let empty = SessionRow::new(
        key.to_owned(),
        kind(key, entry.chat_type.as_deref()),
        entry.updated_at,
        total_tokens(entry),
    );
    SessionRow {
        label: entry.label.clone(),
        display_name: entry.shown_name().map(str::to_owned),
        channel: entry.channel.clone(),
        subject: entry.subject.clone(),
        group_channel: entry.group_channel.clone(),
        space: entry.space.clone(),
        chat_type: entry
            .chat_type
            .as_deref()
            .and_then(|kind| kind.parse().ok()),
        origin: shaped(entry.origin.as_ref()),
        session_id: Some(entry.session_id.clone()).filter(|id| !id.is_empty()),
        system_sent: entry.system_sent,
        aborted_last_run: entry.aborted_last_run,
        thinking_level: entry.thinking_level.clone(),
        verbose_level: entry.verbose_level.clone(),
        reasoning_level: entry.reasoning_level.clone(),
        elevated_level: entry.elevated_level.clone(),
        send_policy: entry
            .send_policy
            .as_deref()
            .and_then(|policy| policy.parse::<SendPolicy>().ok()),
        input_tokens: entry.input_tokens,
        output_tokens: entry.output_tokens,
        response_usage: entry.response_usage.clone(),
        model_provider: entry.model_provider.clone(),
        model: entry.model.clone(),
        context_tokens: entry.context_tokens,
        delivery_context: shaped(entry.delivery_context.as_ref()).or_else(|| last_delivery(entry)),
        last_channel: entry.last_channel.clone(),
        last_to: entry.last_to.clone(),
        last_account_id: entry.last_account_id.clone(),
        ..empty
    }
}

/// Where replies go when the entry only tells where the last message came from, as after a reset.
fn last_delivery(entry: &Entry) -> Option<DeliveryContext> {
    Some(DeliveryContext {
        channel: Some(entry.last_channel.clone()?),
        to: entry.last_to.clone(),
        account_id: entry.last_account_id.clone(),
        ..DeliveryContext::default()
    })
}

/// A stored object as the protocol shows it: without members that it does not have, and not at all if it does not fit.
fn shaped<T: serde::de::DeserializeOwned>(stored: Option<&Value>) -> Option<T> {
    serde_json::from_value(stored?.clone()).ok()
}

#[cfg(test)]
mod tests {
    use super::super::open_in;
    use super::*;
    use serde_json::json;

    const NOW: u64 = 100 * MINUTE_MS;

    async fn filled(dir: &std::path::Path) -> Sessions {
        let sessions = open_in(dir);
        let entries = [
            (
                "main",
                json!({"sessionId": "id-main", "updatedAt": NOW - MINUTE_MS, "origin": {"label": "Client A", "provider": "webchat", "colour": "red"}}),
            ),
            (
                "work",
                json!({"sessionId": "id-work", "updatedAt": NOW, "label": "Work", "inputTokens": 10, "outputTokens": 5, "totalTokens": 10}),
            ),
            (
                "child",
                json!({"sessionId": "id-child", "updatedAt": NOW - 2 * MINUTE_MS - 1, "spawnedBy": "agent:main:main", "inputTokens": 7, "outputTokens": 3}),
            ),
            (
                "agent:ops:x",
                json!({"sessionId": "id-x", "sendPolicy": "deny"}),
            ),
            ("global", json!({"sessionId": "id-global", "updatedAt": 1})),
            (
                "unknown",
                json!({"sessionId": "id-unknown", "updatedAt": 2}),
            ),
        ];
        for (raw, entry) in entries {
            let (key, entry) = (
                sessions.key(raw),
                serde_json::from_value::<Entry>(entry).unwrap(),
            );
            let write = sessions.write(move |changes| {
                changes.put_entry(&key, &entry)?;
                changes.append(
                    &entry.session_id,
                    &json!({"role": "user", "content": "words of the user"}),
                )
            });
            write.await.unwrap();
        }
        sessions
    }

    fn list(sessions: &Sessions, params: Value) -> SessionsListResult {
        let defaults =
            SessionsDefaults::new(Some("mock".into()), Some("echo-1".into()), Some(128_000));
        sessions
            .list(&serde_json::from_value(params).unwrap(), NOW, defaults)
            .unwrap()
    }

    #[tokio::test]
    async fn filters_and_order() {
        let dir = tempfile::tempdir().unwrap();
        let sessions = filled(dir.path()).await;
        let (main, work, child, ops) = (
            "agent:main:main",
            "agent:main:work",
            "agent:main:child",
            "agent:ops:x",
        );
        for (params, keys) in [
            (json!({}), vec![work, main, child, ops]),
            (
                json!({"includeGlobal": true, "includeUnknown": true}),
                vec![work, main, child, "unknown", "global", ops],
            ),
            (
                json!({"includeGlobal": true, "agentId": "main"}),
                vec![work, main, child],
            ),
            (json!({"agentId": "OPS"}), vec![ops]),
            (json!({"agentId": "ghost"}), vec![]),
            (json!({"spawnedBy": "agent:main:main"}), vec![child]),
            (json!({"label": " Work "}), vec![work]),
            (json!({"label": "work"}), vec![]),
            (json!({"search": "WORK"}), vec![work]),
            (json!({"search": "client a"}), vec![main]),
            (json!({"search": "id-c"}), vec![child]),
            (json!({"search": " "}), vec![work, main, child, ops]),
            (json!({"activeMinutes": 1}), vec![work, main]),
            (json!({"activeMinutes": 3}), vec![work, main, child]),
            (json!({"limit": 1}), vec![work]),
            (
                json!({"limit": 9, "search": "agent:main"}),
                vec![work, main, child],
            ),
        ] {
            let listed = list(&sessions, params.clone());
            let shown: Vec<&str> = listed.sessions.iter().map(|row| row.key.as_str()).collect();
            assert_eq!(
                (shown, listed.count),
                (keys.clone(), keys.len() as u64),
                "{params}"
            );
        }
    }

    #[tokio::test]
    async fn rows() {
        let dir = tempfile::tempdir().unwrap();
        let sessions = filled(dir.path()).await;
        let shown = serde_json::to_value(list(&sessions, json!({"limit": 2}))).unwrap();
        let expected = json!({
            "ts": NOW, "path": "(multiple)", "count": 2,
            "defaults": {"modelProvider": "mock", "model": "echo-1", "contextTokens": 128_000},
            "sessions": [
                {"key": "agent:main:work", "kind": "direct", "label": "Work", "displayName": "Work", "updatedAt": NOW,
                 "sessionId": "id-work", "inputTokens": 10, "outputTokens": 5, "totalTokens": 10},
                {"key": "agent:main:main", "kind": "direct", "displayName": "Client A", "updatedAt": NOW - MINUTE_MS,
                 "origin": {"label": "Client A", "provider": "webchat"}, "sessionId": "id-main", "totalTokens": 0}
            ]
        });
        assert_eq!(shown, expected);
        let titled = list(
            &sessions,
            json!({"agentId": "main", "includeDerivedTitles": true, "includeLastMessage": true}),
        );
        for row in &titled.sessions {
            assert_eq!(row.derived_title.as_deref(), Some("words of the user"));
            assert_eq!(
                row.last_message_preview.as_deref(),
                Some("words of the user")
            );
        }
        let ops =
            serde_json::to_value(&list(&sessions, json!({"agentId": "ops"})).sessions[0]).unwrap();
        let expected = json!({"key": "agent:ops:x", "kind": "direct", "updatedAt": null, "sessionId": "id-x", "sendPolicy": "deny", "totalTokens": 0});
        assert_eq!(ops, expected);
        let child = list(&sessions, json!({"search": "child"})).sessions[0].total_tokens;
        assert_eq!(child, 10);
    }
}
