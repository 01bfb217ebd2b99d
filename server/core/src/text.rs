//! Texts cut to a length, and texts that may be blank. Called wherever foreign words are kept, shown or logged.

/// The text without outer blanks, or nothing where that leaves nothing.
pub fn given(text: Option<&str>) -> Option<String> {
    let text = text?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// The first `limit` characters.
pub fn first_chars(text: &str, limit: usize) -> &str {
    text.char_indices()
        .nth(limit)
        .map_or(text, |(end, _)| &text[..end])
}

/// The start of a text that fits `limit` bytes, without cutting a character.
pub fn first_bytes(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

/// The first `limit` characters, with three dots where something is missing.
pub fn shortened(text: &str, limit: usize) -> String {
    let start = first_chars(text, limit);
    if start.len() < text.len() {
        format!("{start}...")
    } else {
        start.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given() {
        for (text, expected) in [
            (None, None),
            (Some(""), None),
            (Some(" \t\n"), None),
            (Some(" a b "), Some("a b")),
        ] {
            assert_eq!(given(text).as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn cuts_are_between_characters() {
        for (text, limit, chars, bytes, shown) in [
            ("", 0, "", "", ""),
            ("a", 0, "", "", "..."),
            ("aü", 2, "aü", "a", "aü"),
            ("aü", 3, "aü", "aü", "aü"),
            ("üüü", 2, "üü", "ü", "üü..."),
            ("💚💚", 1, "💚", "", "💚..."),
        ] {
            let cut = (first_chars(text, limit), first_bytes(text, limit));
            assert_eq!(cut, (chars, bytes), "{text} to {limit}");
            assert_eq!(shortened(text, limit), shown, "{text} to {limit}");
        }
    }
}
