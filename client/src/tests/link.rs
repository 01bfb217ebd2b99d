//! An established connection: events, control frames, liveness, and how it ends.

use openclaw_protocol::events::Event;
use openclaw_websocket::Incoming;
use serde_json::json;

use crate::fake::{FakeGateway, Peer, both, event, gateway, hello, seconds, tick};
use crate::{Client, ClientConfig, Disconnect, Events, Notice, Reconnect};

/// A client that does not come back, its events, and its connection seen from the gateway.
async fn connected(change: impl FnOnce(&mut ClientConfig)) -> (Client, Events, Peer, FakeGateway) {
    let (mut gateway, mut config) = gateway();
    config.reconnect = Reconnect::Never;
    change(&mut config);
    let (client, peer) = both(Client::connect(config), gateway.admit()).await;
    let client = client.unwrap();
    let events = client.events();
    (client, events, peer, gateway)
}

/// A notice in a few words.
fn words(notice: &Notice) -> String {
    match notice {
        Notice::Event(event) => event.name.clone(),
        Notice::Gap { expected, received } => format!("gap {expected}..{received}"),
        Notice::Dropped { count } => format!("dropped {count}"),
        Notice::Disconnected(cause) => format!("disconnected: {cause}"),
        Notice::Reconnected(_) => "reconnected".to_owned(),
        Notice::GaveUp(error) => format!("gave up: {error}"),
    }
}

async fn next(events: &mut Events) -> String {
    words(&events.next().await.expect("the client has ended"))
}

#[tokio::test(start_paused = true)]
async fn events_come_decoded_where_they_are_known_and_as_text_always() {
    let (_client, mut events, mut peer, _gateway) = connected(|_| {}).await;
    peer.send(&tick(4)).await;
    peer.send(&event("from.the.future", json!({"a": [1]}), Some(5)))
        .await;
    peer.send(&event("tick", json!({"ts": "not a time"}), Some(6)))
        .await;
    peer.send(&json!({"type": "event", "event": "bare"})).await;
    let mut got = Vec::new();
    for _ in 0..4 {
        match events.next().await {
            Some(Notice::Event(event)) => got.push((
                event.name.clone(),
                matches!(event.event, Some(Event::Tick(_))),
                event.payload.to_string(),
                event.seq,
            )),
            other => panic!("{other:?}"),
        }
    }
    let expected = [
        ("tick", true, r#"{"ts":1769900000000}"#, Some(4)),
        ("from.the.future", false, r#"{"a":[1]}"#, Some(5)),
        ("tick", false, r#"{"ts":"not a time"}"#, Some(6)),
        ("bare", false, "null", None),
    ];
    let expected =
        expected.map(|(n, known, text, seq)| (n.to_owned(), known, text.to_owned(), seq));
    assert_eq!(got, expected);
}

#[tokio::test(start_paused = true)]
async fn gaps_are_told_before_the_event_that_shows_them() {
    let (_client, mut events, mut peer, _gateway) = connected(|_| {}).await;
    for seq in [7, 8, 11] {
        peer.send(&tick(seq)).await;
    }
    peer.send(&event("directed", json!(null), None)).await;
    peer.send(&tick(12)).await;
    for expected in ["tick", "tick", "gap 9..11", "tick", "directed", "tick"] {
        assert_eq!(next(&mut events).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_consumer_gets_everything_since_the_hello_and_later_ones_do_not() {
    let (mut gateway, config) = gateway();
    let (client, mut peer) = both(Client::connect(config), gateway.admit()).await;
    let client = client.unwrap();
    peer.send(&event("early", json!(null), None)).await;
    peer.ping(b"").await;
    // Once the ping is answered the event has been read.
    assert!(matches!(peer.next().await, Incoming::Pong(_)));
    let (mut first, mut second) = (client.events(), client.events());
    peer.send(&event("late", json!(null), None)).await;
    assert_eq!(next(&mut first).await, "early");
    assert_eq!(next(&mut first).await, "late");
    assert_eq!(next(&mut second).await, "late");
}

#[tokio::test(start_paused = true)]
async fn a_slow_consumer_is_told_what_it_missed() {
    let (_client, mut events, mut peer, _gateway) = connected(|c| c.event_buffer = 4).await;
    for name in ["1", "2", "3", "4", "5", "6"] {
        peer.send(&event(name, json!(null), None)).await;
    }
    peer.ping(b"").await;
    assert!(matches!(peer.next().await, Incoming::Pong(_)));
    for expected in ["dropped 2", "3", "4", "5", "6"] {
        assert_eq!(next(&mut events).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn pings_are_answered() {
    let (_client, _events, mut peer, _gateway) = connected(|_| {}).await;
    for payload in [&b""[..], b"x", &[7; 125]] {
        peer.ping(payload).await;
        assert!(matches!(peer.next().await, Incoming::Pong(p) if p == payload));
    }
}

#[tokio::test(start_paused = true)]
async fn a_gateway_without_ticks_is_left_after_two_intervals() {
    let (_client, mut events, mut peer, _gateway) = connected(|_| {}).await;
    // A tick just in time; other events do not count.
    tokio::time::sleep(std::time::Duration::from_secs(59)).await;
    peer.send(&tick(1)).await;
    assert_eq!(next(&mut events).await, "tick");
    let (close, waited) = seconds(async {
        tokio::time::sleep(std::time::Duration::from_secs(40)).await;
        peer.send(&event("other", json!(null), Some(2))).await;
        peer.closed().await
    })
    .await;
    assert_eq!(close, (Some(4000), "tick timeout".to_owned()));
    assert_eq!(waited, 60.0);
    assert_eq!(next(&mut events).await, "other");
    assert_eq!(
        next(&mut events).await,
        "disconnected: the gateway has gone silent"
    );
    assert!(events.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn absurd_tick_intervals_are_taken_for_the_nearest_sane_one() {
    for (announced, expected) in [(1, 2.0), (1000, 2.0), (u64::MAX >> 11, 7200.0)] {
        let (mut gateway, mut config) = gateway();
        config.reconnect = Reconnect::Never;
        let mut hello = hello();
        hello.policy.tick_interval_ms = announced;
        let (client, mut peer) = both(Client::connect(config), gateway.admit_with(hello)).await;
        let _client = client.unwrap();
        let (close, waited) = seconds(peer.closed()).await;
        assert_eq!(close.0, Some(4000));
        assert_eq!(waited, expected, "{announced} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_connection_is_told_by_its_cause() {
    let (_client, mut events, mut peer, _gateway) = connected(|_| {}).await;
    peer.close(1008, "slow consumer").await;
    assert_eq!(
        peer.closed().await,
        (Some(1008), String::new()),
        "the close is answered"
    );
    let expected = "disconnected: closed by the gateway (1008: slow consumer)";
    assert_eq!(next(&mut events).await, expected);
    assert!(events.next().await.is_none());

    let (_client, mut events, peer, _gateway) = connected(|_| {}).await;
    drop(peer);
    let expected = "disconnected: connection ended without a close frame";
    assert_eq!(next(&mut events).await, expected);

    const LIMIT: usize = 10_000;
    let (_client, mut events, mut peer, _gateway) = connected(|c| c.max_message = LIMIT).await;
    let around = event("x", json!(""), None).to_string().len();
    peer.send(&event("x", json!("y".repeat(LIMIT - around)), None))
        .await;
    assert_eq!(next(&mut events).await, "x");
    peer.send(&event("x", json!("y".repeat(LIMIT - around + 1)), None))
        .await;
    assert_eq!(peer.closed().await.0, Some(1009));
    let expected = "disconnected: message is larger than 10000 bytes";
    assert_eq!(next(&mut events).await, expected);
}

#[tokio::test(start_paused = true)]
async fn closing_says_goodbye_and_waits_for_the_answer() {
    let (client, mut events, mut peer, _gateway) = connected(|_| {}).await;
    let ((), close) = both(client.close(), async {
        let close = peer.closed().await;
        peer.close(1000, "").await;
        close
    })
    .await;
    assert_eq!(close, (Some(1000), String::new()));
    assert!(!client.is_connected());
    assert_eq!(
        next(&mut events).await,
        "disconnected: closed by this client"
    );
    assert!(events.next().await.is_none());
    client.close().await;
}

#[tokio::test(start_paused = true)]
async fn closing_does_not_wait_for_ever() {
    // The gateway does not answer the close, or does not even read.
    for reads in [true, false] {
        let (client, mut events, mut peer, _gateway) = connected(|_| {}).await;
        if !reads {
            let big = "x".repeat(2 * crate::fake::STREAM_BUFFER);
            let stuck = client.clone();
            let call = tokio::spawn(async move { stuck.request("m", &big).await });
            tokio::task::yield_now().await;
            let ((), waited) = seconds(client.close()).await;
            assert!(waited <= 3.0, "{waited}");
            assert!(call.await.unwrap().is_err());
        } else {
            let (((), waited), _) = both(seconds(client.close()), peer.closed()).await;
            assert!(waited <= 3.0, "{waited}");
        }
        assert_eq!(
            next(&mut events).await,
            "disconnected: closed by this client"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_handle_closes_the_connection() {
    let (client, mut events, mut peer, _gateway) = connected(|_| {}).await;
    let clone = client.clone();
    drop(client);
    peer.ping(b"").await;
    assert!(
        matches!(peer.next().await, Incoming::Pong(_)),
        "the clone keeps it open"
    );
    drop(clone);
    assert_eq!(peer.closed().await, (Some(1000), String::new()));
    let cause = Notice::Disconnected(Disconnect::ByClient);
    assert_eq!(next(&mut events).await, words(&cause));
}
