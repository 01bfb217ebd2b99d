use serde_json::{Value, json};

use super::*;

fn event(payload: Value) -> NodeEventParams {
    let mut params = NodeEventParams::new(NonEmptyString::or("x", "x"));
    params.payload = Some(payload);
    params
}

#[test]
fn the_text_is_the_payload_before_the_value() {
    let key = |payload, text: Option<&str>| {
        let mut params = event(payload);
        params.payload_json = text.map(str::to_owned);
        payload_key(params)
    };
    fn payload_key(params: NodeEventParams) -> Option<String> {
        payload(params).and_then(session_key)
    }
    let main = || Some("main".to_owned());
    assert_eq!(key(json!({"sessionKey": " main "}), None), main());
    assert_eq!(
        key(json!({"sessionKey": "x"}), Some(r#"{"sessionKey":"main"}"#)),
        main()
    );
    for (payload, text) in [
        (json!({"sessionKey": "x"}), Some("{")),
        (json!({"sessionKey": 5}), None),
        (json!({"sessionKey": " "}), None),
        (json!("no object"), None),
        (Value::Null, None),
    ] {
        assert_eq!(key(payload.clone(), text), None, "{payload}, {text:?}");
    }
}

#[test]
fn spoken_words_become_a_turn() {
    let turn = |payload| payload_turn(event(payload));
    fn payload_turn(params: NodeEventParams) -> Option<AgentParams> {
        payload(params).and_then(spoken)
    }
    let max = limits::NODE_TEXT_CHARS as usize;
    let longest = "é".repeat(max);
    for (payload, expected) in [
        (
            json!({"text": " hi ", "sessionKey": "s"}),
            Some(("hi", "s")),
        ),
        (json!({"text": "hi"}), Some(("hi", "main"))),
        (json!({"text": longest}), Some((longest.as_str(), "main"))),
        (json!({"text": format!("{longest}x")}), None),
        (json!({"text": "  "}), None),
        (json!({"text": 5}), None),
        (json!({}), None),
    ] {
        let turn = turn(payload);
        let found = turn
            .as_ref()
            .map(|turn| (&*turn.message, turn.session_key.as_deref().unwrap()));
        assert_eq!(found, expected);
        if let Some(turn) = turn {
            assert!(turn.idempotency_key.starts_with("voice-"));
            assert_eq!(turn.thinking.as_deref(), Some("low"));
            assert_eq!(turn.deliver, Some(false));
        }
    }
}

#[test]
fn a_node_asks_for_a_turn() {
    let turn = |payload| payload_turn(event(payload));
    fn payload_turn(params: NodeEventParams) -> Option<AgentParams> {
        payload(params).and_then(|asked| requested("n", asked))
    }
    let plain = turn(json!({"message": "hi"})).unwrap();
    assert_eq!(plain.session_key.as_deref(), Some("node-n"));
    assert_eq!(
        (plain.deliver, plain.timeout, plain.thinking),
        (Some(false), None, None)
    );
    for (deliver, channel, expected) in [
        (json!(true), json!("telegram"), (true, Some("telegram"))),
        (json!(true), json!("nowhere"), (false, None)),
        (json!(false), json!("telegram"), (false, Some("telegram"))),
        (json!(true), json!(null), (false, None)),
        (json!("yes"), json!("telegram"), (false, Some("telegram"))),
    ] {
        let payload = json!({"message": "hi", "deliver": deliver, "channel": channel, "to": "7"});
        let turn = turn(payload.clone()).unwrap();
        assert_eq!(
            (turn.deliver.unwrap(), turn.channel.as_deref()),
            expected,
            "{payload}"
        );
        assert_eq!(turn.to.as_deref(), Some("7"));
    }
    for (seconds, expected) in [
        (json!(60), Some(60)),
        (json!(0.5), Some(1)),
        (json!(0), None),
        (json!(-1), None),
    ] {
        let turn = turn(json!({"message": "hi", "timeoutSeconds": seconds})).unwrap();
        assert_eq!(turn.timeout, expected, "{seconds}");
    }
    assert!(turn(json!({"message": " "})).is_none());
    assert!(turn(json!(null)).is_none());
}

#[test]
fn programs_on_nodes_leave_a_note() {
    let shown = |note: Note| (note.session_key, note.text);
    let key = || Some("main".to_owned());
    let read = |value: Value| event(value);
    for (note, expected) in [
        (
            started(
                "n",
                payload(read(
                    json!({"sessionKey": "main", "runId": "r", "command": "ls -la"}),
                ))
                .unwrap(),
            ),
            (key(), "Exec started (node=n id=r): ls -la"),
        ),
        (
            started("n", payload(read(json!({}))).unwrap()),
            (None, "Exec started (node=n)"),
        ),
        (
            finished(
                "n",
                payload(read(
                    json!({"runId": "r", "exitCode": 0, "output": "done\n"}),
                ))
                .unwrap(),
            ),
            (None, "Exec finished (node=n id=r, code 0)\ndone"),
        ),
        (
            finished(
                "n",
                payload(read(json!({"timedOut": true, "exitCode": 1}))).unwrap(),
            ),
            (None, "Exec finished (node=n, timeout)"),
        ),
        (
            finished("n", payload(read(json!({"timedOut": "no"}))).unwrap()),
            (None, "Exec finished (node=n, code ?)"),
        ),
        (
            denied(
                "n",
                payload(read(
                    json!({"runId": "r", "reason": "approval-required", "command": "ls"}),
                ))
                .unwrap(),
            ),
            (None, "Exec denied (node=n id=r, approval-required): ls"),
        ),
        (
            denied("n", payload(read(json!({}))).unwrap()),
            (None, "Exec denied (node=n)"),
        ),
    ] {
        assert_eq!(shown(note), (expected.0, expected.1.to_owned()));
    }
}
