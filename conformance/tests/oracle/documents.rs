//! Documents of a schema of the original: random ones that it accepts.

use proptest::prelude::*;
use proptest::strategy::Union;
use serde_json::{Map, Value, json};

/// Strings of any use: keys, words of the protocol, what breaks naive code.
const TEXTS: [&str; 8] = [
    "main",
    "agent:main:main",
    "operator",
    "a",
    " ",
    "x-1",
    "é\u{1F600}",
    "\"\\\n",
];

/// Keys of maps.
const KEYS: [&str; 4] = ["main", "work", "A_KEY", "ö"];

/// The largest integer that both sides take.
const LARGEST: i64 = 9_007_199_254_740_991;

/// Members of a map, items of a list beyond what is required.
const MORE: usize = 2;

/// Documents that fit a schema. Knows the keywords that the original uses, and panics at others.
pub(crate) fn of(schema: &Value) -> BoxedStrategy<Value> {
    if let Some(branches) = schema.get("anyOf").and_then(Value::as_array) {
        return Union::new(branches.iter().map(of)).boxed();
    }
    if let Some(value) = schema.get("const") {
        return Just(value.clone()).boxed();
    }
    let number = |key: &str| schema.get(key).and_then(Value::as_i64);
    let size = |key: &str| number(key).and_then(|n| usize::try_from(n).ok());
    match schema.get("type").and_then(Value::as_str) {
        Some("string") => string(size("minLength").unwrap_or(0), size("maxLength")),
        Some("integer" | "number") => integer(number("minimum"), number("maximum")),
        Some("boolean") => any::<bool>().prop_map(Value::from).boxed(),
        Some("null") => Just(Value::Null).boxed(),
        Some("array") => {
            let min = size("minItems").unwrap_or(0);
            let max = size("maxItems").unwrap_or(min + MORE).min(min + MORE);
            prop::collection::vec(of(&schema["items"]), min..=max)
                .prop_map(Value::from)
                .boxed()
        }
        Some("object") => object(schema),
        None => prop::sample::select(vec![
            json!(null),
            json!(1),
            json!("x"),
            json!([1, "a"]),
            json!({"k": {"n": 1.5}}),
        ])
        .boxed(),
        Some(other) => panic!("a schema of type {other}"),
    }
}

fn string(min: usize, max: Option<usize>) -> BoxedStrategy<Value> {
    let fits = |text: &String| {
        let length = text.chars().count();
        length >= min && max.is_none_or(|max| length <= max)
    };
    let mut texts: Vec<String> = TEXTS.iter().map(|&text| text.to_owned()).collect();
    texts.extend([min, max.unwrap_or(min)].map(|length| "é".repeat(length)));
    texts.retain(fits);
    prop::sample::select(texts).prop_map(Value::from).boxed()
}

fn integer(min: Option<i64>, max: Option<i64>) -> BoxedStrategy<Value> {
    let (min, max) = (min.unwrap_or(-LARGEST), max.unwrap_or(LARGEST));
    let mut numbers = vec![min, max, 1, 2, 12, 60_000];
    numbers.retain(|n| (min..=max).contains(n));
    let numbers = prop::sample::select(numbers);
    // The same number as JavaScript may write it.
    let spelled = prop_oneof![
        6 => numbers.clone().prop_map(Value::from),
        1 => numbers.prop_map(|n| json!(n as f64)),
    ];
    spelled.boxed()
}

fn object(schema: &Value) -> BoxedStrategy<Value> {
    if let Some(patterns) = schema.get("patternProperties").and_then(Value::as_object) {
        let values = Union::new(patterns.values().map(of));
        return prop::collection::btree_map(prop::sample::select(&KEYS[..]), values, 0..=MORE)
            .prop_map(|map| {
                let members = map.into_iter().map(|(key, value)| (key.to_owned(), value));
                Value::Object(members.collect())
            })
            .boxed();
    }
    let required = schema.get("required").and_then(Value::as_array);
    let is_required = |name: &str| required.is_some_and(|names| names.iter().any(|n| n == name));
    let mut members: BoxedStrategy<Map<String, Value>> = Just(Map::new()).boxed();
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, member) in properties.into_iter().flatten() {
        let value = if is_required(name) {
            of(member).prop_map(Some).boxed()
        } else {
            prop::option::of(of(member)).boxed()
        };
        let name = name.clone();
        members = (members, value)
            .prop_map(move |(mut members, value)| {
                members.extend(value.map(|value| (name.clone(), value)));
                members
            })
            .boxed();
    }
    members.prop_map(Value::Object).boxed()
}
