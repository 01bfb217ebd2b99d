//! `sessions.list`: the rows of sessions, filtered and sorted (contract 9.6, methods.md 11).

use std::ops::ControlFlow;

use openclaw_protocol::types::{SessionsDefaults, SessionsListParams, SessionsListResult};

use super::key::{GLOBAL, UNKNOWN, normalise_agent_id};
use super::listed::Listed;
use super::{MULTIPLE, Sessions, entry, titles};
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
                found.retain(|(key, entry)| entry.mentions(key, &words));
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
                let title = match params.include_derived_titles {
                    Some(true) => titles::title(reader, &entry)?,
                    _ => None,
                };
                let last = match params.include_last_message {
                    Some(true) => titles::last_words(reader, &entry)?,
                    _ => None,
                };
                let mut row = entry.row(key);
                row.derived_title = title;
                row.last_message_preview = last;
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
) -> Result<Vec<(String, Listed)>, StoreError> {
    let agent = params.agent_id.as_ref().map(|id| normalise_agent_id(id));
    let label = params.label.as_ref().map(|label| label.trim());
    let mut found = Vec::new();
    entry::visit_as(reader, agent.as_deref(), |_, key, entry: Listed| {
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

#[cfg(test)]
mod tests {
    use super::super::{Entry, open_in};
    use super::*;
    use serde_json::{Value, json};

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
