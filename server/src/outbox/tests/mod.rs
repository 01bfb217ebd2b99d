//! Deliveries through a channel of the tests, over a store in a temporary directory that outlives its outboxes.

mod letters;
mod operators;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use openclaw_protocol::events::Event;
use openclaw_protocol::protocol::limits;
use openclaw_protocol::types::ErrorShape;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::channel::Fault;
use super::record::{KEPT_MS, RESTARTED, State};
use super::sweep::MAX_KEPT;
use super::testing::{Pigeon, Step};
use super::*;
use crate::clock::ManualClock;
use crate::hub::EventSink;
use crate::sessions::open_in;

struct Count(AtomicUsize);

impl EventSink for Count {
    fn emit(&self, _: Event) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

struct World {
    sessions: Sessions,
    clock: Arc<ManualClock>,
    events: Arc<Count>,
    pigeon: Pigeon,
    outbox: Outbox,
    _dir: tempfile::TempDir,
}

impl World {
    async fn new(pigeon: Pigeon) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (sessions, clock) = (open_in(dir.path()), Arc::new(ManualClock::new(1_000)));
        let events = Arc::new(Count(AtomicUsize::new(0)));
        let outbox = open(&sessions, &clock, &events, &pigeon).await;
        Self {
            sessions,
            clock,
            events,
            pigeon,
            outbox,
            _dir: dir,
        }
    }

    /// As after a crash: the tasks of the former outbox never get on, the store is as it was.
    async fn restart(&mut self) {
        self.outbox = open(&self.sessions, &self.clock, &self.events, &self.pigeon).await;
    }

    async fn send(&self, key: &str, to: &str, text: &str) -> Value {
        self.send_with(
            json!({"idempotencyKey": key, "to": to, "message": text, "channel": "pigeon"}),
        )
        .await
    }

    async fn send_with(&self, params: Value) -> Value {
        shown(
            self.outbox
                .send(serde_json::from_value(params).unwrap())
                .await,
        )
    }

    async fn poll(&self, params: Value) -> Value {
        shown(
            self.outbox
                .poll(serde_json::from_value(params).unwrap())
                .await,
        )
    }

    fn stored(&self) -> usize {
        self.sessions.read(record::all).unwrap().len()
    }
}

async fn open(
    sessions: &Sessions,
    clock: &Arc<ManualClock>,
    events: &Arc<Count>,
    pigeon: &Pigeon,
) -> Outbox {
    let webchat = WebChat {
        sessions: sessions.clone(),
        events: Arc::clone(events) as Arc<dyn EventSink>,
        clock: clock.clone(),
    };
    Outbox::open(OutboxParts {
        sessions: sessions.clone(),
        clock: clock.clone(),
        work: Handle::current(),
        channels: vec![Arc::new(pigeon.clone()), Arc::new(webchat)],
    })
    .await
    .unwrap()
}

fn shown(outcome: Result<impl serde::Serialize, ErrorShape>) -> Value {
    match outcome {
        Ok(result) => json!(result),
        Err(error) => json!(format!("{}: {}", error.code, error.message)),
    }
}

fn later(retry_after: Option<u64>) -> Step {
    Step::Fail(Fault::Later {
        problem: "busy".into(),
        retry_after: retry_after.map(Duration::from_secs),
    })
}

fn sent(key: &str, message_id: &str, to: &str) -> Value {
    json!({"runId": key, "messageId": message_id, "channel": "pigeon", "chatId": to})
}

#[tokio::test]
async fn what_is_refused_is_not_remembered() {
    let world = World::new(Pigeon::new(false, [])).await;
    for (params, expected) in [
        (
            json!({"channel": "carrier-pigeon"}),
            "INVALID_REQUEST: unsupported channel: carrier-pigeon",
        ),
        (
            json!({"channel": "Telegram "}),
            "INVALID_REQUEST: unsupported channel: Telegram ",
        ),
        (json!({}), "INVALID_REQUEST: unsupported channel: whatsapp"),
        (
            json!({"channel": " "}),
            "INVALID_REQUEST: unsupported channel: whatsapp",
        ),
        (
            json!({"channel": "pigeon"}),
            "INVALID_REQUEST: nowhere is no dovecote",
        ),
    ] {
        let mut send = json!({"idempotencyKey": "k", "to": "nowhere", "message": "hi"});
        send.as_object_mut()
            .unwrap()
            .extend(params.as_object().unwrap().clone());
        assert_eq!(world.send_with(send).await, expected, "{params}");
    }
    let question =
        json!({"idempotencyKey": "k", "to": "x", "question": "q", "options": ["a", "b"]});
    assert_eq!(
        world.poll(question.clone()).await,
        "INVALID_REQUEST: unsupported poll channel: whatsapp"
    );
    let mut webchat = question;
    webchat["channel"] = json!("webchat");
    assert_eq!(
        world.poll(webchat).await,
        "INVALID_REQUEST: unsupported poll channel: webchat"
    );
    assert_eq!((world.stored(), world.pigeon.taken().len()), (0, 0));
    assert_eq!(world.send("k", "@ann", "hi").await, sent("k", "m1", "ann"));
}

#[tokio::test]
async fn a_key_is_sent_once_over_restarts() {
    let mut world = World::new(Pigeon::new(
        false,
        [Step::Fail(Fault::Refused("no".into()))],
    ))
    .await;
    assert_eq!(world.send("bad", "@ann", "x").await, "UNAVAILABLE: no");
    assert_eq!(
        world.send("good", "@ann", "y").await,
        sent("good", "m1", "ann")
    );
    for _ in 0..2 {
        // Only the key counts, failures too.
        assert_eq!(world.send("bad", "@bob", "other").await, "UNAVAILABLE: no");
        assert_eq!(
            world.send("good", "@bob", "other").await,
            sent("good", "m1", "ann")
        );
        world.restart().await;
    }
    assert_eq!(world.pigeon.taken(), ["ann:y"]);
    // The spaces of methods do not meet.
    let poll = json!({"idempotencyKey": "good", "to": "@ann", "question": "q", "options": ["a", "b"], "maxSelections": 9, "channel": "PIGEON"});
    assert_eq!(world.poll(poll).await["messageId"], "m2");
    assert_eq!(world.pigeon.taken()[1], "ann:q?2/2");
    // The outcome is brought back for five minutes.
    world.clock.advance(limits::DEDUPE_TTL_MS);
    assert_eq!(
        world.send("good", "@ann", "z").await,
        sent("good", "m3", "ann")
    );
}

#[tokio::test]
async fn repeats_join_what_goes_on() {
    let gate = Arc::new(Semaphore::new(0));
    let world = World::new(Pigeon::new(
        false,
        [Step::Wait(Arc::clone(&gate)), Step::Wait(Arc::clone(&gate))],
    ))
    .await;
    let poll = json!({"idempotencyKey": "p", "to": "@bob", "question": "q", "options": ["a", "b"], "channel": "pigeon"});
    let open = async {
        world.pigeon.until_begun(2).await;
        gate.add_permits(2);
    };
    let (one, two, three, four, ()) = tokio::join!(
        world.send("k", "@ann", "x"),
        world.send("k", "@ann", "x"),
        world.poll(poll.clone()),
        world.poll(poll.clone()),
        open
    );
    assert_eq!(one, two);
    assert_eq!(three, four, "odd 13");
    assert_eq!(world.pigeon.taken().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn attempts_obey_the_service() {
    let world = World::new(Pigeon::new(
        false,
        [later(None), later(Some(30)), Step::Take],
    ))
    .await;
    let begun = Instant::now();
    assert_eq!(world.send("k", "@ann", "x").await, sent("k", "m1", "ann"));
    assert!(
        begun.elapsed() >= Duration::from_secs(31),
        "not sooner than 1 s and 30 s"
    );
    let world = World::new(Pigeon::new(false, [later(Some(3_600))])).await;
    let refusal = "UNAVAILABLE: busy (the service asks to wait for 3600 s)";
    assert_eq!(world.send("k", "@ann", "x").await, refusal);
    let world = World::new(Pigeon::new(false, [Step::Panic])).await;
    let unknown = "UNAVAILABLE: the channel failed for an internal reason";
    assert_eq!(world.send("k", "@ann", "x").await, unknown);
    world.clock.advance(10 * limits::DEDUPE_TTL_MS);
    assert_eq!(
        world.send("k", "@ann", "x").await,
        unknown,
        "never sent again"
    );
    assert_eq!(world.pigeon.taken().len(), 0);
}

#[tokio::test]
async fn one_address_waits_in_order_and_holds_up_no_other() {
    let gate = Arc::new(Semaphore::new(0));
    let world = World::new(Pigeon::new(false, [Step::Wait(Arc::clone(&gate))])).await;
    let other = async {
        world.pigeon.until_begun(1).await;
        let sent = world.send("3", "@bob", "c").await;
        assert_eq!(
            world.pigeon.taken(),
            ["bob:c"],
            "ann's are stuck, bob's is not"
        );
        gate.add_permits(1);
        sent
    };
    tokio::join!(
        world.send("1", "@ann", "a"),
        world.send("2", "@ann", "b"),
        other
    );
    assert_eq!(world.pigeon.taken(), ["bob:c", "ann:a", "ann:b"]);
    assert_eq!(world.outbox.active().deliveries.len(), 0);
}

/// A crash while an attempt is under way.
async fn crash(deduplicates: bool) -> World {
    let mut world = World::new(Pigeon::new(deduplicates, [Step::TakeAndHang])).await;
    let (outbox, params) = (
        world.outbox.clone(),
        json!({"idempotencyKey": "k", "to": "@ann", "message": "x", "channel": "pigeon"}),
    );
    tokio::spawn(async move { outbox.send(serde_json::from_value(params).unwrap()).await });
    world.pigeon.until_begun(1).await;
    world.restart().await;
    world
}

#[tokio::test]
async fn a_crash_while_sending_ends_as_unknown() {
    let world = crash(false).await;
    let said = world.send("k", "@ann", "x").await;
    assert_eq!(said, format!("UNAVAILABLE: {RESTARTED}"));
    assert_eq!(world.pigeon.taken(), ["ann:x"], "not sent again");
}

#[tokio::test]
async fn a_channel_that_deduplicates_gets_it_again() {
    let world = crash(true).await;
    assert_eq!(world.send("k", "@ann", "x").await, sent("k", "m1", "ann"));
    assert_eq!(world.pigeon.taken(), ["ann:x"]);
}

#[tokio::test]
async fn what_waits_is_sent_after_a_restart() {
    let mut world = World::new(Pigeon::new(false, [later(Some(600))])).await;
    let (outbox, params) = (
        world.outbox.clone(),
        json!({"idempotencyKey": "k", "to": "@ann", "message": "x", "channel": "pigeon"}),
    );
    let former =
        tokio::spawn(async move { outbox.send(serde_json::from_value(params).unwrap()).await });
    world.pigeon.until_begun(1).await;
    // Until the pause is on disk.
    loop {
        let records = world.sessions.read(record::all).unwrap();
        if records[0].state == State::Queued && records[0].attempts == 1 {
            break;
        }
        tokio::task::yield_now().await;
    }
    former.abort();
    world.restart().await;
    assert_eq!(world.send("k", "@ann", "x").await, sent("k", "m1", "ann"));
}

#[tokio::test]
async fn webchat_puts_it_into_the_conversation_once() {
    let mut world = World::new(Pigeon::new(false, [])).await;
    let params = json!({"idempotencyKey": "k", "to": "main", "message": "hi", "mediaUrl": "https://a/b.png", "channel": "webchat"});
    let said = world.send_with(params.clone()).await;
    assert_eq!(
        (&said["channel"], &said["chatId"]),
        (&json!("webchat"), &json!("agent:main:main"))
    );
    // As if the gateway had been stopped between the message and the note that it was sent.
    let mut record = world.sessions.read(record::all).unwrap().remove(0);
    record.state = State::Sending;
    world.outbox.write(&record).await.unwrap();
    world.restart().await;
    assert_eq!(world.send_with(params).await, said);
    let history = world
        .sessions
        .history(&world.sessions.key("main"), 9)
        .unwrap();
    let texts: Vec<Option<&str>> = history
        .messages
        .iter()
        .map(|message| message.content[0].text.as_deref())
        .collect();
    assert_eq!(texts, [Some("hi\nhttps://a/b.png")]);
    assert_eq!(
        world.events.0.load(Ordering::Relaxed),
        2,
        "told again, harmless: the event carries the same id"
    );
}

#[tokio::test]
async fn what_was_sent_is_noted_in_its_conversation() {
    let world = World::new(Pigeon::new(false, [])).await;
    world.send_with(json!({"idempotencyKey": "k", "to": "@ann", "message": "hi", "channel": "pigeon", "sessionKey": "Main"})).await;
    let history = world
        .sessions
        .history(&world.sessions.key("main"), 9)
        .unwrap();
    assert_eq!(history.messages[0].content[0].text.as_deref(), Some("hi"));
}

#[tokio::test]
async fn what_is_over_is_forgotten_in_time() {
    let world = World::new(Pigeon::new(
        false,
        [Step::Fail(Fault::Refused("no".into()))],
    ))
    .await;
    world.send("failed", "@ann", "x").await;
    world.send("sent", "@ann", "x").await;
    for (at, left) in [
        (0, 2),
        (limits::DEDUPE_TTL_MS - 1, 2),
        (limits::DEDUPE_TTL_MS, 1),
        (KEPT_MS - 1, 1),
        (KEPT_MS, 0),
    ] {
        world.clock.set(1_000 + at);
        world.outbox.sweep().await.unwrap();
        assert_eq!(world.stored(), left, "after {at} ms");
    }
}

#[tokio::test]
async fn the_number_of_deliveries_is_bounded() {
    let gate = Arc::new(Semaphore::new(0));
    let world = World::new(Pigeon::new(
        false,
        vec![Step::Wait(Arc::clone(&gate)); MAX_ACTIVE],
    ))
    .await;
    let mut waiting = Vec::new();
    for n in 0..MAX_ACTIVE {
        let (outbox, params) = (
            world.outbox.clone(),
            json!({"idempotencyKey": n.to_string(), "to": format!("@{n}"), "message": "x", "channel": "pigeon"}),
        );
        waiting.push(tokio::spawn(async move {
            outbox.send(serde_json::from_value(params).unwrap()).await
        }));
    }
    world.pigeon.until_begun(MAX_ACTIVE).await;
    let said = world.send("more", "@ann", "x").await;
    assert!(
        said.as_str()
            .is_some_and(|said| said.starts_with("UNAVAILABLE: too many messages")),
        "{said}"
    );
    gate.add_permits(MAX_ACTIVE);
    for one in waiting {
        assert!(one.await.unwrap().is_ok());
    }
    assert_eq!(world.outbox.active().deliveries.len(), 0);
    // As many are kept, the oldest go.
    for n in 0..=MAX_KEPT - MAX_ACTIVE {
        world.send(&format!("b{n}"), "@ann", "x").await;
    }
    assert_eq!(world.stored(), MAX_KEPT + 1);
    world.outbox.sweep().await.unwrap();
    assert_eq!(world.stored(), MAX_KEPT);
    let kept = world.sessions.read(record::all).unwrap();
    assert!(
        kept.iter().all(|record| record.number != 1),
        "the oldest is gone"
    );
}
