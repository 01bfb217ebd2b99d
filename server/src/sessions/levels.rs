//! The words in which people set a session's levels, with their synonyms, and the one form in which each is stored
//! (contract 9.6; methods.md 5).

use crate::config::{ExecAsk, ExecSecurity};

/// A level's stored form with the other words that mean it.
type Words = &'static [(&'static str, &'static [&'static str])];

const VERBOSE: Words = &[
    ("off", &["false", "no", "0"]),
    ("on", &["minimal", "true", "yes", "1"]),
    ("full", &["all", "everything"]),
];
const REASONING: Words = &[
    (
        "off",
        &["false", "no", "0", "hide", "hidden", "disable", "disabled"],
    ),
    (
        "on",
        &["true", "yes", "1", "show", "visible", "enable", "enabled"],
    ),
    ("stream", &["streaming", "draft", "live"]),
];
const ELEVATED: Words = &[
    ("off", &["false", "no", "0"]),
    ("on", &["true", "yes", "1"]),
    ("ask", &["prompt", "approval", "approve"]),
    ("full", &["auto", "auto-approve", "autoapprove"]),
];
const EXEC_HOST: Words = &[("sandbox", &[]), ("gateway", &[]), ("node", &[])];

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

/// Where nothing is meant to be set.
pub(super) const OFF: &str = "off";

fn find(words: Words, said: &str) -> Option<&'static str> {
    let said = said.trim().to_lowercase();
    words
        .iter()
        .find(|(stored, others)| *stored == said || others.contains(&said.as_str()))
        .map(|(stored, _)| *stored)
}

/// How much of tool use is shown.
#[must_use]
pub fn verbose(said: &str) -> Option<&'static str> {
    find(VERBOSE, said)
}

/// Whether a model's thoughts are shown.
pub(super) fn reasoning(said: &str) -> Option<&'static str> {
    find(REASONING, said)
}

/// Whether commands run with more rights.
pub(super) fn elevated(said: &str) -> Option<&'static str> {
    find(ELEVATED, said)
}

/// Where commands run.
pub(super) fn exec_host(said: &str) -> Option<&'static str> {
    find(EXEC_HOST, said)
}

/// Which commands may run.
pub(super) fn exec_security(said: &str) -> Option<&'static str> {
    said.parse::<ExecSecurity>().ok().map(ExecSecurity::as_str)
}

/// When a person is asked first.
pub(super) fn exec_ask(said: &str) -> Option<&'static str> {
    said.parse::<ExecAsk>().ok().map(ExecAsk::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn words_and_their_synonyms() {
        type Parse = fn(&str) -> Option<&'static str>;
        let check = |parse: Parse, said: &str, stored: Option<&str>| {
            assert_eq!(parse(said), stored, "{said:?}");
        };
        check(verbose, " ON ", Some("on"));
        check(verbose, "minimal", Some("on"));
        check(verbose, "everything", Some("full"));
        check(verbose, "0", Some("off"));
        check(verbose, "loud", None);
        check(verbose, "", None);
        check(reasoning, "Draft", Some("stream"));
        check(reasoning, "hidden", Some("off"));
        check(reasoning, "visible", Some("on"));
        check(reasoning, "full", None);
        check(elevated, "approve", Some("ask"));
        check(elevated, "auto-approve", Some("full"));
        check(elevated, "yes", Some("on"));
        check(elevated, "x", None);
        check(exec_host, "Gateway", Some("gateway"));
        check(exec_host, "moon", None);
        check(exec_security, "allowlist", Some("allowlist"));
        check(exec_security, "yes", None);
        check(exec_ask, "on-miss", Some("on-miss"));
        check(exec_ask, "never", None);
    }
}
