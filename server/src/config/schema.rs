//! The JSON Schema of the configuration, derived from its types.

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use serde_json::{Map, Value, json};

use super::Config;

/// The schema (draft-07), self-contained, for editors and configuration forms.
#[must_use]
pub fn schema() -> Value {
    let generator = SchemaSettings::draft07()
        .with(|settings| settings.inline_subschemas = true)
        .with_transform(Plain)
        .into_generator();
    generator.into_root_schema_for::<Config>().to_value()
}

/// Says things the way forms and messages can use: an absent value is not `null`, and a choice of words is an `enum`.
#[derive(Debug, Clone)]
struct Plain;

impl Transform for Plain {
    fn transform(&mut self, schema: &mut Schema) {
        if let Some(object) = schema.as_object_mut() {
            drop_null(object);
            words_as_enum(object);
        }
        transform_subschemas(self, schema);
    }
}

/// `Option<T>` means "may be absent", which members that are not required are anyway.
fn drop_null(schema: &mut Map<String, Value>) {
    if schema.get("default") == Some(&Value::Null) {
        schema.remove("default");
    }
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [kind] = types.as_mut_slice() {
            let kind = kind.take();
            schema.insert("type".to_owned(), kind);
        }
    }
    if let Some(Value::Array(branches)) = schema.get_mut("anyOf") {
        branches.retain(|branch| branch.get("type").is_none_or(|kind| kind != "null"));
        if let [Value::Object(branch)] = branches.as_mut_slice() {
            let branch = std::mem::take(branch);
            schema.remove("anyOf");
            for (keyword, value) in branch {
                // What is said at the member (its description) goes before what the type says of itself.
                schema.entry(keyword).or_insert(value);
            }
        }
    }
}

fn words_as_enum(schema: &mut Map<String, Value>) {
    let Some(Value::Array(branches)) = schema.get("oneOf") else {
        return;
    };
    let words: Option<Vec<Value>> = branches
        .iter()
        .map(|branch| branch.get("const").cloned())
        .collect();
    if let Some(words) = words {
        schema.remove("oneOf");
        schema.insert("type".to_owned(), json!("string"));
        schema.insert("enum".to_owned(), Value::Array(words));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_compiles_and_is_self_contained() {
        let schema = schema();
        assert!(jsonschema::draft7::meta::is_valid(&schema));
        jsonschema::draft7::new(&schema).unwrap();
        let text = schema.to_string();
        assert!(
            !text.contains("$ref") && !text.contains("\"null\""),
            "{text}"
        );
    }

    #[test]
    fn members_are_described_and_secrets_marked() {
        let schema = schema();
        let auth = &schema["properties"]["gateway"]["properties"]["auth"]["properties"];
        assert_eq!(auth["token"]["x-secret"], true);
        assert_eq!(auth["mode"]["enum"], json!(["token", "password"]));
        assert_eq!(auth["mode"]["type"], "string");
        assert!(
            auth["mode"]["description"]
                .as_str()
                .unwrap()
                .contains("secret")
        );
        let port = &schema["properties"]["gateway"]["properties"]["port"];
        assert_eq!(
            (&port["type"], &port["minimum"], &port["maximum"]),
            (&json!("integer"), &json!(1), &json!(65535))
        );
    }
}
