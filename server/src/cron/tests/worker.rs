//! What runs of jobs do with agents, over runs with a scripted model.

use std::collections::BTreeMap;

use super::super::work::{Jobs, SUMMARY_CHARS};
use super::*;
use crate::agent::backend::BackendError;
use crate::agent::backend::scripted::{Scripted, Step, say};
use crate::agent::{Models, Runs};
use crate::config::Config;
use crate::heartbeat::{self, Heartbeats, NoChannels};
use crate::paths::{Environment, Paths};
use crate::sessions::open_in;

const MAIN: &str = "agent:main:main";

struct Silent;

impl EventSink for Silent {
    fn emit(&self, _: Event) {}
}

struct Office {
    jobs: Jobs,
    model: Scripted,
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
        let sessions = open_in(dir.path());
        let events = Arc::new(sessions.events(clock.clone()));
        let runs = Runs::open(crate::agent::Parts {
            sessions,
            models: Models::answered_by(Arc::clone(&config), Arc::new(model.clone())),
            config: Arc::clone(&config),
            clock: clock.clone(),
            exec: Arc::new(crate::agent::ConfigGate::new(Arc::clone(&config))),
            reach: crate::agent::Reach::default(),
            mcp: crate::agent::Mcp::default(),
            events: Arc::new(Silent),
            waiting: events.clone(),
            work: tokio::runtime::Handle::current(),
            paths: Paths {
                state_dir: dir.path().to_owned(),
                config_file: dir.path().join("openclaw.json"),
            },
            environment: Environment::new(dir.path(), BTreeMap::<String, String>::new()),
        })
        .await
        .unwrap();
        let parts = heartbeat::Parts {
            runs: runs.clone(),
            waiting: events.clone(),
            events: Arc::new(Silent),
            clock,
            outlet: Arc::new(NoChannels),
        };
        let heartbeats = Heartbeats::new(parts, heartbeat::all(&config, "main"));
        Self {
            jobs: Jobs {
                runs,
                events,
                heartbeats,
            },
            model,
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
    for (payload, goes) in [
        (json!({}), true),
        (json!({"deliver": false, "to": "12"}), true),
        (json!({"deliver": true, "channel": "webchat"}), true),
        (json!({"deliver": true}), false),
        (json!({"to": "12"}), false),
        (json!({"deliver": true, "channel": "telegram"}), false),
        (
            json!({"deliver": true, "channel": "telegram", "bestEffortDeliver": true}),
            true,
        ),
    ] {
        let office = Office::new([say(&["hello"])]).await;
        let outcome = office.turn(payload.clone(), json!({})).await;
        let expected = if goes {
            CronRunStatus::Ok
        } else {
            CronRunStatus::Error
        };
        assert_eq!(
            (outcome.status, outcome.summary.as_deref()),
            (expected, Some("hello")),
            "{payload}"
        );
    }
}

#[tokio::test]
async fn the_summary_is_cut() {
    let long: &'static str = "é".repeat(SUMMARY_CHARS + 1).leak();
    let office = Office::new([say(&[long])]).await;
    let summary = office.turn(json!({}), json!({})).await.summary.unwrap();
    assert_eq!(summary.chars().count(), SUMMARY_CHARS);
}
