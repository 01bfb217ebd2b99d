//! The JSON Schema of the configuration, derived from its types, and the check of a document against it.

use std::sync::LazyLock;

use jsonschema::error::ValidationErrorKind;
use jsonschema::paths::LocationSegment;
use jsonschema::{ValidationError, Validator};
use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use serde_json::{Map, Value, json};

use super::Config;
use super::document::Step;

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

/// A value that is not what the schema wants.
#[derive(Debug)]
pub(super) struct Offence {
    /// Where the value is that has to go for the document to be valid.
    pub(super) path: Vec<Step>,
    /// What is wrong with it, without showing the value: it may be a secret.
    pub(super) message: String,
}

/// Every offence in `document`.
pub(super) fn offences(document: &Value) -> Vec<Offence> {
    static VALIDATOR: LazyLock<Option<Validator>> =
        LazyLock::new(|| match jsonschema::draft7::new(&schema()) {
            Ok(validator) => Some(validator),
            Err(error) => {
                // Cannot happen: a test compiles the same schema.
                tracing::error!(%error, "the schema of the configuration does not compile");
                None
            }
        });
    VALIDATOR.as_ref().map_or_else(Vec::new, |validator| {
        validator
            .iter_errors(document)
            .map(|error| offence(document, &error))
            .collect()
    })
}

fn offence(document: &Value, error: &ValidationError<'_>) -> Offence {
    let mut path = Vec::new();
    let mut parent = Some(document);
    for segment in error.instance_path().segments() {
        // An object may have numbers as keys; only the document tells them from array indexes.
        let key = match segment {
            LocationSegment::Property(key) => key.into_owned(),
            LocationSegment::Index(index) => index.to_string(),
        };
        let step = match (parent, key.parse()) {
            (Some(Value::Array(_)), Ok(index)) => Step::Index(index),
            _ => Step::Key(key),
        };
        parent = parent.and_then(|parent| match &step {
            Step::Index(index) => parent.get(*index),
            Step::Key(key) => parent.get(key),
        });
        path.push(step);
    }
    Offence {
        path,
        message: message(error),
    }
}

fn message(error: &ValidationError<'_>) -> String {
    match error.kind() {
        ValidationErrorKind::Enum { options } => match options.as_array() {
            Some(options) => {
                let options: Vec<String> = options.iter().map(Value::to_string).collect();
                format!("must be one of {}", options.join(", "))
            }
            None => "is none of the allowed values".to_owned(),
        },
        ValidationErrorKind::Required { property } => format!("lacks {property}"),
        ValidationErrorKind::AnyOf { .. } | ValidationErrorKind::OneOfNotValid { .. } => {
            "has none of the allowed forms".to_owned()
        }
        _ => {
            let text = error.masked().to_string();
            let text = text.strip_prefix("value ").unwrap_or(&text);
            text.replace("is not of type ", "must be of type ")
        }
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

    #[test]
    fn offences_name_place_and_reason_but_not_the_value() {
        let check = |document: Value, expected: &[(&str, &str)]| {
            let found: Vec<(String, String)> = offences(&document)
                .into_iter()
                .map(|offence| {
                    (
                        crate::config::document::dotted(&offence.path),
                        offence.message,
                    )
                })
                .collect();
            let found: Vec<(&str, &str)> = found
                .iter()
                .map(|(path, message)| (path.as_str(), message.as_str()))
                .collect();
            assert_eq!(found, expected, "{document}");
        };
        check(
            json!({"gateway": {"port": 18789, "unknown": [1]}, "channels": {}}),
            &[],
        );
        check(
            json!({"gateway": {"auth": {"token": 12345}}}),
            &[("gateway.auth.token", "must be of type \"string\"")],
        );
        check(
            json!({"gateway": {"auth": {"mode": "none"}}}),
            &[(
                "gateway.auth.mode",
                "must be one of \"token\", \"password\"",
            )],
        );
        check(
            json!({"gateway": {"port": 0}}),
            &[("gateway.port", "is less than the minimum of 1")],
        );
        check(
            json!({"gateway": {"port": null}}),
            &[("gateway.port", "must be of type \"integer\"")],
        );
        check(
            json!({"gateway": {"trustedProxies": ["10.0.0.1", 7]}}),
            &[("gateway.trustedProxies.1", "must be of type \"string\"")],
        );
        check(
            json!({"agents": {"list": [{"id": "main"}, {"name": "x"}]}}),
            &[("agents.list.1", "lacks \"id\"")],
        );
        check(
            json!({"agents": {"defaults": {"model": 3}}}),
            &[("agents.defaults.model", "has none of the allowed forms")],
        );
        check(
            json!({"models": {"providers": {"7": {"models": {}}}}}),
            &[
                ("models.providers.7", "lacks \"baseUrl\""),
                ("models.providers.7.models", "must be of type \"array\""),
            ],
        );
        check(json!([]), &[("", "must be of type \"object\"")]);
    }
}
