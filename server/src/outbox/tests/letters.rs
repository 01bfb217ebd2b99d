//! Replies that are written in somebody else's change, and kills between that and their channel.

use openclaw_protocol::types::OutboxOrigin;

use super::*;
use crate::outbox::testing::until;
use crate::store::StoreError;

fn order(channel: &str, to: &str) -> Order {
    Order {
        origin: OutboxOrigin::Hook,
        key: "run".to_owned(),
        wish: Wish {
            channel: Some(channel.to_owned()),
            to: Some(to.to_owned()),
            account_id: None,
        },
        session: "agent:main:main".to_owned(),
        stands_in: Some("agent:main:main".to_owned()),
    }
}

fn words(text: &str) -> Words {
    Words {
        text: text.to_owned(),
        media: Vec::new(),
    }
}

/// Writes a letter and a mark in one change, which `is_good` or is not.
async fn post(world: &World, letter: Letter, is_good: bool) -> Result<Posted, StoreError> {
    let written = world.sessions.write(move |changes| {
        let posted = letter.put(changes.writer(), words("hello"))?;
        if is_good {
            Ok(posted)
        } else {
            Err(StoreError::Closed)
        }
    });
    written.await
}

#[tokio::test(start_paused = true)]
async fn a_kill_at_each_step_of_a_reply() {
    let mut world = World::new(Pigeon::new(false, [])).await;
    let order = order("pigeon", "@ann");
    // Before the change: there is nothing.
    drop(world.outbox.prepare(&order));
    world.restart().await;
    assert_eq!((world.stored(), world.pigeon.taken().len()), (0, 0));
    // Behind it, and before the channel is asked: the next process sends it.
    let letter = world.outbox.prepare(&order);
    drop(post(&world, letter, true).await.unwrap());
    assert_eq!((world.stored(), world.pigeon.taken().len()), (1, 0));
    world.restart().await;
    until(|| !world.pigeon.taken().is_empty()).await;
    // Whoever asks again, before or after another start, gets the first outcome.
    for _ in 0..2 {
        let again = world.outbox.reply(&order, words("again")).await;
        let to = "ann".to_owned();
        let (channel, message_id) = ("pigeon".to_owned(), "m1".to_owned());
        let sent = Replied::Sent {
            channel,
            to,
            message_id,
        };
        assert_eq!(again, Ok(sent));
        let remembered = world.outbox.remembered(&order).unwrap().unwrap();
        assert!(!remembered.is_under_way());
        world.restart().await;
    }
    assert_eq!(world.pigeon.taken(), ["ann:hello"]);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_fails_sends_nothing_and_gives_the_place_back() {
    let world = World::new(Pigeon::new(false, [])).await;
    let order = order("pigeon", "@ann");
    let letter = world.outbox.prepare(&order);
    assert_eq!(world.outbox.active().deliveries.len(), 1);
    assert!(post(&world, letter, false).await.is_err());
    assert_eq!(world.outbox.active().deliveries.len(), 0);
    assert_eq!(world.stored(), 0);
    assert!(world.outbox.remembered(&order).unwrap().is_none());
    let letter = world.outbox.prepare(&order);
    let posted = post(&world, letter, true).await.unwrap();
    assert!(posted.send_off().outcome().await.is_ok());
    assert_eq!(world.pigeon.taken(), ["ann:hello"]);
}

#[tokio::test(start_paused = true)]
async fn replies_that_have_no_way() {
    let world = World::new(Pigeon::new(false, [])).await;
    for (channel, to, problem) in [
        ("crow", "@ann", Some("unsupported channel: crow")),
        ("pigeon", "ann", Some("ann is no dovecote")),
        (
            "pigeon",
            "",
            Some("no address is named, and the conversation knows none for channel pigeon"),
        ),
        // It stands there anyway.
        ("webchat", "main", None),
    ] {
        let letter = world.outbox.prepare(&order(channel, to));
        let posted = post(&world, letter, true).await.unwrap();
        let refusal = posted.refusal().map(ToString::to_string);
        assert_eq!(refusal.as_deref(), problem, "{channel} {to}");
        let outcome = posted.send_off().outcome().await;
        assert_eq!(outcome.is_err(), problem.is_some(), "{channel} {to}");
    }
    assert_eq!(world.stored(), 0);
    let letter = world.outbox.prepare(&order("webchat", "other"));
    let posted = post(&world, letter, true).await.unwrap();
    assert!(posted.send_off().outcome().await.is_ok());
    assert_eq!(
        world.events.0.load(Ordering::Relaxed),
        1,
        "a message of another conversation"
    );
}

#[tokio::test(start_paused = true)]
async fn letters_take_the_places_of_deliveries() {
    let world = World::new(Pigeon::new(false, [])).await;
    let prepare = |n: usize| {
        world.outbox.prepare(&Order {
            key: n.to_string(),
            ..order("pigeon", "@ann")
        })
    };
    let letters: Vec<Letter> = (0..MAX_ACTIVE).map(prepare).collect();
    let refusal = async |letter| {
        let posted = post(&world, letter, true).await.unwrap();
        posted.refusal().map(ToString::to_string)
    };
    let full = refusal(prepare(MAX_ACTIVE)).await.unwrap();
    assert!(full.starts_with("too many messages are waiting"), "{full}");
    drop(letters);
    assert_eq!(refusal(prepare(MAX_ACTIVE)).await, None);
}
