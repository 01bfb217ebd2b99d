//! One self-contained JSON Schema document, draft-07, for tools that know nothing of our layout, for
//! the oracle of the property tests, and to be recorded when a version is released.
//!
//! `definitions` has every definition, the `x-` members have everything else that the schema says: the
//! whole protocol but for the examples. `recorded` reads it back, so `breaking` can compare with it.
//! What draft-07 has no word for stands in keywords that validators pass over: `x-file` (where a
//! definition is written), `x-lenient`, `x-patch`, `x-secret`, `x-since`, `x-swift-name`, and words beside `$ref`.

mod protocol;

use serde_json::{Map, Value, json};

use crate::model::{Extra, Member, Model, Object, Type};

/// The bundle.
pub fn bundle(model: &Model) -> Value {
    let mut definitions = Map::new();
    for definition in &model.definitions {
        let mut schema = schema(&definition.ty);
        describe(&mut schema, &definition.description);
        schema["x-file"] = json!(definition.file);
        definitions.insert(definition.name.clone(), schema);
    }
    let mut out = protocol::members(model);
    out.insert(
        "$schema".into(),
        json!("http://json-schema.org/draft-07/schema#"),
    );
    out.insert(
        "$id".into(),
        json!(format!(
            "https://openclaw.invalid/schema/dist/protocol-{}.json",
            model.version
        )),
    );
    out.insert("title".into(), json!(model.name));
    out.insert("description".into(), json!(model.description));
    out.insert("definitions".into(), Value::Object(definitions));
    Value::Object(out)
}

fn describe(schema: &mut Value, description: &str) {
    if !description.is_empty() {
        schema["description"] = json!(description);
    }
}

/// The draft-07 schema of a type; definitions are referred to under `definitions`.
pub(super) fn schema(ty: &Type) -> Value {
    match ty {
        Type::Any { secret: false } => json!({}),
        Type::Any { secret: true } => json!({ "x-secret": true }),
        Type::Lenient(members) => json!({ "x-lenient": properties(members) }),
        Type::Boolean => json!({ "type": "boolean" }),
        Type::String { min, max, secret } => {
            let mut out = json!({ "type": "string" });
            if *min > 0 {
                out["minLength"] = json!(min);
            }
            if let Some(max) = max {
                out["maxLength"] = json!(max);
            }
            if *secret {
                out["x-secret"] = json!(true);
            }
            out
        }
        Type::Enum(values) => json!({ "type": "string", "enum": values }),
        Type::Integer { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Type::Number { min, max } => {
            let mut out = json!({ "type": "number" });
            if let Some(min) = min {
                out["minimum"] = json!(min);
            }
            if let Some(max) = max {
                out["maximum"] = json!(max);
            }
            out
        }
        Type::Array { items, min, max } => {
            let mut out = json!({ "type": "array", "items": schema(items) });
            if *min > 0 {
                out["minItems"] = json!(min);
            }
            if let Some(max) = max {
                out["maxItems"] = json!(max);
            }
            out
        }
        Type::Object(object) => object_schema(object),
        Type::Ref(name) => reference(name),
        Type::Nullable(inner) => json!({ "anyOf": [schema(inner), { "type": "null" }] }),
        Type::Tagged { variants, .. } => {
            let list: Vec<Value> = variants
                .iter()
                .map(|(_, object, description)| {
                    let mut out = object_schema(object);
                    describe(&mut out, description);
                    out
                })
                .collect();
            json!({ "oneOf": list })
        }
        Type::OneOf(names) => {
            let list: Vec<Value> = names.iter().map(|name| reference(name)).collect();
            json!({ "oneOf": list })
        }
    }
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/definitions/{name}") })
}

fn properties(members: &[Member]) -> Map<String, Value> {
    members
        .iter()
        .map(|member| {
            let mut value = schema(&member.ty);
            describe(&mut value, &member.description);
            if member.patch {
                value["x-patch"] = json!(true);
            }
            if let Some(name) = &member.swift_name {
                value["x-swift-name"] = json!(name);
            }
            if member.since > 0 {
                value["x-since"] = json!(member.since);
            }
            (member.name.clone(), value)
        })
        .collect()
}

fn object_schema(object: &Object) -> Value {
    let required: Vec<&str> = object
        .members
        .iter()
        .filter(|member| member.required)
        .map(|member| member.name.as_str())
        .collect();
    let mut out = json!({ "type": "object" });
    if !object.members.is_empty() {
        out["properties"] = Value::Object(properties(&object.members));
    }
    if !required.is_empty() {
        out["required"] = json!(required);
    }
    out["additionalProperties"] = match &object.extra {
        Extra::Closed => json!(false),
        Extra::Ignored => json!(true),
        Extra::Kept(ty) => schema(ty),
    };
    out
}
