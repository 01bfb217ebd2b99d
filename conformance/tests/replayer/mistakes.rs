//! One mistake at a time: the script of the gateway is changed, and exactly the change must be found.

use std::time::Duration;

use openclaw_conformance::judge::Laws;
use openclaw_conformance::session::{Action, By, Close, Session, Step};
use serde_json::{Value, json};

use crate::bench::{Bench, frames, position, session, shown};

/// The first frame with a value at a pointer.
type Place = (&'static str, Value);

enum Mistake {
    None,
    /// Another value in the frame.
    Set(Place, &'static str, Value),
    /// A member less in the frame.
    Unset(Place, &'static str, &'static str),
    /// The frame does not come.
    Remove(Place),
    /// The frame comes twice.
    Repeat(Place),
    /// The frame comes after the one that should follow it.
    Later(Place),
    /// A frame that nobody expects, behind this one.
    Add(Place, Value),
    /// The connection is closed by the gateway in another way; none: it stays open.
    Close(Option<(u16, &'static str)>),
}

use Mistake::{Add, Later, Remove, Repeat, Set, Unset};

impl Mistake {
    fn make(self, script: &mut Session) {
        let at = |script: &Session, (pointer, value): &Place| position(script, pointer, value);
        let frame = |step: &mut Step, edit: &dyn Fn(&mut Value)| match &mut step.action {
            Action::Receive { frame, .. } => edit(frame),
            other => panic!("no frame: {other:?}"),
        };
        match self {
            Self::None => {}
            Set(place, pointer, value) => {
                let at = at(script, &place);
                let (parent, key) = pointer.rsplit_once('/').unwrap();
                frame(
                    &mut script.steps[at],
                    &|f| match f.pointer_mut(parent).unwrap() {
                        Value::Array(items) => items[key.parse::<usize>().unwrap()] = value.clone(),
                        object => object[key] = value.clone(),
                    },
                );
            }
            Unset(place, parent, key) => {
                let at = at(script, &place);
                frame(&mut script.steps[at], &|f| {
                    let object = f.pointer_mut(parent).unwrap().as_object_mut().unwrap();
                    object.remove(key).unwrap();
                });
            }
            Remove(place) => {
                let at = at(script, &place);
                script.steps.remove(at);
            }
            Repeat(place) => {
                let at = at(script, &place);
                script.steps.insert(at, script.steps[at].clone());
            }
            Later(place) => {
                let at = at(script, &place);
                script.steps.swap(at, at + 1);
            }
            Add(place, value) => {
                let at = at(script, &place);
                let mut step = script.steps[at].clone();
                frame(&mut step, &|f| *f = value.clone());
                script.steps.insert(at + 1, step);
            }
            Self::Close(other) => {
                let last = script.steps.last_mut().unwrap();
                let conn = last.action.conn().unwrap().to_owned();
                match other {
                    None => drop(script.steps.pop()),
                    Some((code, reason)) => {
                        let close = Close {
                            by: By::Gateway,
                            code,
                            reason: reason.into(),
                        };
                        last.action = Action::Close { conn, close };
                    }
                }
            }
        }
    }
}

/// Replays `name` against a gateway that makes a mistake; `expected` is all that must be found, parts of the messages.
async fn check(name: &str, mistake: Mistake, expected: &[&str]) {
    let original = session(name);
    let mut script = original.clone();
    mistake.make(&mut script);
    check_script(&original, script, expected).await;
}

async fn check_script(original: &Session, script: Session, expected: &[&str]) {
    let bench = Bench {
        // Long enough for a mistake at the very end to arrive on a busy machine.
        settle: Duration::from_millis(600),
        ..Bench::new()
    };
    let (_, findings) = bench.replay(original, script, Laws::default()).await;
    let shown = shown(&findings);
    let fits =
        shown.len() == expected.len() && shown.iter().zip(expected).all(|(s, e)| s.contains(e));
    assert!(
        fits,
        "{}: found {shown:#?}, expected {expected:#?}",
        original.name
    );
}

fn hello() -> Place {
    ("/id", json!("A-1"))
}

fn health() -> Place {
    ("/event", json!("health"))
}

fn last_words() -> Place {
    ("/payload/state", json!("final"))
}

#[tokio::test]
async fn a_changed_value_is_found_at_its_place() {
    let refusal = || ("/ok", json!(false));
    let start = || ("/payload/data/phase", json!("start"));
    let methods = "/payload/features/methods/0";
    let uuid = json!("00000000-0000-4000-8000-00000000abcd");
    let moment = json!(1_795_404_145_906_u64);
    for (name, mistake, expected) in [
        (
            "connect-bad-token",
            Set(refusal(), "/error/message", json!("no")),
            "/error/message: expected \"unauthorized",
        ),
        (
            "connect-token-ok",
            Set(hello(), "/payload/policy/maxPayload", json!(1)),
            "/payload/policy/maxPayload: expected 524288, got 1",
        ),
        (
            "connect-token-ok",
            Set(hello(), "/payload/extra", json!(1)),
            "/payload/extra: unexpected, got 1",
        ),
        (
            "connect-token-ok",
            Unset(hello(), "/payload", "policy"),
            "/payload/policy: missing",
        ),
        (
            "connect-token-ok",
            Set(hello(), methods, json!("healthy")),
            "/payload/features/methods/0: unexpected, got \"healthy\"",
        ),
        (
            "chat-send",
            Set(("/id", json!("A-3")), "/payload/status", json!("queued")),
            "/payload/status: expected \"started\", got \"queued\"",
        ),
        (
            "chat-send",
            Set(("/id", json!("A-6")), "/payload/sessionId", uuid),
            "/payload/sessionId: sessionId#1 was",
        ),
        (
            "chat-send",
            Set(last_words(), "/payload/seq", json!(9)),
            "/payload/seq: expected \"seq of the agent event before + 0\", got \"seq of the agent event before + 3\"",
        ),
        (
            "chat-send",
            Set(start(), "/payload/seq", json!(2)),
            "/payload/seq: expected \"place of the event + 0\"",
        ),
        (
            "agent-wait",
            Set(("/id", json!("B-4")), "/payload/startedAt", moment),
            "/payload/startedAt: startedAt of the same event",
        ),
    ] {
        check(name, mistake, &[expected]).await;
    }
}

#[tokio::test]
async fn a_missing_frame_is_found() {
    for (name, place, expected) in [
        ("chat-send", last_words(), "missing event chat"),
        ("connect-token-ok", health(), "0 health events"),
        (
            "client-close-then-reconnect",
            ("/event", json!("presence")),
            "missing event presence",
        ),
        (
            "agent-run",
            ("/payload/status", json!("ok")),
            "missing res A-2",
        ),
    ] {
        check(name, Remove(place), &[expected]).await;
    }
}

#[tokio::test]
async fn an_extra_frame_is_found() {
    let cron = json!({"type": "event", "event": "cron", "payload": {}, "seq": 2});
    check(
        "chat-send",
        Repeat(last_words()),
        &["unexpected event chat"],
    )
    .await;
    check("chat-send", Repeat(hello()), &["unexpected res A-1"]).await;
    check("chat-send", Add(health(), cron), &["unexpected event cron"]).await;
    // Events that come on their own time may come more often.
    check("connect-token-ok", Repeat(health()), &[]).await;
}

#[tokio::test]
async fn presence_shows_who_is_there_and_nobody_else() {
    let list = || ("/event", json!("presence"));
    let stranger = Set(list(), "/payload/presence/1/host", json!("Stranger"));
    let unknown = "a presence entry that the session does not know";
    let name = "client-close-then-reconnect";
    check(name, stranger, &["missing event presence", unknown]).await;
    let reason = Set(list(), "/payload/presence/1/reason", json!("connect"));
    check(name, reason, &["missing event presence"]).await;
    let version = Set(list(), "/stateVersion/presence", json!(1));
    check(name, version, &["stateVersion.presence fell to 1"]).await;
}

#[tokio::test]
async fn a_wrong_order_is_found() {
    let end = ("/payload/data/phase", json!("end"));
    let order = "order: event chat final instead of event agent lifecycle end";
    check("chat-send", Later(end), &[order, "seq is 12 after 13"]).await;
    let early = "an event before hello-ok";
    check(
        "connect-token-ok",
        Later(hello()),
        &[early, "stateVersion.health fell to 2"],
    )
    .await;
}

#[tokio::test]
async fn a_wrong_close_is_found() {
    let refused = "instead of closed by the gateway: 1008 \"invalid role\"";
    for (close, expected) in [
        (
            Some((1000, "invalid role")),
            "closed by the gateway: 1000 \"invalid role\" ",
        ),
        (Some((1008, "")), "closed by the gateway: 1008 \"\" "),
        (
            Some((1006, "")),
            "cut by the gateway without a close frame ",
        ),
        (None, "open "),
    ] {
        let expected = format!("{expected}{refused}");
        check("connect-invalid-role", Mistake::Close(close), &[&expected]).await;
    }
    let instead = "closed by the gateway: 1011 \"oops\" instead of closed by the client: 1000";
    check(
        "connect-token-ok",
        Mistake::Close(Some((1011, "oops"))),
        &[instead],
    )
    .await;
    // The recorded wait was ten seconds; the scripted gateway closes at once.
    check("handshake-timeout", Mistake::None, &["recorded were 100"]).await;
}

#[tokio::test]
async fn a_wrong_text_of_a_run_is_found() {
    let says = |text: &str| ("/payload/data/text", json!(text));
    let delta = "assistant text is \"echo: he\", before it was \"echo\" and the delta is \"he\"";
    check(
        "chat-send",
        Set(says("echo: he"), "/payload/data/delta", json!("he")),
        &[delta],
    )
    .await;
    let key = "/payload/sessionKey: expected \"agent:main:main\", got \"main\"";
    check(
        "chat-send",
        Set(says("echo"), "/payload/sessionKey", json!("main")),
        &[key],
    )
    .await;
    let shown = "chat delta shows \"echo!\", the agent event before it \"echo\"";
    let first = ("/payload/message/content/0/text", json!("echo"));
    check(
        "chat-send",
        Set(first, "/payload/message/content/0/text", json!("echo!")),
        &[shown],
    )
    .await;

    // The last piece, as agent event and as chat delta, does not come.
    let original = session("chat-send");
    let mut script = original.clone();
    let last = json!("echo: hello chat");
    script.steps.retain(|step| {
        !matches!(&step.action, Action::Receive { frame, .. }
        if frame.pointer("/payload/data/text") == Some(&last)
            || frame.pointer("/payload/state") == Some(&json!("delta"))
                && frame.pointer("/payload/message/content/0/text") == Some(&last))
    });
    let expected = [
        "/says: expected \"echo: hello chat\", got \"echo: hello\"",
        "/payload/seq: expected \"place of the event + 0\", got \"place of the event + 1\"",
    ];
    check_script(&original, script, &expected).await;
}

#[tokio::test]
async fn pieces_of_speech_may_be_cut_otherwise() {
    let original = session("chat-send");
    let mut script = original.clone();
    // Without the third piece: the fourth brings its text, and every number after it is one less.
    script.steps.retain(|step| !matches!(&step.action, Action::Receive { frame, .. }
        if frame.pointer("/payload/seq") == Some(&json!(4)) && frame.pointer("/payload/runId").is_some()));
    for frame in frames(&mut script).filter(|f| f.pointer("/payload/runId").is_some()) {
        if let Some(seq) = frame
            .pointer("/payload/seq")
            .and_then(Value::as_u64)
            .filter(|seq| *seq > 4)
        {
            frame["payload"]["seq"] = json!(seq - 1);
        }
        if frame.pointer("/payload/data/text") == Some(&json!("echo: hello chat")) {
            frame["payload"]["data"]["delta"] = json!("llo chat");
        }
    }
    check_script(&original, script, &[]).await;
}
