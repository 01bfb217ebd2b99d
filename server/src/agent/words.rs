//! Words with a meaning of their own: stop words and channel names (contract 6.6, 6.7; methods.md 5).

use openclaw_protocol::protocol::texts;

pub use crate::sessions::levels::Thinking;

/// A whole message that means "stop what you are doing" (contract 6.7).
const STOP_WORDS: [&str; 7] = ["/stop", "stop", "esc", "abort", "wait", "exit", "interrupt"];

/// Whether a message asks for the session's runs to be aborted instead of being answered.
pub(super) fn is_stop(message: &str) -> bool {
    let message = message.trim().to_lowercase();
    STOP_WORDS.contains(&message.as_str())
}

/// Channels that a request may name although none is connected: clients send their default with every call.
pub(crate) const CHANNELS: [&str; 8] = [
    "whatsapp",
    "telegram",
    "discord",
    "googlechat",
    "slack",
    "signal",
    "imessage",
    texts::WEBCHAT_CHANNEL,
];
/// Stands for the channel that was used last.
pub(crate) const LAST_CHANNEL: &str = "last";

/// Whether `channel` (or `replyChannel`) of an `agent` call names something this gateway knows. Blank means absent.
#[must_use]
pub fn is_known_channel(name: &str) -> bool {
    let name = name.trim().to_lowercase();
    name.is_empty() || name == LAST_CHANNEL || CHANNELS.contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stop_words_are_whole_messages() {
        for (message, stops) in [
            ("stop", true),
            ("  STOP\n", true),
            ("/stop", true),
            ("esc", true),
            ("Abort", true),
            ("wait", true),
            ("exit", true),
            ("interrupt", true),
            ("stop it", false),
            ("stop.", false),
            ("//stop", false),
            ("", false),
        ] {
            assert_eq!(is_stop(message), stops, "{message:?}");
        }
    }

    #[test]
    fn channel_names() {
        for (name, known) in [
            ("whatsapp", true),
            ("Telegram", true),
            ("last", true),
            ("webchat", true),
            (" ", true),
            ("carrier-pigeon", false),
            ("smoke", false),
        ] {
            assert_eq!(is_known_channel(name), known, "{name:?}");
        }
    }
}
