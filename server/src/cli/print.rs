//! What the commands say to people and to programs. The only place of the command line that prints.

use std::io::{IsTerminal, Write};

use serde::Serialize;

/// Prints a line to standard output. A closed pipe is not an error: whoever read has enough.
pub(crate) fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}");
}

/// Prints a piece of a line at once, for text that streams in.
pub(crate) fn piece(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
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
        Ok(text) => line(&text),
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

/// Prints to standard error what went wrong.
pub(crate) fn complain(text: &str) {
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

/// Columns padded to the widest cell, two blanks between them.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) {
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
        line(text.join("  ").trim_end());
    };
    show(&mut head.iter().copied());
    for row in rows {
        show(&mut row.iter().map(String::as_str));
    }
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
}
