//! The suite must be able to fail: sessions are replayed over real sockets against a scripted gateway that plays its side by
//! heart. Unchanged, nothing may be found; with one thing changed ([`mistakes`]), exactly that must be found.
#![allow(clippy::unwrap_used, reason = "a test")]

mod bench;
mod gateway;
mod mistakes;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bench::{Bench, data, playable, position, session, sessions, shown};
use openclaw_conformance::deviation::Deviations;
use openclaw_conformance::judge::Laws;
use openclaw_conformance::race::Races;
use openclaw_conformance::session::{Action, Session};
use openclaw_conformance::suite::{self, Status, Suite, Target};
use serde_json::json;

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

#[tokio::test]
async fn improvements_are_laws() {
    let original = session("broadcast-seq");
    let laws = Laws {
        hello_first: true,
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
    let addr = gateway::start(played.clone(), &bench.constants).await;
    let suite = Suite {
        target: Target::Attach {
            addr,
            token: "tok".into(),
        },
        keys: bench.keys,
        rules: bench.rules.for_attached(),
        laws: Laws::default(),
        races: Races::default(),
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

#[tokio::test]
async fn what_crosses_the_close_of_a_client_may_come_or_not() {
    let mut expected = session("connect-token-ok");
    let close = expected.steps.len() - 1;
    let mut late = expected.steps[position(&expected, "/event", &json!("health"))].clone();
    if let Action::Receive { frame, .. } = &mut late.action {
        *frame = json!({"type": "event", "event": "cron", "payload": {}, "seq": 3});
    }
    late.t = expected.steps[close].t + 1;
    expected.steps.push(late);
    let early = |s: &mut Session| s.steps.swap(close, close + 1);
    let never = |s: &mut Session| s.steps.truncate(close + 1);
    for edit in [&early as &dyn Fn(&mut Session), &never] {
        let mut script = expected.clone();
        edit(&mut script);
        let (played, findings) = Bench::new()
            .replay(&expected, script, Laws::default())
            .await;
        assert_eq!(played.stall, None);
        assert!(findings.is_empty(), "{:#?}", shown(&findings));
    }
}
