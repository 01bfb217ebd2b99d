//! `chat.history`: the end of a transcript as clients see it (contract 6.7).

use openclaw_protocol::protocol::limits;
use openclaw_protocol::types::{ChatMessage, ChatPart};
use serde_json::value::RawValue;

use super::{Entry, SessionKey, Sessions, entry, envelope, message, transcript};
use crate::store::StoreError;

/// Largest JSON array of messages that is shown; older ones are left out.
const MAX_BYTES: usize = limits::HISTORY_BYTES as usize;

/// What is shown of a session.
pub struct History {
    /// Its entry; none for an unknown session.
    pub entry: Option<Entry>,
    /// Its last messages, oldest first.
    pub messages: Vec<ChatMessage>,
}

impl Sessions {
    /// The last `limit` messages of a session, at most 6 MiB of them, user words without their envelopes.
    ///
    /// # Errors
    /// Whatever the store says.
    pub fn history(&self, key: &SessionKey, limit: usize) -> Result<History, StoreError> {
        self.read(|reader| {
            let entry = entry::load(reader, key)?;
            let messages = match &entry {
                Some(entry) => {
                    transcript::tail(reader, &entry.session_id, limit, MAX_BYTES, shown)?
                }
                None => Vec::new(),
            };
            Ok(History { entry, messages })
        })
    }
}

/// A message as it is shown; none for a record that is no message.
fn shown(text: &RawValue) -> Option<ChatMessage> {
    let mut shown: ChatMessage = match serde_json::from_str(text.get()) {
        Ok(message) => message,
        Err(_) => with_parts(text)?,
    };
    if shown.role == message::COMPACTION {
        return None;
    }
    if shown.role == "user" {
        for text in shown
            .content
            .iter_mut()
            .filter(|part| part.type_ == "text")
            .filter_map(|part| part.text.as_mut())
        {
            *text = envelope::strip(text);
        }
    }
    Some(shown)
}

/// A message whose content is one text, as other releases wrote it.
fn with_parts(text: &RawValue) -> Option<ChatMessage> {
    let mut value: serde_json::Value = serde_json::from_str(text.get()).ok()?;
    let part = ChatPart {
        text: Some(message::text_of(&value)),
        ..ChatPart::new("text".to_owned())
    };
    *value.get_mut("content")? = serde_json::to_value([part]).ok()?;
    serde_json::from_value(value).ok()
}

#[cfg(test)]
mod tests {
    use super::super::open_in;
    use super::*;
    use serde_json::{Value, json};

    #[tokio::test]
    async fn history_of_a_session() {
        let dir = tempfile::tempdir().unwrap();
        let sessions = open_in(dir.path());
        let key = sessions.key("agent:main:Upper");
        let unknown = sessions.history(&key, 5).unwrap();
        assert!(unknown.entry.is_none() && unknown.messages.is_empty());
        let written = vec![
            json!({"role": "user", "content": [{"type": "text", "text": "[WebChat] one\n[message_id: c-1]"}, {"type": "image", "data": "[x]"}]}),
            json!({"role": "assistant", "content": [{"type": "text", "text": "[WebChat] kept"}]}),
            json!({"role": message::COMPACTION, "content": [{"type": "text", "text": "a summary"}], "kept": 1}),
            json!({"role": "user", "content": "[Ann 2026-01-28 10:00] two"}),
        ];
        let (stored_key, messages) = (key.clone(), written.clone());
        let write = sessions.write(move |changes| {
            changes.put_entry(
                &stored_key,
                &Entry {
                    session_id: "s".into(),
                    ..Entry::default()
                },
            )?;
            for message in &messages {
                changes.append("s", message)?;
            }
            Ok(())
        });
        write.await.unwrap();
        let shown = |limit: usize| -> Vec<Value> {
            let history = sessions.history(&sessions.key("upper"), limit).unwrap();
            history
                .messages
                .iter()
                .map(|message| serde_json::to_value(message).unwrap())
                .collect()
        };
        let first = json!({"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "image", "data": "[x]"}]});
        let last = json!({"role": "user", "content": [{"type": "text", "text": "two"}]});
        assert_eq!(shown(5), [first, written[1].clone(), last.clone()]);
        assert_eq!(shown(1), [last]);
    }

    #[tokio::test]
    async fn the_oldest_go_beyond_six_mebibytes() {
        let dir = tempfile::tempdir().unwrap();
        let sessions = open_in(dir.path());
        let key = sessions.key("main");
        let text =
            |text: String| json!({"role": "user", "content": [{"type": "text", "text": text}]});
        // An array of two messages has brackets and a comma.
        let room = MAX_BYTES - 3 - 2 * text(String::new()).to_string().len();
        let stored_key = key.clone();
        let write = sessions.write(move |changes| {
            changes.put_entry(
                &stored_key,
                &Entry {
                    session_id: "s".into(),
                    ..Entry::default()
                },
            )?;
            changes.append("s", &text("x".repeat(room / 2)))?;
            changes.append("s", &text("y".repeat(room - room / 2)))
        });
        write.await.unwrap();
        let all = sessions.history(&key, 5).unwrap().messages;
        assert_eq!(
            (all.len(), serde_json::to_vec(&all).unwrap().len()),
            (2, MAX_BYTES)
        );
        sessions
            .write(move |changes| changes.append("s", &text(String::new())))
            .await
            .unwrap();
        let messages = sessions.history(&key, 5).unwrap().messages;
        assert_eq!(messages.len(), 2);
        assert!(
            messages[0].content[0]
                .text
                .as_ref()
                .unwrap()
                .starts_with('y')
        );
    }
}
