//! JSON5 text to a JSON document, with what a configuration needs on top of the parser: a depth limit, whole numbers
//! kept whole, and edits by path.

use serde::Deserializer;
use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt;

/// Deepest nesting of a configuration. The parser recurses; a few kilobytes of brackets must not end the process.
const MAX_DEPTH: usize = 64;

/// Why a text is not a configuration document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}{}", position(*.line, *.column))]
pub(super) struct SyntaxError {
    /// What is wrong, without the place.
    pub(super) message: String,
    /// Line, counted from 1; 0 when unknown.
    pub(super) line: usize,
    /// Column in characters, counted from 1; 0 when unknown.
    pub(super) column: usize,
}

fn position(line: usize, column: usize) -> String {
    if line == 0 {
        String::new()
    } else {
        format!(" at line {line}, column {column}")
    }
}

/// Parses JSON5.
pub(super) fn parse(text: &str) -> Result<Value, SyntaxError> {
    /// Entry point for the parser: a document at depth 0.
    struct Document(Value);
    impl<'de> serde::Deserialize<'de> for Document {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            Node { depth: 0 }.deserialize(deserializer).map(Self)
        }
    }
    json5::from_str::<Document>(text)
        .map(|document| document.0)
        .map_err(|error| SyntaxError {
            message: match error.code() {
                Some(code) => code.to_string(),
                // Only the parser and the visitor below make errors without a code; both quote nothing of the text.
                None => error
                    .to_string()
                    .split(" at ")
                    .next()
                    .unwrap_or_default()
                    .to_owned(),
            },
            line: error.position().map_or(0, |position| position.line + 1),
            column: error.position().map_or(0, |position| position.column + 1),
        })
}

struct Node {
    depth: usize,
}

impl Node {
    fn child<E: serde::de::Error>(&self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            return Err(E::custom(format_args!(
                "nested deeper than {MAX_DEPTH} levels"
            )));
        }
        Ok(Self {
            depth: self.depth + 1,
        })
    }
}

impl<'de> DeserializeSeed<'de> for Node {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    /// `18789.0` and `1e3` are whole numbers to every JSON reader but serde's integers.
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53
        if value.fract() == 0.0 && value.abs() <= EXACT {
            #[allow(clippy::cast_possible_truncation)] // whole and within 2^53
            return Ok((value as i64).into());
        }
        // Infinity and NaN, which JSON5 knows, become null and are reported by the check of types.
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(self.child()?)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = members.next_key::<String>()? {
            object.insert(key, members.next_value_seed(self.child()?)?);
        }
        Ok(Value::Object(object))
    }
}

/// One step of a path into a document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Index(usize),
    Key(String),
}

/// A path as users read it: `agents.list.1.id`; empty for the document itself.
pub(super) fn dotted(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        if !text.is_empty() {
            text.push('.');
        }
        match step {
            Step::Index(index) => text.push_str(&index.to_string()),
            Step::Key(key) => text.push_str(key),
        }
    }
    text
}

/// Removes the values at `paths`. The empty path empties the document.
pub(super) fn remove_all(document: &mut Value, mut paths: Vec<Vec<Step>>) {
    paths.sort();
    paths.dedup();
    // From the last to the first, so that the index of an array item is still right when its turn comes.
    for path in paths.into_iter().rev() {
        remove(document, &path);
    }
}

fn remove(document: &mut Value, path: &[Step]) {
    let Some((last, parents)) = path.split_last() else {
        *document = Value::Object(Map::new());
        return;
    };
    let mut target = document;
    for step in parents {
        let child = match (target, step) {
            (Value::Object(object), Step::Key(key)) => object.get_mut(key),
            (Value::Array(array), Step::Index(index)) => array.get_mut(*index),
            _ => None,
        };
        match child {
            Some(child) => target = child,
            None => return,
        }
    }
    match (target, last) {
        (Value::Object(object), Step::Key(key)) => {
            object.remove(key);
        }
        (Value::Array(array), Step::Index(index)) if *index < array.len() => {
            array.remove(*index);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json5_is_read_and_whole_numbers_stay_whole() {
        let check = |text: &str, expected: Value| assert_eq!(parse(text), Ok(expected), "{text}");
        check("{}", json!({}));
        check(
            "\u{feff} // c\n{a: 'x', /* y */ b: [1,], }",
            json!({"a": "x", "b": [1]}),
        );
        check(
            "{port: 18789.0, big: 1e3, hex: 0x10}",
            json!({"port": 18789, "big": 1000, "hex": 16}),
        );
        check("[1.5, -2.0, NaN, Infinity]", json!([1.5, -2, null, null]));
        check(r#"{"a": 1, "a": 2}"#, json!({"a": 2}));
    }

    #[test]
    fn syntax_errors_name_line_and_column() {
        let check = |text: &str, expected: &str| {
            assert_eq!(parse(text).unwrap_err().to_string(), expected, "{text}");
        };
        check("{\n  a: 1\n  b: 2\n}", "expected comma at line 3, column 3");
        check("{\"token\": s3cret}", "expected value at line 1, column 11");
        check("", "EOF parsing value");
        check("{} x", "trailing characters at line 1, column 4");
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(&nested(MAX_DEPTH)).is_ok());
        let error = parse(&nested(MAX_DEPTH + 1)).unwrap_err();
        assert_eq!(error.message, "nested deeper than 64 levels");
        assert!(parse(&"[".repeat(1_000_000)).is_err());
    }

    #[test]
    fn values_are_removed_by_path() {
        let key = |key: &str| Step::Key(key.to_owned());
        let mut document = json!({"a": {"b": 1, "c": 2}, "list": [0, 1, 2, 3]});
        remove_all(
            &mut document,
            vec![
                vec![key("list"), Step::Index(1)],
                vec![key("a"), key("b")],
                vec![key("list"), Step::Index(3)],
                vec![key("list"), Step::Index(3)],
                vec![key("list"), Step::Index(9)],
                vec![key("no"), key("such")],
            ],
        );
        assert_eq!(document, json!({"a": {"c": 2}, "list": [0, 2]}));
        remove_all(&mut document, vec![vec![]]);
        assert_eq!(document, json!({}));
    }

    #[test]
    fn paths_read_dotted() {
        let path = [
            Step::Key("agents".into()),
            Step::Key("list".into()),
            Step::Index(1),
            Step::Key("id".into()),
        ];
        assert_eq!(dotted(&path), "agents.list.1.id");
        assert_eq!(dotted(&[]), "");
    }
}
