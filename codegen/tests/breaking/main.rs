//! `breaking`: an edit of the schema for every rule, the staged edits that people make, recorded bundles
//! and git revisions.

#![allow(clippy::expect_used, clippy::panic)] // helpers of tests

mod against;
mod edits;

use std::collections::BTreeSet;

use codegen::breaking::{Report, compare, listing, rules};
use edits::{Edit, Schema};
use serde::Deserialize;
use serde_json::json;

/// One row of `cases/`: an edit of the schema, and what is found.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// What the case is about, where the edit does not tell.
    #[serde(default)]
    about: String,
    /// `RULE: verdict` of each finding, in the order of the report.
    finds: Vec<String>,
    /// File, pointer and the value that is put there; without a value, what is there is removed.
    edits: Vec<Edit>,
}

fn types() -> Vec<Case> {
    serde_json::from_str(include_str!("cases/types.json")).expect("cases")
}

fn protocol() -> Vec<Case> {
    serde_json::from_str(include_str!("cases/protocol.json")).expect("cases")
}

fn report(edits: &[Edit]) -> Report {
    let old = Schema::new().model();
    let mut schema = Schema::new();
    schema.apply(edits);
    compare(&old, &schema.model())
}

/// Compares every case and reports all that are wrong at once.
fn check(cases: Vec<Case>) {
    let mut wrong = String::new();
    for case in cases {
        let report = report(&case.edits);
        let found: Vec<String> = report
            .0
            .iter()
            .map(|finding| format!("{}: {}", finding.rule.name, finding.verdict))
            .collect();
        if found != case.finds {
            let (about, edits, expected) = (&case.about, &case.edits, &case.finds);
            wrong += &format!("{about} {edits:?}\n  expected {expected:?}\n{report}\n\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn types_are_judged_by_direction() {
    check(types());
}

#[test]
fn the_protocol_is_judged() {
    check(protocol());
}

#[test]
fn every_rule_has_a_case() {
    let cases: Vec<Case> = types().into_iter().chain(protocol()).collect();
    let tested: BTreeSet<&str> = cases
        .iter()
        .flat_map(|case| &case.finds)
        .filter_map(|line| Some(line.split_once(':')?.0))
        .collect();
    let missing: Vec<&str> = rules()
        .map(|rule| rule.name)
        .filter(|name| !tested.contains(name))
        .collect();
    assert!(missing.is_empty(), "rules without a case: {missing:?}");
}

#[test]
fn nothing_differs_from_itself() {
    let report = report(&[]);
    assert!(report.0.is_empty(), "{report}");
    assert!(!report.breaks());
}

/// The edits that people make, with the whole line of each finding.
#[test]
fn staged_edits() {
    let shop = edits::set;
    let mut text = String::new();
    for (name, edits) in [
        (
            "field removed",
            vec![edits::drop("/$defs/OrderParams/properties/tags")],
        ),
        (
            "type narrowed",
            vec![shop(
                "/$defs/ListParams/properties/limit/maximum",
                json!(50),
            )],
        ),
        (
            "enum value added",
            vec![shop(
                "/$defs/ItemState/enum",
                json!(["fresh", "packed", "sold"]),
            )],
        ),
        (
            "required added",
            vec![shop(
                "/$defs/OrderParams/required",
                json!(["idempotencyKey", "item", "tags"]),
            )],
        ),
        (
            "scope changed",
            vec![shop("/methods/shop.list/scopes", json!(["operator.write"]))],
        ),
        (
            "method removed",
            vec![
                edits::drop("/methods/shop.rate"),
                edits::set_in(
                    "protocol.json",
                    "/features/methods",
                    json!(["shop.list", "shop.order"]),
                ),
            ],
        ),
        (
            "event payload widened",
            vec![shop("/$defs/Receipt/required", json!(["state"]))],
        ),
        (
            "limit lowered",
            vec![edits::set_in(
                "protocol.json",
                "/limits/maxItems/value",
                json!(6),
            )],
        ),
        (
            "description changed",
            vec![shop(
                "/$defs/Item/properties/price/description",
                json!("What you pay."),
            )],
        ),
        (
            "optional added",
            vec![shop(
                "/$defs/RateParams/properties/stars",
                json!({ "description": "How many.", "type": "integer", "minimum": 1, "maximum": 5 }),
            )],
        ),
        (
            "optional added to a result",
            vec![shop(
                "/$defs/Message/properties/by",
                json!({ "description": "Who.", "type": "string" }),
            )],
        ),
        (
            "optional added in a new version",
            vec![
                edits::set_in("protocol.json", "/version", json!(5)),
                shop(
                    "/$defs/RateParams/properties/stars",
                    json!({ "description": "How many.", "type": "integer", "minimum": 1, "maximum": 5, "x-since": 5 }),
                ),
            ],
        ),
    ] {
        text += &format!("# {name}\n{}\n\n", report(&edits));
    }
    insta::assert_snapshot!("staged_edits", text);
}

/// docs/evolution.md lists the rules as they are.
#[test]
fn the_rules_are_listed() {
    let page = include_str!("../../../docs/evolution.md");
    let listing = listing();
    assert!(
        page.contains(&listing),
        "docs/evolution.md does not list the rules as they are; this belongs there:\n{listing}"
    );
}
