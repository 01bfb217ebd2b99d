//! Replies of runs on their way to people, through kills at every step, and what others are told of a run's end.

use std::sync::Arc;

use openclaw_protocol::types::OutboxOrigin;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::super::backend::scripted::{Step, say};
use super::super::recovery::RESTARTED;
use super::super::{Aftermath, Delivery, Manner, Note};
use super::tools::call;
use super::{START, World};
use crate::outbox::testing::Step as PigeonStep;
use crate::outbox::{Order, Wish, Words};
use crate::sessions::Entry;

/// Time of the second start.
const LATER: u64 = START + 200_000;

fn spoken_to(channel: &'static str, to: Option<&'static str>) -> impl FnOnce(&mut Entry) + Send {
    move |entry| {
        entry.last_channel = Some(channel.to_owned());
        entry.last_to = to.map(str::to_owned);
    }
}

/// A world whose main conversation was spoken to by pigeon.
async fn world(replies: impl IntoIterator<Item = Vec<Step>>) -> World {
    let world = World::new(replies).await;
    let ann = spoken_to("pigeon", Some("@ann"));
    world.settle("main", ann).await;
    world
}

fn delivered(id: &str) -> Value {
    json!({"message": "go", "sessionKey": "main", "deliver": true, "idempotencyKey": id})
}

/// What the last answer of a run is: its text, or why there is none.
fn last(answers: &[Value]) -> &str {
    let last = answers.last().unwrap();
    let text = &last["result"]["payloads"][0]["text"];
    let why = last.pointer("/failed/summary").or(last.get("refused"));
    text.as_str().or(why.and_then(Value::as_str)).unwrap()
}

#[tokio::test(start_paused = true)]
async fn where_a_reply_goes() {
    let nobody = "Error: no channel is named, and none was used in the conversation yet";
    let pigeon = Some(("pigeon", Some("@ann")));
    let webchat = Some(("webchat", None));
    for (spoken, more, taken, said) in [
        (pigeon, json!({}), Some("ann:fine"), "fine"),
        (pigeon, json!({"channel": "last"}), Some("ann:fine"), "fine"),
        (pigeon, json!({"to": "@cat"}), Some("cat:fine"), "fine"),
        (
            pigeon,
            json!({"to": "@cat", "replyTo": "@bob"}),
            Some("bob:fine"),
            "fine",
        ),
        (pigeon, json!({"deliver": false}), None, "fine"),
        (
            None,
            json!({"channel": "telegram", "replyChannel": "Pigeon", "replyTo": "@bob"}),
            Some("bob:fine"),
            "fine",
        ),
        (
            pigeon,
            json!({"channel": "telegram", "to": "7"}),
            None,
            "Error: Unknown channel: telegram",
        ),
        (
            pigeon,
            json!({"replyChannel": "whatsapp"}),
            None,
            "Error: Unknown channel: whatsapp",
        ),
        (
            pigeon,
            json!({"to": "bob"}),
            None,
            "Error: bob is no dovecote",
        ),
        (
            pigeon,
            json!({"replyChannel": "crow"}),
            None,
            "invalid agent params: unknown channel: crow",
        ),
        (None, json!({}), None, nobody),
        // It is read in the conversation.
        (webchat, json!({}), None, "fine"),
        (pigeon, json!({"channel": "webchat"}), None, "fine"),
    ] {
        let world = World::new([say(&["fine"])]).await;
        if let Some((channel, to)) = spoken {
            world.settle("main", spoken_to(channel, to)).await;
        }
        let mut params = delivered("r");
        let more_members = more.as_object().unwrap().clone();
        params.as_object_mut().unwrap().extend(more_members);
        let answers = world.agent_answers(params.clone()).await;
        assert_eq!(last(&answers), said, "{more}");
        assert_eq!(world.pigeon.taken(), Vec::from_iter(taken), "{more}");
        // A repeat brings the outcome back and sends nothing.
        assert_eq!(last(&world.agent_answers(params).await), said, "{more}");
        assert_eq!(world.pigeon.taken(), Vec::from_iter(taken), "{more}");
        if answers.len() > 1 {
            // The run itself ended well.
            assert_eq!(world.wait("r", 0).await["status"], "ok", "{more}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn all_that_was_said_goes_and_a_command_answers_too() {
    let first = [
        vec![Step::Say("I look.")],
        call(&[("c1", "session_status", json!({}))]),
    ];
    let world = world([first.concat(), say(&["done"]), say(&[])]).await;
    world.agent_answers(delivered("r")).await;
    assert_eq!(world.pigeon.taken(), ["ann:I look.\n\ndone"]);
    let mut command = delivered("c");
    command["message"] = json!("/verbose");
    world.agent_answers(command).await;
    let taken = world.pigeon.taken();
    assert!(
        taken.len() == 2 && taken[1].starts_with("ann:Verbose"),
        "{taken:?}"
    );
    // No words, no message.
    assert_eq!(world.agent_answers(delivered("e")).await[1]["status"], "ok");
    assert_eq!(world.pigeon.taken().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_failed_or_was_called_off_delivers_nothing() {
    let broken = vec![
        Step::Say("half"),
        Step::Fail(super::super::backend::BackendError::NotConfigured(
            "no luck".to_owned(),
        )),
    ];
    let world = world([broken, vec![Step::Say("half"), Step::Stall]]).await;
    let answers = world.agent_answers(delivered("f")).await;
    assert_eq!(answers[1]["failed"]["status"], "error", "{answers:?}");
    drop(world.agent(delivered("c")).await.unwrap());
    world.until("c agent 2 text \"half\" +\"half\"").await;
    world.runs.abandon("c");
    assert_eq!(world.wait("c", 10_000).await["error"], "run aborted (rpc)");
    assert!(world.pigeon.taken().is_empty());
    let outbox = &world.runs.parts().outbox;
    let listed = outbox.list(&Default::default()).unwrap();
    assert!(listed.deliveries.is_empty(), "{listed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_repeat_waits_for_nobody_and_a_channel_that_refuses_fails_the_answer() {
    let world = world([say(&["fine"]), say(&["fine"])]).await;
    let gate = Arc::new(Semaphore::new(0));
    world.pigeon.next(PigeonStep::Wait(Arc::clone(&gate)));
    let begun = world.agent(delivered("r")).await.unwrap();
    let super::AgentAnswer::Both { first, then } = begun else {
        panic!("a new run");
    };
    assert_eq!(world.wait("r", 10_000).await["status"], "ok");
    // Its client has no last answer yet, and gets none twice.
    assert_eq!(
        world.agent_answers(delivered("r")).await,
        [json!(first)],
        "accepted"
    );
    gate.add_permits(1);
    assert_eq!(json!(then.await.unwrap())["status"], "ok");
    assert_eq!(last(&world.agent_answers(delivered("r")).await), "fine");
    let dead = crate::outbox::channel::Fault::Refused("the line is dead".to_owned());
    world.pigeon.next(PigeonStep::Fail(dead));
    for _ in 0..2 {
        let answers = world.agent_answers(delivered("s")).await;
        assert_eq!(last(&answers), "Error: the line is dead");
    }
    assert_eq!(world.pigeon.taken(), ["ann:fine"]);
}

/// Keeps the pigeon to ann busy, so that what comes behind stays queued.
async fn hold_up(world: &World) {
    let never = Arc::new(Semaphore::new(0));
    world.pigeon.next(PigeonStep::Wait(never));
    let outbox = world.runs.parts().outbox.clone();
    let order = Order {
        origin: OutboxOrigin::Agent,
        key: "before".to_owned(),
        wish: Wish {
            channel: Some("pigeon".to_owned()),
            to: Some("@ann".to_owned()),
            account_id: None,
        },
        session: "agent:main:main".to_owned(),
        stands_in: None,
    };
    tokio::spawn(async move { outbox.reply(&order, Words::default()).await });
    world.pigeon.until_begun(1).await;
}

/// As a hook asks for it.
fn told_on(about: &str) -> Manner {
    let order = Order {
        origin: OutboxOrigin::Hook,
        key: about.to_owned(),
        wish: Wish::default(),
        session: "agent:main:main".to_owned(),
        stands_in: None,
    };
    let delivery = Delivery {
        order,
        is_whole: true,
        ack_max_chars: Some(0),
        known: None,
    };
    Manner {
        aftermath: Aftermath {
            delivery: Some(delivery),
            note: Some(Note {
                session: "agent:main:main".to_owned(),
                about: about.to_owned(),
            }),
        },
        ..Manner::default()
    }
}

fn apart(id: &str) -> Value {
    json!({"message": "go", "sessionKey": "hook:x", "idempotencyKey": id})
}

#[tokio::test(start_paused = true)]
async fn a_kill_behind_the_end_of_a_run_loses_and_doubles_nothing() {
    let world = world([say(&["fine"]), say(&["well"])]).await;
    hold_up(&world).await;
    drop(world.agent(delivered("r")).await.unwrap());
    assert_eq!(world.wait("r", 10_000).await["status"], "ok");
    let params = serde_json::from_value(apart("h")).unwrap();
    let begun = world.runs.begin_turn(params, told_on("Hook Shop")).await;
    begun.unwrap().unwrap().over().await;
    assert!(world.pigeon.taken().is_empty());
    let mut after = World::over(world.killed(), json!({}), LATER, vec![]).await;
    for _ in 0..2 {
        let taken = after.pigeon.clone();
        crate::outbox::testing::until(|| taken.taken().len() == 2).await;
        assert_eq!(taken.taken(), ["ann:fine", "ann:well"]);
        assert_eq!(last(&after.agent_answers(delivered("r")).await), "fine");
        assert_eq!(after.waiting("main"), ["Hook Shop: well"]);
        // And once more, when all of it is over.
        let pigeon = after.pigeon.clone();
        after = World::over(after.killed(), json!({}), LATER, vec![]).await;
        assert!(after.pigeon.taken().is_empty());
        after.pigeon = pigeon;
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_a_kill_cuts_delivers_nothing_and_says_so() {
    let stalled = || vec![Step::Say("half"), Step::Stall];
    let world = world([stalled(), stalled()]).await;
    drop(world.agent(delivered("r")).await.unwrap());
    world.until("r agent 2 text \"half\" +\"half\"").await;
    let params = serde_json::from_value(apart("h")).unwrap();
    let begun = world.runs.begin_turn(params, told_on("Hook Shop")).await;
    drop(begun.unwrap());
    world.until("h agent 2 text \"half\" +\"half\"").await;
    let mut after = World::over(world.killed(), json!({}), LATER, vec![]).await;
    // A second start finds nothing to do.
    for _ in 0..2 {
        assert_eq!(last(&after.agent_answers(delivered("r")).await), RESTARTED);
        let told = format!("Hook Shop (error): {RESTARTED}");
        assert_eq!(after.waiting("main"), [told]);
        let outbox = &after.runs.parts().outbox;
        let listed = outbox.list(&Default::default()).unwrap();
        assert!(listed.deliveries.is_empty(), "{listed:?}");
        after = World::over(after.killed(), json!({}), LATER, vec![]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_told_of_an_end() {
    let broken = super::super::backend::BackendError::NotConfigured("no luck".to_owned());
    let why = broken.to_string();
    let long: &str = "x".repeat(2_001).leak();
    for (reply, expected, taken) in [
        (say(&["fine"]), "Hook: fine".to_owned(), 1),
        (say(&[]), "Hook: done, without words".to_owned(), 0),
        // Nothing needs attention: people are not told.
        (say(&["HEARTBEAT_OK"]), "Hook: HEARTBEAT_OK".to_owned(), 0),
        (say(&[long]), format!("Hook: {}...", &long[1..]), 1),
        (vec![Step::Fail(broken)], format!("Hook (error): {why}"), 0),
    ] {
        let world = world([reply]).await;
        let params = serde_json::from_value(apart("h")).unwrap();
        let begun = world.runs.begin_turn(params, told_on("Hook")).await;
        let delivery = begun.unwrap().unwrap().over().await;
        assert_eq!(world.waiting("main"), [expected.as_str()]);
        if let Some(delivery) = delivery {
            delivery.outcome().await.unwrap();
        }
        assert_eq!(world.pigeon.taken().len(), taken, "{expected}");
    }
}
