//! Removing a conversation while runs are under way.

use std::sync::Arc;
use std::time::Duration;

use openclaw_protocol::protocol::limits;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::super::backend::scripted::{Step, say};
use super::World;

async fn delete(world: &World, key: &str, with_transcript: bool) -> Value {
    let session = world.runs.sessions().key(key);
    match world.runs.delete_session(session, with_transcript).await {
        Ok(result) => json!(result),
        Err(error) => json!({"refused": error.message, "code": error.code}),
    }
}

#[tokio::test(start_paused = true)]
async fn a_conversation_is_removed() {
    let world = World::new([say(&["one"])]).await;
    world.chat("work", "go", "c-1").await;
    world.until("c-1 chat 3 final \"one\"").await;
    world.wait("c-1", 1_000).await;
    let id = world.history("work")["sessionId"]
        .as_str()
        .unwrap()
        .to_owned();
    let gone = delete(&world, "work", true).await;
    let dir = world
        .path()
        .join("agents/main/sessions")
        .display()
        .to_string();
    let file = format!("{dir}/{id}.jsonl.deleted.1970-01-01T00-16-40.000Z");
    assert_eq!(
        gone,
        json!({"ok": true, "key": "agent:main:work", "deleted": true, "archived": [file]})
    );
    let none = json!({"ok": true, "key": "agent:main:work", "deleted": false, "archived": []});
    assert_eq!(delete(&world, "work", true).await, none);
    assert_eq!(world.history("work")["messages"], json!([]));
    let refused = json!({"refused": "Cannot delete the main session (agent:main:main).", "code": "INVALID_REQUEST"});
    for main in ["main", "agent:main:MAIN"] {
        assert_eq!(delete(&world, main, true).await, refused);
    }
}

#[tokio::test(start_paused = true)]
async fn its_runs_are_called_off_first() {
    let stall = || vec![Step::Say("words "), Step::Stall];
    let world = World::new([stall(), stall()]).await;
    world.chat("work", "go", "c-1").await;
    world.until("c-1 chat 2 delta \"words\"").await;
    world.chat("work", "later", "c-2").await;
    let spawned = json!({"message": "go", "sessionKey": "subagent:a", "spawnedBy": "agent:main:work", "idempotencyKey": "r"});
    let (answers, gone) = tokio::join!(world.agent_answers(spawned), async {
        world.until("r chat 2 delta \"words\"").await;
        delete(&world, "work", false).await
    });
    assert_eq!(
        (&gone["deleted"], &gone["archived"]),
        (&json!(true), &json!([]))
    );
    assert_eq!(answers[1]["failed"]["summary"], "run aborted (rpc)");
    let aborted: Vec<String> = world
        .lines()
        .into_iter()
        .filter(|line| line.contains("aborted"))
        .collect();
    assert_eq!(
        aborted,
        [
            "c-1 chat 3 aborted rpc",
            "c-2 chat 1 aborted rpc",
            "r chat 3 aborted rpc"
        ]
    );
    assert_eq!(world.wait("c-2", 1_000).await["error"], "run aborted (rpc)");
    let key = world.runs.sessions().key("work");
    assert_eq!(
        world.runs.sessions().entry(&key).unwrap(),
        None,
        "no run has brought it back"
    );
}

#[tokio::test(start_paused = true)]
async fn what_does_not_end_in_time_stays() {
    let gate = Arc::new(Semaphore::new(0));
    let world = World::new([[vec![Step::Wait(gate.clone())], say(&["late"])].concat()]).await;
    world.chat("work", "go", "c-1").await;
    world.until("c-1 agent 1 start").await;
    // Whatever stays in the lane is the same to those who wait.
    let session = world.runs.sessions().key("work");
    let held = world.runs.place(&session).unwrap();
    let patience = Duration::from_millis(limits::SESSION_DELETE_WAIT_MS);
    let before = tokio::time::Instant::now();
    let refused = json!({"refused": "Session agent:main:work is still active; try again in a moment.", "code": "UNAVAILABLE"});
    let (answer, ()) = tokio::join!(delete(&world, "work", true), async {
        // The paused clock runs on only when nothing blocks: see World.
        tokio::time::advance(patience + Duration::from_millis(1)).await;
    });
    assert_eq!(answer, refused);
    assert!(before.elapsed() >= patience);
    assert!(world.runs.sessions().entry(&session).unwrap().is_some());
    drop(held);
    assert_eq!(delete(&world, "work", true).await["deleted"], true);
}
