//! Slash commands: what a person types to a conversation instead of to its agent (contract 6.7).
//!
//! [`parse`] is pure and knows only words. [`carry`] applies a command to the session and answers in one write;
//! [`replies`] holds the words of the answers. A slash word that is none of ours goes to the model like any other text.
//!
//! Called by `chat` and `requests`, which read a message, and by `turn`, which carries it.

mod carry;
mod replies;

use super::backend::Usage;
use super::models::Choice;
use crate::sessions::Entry;
use crate::sessions::levels::Thinking;

/// What a message with a slash word comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Answered here; no model is asked.
    Command(Command),
    /// A turn of the model.
    Turn(AskedTurn),
}

/// A turn that a command asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AskedTurn {
    /// The conversation begins anew first.
    pub(super) anew: bool,
    /// Thinking level of this turn only.
    pub(super) thinking: Option<Thinking>,
    /// What the model is told.
    pub(super) text: String,
}

/// A command that is answered here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    /// What commands there are.
    Help,
    /// How the conversation is set and what it has used.
    Status,
    /// Shows or sets the thinking level.
    Think(Option<String>),
    /// Shows or sets how much of tool use is shown.
    Verbose(Option<String>),
    /// Shows or sets the model.
    Model(Option<String>),
    /// Shows what was used, or sets whether replies show it.
    Usage(Option<String>),
    /// Cuts the transcript, to a number of messages if one is given.
    Compact(Option<String>),
    /// Calls off the conversation's runs.
    Stop,
}

impl Command {
    /// Whether it waits for the runs before it. The others answer at once, even while a run is under way: who asks for
    /// the status of a run that hangs does not want to wait for its end.
    pub(super) fn waits(&self) -> bool {
        matches!(self, Self::Compact(_))
    }
}

/// What a job is to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Task {
    /// A turn of the model.
    #[default]
    Turn,
    /// A turn of the model in a conversation that begins anew.
    TurnAnew,
    /// A command.
    Command(Command),
}

impl Task {
    /// A turn, in a conversation that begins anew or not.
    pub(super) fn of_turn(anew: bool) -> Self {
        if anew { Self::TurnAnew } else { Self::Turn }
    }
}

/// Whether a session's replies show what they used (`responseUsage`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UsageLines {
    /// Not at all.
    Off,
    /// Tokens.
    Tokens,
    /// Tokens, cost and model.
    Full,
}

impl UsageLines {
    /// What the session says.
    pub(super) fn of(entry: &Entry) -> Self {
        match entry.response_usage.as_deref() {
            Some("full") => Self::Full,
            // `on` is what older releases stored.
            Some("tokens" | "on") => Self::Tokens,
            _ => Self::Off,
        }
    }

    /// The reply, trimmed, with its line under it. The transcript keeps the reply alone.
    pub(super) fn under(self, reply: &str, usage: &Usage, choice: &Choice) -> String {
        let reply = reply.trim();
        if self == Self::Off || reply.is_empty() {
            return reply.to_owned();
        }
        let line = replies::usage_line(self == Self::Full, usage, choice);
        format!("{reply}\n\n{line}")
    }
}

/// What the command in a message means; none for a message without one.
pub(super) fn parse(message: &str) -> Option<Meaning> {
    let rest = message.trim().strip_prefix('/')?;
    let (word, rest) = rest
        .split_once(|c: char| c.is_whitespace() || c == ':')
        .unwrap_or((rest, ""));
    let rest = rest.trim();
    let mut words = rest.split_whitespace();
    let (first, is_one) = (words.next().map(str::to_owned), words.next().is_none());
    let command = match word.to_lowercase().as_str() {
        "help" | "commands" if rest.is_empty() => Command::Help,
        "status" if rest.is_empty() => Command::Status,
        "stop" if rest.is_empty() => Command::Stop,
        "think" | "thinking" | "t" if is_one => Command::Think(first),
        "think" | "thinking" | "t" => return one_turn(rest),
        "verbose" | "v" if is_one => Command::Verbose(first),
        "model" if is_one => Command::Model(first),
        "usage" if is_one => Command::Usage(first),
        "compact" => Command::Compact((!rest.is_empty()).then(|| rest.to_owned())),
        "new" | "reset" => {
            let text = if rest.is_empty() {
                replies::GREETING
            } else {
                rest
            };
            return Some(Meaning::Turn(AskedTurn {
                anew: true,
                thinking: None,
                text: text.to_owned(),
            }));
        }
        _ => return None,
    };
    Some(Meaning::Command(command))
}

/// `/think high do this`: a level for one turn, if the first word is a level.
fn one_turn(rest: &str) -> Option<Meaning> {
    let (level, text) = rest.split_once(char::is_whitespace)?;
    Some(Meaning::Turn(AskedTurn {
        anew: false,
        thinking: Some(Thinking::parse(level)?),
        text: text.trim().to_owned(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_with_a_slash() {
        let arg = |word: &str| Some(word.to_owned());
        let turn = |anew, thinking, text: &str| {
            Some(Meaning::Turn(AskedTurn {
                anew,
                thinking,
                text: text.to_owned(),
            }))
        };
        let command = |command| Some(Meaning::Command(command));
        for (message, meaning) in [
            ("/help", command(Command::Help)),
            ("  /HELP\n", command(Command::Help)),
            ("/commands", command(Command::Help)),
            ("/help me with this", None),
            ("/status", command(Command::Status)),
            ("/status of what", None),
            ("/stop", command(Command::Stop)),
            ("/stop that", None),
            ("/think", command(Command::Think(None))),
            ("/think low", command(Command::Think(arg("low")))),
            ("/think: low", command(Command::Think(arg("low")))),
            ("/t High", command(Command::Think(arg("High")))),
            ("/think sideways", command(Command::Think(arg("sideways")))),
            (
                "/think high solve\nthis",
                turn(false, Some(Thinking::High), "solve\nthis"),
            ),
            ("/think about this", None),
            ("/verbose", command(Command::Verbose(None))),
            ("/v on", command(Command::Verbose(arg("on")))),
            ("/verbose on please", None),
            (
                "/model mock/echo-2",
                command(Command::Model(arg("mock/echo-2"))),
            ),
            ("/model", command(Command::Model(None))),
            ("/usage tokens", command(Command::Usage(arg("tokens")))),
            ("/compact", command(Command::Compact(None))),
            ("/compact 20", command(Command::Compact(arg("20")))),
            (
                "/compact the long part",
                command(Command::Compact(arg("the long part"))),
            ),
            ("/new", turn(true, None, replies::GREETING)),
            ("/Reset", turn(true, None, replies::GREETING)),
            ("/new write a poem", turn(true, None, "write a poem")),
            ("/newest", None),
            ("/unknown", None),
            ("/", None),
            ("/etc/passwd", None),
            ("say /help", None),
            ("help", None),
            ("", None),
        ] {
            assert_eq!(parse(message), meaning, "{message:?}");
        }
    }
}
