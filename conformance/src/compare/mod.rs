//! Compares one actual frame with the recorded one, field by field, by the rules.

use std::fmt;

use serde_json::{Map, Value};

use crate::binding::{Binder, Conflict, Piece, pieces};
use crate::rules::{Found, Rules, Treatment};

/// Stands for any text where a recording was shortened.
const ANY_TEXT: &str = "<text>";
/// The first of January 2001: whatever is later counts as a time of day in milliseconds.
const EARLIEST_TIME: i64 = 978_307_200_000;

/// One place at which two frames differ.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// JSON pointer into the frame.
    pub pointer: String,
    /// What is wrong there.
    pub what: What,
}

/// What is wrong at a place.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// Another value than the recorded one.
    Value {
        /// The recorded one.
        expected: Value,
        /// The actual one.
        actual: Value,
    },
    /// Recorded, and not there.
    Missing(Value),
    /// There, and not recorded.
    Unexpected(Value),
    /// Not what the rule for this field asks for.
    Rule(String),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pointer = if self.pointer.is_empty() {
            "the frame"
        } else {
            &self.pointer
        };
        match &self.what {
            What::Value { expected, actual } => {
                write!(
                    f,
                    "{pointer}: expected {}, got {}",
                    short(expected),
                    short(actual)
                )
            }
            What::Missing(value) => write!(f, "{pointer}: missing, expected {}", short(value)),
            What::Unexpected(value) => write!(f, "{pointer}: unexpected, got {}", short(value)),
            What::Rule(message) => write!(f, "{pointer}: {message}"),
        }
    }
}

/// A value for a message: long ones are cut.
pub fn short(value: &Value) -> String {
    const LIMIT: usize = 300;
    let text = value.to_string();
    match text.char_indices().nth(LIMIT) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
        None => text,
    }
}

/// Compares `actual` with the recorded `expected`. `frame` is `event <name>` or `res <method>`. Ids that are seen for the
/// first time are bound in `binder`.
pub fn compare(
    rules: &Rules,
    frame: &str,
    binder: &mut Binder,
    expected: &Value,
    actual: &Value,
) -> Vec<Difference> {
    let mut comparison = Comparison {
        rules,
        frame,
        binder,
        path: Vec::new(),
        differences: Vec::new(),
    };
    comparison.value(None, expected, actual);
    comparison.differences
}

struct Comparison<'a> {
    rules: &'a Rules,
    frame: &'a str,
    binder: &'a mut Binder,
    path: Vec<String>,
    differences: Vec<Difference>,
}

impl Comparison<'_> {
    fn report(&mut self, what: What) {
        let escape = |s: &String| format!("/{}", s.replace('~', "~0").replace('/', "~1"));
        let pointer = self.path.iter().map(escape).collect();
        self.differences.push(Difference { pointer, what });
    }

    fn differ(&mut self, expected: &Value, actual: &Value) {
        self.report(What::Value {
            expected: expected.clone(),
            actual: actual.clone(),
        });
    }

    fn demand(&mut self, ok: bool, wanted: &str, actual: &Value) {
        if !ok {
            self.report(What::Rule(format!(
                "expected {wanted}, got {}",
                short(actual)
            )));
        }
    }

    fn bound(&mut self, result: Result<(), Conflict>) {
        if let Err(conflict) = result {
            self.report(What::Rule(conflict.message));
        }
    }

    /// The name of the field at hand: list positions do not count.
    fn field(&self) -> String {
        let named = self.path.iter().rev().find(|s| s.parse::<usize>().is_err());
        named.cloned().unwrap_or_else(|| "value".into())
    }

    fn found(&self, around: Option<&Map<String, Value>>, expected: Option<&Value>) -> Found {
        self.rules.find(self.frame, &self.path, around, expected)
    }

    fn value(&mut self, around: Option<&Map<String, Value>>, expected: &Value, actual: &Value) {
        let time = |v: &Value| v.as_i64().is_some_and(|n| n > EARLIEST_TIME);
        match self.found(around, Some(expected)).treatment {
            Treatment::Exact => self.exact(expected, actual),
            Treatment::Time | Treatment::Moment if !time(expected) => self.exact(expected, actual),
            Treatment::Time => self.demand(time(actual), "a time in milliseconds", actual),
            Treatment::Moment => match (expected.as_i64(), actual.as_i64()) {
                (Some(recorded), Some(now)) if time(actual) => {
                    let field = self.field();
                    let result = self.binder.bind_moment(&field, recorded, now);
                    self.bound(result);
                }
                _ => self.demand(false, "a time in milliseconds", actual),
            },
            Treatment::Count if expected.is_number() => {
                self.demand(
                    actual.as_u64().is_some(),
                    "an integer that is not negative",
                    actual,
                );
            }
            Treatment::Number if expected.is_number() => {
                self.demand(actual.is_number(), "a number", actual);
            }
            Treatment::Text if expected.is_string() => {
                self.demand(actual.is_string(), "a string", actual)
            }
            Treatment::Count | Treatment::Number | Treatment::Text => self.exact(expected, actual),
            Treatment::Identity => match (expected, actual) {
                (Value::String(recorded), Value::String(now)) if !now.is_empty() => {
                    let field = self.field();
                    let result = self.binder.bind(&field, recorded, now);
                    self.bound(result);
                }
                _ => self.exact(expected, actual),
            },
            Treatment::Shape => self.shape(&[expected], actual),
            Treatment::Entries => match (expected, actual) {
                (Value::Array(known), Value::Array(entries)) => self.entries(known, entries),
                _ => self.differ(expected, actual),
            },
            Treatment::Ignored => {}
            Treatment::Some => match (expected, actual) {
                (Value::Array(known), Value::Array(entries)) => self.some(known, entries),
                _ => self.differ(expected, actual),
            },
            treatment @ (Treatment::Unordered | Treatment::Includes) => match (expected, actual) {
                (Value::Array(expected), Value::Array(actual)) => {
                    self.unordered(expected, actual, treatment == Treatment::Includes);
                }
                _ => self.differ(expected, actual),
            },
        }
    }

    fn exact(&mut self, expected: &Value, actual: &Value) {
        match (expected, actual) {
            (Value::Object(expected), Value::Object(actual)) => self.objects(expected, actual),
            (Value::Array(expected), Value::Array(actual)) => {
                for i in 0..expected.len().max(actual.len()) {
                    self.path.push(i.to_string());
                    match (expected.get(i), actual.get(i)) {
                        (Some(e), Some(a)) => self.value(None, e, a),
                        (Some(e), None) => self.report(What::Missing(e.clone())),
                        (None, Some(a)) => self.report(What::Unexpected(a.clone())),
                        (None, None) => {}
                    }
                    self.path.pop();
                }
            }
            (Value::String(e), Value::String(a)) => {
                if let Some(result) = self.strings(e, a) {
                    self.bound(result);
                } else {
                    self.differ(expected, actual);
                }
            }
            _ if expected == actual => {}
            _ => self.differ(expected, actual),
        }
    }

    fn objects(&mut self, expected: &Map<String, Value>, actual: &Map<String, Value>) {
        for (key, recorded) in expected {
            self.path.push(key.clone());
            match actual.get(key) {
                Some(value) => self.value(Some(expected), recorded, value),
                None if self.found(Some(expected), Some(recorded)).optional => {}
                None => self.report(What::Missing(recorded.clone())),
            }
            self.path.pop();
        }
        for (key, value) in actual
            .iter()
            .filter(|(key, _)| !expected.contains_key(*key))
        {
            self.path.push(key.clone());
            if !self.found(Some(expected), None).added {
                self.report(What::Unexpected(value.clone()));
            }
            self.path.pop();
        }
    }

    /// None: the strings differ in what is not an id.
    fn strings(&mut self, expected: &str, actual: &str) -> Option<Result<(), Conflict>> {
        if expected == ANY_TEXT {
            return Some(Ok(()));
        }
        let (recorded, now) = (pieces(expected), pieces(actual));
        let alike = recorded.len() == now.len()
            && recorded.iter().zip(&now).all(|pair| match pair {
                (Piece::Literal(e), Piece::Literal(a)) => e == a,
                (Piece::Id(e, _), Piece::Id(a, _)) => e == a,
                (Piece::Time(_), Piece::Time(_)) => true,
                _ => false,
            });
        if !alike {
            return None;
        }
        let field = self.field();
        for pair in recorded.iter().zip(&now) {
            if let (Piece::Id(_, recorded), Piece::Id(_, now)) = pair
                && let Err(conflict) = self.binder.bind(&field, recorded, now)
            {
                return Some(Err(conflict));
            }
        }
        Some(Ok(()))
    }

    fn shape(&mut self, known: &[&Value], actual: &Value) {
        let same_type = |v: &&&Value| std::mem::discriminant(**v) == std::mem::discriminant(actual);
        let known: Vec<&Value> = known.iter().filter(same_type).copied().collect();
        if known.is_empty() {
            return self.demand(false, "another type", actual);
        }
        match actual {
            Value::Object(actual) => {
                let objects: Vec<&Map<String, Value>> =
                    known.iter().filter_map(|v| v.as_object()).collect();
                for (key, value) in actual {
                    let values: Vec<&Value> = objects.iter().filter_map(|o| o.get(key)).collect();
                    self.path.push(key.clone());
                    if values.is_empty() {
                        self.report(What::Unexpected(value.clone()));
                    } else {
                        self.shape(&values, value);
                    }
                    self.path.pop();
                }
                let always = |key: &&String| objects.iter().all(|o| o.contains_key(*key));
                for key in objects[0]
                    .keys()
                    .filter(always)
                    .filter(|key| !actual.contains_key(*key))
                {
                    self.path.push(key.clone());
                    self.report(What::Missing(objects[0][key].clone()));
                    self.path.pop();
                }
            }
            Value::Array(actual) => {
                let entries = known.iter().filter_map(|v| v.as_array()).flatten().cloned();
                self.entries(&entries.collect::<Vec<_>>(), actual);
            }
            _ => {}
        }
    }

    fn entries(&mut self, known: &[Value], actual: &[Value]) {
        if known.is_empty() {
            return;
        }
        let known: Vec<&Value> = known.iter().collect();
        for (i, entry) in actual.iter().enumerate() {
            self.path.push(i.to_string());
            self.shape(&known, entry);
            self.path.pop();
        }
    }

    fn some(&mut self, known: &[Value], actual: &[Value]) {
        let mut from = 0;
        for (i, entry) in actual.iter().enumerate() {
            self.path.push(i.to_string());
            if let Some(at) = known[from..].iter().position(|k| k == entry) {
                from += at + 1;
            } else if known.contains(entry) {
                self.report(What::Rule(format!(
                    "{} is out of the recorded order",
                    short(entry)
                )));
            } else {
                self.report(What::Unexpected(entry.clone()));
            }
            self.path.pop();
        }
    }

    /// Every expected entry takes the first entry that fits without a difference; what is left over is compared in order.
    fn unordered(&mut self, expected: &[Value], actual: &[Value], more: bool) {
        let mut free: Vec<usize> = (0..actual.len()).collect();
        let mut left = Vec::new();
        for (i, recorded) in expected.iter().enumerate() {
            let fit = free
                .iter()
                .position(|j| self.tried(i, recorded, &actual[*j]));
            match fit {
                Some(at) => {
                    free.remove(at);
                }
                None => left.push(i),
            }
        }
        let mut free = free.into_iter();
        for i in left {
            self.path.push(i.to_string());
            // Where there may be more, none of the rest is meant to be the missing one.
            match free.next().filter(|_| !more) {
                Some(j) => self.value(None, &expected[i], &actual[j]),
                None => self.report(What::Missing(expected[i].clone())),
            }
            self.path.pop();
        }
        for j in free.filter(|_| !more) {
            self.path.push(j.to_string());
            self.report(What::Unexpected(actual[j].clone()));
            self.path.pop();
        }
    }

    /// Whether two list entries are equal; only then their ids stay bound.
    fn tried(&mut self, position: usize, expected: &Value, actual: &Value) -> bool {
        let mut binder = self.binder.clone();
        let mut path = self.path.clone();
        path.push(position.to_string());
        let mut trial = Comparison {
            rules: self.rules,
            frame: self.frame,
            binder: &mut binder,
            path,
            differences: Vec::new(),
        };
        trial.value(None, expected, actual);
        let equal = trial.differences.is_empty();
        if equal {
            *self.binder = binder;
        }
        equal
    }
}

#[cfg(test)]
mod tests;
