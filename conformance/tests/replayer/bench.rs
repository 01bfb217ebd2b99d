//! What every test here does: play a session against a scripted gateway and judge what it said.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use openclaw_conformance::clock;
use openclaw_conformance::file;
use openclaw_conformance::judge::{Finding, Judge, Laws, Problem};
use openclaw_conformance::keys::TestKeys;
use openclaw_conformance::replay::{Endpoint, Names, Played, Player, play};
use openclaw_conformance::rules::Rules;
use openclaw_conformance::session::{Action, By, Session};
use serde_json::Value;

use crate::gateway;

pub(crate) fn data() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn sessions() -> Vec<Session> {
    file::load_all(&data().join("sessions")).unwrap()
}

pub(crate) fn session(name: &str) -> Session {
    sessions().into_iter().find(|s| s.name == name).unwrap()
}

/// Sessions that signal the gateway have no part here: the scripted one is no process. Neither have those in which a frame
/// crossed the client's close on the way: the scripted one is done with a connection when it reads the close. Nor those in
/// which a piece of speech ends within an id: the scripted one has ids of its own, and cannot replace half of one.
pub(crate) fn playable(session: &Session) -> bool {
    let mut left = BTreeSet::new();
    session.steps.iter().all(|s| match &s.action {
        Action::Mark(_) => false,
        Action::Close { conn, close } if close.by == By::Client => {
            left.insert(conn);
            true
        }
        Action::Open { conn, .. } => {
            left.remove(conn);
            true
        }
        Action::Receive { conn, frame } => {
            let speech = frame.pointer("/payload/data/text").and_then(Value::as_str);
            !left.contains(conn) && !speech.is_some_and(ends_within_id)
        }
        _ => true,
    })
}

fn ends_within_id(text: &str) -> bool {
    let is_of_id = |c: char| c == '-' || c.is_ascii_hexdigit();
    let rest = text.trim_end_matches(is_of_id).len();
    let last = &text[rest..];
    (9..36).contains(&last.len()) && last.as_bytes()[8] == b'-'
}

pub(crate) struct Bench {
    pub(crate) keys: TestKeys,
    pub(crate) rules: Rules,
    pub(crate) constants: Vec<String>,
    /// Shortest time before a client closes.
    pub(crate) settle: Duration,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let keys = TestKeys::load(&data().join("keys.json")).unwrap();
        let constants = keys.constants().map(str::to_owned).collect();
        Self {
            keys,
            rules: Rules::load(&data().join("rules.json")).unwrap(),
            constants,
            settle: Duration::from_millis(50),
        }
    }

    /// Plays `expected` against a gateway that performs `script`, without the recorded pauses.
    pub(crate) async fn replay(
        &self,
        expected: &Session,
        script: Session,
        laws: Laws,
    ) -> (Played, Vec<Finding>) {
        let addr = gateway::start(script, &self.constants).await;
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
            settle: self.settle,
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
            races: &[],
        };
        let findings = judge.findings(expected, &played.heard, played.reached);
        (played, findings)
    }
}

/// What the findings are about, one line each.
pub(crate) fn shown(findings: &[Finding]) -> Vec<String> {
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

/// Every frame from the gateway.
pub(crate) fn frames(session: &mut Session) -> impl Iterator<Item = &mut Value> {
    session
        .steps
        .iter_mut()
        .filter_map(|s| match &mut s.action {
            Action::Receive { frame, .. } => Some(frame),
            _ => None,
        })
}

/// Position of the first frame from the gateway that has `value` at `pointer`.
pub(crate) fn position(session: &Session, pointer: &str, value: &Value) -> usize {
    let fits = |action: &Action| matches!(action, Action::Receive { frame, .. } if frame.pointer(pointer) == Some(value));
    session.steps.iter().position(|s| fits(&s.action)).unwrap()
}
