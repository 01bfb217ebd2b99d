//! The suite must be able to fail: sessions are replayed over real sockets against a scripted gateway that plays its side by
//! heart. Unchanged, nothing may be found; with one thing changed, exactly that must be found.
#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use openclaw_conformance::clock;
use openclaw_conformance::deviation::Deviations;
use openclaw_conformance::file;
use openclaw_conformance::judge::{Finding, Judge, Laws, Problem};
use openclaw_conformance::keys::TestKeys;
use openclaw_conformance::replay::{Endpoint, Names, Played, Player, play};
use openclaw_conformance::rules::Rules;
use openclaw_conformance::session::{Action, Session};
use openclaw_conformance::suite::{self, Status, Suite, Target};
use serde_json::{Value, json};

fn data() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sessions() -> Vec<Session> {
    file::load_all(&data().join("sessions")).unwrap()
}

fn session(name: &str) -> Session {
    sessions().into_iter().find(|s| s.name == name).unwrap()
}

/// Sessions that signal the gateway have no part here: the scripted one is no process.
fn playable(session: &Session) -> bool {
    !session
        .steps
        .iter()
        .any(|s| matches!(s.action, Action::Mark(_)))
}

struct Bench {
    keys: TestKeys,
    rules: Rules,
    constants: Vec<String>,
}

impl Bench {
    fn new() -> Self {
        let keys = TestKeys::load(&data().join("keys.json")).unwrap();
        let constants = keys.constants().map(str::to_owned).collect();
        Self {
            keys,
            rules: Rules::load(Path::new(&data().join("rules.json"))).unwrap(),
            constants,
        }
    }

    /// Plays `expected` against a gateway that performs `script`, without the recorded pauses.
    async fn replay(
        &self,
        expected: &Session,
        script: Session,
        laws: Laws,
    ) -> (Played, Vec<Finding>) {
        let addr = support::start(script, &self.constants).await;
        let endpoint = Endpoint {
            addr,
            names: Names::default(),
            token: None,
            signal: None,
        };
        let player = Player {
            keys: &self.keys,
            rules: &self.rules,
            constants: &self.constants,
            pace: 0.0,
            patience: Duration::from_secs(2),
            now_ms: clock::now_ms,
        };
        let played = play(player, expected, &endpoint).await;
        let judge = Judge {
            rules: &self.rules,
            constants: &self.constants,
            laws,
            shared_gateway: false,
            schema: None,
        };
        let findings = judge.findings(expected, &played.heard, played.reached);
        (played, findings)
    }
}

/// What the findings are about, one line each.
fn shown(findings: &[Finding]) -> Vec<String> {
    let show = |f: &Finding| match &f.problem {
        Problem::Differs(differences) => differences
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("; "),
        Problem::Missing(frame) => format!("missing {}", name(frame)),
        Problem::Unexpected(frame) => format!("unexpected {}", name(frame)),
        Problem::Order { expected, actual } => {
            format!("order: {} instead of {}", actual[0], expected[0])
        }
        Problem::Closed { expected, actual } => {
            let show = |c: &Option<_>| c.as_ref().map_or("open".to_owned(), ToString::to_string);
            format!("{} instead of {}", show(actual), show(expected))
        }
        Problem::Law(message) => message.clone(),
        Problem::Schema(errors) => errors.join("; "),
    };
    findings.iter().map(show).collect()
}

fn name(frame: &Value) -> String {
    let text = |key: &str| {
        frame
            .get(key)
            .map(|v| v.to_string().replace('"', ""))
            .unwrap_or_default()
    };
    format!(
        "{} {}",
        text("type"),
        if frame.get("id").is_some() {
            text("id")
        } else {
            text("event")
        }
    )
}

#[tokio::test]
async fn a_faithful_gateway_passes_every_session() {
    let bench = Bench::new();
    for session in sessions().into_iter().filter(playable) {
        // No waiting in this test: a close that took its time is as quick as the rest.
        let mut quick = session.clone();
        quick.steps.iter_mut().for_each(|s| s.t = s.t.min(900));
        let (played, findings) = bench.replay(&quick, session.clone(), Laws::default()).await;
        assert_eq!(played.stall, None, "{}", session.name);
        assert!(
            findings.is_empty(),
            "{}: {:#?}",
            session.name,
            shown(&findings)
        );
    }
}

#[tokio::test]
async fn a_gateway_with_the_improvements_passes_the_edited_sessions() {
    let bench = Bench::new();
    let deviations = Deviations::load(&data().join("deviations.json")).unwrap();
    let mut edited = sessions();
    let odds = deviations.apply(&mut edited).unwrap();
    for mut session in edited
        .into_iter()
        .filter(|s| odds.contains_key(&s.name) && playable(s))
    {
        session.steps.iter_mut().for_each(|s| s.t = s.t.min(900));
        let (played, findings) = bench
            .replay(&session, session.clone(), Laws::default())
            .await;
        assert_eq!(played.stall, None, "{}", session.name);
        assert!(
            findings.is_empty(),
            "{}: {:#?}",
            session.name,
            shown(&findings)
        );
    }
}

type Edit = fn(&mut Session);

fn frames(session: &mut Session) -> impl Iterator<Item = &mut Value> {
    session
        .steps
        .iter_mut()
        .filter_map(|s| match &mut s.action {
            Action::Receive { frame, .. } => Some(frame),
            _ => None,
        })
}

/// Changes the first frame that has `value` at `pointer`.
fn change(session: &mut Session, pointer: &str, value: &Value, edit: impl FnOnce(&mut Value)) {
    let frame = frames(session)
        .find(|f| f.pointer(pointer) == Some(value))
        .unwrap();
    edit(frame);
}

/// Position of the first frame from the gateway that has `value` at `pointer`.
fn position(session: &Session, pointer: &str, value: &Value) -> usize {
    let fits = |action: &Action| matches!(action, Action::Receive { frame, .. } if frame.pointer(pointer) == Some(value));
    session.steps.iter().position(|s| fits(&s.action)).unwrap()
}

/// Replays `name` against a gateway whose script was edited; `expected` is everything that must be found.
async fn check(name: &str, edit: Edit, expected: &[&str]) {
    let original = session(name);
    let mut script = original.clone();
    edit(&mut script);
    let (_, findings) = Bench::new()
        .replay(&original, script, Laws::default())
        .await;
    let shown = shown(&findings);
    let fits =
        shown.len() == expected.len() && shown.iter().zip(expected).all(|(s, e)| s.contains(e));
    assert!(fits, "{name}: found {shown:#?}, expected {expected:#?}");
}

#[tokio::test]
async fn a_changed_value_is_found_at_its_place() {
    check(
        "connect-bad-token",
        |s| {
            change(s, "/ok", &json!(false), |f| {
                f["error"]["message"] = json!("no")
            })
        },
        &["/error/message: expected \"unauthorized"],
    )
    .await;
    check(
        "connect-token-ok",
        |s| {
            change(s, "/id", &json!("A-1"), |f| {
                f["payload"]["policy"]["maxPayload"] = json!(1)
            })
        },
        &["/payload/policy/maxPayload: expected 524288, got 1"],
    )
    .await;
    check(
        "connect-token-ok",
        |s| {
            change(s, "/id", &json!("A-1"), |f| {
                f["payload"]["extra"] = json!(1)
            })
        },
        &["/payload/extra: unexpected, got 1"],
    )
    .await;
    check(
        "connect-token-ok",
        |s| {
            change(s, "/id", &json!("A-1"), |f| {
                f["payload"].as_object_mut().unwrap().remove("policy");
            })
        },
        &["/payload/policy: missing"],
    )
    .await;
    check(
        "connect-token-ok",
        |s| {
            change(s, "/id", &json!("A-1"), |f| {
                f["payload"]["features"]["methods"][0] = json!("healthy")
            })
        },
        &["/payload/features/methods/0: unexpected, got \"healthy\""],
    )
    .await;
    check(
        "chat-send",
        |s| {
            change(s, "/id", &json!("A-3"), |f| {
                f["payload"]["status"] = json!("queued")
            })
        },
        &["/payload/status: expected \"started\", got \"queued\""],
    )
    .await;
    check("chat-send", |s| change(s, "/payload/state", &json!("final"), |f| f["payload"]["seq"] = json!(9)), &["/payload/seq: expected \"seq of the agent event before + 0\", got \"seq of the agent event before + 3\""]).await;
    check(
        "chat-send",
        |s| {
            change(s, "/payload/data/phase", &json!("start"), |f| {
                f["payload"]["seq"] = json!(2)
            })
        },
        &["/payload/seq: expected \"place of the event + 0\""],
    )
    .await;
    check(
        "agent-wait",
        |s| {
            change(s, "/id", &json!("B-4"), |f| {
                f["payload"]["startedAt"] = json!(1_795_404_145_906_u64)
            })
        },
        &["/payload/startedAt: startedAt of the same event"],
    )
    .await;
}

#[tokio::test]
async fn a_missing_frame_is_found() {
    check(
        "chat-send",
        |s| {
            let at = position(s, "/payload/state", &json!("final"));
            s.steps.remove(at);
        },
        &["missing event chat"],
    )
    .await;
    check(
        "connect-token-ok",
        |s| {
            let at = position(s, "/event", &json!("health"));
            s.steps.remove(at);
        },
        &["0 health events"],
    )
    .await;
    check(
        "client-close-then-reconnect",
        |s| {
            let at = position(s, "/event", &json!("presence"));
            s.steps.remove(at);
        },
        &["missing event presence"],
    )
    .await;
    check(
        "agent-run",
        |s| {
            let at = position(s, "/payload/status", &json!("ok"));
            s.steps.remove(at);
        },
        &["missing res A-2"],
    )
    .await;
}

#[tokio::test]
async fn an_extra_frame_is_found() {
    check(
        "chat-send",
        |s| {
            let at = position(s, "/payload/state", &json!("final"));
            let again = s.steps[at].clone();
            s.steps.insert(at, again);
        },
        &["unexpected event chat"],
    )
    .await;
    check(
        "connect-token-ok",
        |s| {
            let at = position(s, "/id", &json!("A-1"));
            let again = s.steps[at].clone();
            s.steps.insert(at, again);
        },
        &["unexpected res A-1"],
    )
    .await;
    check(
        "connect-token-ok",
        |s| {
            let at = position(s, "/event", &json!("health"));
            let again = s.steps[at].clone();
            s.steps.insert(at, again);
        },
        &[],
    )
    .await;
    check(
        "connect-token-ok",
        |s| {
            let at = position(s, "/event", &json!("health"));
            let mut cron = s.steps[at].clone();
            if let Action::Receive { frame, .. } = &mut cron.action {
                frame["event"] = json!("cron")
            }
            s.steps.insert(at + 1, cron);
        },
        &["unexpected event cron"],
    )
    .await;
}

#[tokio::test]
async fn a_wrong_order_is_found() {
    check(
        "chat-send",
        |s| {
            let at = position(s, "/payload/data/phase", &json!("end"));
            s.steps.swap(at, at + 1);
        },
        &[
            "order: event chat final instead of event agent lifecycle end",
            "seq is 12 after 13",
        ],
    )
    .await;
    check(
        "connect-token-ok",
        |s| {
            let at = position(s, "/id", &json!("A-1"));
            s.steps.swap(at, at + 1);
        },
        &["an event before hello-ok", "stateVersion.health fell to 2"],
    )
    .await;
}

#[tokio::test]
async fn a_wrong_text_of_a_run_is_found() {
    fn say(s: &mut Session, text: &'static str, edit: impl Fn(&mut Value)) {
        frames(s)
            .filter(|f| f.pointer("/payload/data/text") == Some(&json!(text)))
            .for_each(edit);
    }
    check(
        "chat-send",
        |s| {
            say(s, "echo: he", |f| {
                f["payload"]["data"]["delta"] = json!("he")
            })
        },
        &["assistant text is \"echo: he\", before it was \"echo\" and the delta is \"he\""],
    )
    .await;
    check(
        "chat-send",
        |s| say(s, "echo", |f| f["payload"]["sessionKey"] = json!("main")),
        &["/payload/sessionKey: expected \"agent:main:main\", got \"main\""],
    )
    .await;
    check("chat-send", |s| s.steps.retain(|step| !matches!(&step.action, Action::Receive { frame, .. } if frame.pointer("/payload/data/text") == Some(&json!("echo: hello chat")) || frame.pointer("/payload/message/content/0/text") == Some(&json!("echo: hello chat")) && frame.pointer("/payload/state") == Some(&json!("delta")))), &["the run says \"echo: hello\", expected \"echo: hello chat\"", "/payload/seq: expected \"place of the event + 0\", got \"place of the event + 1\""]).await;
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
    let (_, findings) = Bench::new()
        .replay(&original, script, Laws::default())
        .await;
    assert!(findings.is_empty(), "{:#?}", shown(&findings));
}

#[tokio::test]
async fn a_wrong_close_is_found() {
    fn close(s: &mut Session, code: u16, reason: &str) {
        let closes = s.steps.iter_mut().find_map(|s| match &mut s.action {
            Action::Close { close, .. } => Some(close),
            _ => None,
        });
        let close = closes.unwrap();
        (close.code, close.reason) = (code, reason.to_owned());
    }
    check(
        "connect-invalid-role",
        |s| close(s, 1000, "invalid role"),
        &["closed by the gateway: 1000 \"invalid role\" instead of closed by the gateway: 1008"],
    )
    .await;
    check("connect-invalid-role", |s| close(s, 1008, ""), &["closed by the gateway: 1008 \"\" instead of closed by the gateway: 1008 \"invalid role\""]).await;
    check(
        "connect-invalid-role",
        |s| close(s, 1006, ""),
        &["cut by the gateway without a close frame instead of"],
    )
    .await;
    check(
        "connect-invalid-role",
        |s| {
            s.steps.pop();
        },
        &["open instead of closed by the gateway: 1008"],
    )
    .await;
    check(
        "connect-token-ok",
        |s| {
            let last = s.steps.pop().unwrap();
            let at = position(s, "/event", &json!("health"));
            s.steps.insert(at, last);
            close(s, 1011, "oops");
            s.steps.iter_mut().for_each(|step| {
                if let Action::Close { close, .. } = &mut step.action {
                    close.by = openclaw_conformance::session::By::Gateway
                }
            });
        },
        &[
            "closed by the gateway: 1011 \"oops\" instead of closed by the client",
            "0 health events",
        ],
    )
    .await;
    // The recorded wait was ten seconds; the scripted gateway closes at once.
    check("handshake-timeout", |_| {}, &["recorded were 100"]).await;
}

#[tokio::test]
async fn ids_that_do_not_belong_together_are_found() {
    check(
        "chat-send",
        |s| {
            change(s, "/id", &json!("A-6"), |f| {
                f["payload"]["sessionId"] = json!("00000000-0000-4000-8000-00000000abcd")
            })
        },
        &["/payload/sessionId: sessionId#1 was"],
    )
    .await;
}

#[tokio::test]
async fn improvements_are_laws() {
    let original = session("broadcast-seq");
    let laws = Laws {
        seq_per_connection: true,
        presence_coalesced: true,
    };
    let (_, findings) = Bench::new().replay(&original, original.clone(), laws).await;
    let shown = shown(&findings);
    assert!(
        shown
            .iter()
            .any(|s| s == "seq is 9 after 7: it counts what this connection gets"),
        "{shown:#?}"
    );
}

#[tokio::test]
async fn a_gateway_that_stops_answering_does_not_hang_the_suite() {
    let original = session("chat-send");
    let mut script = original.clone();
    script
        .steps
        .truncate(position(&original, "/id", &json!("A-2")));
    let (played, findings) = Bench::new()
        .replay(&original, script, Laws::default())
        .await;
    let stall = played.stall.unwrap();
    assert_eq!((stall.missing.len(), played.reached), (1, stall.step));
    assert_eq!(shown(&findings), ["missing res A-2"]);
}

#[tokio::test]
async fn a_run_against_a_gateway_that_runs_already() {
    let bench = Bench::new();
    let played = session("connect-invalid-role");
    let addr = support::start(played.clone(), &bench.constants).await;
    let suite = Suite {
        target: Target::Attach {
            addr,
            token: "tok".into(),
        },
        keys: bench.keys,
        rules: bench.rules.for_attached(),
        laws: Laws::default(),
        odds: BTreeMap::new(),
        known_failing: BTreeMap::new(),
        schemas: None,
        patience: Duration::from_secs(2),
        keep: None,
    };
    let mut told = Vec::new();
    let sessions = vec![session("shutdown-sigterm"), played];
    let outcomes = suite::run(Arc::new(suite), sessions, 1, |o| {
        told.push(o.session.name.clone())
    })
    .await
    .unwrap();
    let statuses: Vec<&Status> = outcomes.iter().map(|o| &o.status).collect();
    let skipped = Status::Skipped("sends SIGTERM to the gateway".into());
    assert_eq!(statuses, [&Status::Passed, &skipped]);
    assert_eq!(told.len(), 2);
}
