//! `chat.abort`, stop words, expiry.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::super::backend::scripted::{Step, say};
use super::World;

fn stopped(ids: &[&str]) -> Value {
    json!({"ok": true, "aborted": !ids.is_empty(), "runIds": ids})
}

/// Waits until the aborted run has unwound.
async fn unwound(world: &World, id: &str) {
    world.wait(id, 10_000).await;
    assert_eq!(world.runs.active(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_abort_is_the_end() {
    let world = World::new([vec![Step::Say("slow-0 "), Step::Stall]]).await;
    world.chat("main", "go", "c-slow").await;
    world.until("c-slow chat 2 delta \"slow-0\"").await;
    assert_eq!(
        world.abort("agent:main:MAIN", Some("c-slow")),
        stopped(&["c-slow"]),
        "canonical keys are compared"
    );
    assert_eq!(world.abort("main", Some("c-slow")), stopped(&[]), "once");
    unwound(&world, "c-slow").await;
    let lines = [
        "c-slow agent 1 start",
        "c-slow agent 2 text \"slow-0\" +\"slow-0\"",
        "c-slow chat 2 delta \"slow-0\"",
        "c-slow chat 3 aborted rpc",
    ];
    assert_eq!(world.lines(), lines);
    let history = world.history("main");
    assert_eq!(
        history["messages"],
        json!([]),
        "a conversation without an answer has not begun"
    );
    assert!(history["sessionId"].is_string());
    assert_eq!(world.row("main")["abortedLastRun"], true);
    assert_eq!(
        world.chat("main", "go", "c-slow").await,
        json!({"runId": "c-slow", "status": "ok"})
    );
    assert_eq!(world.wait("c-slow", 0).await["error"], "run aborted (rpc)");
    assert_eq!(
        world.chat("main", "after", "c-2").await,
        json!({"runId": "c-2", "status": "started"})
    );
    world.until("c-2 chat 3 final \"ok\"").await;
    assert_eq!(world.row("main")["abortedLastRun"], false);
}

#[tokio::test(start_paused = true)]
async fn words_stay_where_a_conversation_has_begun() {
    let world = World::new([say(&["one"]), vec![Step::Say("half"), Step::Stall]]).await;
    world.chat("main", "first", "c-1").await;
    world.until("c-1 chat 3 final \"one\"").await;
    world.chat("main", "second", "c-2").await;
    world.until("c-2 chat 2 delta \"half\"").await;
    world.abort("main", None);
    unwound(&world, "c-2").await;
    assert_eq!(
        world.said("main"),
        ["user: first", "assistant: one", "user: second"]
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_to_abort() {
    let gate = Arc::new(Semaphore::new(0));
    let gated = [vec![Step::Wait(gate.clone())], say(&["done"])].concat();
    let world = World::new([gated]).await;
    assert_eq!(world.abort("main", None), stopped(&[]));
    assert_eq!(world.abort("main", Some("nope")), stopped(&[]));
    drop(
        world
            .agent(json!({"message": "x", "sessionKey": "main", "idempotencyKey": "r"}))
            .await,
    );
    world.until("r agent 1 start").await;
    assert_eq!(
        world.abort("main", None),
        stopped(&[]),
        "only runs of chat.send"
    );
    assert_eq!(world.abort("main", Some("r")), stopped(&[]));
    gate.add_permits(1);
    world.until("r chat 3 final \"done\"").await;
}

#[tokio::test(start_paused = true)]
async fn a_run_of_another_session() {
    let world = World::new([vec![Step::Stall]]).await;
    world.chat("side", "go", "c").await;
    let refused = json!({"refused": "runId does not match sessionKey", "code": "INVALID_REQUEST"});
    assert_eq!(world.abort("main", Some("c")), refused);
    assert_eq!(world.abort("main", None), stopped(&[]));
    assert_eq!(world.abort("side", None), stopped(&["c"]));
    unwound(&world, "c").await;
}

#[tokio::test(start_paused = true)]
async fn stop_words_call_off_what_runs_and_what_waits() {
    let world = World::new([vec![Step::Stall]]).await;
    world.chat("main", "one", "c-1").await;
    world.chat("main", "two", "c-2").await;
    world.chat("other", "stop", "c-3").await;
    world.until("c-1 agent 1 start").await;
    assert_eq!(
        world.chat("MAIN", " Stop ", "c-4").await,
        stopped(&["c-1", "c-2"])
    );
    let lines = world.until("c-2 chat 1 aborted stop").await;
    assert_eq!(
        lines,
        [
            "c-1 agent 1 start",
            "c-1 chat 2 aborted stop",
            "c-2 chat 1 aborted stop"
        ]
    );
    world.wait("c-1", 10_000).await;
    unwound(&world, "c-2").await;
    assert_eq!(world.chat("main", "stop", "c-4").await, stopped(&[]));
    assert_eq!(world.model.asked().len(), 1, "a stop word starts no run");
}

#[tokio::test(start_paused = true)]
async fn chat_runs_expire() {
    let world = World::new([vec![Step::Stall], vec![Step::Stall]]).await;
    let send =
        json!({"sessionKey": "main", "message": "go", "idempotencyKey": "c-1", "timeoutMs": 1});
    world.chat_with(send).await;
    world.until("c-1 agent 1 start").await;
    tokio::time::advance(Duration::from_millis(119_999)).await;
    assert_eq!(world.wait("c-1", 0).await["status"], "timeout");
    tokio::time::advance(Duration::from_millis(1)).await;
    world.until("c-1 chat 2 aborted timeout").await;
    unwound(&world, "c-1").await;
    // Waiting counts: the second run expires in the queue.
    let send = json!({"sessionKey": "main", "message": "go", "idempotencyKey": "c-2", "timeoutMs": 500_000});
    world.chat_with(send).await;
    world.until("c-2 agent 1 start").await;
    world
        .chat_with(
            json!({"sessionKey": "main", "message": "go", "idempotencyKey": "c-3", "timeoutMs": 1}),
        )
        .await;
    tokio::time::advance(Duration::from_secs(120)).await;
    world.until("c-3 chat 1 aborted timeout").await;
    assert_eq!(world.abort("main", None), stopped(&["c-2"]));
}
