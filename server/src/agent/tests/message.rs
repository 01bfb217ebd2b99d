//! The tool `message` in runs.

use serde_json::{Value, json};

use super::super::backend::scripted::{Step, say};
use super::World;
use super::tools::{call, results, world};

fn sending(arguments: Value) -> Vec<Step> {
    call(&[("c1", "message", arguments)])
}

#[tokio::test(start_paused = true)]
async fn messages_to_people_go_through_the_outbox() {
    let longest = "x".repeat(16 * 1024);
    let sent = r#"{"channel":"pigeon","messageId":"m1","sent":true,"to":"ann"}"#;
    for (arguments, taken) in [
        (json!({"message": " hi "}), "hi"),
        (
            json!({"message": "hi", "target": "@ann", "channel": "last"}),
            "hi",
        ),
        (
            json!({"message": "hi", "channel": "pigeon", "to": "@ann", "media": "http://a/b.png"}),
            "hihttp://a/b.png",
        ),
        (json!({"message": longest}), longest.as_str()),
    ] {
        let world = spoken_to([sending(arguments.clone()), say(&["ok"])]).await;
        world.turn("go", "r").await;
        assert_eq!(results(&world, 1), [(sent.to_owned(), false)]);
        assert_eq!(world.pigeon.taken(), [format!("ann:{taken}")]);
    }
    for (arguments, told) in [
        (json!({"message": " "}), "The message is empty."),
        (
            json!({"message": longest + "x"}),
            "The message is too long: 16385 bytes, of at most 16384.",
        ),
        (
            json!({"message": "hi", "channel": "webchat"}),
            "Not sent: this conversation is where it would be read. Say it in your answer.",
        ),
        (
            json!({"message": "hi", "channel": "telegram", "to": "7"}),
            "Not sent: unsupported channel: telegram. There are: pigeon.",
        ),
        (
            json!({"message": "hi", "to": "ann"}),
            "Not sent: ann is no dovecote.",
        ),
        (
            json!({"text": "hi"}),
            "The arguments are not right: missing field `message`.",
        ),
    ] {
        let world = spoken_to([sending(arguments.clone()), say(&["ok"])]).await;
        world.turn("go", "r").await;
        assert_eq!(results(&world, 1), [(told.to_owned(), true)]);
        assert!(world.pigeon.taken().is_empty(), "{told}");
    }
}

/// A world whose main conversation was spoken to by pigeon.
async fn spoken_to(replies: [Vec<Step>; 2]) -> World {
    let world = world(json!({}), replies.into()).await;
    let by_pigeon = |entry: &mut crate::sessions::Entry| {
        entry.last_channel = Some("pigeon".to_owned());
        entry.last_to = Some("@ann".to_owned());
    };
    world.settle("main", by_pigeon).await;
    world
}

#[tokio::test(start_paused = true)]
async fn one_run_sends_so_many_messages_and_no_more() {
    let one = json!({"message": "same", "channel": "pigeon", "to": "@ann"});
    // The same id each time, as some models do.
    let replies = [vec![sending(one); 21], vec![say(&["ok"])]].concat();
    let world = world(json!({}), replies).await;
    world.turn("go", "r").await;
    let told = results(&world, 21);
    assert!(told[..20].iter().all(|(_, is_error)| !is_error), "{told:?}");
    let refused = "Not sent: one turn may send 20 messages.";
    assert_eq!(told[20], (refused.to_owned(), true));
    assert_eq!(world.pigeon.taken().len(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_denied_message_tool_sends_nothing() {
    let one = json!({"message": "hi", "channel": "pigeon", "to": "@ann"});
    let denied = json!({"tools": {"deny": ["message"]}});
    let world = world(denied, vec![sending(one), say(&["ok"])]).await;
    world.turn("go", "r").await;
    let told = "There is no tool \"message\".".to_owned();
    assert_eq!(results(&world, 1), [(told, true)]);
    assert!(world.pigeon.taken().is_empty());
}
