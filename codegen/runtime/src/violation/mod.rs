//! Lists everything that is wrong with a value, in the words and order of the
//! validator that the original gateway uses (contract 6.3; odd 63 for the deliberate
//! differences). Called off the hot path, for texts that were refused.

#[cfg(test)]
mod tests;

use std::fmt::{self, Write as _};

use serde_json::Number;

use crate::node::{Extra, Node, Obj, UNBOUNDED, Variant, integral, variant};
use crate::tree::Tree;

/// The most violations listed. A message with more helps nobody, and without a bound
/// a frame of many bad members would be answered by a far larger one.
pub const MAX_VIOLATIONS: usize = 128;

/// Bytes of paths and messages after which nothing more is listed, for the same
/// reason: each path repeats the sender's own keys.
pub const MAX_VIOLATION_BYTES: usize = 32 * 1024;

/// One thing that is wrong with a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// JSON pointer to the value that violates; empty for the whole value. For an
    /// unexpected or missing property: to the object.
    pub path: String,
    /// The violated keyword of JSON Schema, such as `required`.
    pub keyword: &'static str,
    /// What must be different, such as `must be string`.
    pub message: String,
}

/// Everything about `value` that does not fit `node`, up to [`MAX_VIOLATIONS`]
/// entries and [`MAX_VIOLATION_BYTES`]; empty if and only if it fits.
#[must_use]
pub fn violations(node: &'static Node, value: &Tree) -> Vec<Violation> {
    violations_at(node, NEWEST, value)
}

/// As [`violations`], for a client of an older protocol version: members that are newer than that count as
/// undeclared.
#[must_use]
pub fn violations_at(node: &'static Node, version: u64, value: &Tree) -> Vec<Violation> {
    let mut walk = Walk::new(version);
    walk.node(node, value);
    walk.found
}

/// In place of a protocol version: every member counts.
pub(crate) const NEWEST: u64 = u64::MAX;

/// One line for a client: `at /x: must be string; at root: unexpected property 'k'`.
///
/// Violations of the whole value have no prefix but for unexpected properties;
/// repeated parts appear once.
#[must_use]
pub fn describe(violations: &[Violation]) -> String {
    let mut parts: Vec<String> = Vec::with_capacity(violations.len());
    for Violation {
        path,
        keyword,
        message,
    } in violations
    {
        let part = match path.as_str() {
            "" if *keyword == "additionalProperties" && message != NAMELESS_EXTRA => {
                format!("at root: {message}")
            }
            "" => message.clone(),
            path => format!("at {path}: {message}"),
        };
        if !parts.contains(&part) {
            parts.push(part);
        }
    }
    if parts.is_empty() {
        "unknown validation error".to_owned()
    } else {
        parts.join("; ")
    }
}

/// The message for an unexpected property whose name is blank and so says nothing.
const NAMELESS_EXTRA: &str = "must NOT have additional properties";

/// The walk over a value. Its methods return whether the value fits.
struct Walk {
    /// Protocol version whose members are declared.
    version: u64,
    path: String,
    found: Vec<Violation>,
    bytes: usize,
}

impl Walk {
    fn new(version: u64) -> Self {
        Self {
            version,
            path: String::new(),
            found: Vec::new(),
            bytes: 0,
        }
    }

    fn is_full(&self) -> bool {
        self.found.len() >= MAX_VIOLATIONS || self.bytes >= MAX_VIOLATION_BYTES
    }

    fn push(&mut self, violation: Violation) {
        if !self.is_full() {
            self.bytes += violation.path.len() + violation.message.len();
            self.found.push(violation);
        }
    }

    fn fail(&mut self, keyword: &'static str, message: fmt::Arguments<'_>) -> bool {
        if !self.is_full() {
            self.push(Violation {
                path: self.path.clone(),
                keyword,
                message: message.to_string(),
            });
        }
        false
    }

    fn wrong_type(&mut self, expected: &str) -> bool {
        self.fail("type", format_args!("must be {expected}"))
    }

    fn no_alternative(&mut self) -> bool {
        self.fail("anyOf", format_args!("must match a schema in anyOf"))
    }

    /// Walks a value inside the current one.
    fn at(&mut self, token: &str, node: &'static Node, value: &Tree) -> bool {
        let parent = self.path.len();
        self.path.push('/');
        for char in token.chars() {
            match char {
                '~' => self.path.push_str("~0"),
                '/' => self.path.push_str("~1"),
                other => self.path.push(other),
            }
        }
        let fits = self.node(node, value);
        self.path.truncate(parent);
        fits
    }

    fn node(&mut self, node: &'static Node, value: &Tree) -> bool {
        if self.is_full() {
            // Nothing more will be listed, and what is around this does not fit already.
            return false;
        }
        match (node, value) {
            (Node::Any, _) | (Node::Null, Tree::Null) | (Node::Bool, Tree::Bool(_)) => true,
            (Node::Null, _) => self.wrong_type("null"),
            (Node::Bool, _) => self.wrong_type("boolean"),
            (Node::Str { min, max }, Tree::String(text)) => self.string(text, *min, *max),
            (Node::Str { .. }, _) => self.wrong_type("string"),
            (Node::Int { min, max }, Tree::Number(number)) => self.integer(number, *min, *max),
            (Node::Int { .. }, _) => self.wrong_type("integer"),
            (Node::Num { min, max }, Tree::Number(number)) => self.number(number, *min, *max),
            (Node::Num { .. }, _) => self.wrong_type("number"),
            (Node::Enum { values }, _) => {
                self.constant(values, value) || (values.len() > 1 && self.no_alternative())
            }
            (Node::Nullable(_), Tree::Null) => true,
            (Node::Nullable(inner), _) => self.nullable(inner, value),
            (Node::Arr { items, min, max }, Tree::Array(array)) => {
                self.array(array, items, *min, *max)
            }
            (Node::Arr { .. }, _) => self.wrong_type("array"),
            (Node::Obj(object), Tree::Object(members)) => self.object(object, members),
            (Node::Obj(_), _) => self.wrong_type("object"),
            (Node::Tagged { tag, variants }, _) => {
                self.tagged(tag, variants, value) || self.no_alternative()
            }
            (Node::OneOf(alternatives), _) => self.one_of(alternatives, value),
        }
    }

    fn string(&mut self, text: &str, min: u32, max: u32) -> bool {
        let points = text.chars().count();
        let mut fits = true;
        if max != UNBOUNDED && points > max as usize {
            fits = self.fail(
                "maxLength",
                format_args!("must NOT have more than {max} characters"),
            );
        }
        if points < min as usize {
            fits = self.fail(
                "minLength",
                format_args!("must NOT have fewer than {min} characters"),
            );
        }
        fits
    }

    fn integer(&mut self, number: &Number, min: i64, max: i64) -> bool {
        let float = number.as_f64().unwrap_or(f64::NAN);
        let mut fits = true;
        if float.fract() != 0.0 {
            fits = self.wrong_type("integer");
        }
        let (above, below) = match number.as_i64().or_else(|| integral(float)) {
            Some(integer) => (integer > max, integer < min),
            None if float.fract() != 0.0 => (float > max as f64, float < min as f64),
            // Beyond 64 bits, so beyond any bounds.
            None => (float > 0.0, float < 0.0),
        };
        if min == max {
            // One value alone is a constant: the original words it so.
            return if above || below {
                self.fail("const", format_args!("must be equal to constant"))
            } else {
                fits
            };
        }
        if above {
            fits = self.fail("maximum", format_args!("must be <= {max}"));
        }
        if below {
            fits = self.fail("minimum", format_args!("must be >= {min}"));
        }
        fits
    }

    fn number(&mut self, number: &Number, min: f64, max: f64) -> bool {
        let float = number.as_f64().unwrap_or(f64::NAN);
        let mut fits = true;
        if float > max {
            fits = self.fail("maximum", format_args!("must be <= {max}"));
        }
        if float < min {
            fits = self.fail("minimum", format_args!("must be >= {min}"));
        }
        fits
    }

    fn constant(&mut self, values: &[&str], value: &Tree) -> bool {
        match value.as_str() {
            Some(text) if values.contains(&text) => return true,
            Some(_) => {}
            None => {
                self.wrong_type("string");
            }
        }
        self.fail("const", format_args!("must be equal to constant"))
    }

    /// A string set lists `null` beside its constants, in one union, so its own
    /// "anyOf" part comes last and once.
    fn nullable(&mut self, inner: &'static Node, value: &Tree) -> bool {
        let fits = match inner {
            Node::Enum { values } => self.constant(values, value),
            _ => self.node(inner, value),
        };
        if !fits {
            self.wrong_type("null");
            self.no_alternative();
        }
        fits
    }

    fn array(&mut self, array: &[Tree], items: &'static Node, min: u32, max: u32) -> bool {
        let mut fits = true;
        if max != UNBOUNDED && array.len() > max as usize {
            fits = self.fail(
                "maxItems",
                format_args!("must NOT have more than {max} items"),
            );
        }
        if array.len() < min as usize {
            fits = self.fail(
                "minItems",
                format_args!("must NOT have fewer than {min} items"),
            );
        }
        let mut token = String::new();
        for (index, item) in array.iter().enumerate() {
            token.clear();
            // Writing to a String cannot fail.
            let _ = write!(token, "{index}");
            fits &= self.at(&token, items, item);
        }
        fits
    }

    fn object(&mut self, object: &'static Obj, members: &[(String, Tree)]) -> bool {
        let mut declared: Vec<Option<&Tree>> = vec![None; object.props.len()];
        let mut extra = Vec::new();
        let mut hint = 0;
        for (key, value) in members {
            match object.props.position(key, hint) {
                Some(at) if !object.is_newer(key, self.version) => {
                    declared[at] = Some(value);
                    hint = at + 1;
                }
                _ => extra.push((key, value)),
            }
        }

        let mut fits = true;
        for name in object.required {
            let present = object
                .props
                .position(name, 0)
                .is_some_and(|at| declared[at].is_some());
            if !present {
                fits = self.fail(
                    "required",
                    format_args!("must have required property '{name}'"),
                );
            }
        }
        for (key, value) in extra {
            fits &= self.extra_member(&object.extra, key, value);
        }
        for (prop, value) in object.props.iter().zip(declared) {
            if let Some(value) = value {
                fits &= self.at(prop.name, prop.node, value);
            }
        }
        fits
    }

    fn extra_member(&mut self, rule: &'static Extra, key: &str, value: &Tree) -> bool {
        match rule {
            Extra::Any => true,
            Extra::Each(node) => self.at(key, node, value),
            Extra::Closed if key.trim().is_empty() => {
                self.fail("additionalProperties", format_args!("{NAMELESS_EXTRA}"))
            }
            Extra::Closed => self.fail(
                "additionalProperties",
                format_args!("unexpected property '{key}'"),
            ),
        }
    }

    /// Only the variant that the tag chooses is listed, not every one (odd 63).
    fn tagged(&mut self, tag: &'static str, variants: &'static [Variant], value: &Tree) -> bool {
        if value.as_object().is_none() {
            return self.wrong_type("object");
        }
        let Some(name) = value.get(tag) else {
            return self.fail(
                "required",
                format_args!("must have required property '{tag}'"),
            );
        };
        match name.as_str().and_then(|name| variant(variants, name)) {
            Some((_, node)) => self.node(node, value),
            None => self.at(tag, &UNKNOWN_TAG, name),
        }
    }

    /// Lists what every alternative asks for when none fits. Each is walked on its own,
    /// so that a list that is full with one does not speak for the next.
    fn one_of(&mut self, alternatives: &'static [&'static Node], value: &Tree) -> bool {
        let mut fitting = 0;
        let mut branches = Vec::new();
        for node in alternatives {
            let mut branch = Walk {
                path: self.path.clone(),
                ..Walk::new(self.version)
            };
            fitting += usize::from(branch.node(node, value));
            branches.append(&mut branch.found);
        }
        if fitting == 1 {
            return true;
        }
        if fitting == 0 {
            branches
                .into_iter()
                .for_each(|violation| self.push(violation));
        }
        self.fail(
            "oneOf",
            format_args!("must match exactly one schema in oneOf"),
        )
    }
}

/// No string fits: a tag that names no variant is reported as a wrong constant.
static UNKNOWN_TAG: Node = Node::Enum { values: &[] };
