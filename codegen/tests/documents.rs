//! The documents for other tools: OpenRPC and AsyncAPI. That they follow the published meta-schemas is
//! checked by hand when an emitter changes (docs/protocol-documents.md); here is what we rely on beyond that.

#![allow(clippy::expect_used, clippy::panic)] // in a test a panic is the report

mod support;

use std::collections::BTreeSet;

use codegen::Outputs;
use codegen::model::Outcome;
use serde_json::{Value, json};

use support::{protocols, real};

const DOCUMENTS: [&str; 3] = ["protocol.schema.json", "openrpc.json", "asyncapi.json"];
const BASE: &str = "https://openclaw.invalid/document";

#[test]
fn every_reference_resolves() {
    for (_, outputs) in protocols() {
        for name in DOCUMENTS {
            let document = document(&outputs, name);
            let mut count = 0;
            each_ref(&document, &mut |target| {
                let pointer = target.strip_prefix('#').expect("a reference inside");
                assert!(
                    document.pointer(pointer).is_some(),
                    "{name}: {target} leads nowhere"
                );
                count += 1;
            });
            assert!(count > 0, "{name} has references");
        }
    }
}

#[test]
fn openrpc_has_every_method_once_and_valid_pairings() {
    for (model, outputs) in protocols() {
        let judge = Judge::of(&outputs, "openrpc.json");
        let document = &judge.document;
        let methods = document["methods"].as_array().expect("a list");
        let names: Vec<&str> = methods.iter().filter_map(|m| m["name"].as_str()).collect();
        let expected: Vec<&str> = model.methods().map(|m| m.name.as_str()).collect();
        assert_eq!(names, expected);
        for (i, (method, ours)) in methods.iter().zip(model.methods()).enumerate() {
            let name = &ours.name;
            assert_eq!(method["x-role"], json!(ours.access.role), "{name}");
            assert_eq!(method["x-scopes"], json!(ours.access.scopes), "{name}");
            let is_staged = matches!(ours.result, Outcome::Staged { .. });
            assert_eq!(method["x-stages"].is_array(), is_staged, "{name}");
            let errors: Vec<&Value> = followed(document, &method["errors"]);
            let codes: Vec<&Value> = errors.iter().map(|error| &error["data"]["code"]).collect();
            assert_eq!(json!(codes), json!(ours.errors), "{name}");
            let tags = followed(document, &method["tags"]);
            let group = model
                .groups
                .iter()
                .find(|g| g.methods.iter().any(|m| m.name == *name));
            assert_eq!(
                tags[0]["name"],
                json!(group.map(|g| &g.name)),
                "{name}: its group is its tag"
            );
            pairings(&judge, &format!("/methods/{i}"), method);
        }
    }
}

/// Params and result of every pairing follow their definitions, and the params are among those described.
fn pairings(judge: &Judge, pointer: &str, method: &Value) {
    let name = &method["name"];
    let described: BTreeSet<&str> = list(&method["params"])
        .filter_map(|p| p["name"].as_str())
        .collect();
    let whole = judge.at(&format!("{pointer}/x-params"));
    let result = judge.at(&format!("{pointer}/result/schema"));
    for pairing in list(&method["examples"]) {
        let params: serde_json::Map<String, Value> = list(&pairing["params"])
            .map(|p| {
                (
                    p["name"].as_str().expect("a name").to_owned(),
                    p["value"].clone(),
                )
            })
            .collect();
        for (i, param) in list(&method["params"]).enumerate() {
            let given = params.get(param["name"].as_str().expect("a name"));
            assert!(
                given.is_some() || param["required"] == false,
                "{name}: {param}"
            );
            if let (Some(value), None) = (given, param.get("x-lenient")) {
                let schema = judge.at(&format!("{pointer}/params/{i}/schema"));
                assert_valid(&schema, value, name);
            }
        }
        // Params that are not validated may hold anything beside what is looked for.
        let lenient = list(&method["params"]).any(|param| param.get("x-lenient").is_some());
        if !described.is_empty() && !lenient {
            assert!(
                params.keys().all(|key| described.contains(key.as_str())),
                "{name}"
            );
        }
        assert_valid(&whole, &Value::Object(params), name);
        if let Some(value) = pairing.get("result") {
            assert_valid(&result, &value["value"], name);
        }
    }
}

#[test]
fn asyncapi_has_every_call_and_push_with_valid_frames() {
    for (model, outputs) in protocols() {
        let judge = Judge::of(&outputs, "asyncapi.json");
        let document = &judge.document;
        let operations = document["operations"].as_object().expect("operations");
        let expected: BTreeSet<String> = model
            .methods()
            .map(|m| format!("call.{}", m.name))
            .chain(model.events().map(|e| format!("push.{}", e.name)))
            .collect();
        assert_eq!(
            operations.keys().cloned().collect::<BTreeSet<_>>(),
            expected
        );
        let channel = &document["channels"]["gateway"]["messages"];
        for (key, operation) in operations {
            let action = if key.starts_with("call.") {
                "receive"
            } else {
                "send"
            };
            assert_eq!(operation["action"], action, "{key}");
            for message in list(&operation["messages"]).chain(list(&operation["reply"]["messages"]))
            {
                let of_channel = follow(document, message);
                assert!(
                    channel
                        .as_object()
                        .is_some_and(|all| all.values().any(|m| m == of_channel)),
                    "{key}: {message} is one of the channel's"
                );
            }
        }
        for method in model.methods() {
            let operation = &operations[&format!("call.{}", method.name)];
            let replies = list(&operation["reply"]["messages"]).count();
            let (stages, failure) = match &method.result {
                Outcome::Single { .. } => (1, method.failure.is_some()),
                Outcome::Staged { failure, .. } => (2, failure.is_some()),
            };
            assert_eq!(
                replies,
                stages + usize::from(failure) + 1,
                "{}: answers, failure, error",
                method.name
            );
        }
        examples_of_messages(&judge);
    }
}

/// Each frame that is shown follows the message that shows it, and its kind.
fn examples_of_messages(judge: &Judge) {
    let document = &judge.document;
    let messages = document["components"]["messages"]
        .as_object()
        .expect("messages");
    for (key, message) in messages {
        let payload = judge.at(&format!("/components/messages/{key}/payload"));
        let kind = message["name"].as_str().expect("a kind");
        let examples: Vec<&Value> = list(&message["examples"]).collect();
        assert!(key == "error" || !examples.is_empty(), "{key} has examples");
        for example in examples {
            let frame = &example["payload"];
            assert_valid(&payload, frame, &json!(key));
            if document["components"]["schemas"].get(kind).is_some() {
                let whole = judge.at(&format!("/components/schemas/{kind}"));
                assert_valid(&whole, frame, &json!(key));
            }
        }
    }
}

/// An operation's reply must be valid against one of its messages only (AsyncAPI, Operation Reply Object).
#[test]
fn answers_can_be_told_apart() {
    let (model, outputs) = real();
    let judge = Judge::of(&outputs, "asyncapi.json");
    let document = &judge.document;
    for method in model.methods() {
        let operation = &document["operations"][format!("call.{}", method.name)];
        let messages: Vec<(&Value, jsonschema::Validator)> = list(&operation["reply"]["messages"])
            .map(|message| {
                let component = follow(document, message);
                let target = component["$ref"].as_str().expect("a reference");
                let pointer = format!("{}/payload", target.trim_start_matches('#'));
                (follow(document, component), judge.at(&pointer))
            })
            .collect();
        for (message, _) in &messages {
            for example in list(&message["examples"]) {
                let frame = &example["payload"];
                let matching = messages.iter().filter(|(_, judge)| judge.is_valid(frame));
                assert_eq!(matching.count(), 1, "{}: {frame}", method.name);
            }
        }
    }
}

fn document(outputs: &Outputs, name: &str) -> Value {
    let text = outputs
        .get(&format!("schema/dist/{name}"))
        .unwrap_or_else(|| panic!("{name} is emitted"));
    serde_json::from_str(text).expect("JSON")
}

/// A document as a resource that validators are made from, so that each compiles only what it reaches.
struct Judge {
    document: Value,
    registry: jsonschema::Registry<'static>,
}

impl Judge {
    fn of(outputs: &Outputs, name: &str) -> Judge {
        let document = document(outputs, name);
        let registry = jsonschema::Registry::new()
            .draft(jsonschema::Draft::Draft7)
            .add(BASE, document.clone())
            .and_then(|registry| registry.prepare())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        Judge { document, registry }
    }

    /// A validator of the schema at a pointer.
    fn at(&self, pointer: &str) -> jsonschema::Validator {
        let reference = json!({ "$ref": format!("{BASE}#{pointer}") });
        jsonschema::options()
            .with_draft(jsonschema::Draft::Draft7)
            .with_registry(&self.registry)
            .build(&reference)
            .unwrap_or_else(|error| panic!("{pointer}: {error}"))
    }
}

fn assert_valid(validator: &jsonschema::Validator, value: &Value, place: &Value) {
    if let Some(error) = validator.iter_errors(value).next() {
        panic!("{place}: {value}: {error}");
    }
}

fn each_ref(value: &Value, found: &mut dyn FnMut(&str)) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(target) if name == "$ref" => found(target),
                    other => each_ref(other, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| each_ref(item, found)),
        _ => {}
    }
}

fn follow<'a>(document: &'a Value, reference: &Value) -> &'a Value {
    let target = reference["$ref"].as_str().expect("a reference");
    document
        .pointer(target.trim_start_matches('#'))
        .unwrap_or_else(|| panic!("{target} resolves"))
}

fn followed<'a>(document: &'a Value, references: &Value) -> Vec<&'a Value> {
    list(references).map(|r| follow(document, r)).collect()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
