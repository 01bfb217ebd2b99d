//! What `sessions.list` shows of a transcript when asked: a title made of the first words of the user, and the last
//! thing that was said.

use std::ops::ControlFlow;

use openclaw_protocol::protocol::limits;
use serde_json::Value;
use serde_json::value::RawValue;

use super::listed::Listed;
use super::message::{role_of, text_of};
use super::{envelope, transcript};
use crate::clock::iso_8601;
use crate::store::{Reader, StoreError};

/// How far a title looks from the start of a transcript: a list of many sessions must stay cheap.
const TITLE_MESSAGES: usize = limits::DERIVED_TITLE_READ_LINES as usize;
const TITLE_BYTES: usize = limits::DERIVED_TITLE_READ_BYTES as usize;
/// Longest title in characters, the ellipsis included.
const TITLE_CHARS: usize = limits::DERIVED_TITLE_CHARS as usize;
/// How far a preview looks back from the end.
const PREVIEW_MESSAGES: usize = limits::LAST_MESSAGE_READ_LINES as usize;
const PREVIEW_BYTES: usize = limits::LAST_MESSAGE_READ_BYTES as usize;
/// How much of a session id stands for a session without words.
const ID_CHARS: usize = 8;

/// A session's title: a name set for it, its group's subject, the first words of the user unless only `agent` calls have
/// spoken there, or the start of its id with the day of its last change.
pub(super) fn title(reader: &Reader<'_>, entry: &Listed) -> Result<Option<String>, StoreError> {
    let named = entry
        .display_name
        .as_deref()
        .or(entry.subject.as_deref())
        .map(str::trim)
        .filter(|name| !name.is_empty());
    if let Some(name) = named {
        return Ok(Some(name.to_owned()));
    }
    if let Some(words) = first_words(reader, entry)? {
        return Ok(Some(shorten(&words)));
    }
    if entry.session_id.is_empty() {
        return Ok(None);
    }
    let id: String = entry.session_id.chars().take(ID_CHARS).collect();
    Ok(Some(match entry.updated_at {
        Some(updated_at) => format!("{id} ({})", day(updated_at)),
        None => id,
    }))
}

/// The last text of user or assistant, unshortened; none where only `agent` calls have spoken.
pub(super) fn last_words(
    reader: &Reader<'_>,
    entry: &Listed,
) -> Result<Option<String>, StoreError> {
    if entry.agent_calls_only {
        return Ok(None);
    }
    let small = |text: &RawValue| {
        if text.get().len() <= PREVIEW_BYTES {
            parse(text)
        } else {
            None
        }
    };
    let tail = transcript::tail(
        reader,
        &entry.session_id,
        PREVIEW_MESSAGES,
        PREVIEW_BYTES,
        small,
    )?;
    Ok(tail.iter().rev().find_map(|message| {
        let text = match role_of(message) {
            "user" => envelope::strip(&text_of(message)),
            "assistant" => text_of(message),
            _ => return None,
        };
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }))
}

fn first_words(reader: &Reader<'_>, entry: &Listed) -> Result<Option<String>, StoreError> {
    if entry.agent_calls_only {
        return Ok(None);
    }
    let (mut seen, mut bytes, mut found) = (0, 0, None);
    transcript::head(reader, &entry.session_id, |message: Box<RawValue>| {
        seen += 1;
        bytes += message.get().len();
        if bytes <= TITLE_BYTES {
            found = parse(&message)
                .filter(|message| role_of(message) == "user")
                .map(|message| {
                    envelope::strip(&text_of(&message))
                        .split_whitespace()
                        .collect::<Vec<_>>()
                        .join(" ")
                })
                .filter(|words| !words.is_empty());
        }
        if found.is_some() || seen == TITLE_MESSAGES || bytes > TITLE_BYTES {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })?;
    Ok(found)
}

fn parse(message: &RawValue) -> Option<Value> {
    serde_json::from_str(message.get()).ok()
}

/// Cuts to [`TITLE_CHARS`], at a word's end if there is one in the last two fifths.
fn shorten(words: &str) -> String {
    if words.chars().count() <= TITLE_CHARS {
        return words.to_owned();
    }
    let cut: String = words.chars().take(TITLE_CHARS - 1).collect();
    let end = cut
        .rfind(' ')
        .filter(|end| *end > TITLE_CHARS * 3 / 5)
        .unwrap_or(cut.len());
    format!("{}…", &cut[..end])
}

/// `YYYY-MM-DD` (UTC) of a time in ms since the epoch.
fn day(ms: u64) -> String {
    iso_8601(ms).chars().take(10).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Store, WriteError};
    use serde_json::json;

    fn entry(id: &str) -> Listed {
        Listed {
            session_id: id.to_owned(),
            updated_at: Some(1_795_404_123_385),
            ..Listed::default()
        }
    }

    async fn check(
        entry: Listed,
        messages: Vec<Value>,
        expected_title: Option<&str>,
        expected_last: Option<&str>,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let id = entry.session_id.clone();
        let case = format!("{messages:?}");
        let write = store.write(move |writer| {
            for message in &messages {
                transcript::append(writer, &id, message)?;
            }
            Ok(())
        });
        write
            .await
            .map_err(|error: WriteError<StoreError>| error.to_string())
            .unwrap();
        let shown = store
            .read(|reader| Ok((title(reader, &entry)?, last_words(reader, &entry)?)))
            .unwrap();
        assert_eq!(
            (shown.0.as_deref(), shown.1.as_deref()),
            (expected_title, expected_last),
            "{case}"
        );
    }

    fn user(text: &str) -> Value {
        json!({"role": "user", "content": [{"type": "text", "text": text}]})
    }

    fn assistant(text: &str) -> Value {
        json!({"role": "assistant", "content": [{"type": "text", "text": text}]})
    }

    #[tokio::test]
    async fn titles_and_last_words() {
        check(
            entry("b23b45d8-9385"),
            vec![],
            Some("b23b45d8 (2026-11-23)"),
            None,
        )
        .await;
        check(
            Listed {
                updated_at: None,
                ..entry("b23b45d8-9385")
            },
            vec![],
            Some("b23b45d8"),
            None,
        )
        .await;
        check(Listed::default(), vec![], None, None).await;
        let talk = vec![
            user("first   words\n[message_id: c-1]"),
            assistant("echo: first words"),
        ];
        check(
            entry("s"),
            talk.clone(),
            Some("first words"),
            Some("echo: first words"),
        )
        .await;
        let only = || Listed {
            agent_calls_only: true,
            ..entry("b23b45d8-9385")
        };
        check(only(), talk.clone(), Some("b23b45d8 (2026-11-23)"), None).await;
        check(
            Listed {
                subject: Some("Trip".into()),
                ..only()
            },
            talk.clone(),
            Some("Trip"),
            None,
        )
        .await;
        check(
            Listed {
                display_name: Some("Team".into()),
                ..entry("s")
            },
            talk,
            Some("Team"),
            Some("echo: first words"),
        )
        .await;
        let cut = vec![
            assistant("hello"),
            user(&"word ".repeat(20)),
            json!({"role": "assistant", "content": []}),
        ];
        let title = format!("{}word…", "word ".repeat(10));
        check(
            entry("s"),
            cut,
            Some(&title),
            Some("word ".repeat(20).trim()),
        )
        .await;
        let unbroken = vec![user(&"é".repeat(80))];
        check(
            entry("s"),
            unbroken,
            Some(&format!("{}…", "é".repeat(59))),
            Some(&"é".repeat(80)),
        )
        .await;
        let late: Vec<Value> = (0..TITLE_MESSAGES)
            .map(|_| assistant("a"))
            .chain([user("too late")])
            .collect();
        check(
            entry("12345678-x"),
            late,
            Some("12345678 (2026-11-23)"),
            Some("too late"),
        )
        .await;
        let long = vec![user(&"x".repeat(TITLE_BYTES)), user("next")];
        check(
            entry("12345678-x"),
            long,
            Some("12345678 (2026-11-23)"),
            Some("next"),
        )
        .await;
    }
}
