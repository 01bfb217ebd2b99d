//! The spelling of a request frame that nearly every client sends: no spaces, members in the order of the schema, an id
//! without escapes. Taking such an envelope apart costs a fourth of what a parser of any JSON takes for it.
//!
//! Used by `request`, which parses everything else, and everything that turns out wrong.

/// The parts of an envelope.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Usual<'a> {
    /// The id; at least one character, no escapes, so it is what the client meant.
    pub(crate) id: &'a str,
    /// What stands between the quotes: the method's name if there is a method of that name.
    pub(crate) method: &'a str,
    /// Everything between `"params":` and the last brace: if it is one JSON value, the frame is valid.
    pub(crate) params: Option<&'a str>,
}

/// Takes a frame apart that is spelled as usual. `None` says nothing about the frame.
pub(crate) fn split(text: &str) -> Option<Usual<'_>> {
    let (id, rest) = plain(text.strip_prefix(r#"{"type":"req","id":""#)?)?;
    let (method, rest) = rest.strip_prefix(r#","method":""#)?.split_once('"')?;
    let rest = rest.strip_suffix('}')?;
    let params = match rest {
        "" => None,
        _ => Some(rest.strip_prefix(r#","params":"#)?),
    };
    Some(Usual { id, method, params })
}

/// A string of at least one character that stands for itself, and what follows its closing quote.
fn plain(text: &str) -> Option<(&str, &str)> {
    let ends = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1f);
    let end = text.bytes().position(|byte| ends(&byte))?;
    let rest = text[end..].strip_prefix('"')?;
    (end > 0).then_some((&text[..end], rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(&str, &str, Option<&str>)>) {
        let expected = expected.map(|(id, method, params)| Usual { id, method, params });
        assert_eq!(split(text), expected, "{text}");
    }

    #[test]
    fn what_is_spelled_as_usual() {
        for (text, id, method, params) in [
            (
                r#"{"type":"req","id":"1","method":"health"}"#,
                "1",
                "health",
                None,
            ),
            (
                r#"{"type":"req","id":"é 日","method":"health","params":{"probe":true}}"#,
                "é 日",
                "health",
                Some(r#"{"probe":true}"#),
            ),
            // Not one JSON value: whoever decodes the params sees that.
            (
                r#"{"type":"req","id":"1","method":"health","params":{},"id":"2"}"#,
                "1",
                "health",
                Some(r#"{},"id":"2""#),
            ),
            (
                r#"{"type":"req","id":"1","method":"health","params":}"#,
                "1",
                "health",
                Some(""),
            ),
            // No method of that name: whoever looks it up sees that.
            (
                r#"{"type":"req","id":"1","method":"a\u0062"}"#,
                "1",
                r"a\u0062",
                None,
            ),
        ] {
            check(text, Some((id, method, params)));
        }
    }

    #[test]
    fn what_is_not() {
        for text in [
            "",
            "{}",
            r#" {"type":"req","id":"1","method":"health"}"#,
            r#"{"type":"req","id":"1","method":"health"} "#,
            r#"{"type":"req", "id":"1","method":"health"}"#,
            r#"{"id":"1","type":"req","method":"health"}"#,
            r#"{"type":"res","id":"1","method":"health"}"#,
            r#"{"type":"req","id":1,"method":"health"}"#,
            r#"{"type":"req","id":"","method":"health"}"#,
            r#"{"type":"req","id":"a\"b","method":"health"}"#,
            r#"{"type":"req","id":"a\n","method":"health"}"#,
            "{\"type\":\"req\",\"id\":\"a\n\",\"method\":\"health\"}",
            r#"{"type":"req","id":"1","params":{},"method":"health"}"#,
            r#"{"type":"req","id":"1","method":"health","x":1}"#,
            r#"{"type":"req","id":"1","method":"health"#,
            r#"{"type":"req","id":"1","method":"health""#,
            r#"{"type":"req","id":"1"#,
        ] {
            check(text, None);
        }
    }
}
