//! What typify is shown of a type: no bounds, primitives written out.

use serde_json::{Map, Value, json};

use super::{RUNTIME, is_inlined};
use crate::model::{Definition, Extra, Model, Object, Type};

pub(super) fn simple_definition(model: &Model, definition: &Definition) -> Value {
    match &definition.ty {
        Type::Lenient(members) => simple_object(
            model,
            &Object {
                members: members.clone(),
                extra: Extra::Ignored,
            },
        ),
        other => simple(model, other),
    }
}

/// A type as typify should see it.
fn simple(model: &Model, ty: &Type) -> Value {
    match ty {
        // The runtime type stands for all open values that are secret.
        Type::Any { secret: true } => json!({ "$ref": "#/definitions/SecretValue" }),
        Type::Any { secret: false } => json!({}),
        Type::Lenient(_) => json!({ "type": "object" }),
        Type::Boolean => json!({ "type": "boolean" }),
        Type::String { min, secret, .. } => {
            // The runtime types stand for all strings with a lower bound and for all secrets.
            if *secret {
                json!({ "$ref": "#/definitions/SecretString" })
            } else if *min > 0 {
                json!({ "$ref": "#/definitions/NonEmptyString" })
            } else {
                json!({ "type": "string" })
            }
        }
        Type::Enum(values) => json!({ "type": "string", "enum": values }),
        Type::Integer { min, .. } if *min >= 0 => {
            json!({ "type": "integer", "format": "uint64", "minimum": 0 })
        }
        Type::Integer { .. } => json!({ "type": "integer", "format": "int64" }),
        Type::Number { .. } => json!({ "type": "number" }),
        Type::Array { items, .. } => json!({ "type": "array", "items": simple(model, items) }),
        Type::Object(object) => simple_object(model, object),
        Type::Ref(name) => {
            let target = &model.definition(name).ty;
            if RUNTIME.contains(&name.as_str()) || !is_inlined(model, target) {
                json!({ "$ref": format!("#/definitions/{name}") })
            } else {
                simple(model, target)
            }
        }
        Type::Nullable(inner) => json!({ "anyOf": [simple(model, inner), { "type": "null" }] }),
        Type::Tagged { variants, .. } => {
            let list: Vec<Value> = variants
                .iter()
                .map(|(_, object, description)| {
                    let mut schema = simple_object(model, object);
                    schema["description"] = json!(description);
                    schema
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

fn simple_object(model: &Model, object: &Object) -> Value {
    let mut properties = Map::new();
    let mut required = vec![];
    for member in &object.members {
        let mut schema = simple(model, &member.ty);
        if schema.get("$ref").is_none() {
            schema["description"] = json!(member.description);
        }
        properties.insert(member.name.clone(), schema);
        if member.required {
            required.push(member.name.clone());
        }
    }
    let extra = match &object.extra {
        Extra::Closed | Extra::Ignored => json!(false),
        Extra::Kept(ty) => simple(model, ty),
    };
    if properties.is_empty() && matches!(object.extra, Extra::Ignored) {
        return json!({ "type": "object", "properties": {}, "additionalProperties": false });
    }
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": extra,
    })
}
