//! Types and values as one short phrase each, for the lines of a report.

use crate::model::{Extra, Type};

/// Characters of a description that a line shows.
const SHOWN: usize = 60;

/// A text in quotes, cut where it is long.
pub(super) fn short(text: &str) -> String {
    if text.chars().count() <= SHOWN {
        return format!("{text:?}");
    }
    let start: String = text.chars().take(SHOWN).collect();
    format!("{start:?}…")
}

/// Names with commas, or `none`.
pub(super) fn names(names: &[String]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

/// `required` or `optional` with the type.
pub(super) fn member(member: &crate::model::Member) -> String {
    let required = if member.required {
        "required"
    } else {
        "optional"
    };
    format!("{required} {}", of(&member.ty))
}

/// A type.
pub(super) fn of(ty: &Type) -> String {
    match ty {
        Type::Any { .. } => "any value".to_owned(),
        Type::Lenient(_) => "a value that is not validated".to_owned(),
        Type::Boolean => "boolean".to_owned(),
        Type::String { .. } => "string".to_owned(),
        Type::Enum(values) => match values.as_slice() {
            [one] => format!("{one:?}"),
            all => format!("one of {} words", all.len()),
        },
        Type::Integer { .. } => "integer".to_owned(),
        Type::Number { .. } => "number".to_owned(),
        Type::Array { items, .. } => format!("list of {}", of(items)),
        Type::Object(object) if object.members.is_empty() => match &object.extra {
            Extra::Kept(ty) => format!("map of {}", of(ty)),
            _ => "object".to_owned(),
        },
        Type::Object(_) => "object".to_owned(),
        Type::Ref(name) => name.clone(),
        Type::Nullable(inner) => format!("{} or null", of(inner)),
        Type::Tagged { tag, .. } => format!("union by {tag:?}"),
        Type::OneOf(names) => names.join(" or "),
    }
}

/// Bounds as `1..64`; an end that is missing is open.
pub(super) fn range((low, high): (f64, f64)) -> String {
    let end = |bound: f64| {
        if bound.is_finite() {
            bound.to_string()
        } else {
            String::new()
        }
    };
    format!("{}..{}", end(low), end(high))
}
