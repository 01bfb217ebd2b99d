//! One self-contained JSON Schema document, draft-07, for tools that know nothing of our layout, for
//! the oracle of the property tests and (simplified) for typify.
//!
//! Top level: `definitions` (every definition), `x-methods` and `x-events` (which definition is params,
//! result or payload of which name), `x-protocol` (version).

use serde_json::{Map, Value, json};

use crate::model::{Extra, Member, Model, Object, Outcome, Type};

/// The bundle.
pub fn bundle(model: &Model) -> Value {
    let mut definitions = Map::new();
    for definition in &model.definitions {
        let mut schema = schema(&definition.ty);
        describe(&mut schema, &definition.description);
        definitions.insert(definition.name.clone(), schema);
    }
    let methods: Map<String, Value> = model
        .methods()
        .map(|method| {
            let mut entry = json!({ "params": method.params });
            match &method.result {
                Outcome::Single { payload, nullable } => {
                    entry["result"] = json!(payload);
                    if *nullable {
                        entry["nullableResult"] = json!(true);
                    }
                }
                Outcome::Staged {
                    first,
                    last,
                    failure,
                    ..
                } => {
                    entry["stages"] = json!([first, last]);
                    if let Some(failure) = failure {
                        entry["failure"] = json!(failure);
                    }
                }
            }
            if let Some(failure) = &method.failure {
                entry["failure"] = json!(failure);
            }
            (method.name.clone(), entry)
        })
        .collect();
    let events: Map<String, Value> = model
        .events()
        .map(|event| (event.name.clone(), json!({ "payload": event.payload })))
        .collect();
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": format!("https://openclaw.invalid/schema/dist/protocol-{}.json", model.version),
        "title": model.name,
        "description": model.description,
        "x-protocol": model.version,
        "x-methods": methods,
        "x-events": events,
        "definitions": definitions,
    })
}

fn describe(schema: &mut Value, description: &str) {
    if let Value::Object(map) = schema
        && !description.is_empty()
        // Siblings of $ref are ignored in draft-07; a description there would only mislead.
        && !map.contains_key("$ref")
    {
        map.insert("description".into(), json!(description));
    }
}

/// The draft-07 schema of a type; definitions are referred to under `definitions`.
pub(super) fn schema(ty: &Type) -> Value {
    match ty {
        Type::Any | Type::Lenient(_) => json!({}),
        Type::Boolean => json!({ "type": "boolean" }),
        Type::String { min, max, .. } => {
            let mut out = json!({ "type": "string" });
            if *min > 0 {
                out["minLength"] = json!(min);
            }
            if let Some(max) = max {
                out["maxLength"] = json!(max);
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
        Type::Ref(name) => json!({ "$ref": format!("#/definitions/{name}") }),
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
            let list: Vec<Value> = names
                .iter()
                .map(|name| json!({ "$ref": format!("#/definitions/{name}") }))
                .collect();
            json!({ "oneOf": list })
        }
    }
}

fn object_schema(object: &Object) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for Member {
        name,
        ty,
        required: must,
        description,
        ..
    } in &object.members
    {
        let mut value = schema(ty);
        describe(&mut value, description);
        properties.insert(name.clone(), value);
        if *must {
            required.push(json!(name));
        }
    }
    let mut out = json!({ "type": "object" });
    if !properties.is_empty() {
        out["properties"] = Value::Object(properties);
    }
    if !required.is_empty() {
        out["required"] = Value::Array(required);
    }
    out["additionalProperties"] = match &object.extra {
        Extra::Closed => json!(false),
        Extra::Ignored => json!(true),
        Extra::Kept(ty) => schema(ty),
    };
    out
}
