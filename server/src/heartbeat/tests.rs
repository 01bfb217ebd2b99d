//! Heartbeats over runs with a scripted model, a clock that stands still and a channel that is told what to do.

use std::sync::Arc;
use std::time::Duration;

use openclaw_protocol::events::Event;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};

use super::file::is_filler;
use super::{Beat, Heartbeats, Parts, all};
use crate::agent::backend::BackendError;
use crate::agent::backend::scripted::{Scripted, Step, say};
use crate::agent::{self, Models, Runs};
use crate::clock::ManualClock;
use crate::config::Config;
use crate::hub::EventSink;
use crate::outbox::channel::Fault;
use crate::outbox::testing::{self, Pigeon};
use crate::sessions::{Entry, SystemEvents};
use crate::testing::assert_conforms;

const START: u64 = 1_770_000_000_000;
const MAIN: &str = "agent:main:main";
/// The interval that nothing is configured about, ms.
const HALF_HOUR: u64 = 1_800_000;

/// Collects events as words; each must be one that the schema has.
struct Recorder(watch::Sender<Vec<String>>);

impl EventSink for Recorder {
    fn emit(&self, event: Event) {
        assert_conforms(&event);
        let word = match event {
            Event::Heartbeat(event) => {
                let mut words = format!("heartbeat {}", event.status.as_str());
                let more = [event.reason, event.channel, event.to];
                for more in more.into_iter().flatten() {
                    words = format!("{words} {more}");
                }
                words
            }
            Event::Chat(event) => format!("chat {}", event.state.as_str()),
            Event::Agent(_) => return,
            other => panic!("{other:?}"),
        };
        self.0.send_modify(|words| words.push(word));
    }
}

struct World {
    heartbeats: Heartbeats,
    runs: Runs,
    model: Scripted,
    waiting: Arc<SystemEvents>,
    clock: Arc<ManualClock>,
    events: Arc<Recorder>,
    pigeon: Pigeon,
    dir: tempfile::TempDir,
}

impl World {
    async fn new(replies: impl IntoIterator<Item = Vec<Step>>) -> Self {
        Self::configured(json!({}), replies).await
    }

    /// With these words about heartbeats, and a model.
    async fn configured(heartbeat: Value, replies: impl IntoIterator<Item = Vec<Step>>) -> Self {
        let provider = json!({"baseUrl": "http://127.0.0.1:1/v1", "models": [{"id": "echo-1"}, {"id": "echo-2"}]});
        let config = json!({
            "models": {"providers": {"mock": provider}},
            "agents": {"defaults": {"model": "mock/echo-1", "heartbeat": heartbeat}}
        });
        Self::over(config, replies).await
    }

    async fn over(config: Value, replies: impl IntoIterator<Item = Vec<Step>>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config: Arc<Config> = Arc::new(serde_json::from_value(config).unwrap());
        let (model, clock) = (Scripted::new(replies), Arc::new(ManualClock::new(START)));
        let events = Arc::new(Recorder(watch::Sender::new(Vec::new())));
        let pigeon = Pigeon::new(false, []);
        let parts = agent::Parts::of_test(dir.path(), &config, clock.clone(), &pigeon).await;
        let waiting = Arc::clone(&parts.waiting);
        let runs = Runs::open(agent::Parts {
            models: Models::answered_by(Arc::clone(&config), Arc::new(model.clone())),
            events: events.clone(),
            ..parts
        })
        .await
        .unwrap();
        let parts = Parts {
            runs: runs.clone(),
            waiting: waiting.clone(),
            events: events.clone(),
            clock: clock.clone(),
        };
        Self {
            heartbeats: Heartbeats::new(parts, all(&config, "main")),
            runs,
            model,
            waiting,
            clock,
            events,
            pigeon,
            dir,
        }
    }

    async fn beat(&self) -> Beat {
        self.heartbeats.beat("main", "wake").await
    }

    /// Where the main conversation's last message came from.
    async fn last_message(&self, mut entry: Value) {
        entry["sessionId"] = json!("s-1");
        let sessions = &self.runs.parts().sessions;
        let main = sessions.rules().main("main");
        let entry: Entry = serde_json::from_value(entry).unwrap();
        let written = sessions.write(move |changes| changes.put_entry(&main, &entry));
        written.await.unwrap();
    }

    fn told(&self) -> Vec<String> {
        let mut words = Vec::new();
        self.events
            .0
            .send_modify(|told| words = std::mem::take(told));
        words
    }

    fn asked(&self) -> usize {
        self.model.asked().len()
    }

    /// What the model was told last.
    fn last_words(&self) -> String {
        let asked = self.model.asked();
        format!("{:?}", asked.last().unwrap().turns.last().unwrap())
    }

    /// Lets a text wait for the main conversation.
    async fn push(&self, text: &str) {
        let main = self.runs.parts().sessions.key(MAIN);
        self.waiting.push(&main, text).await.unwrap();
    }

    fn write(&self, text: &str) {
        let workspace = self.runs.workspace("main");
        std::fs::create_dir_all(&workspace).unwrap();
        std::fs::write(workspace.join("HEARTBEAT.md"), text).unwrap();
        assert!(workspace.starts_with(self.dir.path()));
    }
}

fn skipped(why: &str) -> Beat {
    Beat::Skipped(why.to_owned())
}

#[tokio::test]
async fn what_an_answer_becomes() {
    let world = World::configured(
        json!({"ackMaxChars": 5}),
        [
            say(&[]),
            say(&["HEARTBEAT", "_OK"]),
            say(&["fine HEARTBEAT_OK"]),
            say(&["The door is open. HEARTBEAT_OK"]),
            say(&["The door is open."]),
        ],
    )
    .await;
    for expected in [
        "heartbeat ok-empty wake",
        "heartbeat ok-token wake",
        "heartbeat ok-token wake",
        "heartbeat skipped no-target",
        "heartbeat skipped no-target",
    ] {
        assert_eq!(world.beat().await, Beat::Ran);
        assert_eq!(world.told(), [expected], "and no word for chat clients");
    }
    let last = world.heartbeats.last().unwrap();
    assert_eq!(
        (last.preview.as_deref(), last.has_media),
        (Some("The door is open."), Some(false))
    );
    assert!(world.last_words().contains("HEARTBEAT.md"));
}

#[tokio::test]
async fn a_run_that_fails_and_answers_that_go_out() {
    let refused = BackendError::NotConfigured("no luck".to_owned());
    let text = refused.to_string();
    let open = || say(&["The door is open."]);
    let replies = [
        vec![Step::Fail(refused)],
        open(),
        open(),
        open(),
        say(&["The cat is out."]),
    ];
    let world = World::new(replies).await;
    assert_eq!(world.beat().await, Beat::Failed(text.clone()));
    assert_eq!(
        world.told(),
        ["chat error".to_owned(), format!("heartbeat failed {text}")]
    );
    world
        .last_message(json!({"lastChannel": "pigeon", "lastTo": "@ann"}))
        .await;
    assert_eq!(world.beat().await, Beat::Ran);
    assert_eq!(world.told(), ["heartbeat sent pigeon ann"]);
    // The same news within a day is none.
    world.clock.advance(24 * 3_600_000 - 1);
    assert_eq!(world.beat().await, Beat::Ran);
    assert_eq!(world.told(), ["heartbeat skipped duplicate"]);
    world.clock.advance(1);
    world.beat().await;
    assert_eq!(world.told(), ["heartbeat sent pigeon ann"]);
    world.pigeon.next(testing::Step::Fail(Fault::Refused(
        "the line is dead".to_owned(),
    )));
    assert_eq!(
        world.beat().await,
        Beat::Failed("the line is dead".to_owned())
    );
    assert_eq!(world.told(), ["heartbeat failed the line is dead"]);
    assert_eq!(world.pigeon.taken(), ["ann:The door is open."; 2]);
}

#[tokio::test]
async fn where_an_answer_goes() {
    for (heartbeat, last, expected) in [
        (json!({}), json!({}), "skipped no-target"),
        (
            json!({"target": "none"}),
            json!({"lastChannel": "pigeon", "lastTo": "@ann"}),
            "skipped target-none",
        ),
        (
            json!({}),
            json!({"lastChannel": "webchat"}),
            "skipped no-target",
        ),
        (
            json!({"target": "pigeon"}),
            json!({"lastChannel": "webchat"}),
            "skipped no-target",
        ),
        (
            json!({"target": "pigeon", "to": "@bob"}),
            json!({}),
            "sent pigeon bob",
        ),
        (
            json!({"to": "@bob"}),
            json!({"lastChannel": "pigeon", "lastTo": "@ann"}),
            "sent pigeon bob",
        ),
        (
            json!({"target": "pigeon", "to": "bob"}),
            json!({}),
            "failed bob is no dovecote",
        ),
        (
            json!({"target": "telegram", "to": "7"}),
            json!({}),
            "failed unsupported channel: telegram",
        ),
    ] {
        let world = World::configured(heartbeat.clone(), [say(&["No."])]).await;
        world.last_message(last.clone()).await;
        world.beat().await;
        assert_eq!(
            world.told(),
            [format!("heartbeat {expected}")],
            "{heartbeat} {last}"
        );
    }
}

#[tokio::test]
async fn what_leaves_a_heartbeat_out_in_silence() {
    let world = World::configured(json!({"every": "0m"}), []).await;
    assert_eq!(world.beat().await, skipped("disabled"));
    assert_eq!(
        world.heartbeats.beat("nobody", "wake").await,
        skipped("disabled")
    );
    let hours = json!({"activeHours": {"start": "08:00", "end": "22:00", "timezone": "UTC"}});
    let world = World::configured(hours, []).await;
    let midnight = START - START % 86_400_000;
    world.clock.set(midnight + 8 * 3_600_000 - 1);
    assert_eq!(world.beat().await, skipped("quiet-hours"));
    world.clock.advance(1);
    assert_eq!(world.beat().await, Beat::Ran);
    world.told();
    world.heartbeats.set_enabled(false);
    assert_eq!(world.beat().await, skipped("disabled"));
    world.heartbeats.set_enabled(true);
    assert_eq!(world.beat().await, Beat::Ran);
    assert_eq!(world.asked(), 2);
    // The built-in echo has nothing to look after.
    let world = World::over(json!({}), []).await;
    assert_eq!(world.beat().await, skipped("no-model"));
    assert_eq!((world.told(), world.heartbeats.last()), (vec![], None));
}

#[tokio::test]
async fn a_file_that_asks_for_nothing_unless_something_waits() {
    let world = World::new([]).await;
    world.write("# Heartbeat\n\n- [ ]\n- \n");
    assert_eq!(world.beat().await, skipped("empty-heartbeat-file"));
    assert_eq!(world.told(), ["heartbeat skipped empty-heartbeat-file"]);
    world.push("the build is done").await;
    assert_eq!(world.beat().await, Beat::Ran);
    assert_eq!(world.asked(), 1);
    world.write("# Heartbeat\n- look at the door\n");
    assert_eq!(world.beat().await, Beat::Ran);
    world.write(&"\n".repeat(65 * 1024));
    assert_eq!(world.beat().await, Beat::Ran, "too large to be looked into");
}

#[test]
fn lines_that_ask_for_nothing() {
    for line in ["", "  ", "# Title", "###", "- ", "*", "- [ ]", "+ [x]"] {
        assert!(is_filler(line), "{line:?}");
    }
    for line in ["text", "#hash", "- do it", "- [ ] do it", "1.", "-1"] {
        assert!(!is_filler(line), "{line:?}");
    }
}

#[tokio::test]
async fn what_waits_stands_in_the_next_turn_once() {
    let world = World::new([say(&["HEARTBEAT_OK"]), say(&["HEARTBEAT_OK"])]).await;
    world.push("wake up call").await;
    assert_eq!(world.beat().await, Beat::Ran);
    let words = world.last_words();
    assert!(
        words.contains("System: [2026-02-02T02:40:00.000Z] wake up call"),
        "{words}"
    );
    world.beat().await;
    assert!(!world.last_words().contains("wake up call"));
}

#[tokio::test]
async fn a_heartbeat_that_finds_nothing_is_no_use_of_the_conversation() {
    let world = World::new([say(&["HEARTBEAT_OK"]), say(&["The door is open."])]).await;
    let sessions = world.runs.parts().sessions.clone();
    let key = sessions.rules().main("main");
    let (entry, written) = (Entry::new(START - 5), key.clone());
    sessions
        .write(move |changes| changes.put_entry(&written, &entry))
        .await
        .unwrap();
    let used = || sessions.entry(&key).unwrap().unwrap().updated_at;
    world.clock.advance(10);
    world.beat().await;
    assert_eq!(used(), Some(START - 5));
    world.beat().await;
    assert_eq!(used(), Some(START + 10));
}

#[tokio::test]
async fn model_session_and_prompt_as_configured() {
    let heartbeat =
        json!({"model": "mock/echo-2", "session": "Side", "prompt": "All well?", "target": "none"});
    let world = World::configured(heartbeat, [say(&["No."])]).await;
    world.beat().await;
    assert_eq!(world.told(), ["heartbeat skipped target-none"]);
    assert_eq!(world.model.asked()[0].model, "echo-2");
    assert!(world.last_words().contains("All well?"));
    let sessions = &world.runs.parts().sessions;
    assert!(
        sessions
            .entry(&sessions.key("agent:main:side"))
            .unwrap()
            .is_some()
    );
    assert!(sessions.entry(&sessions.key("main")).unwrap().is_none());
}

#[tokio::test]
async fn the_interval_requests_and_what_comes_after_them() {
    let world = World::new([]).await;
    let due = || world.heartbeats.run_due("main");
    let long = due().await;
    assert!(
        long < Duration::from_millis(HALF_HOUR),
        "the clock may be set meanwhile"
    );
    world.clock.advance(HALF_HOUR - 1);
    assert_eq!(due().await, Duration::from_millis(1));
    assert_eq!(world.asked(), 0);
    world.clock.advance(1);
    due().await;
    assert_eq!(world.asked(), 1);
    assert!(world.told()[0].ends_with("no-target"));
    // A request is served after a short while, so that a burst is one turn, and counts as the interval's.
    world.clock.advance(HALF_HOUR - 1_000);
    world.heartbeats.request("main", "wake");
    world.heartbeats.request("main", "cron:");
    assert_eq!(due().await, Duration::from_millis(250));
    world.clock.advance(250);
    due().await;
    world.clock.advance(1_000);
    due().await;
    assert_eq!(world.asked(), 2);
    // A night's sleep is one heartbeat.
    world.clock.advance(16 * HALF_HOUR);
    due().await;
    due().await;
    assert_eq!(world.asked(), 3);
    // While they are switched off, times pass.
    world.heartbeats.set_enabled(false);
    world.heartbeats.request("main", "wake");
    world.clock.advance(HALF_HOUR);
    due().await;
    due().await;
    assert_eq!(world.asked(), 3);
    world.heartbeats.request("nobody", "wake");
    assert_eq!(world.heartbeats.run_due("nobody").await, long);
}

#[tokio::test]
async fn a_busy_conversation_is_tried_again() {
    let gate = Arc::new(Semaphore::new(0));
    let world = World::new([vec![Step::Wait(Arc::clone(&gate))]]).await;
    let runs = world.runs.clone();
    let session = runs.parts().sessions.rules().main("main");
    let talk = crate::agent::Errand {
        session: session.clone(),
        text: "hello".to_owned(),
        fresh: false,
        model: None,
        thinking: None,
        timeout: None,
        quiet: false,
        delivery: None,
    };
    let talk = tokio::spawn(async move { runs.errand(talk).await });
    while !world.runs.is_busy(&session) {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.beat().await, Beat::Busy);
    world.heartbeats.request("main", "wake");
    world.clock.advance(250);
    assert_eq!(
        world.heartbeats.run_due("main").await,
        Duration::from_secs(1)
    );
    gate.add_permits(1);
    talk.await.unwrap().unwrap_err();
    world.told();
    world.clock.advance(1_000);
    world.heartbeats.run_due("main").await;
    assert_eq!(world.told(), ["heartbeat skipped no-target"]);
}
