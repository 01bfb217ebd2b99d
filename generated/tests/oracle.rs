//! The validators against the `jsonschema` crate, over mutated documents of every definition and over
//! mutated frames of every method: the same verdict, always.
//!
//! The oracle reads `schema/dist/protocol.schema.json`, the same bundle that outsiders get.

#![allow(clippy::expect_used)] // helpers of tests

mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use openclaw_protocol::call::{Call, Problem, read_request};
use openclaw_protocol::events::{Event, EventKind};
use openclaw_protocol::examples::ALL;
use openclaw_protocol::methods::Method;
use openclaw_protocol::rt::{Tree, accepts, violations};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use support::{mutated, mutation};

/// Mutants of definitions; with those of frames at least 100,000.
const DEFINITION_CASES: u32 = 70_000;
/// Mutants of whole frames.
const FRAME_CASES: u32 = 50_000;

const BUNDLE: &str = include_str!("../../schema/dist/protocol.schema.json");

fn bundle() -> Value {
    serde_json::from_str(BUNDLE).expect("the bundle is JSON")
}

fn oracles(bundle: &Value) -> BTreeMap<String, jsonschema::Validator> {
    let definitions = bundle["definitions"].as_object().expect("definitions");
    definitions
        .keys()
        .map(|name| {
            let schema = json!({
                "$ref": format!("#/definitions/{name}"),
                "definitions": bundle["definitions"],
            });
            let validator = jsonschema::draft7::new(&schema).expect("a valid schema");
            (name.clone(), validator)
        })
        .collect()
}

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config {
        cases,
        max_shrink_iters: 10_000,
        failure_persistence: None,
        ..Config::default()
    })
}

/// Params definition by method, payload definition by event.
fn uses(bundle: &Value, section: &str, key: &str) -> BTreeMap<String, Vec<String>> {
    let mut uses: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, entry) in bundle[section].as_object().expect("a section") {
        let definition = entry[key].as_str().expect("a definition").to_owned();
        uses.entry(definition).or_default().push(name.clone());
    }
    uses
}

#[test]
fn definitions_agree_with_the_oracle() {
    let bundle = bundle();
    let oracles = oracles(&bundle);
    let methods = uses(&bundle, "x-methods", "params");
    let events = uses(&bundle, "x-events", "payload");
    let documents: Vec<_> = ALL
        .iter()
        .flat_map(|e| {
            e.valid
                .iter()
                .map(move |text| (e, serde_json::from_str::<Value>(text).expect("JSON")))
        })
        .collect();
    let (valid, refused) = (AtomicU64::new(0), AtomicU64::new(0));
    let strategy = (0..documents.len(), prop::collection::vec(mutation(), 0..4));
    let outcome = runner(DEFINITION_CASES).run(&strategy, |(which, mutations)| {
        let (examples, document) = &documents[which];
        let document = mutations
            .iter()
            .fold(document.clone(), |d, m| mutated(&d, m));
        let text = document.to_string();
        let expected = oracles[examples.definition].is_valid(&document);
        let count = if expected { &valid } else { &refused };
        count.fetch_add(1, Ordering::Relaxed);
        let name = examples.definition;
        prop_assert_eq!(
            accepts(examples.node, &text),
            expected,
            "accepts {} {}",
            name,
            text
        );
        let tree = Tree::parse(&text).expect("no duplicate keys");
        let listed = violations(examples.node, &tree);
        prop_assert_eq!(
            listed.is_empty(),
            expected,
            "violations {} {} {:?}",
            name,
            text,
            listed
        );
        for method in methods.get(name).into_iter().flatten() {
            let method = Method::from_name(method).expect("a method");
            let decoded = Call::decode(method, &text);
            prop_assert_eq!(
                decoded.is_ok(),
                expected,
                "decode {} {} {:?}",
                name,
                text,
                decoded.err()
            );
        }
        for event in events.get(name).into_iter().flatten() {
            let kind = EventKind::from_name(event).expect("an event");
            let decoded = Event::decode(kind, &text);
            prop_assert_eq!(
                decoded.is_ok(),
                expected,
                "event {} {} {:?}",
                name,
                text,
                decoded.err()
            );
        }
        Ok(())
    });
    println!(
        "definitions: {} valid, {} refused",
        valid.load(Ordering::Relaxed),
        refused.load(Ordering::Relaxed)
    );
    outcome.expect("the validators agree with the oracle");
}

#[test]
fn frames_agree_with_the_oracle() {
    let bundle = bundle();
    let oracles = oracles(&bundle);
    let params: BTreeMap<&str, &str> = bundle["x-methods"]
        .as_object()
        .expect("methods")
        .iter()
        .map(|(name, entry)| (name.as_str(), entry["params"].as_str().expect("params")))
        .collect();
    let mut documents: Vec<(Method, Value)> = Vec::new();
    for method in Method::ALL {
        let examples = ALL
            .iter()
            .find(|e| e.definition == params[method.name()])
            .expect("examples");
        for (i, text) in examples.valid.iter().enumerate() {
            let value: Value = serde_json::from_str(text).expect("JSON");
            documents.push((method, json!({"type": "req", "id": i.to_string(), "method": method.name(), "params": value})));
        }
        documents.push((
            method,
            json!({"type": "req", "id": "none", "method": method.name()}),
        ));
        documents.push((
            method,
            json!({"type": "req", "id": "null", "method": method.name(), "params": null}),
        ));
    }
    let (valid, refused) = (AtomicU64::new(0), AtomicU64::new(0));
    let strategy = (
        0..documents.len(),
        prop::collection::vec(mutation(), 0..4),
        any::<Option<u64>>(),
    );
    let outcome = runner(FRAME_CASES).run(&strategy, |(which, mutations, order)| {
        let (_, document) = &documents[which];
        let document = mutations
            .iter()
            .fold(document.clone(), |d, m| mutated(&d, m));
        let text = match order {
            Some(order) => shuffled(&document, order),
            None => as_usual(&document),
        };
        let frame = oracles["RequestFrame"].is_valid(&document);
        let method = document["method"].as_str().and_then(Method::from_name);
        let empty = json!({});
        let given = document
            .get("params")
            .filter(|params| !params.is_null())
            .unwrap_or(&empty);
        let fits = method.is_some_and(|m| oracles[params[m.name()]].is_valid(given));
        let count = if frame && fits { &valid } else { &refused };
        count.fetch_add(1, Ordering::Relaxed);
        match read_request(&text, Method::from_name) {
            Ok(request) => {
                prop_assert!(frame, "accepted {}", text);
                prop_assert_eq!(request.id.as_ref(), document["id"].as_str().unwrap_or("?"));
                prop_assert_eq!(request.params.is_some(), method.is_some(), "{}", text);
                prop_assert!(method.is_none() || fits, "accepted {}", text);
            }
            Err(Problem::Frame { violations, .. }) => {
                prop_assert!(!frame, "refused frame {}", text);
                prop_assert!(!violations.is_empty());
            }
            Err(Problem::Params { violations, .. }) => {
                prop_assert!(
                    frame && method.is_some() && !fits,
                    "refused params {} {:?}",
                    text,
                    violations
                );
                prop_assert!(!violations.is_empty());
            }
            Err(Problem::NotJson) => prop_assert!(false, "is JSON: {}", text),
        }
        Ok(())
    });
    println!(
        "frames: {} valid, {} refused",
        valid.load(Ordering::Relaxed),
        refused.load(Ordering::Relaxed)
    );
    outcome.expect("frames agree with the oracle");
}

/// The text of an object with its top-level members in an order that the number chooses.
fn shuffled(document: &Value, mut order: u64) -> String {
    let Value::Object(members) = document else {
        return document.to_string();
    };
    let mut members: Vec<_> = members.iter().collect();
    let mut chosen = Vec::new();
    while !members.is_empty() {
        let count = members.len() as u64;
        chosen.push(members.remove(usize::try_from(order % count).unwrap_or(0)));
        order /= count;
    }
    object(chosen)
}

/// The text of an object with the members of a request frame in the order in which clients send them.
fn as_usual(document: &Value) -> String {
    let Value::Object(members) = document else {
        return document.to_string();
    };
    let place = |key: &str| {
        let order = ["type", "id", "method", "params"];
        order
            .iter()
            .position(|known| *known == key)
            .unwrap_or(order.len())
    };
    let mut members: Vec<_> = members.iter().collect();
    members.sort_by_key(|(key, _)| place(key));
    object(members)
}

fn object(members: Vec<(&String, &Value)>) -> String {
    let member = |(key, value)| format!("{}:{value}", json!(key));
    let members: Vec<_> = members.into_iter().map(member).collect();
    format!("{{{}}}", members.join(","))
}

#[test]
fn absent_params_are_an_empty_object() {
    for method in Method::ALL {
        let name = method.name();
        let text = format!(r#"{{"type":"req","id":"1","method":"{name}"}}"#);
        let request = read_request(&text, Method::from_name).ok();
        let params = request.and_then(|request| request.params);
        assert_eq!(params, Call::decode(method, "{}").ok(), "{name}");
    }
}
