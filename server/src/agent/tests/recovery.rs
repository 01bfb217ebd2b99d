//! What a start makes of the runs that a kill has cut, and of the texts that waited for them.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::super::backend::scripted::{Step, say};
use super::super::backend::{Call, Chunk, StopReason, Turn};
use super::super::outcome::{AbortReason, End, Record, RunKey, Space};
use super::super::recovery::RESTARTED;
use super::{START, World};

/// Time of the second start.
const LATER: u64 = START + 200_000;

async fn restarted(world: &World, replies: Vec<Vec<Step>>) -> World {
    World::over(world.killed(), json!({}), LATER, replies).await
}

fn agent(message: &str, id: &str) -> Value {
    json!({"message": message, "sessionKey": "main", "idempotencyKey": id})
}

/// Text, or error, of every message of the main conversation with its role.
fn told(world: &World) -> Vec<String> {
    let history = world.history("main");
    let messages = history["messages"].as_array().unwrap().iter();
    let shown = |message: &Value| {
        let text = message["content"][0]["text"].as_str();
        let text = text.or(message["errorMessage"].as_str());
        format!(
            "{}: {}",
            message["role"].as_str().unwrap(),
            text.unwrap_or_default()
        )
    };
    messages.map(shown).collect()
}

fn users(turns: &[Turn]) -> Vec<&str> {
    let mut texts = Vec::new();
    for turn in turns {
        if let Turn::User { text, .. } = turn {
            texts.push(text.as_str());
        }
    }
    texts
}

#[tokio::test(start_paused = true)]
async fn words_that_waited_are_in_the_conversation_and_every_run_has_an_end() {
    let world = World::new([say(&["fine"]), vec![Step::Say("half"), Step::Stall]]).await;
    world.turn("before", "0").await;
    let ids = ["1", "2", "3"];
    for (id, words) in ids.iter().zip(["first", "second", "/new third"]) {
        world.agent(agent(words, id)).await.unwrap();
    }
    world.until("1 agent 2 text \"half\" +\"half\"").await;
    let after = restarted(&world, vec![]).await;
    let cut = format!("assistant: {RESTARTED}");
    assert_eq!(
        told(&after),
        ["user: third", cut.as_str()],
        "the third began anew"
    );
    assert_eq!(after.model.asked().len(), 0, "nothing is repeated");
    for id in ids {
        let wait = after.wait(id, 0).await;
        assert_eq!(
            (&wait["status"], &wait["error"], &wait["endedAt"]),
            (&json!("error"), &json!(RESTARTED), &json!(LATER))
        );
    }
    after.turn("next", "4").await;
    assert_eq!(users(&after.model.asked()[0].turns), ["third", "next"]);

    // The same without a new beginning, and again: what is paid is not paid twice.
    let world = World::new([vec![Step::Stall]]).await;
    for (id, words) in ids.iter().zip(["first", "second", "third"]) {
        world.chat("main", words, id).await;
    }
    world.until("1 agent 1 start").await;
    let once = restarted(&world, vec![]).await;
    let after = restarted(&once, vec![]).await;
    for world in [&once, &after] {
        let expected =
            ["first", "second", "third"].map(|words| [format!("user: {words}"), cut.clone()]);
        assert_eq!(told(world), expected.concat());
    }
    assert_eq!(after.row("main")["updatedAt"], LATER);
}

/// A reply that calls `exec` and, before it, `read`.
fn at_work() -> Vec<Step> {
    let call = |id: &str, name: &str, arguments: Value| {
        Step::Give(Chunk::Call(Call {
            id: id.to_owned(),
            name: name.to_owned(),
            arguments,
        }))
    };
    vec![
        call("c1", "read", json!({"path": "none.txt"})),
        call("c2", "exec", json!({"command": "sleep 600"})),
        call("c3", "write", json!({"path": "a.txt", "content": "a"})),
        Step::Give(Chunk::Done(StopReason::ToolUse)),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_was_at_work_has_a_result() {
    let config = json!({"tools": {"exec": {"security": "full"}}, "agents": {"defaults": {"model": "mock/echo-1", "verboseDefault": "on"}}});
    let world = World::configured(config, [at_work()]).await;
    std::fs::create_dir_all(world.path().join("workspace")).unwrap();
    world.agent(agent("go", "r")).await.unwrap();
    world
        .until("r agent 4 tool Start exec c2 {\"command\":\"sleep 600\"}")
        .await;
    let after = restarted(&world, vec![]).await;
    let history = after.history("main");
    let messages = history["messages"].as_array().unwrap();
    let results: Vec<(&str, bool, bool)> = messages[2..5]
        .iter()
        .map(|message| {
            let text = message["content"][0]["text"].as_str().unwrap();
            let is_unknown = text.starts_with("There is no result: the gateway was stopped");
            (
                message["toolCallId"].as_str().unwrap(),
                message["isError"] == true,
                is_unknown,
            )
        })
        .collect();
    assert_eq!(
        results,
        [("c1", true, false), ("c2", true, true), ("c3", true, true)]
    );
    assert_eq!(
        (messages.len(), &messages[5]["errorMessage"]),
        (6, &json!(RESTARTED))
    );
    after.turn("next", "n").await;
    let turns = &after.model.asked()[0].turns;
    let calls = matches!(&turns[1], Turn::Assistant { calls, .. } if calls.len() == 3);
    let results = turns[2..5]
        .iter()
        .all(|turn| matches!(turn, Turn::Result { .. }));
    assert!(calls && results && turns.len() == 6, "{turns:?}");
    // Ends the command.
    world.abort("main", None);
    world.runs.abandon("r");
    world.wait("r", 10_000).await;
}

#[tokio::test(start_paused = true)]
async fn records_without_a_conversation_end_and_old_ones_go() {
    let world = World::new([]).await;
    let ended = |ended_at| Record {
        ended_at: Some(ended_at),
        end: Some(End::Aborted(AbortReason::Rpc)),
        ..Record::accepted(Space::Chat, 1)
    };
    let keys = ["cut", "young", "old"].map(|id| RunKey::new(Space::Chat, id));
    let written = world.runs.sessions().write(move |changes| {
        Record::accepted(Space::Chat, 1).put(changes.writer(), &keys[0])?;
        ended(LATER - 299_999).put(changes.writer(), &keys[1])?;
        ended(LATER - 300_000).put(changes.writer(), &keys[2])
    });
    written.await.unwrap();
    let after = restarted(&world, vec![]).await;
    let record = |key| {
        after
            .runs
            .sessions()
            .read(|reader| Record::get(reader, &key))
            .unwrap()
    };
    let end = |key| record(key).and_then(|record| record.end);
    assert_eq!(end(keys[0]), Some(End::Failed(RESTARTED.to_owned())));
    assert_eq!(end(keys[1]), Some(End::Aborted(AbortReason::Rpc)));
    assert_eq!(end(keys[2]), None);
    assert_eq!(after.wait("young", 0).await["error"], "run aborted (rpc)");
    assert_eq!(told(&after), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_told_once_whatever_happens() {
    let gate = Arc::new(Semaphore::new(0));
    let world = World::new([vec![Step::Wait(gate)]]).await;
    world.tell("main", "the build is done").await;
    // Before a run: it waits on.
    let world = restarted(&world, vec![vec![Step::Stall]]).await;
    assert_eq!(world.waiting("main"), ["the build is done"]);
    // In a run: it stands in the transcript, before the words.
    world.agent(agent("hello", "r")).await.unwrap();
    world.until("r agent 1 start").await;
    let after = restarted(&world, vec![]).await;
    assert_eq!(after.waiting("main"), Vec::<String>::new());
    let words = "user: System: [1970-01-01T00:16:40.000Z] the build is done\n\nhello";
    assert_eq!(told(&after)[0], words);
    after.turn("next", "n").await;
    let asked = after.model.asked();
    assert_eq!(
        users(&asked[0].turns)
            .concat()
            .matches("the build is done")
            .count(),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_told_in_words_that_are_taken_back_waits_again() {
    let world = World::new([vec![Step::Stall], say(&["ok"])]).await;
    world.tell("main", "the build is done").await;
    world.chat("main", "hello", "c").await;
    world.until("c agent 1 start").await;
    assert_eq!(world.waiting("main"), Vec::<String>::new());
    world.abort("main", None);
    world.wait("c", 10_000).await;
    assert_eq!((told(&world).len(), world.waiting("main").len()), (0, 1));
    tokio::time::advance(Duration::from_millis(1)).await;
    world.turn("again", "r").await;
    assert!(
        told(&world)[0].contains("the build is done"),
        "{:?}",
        told(&world)
    );
    assert_eq!(world.waiting("main"), Vec::<String>::new());
}
