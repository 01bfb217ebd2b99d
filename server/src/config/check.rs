//! Holds a document against the schema of the configuration. [`super::load`] calls it.
//!
//! The schema is made of this crate's own types and has few keywords, which a test lists; another holds this check
//! against a validator of the whole of JSON Schema. The daemon does without one: it has no other use for it, and it is a
//! fifteenth of a binary that fits in 15 MB.

use serde_json::{Map, Value};

use super::document::Step;

/// A value that is not what the schema wants.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Offence {
    /// Where the value is that has to go for the document to be valid.
    pub(super) path: Vec<Step>,
    /// What is wrong with it, without showing the value: it may be a secret.
    pub(super) message: String,
}

/// Every offence of `document` against `schema`.
pub(super) fn offences(schema: &Value, document: &Value) -> Vec<Offence> {
    let mut check = Check::default();
    check.value(schema, document);
    check.offences
}

#[derive(Default)]
struct Check {
    /// Where the check is.
    path: Vec<Step>,
    offences: Vec<Offence>,
}

impl Check {
    fn value(&mut self, schema: &Value, value: &Value) {
        let Value::Object(schema) = schema else {
            return;
        };
        if let Some(kind) = schema.get("type").and_then(Value::as_str)
            && !is_a(kind, value)
        {
            self.refuse(format!("must be of type \"{kind}\""));
        }
        if let Some(Value::Array(words)) = schema.get("enum")
            && !words.contains(value)
        {
            let words: Vec<String> = words.iter().map(Value::to_string).collect();
            self.refuse(format!("must be one of {}", words.join(", ")));
        }
        if let Some(Value::Array(forms)) = schema.get("anyOf")
            && !forms.iter().any(|form| offences(form, value).is_empty())
        {
            self.refuse("has none of the allowed forms".to_owned());
        }
        match value {
            Value::Number(number) => self.number(schema, number.as_f64().unwrap_or(f64::NAN)),
            Value::String(text) => self.text(schema, text.chars().count() as u64),
            Value::Array(items) => self.array(schema, items),
            Value::Object(members) => self.object(schema, members),
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn number(&mut self, schema: &Map<String, Value>, number: f64) {
        if let Some(least) = schema.get("minimum")
            && least.as_f64().is_some_and(|least| number < least)
        {
            self.refuse(format!("is less than the minimum of {least}"));
        }
        if let Some(most) = schema.get("maximum")
            && most.as_f64().is_some_and(|most| number > most)
        {
            self.refuse(format!("is greater than the maximum of {most}"));
        }
    }

    fn text(&mut self, schema: &Map<String, Value>, length: u64) {
        let bound = |keyword| schema.get(keyword).and_then(Value::as_u64);
        if let Some(least) = bound("minLength").filter(|least| length < *least) {
            self.refuse(format!("is shorter than {}", counted(least, "character")));
        }
        if let Some(most) = bound("maxLength").filter(|most| length > *most) {
            self.refuse(format!("is longer than {}", counted(most, "character")));
        }
    }

    fn array(&mut self, schema: &Map<String, Value>, items: &[Value]) {
        if let Some(most) = schema.get("maxItems").and_then(Value::as_u64)
            && items.len() as u64 > most
        {
            self.refuse(format!("has more than {}", counted(most, "item")));
        }
        if let Some(schema) = schema.get("items") {
            for (index, item) in items.iter().enumerate() {
                self.below(Step::Index(index), schema, item);
            }
        }
    }

    fn object(&mut self, schema: &Map<String, Value>, members: &Map<String, Value>) {
        let required = schema.get("required").and_then(Value::as_array);
        for name in required.into_iter().flatten() {
            if name
                .as_str()
                .is_some_and(|name| !members.contains_key(name))
            {
                self.refuse(format!("lacks {name}"));
            }
        }
        let declared = schema.get("properties").and_then(Value::as_object);
        let others = schema.get("additionalProperties");
        for (name, value) in members {
            let declared = declared.and_then(|properties| properties.get(name));
            if let Some(schema) = declared.or(others) {
                self.below(Step::Key(name.clone()), schema, value);
            }
        }
    }

    fn below(&mut self, step: Step, schema: &Value, value: &Value) {
        self.path.push(step);
        self.value(schema, value);
        self.path.pop();
    }

    fn refuse(&mut self, message: String) {
        let path = self.path.clone();
        self.offences.push(Offence { path, message });
    }
}

/// Is it of the type? A whole number may be written with a fraction of zero.
fn is_a(kind: &str, value: &Value) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "integer" => {
            value.is_i64()
                || value.is_u64()
                || value.as_f64().is_some_and(|number| number.fract() == 0.0)
        }
        _ => false,
    }
}

fn counted(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jsonschema::error::ValidationErrorKind;
    use jsonschema::paths::LocationSegment;
    use jsonschema::{ValidationError, Validator};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::config::document::dotted;
    use crate::config::schema::schema;

    #[test]
    fn offences_name_place_and_reason_but_not_the_value() {
        let schema = schema();
        let check = |document: Value, expected: &[(&str, &str)]| {
            let found: Vec<(String, String)> = offences(&schema, &document)
                .into_iter()
                .map(|offence| (dotted(&offence.path), offence.message))
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
        check(json!({"gateway": {"port": 65535.0}}), &[]);
        check(
            json!({"gateway": {"port": 65536}}),
            &[("gateway.port", "is greater than the maximum of 65535")],
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

    /// Keywords that say what is wrong, and those that only describe.
    const CHECKED: [&str; 12] = [
        "additionalProperties",
        "anyOf",
        "enum",
        "items",
        "maxItems",
        "maxLength",
        "maximum",
        "minLength",
        "minimum",
        "properties",
        "required",
        "type",
    ];
    const DESCRIBING: [&str; 6] = [
        "$schema",
        "default",
        "description",
        "format",
        "title",
        "x-secret",
    ];

    #[test]
    fn the_schema_has_no_keyword_that_is_not_checked() {
        fn walk(schema: &Value, seen: &mut BTreeSet<String>) {
            let Value::Object(schema) = schema else {
                panic!("{schema} is no object");
            };
            for (keyword, value) in schema {
                seen.insert(keyword.clone());
                match keyword.as_str() {
                    "properties" => value
                        .as_object()
                        .unwrap()
                        .values()
                        .for_each(|each| walk(each, seen)),
                    "anyOf" => value
                        .as_array()
                        .unwrap()
                        .iter()
                        .for_each(|each| walk(each, seen)),
                    "items" | "additionalProperties" => walk(value, seen),
                    "type" => assert!(value.is_string(), "{value}"),
                    _ => {}
                }
            }
        }
        let mut seen = BTreeSet::new();
        walk(&schema(), &mut seen);
        for known in CHECKED.iter().chain(&DESCRIBING) {
            seen.remove(*known);
        }
        assert_eq!(seen, BTreeSet::new());
    }

    /// What a validator of the whole of JSON Schema says, in the same words.
    fn by_library(validator: &Validator, document: &Value) -> Vec<Offence> {
        let mut offences: Vec<Offence> = validator
            .iter_errors(document)
            .map(|error| Offence {
                path: steps(document, &error),
                message: message(&error),
            })
            .collect();
        offences.sort();
        offences
    }

    fn steps(document: &Value, error: &ValidationError<'_>) -> Vec<Step> {
        let mut parent = document;
        let mut path = Vec::new();
        for segment in error.instance_path().segments() {
            let key = match segment {
                LocationSegment::Property(key) => key.into_owned(),
                LocationSegment::Index(index) => index.to_string(),
            };
            let step = match parent {
                Value::Array(items) => {
                    let index = key.parse().unwrap();
                    parent = &items[index];
                    Step::Index(index)
                }
                _ => {
                    parent = &parent[&key];
                    Step::Key(key)
                }
            };
            path.push(step);
        }
        path
    }

    fn message(error: &ValidationError<'_>) -> String {
        match error.kind() {
            ValidationErrorKind::Enum { options } => {
                let options: Vec<String> = options
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(Value::to_string)
                    .collect();
                format!("must be one of {}", options.join(", "))
            }
            ValidationErrorKind::Required { property } => format!("lacks {property}"),
            ValidationErrorKind::AnyOf { .. } => "has none of the allowed forms".to_owned(),
            _ => {
                let text = error.masked().to_string();
                let text = text.strip_prefix("value ").unwrap_or(&text);
                text.replace("is not of type ", "must be of type ")
            }
        }
    }

    /// Values that are near to what some member wants.
    fn scalar() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            prop_oneof![
                Just(0),
                Just(1),
                Just(-1),
                Just(65535),
                Just(65536),
                any::<i64>()
            ]
            .prop_map(Value::from),
            prop_oneof![Just(0.0), Just(1.0), Just(0.5), Just(65536.0), Just(1e300)]
                .prop_map(Value::from),
            prop_oneof![Just(""), Just("x"), Just("token"), Just("local"), Just("é")]
                .prop_map(Value::from),
            Just("l".repeat(300)).prop_map(Value::from),
            Just(json!([])),
            Just(json!({})),
            Just(json!(["a", 1, {}])),
            Just(json!([{}, {}, {}, {}, {}, {}, {}, {}, {}])),
        ]
    }

    /// A document along the schema, in which each value is right, or something else.
    fn document(schema: &Value) -> BoxedStrategy<Value> {
        let forms = schema.get("anyOf").and_then(Value::as_array);
        let right = if let Some(forms) = forms {
            proptest::strategy::Union::new(forms.iter().map(document)).boxed()
        } else {
            match schema.get("type").and_then(Value::as_str) {
                Some("object") => object(schema),
                Some("array") => {
                    let item = schema
                        .get("items")
                        .map_or_else(|| scalar().boxed(), document);
                    proptest::collection::vec(item, 0..3)
                        .prop_map(Value::from)
                        .boxed()
                }
                _ => match schema.get("enum").and_then(Value::as_array) {
                    Some(words) => proptest::sample::select(words.clone()).boxed(),
                    None => scalar().boxed(),
                },
            }
        };
        prop_oneof![6 => right, 1 => scalar()].boxed()
    }

    fn object(schema: &Value) -> BoxedStrategy<Value> {
        let declared = schema.get("properties").and_then(Value::as_object);
        let mut members: Vec<(String, BoxedStrategy<Value>)> = declared
            .into_iter()
            .flatten()
            .map(|(name, schema)| (name.clone(), document(schema)))
            .collect();
        if let Some(others) = schema.get("additionalProperties") {
            members.extend(["7", "other"].map(|name| (name.to_owned(), document(others))));
        }
        if members.is_empty() {
            return Just(json!({})).boxed();
        }
        let member = proptest::strategy::Union::new(
            members.into_iter().map(|(name, value)| (Just(name), value)),
        );
        proptest::collection::vec(member, 0..4)
            .prop_map(|members| Value::Object(members.into_iter().collect()))
            .boxed()
    }

    #[test]
    fn it_says_what_a_whole_validator_says() {
        let schema = schema();
        let validator = jsonschema::draft7::new(&schema).unwrap();
        let mut runner = proptest::test_runner::TestRunner::default();
        let (mut fine, mut wrong) = (0, 0);
        let documents = document(&schema);
        for _ in 0..4_000 {
            let document = documents.new_tree(&mut runner).unwrap().current();
            let mut found = offences(&schema, &document);
            found.sort();
            assert_eq!(found, by_library(&validator, &document), "{document}");
            if found.is_empty() {
                fine += 1;
            } else {
                wrong += 1;
            }
        }
        assert!(fine > 400 && wrong > 400, "{fine} fine, {wrong} wrong");
    }
}
