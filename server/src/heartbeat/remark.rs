//! What an agent has to say that nobody has asked: at a heartbeat, after a job, after a hook. Pure.

/// The agent's word for "nothing needs attention".
const TOKEN: &str = "HEARTBEAT_OK";

/// What an answer has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remark {
    /// Nothing at all.
    Empty,
    /// Nothing needs attention.
    Token,
    /// This is to be told.
    Say(String),
}

/// Reads an answer. At its start or end the token says that nothing needs attention, if at most `ack_max` characters stand
/// beside it; within a text it is a word like any other.
#[must_use]
pub fn remark(answer: &str, ack_max: u64) -> Remark {
    let answer = answer.trim();
    if answer.is_empty() {
        return Remark::Empty;
    }
    let (rest, found) = without_token(answer);
    if !found {
        return Remark::Say(answer.to_owned());
    }
    let beside = rest.chars().count() as u64;
    if rest.is_empty() || beside <= ack_max {
        Remark::Token
    } else {
        Remark::Say(rest.to_owned())
    }
}

/// The text without tokens at its ends, plain or marked up as models like to, and whether there was one.
fn without_token(text: &str) -> (&str, bool) {
    let (mut rest, mut found) = (text, false);
    loop {
        let bare = rest.trim();
        let inner = bare.trim_matches(is_markup);
        let cut = inner
            .strip_prefix(TOKEN)
            .or_else(|| inner.strip_suffix(TOKEN));
        let Some(cut) = cut else {
            return (bare, found);
        };
        (rest, found) = (cut.trim_matches(is_markup), true);
    }
}

/// What models put around a word to make it stand out.
fn is_markup(c: char) -> bool {
    matches!(c, '*' | '_' | '`' | '~') || c.is_whitespace()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let say = |text: &str| Remark::Say(text.to_owned());
        for (answer, ack_max, expected) in [
            ("", 300, Remark::Empty),
            ("  \n", 300, Remark::Empty),
            ("HEARTBEAT_OK", 300, Remark::Token),
            ("HEARTBEAT_OK", 0, Remark::Token),
            (" **HEARTBEAT_OK** ", 0, Remark::Token),
            ("`HEARTBEAT_OK`", 0, Remark::Token),
            ("HEARTBEAT_OK HEARTBEAT_OK", 0, Remark::Token),
            ("HEARTBEAT_OK.", 300, Remark::Token),
            ("HEARTBEAT_OK.", 0, say(".")),
            ("All is well.\nHEARTBEAT_OK", 12, Remark::Token),
            ("All is well.\nHEARTBEAT_OK", 11, say("All is well.")),
            ("HEARTBEAT_OK The door is open!", 300, Remark::Token),
            (
                "HEARTBEAT_OK The door is open!",
                5,
                say("The door is open!"),
            ),
            (
                "I would say HEARTBEAT_OK but no",
                300,
                say("I would say HEARTBEAT_OK but no"),
            ),
            ("answer HEARTBEAT_OK.", 300, say("answer HEARTBEAT_OK.")),
            ("The door is open.", 300, say("The door is open.")),
            ("heartbeat_ok", 300, say("heartbeat_ok")),
            ("éé HEARTBEAT_OK", 2, Remark::Token),
        ] {
            assert_eq!(remark(answer, ack_max), expected, "{answer:?} {ack_max}");
        }
    }
}
