//! Random schemas of the dialect, and documents that nearly fit them.

use std::fmt::Write as _;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::Union;
use serde_json::{Map, Value, json};

/// Members that schemas declare and documents use; some need escapes.
const KEYS: [&str; 6] = ["a", "b", "id", "x/y~z", "q\"t", "é"];

/// Bounds of integers. A schema states both, since without them integers beyond 64 bits
/// are a named exception to the oracle's verdict.
const BOUNDS: [i64; 7] = [
    -9_007_199_254_740_991,
    -3,
    0,
    1,
    5,
    64,
    9_007_199_254_740_991,
];

/// A schema of the dialect, a few levels deep.
pub(crate) fn schema() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!({})),
        Just(json!({"type": "null"})),
        Just(json!({"type": "boolean"})),
        Just(json!({"type": "string", "enum": ["now", "later", "é\""]})),
        (0u32..4, 0u32..6).prop_map(|(min, more)| json!({
            "type": "string", "minLength": min, "maxLength": min + more
        })),
        (select(&BOUNDS[..]), select(&BOUNDS[..])).prop_map(|(one, other)| json!({
            "type": "integer", "minimum": one.min(other), "maximum": one.max(other)
        })),
        (-4i32..4, 0i32..9).prop_map(|(min, more)| json!({
            "type": "number", "minimum": f64::from(min) / 2.0, "maximum": min + more
        })),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            2 => (inner.clone(), 0u32..3, 0u32..3).prop_map(|(items, min, more)| json!({
                "type": "array", "items": items, "minItems": min, "maxItems": min + more
            })),
            5 => object(inner.clone()),
            2 => inner.clone().prop_map(|inner| json!({"anyOf": [inner, {"type": "null"}]})),
            2 => proptest::collection::vec(object(inner.clone()), 2..4).prop_map(tagged),
            1 => proptest::collection::vec(inner, 2..4).prop_map(|all| json!({"oneOf": all})),
        ]
    })
}

fn object(inner: impl Strategy<Value = Value> + Clone + 'static) -> impl Strategy<Value = Value> {
    let member = (select(&KEYS[..]), inner.clone(), any::<bool>());
    let extra = prop_oneof![
        3 => Just(json!(false)),
        1 => Just(json!(true)),
        1 => inner,
    ];
    (proptest::collection::vec(member, 0..5), extra).prop_map(|(members, extra)| {
        let mut properties = Map::new();
        let mut required = Vec::new();
        for (key, schema, is_required) in members {
            if properties.insert(key.to_owned(), schema).is_none() && is_required {
                required.push(key);
            }
        }
        json!({
            "type": "object", "properties": properties, "required": required,
            "additionalProperties": extra
        })
    })
}

/// The objects as variants of a union, told apart by the member `kind`.
fn tagged(mut objects: Vec<Value>) -> Value {
    for (at, object) in objects.iter_mut().enumerate() {
        object["properties"]["kind"] = json!({"type": "string", "enum": [format!("v{at}")]});
        object["required"]
            .as_array_mut()
            .unwrap()
            .push("kind".into());
        object["additionalProperties"] = json!(false);
    }
    json!({"oneOf": objects})
}

/// A document that mostly fits `schema`; any part of it may be something else.
pub(crate) fn document(schema: &Value) -> BoxedStrategy<Value> {
    prop_oneof![
        24 => near(schema),
        1 => anything(),
    ]
    .boxed()
}

fn near(schema: &Value) -> BoxedStrategy<Value> {
    if let Some(alternatives) = schema.get("anyOf").or_else(|| schema.get("oneOf")) {
        let alternatives = alternatives.as_array().unwrap();
        return Union::new(alternatives.iter().map(document)).boxed();
    }
    if let Some(values) = schema.get("enum") {
        return select(values.as_array().unwrap().clone()).boxed();
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("null") => Just(Value::Null).boxed(),
        Some("boolean") => any::<bool>().prop_map(Value::Bool).boxed(),
        Some("string") => {
            let (fewest, most) = around(schema, "minLength", "maxLength");
            let char = select(vec!['a', 'é', '€', '😀', '"', '\\', '\n']);
            proptest::collection::vec(char, fewest..=most)
                .prop_map(|chars| chars.into_iter().collect::<String>().into())
                .boxed()
        }
        Some("integer" | "number") => number(schema),
        Some("array") => {
            let (fewest, most) = around(schema, "minItems", "maxItems");
            proptest::collection::vec(document(&schema["items"]), fewest..=most)
                .prop_map(Value::Array)
                .boxed()
        }
        Some("object") => members(schema),
        _ => anything(),
    }
}

/// Sizes from one too few to one too many.
fn around(schema: &Value, min: &str, max: &str) -> (usize, usize) {
    let bound = |keyword: &str| usize::try_from(schema[keyword].as_u64().unwrap()).unwrap();
    (bound(min).saturating_sub(1), bound(max) + 1)
}

fn number(schema: &Value) -> BoxedStrategy<Value> {
    let stated = ["minimum", "maximum"].map(|keyword| schema.get(keyword)?.as_f64());
    let base: Vec<f64> = stated.into_iter().flatten().collect();
    let step = select(vec![0.0, 0.0, 1.0, -1.0, 2.0, -2.0, 0.5]);
    (select(base), step, any::<bool>())
        .prop_map(|(base, step, as_float)| {
            let value = base + step;
            if as_float || value.fract() != 0.0 {
                json!(value)
            } else {
                json!(value as i64)
            }
        })
        .boxed()
}

fn members(schema: &Value) -> BoxedStrategy<Value> {
    let mut parts: Vec<BoxedStrategy<Option<(String, Value)>>> = Vec::new();
    for (key, member) in schema["properties"].as_object().unwrap() {
        let key = key.clone();
        let present = document(member).prop_map(move |value| Some((key.clone(), value)));
        parts.push(prop_oneof![12 => present, 1 => Just(None)].boxed());
    }
    let extra = &schema["additionalProperties"];
    let value = if extra.is_object() {
        document(extra)
    } else {
        anything()
    };
    let frequency = if *extra == json!(false) { 1 } else { 8 };
    let unknown = (select(&KEYS[..]), value).prop_map(|(key, value)| Some((key.into(), value)));
    parts.push(prop_oneof![frequency => unknown, 12 => Just(None)].boxed());
    // In reverse, so that a declared member wins over an unknown one of its name.
    parts
        .prop_map(|parts| Value::Object(parts.into_iter().rev().flatten().collect()))
        .boxed()
}

/// Any small JSON value.
fn anything() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        (-9i64..70).prop_map(|number| json!(number)),
        select(vec![json!(1.0), json!(-0.0), json!(0.5), json!(1e300)]),
        select(vec!["", "now", "v0", "null", "[{\"", "😀é"]).prop_map(|text| json!(text)),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            proptest::collection::btree_map(select(&KEYS[..]), inner, 0..3)
                .prop_map(|members| json!(members)),
        ]
    })
    .boxed()
}

/// How a document is written down.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Spelling {
    Plain,
    /// Every character of every string as `\u` escapes, members in reverse.
    Escaped,
    /// White space wherever it may be.
    Spaced,
}

pub(crate) fn spelling() -> impl Strategy<Value = Spelling> {
    select(vec![Spelling::Plain, Spelling::Escaped, Spelling::Spaced])
}

/// `value` as a text.
pub(crate) fn write(value: &Value, spelling: Spelling) -> String {
    let mut text = String::new();
    push(&mut text, value, spelling);
    text
}

fn push(text: &mut String, value: &Value, spelling: Spelling) {
    let gap = match spelling {
        Spelling::Spaced => " \n\t",
        Spelling::Plain | Spelling::Escaped => "",
    };
    text.push_str(gap);
    match value {
        Value::String(content) => push_string(text, content, spelling),
        Value::Array(items) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                text.push_str(if at == 0 { "" } else { "," });
                push(text, item, spelling);
            }
            text.push_str(gap);
            text.push(']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            if let Spelling::Escaped = spelling {
                members.reverse();
            }
            text.push('{');
            for (at, (key, value)) in members.into_iter().enumerate() {
                text.push_str(if at == 0 { "" } else { "," });
                text.push_str(gap);
                push_string(text, key, spelling);
                text.push_str(gap);
                text.push(':');
                push(text, value, spelling);
            }
            text.push_str(gap);
            text.push('}');
        }
        other => text.push_str(&other.to_string()),
    }
    text.push_str(gap);
}

fn push_string(text: &mut String, content: &str, spelling: Spelling) {
    let Spelling::Escaped = spelling else {
        text.push_str(&json!(content).to_string());
        return;
    };
    text.push('"');
    for unit in content.encode_utf16() {
        write!(text, "\\u{unit:04x}").unwrap();
    }
    text.push('"');
}
