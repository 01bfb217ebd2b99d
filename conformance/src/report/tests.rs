//! What people read when a session fails.

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::judge::{Heard, HeardConn, HeardFrame};
use crate::replay::Stall;
use crate::session::{By, Close, Provenance, Setup, Step};

fn session() -> Session {
    let receive = |t, frame| Step {
        t,
        action: Action::Receive {
            conn: "A".into(),
            frame,
        },
    };
    Session {
        name: "sample".into(),
        description: "what a report looks like".into(),
        provenance: Provenance {
            release: String::new(),
            how: String::new(),
        },
        setup: Setup {
            fresh: true,
            token: "tok".into(),
            config: Value::Null,
            env: Default::default(),
        },
        steps: vec![
            Step {
                t: 1,
                action: Action::Send {
                    conn: "A".into(),
                    text: json!({"type": "req", "id": "A-2", "method": "status"}).to_string(),
                    binary: false,
                    sign: None,
                },
            },
            receive(
                2,
                json!({"type": "res", "id": "A-2", "ok": true, "payload": {"n": 1, "list": ["a", "b"], "ts": 1}}),
            ),
            receive(
                3,
                json!({"type": "event", "event": "shutdown", "payload": {}, "seq": 4}),
            ),
            Step {
                t: 9,
                action: Action::Close {
                    conn: "A".into(),
                    close: Close {
                        by: By::Gateway,
                        code: 1012,
                        reason: "service restart".into(),
                    },
                },
            },
        ],
    }
}

fn outcome(status: Status, findings: Vec<Finding>, stall: Option<Stall>) -> Outcome {
    let frame = json!({"type": "res", "id": "A-2", "ok": true, "payload": {"n": 2, "list": ["a"], "ts": 99, "extra": true}});
    let conn = HeardConn {
        frames: vec![HeardFrame { at: 5, frame }],
        acted_at: 1,
        close: None,
        close_unanswered: false,
    };
    Outcome {
        session: Arc::new(session()),
        status,
        findings,
        stall,
        error: None,
        heard: Heard {
            conns: [("A".to_owned(), conn)].into(),
        },
        home: Some("/tmp/kept/sample".into()),
        took: Duration::from_millis(1234),
    }
}

fn finding(step: Option<usize>, heard: Option<usize>, problem: Problem) -> Finding {
    Finding {
        conn: Some("A".into()),
        step,
        heard,
        problem,
    }
}

fn failed() -> Outcome {
    let difference = |pointer: &str, what| Difference {
        pointer: pointer.into(),
        what,
    };
    let differs = Problem::Differs(vec![
        difference(
            "/payload/n",
            What::Value {
                expected: json!(1),
                actual: json!(2),
            },
        ),
        difference("/payload/list/1", What::Missing(json!("b"))),
        difference("/payload/extra", What::Unexpected(json!(true))),
        difference(
            "/payload/id",
            What::Rule("sessionId#1 was x so far, here it is y".into()),
        ),
    ]);
    let shutdown = json!({"type": "event", "event": "shutdown", "payload": {}, "seq": 4});
    let order = Problem::Order {
        expected: vec![
            "event agent lifecycle end".into(),
            "event chat final".into(),
        ],
        actual: vec![
            "event chat final".into(),
            "event agent lifecycle end".into(),
        ],
    };
    let close = Close {
        by: By::Gateway,
        code: 1012,
        reason: "service restart".into(),
    };
    let findings = vec![
        finding(Some(1), Some(0), differs),
        finding(Some(2), None, Problem::Missing(shutdown)),
        finding(Some(1), Some(0), order),
        finding(
            Some(3),
            None,
            Problem::Closed {
                expected: Some(close),
                actual: None,
            },
        ),
        finding(
            None,
            Some(0),
            Problem::Schema(vec!["StatusSummary /payload: \"n\" is no string".into()]),
        ),
    ];
    let stall = Stall {
        step: 3,
        message: "waited 10.0 s".into(),
        missing: vec![2],
    };
    outcome(Status::Failed, findings, Some(stall))
}

#[test]
fn the_summary() {
    let outcomes = [
        outcome(Status::Passed, vec![], None),
        outcome(Status::Deviating(vec![22, 66]), vec![], None),
        outcome(Status::Without(vec!["config.get".into()]), vec![], None),
        outcome(
            Status::KnownFailing("cron is not there yet".into()),
            vec![],
            None,
        ),
        outcome(
            Status::Skipped("sends SIGTERM to the gateway".into()),
            vec![],
            None,
        ),
        outcome(
            Status::UnexpectedPass("cron is not there yet".into()),
            vec![],
            None,
        ),
        failed(),
    ];
    insta::assert_snapshot!(summary(&outcomes, Duration::from_secs(7), false));
}

#[test]
fn the_results_for_a_machine() {
    let outcomes = [
        outcome(Status::Deviating(vec![1]), vec![], None),
        outcome(Status::KnownFailing("why".into()), vec![], None),
        outcome(Status::Without(vec!["tts.status".into()]), vec![], None),
    ];
    let sessions = json!([
        {"session": "sample", "status": "deviating", "odds": [1], "durationMs": 1234},
        {"session": "sample", "status": "known-failing", "reason": "why", "durationMs": 1234},
        {"session": "sample", "status": "partly", "reason": "not served yet: tts.status", "durationMs": 1234},
    ]);
    let expected = json!({"ok": true, "durationMs": 7000, "sessions": sessions});
    assert_eq!(to_json(&outcomes, Duration::from_secs(7)), expected);
    let bad = to_json(&[failed()], Duration::from_secs(7));
    assert_eq!(
        (&bad["ok"], &bad["sessions"][0]["status"]),
        (&json!(false), &json!("failed"))
    );
    assert!(
        bad["sessions"][0]["details"]
            .as_str()
            .unwrap()
            .contains("/payload/n: expected 1, got 2")
    );
}
