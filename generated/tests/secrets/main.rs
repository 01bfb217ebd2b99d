//! No secret is shown: examples of every definition that can hold one, with a mark in the place of each
//! secret, decoded and formatted with `{:?}`.
//!
//! Where the secrets are says `schema/dist/protocol.schema.json`, the bundle that outsiders get; which types can
//! hold one says the generated table. Each is held to the other.

#![allow(clippy::expect_used)] // helpers of tests

#[rustfmt::skip]
mod secretive;

use std::collections::BTreeMap;
use std::fmt::Debug;

use openclaw_protocol::examples::{ALL, Examples};
use openclaw_protocol::rt::accepts;
use secretive::SECRETIVE;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const BUNDLE: &str = include_str!("../../../schema/dist/protocol.schema.json");

/// Stands where a secret was, and nowhere else in the schema.
const MARK: &str = "hunter2-correct-horse";

/// A text that went through a type.
struct Passed {
    /// The value with `{:?}`.
    shown: String,
    /// The value on its way out again.
    sent: String,
}

/// Sends a text through a type.
type Pass = fn(&str) -> serde_json::Result<Passed>;

fn passed<T: DeserializeOwned + Serialize + Debug>(text: &str) -> serde_json::Result<Passed> {
    let value: T = serde_json::from_str(text)?;
    Ok(Passed {
        shown: format!("{value:?} {value:#?}"),
        sent: serde_json::to_string(&value)?,
    })
}

#[test]
fn debug_shows_no_secret() {
    assert!(!BUNDLE.contains(MARK), "the mark is nobody's own text");
    let marker = Marker::new();
    let mut marked_in: BTreeMap<&str, usize> = BTreeMap::new();
    for examples in ALL {
        let name = examples.definition;
        for text in examples.valid {
            let mut value: Value = serde_json::from_str(text).expect("JSON");
            let marks = marker.mark(&marker.definitions[name], &mut value);
            if marks == 0 {
                continue;
            }
            *marked_in.entry(name).or_default() += marks;
            let (_, pass) = SECRETIVE
                .iter()
                .find(|(known, _)| *known == name)
                .unwrap_or_else(|| panic!("{name} holds a secret, and the table does not know"));
            let passed = pass(&value.to_string()).expect("an example with other words in it");
            assert_eq!(passed.sent.matches(MARK).count(), marks, "{name}: {value}");
            assert!(!passed.shown.contains(MARK), "{name}: {}", passed.shown);
        }
    }
    let unmarked: Vec<&str> = SECRETIVE
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| !marked_in.contains_key(name))
        .collect();
    assert!(
        unmarked.is_empty(),
        "no example with a secret: {unmarked:?}"
    );
    println!(
        "{} secrets in {} definitions",
        marked_in.values().sum::<usize>(),
        marked_in.len()
    );
}

/// Puts the mark where the schema says that secrets are.
struct Marker {
    definitions: BTreeMap<String, Value>,
}

impl Marker {
    fn new() -> Self {
        let bundle: Value = serde_json::from_str(BUNDLE).expect("the bundle is JSON");
        let definitions = bundle["definitions"].clone();
        Self {
            definitions: serde_json::from_value(definitions).expect("definitions by name"),
        }
    }

    /// Returns how many marks there are now.
    fn mark(&self, schema: &Value, value: &mut Value) -> usize {
        if schema["x-secret"] == json!(true) {
            // An open value hides what is inside it, too.
            *value = if schema["type"] == json!("string") {
                json!(MARK)
            } else {
                json!({ "inside": [MARK] })
            };
            return 1;
        }
        if let Some(name) = definition_of(schema) {
            return self.mark(&self.definitions[name], value);
        }
        if let Some(alternatives) = schema.get("anyOf").or(schema.get("oneOf")) {
            let mut alternatives = alternatives.as_array().expect("a list").iter();
            let chosen = alternatives.find(|schema| self.is_of(schema, value));
            return chosen.map_or(0, |schema| self.mark(schema, value));
        }
        match value {
            Value::Array(items) => items
                .iter_mut()
                .map(|item| self.mark(&schema["items"], item))
                .sum(),
            Value::Object(members) => {
                let named = schema.get("properties").or(schema.get("x-lenient"));
                let others = &schema["additionalProperties"];
                let schema_of =
                    |key: &str| named.and_then(|named| named.get(key)).unwrap_or(others);
                members
                    .iter_mut()
                    .map(|(key, value)| self.mark(schema_of(key), value))
                    .sum()
            }
            _ => 0,
        }
    }

    /// Is it this alternative?
    fn is_of(&self, schema: &Value, value: &Value) -> bool {
        if schema["type"] == json!("null") || value.is_null() {
            return schema["type"] == json!("null") && value.is_null();
        }
        if let Some(name) = definition_of(schema) {
            let fits = |examples: &Examples| accepts(examples.node, &value.to_string());
            return ALL
                .iter()
                .find(|examples| examples.definition == name)
                .is_some_and(fits);
        }
        // A variant of a tagged union has a word of its own; the other alternative of null fits anyway.
        let properties = schema.get("properties").and_then(Value::as_object);
        properties.into_iter().flatten().all(|(name, schema)| {
            let words = schema["enum"].as_array();
            words.is_none_or(|words| value.get(name).is_none_or(|word| words.contains(word)))
        })
    }
}

/// Name of the definition that a schema refers to.
fn definition_of(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.strip_prefix("#/definitions/")
}
