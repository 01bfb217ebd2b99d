//! Definitions: tables of members, what else is allowed, examples and refusals.

use maud::{Markup, html};

use super::json::{NEWLINE, block, inline};
use super::words::{Words, list, type_anchor, type_link};
use crate::model::{Definition, Extra, Member, Object, Type};

/// The article of a definition that has its place among the types of its group.
pub(super) fn article(words: &Words, definition: &Definition) -> Markup {
    let anchor = type_anchor(&definition.name);
    html! {
        article id=(anchor) {
            h4 { a href={ "#" (anchor) } { (definition.name) } " " span.tag { "type" } }
            p.summary { (words.prose(&definition.description)) }
            (body(words, definition))
            @if let Some((first, rest)) = definition.examples.split_first() {
                (block(first))
                @if !rest.is_empty() {
                    details {
                        summary { (more(rest.len(), "more example")) }
                        @for example in rest { (block(example)) }
                    }
                }
            }
            (refusals(definition))
        }
        (NEWLINE)
    }
}

/// Members and rules of a definition.
pub(super) fn body(words: &Words, definition: &Definition) -> Markup {
    match &definition.ty {
        Type::Object(object) => html! { (object_body(words, object)) },
        Type::Lenient(members) if members.is_empty() => {
            html! { p { "Not looked at: any value is accepted, and none is needed." } }
        }
        Type::Lenient(members) => html! {
            p { "Not validated: members of another type count as absent." }
            (table(words, members))
        },
        Type::Tagged { tag, variants } => html! {
            p { "One of these, told apart by " code { (tag) } ":" }
            @for (value, object, description) in variants {
                p.variant { code { (tag) ": " (quoted(value)) } " " (words.prose(description)) }
                (object_body(words, object))
            }
        },
        other => html! { p { (capitalised(other)) (type_of(other)) "." } },
    }
}

/// Values that are refused, with the exact words.
pub(super) fn refusals(definition: &Definition) -> Markup {
    html! {
        @if !definition.counter_examples.is_empty() {
            details {
                summary { (more(definition.counter_examples.len(), "refused value")) }
                div.wide.refused { table {
                    thead { tr { th { "why" } th { "value" } th { "violations" } } }
                    tbody {
                        @for counter in &definition.counter_examples {
                            tr {
                                td { (counter.why) }
                                td { (inline(&counter.value)) }
                                td.words { (counter.violations) }
                            }
                        }
                    }
                } }
            }
        }
    }
}

/// `1 refused value`, `3 refused values`.
pub(super) fn more(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

fn object_body(words: &Words, object: &Object) -> Markup {
    html! {
        (table(words, &object.members))
        @match (&object.extra, object.members.is_empty()) {
            (Extra::Closed, true) => p { "No members." },
            (Extra::Closed, false) => {},
            (Extra::Ignored, true) => p { "Any members; none is looked at." },
            (Extra::Ignored, false) => p { "Other members are accepted and ignored." },
            (Extra::Kept(ty), true) => p { "A map: any names, each to " (type_of(ty)) "." },
            (Extra::Kept(ty), false) => p { "Other members are kept, each " (type_of(ty)) "." },
        }
    }
}

fn table(words: &Words, members: &[Member]) -> Markup {
    html! {
        @if !members.is_empty() {
            div.wide { table {
                thead { tr { th { "member" } th { "type" } th { "" } th { "what it is" } } }
                tbody {
                    @for member in members {
                        tr {
                            td { code { (member.name) } }
                            td { (type_of(&member.ty)) }
                            td.must { @if member.required { "required" } }
                            td.words {
                                (words.prose(&member.description))
                                @if member.patch { " " small { "null clears, absent keeps" } }
                            }
                        }
                        (NEWLINE)
                    }
                }
            } }
        }
    }
}

/// A type in a few words.
pub(super) fn type_of(ty: &Type) -> Markup {
    match ty {
        Type::Any { secret: true } => html! { "any value, secret" },
        Type::Any { .. } | Type::Lenient(_) => html! { "any value" },
        Type::Boolean => html! { "boolean" },
        Type::String { min, max, secret } => html! {
            "string" (count(*min, *max, "characters"))
            @if *secret { ", secret" }
        },
        Type::Enum(values) => html! {
            @if values.len() > 1 { "one of " }
            (list(values.iter().map(|v| html! { code { (quoted(v)) } }), ", "))
        },
        Type::Integer { min, max } => html! { "integer" (bounds(*min, *max)) },
        Type::Number { min, max } => html! {
            "number"
            @if let Some(min) = min { ", at least " (min) }
            @if let Some(max) = max { ", at most " (max) }
        },
        Type::Array { items, min, max } => html! {
            "list of " (type_of(items)) (count(*min, *max, "items"))
        },
        Type::Object(object) => match &object.extra {
            Extra::Kept(ty) => html! { "map to " (type_of(ty)) },
            _ => html! { "object" },
        },
        Type::Ref(name) => type_link(name),
        Type::Nullable(inner) => html! { (type_of(inner)) " or " code { "null" } },
        Type::Tagged { tag, .. } => html! { "object told apart by " code { (tag) } },
        Type::OneOf(names) => list(names.iter().map(|name| type_link(name)), " or "),
    }
}

/// Bounds of an integer; the greatest that JSON carries everywhere goes without saying.
fn bounds(min: i64, max: i64) -> String {
    const GREATEST: i64 = 9_007_199_254_740_991;
    match (min, max) {
        (min, GREATEST) if min == -GREATEST => String::new(),
        (min, GREATEST) => format!(" from {min}"),
        (min, max) => format!(" {min} to {max}"),
    }
}

fn count(min: u64, max: Option<u64>, what: &str) -> String {
    match (min, max) {
        (0, None) => String::new(),
        (1, None) => ", not empty".into(),
        (min, None) => format!(", at least {min} {what}"),
        (0, Some(max)) => format!(", at most {max} {what}"),
        (min, Some(max)) => format!(", {min} to {max} {what}"),
    }
}

/// What stands before a type that is a sentence of its own.
fn capitalised(ty: &Type) -> &'static str {
    match ty {
        Type::OneOf(_) => "Exactly one of ",
        Type::Ref(_) => "The same as ",
        _ => "Value: ",
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_in_words() {
        let string = |min, max| Type::String {
            min,
            max,
            secret: false,
        };
        for (ty, expected) in [
            (Type::ANY, "any value"),
            (Type::Any { secret: true }, "any value, secret"),
            (string(0, None), "string"),
            (string(1, None), "string, not empty"),
            (string(1, Some(64)), "string, 1 to 64 characters"),
            (string(0, Some(9)), "string, at most 9 characters"),
            (
                Type::Integer {
                    min: 0,
                    max: 9_007_199_254_740_991,
                },
                "integer from 0",
            ),
            (Type::Integer { min: 1, max: 5 }, "integer 1 to 5"),
            (
                Type::Nullable(Box::new(Type::Ref("Cup".into()))),
                "<a href=\"#type-Cup\">Cup</a> or <code>null</code>",
            ),
            (
                Type::Enum(vec!["a".into(), "<b>".into()]),
                "one of <code>&quot;a&quot;</code>, <code>&quot;&lt;b&gt;&quot;</code>",
            ),
            (
                Type::Array {
                    items: Box::new(string(0, None)),
                    min: 2,
                    max: None,
                },
                "list of string, at least 2 items",
            ),
        ] {
            assert_eq!(type_of(&ty).into_string(), expected);
        }
    }
}
