//! Tables for [`super`].

use super::*;
use crate::session::{By, Provenance, Setup};
use serde_json::json;

fn session(name: &str, steps: Vec<Step>) -> Session {
    Session {
        name: name.into(),
        description: String::new(),
        provenance: Provenance {
            release: String::new(),
            how: String::new(),
        },
        setup: Setup {
            fresh: true,
            token: "tok".into(),
            config: Value::Null,
            env: BTreeMap::new(),
        },
        steps,
    }
}

fn receive(t: u64, frame: Value) -> Step {
    Step {
        t,
        action: Action::Receive {
            conn: "A".into(),
            frame,
        },
    }
}

fn sessions() -> Vec<Session> {
    let close = Close {
        by: By::Gateway,
        code: 1006,
        reason: String::new(),
    };
    vec![
        session(
            "one",
            vec![
                Step {
                    t: 1,
                    action: Action::Send {
                        conn: "A".into(),
                        text: r#"{"id":"A-1"}"#.into(),
                        binary: false,
                        sign: None,
                    },
                },
                receive(
                    2,
                    json!({"type": "res", "id": "A-1", "ok": true, "payload": {"n": 1}}),
                ),
                receive(
                    3,
                    json!({"type": "event", "event": "shutdown", "payload": {"restartExpectedMs": null}}),
                ),
                Step {
                    t: 9,
                    action: Action::Close {
                        conn: "A".into(),
                        close,
                    },
                },
            ],
        ),
        session(
            "two",
            vec![receive(1, json!({"type": "res", "id": "X", "ok": false}))],
        ),
    ]
}

fn edited(edit: Value) -> Result<Vec<String>, DeviationError> {
    let deviations: Deviations = serde_json::from_value(json!({"everywhere": [], "sessions": [
        {"session": "one", "odd": [1], "reason": "r", "edits": [edit]}]}))
    .unwrap();
    let mut sessions = sessions();
    deviations.apply(&mut sessions)?;
    let show = |s: &Step| match &s.action {
        Action::Send { text, .. } => format!("{} > {text}", s.t),
        Action::Receive { frame, .. } => format!("{} < {frame}", s.t),
        Action::Close { close, .. } => format!("{} {close}", s.t),
        other => format!("{} {other:?}", s.t),
    };
    Ok(sessions[0].steps.iter().map(show).collect())
}

const SEND: &str = r#"1 > {"id":"A-1"}"#;
const RES: &str = r#"2 < {"id":"A-1","ok":true,"payload":{"n":1},"type":"res"}"#;
const EVENT: &str =
    r#"3 < {"event":"shutdown","payload":{"restartExpectedMs":null},"type":"event"}"#;
const CLOSE: &str = "9 cut by the gateway without a close frame";

#[test]
fn edits() {
    for (edit, expected) in [
        (
            json!({"do": "set", "frames": {"res": "A-1"}, "at": "/payload/n", "value": 2}),
            vec![
                SEND,
                r#"2 < {"id":"A-1","ok":true,"payload":{"n":2},"type":"res"}"#,
                EVENT,
                CLOSE,
            ],
        ),
        (
            json!({"do": "unset", "frames": {"event": "shutdown"}, "at": "/payload/restartExpectedMs"}),
            vec![
                SEND,
                RES,
                r#"3 < {"event":"shutdown","payload":{},"type":"event"}"#,
                CLOSE,
            ],
        ),
        (
            json!({"do": "drop", "frames": {"conn": "A", "at": {"/payload/n": 1}}}),
            vec![SEND, EVENT, CLOSE],
        ),
        (
            json!({"do": "insert", "after": {"sent": "A-1"}, "frame": {"type": "res", "id": "A-0"}}),
            vec![SEND, r#"1 < {"id":"A-0","type":"res"}"#, RES, EVENT, CLOSE],
        ),
        (
            json!({"do": "insert", "after": {"res": "A-1"}, "set": {"/id": "A-9"},
                "frame": {"like": {"session": "two", "frame": {"res": "X"}}}}),
            vec![
                SEND,
                RES,
                r#"2 < {"id":"A-9","ok":false,"type":"res"}"#,
                EVENT,
                CLOSE,
            ],
        ),
        (
            json!({"do": "insert", "after": {"sent": "A-1"}, "frame": {"type": "res", "id": "A-0"}, "t": 2}),
            vec![SEND, RES, r#"2 < {"id":"A-0","type":"res"}"#, EVENT, CLOSE],
        ),
        (
            json!({"do": "close", "conn": "A", "close": {"by": "client", "code": 1000}, "t": 2}),
            vec![SEND, RES, "2 closed by the client: 1000 \"\"", EVENT],
        ),
    ] {
        assert_eq!(edited(edit.clone()).unwrap(), expected, "{edit}");
    }
}

#[test]
fn an_edit_that_changes_nothing_is_an_error() {
    for (edit, expected) in [
        (
            json!({"do": "drop", "frames": {"event": "tick"}}),
            "edit 1 fits no frame",
        ),
        (
            json!({"do": "set", "frames": {"conn": "B"}, "at": "/x", "value": 1}),
            "edit 1 fits no frame",
        ),
        (
            json!({"do": "unset", "frames": {"res": "A-1"}, "at": "/payload/x"}),
            "no place \"/payload/x\"",
        ),
        (
            json!({"do": "set", "frames": {"res": "A-1"}, "at": "/a/b", "value": 1}),
            "no place \"/a/b\"",
        ),
        (
            json!({"do": "close", "conn": "B", "close": {"by": "client", "code": 1000}}),
            "edit 1 fits no frame",
        ),
        (
            json!({"do": "insert", "after": {"res": "A-1"}, "frame": {"like": {"session": "two", "frame": {"res": "Y"}}}}),
            "edit 1 fits no frame",
        ),
    ] {
        let error = edited(edit.clone()).unwrap_err().to_string();
        assert!(error.contains(expected), "{edit}: {error}");
    }
}

#[test]
fn every_deviation_has_the_number_of_an_oddity() {
    for (odds, expected) in [
        (vec![1], None),
        (vec![68, 3], None),
        (vec![], Some("has no odd number")),
        (vec![0], Some("the wire contract has no odd 0")),
        (vec![69], Some("the wire contract has no odd 69")),
        (vec![3, 70], Some("the wire contract has no odd 70")),
    ] {
        let deviation = json!({"session": "one", "odd": odds, "reason": "r", "edits": []});
        let file = json!({"everywhere": [], "sessions": [deviation]});
        let deviations: Deviations = serde_json::from_value(file).unwrap();
        let error = deviations.check_odds().err().map(|error| error.to_string());
        match (expected, &error) {
            (None, None) => {}
            (Some(expected), Some(error)) if error.contains(expected) => {}
            _ => panic!("{odds:?}: {error:?}"),
        }
    }
    let law =
        json!({"everywhere": [{"odd": 69, "law": "hello-first", "reason": "r"}], "sessions": []});
    let laws: Deviations = serde_json::from_value(law).unwrap();
    let error = laws.check_odds().unwrap_err().to_string();
    assert!(
        error.contains("every session: the wire contract has no odd 69"),
        "{error}"
    );
    let found = json!({"everywhere": [], "sessions": [], "found": [{"odd": 69, "recorded": "a", "better": "b"}]});
    let error = serde_json::from_value::<Deviations>(found).unwrap_err();
    assert!(
        error.to_string().contains("unknown field `found`"),
        "{error}"
    );
}
