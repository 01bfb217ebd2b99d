//! What the two standard documents share: the definitions under `components/schemas`, and where a gateway
//! is found. Read by [`super::openrpc`] and [`super::asyncapi`].

use serde_json::{Map, Value, json};

use super::bundle;
use crate::model::Type;

/// Host and port of a gateway that was started without further words (contract 1.1).
pub(super) const HOST: &str = "127.0.0.1:18789";

const BUNDLED: &str = "#/definitions/";
const COMPONENT: &str = "#/components/schemas/";

/// The bundle's definitions, referring to each other under `components/schemas`.
pub(super) fn schemas(bundle: &Value) -> Value {
    let mut schemas = bundle["definitions"].clone();
    move_refs(&mut schemas);
    schemas
}

/// The schema of a type.
pub(super) fn schema(ty: &Type) -> Value {
    let mut schema = bundle::schema(ty);
    move_refs(&mut schema);
    schema
}

/// A reference to a definition.
pub(super) fn refer(name: &str) -> Value {
    json!({ "$ref": format!("{COMPONENT}{name}") })
}

/// The same, or null.
pub(super) fn refer_or_null(name: &str, nullable: bool) -> Value {
    if nullable {
        json!({ "anyOf": [refer(name), { "type": "null" }] })
    } else {
        refer(name)
    }
}

/// A name as one step of a JSON pointer.
pub(super) fn step(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Puts a member in where there is something to say.
pub(super) fn put(object: &mut Map<String, Value>, name: &str, text: &str) {
    if !text.is_empty() {
        object.insert(name.to_owned(), json!(text));
    }
}

fn move_refs(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(target) if name == "$ref" => {
                        if let Some(definition) = target.strip_prefix(BUNDLED) {
                            *target = format!("{COMPONENT}{definition}");
                        }
                    }
                    other => move_refs(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(move_refs),
        _ => {}
    }
}
