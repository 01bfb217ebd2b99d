//! Idempotency: during a run, after it, after a restart; and the bounds of what is accepted.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::super::backend::scripted::{Step, say};
use super::super::lanes::MAX_QUEUED_PER_LANE;
use super::super::recovery::RESTARTED;
use super::super::runs::MAX_RUNS;
use super::World;

fn agent(id: &str) -> Value {
    json!({"message": "same", "sessionKey": "main", "idempotencyKey": id})
}

#[tokio::test(start_paused = true)]
async fn a_repeated_agent_key() {
    let gate = Arc::new(Semaphore::new(0));
    let world = World::new([[vec![Step::Wait(gate.clone())], say(&["once"])].concat()]).await;
    let (first, repeats) = tokio::join!(world.agent_answers(agent("r")), async {
        world.until("r agent 1 start").await;
        world.clock.advance(5_000);
        let other = json!({"message": "other words", "agentId": "ghost", "idempotencyKey": "r"});
        let repeats = [
            world.agent_answers(agent("r")).await,
            world.agent_answers(other).await,
        ];
        gate.add_permits(1);
        repeats
    });
    let accepted = json!({"runId": "r", "status": "accepted", "acceptedAt": 1_000_000});
    assert_eq!(
        repeats,
        [[accepted.clone()], [accepted.clone()]],
        "the first time, no second response, no checks"
    );
    assert_eq!(first[0], accepted);
    assert_eq!(
        world.agent_answers(agent("r")).await,
        [first[1].clone()],
        "one response after the end"
    );
    let ended_at = 1_005_000;
    world.clock.set(ended_at + 299_999);
    assert_eq!(world.agent_answers(agent("r")).await, [first[1].clone()]);
    assert_eq!(world.model.asked().len(), 1);
    world.clock.set(ended_at + 300_000);
    world.runs.sweep();
    let again = world.agent_answers(agent("r")).await;
    assert_eq!(
        (
            again.len(),
            &again[0]["acceptedAt"],
            world.model.asked().len()
        ),
        (2, &json!(1_305_000), 2)
    );
}

#[tokio::test(start_paused = true)]
async fn a_repeated_chat_key() {
    let gate = Arc::new(Semaphore::new(0));
    let world = World::new([[vec![Step::Wait(gate.clone())], say(&["once"])].concat()]).await;
    let ack = |status: &str| json!({"runId": "c", "status": status});
    assert_eq!(world.chat("main", "same", "c").await, ack("started"));
    assert_eq!(world.chat("main", "same", "c").await, ack("in_flight"));
    assert_eq!(
        world.chat("side", "other", "c").await,
        ack("in_flight"),
        "only the key counts"
    );
    gate.add_permits(1);
    world.until("c chat 3 final \"once\"").await;
    assert_eq!(world.chat("main", "same", "c").await, ack("ok"));
    let agent = world.agent_answers(agent("c")).await;
    assert_eq!(agent.len(), 2, "keys of another method");
}

#[tokio::test(start_paused = true)]
async fn two_requests_with_one_key_at_the_same_moment() {
    let world = World::new([]).await;
    let (one, other) = tokio::join!(
        world.agent_answers(agent("r")),
        world.agent_answers(agent("r"))
    );
    assert_eq!((one.len() + other.len(), world.model.asked().len()), (3, 1));
    assert_eq!(one[0], other[0]);
}

#[tokio::test(start_paused = true)]
async fn outcomes_survive_a_restart_and_no_run_runs_twice() {
    let world = World::new([say(&["done"]), vec![Step::Stall], vec![Step::Stall]]).await;
    let done = world.agent_answers(agent("done")).await;
    drop(world.agent(agent("cut")).await);
    world.until("cut agent 1 start").await;
    world.chat("other", "same", "cut-chat").await;
    world.until("cut-chat agent 1 start").await;
    let copy = world.killed();
    let now = 1_000_000 + 200_000;
    let after = World::over(Arc::clone(&copy), json!({}), now, []).await;
    assert_eq!(after.agent_answers(agent("done")).await, [done[1].clone()]);
    let failed = |id: &str| json!({"failed": {"runId": id, "status": "error", "summary": RESTARTED}, "code": "UNAVAILABLE"});
    assert_eq!(after.agent_answers(agent("cut")).await, [failed("cut")]);
    assert_eq!(
        after.chat("other", "same", "cut-chat").await,
        failed("cut-chat")
    );
    assert_eq!(after.wait("cut", 0).await["error"], RESTARTED);
    assert_eq!(after.model.asked().len(), 0);
    assert_eq!(
        after.said("main"),
        ["user: same", "assistant: done", "user: same", "assistant: "],
        "words are not lost"
    );
    after.clock.set(now + 299_999);
    assert_eq!(
        after.agent_answers(agent("cut")).await,
        [failed("cut")],
        "five minutes from the restart on"
    );
    assert_eq!(
        after.agent_answers(agent("done")).await.len(),
        2,
        "five minutes from its end on"
    );
    assert!(after.path().exists());
}

#[tokio::test(start_paused = true)]
async fn a_lane_takes_so_many() {
    let gate = Arc::new(Semaphore::new(0));
    let world = World::new([[vec![Step::Wait(gate.clone())], say(&["done"])].concat()]).await;
    for n in 0..=MAX_QUEUED_PER_LANE {
        assert_eq!(
            world.chat("main", "x", &format!("c-{n}")).await["status"],
            "started",
            "{n}"
        );
    }
    let refused = world.chat("main", "x", "one-more").await;
    let text =
        "too many runs are waiting in this session (limit 32); try again when some have ended";
    assert_eq!(refused, json!({"refused": text, "code": "UNAVAILABLE"}));
    assert_eq!(world.agent_answers(agent("one-more")).await, [refused]);
    gate.add_permits(1);
    world
        .wait(&format!("c-{MAX_QUEUED_PER_LANE}"), 60_000)
        .await;
    assert_eq!(
        world.chat("main", "x", "one-more").await["status"],
        "started",
        "a refusal is not remembered"
    );
}

#[tokio::test(start_paused = true)]
async fn the_gateway_takes_so_many() {
    let world = World::new([
        vec![Step::Stall],
        vec![Step::Stall],
        vec![Step::Stall],
        vec![Step::Stall],
    ])
    .await;
    for n in 0..MAX_RUNS {
        assert_eq!(
            world.chat(&format!("s-{n}"), "x", &format!("c-{n}")).await["status"],
            "started",
            "{n}"
        );
    }
    let refused = world.chat("another", "x", "one-more").await;
    let text = "too many runs are under way or waiting (limit 256); try again when some have ended";
    assert_eq!(refused, json!({"refused": text, "code": "UNAVAILABLE"}));
}
