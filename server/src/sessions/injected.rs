//! Messages in an agent's name that no model made: as transcripts keep them, and the event that shows one.
//!
//! `chat.inject` writes them, answers to slash commands are such, and the outbox puts what is sent to a conversation over
//! this protocol into it.

use openclaw_protocol::events::Event;
use openclaw_protocol::protocol::texts;
use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::types::{ChatEvent, ChatMessage, ChatPart, ChatState, ChatUsage};

/// Characters of an id that names such a message.
pub(crate) const ID_CHARS: usize = 8;

/// Words of an agent as clients are shown them, said at `ts` (ms).
pub(crate) fn said(text: &str, ts: u64) -> ChatMessage {
    let part = ChatPart {
        text: Some(text.to_owned()),
        ..ChatPart::new("text".to_owned())
    };
    ChatMessage {
        timestamp: Some(ts),
        ..ChatMessage::new("assistant".to_owned(), vec![part])
    }
}

/// The message, as of `ts` (ms).
pub(crate) fn message(text: &str, ts: u64) -> ChatMessage {
    ChatMessage {
        stop_reason: Some(texts::INJECTED_STOP_REASON.to_owned()),
        usage: Some(ChatUsage::new(0, 0, 0)),
        ..said(text, ts)
    }
}

/// The event that shows the message named `id`; `session_key` in the spelling that clients are to see.
pub(crate) fn event(id: &str, session_key: &str, message: ChatMessage) -> Event {
    let run_id = format!("{}{id}", texts::INJECTED_RUN_PREFIX);
    Event::Chat(ChatEvent {
        message: Some(message),
        ..ChatEvent::new(
            NonEmptyString::or(run_id, "inject"),
            NonEmptyString::or(session_key, "main"),
            0,
            ChatState::Final,
        )
    })
}
