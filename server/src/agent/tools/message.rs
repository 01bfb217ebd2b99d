//! `message`: words to a person, through a channel. They go the way of every message, through the outbox.

use std::sync::atomic::Ordering;

use openclaw_protocol::types::OutboxOrigin;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Output, Toolbox, arguments};
use crate::outbox::{Order, Replied, ReplyError, Wish, Words};

/// Messages that one run may send. Nobody wants more of one answer, and a model that goes in a circle is stopped.
const MAX_MESSAGES: u64 = 20;
/// Longest message, in bytes: channels cut what is longer into many.
const MAX_TEXT: usize = 16 * 1024;

#[derive(Deserialize)]
struct Message {
    message: String,
    #[serde(default)]
    channel: Option<String>,
    /// Models that know other gateways write `target`.
    #[serde(default, alias = "target")]
    to: Option<String>,
    #[serde(default)]
    media: Option<String>,
}

/// Sends a message and waits until its channel has it.
pub(super) async fn send(tools: &Toolbox, arguments: &Value) -> Output {
    let asked: Message = match arguments::read(arguments) {
        Ok(asked) => asked,
        Err(output) => return output,
    };
    let text = asked.message.trim();
    if text.is_empty() {
        return Output::bad("The message is empty.");
    }
    if text.len() > MAX_TEXT {
        return Output::bad(format!(
            "The message is too long: {} bytes, of at most {MAX_TEXT}.",
            text.len()
        ));
    }
    let parts = tools.runs.parts();
    if let Err(error) = parts.check_send_policy(&tools.session) {
        return Output::bad(error.message);
    }
    // Counted, because models may use the id of a call again.
    let number = tools.messages.fetch_add(1, Ordering::Relaxed);
    if number >= MAX_MESSAGES {
        return Output::bad(format!(
            "Not sent: one turn may send {MAX_MESSAGES} messages."
        ));
    }
    let media = asked.media.filter(|media| !media.trim().is_empty());
    let order = Order {
        origin: OutboxOrigin::Agent,
        key: format!("{}:{number}", tools.run_id),
        wish: Wish {
            channel: asked.channel,
            to: asked.to,
            account_id: None,
        },
        session: tools.session.canonical().to_owned(),
        // It is no part of the answer, which the conversation has anyway.
        stands_in: None,
    };
    let words = Words {
        text: text.to_owned(),
        media: media.into_iter().collect(),
    };
    match parts.outbox.reply(&order, words).await {
        Ok(Replied::Sent {
            channel,
            to,
            message_id,
        }) => Output::good(
            json!({"sent": true, "channel": channel, "to": to, "messageId": message_id})
                .to_string(),
        ),
        Ok(Replied::Here) => Output::bad(
            "Not sent: this conversation is where it would be read. Say it in your answer.",
        ),
        Err(error @ ReplyError::Unsupported(_)) => Output::bad(format!(
            "Not sent: {error}. There are: {}.",
            parts.outbox.channels().join(", ")
        )),
        Err(error) => Output::bad(format!("Not sent: {error}.")),
    }
}
