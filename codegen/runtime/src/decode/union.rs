//! Untagged unions: the source text of the value is borrowed, the alternative that fits
//! found, and the same text decoded as that alternative.

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, Visitor};
use serde_json::value::RawValue;

use super::{CheckedDeserializer, misfit};
use crate::node::Node;

/// Deepest nesting that is decoded. The parser limits one text to this; decoding a
/// piece of it anew starts the parser's count again, so unions keep their own.
const MAX_DEPTH: usize = 127;

impl<'de, D: Deserializer<'de>> CheckedDeserializer<D> {
    /// Reads the value as the one alternative that it fits.
    #[inline(never)]
    pub(super) fn only_fit<V: Visitor<'de>>(
        self,
        alternatives: &'static [&'static Node],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let text = <&'de RawValue>::deserialize(self.inner)?.get();
        if self.nullable && text == "null" {
            return visitor.visit_unit();
        }
        let fits = |node: &&&'static Node| {
            with_text(text, self.depth, |parser| {
                IgnoredAny::deserialize(CheckedDeserializer::new(node, self.depth, parser))
            })
            .is_ok()
        };
        let mut fitting = alternatives.iter().filter(fits);
        let (Some(node), None) = (fitting.next(), fitting.next()) else {
            return Err(misfit());
        };
        with_text(text, self.depth, |parser| {
            CheckedDeserializer::new(node, self.depth, parser).deserialize_any(visitor)
        })
        .map_err(D::Error::custom)
    }
}

/// A parser of the borrowed text of one value.
pub(super) type TextParser<'a, 'de> =
    &'a mut serde_json::Deserializer<serde_json::de::StrRead<'de>>;

/// Reads `text`, one value with `depth` levels around it, a second time.
pub(super) fn with_text<'de, T>(
    text: &'de str,
    depth: usize,
    read: impl FnOnce(TextParser<'_, 'de>) -> serde_json::Result<T>,
) -> serde_json::Result<T> {
    if nests_beyond(text, MAX_DEPTH.saturating_sub(depth)) {
        return Err(misfit());
    }
    read(&mut serde_json::Deserializer::from_str(text))
}

/// Whether `text`, a well-formed JSON value, nests deeper than `limit`.
fn nests_beyond(text: &str, limit: usize) -> bool {
    // A level takes two brackets.
    if text.len() / 2 <= limit {
        return false;
    }
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for byte in text.bytes() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => {
                depth += 1;
                if depth > limit {
                    return true;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nesting() {
        for (text, levels) in [
            ("1", 0),
            ("[]", 1),
            (r#"{"a":[{}]}"#, 3),
            ("[[],[],[[]]]", 3),
            (r#"["[[[[","\"[[","\\",{}]"#, 2),
        ] {
            assert!(!nests_beyond(text, levels), "{text} beyond {levels}");
            // Padding, so that the length alone does not decide.
            let padded = format!("{text}{}", " ".repeat(16));
            assert!(!nests_beyond(&padded, levels), "{text} beyond {levels}");
            if let Some(fewer) = levels.checked_sub(1) {
                assert!(nests_beyond(&padded, fewer), "{text} beyond {fewer}");
            }
        }
    }
}
