//! What the file of a transcript holds before its messages: the conversation itself and, once a model has answered, the
//! model, its thinking level and a note of both, as the reference writes them when a conversation begins.
//!
//! Made from what is stored, by [`super::files`] for every file that it writes, and by `sessions.compact`, which counts the
//! lines of that file.

use std::ops::ControlFlow;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{Entry, transcript};
use crate::clock::iso_8601;
use crate::store::{Reader, StoreError};

/// Version of the reference's transcript format that is written.
const TRANSCRIPT_VERSION: u32 = 3;
/// Thinking level of a conversation for which none was set.
const NO_THINKING: &str = "off";

/// Id of the record with this number in a file, from 1; the first one has none, and no number.
pub(super) fn id(number: u64) -> String {
    format!("{number:08x}")
}

/// The records before the messages of a transcript, as of the last change of the entry that it belongs to.
pub(super) fn records(
    reader: &Reader<'_>,
    transcript: &str,
    entry: &Entry,
) -> Result<Vec<Value>, StoreError> {
    let ms = entry.updated_at.unwrap_or(0);
    let time = iso_8601(ms);
    let mut records = vec![json!({
        "type": "session", "version": TRANSCRIPT_VERSION, "id": entry.session_id, "timestamp": time
    })];
    if let Some(Answer {
        api,
        provider,
        model,
        ..
    }) = first_answer(reader, transcript)?
    {
        let level = entry.thinking_level.as_deref().unwrap_or(NO_THINKING);
        records.push(json!({
            "type": "model_change", "id": id(1), "parentId": null, "timestamp": time, "provider": provider, "modelId": model
        }));
        records.push(json!({
            "type": "thinking_level_change", "id": id(2), "parentId": id(1), "timestamp": time, "thinkingLevel": level
        }));
        records.push(json!({
            "type": "custom", "customType": "model-snapshot", "id": id(3), "parentId": id(2), "timestamp": time,
            "data": {"timestamp": ms, "provider": provider, "modelApi": api, "modelId": model}
        }));
    }
    Ok(records)
}

/// What a model answered, or failed to. Words in an agent's name that no model made name none.
#[derive(Deserialize)]
struct Answer {
    role: String,
    api: String,
    provider: String,
    model: String,
}

fn first_answer(reader: &Reader<'_>, transcript: &str) -> Result<Option<Answer>, StoreError> {
    let mut found = None;
    transcript::head(reader, transcript, |message: Box<RawValue>| {
        let answer = serde_json::from_str::<Answer>(message.get()).ok();
        found = answer.filter(|answer| answer.role == "assistant");
        if found.is_some() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::open_in;
    use super::*;

    #[tokio::test]
    async fn records_of_a_head() {
        let answer = |model: &str| json!({"role": "assistant", "content": [], "api": "a", "provider": "p", "model": model});
        let user = json!({"role": "user", "content": "hi"});
        let injected = json!({"role": "assistant", "content": [], "stopReason": "injected"});
        let odd = json!({"role": "user", "content": "", "api": "a", "provider": "p", "model": "m"});
        for (messages, model) in [
            (vec![], None),
            (vec![user.clone(), injected, odd], None),
            (vec![user, answer("m-1"), answer("m-2")], Some("m-1")),
        ] {
            for (set, level) in [(None, "off"), (Some("low"), "low")] {
                let dir = tempfile::tempdir().unwrap();
                let sessions = open_in(dir.path());
                let entry = Entry {
                    session_id: "s".into(),
                    updated_at: Some(1_795_404_123_385),
                    thinking_level: set.map(str::to_owned),
                    ..Entry::default()
                };
                let written = messages.clone();
                let write = sessions.write(move |changes| {
                    for message in &written {
                        changes.append("s", message)?;
                    }
                    Ok(())
                });
                write.await.unwrap();
                let time = "2026-11-23T03:22:03.385Z";
                let mut expected =
                    vec![json!({"type": "session", "version": 3, "id": "s", "timestamp": time})];
                if let Some(model) = model {
                    expected.extend([
                        json!({"type": "model_change", "id": "00000001", "parentId": null, "timestamp": time,
                            "provider": "p", "modelId": model}),
                        json!({"type": "thinking_level_change", "id": "00000002", "parentId": "00000001", "timestamp": time,
                            "thinkingLevel": level}),
                        json!({"type": "custom", "customType": "model-snapshot", "id": "00000003", "parentId": "00000002",
                            "timestamp": time, "data": {"timestamp": 1_795_404_123_385_u64, "provider": "p", "modelApi": "a",
                            "modelId": model}}),
                    ]);
                }
                let shown = sessions
                    .read(|reader| records(reader, "s", &entry))
                    .unwrap();
                assert_eq!(shown, expected, "{messages:?}");
            }
        }
    }
}
