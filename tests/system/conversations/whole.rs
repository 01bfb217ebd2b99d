//! Whether a conversation is whole, as its history shows it.

use serde_json::Value;

/// What the words of messages that were sent to a conversation begin with: they may stand anywhere.
pub(super) const SENT: &str = "sent ";

/// Every message is one; each call of a tool has its result before anything else is said; each user's words have one end.
pub(super) fn check(session: &str, messages: &[Value]) {
    let (mut open, mut has_end) = (Vec::new(), true);
    for message in messages {
        let trouble = match message["role"].as_str() {
            Some("user") if !has_end => Some("the words before have no end"),
            Some("user") => {
                has_end = false;
                None
            }
            Some("assistant") if text(message).starts_with(SENT) => None,
            Some("assistant") if message["stopReason"] == "toolUse" => {
                let parts = message["content"].as_array().into_iter().flatten();
                let calls = parts.filter(|part| part["type"] == "toolCall");
                open.extend(calls.map(|call| call["id"].as_str().expect("an id")));
                None
            }
            Some("assistant") if has_end || !open.is_empty() => Some("an end too many"),
            Some("assistant") => {
                has_end = true;
                None
            }
            Some("toolResult") => {
                let id = message["toolCallId"].as_str();
                let at = open.iter().position(|call| Some(*call) == id);
                at.map(|at| open.remove(at));
                at.is_none().then_some("a result without a call")
            }
            _ => Some("an unknown role"),
        };
        assert_eq!(trouble, None, "{session}: at {message} in {messages:#?}");
    }
    assert!(
        has_end && open.is_empty(),
        "{session}: no end of {messages:#?}"
    );
}

/// The first text of a message.
pub(super) fn text(message: &Value) -> &str {
    message["content"][0]["text"].as_str().unwrap_or_default()
}

/// How many messages of a role hold these words.
pub(super) fn count(messages: &[Value], role: &str, words: &str) -> usize {
    let of_role = messages.iter().filter(|message| message["role"] == role);
    of_role
        .filter(|message| text(message).contains(words))
        .count()
}
