//! Parameters of tools, as the JSON Schema that models are told. Called by everything that describes a tool of ours.

use serde_json::{Value, json};

/// All that a tool takes: its parameters by name, and those that no call may leave out.
pub(super) fn all(properties: Value, required: &[&str]) -> Value {
    json!({"type": "object", "properties": properties, "required": required})
}

/// A text.
pub(super) fn text(description: &str) -> Value {
    json!({"type": "string", "description": description})
}

/// One of some words.
pub(super) fn one_of(words: &[&str], description: &str) -> Value {
    json!({"type": "string", "enum": words, "description": description})
}

/// Any number.
pub(super) fn number(description: &str) -> Value {
    json!({"type": "number", "description": description})
}

/// A whole number that may be 0.
pub(super) fn count(description: &str) -> Value {
    whole(0, description)
}

/// A whole number of 1 or more.
pub(super) fn positive(description: &str) -> Value {
    whole(1, description)
}

fn whole(minimum: u64, description: &str) -> Value {
    json!({"type": "integer", "minimum": minimum, "description": description})
}

/// Yes or no.
pub(super) fn flag(description: &str) -> Value {
    json!({"type": "boolean", "description": description})
}

/// An object whose members the description tells.
pub(super) fn object(description: &str) -> Value {
    json!({"type": "object", "description": description})
}
