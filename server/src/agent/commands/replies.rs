//! The words in which commands answer, and what a model is told when a conversation begins anew.

use std::fmt::Write as _;

use super::super::backend::Usage;
use super::super::models::Choice;
use crate::sessions::Compacted;
use crate::sessions::levels::Thinking;

/// What the model is told after `/new` without further words.
pub(super) const GREETING: &str = "The user has just begun a new conversation. Greet them in a sentence or two and ask what they would like to do.";

/// Models that a list shows; who has more configured knows their names.
const LISTED_MODELS: usize = 40;

/// The answer to `/help`.
pub(super) fn help() -> String {
    let rows = [
        (
            "/new [message]",
            "begin a new conversation with the same settings (also /reset)",
        ),
        ("/stop", "stop what is under way"),
        ("/status", "show settings and use of this conversation"),
        (
            "/model [provider/model]",
            "show or choose the model; /model default goes back",
        ),
        (
            "/think [level] [message]",
            "show or set how long the model thinks, or set it for one message",
        ),
        (
            "/verbose [on|off|full]",
            "show or set whether tool use is shown",
        ),
        (
            "/usage [off|tokens|full]",
            "show what was used, or show it under each reply",
        ),
        (
            "/compact [number]",
            "keep only the last messages; the whole is archived",
        ),
        ("/help", "show this list"),
    ];
    let mut text = "Commands:".to_owned();
    for (command, what) in rows {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n{command} - {what}");
    }
    text.push_str("\nEverything else goes to the agent.");
    text
}

/// What `/status` shows.
pub(super) struct Status<'a> {
    pub(super) key: &'a str,
    pub(super) choice: &'a Choice,
    /// Whether the session has chosen its model.
    pub(super) is_chosen: bool,
    pub(super) thinking: Thinking,
    pub(super) verbose: &'a str,
    /// Messages of the transcript.
    pub(super) messages: u64,
    pub(super) spent: Spent,
    /// Runs of the conversation that are under way or waiting.
    pub(super) runs: usize,
}

impl Status<'_> {
    /// The answer.
    pub(super) fn text(&self) -> String {
        let Self {
            key,
            choice,
            thinking,
            verbose,
            messages,
            spent,
            runs,
            is_chosen,
        } = self;
        let whose = if *is_chosen {
            "chosen for this conversation"
        } else {
            "the default"
        };
        let runs = match runs {
            0 => "nothing is under way".to_owned(),
            1 => "1 run is under way".to_owned(),
            more => format!("{more} runs are under way or waiting"),
        };
        format!(
            "Conversation: {key} ({messages} messages)\nModel: {}/{} ({whose})\nThinking: {}, verbose: {verbose}\n{}\nNow: {runs}",
            choice.provider,
            choice.model,
            thinking.as_str(),
            spent.text(),
        )
    }
}

/// Tokens of a conversation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Spent {
    pub(super) input: Option<u64>,
    pub(super) output: Option<u64>,
    /// In the window.
    pub(super) context: Option<u64>,
    /// Size of the window.
    pub(super) window: u64,
}

impl Spent {
    /// The answer to `/usage`.
    pub(super) fn text(&self) -> String {
        let last = match (self.input, self.output) {
            (None | Some(0), None | Some(0)) => "Last turn: none counted".to_owned(),
            (input, output) => format!(
                "Last turn: {} tokens in, {} out",
                input.unwrap_or(0),
                output.unwrap_or(0)
            ),
        };
        match self.context {
            None | Some(0) => format!("{last}; window of {} tokens", self.window),
            Some(used) => {
                let share = used.saturating_mul(100) / self.window.max(1);
                format!(
                    "{last}; {used} of {} tokens in the window ({share} %)",
                    self.window
                )
            }
        }
    }
}

/// The line under a reply.
pub(super) fn usage_line(is_full: bool, usage: &Usage, choice: &Choice) -> String {
    let tokens = format!("Usage: {} in / {} out", usage.input, usage.output);
    if !is_full {
        return tokens;
    }
    let price = choice.price(usage);
    let cost = price.map_or_else(String::new, |price| format!(", cost {:.4}", price.total()));
    let cached = match usage.cache_read {
        0 => String::new(),
        cached => format!(" / {cached} cached"),
    };
    format!(
        "{tokens}{cached}{cost}, {}/{}",
        choice.provider, choice.model
    )
}

/// After the thinking level was set. `now` is what counts: an unset level is that of the configuration.
pub(super) fn thinking_set(asked: Thinking, now: Thinking) -> String {
    if asked == now {
        format!("Thinking level set to {}.", asked.as_str())
    } else {
        format!(
            "This conversation has no thinking level of its own now; the configured one is {}.",
            now.as_str()
        )
    }
}

/// The thinking level as it is.
pub(super) fn thinking(now: Thinking) -> String {
    format!(
        "Thinking level: {}. Choose one with /think off|minimal|low|medium|high.",
        now.as_str()
    )
}

/// Tool use as it is shown.
pub(super) fn verbose(now: &str) -> String {
    format!("Verbose: {now}. Choose with /verbose on|off|full.")
}

/// A word that a command does not know.
pub(super) fn unknown_word(said: &str, words: &str) -> String {
    format!("\"{said}\" is none of {words}; nothing was changed.")
}

/// The model as it is, and which there are.
pub(super) fn model(now: &Choice, others: &[String]) -> String {
    let mut text = format!(
        "Model: {}/{}. Choose another with /model provider/model.",
        now.provider, now.model
    );
    if !others.is_empty() {
        text.push_str("\nConfigured:");
    }
    for name in others.iter().take(LISTED_MODELS) {
        let _ = write!(text, "\n{name}");
    }
    if others.len() > LISTED_MODELS {
        let _ = write!(text, "\nand {} more", others.len() - LISTED_MODELS);
    }
    text
}

/// After the transcript was cut.
pub(super) fn compacted(outcome: &Compacted) -> String {
    match outcome {
        Compacted::NoSession | Compacted::NoTranscript => "Nothing was said here yet.".to_owned(),
        Compacted::Short { messages, .. } => {
            format!("Nothing to cut: there are {messages} messages.")
        }
        Compacted::Cut { kept, whole } => format!(
            "Cut to the last {kept} messages. The whole is archived as {}.",
            whole.name
        ),
    }
}

/// After runs were called off.
pub(super) fn stopped(runs: usize) -> String {
    match runs {
        0 => "Nothing was under way.".to_owned(),
        1 => "Stopped 1 run.".to_owned(),
        more => format!("Stopped {more} runs."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Cost;

    fn choice() -> Choice {
        Choice {
            provider: "mock".into(),
            model: "echo-1".into(),
            api: "openai-completions",
            context_tokens: 1000,
            reasoning: false,
            images: false,
            max_tokens: None,
            cost: Some(Cost {
                input: 10_000.0,
                ..Cost::default()
            }),
        }
    }

    #[test]
    fn what_was_used() {
        let spent = |input, output, context| {
            Spent {
                input,
                output,
                context,
                window: 1000,
            }
            .text()
        };
        assert_eq!(
            spent(None, None, None),
            "Last turn: none counted; window of 1000 tokens"
        );
        assert_eq!(spent(Some(0), Some(0), Some(0)), spent(None, None, None));
        assert_eq!(
            spent(Some(10), Some(5), Some(250)),
            "Last turn: 10 tokens in, 5 out; 250 of 1000 tokens in the window (25 %)"
        );
        let mut usage = Usage {
            input: 10,
            output: 5,
            ..Usage::default()
        };
        assert_eq!(usage_line(false, &usage, &choice()), "Usage: 10 in / 5 out");
        usage.cache_read = 3;
        assert_eq!(
            usage_line(true, &usage, &choice()),
            "Usage: 10 in / 5 out / 3 cached, cost 0.1000, mock/echo-1"
        );
        let unknown = Choice {
            cost: None,
            ..choice()
        };
        assert_eq!(
            usage_line(true, &usage, &unknown),
            "Usage: 10 in / 5 out / 3 cached, mock/echo-1"
        );
    }

    #[test]
    fn lists_of_models_end() {
        let names = |count: usize| (0..count).map(|n| format!("m/{n}")).collect::<Vec<_>>();
        let lines = |count| model(&choice(), &names(count)).lines().count();
        assert_eq!((lines(0), lines(1)), (1, 3));
        assert_eq!(
            (lines(LISTED_MODELS), lines(LISTED_MODELS + 1)),
            (LISTED_MODELS + 2, LISTED_MODELS + 3)
        );
    }
}
