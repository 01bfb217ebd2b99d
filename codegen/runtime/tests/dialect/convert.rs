//! Schema of the dialect → table, as the generator does it, for schemas that exist
//! only while a test runs. The tables are leaked: tables are static.

use openclaw_schema_runtime::{Extra, MAX_REQUIRED, Node, Obj, Prop, Props, UNBOUNDED};
use serde_json::Value;

/// The table of `schema`. References are resolved within `root` and written out, so
/// they must not be recursive.
pub(crate) fn table(root: &Value, schema: &Value) -> &'static Node {
    leak(node(root, schema))
}

fn node(root: &Value, schema: &Value) -> Node {
    if let Some(reference) = schema.get("$ref") {
        let pointer = reference.as_str().unwrap().trim_start_matches('#');
        return node(root, root.pointer(pointer).unwrap());
    }
    if let Some(alternatives) = list(schema, "anyOf") {
        let [inner, _null] = alternatives else {
            panic!("anyOf is for nullability only: {schema}");
        };
        return Node::Nullable(table(root, inner));
    }
    if let Some(alternatives) = list(schema, "oneOf") {
        return union(root, alternatives);
    }
    if let Some(values) = list(schema, "enum") {
        return Node::Enum {
            values: strings(values),
        };
    }
    match schema.get("type").map(|name| name.as_str().unwrap()) {
        None => Node::Any,
        Some("null") => Node::Null,
        Some("boolean") => Node::Bool,
        Some("string") => Node::Str {
            min: size(schema, "minLength", 0),
            max: size(schema, "maxLength", UNBOUNDED),
        },
        Some("integer") => Node::Int {
            min: schema.get("minimum").map_or(i64::MIN, integer),
            max: schema.get("maximum").map_or(i64::MAX, integer),
        },
        Some("number") => Node::Num {
            min: bound(schema, "minimum", f64::NEG_INFINITY),
            max: bound(schema, "maximum", f64::INFINITY),
        },
        Some("array") => Node::Arr {
            items: schema
                .get("items")
                .map_or(leak(Node::Any), |items| table(root, items)),
            min: size(schema, "minItems", 0),
            max: size(schema, "maxItems", UNBOUNDED),
        },
        Some("object") => Node::Obj(leak(object(root, schema))),
        Some(other) => panic!("no such type in the dialect: {other}"),
    }
}

fn object(root: &Value, schema: &Value) -> Obj {
    let required = strings(list(schema, "required").unwrap_or_default());
    assert!(required.len() <= MAX_REQUIRED);
    let bit = |name: &str| {
        let at = required.iter().position(|key| *key == name);
        at.map_or(0, |at| 1 << at)
    };
    let none = serde_json::Map::new();
    let properties = match schema.get("properties") {
        Some(properties) => properties.as_object().unwrap(),
        None => &none,
    };
    let props: Vec<Prop> = properties
        .iter()
        .map(|(name, schema)| Prop {
            name: leak_str(name),
            node: table(root, schema),
            required: bit(name),
        })
        .collect();
    Obj {
        mask: props.iter().fold(0, |mask, prop| mask | prop.required),
        props: Props::new(props.leak()),
        required,
        newer: &[],
        extra: match schema.get("additionalProperties") {
            Some(Value::Bool(false)) => Extra::Closed,
            Some(Value::Bool(true)) => Extra::Any,
            Some(each) => Extra::Each(table(root, each)),
            None => panic!("the dialect states additionalProperties: {schema}"),
        },
    }
}

/// Tagged if every alternative is an object with a constant in one and the same member.
fn union(root: &Value, alternatives: &[Value]) -> Node {
    let Some(tag) = constant_member(&alternatives[0]) else {
        let nodes: Vec<_> = alternatives.iter().map(|one| table(root, one)).collect();
        return Node::OneOf(nodes.leak());
    };
    let variants: Vec<_> = alternatives
        .iter()
        .map(|variant| {
            let name = &variant["properties"][&tag]["enum"][0];
            (leak_str(name.as_str().unwrap()), table(root, variant))
        })
        .collect();
    Node::Tagged {
        tag: leak_str(&tag),
        variants: variants.leak(),
    }
}

fn constant_member(variant: &Value) -> Option<String> {
    let properties = variant.get("properties")?.as_object()?;
    let constant = |schema: &Value| list(schema, "enum").is_some_and(|set| set.len() == 1);
    let (name, _) = properties.iter().find(|(_, schema)| constant(schema))?;
    Some(name.clone())
}

fn list<'a>(schema: &'a Value, keyword: &str) -> Option<&'a [Value]> {
    Some(schema.get(keyword)?.as_array()?)
}

fn strings(values: &[Value]) -> &'static [&'static str] {
    let strings: Vec<_> = values
        .iter()
        .map(|value| leak_str(value.as_str().unwrap()))
        .collect();
    strings.leak()
}

fn size(schema: &Value, keyword: &str, default: u32) -> u32 {
    schema
        .get(keyword)
        .map_or(default, |value| integer(value).try_into().unwrap())
}

fn bound(schema: &Value, keyword: &str, default: f64) -> f64 {
    schema
        .get(keyword)
        .map_or(default, |value| value.as_f64().unwrap())
}

fn integer(value: &Value) -> i64 {
    value.as_i64().unwrap()
}

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

fn leak_str(text: &str) -> &'static str {
    text.to_owned().leak()
}
