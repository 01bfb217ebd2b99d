//! What runs of jobs do with agents, over runs with a scripted model.

use super::super::work::{Jobs, SUMMARY_CHARS};
use super::*;
use crate::agent::backend::BackendError;
use crate::agent::backend::scripted::{Scripted, Step, say};
use crate::agent::{self, Models, Runs};
use crate::config::Config;
use crate::heartbeat::{self, Heartbeats};
use crate::outbox::testing::Pigeon;

const MAIN: &str = "agent:main:main";

struct Silent;

impl EventSink for Silent {
    fn emit(&self, _: Event) {}
}

struct Office {
    jobs: Jobs,
    model: Scripted,
    pigeon: Pigeon,
    _dir: tempfile::TempDir,
}

impl Office {
    async fn new(replies: impl IntoIterator<Item = Vec<Step>>) -> Self {
        Self::with("30m", replies).await
    }

    async fn with(every: &str, replies: impl IntoIterator<Item = Vec<Step>>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let provider = json!({"baseUrl": "http://127.0.0.1:1/v1", "models": [{"id": "echo-1"}, {"id": "echo-2"}]});
        let config = json!({
            "models": {"providers": {"mock": provider}},
            "agents": {"defaults": {"model": "mock/echo-1", "heartbeat": {"every": every}}}
        });
        let config: Arc<Config> = Arc::new(serde_json::from_value(config).unwrap());
        let model = Scripted::new(replies);
        let clock = Arc::new(ManualClock::new(START));
        let pigeon = Pigeon::new(false, []);
        let parts = agent::Parts::of_test(dir.path(), &config, clock.clone(), &pigeon).await;
        let events = Arc::clone(&parts.waiting);
        let runs = Runs::open(agent::Parts {
            models: Models::answered_by(Arc::clone(&config), Arc::new(model.clone())),
            ..parts
        })
        .await
        .unwrap();
        let parts = heartbeat::Parts {
            runs: runs.clone(),
            waiting: events.clone(),
            events: Arc::new(Silent),
            clock,
        };
        let heartbeats = Heartbeats::new(parts, heartbeat::all(&config, "main"));
        Self {
            jobs: Jobs {
                runs,
                events,
                heartbeats,
            },
            model,
            pigeon,
            _dir: dir,
        }
    }

    async fn work(&self, more: Value) -> Outcome {
        let mut job = json!({
            "id": "j-1", "name": "Turn", "enabled": true, "createdAtMs": 1, "updatedAtMs": 1,
            "schedule": {"kind": "every", "everyMs": 1000}, "wakeMode": "next-heartbeat", "state": {}
        });
        job.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        self.jobs.work(serde_json::from_value(job).unwrap()).await
    }

    async fn turn(&self, payload: Value, more: Value) -> Outcome {
        let mut own = json!({"kind": "agentTurn", "message": "cron turn"});
        own.as_object_mut()
            .unwrap()
            .extend(payload.as_object().unwrap().clone());
        let mut job = json!({"sessionTarget": "isolated", "payload": own});
        job.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        self.work(job).await
    }

    /// Takes what waits for the main conversation.
    async fn main(&self) -> Vec<String> {
        let sessions = &self.jobs.runs.parts().sessions;
        let key = sessions.key(MAIN);
        let taken = sessions.write(move |changes| changes.take_events(&key));
        let taken = taken.await.unwrap().into_iter();
        taken.map(|waiting| waiting.text).collect()
    }
}

fn note(text: &str) -> Value {
    json!({"sessionTarget": "main", "payload": {"kind": "systemEvent", "text": text}})
}

#[tokio::test]
async fn texts_for_the_main_conversation() {
    let office = Office::new([]).await;
    assert_eq!(
        office.work(note(" hi ")).await,
        Outcome::ok(Some("hi".into()))
    );
    assert_eq!(office.main().await, ["hi"]);
    assert_eq!(office.work(note("  ")).await.status, CronRunStatus::Skipped);
    assert!(office.main().await.is_empty());
    let mut foreign = note("hi");
    foreign["agentId"] = json!("ops");
    assert_eq!(
        office.work(foreign).await,
        Outcome::error("no agent \"ops\" is configured")
    );
    assert!(
        office.model.asked().is_empty(),
        "it waits for the next heartbeat"
    );
}

#[tokio::test]
async fn an_urgent_text_wakes_the_agent_and_waits_for_it() {
    let mut urgent = note("hi");
    urgent["wakeMode"] = json!("now");
    let office = Office::new([
        say(&["HEARTBEAT_OK"]),
        vec![Step::Fail(BackendError::CutOff)],
    ])
    .await;
    assert_eq!(
        office.work(urgent.clone()).await,
        Outcome::ok(Some("hi".into()))
    );
    assert!(format!("{:?}", office.model.asked()[0].turns).contains("] hi"));
    assert!(office.main().await.is_empty(), "the agent has it");
    let failed = office.work(urgent.clone()).await;
    assert_eq!(
        (failed.status, failed.summary.as_deref()),
        (CronRunStatus::Error, Some("hi"))
    );
    let office = Office::with("0m", []).await;
    let skipped = office.work(urgent).await;
    assert_eq!(
        (skipped.status, skipped.error.as_deref()),
        (CronRunStatus::Skipped, Some("disabled"))
    );
    assert_eq!(office.main().await, ["hi"], "it waits all the same");
}

#[tokio::test]
async fn runs_of_the_agent_begin_anew_and_tell_the_main_conversation() {
    let office = Office::new([
        say(&["first"]),
        say(&["second"]),
        say(&["HEARTBEAT_OK"]),
        say(&[]),
    ])
    .await;
    let limits = json!({"model": "mock/echo-2", "thinking": "low", "timeoutSeconds": 30});
    assert_eq!(
        office.turn(limits, json!({})).await,
        Outcome::ok(Some("first".into()))
    );
    assert_eq!(office.main().await, ["Cron: first"]);
    let isolation = json!({"isolation": {"postToMainPrefix": " Tour ", "postToMainMode": "full", "postToMainMaxChars": 3}});
    office.turn(json!({}), isolation).await;
    assert_eq!(office.main().await, ["Tour: sec"]);
    assert_eq!(
        office.turn(json!({}), json!({})).await.status,
        CronRunStatus::Ok
    );
    assert_eq!(office.turn(json!({}), json!({})).await, Outcome::ok(None));
    assert!(office.main().await.is_empty(), "nothing to report");
    let asked = office.model.asked();
    assert_eq!(
        (asked[0].model.as_str(), asked[1].model.as_str()),
        ("echo-2", "echo-1")
    );
    for request in &asked {
        assert_eq!(request.turns.len(), 1, "an empty conversation");
        assert!(format!("{:?}", request.turns).contains("[cron:j-1 Turn] cron turn"));
    }
    let sessions = &office.jobs.runs.parts().sessions;
    let entry = sessions
        .entry(&sessions.key("agent:main:cron:j-1"))
        .unwrap()
        .unwrap();
    assert_eq!(entry.system_sent, Some(true));
}

#[tokio::test]
async fn runs_that_fail_say_so() {
    let office = Office::new([vec![Step::Fail(BackendError::CutOff)]]).await;
    let failed = office.turn(json!({}), json!({})).await;
    assert_eq!(failed.status, CronRunStatus::Error);
    assert_eq!(
        office.main().await,
        [format!("Cron (error): {}", failed.error.unwrap())]
    );
}

#[tokio::test]
async fn replies_that_are_to_go_out() {
    let nobody = "no channel is named, and none was used in the conversation yet";
    let no_pigeon = "no address is named, and the conversation knows none for channel pigeon";
    for (payload, error, taken) in [
        (json!({}), None, None),
        (
            json!({"deliver": false, "channel": "pigeon", "to": "@ann"}),
            None,
            None,
        ),
        (json!({"deliver": true, "channel": "webchat"}), None, None),
        (json!({"deliver": true}), Some(nobody), None),
        (json!({"to": "@ann"}), Some(nobody), None),
        (
            json!({"deliver": true, "channel": "pigeon"}),
            Some(no_pigeon),
            None,
        ),
        (
            json!({"channel": "pigeon", "to": "ann"}),
            Some("ann is no dovecote"),
            None,
        ),
        (
            json!({"channel": "telegram", "to": "7"}),
            Some("unsupported channel: telegram"),
            None,
        ),
        (
            json!({"channel": "Pigeon", "to": "@ann"}),
            None,
            Some("ann:hello"),
        ),
    ] {
        for best_effort in [false, true] {
            let mut payload = payload.clone();
            payload["bestEffortDeliver"] = json!(best_effort);
            let office = Office::new([say(&["hello"])]).await;
            let outcome = office.turn(payload.clone(), json!({})).await;
            let expected = match error {
                Some(_) if !best_effort => CronRunStatus::Error,
                _ => CronRunStatus::Ok,
            };
            assert_eq!(
                (outcome.status, outcome.summary.as_deref()),
                (expected, Some("hello")),
                "{payload}"
            );
            let error = error.map(|error| format!("the reply was not delivered: {error}"));
            assert_eq!(outcome.error, error, "{payload}");
            assert_eq!(office.pigeon.taken(), Vec::from_iter(taken), "{payload}");
        }
    }
}

#[tokio::test]
async fn a_reply_goes_out_once_for_its_run_and_not_without_words() {
    let office = Office::new([
        say(&["one"]),
        say(&["again"]),
        say(&["two"]),
        say(&["HEARTBEAT_OK"]),
        say(&[]),
    ])
    .await;
    let sessions = &office.jobs.runs.parts().sessions;
    let main = sessions.rules().main("main");
    let entry = json!({"sessionId": "s-1", "lastChannel": "pigeon", "lastTo": "@ann"});
    let entry: crate::sessions::Entry = serde_json::from_value(entry).unwrap();
    let written = sessions.write(move |changes| changes.put_entry(&main, &entry));
    written.await.unwrap();
    for run in [1, 1, 2, 3, 4] {
        let state = json!({"state": {"runningAtMs": run}});
        let outcome = office.turn(json!({"deliver": true}), state).await;
        assert_eq!((outcome.status, outcome.error), (CronRunStatus::Ok, None));
    }
    assert_eq!(office.pigeon.taken(), ["ann:one", "ann:two"]);
}

#[tokio::test]
async fn the_summary_is_cut() {
    let long: &'static str = "é".repeat(SUMMARY_CHARS + 1).leak();
    let office = Office::new([say(&[long])]).await;
    let summary = office.turn(json!({}), json!({})).await.summary.unwrap();
    assert_eq!(summary.chars().count(), SUMMARY_CHARS);
}
