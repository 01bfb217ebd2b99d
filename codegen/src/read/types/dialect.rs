//! The dialect's keywords: which exist, where they may stand, what to write instead of others.

use openclaw_schema_runtime::Tree;

use crate::read::Reader;
use crate::source::Place;

/// Keywords that say something about a value, with the types they belong to.
const TYPED: &[(&str, &[&str])] = &[
    ("properties", &["object"]),
    ("required", &["object"]),
    ("additionalProperties", &["object"]),
    ("items", &["array"]),
    ("minItems", &["array"]),
    ("maxItems", &["array"]),
    ("minLength", &["string"]),
    ("maxLength", &["string"]),
    ("enum", &["string"]),
    ("x-secret", &["string"]),
    ("minimum", &["integer", "number"]),
    ("maximum", &["integer", "number"]),
];

/// Keywords without influence on validity.
pub(super) const NOTES: &[&str] = &[
    "description",
    "title",
    "examples",
    "x-counterExamples",
    "x-patch",
    "x-swift-name",
    "x-since",
];

/// Keywords of JSON Schema that people reach for, and what this dialect has instead.
const INSTEAD: &[(&str, &str)] = &[
    (
        "allOf",
        "write the members out; a closed base would forbid the extension's members",
    ),
    (
        "if",
        "make a tagged union with oneOf, or check in the handler",
    ),
    (
        "then",
        "make a tagged union with oneOf, or check in the handler",
    ),
    (
        "else",
        "make a tagged union with oneOf, or check in the handler",
    ),
    ("not", "state what is allowed"),
    (
        "const",
        "write {\"type\":\"string\",\"enum\":[\"x\"]}, which the generated types enforce",
    ),
    (
        "pattern",
        "check the form in the handler, where the error can say what was expected",
    ),
    (
        "patternProperties",
        "use additionalProperties with a schema",
    ),
    ("propertyNames", "use additionalProperties with a schema"),
    ("prefixItems", "use an object with named members"),
    ("unevaluatedProperties", "use additionalProperties"),
    (
        "dependentRequired",
        "make a tagged union with oneOf, or check in the handler",
    ),
    ("uniqueItems", "check in the handler"),
    (
        "format",
        "describe the form; formats are not enforced by the validators",
    ),
    (
        "default",
        "put the default into the handler and name it in the description",
    ),
    ("definitions", "use $defs"),
    ("exclusiveMinimum", "use minimum"),
    ("exclusiveMaximum", "use maximum"),
    ("multipleOf", "check in the handler"),
    ("nullable", "write anyOf: [T, {\"type\":\"null\"}]"),
];

impl Reader {
    pub(super) fn check_keywords(&mut self, place: &Place, keys: &[(String, Tree)]) {
        for (key, _) in keys {
            let known = matches!(key.as_str(), "$ref" | "type" | "anyOf" | "oneOf")
                || TYPED.iter().any(|(name, _)| name == key)
                || NOTES.contains(&key.as_str());
            if !known {
                let advice = INSTEAD
                    .iter()
                    .find(|(name, _)| name == key)
                    .map_or("see the dialect in schema/README.md", |(_, advice)| advice);
                self.wrong(&place.at(key), format!("unknown keyword `{key}`"), advice);
            }
        }
        if keys.iter().any(|(key, _)| key == "$ref")
            && let Some((key, _)) = keys
                .iter()
                .find(|(key, _)| key != "$ref" && !NOTES.contains(&key.as_str()))
        {
            self.wrong(
                &place.at(key),
                format!("`{key}` beside $ref has no effect"),
                "put it into the definition that is referred to",
            );
        }
    }

    pub(super) fn check_typed(&mut self, place: &Place, keys: &[(String, Tree)], kind: &str) {
        for (key, _) in keys {
            if let Some((_, kinds)) = TYPED.iter().find(|(name, _)| name == key)
                && !kinds.contains(&kind)
            {
                self.wrong(
                    &place.at(key),
                    format!("`{key}` does nothing for type `{kind}`"),
                    format!("it belongs to {}", kinds.join(" or ")),
                );
            }
        }
    }
}
