//! What the commands say to people and to programs. The only place of the command line that prints.
//!
//! Much of it comes from elsewhere: names of devices, texts of agents, errors of gateways. What would steer the terminal
//! instead of being read is shown escaped.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};

use serde::Serialize;

/// Prints one line to standard output, whatever the text holds. A closed pipe is not an error: whoever read has enough.
pub(crate) fn line(text: &str) {
    raw_line(&readable(text, &['\t']));
}

/// Prints a piece of a text at once, for text that streams in. Line breaks and tabs of the text stay.
pub(crate) fn piece(text: &str) {
    bytes(readable(text, &['\n', '\t']).as_bytes());
}

/// Prints bytes as they are, without a newline of ours.
pub(crate) fn bytes(bytes: &[u8]) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(bytes);
    let _ = out.flush();
}

/// Prints a value as indented JSON.
pub(crate) fn json(value: &impl Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => raw_line(&json_text(&text)),
        Err(error) => complain(&format!("the answer cannot be shown: {error}")),
    }
}

/// Prints an answer of the gateway: as JSON for programs, else as `in_words` does it for people.
pub(crate) fn answer<T: Serialize>(value: &T, as_json: bool, in_words: impl FnOnce(&T)) {
    if as_json {
        json(value);
    } else {
        in_words(value);
    }
}

/// Prints to standard error what stands beside the answer.
pub(crate) fn aside(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", readable(text, &[]));
}

/// Prints to standard error what went wrong. Line breaks and tabs of the text stay.
pub(crate) fn complain(text: &str) {
    let text = readable(text, &['\n', '\t']);
    let mut err = std::io::stderr().lock();
    let _ = writeln!(
        err,
        "{}{text}",
        if err.is_terminal() {
            "\u{1b}[31merror:\u{1b}[0m "
        } else {
            "error: "
        }
    );
}

/// An age as people say it.
pub(crate) fn age(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// Prints columns padded to the widest cell, two blanks between them; each row is one line.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) {
    for text in table_lines(head, rows) {
        raw_line(&text);
    }
}

fn table_lines(head: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let rows: Vec<Vec<Cow<'_, str>>> = rows
        .iter()
        .map(|row| row.iter().map(|cell| readable(cell, &[])).collect())
        .collect();
    let width = |i: usize| {
        rows.iter()
            .filter_map(|row| row.get(i))
            .map(|cell| cell.chars().count())
            .chain(head.get(i).map(|cell| cell.chars().count()))
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let show = |cells: &mut dyn Iterator<Item = &str>| {
        let text: Vec<String> = cells
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        text.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![show(&mut head.iter().copied())];
    lines.extend(
        rows.iter()
            .map(|row| show(&mut row.iter().map(|cell| &**cell))),
    );
    lines
}

fn raw_line(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}");
}

/// The text without what a terminal would obey: control characters (but those of `kept`), line separators, and marks
/// that change the direction of writing are escaped.
fn readable<'a>(text: &'a str, kept: &[char]) -> Cow<'a, str> {
    let is_hidden = |c: char| steers(c) && !kept.contains(&c);
    if !text.chars().any(is_hidden) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().fold(String::new(), |mut shown, c| {
        match is_hidden(c) {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
        shown
    }))
}

/// JSON that says the same. Its own line breaks stand between tokens, the escaped characters in strings.
fn json_text(text: &str) -> String {
    text.chars().fold(String::new(), |mut shown, c| {
        if steers(c) && c != '\n' {
            // Writing into a String cannot fail.
            let _ = write!(shown, "\\u{:04x}", u32::from(c));
        } else {
            shown.push(c);
        }
        shown
    })
}

/// Whether a terminal obeys the character instead of showing it.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages() {
        for (ms, text) in [
            (0, "0 s"),
            (59_999, "59 s"),
            (60_000, "1 min"),
            (3_599_999, "59 min"),
            (3_600_000, "1 h"),
            (86_400_000, "1 d"),
        ] {
            assert_eq!(age(ms), text);
        }
    }

    #[test]
    fn what_steers_a_terminal_is_shown() {
        for (text, shown) in [
            ("plain, ä, 日本, 🦞", "plain, ä, 日本, 🦞"),
            ("a\tb\nc", "a\tb\nc"),
            ("a\rb", r"a\rb"),
            ("\u{1b}[2J", r"\u{1b}[2J"),
            ("\u{9b}2J\u{7f}", r"\u{9b}2J\u{7f}"),
            ("a\u{202e}b\u{2066}c", r"a\u{202e}b\u{2066}c"),
        ] {
            assert_eq!(readable(text, &['\n', '\t']), shown);
        }
        assert_eq!(readable("a\tb\nc", &['\t']), "a\tb\\nc");
    }

    #[test]
    fn a_row_of_a_table_is_one_line() {
        let rows =
            [["a\nb\u{1b}[31m", "x"], ["c", "y\t"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(
            table_lines(&["name", "id"], &rows),
            [
                format!("{:<14}  id", "name"),
                r"a\nb\u{1b}[31m  x".to_owned(),
                format!(r"{:<14}  y\t", "c"),
            ]
        );
    }

    #[test]
    fn json_stays_json() {
        let value = serde_json::json!({"name": "\u{1b}[2J\u{9b}\u{202e}\n\"ä"});
        let text = json_text(&serde_json::to_string_pretty(&value).unwrap());
        assert!(!text.chars().any(|c| steers(c) && c != '\n'), "{text}");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&text).unwrap(),
            value
        );
    }
}
