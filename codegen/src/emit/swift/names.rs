//! Wire names to Swift identifiers.

use std::collections::BTreeSet;

use crate::emit::names::{camel, pascal};

/// Words that cannot be identifiers as they are.
const RESERVED: &[&str] = &[
    "Any",
    "Self",
    "as",
    "associatedtype",
    "await",
    "break",
    "case",
    "catch",
    "class",
    "continue",
    "default",
    "defer",
    "deinit",
    "do",
    "else",
    "enum",
    "extension",
    "fallthrough",
    "false",
    "fileprivate",
    "for",
    "func",
    "guard",
    "if",
    "import",
    "in",
    "init",
    "inout",
    "internal",
    "is",
    "let",
    "nil",
    "open",
    "operator",
    "precedencegroup",
    "private",
    "protocol",
    "public",
    "repeat",
    "rethrows",
    "return",
    "self",
    "static",
    "struct",
    "subscript",
    "super",
    "switch",
    "throw",
    "throws",
    "true",
    "try",
    "typealias",
    "var",
    "where",
    "while",
];

/// Names that a nested type must not take: it would hide a type that the generated text uses, or Swift
/// has the name for itself.
const HIDING: &[&str] = &[
    "Any",
    "Array",
    "Bool",
    "Codable",
    "CodingKey",
    "CodingKeys",
    "Decoder",
    "Dictionary",
    "Double",
    "Encoder",
    "Error",
    "Gateway",
    "GatewayStringSet",
    "Hashable",
    "Int",
    "JSONValue",
    "Optional",
    "Protocol",
    "Result",
    "SecretString",
    "SecretValue",
    "Self",
    "Sendable",
    "Set",
    "String",
    "Type",
    "WireKey",
];

/// Name of a member in the compat profile: the wire name's letters and digits in lower case; `_` before
/// a reserved word (existing app code reads `_protocol`).
pub(super) fn lower(wire: &str) -> String {
    let name: String = wire
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '_'
            }
        })
        .collect();
    let digit = name.starts_with(|c: char| c.is_ascii_digit());
    if digit || RESERVED.contains(&name.as_str()) {
        format!("_{name}")
    } else {
        name
    }
}

/// Name of a member, a case or a function, without the quotes that a reserved word needs.
pub(super) fn bare(wire: &str) -> String {
    let name = camel(wire);
    if name.is_empty() {
        "empty".to_owned()
    } else if name.starts_with(|c: char| c.is_ascii_digit()) {
        format!("_{name}")
    } else {
        name
    }
}

/// The same where it is declared or stands alone.
pub(super) fn member(wire: &str) -> String {
    tick(&bare(wire))
}

/// In back quotes if reserved.
pub(super) fn tick(name: &str) -> String {
    if RESERVED.contains(&name) {
        format!("`{name}`")
    } else {
        name.to_owned()
    }
}

/// After a dot, where only two words are reserved.
pub(super) fn after_dot(name: &str) -> String {
    if matches!(name, "init" | "self") {
        format!("`{name}`")
    } else {
        name.to_owned()
    }
}

/// As a parameter, where all but three words are free.
pub(super) fn label(name: &str) -> String {
    if matches!(name, "inout" | "let" | "var") {
        format!("`{name}`")
    } else {
        name.to_owned()
    }
}

/// Name of a type inside another.
pub(super) fn nested(wire: &str) -> String {
    let mut name = pascal(wire);
    if name.is_empty() {
        name.push_str("Empty");
    }
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert(0, '_');
    }
    if HIDING.contains(&name.as_str()) {
        name.push_str("Value");
    }
    name
}

/// Cases for wire values, distinct, and none of them `unknown`, which is the case for all others.
pub(super) fn cases<'a>(values: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut taken: BTreeSet<String> = BTreeSet::from(["unknown".to_owned()]);
    let mut cases = Vec::new();
    for value in values {
        let mut name = bare(value);
        while !taken.insert(name.clone()) {
            name.push_str("Value");
        }
        cases.push(tick(&name));
    }
    cases
}

/// Name of a Swift file for a schema file: `groups/agent.json` → `Agent`.
pub(super) fn file_stem(schema_file: &str) -> String {
    let name = schema_file.rsplit('/').next().unwrap_or(schema_file);
    pascal(name.strip_suffix(".json").unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members() {
        for (wire, compat, typed) in [
            ("sessionKey", "sessionkey", "sessionKey"),
            ("protocol", "_protocol", "`protocol`"),
            ("canvasHostUrl", "canvashosturl", "canvasHostUrl"),
            ("type", "type", "type"),
            ("default", "_default", "`default`"),
            ("2fa", "_2fa", "_2fa"),
            ("in-flight", "in_flight", "inFlight"),
        ] {
            assert_eq!(lower(wire), compat, "{wire}");
            assert_eq!(member(wire), typed, "{wire}");
        }
    }

    #[test]
    fn reserved_words_by_place() {
        for (name, alone, dotted, parameter) in [
            ("init", "`init`", "`init`", "init"),
            ("self", "`self`", "`self`", "self"),
            ("var", "`var`", "var", "`var`"),
            ("in", "`in`", "in", "in"),
            ("type", "type", "type", "type"),
        ] {
            assert_eq!(tick(name), alone);
            assert_eq!(after_dot(name), dotted);
            assert_eq!(label(name), parameter);
        }
    }

    #[test]
    fn cases_are_distinct() {
        let values = ["in_flight", "in-flight", "unknown", "", "repeat"];
        assert_eq!(
            cases(values),
            [
                "inFlight",
                "inFlightValue",
                "unknownValue",
                "empty",
                "`repeat`"
            ]
        );
    }

    #[test]
    fn nested_types_hide_nothing() {
        for (wire, name) in [
            ("status", "Status"),
            ("type", "TypeValue"),
            ("error", "ErrorValue"),
        ] {
            assert_eq!(nested(wire), name);
        }
        assert_eq!(file_stem("groups/agent.json"), "Agent");
    }
}
