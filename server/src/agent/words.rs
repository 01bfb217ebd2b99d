//! Words with a meaning of their own: stop words, thinking levels, channel names (contract 6.6, 6.7; methods.md 5).

/// A whole message that means "stop what you are doing" (contract 6.7).
const STOP_WORDS: [&str; 7] = ["/stop", "stop", "esc", "abort", "wait", "exit", "interrupt"];

/// Whether a message asks for the session's runs to be aborted instead of being answered.
pub(super) fn is_stop(message: &str) -> bool {
    let message = message.trim().to_lowercase();
    STOP_WORDS.contains(&message.as_str())
}

/// How long a model thinks before it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thinking {
    /// Not at all.
    Off,
    /// The least that a reasoning model can.
    Minimal,
    /// A little.
    Low,
    /// Some.
    Medium,
    /// Much.
    High,
    /// As much as it can; few models know it.
    XHigh,
}

impl Thinking {
    /// The level that a word means, in any case; `None` for a word that is no level.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word.trim().to_lowercase().as_str() {
            "off" => Self::Off,
            "minimal" | "min" => Self::Minimal,
            "low" | "on" | "enable" | "enabled" | "thinkhard" | "think-hard" | "think_hard" => {
                Self::Low
            }
            "medium" | "mid" | "med" | "thinkharder" | "think-harder" | "harder" => Self::Medium,
            "high" | "ultra" | "ultrathink" | "thinkhardest" | "highest" | "max" => Self::High,
            "xhigh" => Self::XHigh,
            _ => return None,
        })
    }

    /// The word that is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::XHigh => "xhigh",
        }
    }

    /// Refusal of a word that is no level.
    pub fn refusal(word: &str) -> String {
        format!("Error: invalid thinking level \"{word}\" (use off|minimal|low|medium|high|xhigh)")
    }
}

/// Channels that a request may name although none is connected: clients send their default with every call.
const CHANNELS: [&str; 8] = [
    "whatsapp",
    "telegram",
    "discord",
    "googlechat",
    "slack",
    "signal",
    "imessage",
    "webchat",
];
/// Stands for the channel that was used last.
const LAST_CHANNEL: &str = "last";

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
    fn thinking_words() {
        for (word, level) in [
            ("off", Some("off")),
            (" High ", Some("high")),
            ("ultrathink", Some("high")),
            ("think_hard", Some("low")),
            ("harder", Some("medium")),
            ("min", Some("minimal")),
            ("xhigh", Some("xhigh")),
            ("", None),
            ("very", None),
        ] {
            assert_eq!(
                Thinking::parse(word).map(Thinking::as_str),
                level,
                "{word:?}"
            );
        }
        for level in [
            Thinking::Off,
            Thinking::Minimal,
            Thinking::Low,
            Thinking::Medium,
            Thinking::High,
            Thinking::XHigh,
        ] {
            assert_eq!(Thinking::parse(level.as_str()), Some(level));
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
