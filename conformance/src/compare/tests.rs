//! Tables for [`super::compare`].

use serde_json::{Value, json};

use super::*;

const U1: &str = "11111111-1111-4111-8111-111111111111";
const U2: &str = "22222222-2222-4222-8222-222222222222";
const V1: &str = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa";
const V2: &str = "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb";

fn rules() -> Rules {
    serde_json::from_value(json!({"fields": [
        {"path": "/**/ts", "as": "time", "why": "w"},
        {"path": "/**/acceptedAt", "as": "moment", "why": "w"},
        {"path": "/n", "as": "count", "why": "w"},
        {"path": "/text", "as": "text", "why": "w"},
        {"path": "/**/messageId", "as": "identity", "why": "w"},
        {"path": "/shape", "as": "shape", "why": "w"},
        {"path": "/list", "as": "entries", "why": "w"},
        {"path": "/report", "as": "ignored", "why": "w"},
        {"path": "/methods", "as": "some", "why": "w"},
        {"path": "/presence", "as": "unordered", "why": "w"},
        {"path": "/crowd", "as": "includes", "why": "w"},
        {"path": "/more", "as": "count", "added": true, "why": "w"},
        {"path": "/maybe", "as": "exact", "optional": true, "why": "w"},
    ]}))
    .unwrap()
}

/// The differences of one pair of frames, one a line.
fn differences(expected: &Value, actual: &Value) -> Vec<String> {
    let found = compare(
        &rules(),
        "event x",
        &mut Binder::default(),
        expected,
        actual,
    );
    found.iter().map(ToString::to_string).collect()
}

fn check(expected: Value, actual: Value, differing: &[&str]) {
    assert_eq!(
        differences(&expected, &actual),
        differing,
        "{expected} and {actual}"
    );
}

#[test]
fn what_has_no_rule_must_be_equal() {
    check(
        json!({"a": 1, "b": [true, null]}),
        json!({"b": [true, null], "a": 1}),
        &[],
    );
    check(json!({"a": 1}), json!({"a": 2}), &["/a: expected 1, got 2"]);
    check(
        json!({"a": 1}),
        json!({"a": 1.0}),
        &["/a: expected 1, got 1.0"],
    );
    check(
        json!({"a": null}),
        json!({}),
        &["/a: missing, expected null"],
    );
    check(json!({}), json!({"a": null}), &["/a: unexpected, got null"]);
    check(
        json!({"a": [1, 2]}),
        json!({"a": [1]}),
        &["/a/1: missing, expected 2"],
    );
    check(
        json!({"a": [1]}),
        json!({"a": [1, 2]}),
        &["/a/1: unexpected, got 2"],
    );
    check(
        json!({"a": "x"}),
        json!({"a": "y"}),
        &["/a: expected \"x\", got \"y\""],
    );
    check(
        json!({"a/b~": 1}),
        json!({"a/b~": 2}),
        &["/a~1b~0: expected 1, got 2"],
    );
    check(json!(1), json!(2), &["the frame: expected 1, got 2"]);
}

#[test]
fn ids_are_compared_by_identity() {
    check(json!({"a": U1, "b": U1}), json!({"a": V1, "b": V1}), &[]);
    check(json!({"a": U1, "b": U2}), json!({"a": V1, "b": V2}), &[]);
    check(
        json!({"a": U1, "b": U1}),
        json!({"a": V1, "b": V2}),
        &[&format!("/b: a#1 was {V1} so far, here it is {V2}")],
    );
    check(
        json!({"a": U1, "b": U2}),
        json!({"a": V1, "b": V1}),
        &[&format!(
            "/b: {V1} is already a#1; a new value is expected here"
        )],
    );
    check(
        json!({"a": [U1], "message": format!("unknown id {U1}")}),
        json!({"a": [V1], "message": format!("unknown id {V2}")}),
        &[&format!("/message: a#1 was {V1} so far, here it is {V2}")],
    );
    check(
        json!({"a": U1}),
        json!({"a": "short"}),
        &[&format!("/a: expected \"{U1}\", got \"short\"")],
    );
    check(
        json!({"messageId": "1a2b"}),
        json!({"messageId": "ffff"}),
        &[],
    );
    check(
        json!({"messageId": "1a2b"}),
        json!({"messageId": ""}),
        &["/messageId: expected \"1a2b\", got \"\""],
    );
}

#[test]
fn treatments() {
    let now = 1_795_404_111_718_u64;
    check(json!({"ts": now}), json!({"ts": now + 5}), &[]);
    check(
        json!({"ts": now}),
        json!({"ts": 5}),
        &["/ts: expected a time in milliseconds, got 5"],
    );
    check(
        json!({"ts": now}),
        json!({"ts": "x"}),
        &["/ts: expected a time in milliseconds, got \"x\""],
    );
    check(json!({"ts": null}), json!({"ts": null}), &[]);
    check(
        json!({"ts": null}),
        json!({"ts": now}),
        &[&format!("/ts: expected null, got {now}")],
    );
    check(
        json!({"a": {"acceptedAt": now}, "b": {"acceptedAt": now}}),
        json!({"a": {"acceptedAt": now + 1}, "b": {"acceptedAt": now + 2}}),
        &[&format!(
            "/b/acceptedAt: acceptedAt of the same event was {} before, here it is {}",
            now + 1,
            now + 2
        )],
    );
    check(json!({"n": 4}), json!({"n": 0}), &[]);
    check(
        json!({"n": 4}),
        json!({"n": -1}),
        &["/n: expected an integer that is not negative, got -1"],
    );
    check(
        json!({"n": 4}),
        json!({"n": 1.5}),
        &["/n: expected an integer that is not negative, got 1.5"],
    );
    check(json!({"text": "a"}), json!({"text": "b"}), &[]);
    check(
        json!({"text": "a"}),
        json!({"text": 1}),
        &["/text: expected a string, got 1"],
    );
    check(json!({"x": "<text>"}), json!({"x": "anything"}), &[]);
    check(
        json!({"x": "<text>"}),
        json!({"x": 1}),
        &["/x: expected \"<text>\", got 1"],
    );
    check(json!({"report": {"a": 1}}), json!({}), &[]);
    check(json!({}), json!({"report": {"a": 1}}), &[]);
    check(json!({}), json!({"more": 1}), &[]);
    check(json!({"more": 1}), json!({"more": 2}), &[]);
    check(
        json!({"more": 1}),
        json!({}),
        &["/more: missing, expected 1"],
    );
    check(json!({"maybe": 1}), json!({}), &[]);
    check(
        json!({"maybe": 1}),
        json!({"maybe": 2}),
        &["/maybe: expected 1, got 2"],
    );
}

#[test]
fn lists_by_rule() {
    check(
        json!({"crowd": [{"h": "a"}, {"h": "b"}]}),
        json!({"crowd": [{"h": "x"}, {"h": "b"}, {"h": "a"}]}),
        &[],
    );
    check(
        json!({"crowd": [{"h": "a"}, {"h": "b"}]}),
        json!({"crowd": [{"h": "x"}, {"h": "b"}]}),
        &["/crowd/0: missing, expected {\"h\":\"a\"}"],
    );
    check(
        json!({"methods": ["a", "b", "c"]}),
        json!({"methods": ["a", "c"]}),
        &[],
    );
    check(
        json!({"methods": ["a", "b", "c"]}),
        json!({"methods": ["c", "a", "x"]}),
        &[
            "/methods/1: \"a\" is out of the recorded order",
            "/methods/2: unexpected, got \"x\"",
        ],
    );
    check(
        json!({"presence": [{"h": "a", "id": U1}, {"h": "b", "id": U2}]}),
        json!({"presence": [{"h": "b", "id": V1}, {"h": "a", "id": V2}]}),
        &[],
    );
    check(
        json!({"presence": [{"h": "a"}, {"h": "b"}]}),
        json!({"presence": [{"h": "b"}, {"h": "c"}]}),
        &["/presence/0/h: expected \"a\", got \"c\""],
    );
    check(
        json!({"presence": [{"h": "a"}]}),
        json!({"presence": [{"h": "a"}, {"h": "b"}]}),
        &["/presence/1: unexpected, got {\"h\":\"b\"}"],
    );
    check(
        json!({"list": [{"id": "x", "n": 1}, {"id": "y"}]}),
        json!({"list": [{"id": "p"}, {"id": 5}, {"n": 2, "id": "q"}, {"id": "r", "z": 0}, {"n": 1}]}),
        &[
            "/list/1/id: expected another type, got 5",
            "/list/3/z: unexpected, got 0",
            "/list/4/id: missing, expected \"x\"",
        ],
    );
    check(
        json!({"shape": {"a": 1, "b": {"c": "x"}}}),
        json!({"shape": {"a": 2, "b": {"d": "x"}}}),
        &[
            "/shape/b/d: unexpected, got \"x\"",
            "/shape/b/c: missing, expected \"x\"",
        ],
    );
}

#[test]
fn long_values_are_cut_in_messages() {
    let text = short(&json!("x".repeat(400)));
    assert!(
        text.ends_with("… (402 bytes)") && text.chars().count() < 330,
        "{text}"
    );
}
