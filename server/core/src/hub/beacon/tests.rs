use serde_json::{Value, json};

use super::*;

fn beacon(params: Value) -> Option<Beacon> {
    Beacon::new(serde_json::from_value(params).unwrap())
}

/// What a text alone says, as the entry that it makes without what every entry has.
fn entry_of(params: Value) -> Value {
    let mut entry = serde_json::to_value(beacon(params).unwrap().merged_into(None, 7)).unwrap();
    let members = entry.as_object_mut().unwrap();
    assert_eq!(members.remove("ts"), Some(json!(7)));
    members.remove("text");
    entry
}

#[test]
fn presence_lines_are_read() {
    for (text, expected) in [
        ("plain words", json!({})),
        (
            "Node: Test Mac (198.51.100.4) · app 1.2.3 · last input 5s ago · mode ui · reason launch",
            json!({
                "host": "Test Mac", "ip": "198.51.100.4", "version": "1.2.3", "lastInputSeconds": 5,
                "mode": "ui", "reason": "launch",
            }),
        ),
        ("Node: box", json!({"host": "box"})),
        (
            "Node:box(::1)·app 1",
            json!({"host": "box", "ip": "::1", "version": "1"}),
        ),
        ("Node: a (b) (c)", json!({"host": "a (b)", "ip": "c"})),
        ("Node: () · app  · mode", json!({})),
        (
            "Node: x · last input soon · colour blue",
            json!({"host": "x"}),
        ),
        ("node: x", json!({})),
    ] {
        assert_eq!(entry_of(json!({"text": text})), expected, "{text}");
    }
}

#[test]
fn params_go_before_the_text() {
    let text = "Node: a (1.1.1.1) · app 1 · last input 5s ago · mode m · reason r";
    let params = json!({
        "text": text, "host": "b", "ip": "2.2.2.2", "version": "2", "mode": "n", "reason": "s",
        "lastInputSeconds": 60.9, "roles": ["operator", " "], "scopes": [], "tags": ["x"], "deviceId": "  ",
        "platform": "p", "deviceFamily": "f", "modelIdentifier": "i", "instanceId": "me",
    });
    let expected = json!({
        "host": "b", "ip": "2.2.2.2", "version": "2", "mode": "n", "reason": "s", "lastInputSeconds": 60,
        "roles": ["operator"], "platform": "p", "deviceFamily": "f", "modelIdentifier": "i", "instanceId": "me",
    });
    assert_eq!(entry_of(params), expected);
    assert_eq!(
        entry_of(json!({"text": "x", "lastInputSeconds": -1.0})),
        json!({})
    );
}

#[test]
fn without_a_text_there_is_no_beacon() {
    for params in [
        json!({}),
        json!({"text": ""}),
        json!({"text": " \n"}),
        json!({"host": "x"}),
    ] {
        assert_eq!(beacon(params.clone()), None, "{params}");
    }
}

#[test]
fn the_best_name_is_the_key() {
    let long = "ä".repeat(limits::PRESENCE_KEY_CHARS as usize);
    for (params, expected) in [
        (
            json!({"text": "Node: h (i)", "deviceId": "d", "instanceId": "n"}),
            "d",
        ),
        (json!({"text": "Node: h (i)", "instanceId": "n"}), "n"),
        (json!({"text": "Node: h (i)"}), "h"),
        (json!({"text": "Node: (i)"}), "i"),
        (json!({"text": "plain words"}), "plain words"),
        (json!({"text": long.clone()}), long.as_str()),
        (json!({"text": format!("{long}ö")}), long.as_str()),
    ] {
        assert_eq!(beacon(params.clone()).unwrap().key(), expected, "{params}");
    }
}

#[test]
fn a_beacon_leaves_alone_what_it_does_not_name() {
    let first =
        beacon(json!({"text": "Node: a (1.1.1.1) · app 1", "roles": ["operator"]})).unwrap();
    let entry = first.merged_into(None, 1);
    let second = beacon(json!({"text": "Node: a · mode ui"})).unwrap();
    let entry = serde_json::to_value(second.merged_into(Some(entry), 2)).unwrap();
    let expected = json!({
        "host": "a", "ip": "1.1.1.1", "version": "1", "roles": ["operator"], "mode": "ui",
        "text": "Node: a · mode ui", "ts": 2,
    });
    assert_eq!(entry, expected);
}

#[test]
fn the_main_conversation_hears_of_changes_only() {
    let line = "Node: a (1.1.1.1) · app 1 · mode ui · reason launch";
    for (before, now, expected) in [
        (None, "plain words", Some("plain words")),
        (Some("plain words"), "plain words", Some("plain words")),
        (
            None,
            line,
            Some("Node: a (1.1.1.1) · app 1 · mode ui · reason launch"),
        ),
        (Some(line), line, None),
        (Some(line), "Node: a (1.1.1.1) · reason periodic-5m", None),
        (Some(line), "Node: a (1.1.1.1) · reason heartbeat", None),
        (
            Some(line),
            "Node: a (1.1.1.1) · reason wake",
            Some("Node: a (1.1.1.1) · reason wake"),
        ),
        (
            Some(line),
            "Node: a (2.2.2.2) · last input 9s ago",
            Some("Node: a (2.2.2.2)"),
        ),
        (
            Some(line),
            "Node: a · app 2",
            Some("Node: a (1.1.1.1) · app 2"),
        ),
        (None, "Node: · app 2", Some("Node: Unknown · app 2")),
    ] {
        let before = before.map(|text| beacon(json!({"text": text})).unwrap().merged_into(None, 1));
        let beacon = beacon(json!({"text": now})).unwrap();
        let after = beacon.merged_into(before.clone(), 2);
        assert_eq!(
            beacon.note(before.as_ref(), &after).as_deref(),
            expected,
            "{before:?}, then {now}"
        );
    }
}
