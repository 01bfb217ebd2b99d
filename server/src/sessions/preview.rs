//! `sessions.preview`: the last words of a few sessions, cut short (contract 9.6; methods.md, sessions.preview).

use std::ops::ControlFlow;

use openclaw_protocol::protocol::{limits, texts};
use openclaw_protocol::types::{
    SessionPreviewItem, SessionPreviewRole, SessionPreviewStatus, SessionsPreviewEntry,
    SessionsPreviewParams, SessionsPreviewResult,
};
use serde_json::Value;

use super::message::{role_of, text_of};
use super::{Sessions, entry, envelope, transcript};
use crate::store::{Reader, StoreError};

/// Names of tools that a message of calls shows; the others are counted.
const SHOWN_TOOLS: usize = 2;

/// How much is shown of each session.
#[derive(Debug, Clone, Copy)]
struct Measure {
    items: usize,
    chars: usize,
}

impl Measure {
    fn of(params: &SessionsPreviewParams) -> Self {
        let items = params.limit.unwrap_or(limits::PREVIEW_ITEMS_DEFAULT);
        let chars = params.max_chars.unwrap_or(limits::PREVIEW_CHARS_DEFAULT);
        let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        Self {
            items: size(items.clamp(1, limits::PREVIEW_ITEMS_MAX)),
            chars: size(chars.clamp(limits::PREVIEW_CHARS_MIN, limits::PREVIEW_CHARS_MAX)),
        }
    }
}

impl Sessions {
    /// The previews that `params` asks for as of `now`. Reads the disk; callers on the I/O thread put it aside. A
    /// session that cannot be read has the status `error`.
    pub fn previews(&self, params: &SessionsPreviewParams, now: u64) -> SessionsPreviewResult {
        let measure = Measure::of(params);
        let keys = params.keys.iter().map(|key| key.trim());
        let most = usize::try_from(limits::PREVIEW_KEYS_MAX).unwrap_or(usize::MAX);
        let keys = keys.filter(|key| !key.is_empty()).take(most);
        let previews = keys.map(|key| self.preview(key, measure)).collect();
        SessionsPreviewResult::new(now, previews)
    }

    fn preview(&self, raw: &str, measure: Measure) -> SessionsPreviewEntry {
        let key = self.key(raw);
        let read = self.read(|reader| {
            let known = entry::load(reader, &key)?;
            match known.filter(|known| !known.session_id.is_empty()) {
                None => Ok((SessionPreviewStatus::Missing, Vec::new())),
                Some(known) => {
                    let items = items(reader, &known.session_id, measure)?;
                    let status = if items.is_empty() {
                        SessionPreviewStatus::Empty
                    } else {
                        SessionPreviewStatus::Ok
                    };
                    Ok((status, items))
                }
            }
        });
        let (status, items) = read.unwrap_or_else(|error| {
            tracing::error!(%error, "a preview could not be read");
            (SessionPreviewStatus::Error, Vec::new())
        });
        SessionsPreviewEntry::new(raw.to_owned(), status, items)
    }
}

/// The last items of a transcript, oldest first. Looks back for a few KiB, and further only while it has found nothing.
fn items(
    reader: &Reader<'_>,
    session_id: &str,
    measure: Measure,
) -> Result<Vec<SessionPreviewItem>, StoreError> {
    let (mut found, mut bytes, mut lines) = (Vec::new(), 0, 0);
    transcript::back(reader, session_id, |message| {
        bytes += message.get().len() as u64;
        lines += 1;
        let budget = if found.is_empty() {
            limits::PREVIEW_READ_MOST_BYTES
        } else {
            limits::PREVIEW_READ_BYTES
        };
        if bytes > budget || lines > limits::PREVIEW_READ_LINES {
            return ControlFlow::Break(());
        }
        if let Ok(message) = serde_json::from_str(message.get()) {
            found.extend(item(&message, measure.chars));
        }
        if found.len() == measure.items {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })?;
    found.reverse();
    Ok(found)
}

/// A message as a preview shows it; none for one that says nothing.
fn item(message: &Value, chars: usize) -> Option<SessionPreviewItem> {
    let role = match role_of(message) {
        "user" => SessionPreviewRole::User,
        "assistant" => SessionPreviewRole::Assistant,
        "system" => SessionPreviewRole::System,
        "toolResult" | "tool" => SessionPreviewRole::Tool,
        _ => SessionPreviewRole::Other,
    };
    let words = text_of(message);
    let said = match role {
        // The line that names a chat turn stays, but alone it says nothing.
        SessionPreviewRole::User if envelope::strip(&words).trim().is_empty() => "",
        SessionPreviewRole::User => envelope::strip_head(&words).trim(),
        _ => words.trim(),
    };
    if !said.is_empty() {
        return Some(SessionPreviewItem::new(role, cut(said, chars)));
    }
    if let Some(calls) = calls(message) {
        return Some(SessionPreviewItem::new(
            SessionPreviewRole::Tool,
            cut(&calls, chars),
        ));
    }
    let kind = parts(message)
        .filter_map(|part| part.get("type").and_then(Value::as_str))
        .find(|kind| *kind != "text")?;
    Some(SessionPreviewItem::new(
        role,
        cut(&format!("[{kind}]"), chars),
    ))
}

fn parts(message: &Value) -> impl Iterator<Item = &Value> {
    let parts = message.get("content").and_then(Value::as_array);
    parts.into_iter().flatten()
}

/// `call read, exec +1` for a message of tool calls.
fn calls(message: &Value) -> Option<String> {
    let names: Vec<&str> = parts(message)
        .filter(|part| part.get("type").and_then(Value::as_str) == Some("toolCall"))
        .filter_map(|part| part.get("name").and_then(Value::as_str))
        .collect();
    let shown = names.get(..SHOWN_TOOLS).unwrap_or(&names);
    let others = names.len() - shown.len();
    (!shown.is_empty()).then(|| match others {
        0 => format!("call {}", shown.join(", ")),
        others => format!("call {} +{others}", shown.join(", ")),
    })
}

/// At most `chars` characters, the mark of the cut included.
fn cut(words: &str, chars: usize) -> String {
    if words.chars().count() <= chars {
        return words.to_owned();
    }
    let kept = chars.saturating_sub(texts::PREVIEW_CUT.chars().count());
    let head: String = words.chars().take(kept).collect();
    format!("{}{}", head.trim_end(), texts::PREVIEW_CUT)
}

#[cfg(test)]
mod tests {
    use super::super::open_in;
    use super::*;
    use serde_json::json;

    #[test]
    fn messages_in_a_line() {
        let check = |message: Value, shown: Option<(SessionPreviewRole, &str)>| {
            let item = item(&message, 20).map(|item| (item.role, item.text));
            let shown = shown.map(|(role, text)| (role, text.to_owned()));
            assert_eq!(item, shown, "{message}");
        };
        use SessionPreviewRole::{Assistant, Other, System, Tool, User};
        let call = |name: &str| json!({"type": "toolCall", "name": name});
        check(
            json!({"role": "user", "content": "[WebChat] hi\n[message_id: c-1]"}),
            Some((User, "hi\n[message_id: c-1]")),
        );
        check(
            json!({"role": "user", "content": "four\n[message_id: c-1]"}),
            Some((User, "four\n[message_id:...")),
        );
        check(
            json!({"role": "user", "content": "just seventeen ch\n[message_id: c-1]"}),
            Some((User, "just seventeen ch...")),
        );
        check(
            json!({"role": "user", "content": [{"type": "text", "text": "\n[message_id: c-1]"}, {"type": "image", "data": "x"}]}),
            Some((User, "[image]")),
        );
        check(
            json!({"role": "user", "content": "preview these words please"}),
            Some((User, "preview these wor...")),
        );
        check(
            json!({"role": "assistant", "content": "12345678901234567890"}),
            Some((Assistant, "12345678901234567890")),
        );
        check(
            json!({"role": "assistant", "content": "1234567890123456 8901"}),
            Some((Assistant, "1234567890123456...")),
        );
        check(
            json!({"role": "assistant", "content": [call("read")]}),
            Some((Tool, "call read")),
        );
        check(
            json!({"role": "assistant", "content": [call("read"), call("exec"), call("x")]}),
            Some((Tool, "call read, exec +1")),
        );
        check(
            json!({"role": "toolResult", "content": [{"type": "text", "text": "out"}]}),
            Some((Tool, "out")),
        );
        check(
            json!({"role": "user", "content": [{"type": "image", "data": "x"}]}),
            Some((User, "[image]")),
        );
        check(
            json!({"role": "system", "content": "s"}),
            Some((System, "s")),
        );
        check(
            json!({"role": "custom", "content": "s"}),
            Some((Other, "s")),
        );
        check(json!({"role": "assistant", "content": []}), None);
        check(json!({"content": []}), None);
    }

    #[tokio::test]
    async fn several_sessions() {
        let dir = tempfile::tempdir().unwrap();
        let sessions = open_in(dir.path());
        let (main, lab) = (sessions.key("main"), sessions.key("lab"));
        let write = sessions.write(move |changes| {
            let mut entry = crate::sessions::Entry::new(1);
            changes.put_entry(&lab, &entry)?;
            entry.session_id = "m".into();
            changes.put_entry(&main, &entry)?;
            for n in 0..60 {
                changes.append("m", &json!({"role": "user", "content": n.to_string()}))?;
            }
            Ok(())
        });
        write.await.unwrap();
        let ask = |params: Value| {
            let params = serde_json::from_value(params).unwrap();
            json!(sessions.previews(&params, 5))
        };
        let some = ask(json!({"keys": [" main ", "agent:main:lab", " ", "none"], "limit": 2}));
        let words = json!([{"role": "user", "text": "58"}, {"role": "user", "text": "59"}]);
        assert_eq!(
            some,
            json!({"ts": 5, "previews": [
                {"key": "main", "status": "ok", "items": words},
                {"key": "agent:main:lab", "status": "empty", "items": []},
                {"key": "none", "status": "missing", "items": []}
            ]})
        );
        for (limit, shown) in [(None, 12), (Some(50), 50), (Some(51), 50), (Some(1), 1)] {
            let mut params = json!({"keys": ["main"]});
            if let Some(limit) = limit {
                params["limit"] = json!(limit);
            }
            let items = ask(params)["previews"][0]["items"]
                .as_array()
                .unwrap()
                .len();
            assert_eq!(items, shown, "{limit:?}");
        }
        for (asked, answered) in [(64, 64), (65, 64)] {
            let keys: Vec<&str> = std::iter::repeat_n("main", asked).collect();
            let previews = ask(json!({"keys": keys}));
            assert_eq!(previews["previews"].as_array().unwrap().len(), answered);
        }
    }

    #[tokio::test]
    async fn what_is_read_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let sessions = open_in(dir.path());
        let main = sessions.key("main");
        let pad = "x".repeat(usize::try_from(limits::PREVIEW_READ_BYTES).unwrap());
        let write = sessions.write(move |changes| {
            let mut entry = crate::sessions::Entry::new(1);
            entry.session_id = "m".into();
            changes.put_entry(&main, &entry)?;
            changes.append("m", &json!({"role": "user", "content": "far"}))?;
            changes.append("m", &json!({"role": "user", "content": "near", "pad": pad}))?;
            for _ in 0..3 {
                changes.append(
                    "m",
                    &json!({"role": "assistant", "content": [], "pad": pad}),
                )?;
            }
            Ok(())
        });
        write.await.unwrap();
        let params = serde_json::from_value(json!({"keys": ["main"]})).unwrap();
        let shown = json!(sessions.previews(&params, 5));
        assert_eq!(
            shown["previews"][0]["items"],
            json!([{"role": "user", "text": "near"}])
        );
    }
}
