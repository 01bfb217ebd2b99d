//! Tables for [`super`].

use super::*;
use crate::judge::{Heard, HeardConn, HeardFrame, Judge, Laws, Problem};
use crate::rules::Rules;
use crate::session::{Provenance, Setup, Step};
use serde_json::json;

fn list(id: &str, row: &Value) -> Value {
    json!({"type": "res", "id": id, "ok": true, "payload": {"ts": 1, "sessions": [row]}})
}

/// A list whose last one shows what a turn used; the first does not.
fn session() -> Session {
    let receive = |frame| Action::Receive {
        conn: "A".into(),
        frame,
    };
    let send = |id: &str, method: &str| Action::Send {
        conn: "A".into(),
        text: json!({"type": "req", "id": id, "method": method}).to_string(),
        binary: false,
        sign: None,
    };
    let early = json!({"key": "main", "totalTokens": 0});
    let late = json!({"key": "main", "totalTokens": 10, "inputTokens": 7, "model": "echo-1"});
    let actions = [
        Action::Open {
            conn: "A".into(),
            headers: BTreeMap::new(),
        },
        send("A-1", "sessions.list"),
        receive(list("A-1", &early)),
        send("A-2", "sessions.list"),
        receive(list("A-2", &late)),
        send("A-3", "health"),
        receive(list("A-3", &late)),
        receive(list("A-3", &late)),
        send("A-4", "health"),
        receive(list("A-4", &late)),
    ];
    Session {
        name: "one".into(),
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
        steps: actions
            .into_iter()
            .map(|action| Step { t: 1, action })
            .collect(),
    }
}

const MEMBERS: [&str; 3] = [
    "/payload/sessions/0/totalTokens",
    "/payload/sessions/0/inputTokens",
    "/payload/sessions/0/model",
];

fn races(session: &str, res: &str, later: &str, members: &[&str]) -> Result<Races, RaceError> {
    let mark =
        json!({"session": session, "res": res, "later": later, "members": members, "reason": "r"});
    let document = serde_json::from_value(json!({"races": [mark]})).unwrap();
    Races::of_document(document, &[self::session()])
}

/// What is found when the gateway answers the list `A-1`, or the one behind it, with this row.
fn found(id: &str, row: &Value) -> Vec<String> {
    let session = session();
    let races = races("one", "A-1", "A-2", &MEMBERS).unwrap();
    let frames = session.steps.iter().filter_map(|step| match &step.action {
        Action::Receive { frame, .. } if frame["id"] == id => Some(list(id, row)),
        Action::Receive { frame, .. } => Some(frame.clone()),
        _ => None,
    });
    let conn = HeardConn {
        frames: frames.map(|frame| HeardFrame { at: 1, frame }).collect(),
        ..HeardConn::default()
    };
    let heard = Heard {
        conns: BTreeMap::from([("A".to_owned(), conn)]),
    };
    // As in the suite: numbers of tokens are not compared by their value elsewhere.
    let rules: Rules = serde_json::from_value(json!({"fields": [
        {"path": "/**/totalTokens", "as": "count", "why": "w"}, {"path": "/**/inputTokens", "as": "count", "why": "w"}]}))
    .unwrap();
    let judge = Judge {
        rules: &rules,
        constants: &[],
        laws: Laws::default(),
        shared_gateway: false,
        schema: None,
        races: races.of(&session.name),
    };
    let findings = judge.findings(&session, &heard, session.steps.len());
    let told = findings.iter().flat_map(|finding| match &finding.problem {
        Problem::Differs(differences) => differences.iter().map(ToString::to_string).collect(),
        other => vec![format!("{other:?}")],
    });
    told.collect()
}

#[test]
fn all_of_the_members_or_none() {
    let half = |member: &str, late: &str, early: &str, got: &str| {
        format!(
            "/payload/sessions/0/{member}: expected {late} like the others that race, or {early} with all of them, got {got}"
        )
    };
    for (row, expected) in [
        (json!({"key": "main", "totalTokens": 0}), vec![]),
        (
            json!({"key": "main", "totalTokens": 10, "inputTokens": 7, "model": "echo-1"}),
            vec![],
        ),
        (
            json!({"key": "main", "totalTokens": 10, "inputTokens": 8, "model": "echo-1"}),
            vec![half("inputTokens", "7", "nothing", "8")],
        ),
        (
            json!({"key": "main", "totalTokens": 10, "inputTokens": 7, "model": "echo-2"}),
            vec![half("model", "\"echo-1\"", "nothing", "\"echo-2\"")],
        ),
        (
            json!({"key": "main", "totalTokens": 10, "inputTokens": 7}),
            vec![half("model", "\"echo-1\"", "nothing", "nothing")],
        ),
        (
            json!({"key": "main", "totalTokens": 0, "inputTokens": 7, "model": "echo-1"}),
            vec![half("totalTokens", "10", "0", "0")],
        ),
        (
            json!({"key": "main", "totalTokens": 10}),
            vec![
                half("inputTokens", "7", "nothing", "nothing"),
                half("model", "\"echo-1\"", "nothing", "nothing"),
            ],
        ),
        (
            json!({"key": "main"}),
            vec![
                half("totalTokens", "10", "0", "nothing"),
                half("inputTokens", "7", "nothing", "nothing"),
                half("model", "\"echo-1\"", "nothing", "nothing"),
            ],
        ),
        // The rest is compared as ever.
        (
            json!({"key": "other", "totalTokens": 0}),
            vec!["/payload/sessions/0/key: expected \"main\", got \"other\"".to_owned()],
        ),
        (
            json!({"key": "main", "totalTokens": 0, "outputTokens": 5}),
            vec!["/payload/sessions/0/outputTokens: unexpected, got 5".to_owned()],
        ),
    ] {
        assert_eq!(found("A-1", &row), expected, "{row}");
    }
}

#[test]
fn other_frames_do_not_race() {
    let row = json!({"key": "main", "totalTokens": 0});
    let expected = [
        "/payload/sessions/0/inputTokens: missing, expected 7",
        "/payload/sessions/0/model: missing, expected \"echo-1\"",
    ];
    assert_eq!(found("A-2", &row), expected);
}

#[test]
fn a_mark_that_fits_nothing_is_an_error() {
    let all: &[&str] = &MEMBERS;
    for (session, res, later, members, expected) in [
        ("two", "A-1", "A-2", all, "\"two\", which is no session"),
        ("one", "A-9", "A-2", all, "0 responses \"A-9\""),
        ("one", "A-1", "A-9", all, "0 responses \"A-9\""),
        ("one", "A-3", "A-4", all, "2 responses \"A-3\""),
        ("one", "A-2", "A-1", all, "\"A-1\" is no later response"),
        ("one", "A-1", "A-1", all, "\"A-1\" is no later response"),
        ("one", "A-1", "A-4", all, "\"A-4\" is no later response"),
        ("one", "A-1", "A-2", &[], "needs one mark with members"),
        (
            "one",
            "A-1",
            "A-2",
            &[MEMBERS[0], MEMBERS[0]],
            "needs one mark with members",
        ),
        (
            "one",
            "A-1",
            "A-2",
            &["/payload/sessions/0/key"],
            "does not become another value",
        ),
        (
            "one",
            "A-1",
            "A-2",
            &["/payload/sessions/0/label"],
            "does not become another value",
        ),
        (
            "one",
            "A-1",
            "A-2",
            &["/payload/sessions/1/model"],
            "does not become another value",
        ),
        ("one", "A-1", "A-2", &[""], "does not become another value"),
    ] {
        let error = races(session, res, later, members).unwrap_err().to_string();
        assert!(
            error.contains(expected),
            "{res} {later} {members:?}: {error}"
        );
    }
    let mark =
        json!({"session": "one", "res": "A-1", "later": "A-2", "members": MEMBERS, "reason": "r"});
    let twice = serde_json::from_value(json!({"races": [mark, mark]})).unwrap();
    let error = Races::of_document(twice, &[session()]).unwrap_err();
    assert!(error.to_string().contains("needs one mark"), "{error}");
    let unknown = json!({"races": [{"session": "one", "event": "health"}]});
    assert!(serde_json::from_value::<Document>(unknown).is_err());
}
