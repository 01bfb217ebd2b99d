//! What channels wrap around a person's words, taken off again where the words are shown (contract 6.7, chat.history)
//! or titled.
//!
//! Two forms: a bracketed head such as `[Telegram Ann 2026-01-28 10:00]`, and lines that hold only `[message_id: …]`.

/// Channel names that open an envelope, in lower case, as channels write them.
const CHANNELS: [&str; 15] = [
    "webchat",
    "whatsapp",
    "telegram",
    "signal",
    "slack",
    "discord",
    "google chat",
    "imessage",
    "teams",
    "matrix",
    "zalo",
    "zalo personal",
    "bluebubbles",
    "irc",
    "line",
];

/// `text` without its envelope head and without `[message_id: …]` lines.
pub fn strip(text: &str) -> String {
    strip_message_ids(strip_head(text))
}

/// The line that ties a stored chat turn to the message it came from.
pub fn message_id_line(id: &str) -> String {
    format!("[message_id: {id}]")
}

/// `text` without its envelope head; `[message_id: …]` lines stay.
pub fn strip_head(text: &str) -> &str {
    let Some(rest) = text.strip_prefix('[') else {
        return text;
    };
    let Some((head, body)) = rest.split_once(']') else {
        return text;
    };
    if is_envelope(head) {
        body.trim_start()
    } else {
        text
    }
}

/// A head is an envelope if it carries a date with a time, or begins with the name of a channel.
fn is_envelope(head: &str) -> bool {
    if has_date_time(head) {
        return true;
    }
    let head = head.to_lowercase();
    CHANNELS.iter().any(|channel| {
        head.strip_prefix(channel)
            .is_some_and(|rest| rest.starts_with(' '))
    }) || CHANNELS.contains(&head.as_str())
}

/// `YYYY-MM-DD` followed by a blank or `T` and `HH:MM`, anywhere.
fn has_date_time(head: &str) -> bool {
    const SHAPE: &[u8] = b"0000-00-00 00:00";
    head.as_bytes().windows(SHAPE.len()).any(|window| {
        window.iter().zip(SHAPE).all(|(byte, shape)| match shape {
            b'0' => byte.is_ascii_digit(),
            b' ' => matches!(byte, b' ' | b'T'),
            other => byte == other,
        })
    })
}

fn strip_message_ids(text: &str) -> String {
    if !text.contains("[message_id:") {
        return text.to_owned();
    }
    let kept: Vec<&str> = text.lines().filter(|line| !is_message_id(line)).collect();
    kept.join("\n")
}

fn is_message_id(line: &str) -> bool {
    line.trim()
        .strip_prefix("[message_id:")
        .and_then(|rest| rest.strip_suffix(']'))
        .is_some_and(|id| !id.contains(']'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, stripped: &str) {
        assert_eq!(strip(text), stripped, "{text:?}");
    }

    #[test]
    fn envelopes_come_off_and_words_stay() {
        check("hello", "hello");
        check("[WebChat] hello", "hello");
        check("[WebChat Ann] hello", "hello");
        check("[Telegram Ann (id 5)] [sic] hello", "[sic] hello");
        check("[Ann 2026-01-28 10:00] hello", "hello");
        check("[Wed 2026-01-28T10:00 UTC]\nhello", "hello");
        check(
            "[2026-01-28] a date is not an envelope",
            "[2026-01-28] a date is not an envelope",
        );
        check("[webchatter] hello", "[webchatter] hello");
        check("[todo] buy milk", "[todo] buy milk");
        check("[telegram without an end", "[telegram without an end");
        check("words [WebChat] inside", "words [WebChat] inside");
        check("hello\n[message_id: c-1]", "hello");
        check("a\n  [message_id: 77]  \nb", "a\nb");
        check("say [message_id: 5] aloud", "say [message_id: 5] aloud");
        check("", "");
    }

    #[test]
    fn a_head_alone_comes_off() {
        for (text, stripped) in [
            (
                "[WebChat] hello\n[message_id: c-1]",
                "hello\n[message_id: c-1]",
            ),
            ("[message_id: c-1]", "[message_id: c-1]"),
            ("[todo] buy milk", "[todo] buy milk"),
        ] {
            assert_eq!(strip_head(text), stripped);
        }
    }
}
