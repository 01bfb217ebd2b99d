//! Mutations of JSON values: small, aimed at what validators get wrong.

use proptest::prelude::*;
use serde_json::{Value, json};

/// One change to a document.
#[derive(Clone, Debug)]
pub(crate) struct Mutation {
    /// Selects the place: the n-th value in document order, modulo their number.
    pub(crate) place: usize,
    /// What to do there.
    pub(crate) change: Change,
}

/// What is done to a value.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// Put another value in its place.
    Replace(Value),
    /// Remove it from its object or list.
    Remove,
    /// Add a member to the object, or an item to the list.
    Add(String, Value),
    /// Make a string this many characters long, each of two bytes.
    Stretch(usize),
    /// Repeat the items of a list.
    Repeat(usize),
    /// Wrap it into a list.
    Wrap,
}

/// Values that validators stumble over.
fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        prop::sample::select(vec![
            json!(0),
            json!(-1),
            json!(1),
            json!(12),
            json!(64),
            json!(65),
            json!(1000),
            json!(1001),
            json!(1.0),
            json!(-0.0),
            json!(1.5),
            json!(1e3),
            json!(1e30),
            json!(-1e30),
            json!(9_007_199_254_740_991_u64),
            json!(9_007_199_254_740_992_u64),
            json!(u64::MAX),
            json!(i64::MIN),
        ]),
        prop::sample::select(vec![
            "",
            "a",
            " ",
            "cli",
            "operator",
            "req",
            "\u{1F600}",
            "\"\\",
            "null"
        ])
        .prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
        Just(json!([""])),
        Just(json!(["a", 1, null])),
        Just(json!({"a": 1})),
    ]
}

/// A random mutation.
pub(crate) fn mutation() -> impl Strategy<Value = Mutation> {
    let key = prop::sample::select(vec![
        "extra", "id", "type", "params", "é", "a/b", "~", "a\nb", "kind", "status",
    ])
    .prop_map(str::to_owned);
    let change = prop_oneof![
        4 => value().prop_map(Change::Replace),
        2 => Just(Change::Remove),
        2 => (key, value()).prop_map(|(key, value)| Change::Add(key, value)),
        1 => prop::sample::select(vec![0usize, 1, 63, 64, 65, 100, 101]).prop_map(Change::Stretch),
        1 => prop::sample::select(vec![2usize, 13]).prop_map(Change::Repeat),
        1 => Just(Change::Wrap),
    ];
    (any::<usize>(), change).prop_map(|(place, change)| Mutation { place, change })
}

/// Applies a mutation to a copy.
pub(crate) fn mutated(document: &Value, mutation: &Mutation) -> Value {
    let mut document = document.clone();
    let count = count(&document);
    let mut index = mutation.place % count;
    apply(&mut document, &mut index, &mutation.change);
    document
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(members) => members.values().map(count).sum(),
        _ => 0,
    }
}

/// Returns true once the change is done; `Remove` is done by the parent.
fn apply(value: &mut Value, index: &mut usize, change: &Change) -> bool {
    if *index == 0 {
        change_here(value, change);
        return true;
    }
    *index -= 1;
    match value {
        Value::Array(items) => {
            for i in 0..items.len() {
                if *index == 0 && matches!(change, Change::Remove) {
                    items.remove(i);
                    return true;
                }
                if apply(&mut items[i], index, change) {
                    return true;
                }
            }
        }
        Value::Object(members) => {
            let keys: Vec<String> = members.keys().cloned().collect();
            for key in keys {
                if *index == 0 && matches!(change, Change::Remove) {
                    members.remove(&key);
                    return true;
                }
                if apply(&mut members[&key], index, change) {
                    return true;
                }
            }
        }
        _ => {}
    }
    false
}

fn change_here(value: &mut Value, change: &Change) {
    match (change, &mut *value) {
        (Change::Replace(new), _) => *value = new.clone(),
        (Change::Remove, _) => *value = Value::Null,
        (Change::Add(key, new), Value::Object(members)) => {
            members.insert(key.clone(), new.clone());
        }
        (Change::Add(_, new), Value::Array(items)) => items.push(new.clone()),
        (Change::Stretch(n), Value::String(text)) => *text = "é".repeat(*n),
        (Change::Repeat(n), Value::Array(items)) => {
            let once = items.clone();
            for _ in 1..*n {
                items.extend(once.iter().cloned());
            }
        }
        (Change::Wrap, _) => *value = json!([value.clone()]),
        _ => *value = Value::Bool(true),
    }
}
