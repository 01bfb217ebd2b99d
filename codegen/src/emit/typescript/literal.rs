//! Values as TypeScript and JavaScript literals. JSON is both, but for one key.

use serde_json::Value;

use crate::model::json_text;
use openclaw_schema_runtime::Tree;

/// A string literal.
pub(super) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// The name of a member where it is declared: as it is if it is an identifier, else quoted.
pub(super) fn key(name: &str) -> String {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_' || c == '$';
    let identifier =
        name.starts_with(letter) && name.chars().all(|c| letter(c) || c.is_ascii_digit());
    if name == PROTO {
        format!("[{}]", quoted(name))
    } else if identifier {
        name.to_owned()
    } else {
        quoted(name)
    }
}

/// As a plain key it would set the prototype instead of a member.
const PROTO: &str = "__proto__";

/// A value on one line.
pub(super) fn value(tree: &Tree) -> String {
    match tree {
        Tree::Array(items) => {
            let items: Vec<String> = items.iter().map(value).collect();
            format!("[{}]", items.join(", "))
        }
        Tree::Object(members) if members.is_empty() => "{}".to_owned(),
        Tree::Object(members) => {
            let members: Vec<String> = members
                .iter()
                .map(|(name, member)| format!("{}: {}", key(name), value(member)))
                .collect();
            format!("{{ {} }}", members.join(", "))
        }
        scalar => json_text(scalar),
    }
}

/// A list of strings.
pub(super) fn list(texts: &[String]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
    format!("[{}]", texts.join(", "))
}

/// A union of string literals; `never` of none.
pub(super) fn union<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let texts: Vec<String> = texts.into_iter().map(quoted).collect();
    if texts.is_empty() {
        "never".to_owned()
    } else {
        texts.join(" | ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_what_the_json_says() {
        for (json, literal) in [
            ("null", "null"),
            (
                "[1.5,-2,\"a\\\"\\n\\u0001é\"]",
                "[1.5, -2, \"a\\\"\\n\\u0001é\"]",
            ),
            ("{}", "{}"),
            (
                "{\"a\":{\"b-c\":true},\"2\":[],\"__proto__\":1}",
                "{ a: { \"b-c\": true }, \"2\": [], [\"__proto__\"]: 1 }",
            ),
        ] {
            assert_eq!(value(&Tree::parse(json).unwrap()), literal);
        }
    }

    #[test]
    fn unions() {
        assert_eq!(union(["a", "b"]), "\"a\" | \"b\"");
        assert_eq!(union([]), "never");
    }
}
