//! What operators see and do.

use openclaw_protocol::types::{OutboxListParams, OutboxState};

use super::*;

impl World {
    fn list(&self, params: Value) -> Value {
        let params: OutboxListParams = serde_json::from_value(params).unwrap();
        shown(self.outbox.list(&params))
    }

    /// The previews of a page, and where the next one begins.
    fn page(&self, params: Value) -> (Vec<String>, Option<u64>) {
        let listed = self.list(params);
        let rows = listed["deliveries"].as_array().unwrap().iter();
        let previews = rows.map(|row| row["preview"].as_str().unwrap().to_owned());
        (previews.collect(), listed["nextBefore"].as_u64())
    }

    /// The newest delivery.
    fn newest(&self) -> Value {
        self.list(json!({"limit": 1}))["deliveries"][0].clone()
    }

    fn newest_id(&self) -> String {
        self.newest()["id"].as_str().unwrap().to_owned()
    }

    fn get(&self, id: &str) -> Value {
        let params = serde_json::from_value(json!({"id": id})).unwrap();
        shown(self.outbox.get(&params))
    }

    async fn retry(&self, id: &str, may_duplicate: bool) -> Value {
        let params = json!({"id": id, "mayDuplicate": may_duplicate});
        shown(
            self.outbox
                .retry(serde_json::from_value(params).unwrap())
                .await,
        )
    }

    async fn cancel(&self, id: &str) -> Value {
        let params = serde_json::from_value(json!({"id": id})).unwrap();
        shown(self.outbox.cancel(params).await)
    }

    /// Sends in the background.
    fn sending(&self, key: &str, to: &str) -> tokio::task::JoinHandle<Value> {
        let params = json!({"idempotencyKey": key, "to": to, "message": key, "channel": "pigeon"});
        let (outbox, params) = (self.outbox.clone(), serde_json::from_value(params).unwrap());
        tokio::spawn(async move { shown(outbox.send(params).await) })
    }

    /// Waits until the newest delivery is in a state, and nobody carries it any more if that is an end.
    async fn until(&self, state: OutboxState) {
        let goes_on = || {
            let is_carried = !self.outbox.active().deliveries.is_empty();
            state != OutboxState::Queued && is_carried
        };
        while self.newest()["state"] != state.as_str() || goes_on() {
            tokio::task::yield_now().await;
        }
    }
}

fn refused(problem: &str) -> Step {
    Step::Fail(Fault::Refused(problem.into()))
}

const DUPLICATE: &str = "INVALID_REQUEST: the message may have arrived: retry it with mayDuplicate if it may arrive twice";
const SENDING: &str = "INVALID_REQUEST: the message is being sent right now";

fn not_retriable(state: &str) -> String {
    format!(
        "INVALID_REQUEST: only queued, failed and unknown deliveries can be retried; this one is {state}"
    )
}

fn not_cancellable(state: &str) -> String {
    format!("INVALID_REQUEST: only queued deliveries can be cancelled; this one is {state}")
}

#[tokio::test]
async fn pages_of_deliveries() {
    let world = World::new(Pigeon::new(false, [refused("no")])).await;
    for n in 1..=5 {
        world.send(&format!("k{n}"), "@ann", &format!("m{n}")).await;
    }
    let web = json!({"idempotencyKey": "w", "to": "main", "message": "m6", "channel": "webchat"});
    world.send_with(web).await;
    for (params, previews, next) in [
        (json!({}), "m6 m5 m4 m3 m2 m1", None),
        (json!({"limit": 6}), "m6 m5 m4 m3 m2 m1", None),
        (json!({"limit": 5}), "m6 m5 m4 m3 m2", Some(2)),
        (json!({"limit": 5, "before": 2}), "m1", None),
        (json!({"before": 1}), "", None),
        (json!({"state": "failed"}), "m1", None),
        (json!({"state": "unknown"}), "", None),
        (
            json!({"state": "sent", "channel": " Pigeon ", "limit": 2}),
            "m5 m4",
            Some(4),
        ),
        (json!({"channel": "webchat"}), "m6", None),
        (json!({"channel": "telegram"}), "", None),
    ] {
        let (found, before) = world.page(params.clone());
        assert_eq!(
            (found.join(" ").as_str(), before),
            (previews, next),
            "{params}"
        );
    }
    let listed = world.list(json!({"state": "failed"}));
    let mut failed = listed["deliveries"][0].clone();
    assert_eq!(listed["ts"], 1_000);
    failed.as_object_mut().unwrap().remove("id");
    assert_eq!(
        failed,
        json!({"number": 1, "origin": "send", "channel": "pigeon", "to": "ann", "state": "failed", "problem": "no",
            "attempts": 1, "queuedAtMs": 1_000, "changedAtMs": 1_000, "preview": "m1"})
    );
}

#[tokio::test]
async fn one_delivery_by_the_beginning_of_its_id() {
    let world = World::new(Pigeon::new(false, [])).await;
    let long = "é".repeat(121);
    let send = json!({"idempotencyKey": "k", "to": "@ann", "message": long, "mediaUrls": ["https://a/b.png"],
        "channel": "pigeon", "accountId": "work", "sessionKey": "main"});
    world.send_with(send).await;
    let id = world.newest_id();
    let found = world.get(&id[..8].to_uppercase());
    assert_eq!(found, world.get(&id));
    assert_eq!(found["text"], json!(long));
    assert_eq!(found["mediaUrls"], json!(["https://a/b.png"]));
    let delivery = &found["delivery"];
    assert_eq!(delivery["preview"], format!("{}...", "é".repeat(120)));
    assert_eq!(
        (
            &delivery["accountId"],
            &delivery["sessionKey"],
            &delivery["messageId"]
        ),
        (&json!("work"), &json!("main"), &json!("m1"))
    );
    let poll = json!({"idempotencyKey": "p", "to": "@ann", "question": "Tea?", "options": ["a", "b"], "durationHours": 3, "channel": "pigeon"});
    world.poll(poll).await;
    let found = world.get(&world.newest_id());
    assert_eq!(
        (
            &found["text"],
            &found["options"],
            &found["maxSelections"],
            &found["durationHours"]
        ),
        (&json!("Tea?"), &json!(["a", "b"]), &json!(1), &json!(3))
    );
    // Of seventeen ids two begin alike.
    for n in 0..15 {
        world.send(&format!("k{n}"), "@ann", "x").await;
    }
    let first = |digit: &u8| world.get(&format!("{digit:x}"));
    let several = |answer: &Value| answer.as_str().is_some_and(|text| text.contains("several"));
    assert!(
        (0..16_u8)
            .map(|digit| first(&digit))
            .any(|answer| several(&answer))
    );
    assert_eq!(world.get("zz"), "INVALID_REQUEST: unknown delivery: zz");
    assert_eq!(
        world.retry("zz", true).await,
        "INVALID_REQUEST: unknown delivery: zz"
    );
    assert_eq!(
        world.cancel("zz").await,
        "INVALID_REQUEST: unknown delivery: zz"
    );
}

#[tokio::test]
async fn what_has_failed_is_tried_again() {
    let world = World::new(Pigeon::new(false, [refused("no"), refused("no again")])).await;
    world.send("k", "@ann", "x").await;
    let id = world.newest_id();
    world.clock.advance(5);
    let queued = world.retry(&id, false).await;
    assert_eq!(
        (
            &queued["state"],
            &queued["problem"],
            &queued["attempts"],
            &queued["changedAtMs"]
        ),
        (&json!("queued"), &json!("no"), &json!(0), &json!(1_005))
    );
    world.until(OutboxState::Failed).await;
    assert_eq!(world.newest()["problem"], "no again");
    world.retry(&id, false).await;
    world.until(OutboxState::Sent).await;
    assert_eq!(world.pigeon.taken(), ["ann:x"]);
    // Its key brings back the new outcome, and it is over for good.
    assert_eq!(world.send("k", "@ann", "x").await, sent("k", "m1", "ann"));
    assert_eq!(world.retry(&id, true).await, not_retriable("sent"));
    assert_eq!(world.cancel(&id).await, not_cancellable("sent"));
    assert_eq!(world.stored(), 1);
}

#[tokio::test]
async fn what_may_have_arrived_is_tried_again_only_if_that_does_no_harm() {
    let world = crash(false).await;
    let id = world.newest_id();
    assert_eq!(world.newest()["state"], "unknown");
    assert_eq!(world.cancel(&id).await, not_cancellable("unknown"));
    assert_eq!(world.retry(&id, false).await, DUPLICATE);
    assert_eq!(world.retry(&id, true).await["state"], "queued");
    world.until(OutboxState::Sent).await;
    assert_eq!(world.pigeon.taken(), ["ann:x", "ann:x"]);
}

#[tokio::test]
async fn a_pause_is_cut_short_or_called_off() {
    let steps = [later(Some(600)), Step::Take, later(Some(600))];
    let world = World::new(Pigeon::new(false, steps)).await;
    // In real time: the pauses are longer than anybody's patience.
    let soon = |told| tokio::time::timeout(Duration::from_secs(60), told);
    let waiting = world.sending("a", "@ann");
    world.pigeon.until_begun(1).await;
    world.until(OutboxState::Queued).await;
    let queued = world.newest();
    assert_eq!(
        (&queued["problem"], &queued["attempts"]),
        (&json!("busy"), &json!(1))
    );
    world.retry(&world.newest_id(), false).await;
    let told = soon(waiting).await.expect("without the pause").unwrap();
    assert_eq!(told, sent("a", "m1", "ann"));
    let waiting = world.sending("b", "@ann");
    world.pigeon.until_begun(3).await;
    world.until(OutboxState::Queued).await;
    let cancelled = world.cancel(&world.newest_id()).await;
    assert_eq!(cancelled["state"], "cancelled");
    let told = soon(waiting).await.expect("without the pause").unwrap();
    let expected = "UNAVAILABLE: the message was cancelled by an operator; it was not sent";
    assert_eq!(told, expected);
    assert_eq!(world.pigeon.taken(), ["ann:a"]);
    assert_eq!(
        world.retry(&world.newest_id(), true).await,
        not_retriable("cancelled")
    );
}

#[tokio::test]
async fn one_that_waits_for_its_turn_is_cancelled_and_one_that_is_being_sent_is_not() {
    let gate = Arc::new(Semaphore::new(0));
    let mut world = World::new(Pigeon::new(false, [Step::Wait(Arc::clone(&gate))])).await;
    let first = world.sending("a", "@ann");
    world.pigeon.until_begun(1).await;
    let first_id = world.newest_id();
    let second = world.sending("b", "@ann");
    while world.stored() < 2 {
        tokio::task::yield_now().await;
    }
    let second_id = world.newest_id();
    assert_eq!(world.cancel(&first_id).await, SENDING);
    assert_eq!(world.retry(&first_id, true).await, SENDING);
    // Being in a hurry does not jump the queue.
    assert_eq!(world.retry(&second_id, false).await["state"], "queued");
    assert_eq!(world.cancel(&second_id).await["state"], "cancelled");
    assert!(
        second
            .await
            .unwrap()
            .as_str()
            .unwrap()
            .contains("cancelled")
    );
    gate.add_permits(1);
    assert_eq!(first.await.unwrap(), sent("a", "m1", "ann"));
    world.restart().await;
    assert_eq!(
        world.pigeon.taken(),
        ["ann:a"],
        "not sent by a restart either"
    );
}

#[tokio::test]
async fn another_try_is_on_disk_and_needs_room_and_a_channel() {
    let gate = Arc::new(Semaphore::new(0));
    let waits = vec![Step::Wait(Arc::clone(&gate)); MAX_ACTIVE - 1];
    let steps = std::iter::once(refused("no"))
        .chain(waits)
        .chain([Step::TakeAndHang]);
    let mut world = World::new(Pigeon::new(false, steps)).await;
    world.send("k", "@ann", "x").await;
    let id = world.newest_id();
    let waiting: Vec<_> = (1..MAX_ACTIVE)
        .map(|n| world.sending(&n.to_string(), &format!("@{n}")))
        .collect();
    world.pigeon.until_begun(MAX_ACTIVE).await;
    assert_eq!(
        world.retry(&id, false).await["state"],
        "queued",
        "the last place"
    );
    let full = world.sending("more", "@bob").await.unwrap();
    assert!(
        full.as_str().unwrap().contains("too many messages"),
        "{full}"
    );
    world.pigeon.until_begun(MAX_ACTIVE + 1).await;
    gate.add_permits(MAX_ACTIVE);
    for one in waiting {
        one.await.unwrap();
    }
    // Killed while the second try was under way: nobody knows.
    world.restart().await;
    assert_eq!(world.get(&id)["delivery"]["state"], "unknown");

    let mut record = world.sessions.read(record::all).unwrap().remove(0);
    record.channel = "telegram".to_owned();
    world.outbox.write(&record).await.unwrap();
    let unsupported = "INVALID_REQUEST: unsupported channel: telegram";
    assert_eq!(world.retry(&id, true).await, unsupported);
}

#[tokio::test]
async fn another_try_needs_a_place() {
    let gate = Arc::new(Semaphore::new(0));
    let waits = vec![Step::Wait(Arc::clone(&gate)); MAX_ACTIVE];
    let steps = std::iter::once(refused("no")).chain(waits);
    let world = World::new(Pigeon::new(false, steps)).await;
    world.send("k", "@ann", "x").await;
    let id = world.newest_id();
    let waiting: Vec<_> = (0..MAX_ACTIVE)
        .map(|n| world.sending(&n.to_string(), &format!("@{n}")))
        .collect();
    world.pigeon.until_begun(MAX_ACTIVE + 1).await;
    let said = world.retry(&id, false).await;
    assert!(
        said.as_str().unwrap().contains("too many messages"),
        "{said}"
    );
    assert_eq!(world.get(&id)["delivery"]["state"], "failed");
    gate.add_permits(MAX_ACTIVE);
    for one in waiting {
        one.await.unwrap();
    }
    assert_eq!(world.retry(&id, false).await["state"], "queued");
}
