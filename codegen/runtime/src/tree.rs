//! JSON as an ordered tree, for the cold path: naming what is wrong with a refused
//! text. Members keep their order, because violations are listed in it.

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Number, Value};

/// A JSON value whose objects keep the order of their members.
#[derive(Debug, Clone, PartialEq)]
pub enum Tree {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number. Integers beyond 64 bits are floats here.
    Number(Number),
    /// A string.
    String(String),
    /// An array.
    Array(Vec<Tree>),
    /// An object: members in source order, keys distinct.
    Object(Vec<(String, Tree)>),
}

/// Why a text is no [`Tree`].
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// Not JSON, nested beyond 127 levels, or a number beyond the range of a double
    /// (`1e400`). The text names line and column.
    #[error("{0}")]
    Syntax(#[from] serde_json::Error),
    /// An object has this key twice (contract, odd 63).
    #[error("duplicate key {key:?} at line {line} column {column}")]
    DuplicateKey {
        /// The key.
        key: String,
        /// Line of its second occurrence, from 1.
        line: usize,
        /// Column, in bytes, at the end of the second occurrence of the key.
        column: usize,
    },
}

impl Tree {
    /// Reads one JSON text.
    ///
    /// # Errors
    /// See [`TreeError`].
    pub fn parse(json: &str) -> Result<Self, TreeError> {
        let duplicate = Cell::new(None);
        let mut parser = serde_json::Deserializer::from_str(json);
        let tree = TreeSeed {
            duplicate: &duplicate,
        }
        .deserialize(&mut parser)
        .and_then(|tree| parser.end().map(|()| tree));
        tree.map_err(|error| match duplicate.take() {
            Some(key) => TreeError::DuplicateKey {
                key,
                line: error.line(),
                column: error.column(),
            },
            None => TreeError::Syntax(error),
        })
    }

    /// The member `key`, if this is an object that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Tree> {
        let (_, value) = self.as_object()?.iter().find(|(name, _)| name == key)?;
        Some(value)
    }

    /// The text, if this is a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Tree::String(text) => Some(text),
            _ => None,
        }
    }

    /// The items, if this is an array.
    #[must_use]
    pub fn as_array(&self) -> Option<&[Tree]> {
        match self {
            Tree::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The members in source order, if this is an object.
    #[must_use]
    pub fn as_object(&self) -> Option<&[(String, Tree)]> {
        match self {
            Tree::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The same value without the order of members.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match self {
            Tree::Null => Value::Null,
            Tree::Bool(value) => Value::Bool(*value),
            Tree::Number(number) => Value::Number(number.clone()),
            Tree::String(text) => Value::String(text.clone()),
            Tree::Array(items) => items.iter().map(Tree::to_value).collect(),
            Tree::Object(members) => members
                .iter()
                .map(|(key, value)| (key.clone(), value.to_value()))
                .collect(),
        }
    }
}

impl Serialize for Tree {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Tree::Null => serializer.serialize_unit(),
            Tree::Bool(value) => serializer.serialize_bool(*value),
            Tree::Number(number) => number.serialize(serializer),
            Tree::String(text) => serializer.serialize_str(text),
            Tree::Array(items) => serializer.collect_seq(items),
            Tree::Object(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (key, value) in members {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        TreeSeed {
            duplicate: &Cell::new(None),
        }
        .deserialize(deserializer)
    }
}

/// Reads a tree; leaves the key in `duplicate` when it fails because of one.
#[derive(Clone, Copy)]
struct TreeSeed<'a> {
    duplicate: &'a Cell<Option<String>>,
}

impl<'de> DeserializeSeed<'de> for TreeSeed<'_> {
    type Value = Tree;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for TreeSeed<'_> {
    type Value = Tree;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Tree, E> {
        Number::from_f64(value)
            .map(Tree::Number)
            .ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
        Ok(Tree::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Tree, E> {
        Ok(Tree::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut source: A) -> Result<Tree, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = source.next_element_seed(self)? {
            items.push(item);
        }
        Ok(Tree::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut source: A) -> Result<Tree, A::Error> {
        let mut members = Vec::new();
        let mut keys = HashSet::new();
        while let Some(key) = source.next_key::<String>()? {
            if !keys.insert(key.clone()) {
                let error = de::Error::custom(format_args!("duplicate key {key:?}"));
                self.duplicate.set(Some(key));
                return Err(error);
            }
            members.push((key, source.next_value_seed(self)?));
        }
        Ok(Tree::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn members_keep_their_order() {
        let json = r#"{"z":[1,-2,2.5,true,null],"a":{"y":"é","b":{}},"m":1e2}"#;
        let tree = Tree::parse(json).unwrap();
        assert_eq!(
            serde_json::to_string(&tree).unwrap(),
            r#"{"z":[1,-2,2.5,true,null],"a":{"y":"é","b":{}},"m":100.0}"#
        );
        assert_eq!(
            tree.to_value(),
            serde_json::from_str::<Value>(json).unwrap()
        );
        assert_eq!(serde_json::from_str::<Tree>(json).unwrap(), tree);
        let keys: Vec<_> = tree
            .as_object()
            .unwrap()
            .iter()
            .map(|(key, _)| key)
            .collect();
        assert_eq!(keys, ["z", "a", "m"]);
        let inner = tree.get("a").unwrap();
        assert_eq!(inner.get("y").and_then(Tree::as_str), Some("é"));
        assert_eq!(inner.get("absent"), None);
        assert_eq!(
            tree.get("z").and_then(Tree::as_array).map(<[_]>::len),
            Some(5)
        );
        assert_eq!(tree.get("z").unwrap().get("z"), None);
    }

    #[test]
    fn duplicate_keys_are_named_with_their_place() {
        for (json, expected) in [
            (
                r#"{"a":1,"a":2}"#,
                r#"duplicate key "a" at line 1 column 10"#,
            ),
            (
                "{\"a\":1,\n \"\\u0061\":2}",
                r#"duplicate key "a" at line 2 column 9"#,
            ),
            (
                r#"[{"b":{"":0,"":0}}]"#,
                r#"duplicate key "" at line 1 column 14"#,
            ),
        ] {
            assert_eq!(
                Tree::parse(json).unwrap_err().to_string(),
                expected,
                "{json}"
            );
        }
        assert!(Tree::parse(r#"{"a":{"a":1},"b":[{"a":1},{"a":1}]}"#).is_ok());
    }

    #[test]
    fn numbers() {
        for (json, value) in [
            ("1", json!(1)),
            ("1.0", json!(1.0)),
            ("-0", json!(-0.0)),
            ("18446744073709551615", json!(u64::MAX)),
            // Beyond 64 bits they lose their last digits.
            ("18446744073709551616", json!(18_446_744_073_709_551_616.0)),
            ("1e-400", json!(0.0)),
        ] {
            assert_eq!(Tree::parse(json).unwrap().to_value(), value, "{json}");
        }
    }

    #[test]
    fn what_is_no_json_is_a_syntax_error() {
        let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(Tree::parse(&deep(127)).is_ok());
        for json in [
            "",
            "{",
            "{}{}",
            "[1,]",
            "nul",
            "1e400",
            r#""\ud800""#,
            r#"{"a":1,"a"}"#,
            &deep(128),
            &"[".repeat(100_000),
        ] {
            let error = Tree::parse(json).unwrap_err();
            match error {
                TreeError::Syntax(error) => {
                    assert!(error.to_string().contains("line 1"), "{error}")
                }
                // A duplicate is found before the syntax error behind it.
                TreeError::DuplicateKey { .. } => assert!(json.starts_with(r#"{"a""#), "{json}"),
            }
        }
    }
}
