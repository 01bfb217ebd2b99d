//! Coming back after a loss.

use openclaw_protocol::protocol::errors;
use serde_json::json;

use crate::fake::{backoff, both, error, gateway, hello, seconds, tick};
use crate::{CallError, Client, ConnectError, Disconnect, Notice, Reconnect};

fn restart() -> Disconnect {
    Disconnect::ByGateway {
        code: Some(1012),
        reason: "service restart".to_owned(),
    }
}

#[tokio::test(start_paused = true)]
async fn attempts_are_spaced_by_growing_delays_that_begin_anew_after_a_hello() {
    let (mut gateway, config) = gateway();
    let (client, mut peer) = both(Client::connect(config), gateway.admit()).await;
    let client = client.unwrap();
    let mut events = client.events();
    for failures in [3, 0, 1] {
        peer.close(1012, "service restart").await;
        let cause = restart();
        assert!(matches!(events.next().await, Some(Notice::Disconnected(c)) if c == cause));
        let mut delays = Vec::new();
        for _ in 0..failures {
            let (stream, waited) = seconds(gateway.dialled()).await;
            drop(stream);
            delays.push(waited);
        }
        let (admitted, waited) = seconds(gateway.admit()).await;
        peer = admitted;
        delays.push(waited);
        assert_eq!(delays, [1.0, 2.0, 4.0, 8.0][..=failures]);
        assert!(matches!(events.next().await, Some(Notice::Reconnected(_))));
        assert!(client.is_connected());
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_connection_has_its_own_hello_sequence_and_calls() {
    let (mut gateway, config) = gateway();
    let (client, mut peer) = both(Client::connect(config), gateway.admit()).await;
    let client = client.unwrap();
    let mut events = client.events();
    peer.send(&tick(7)).await;
    assert!(matches!(events.next().await, Some(Notice::Event(_))));
    peer.close(1012, "service restart").await;
    assert!(matches!(events.next().await, Some(Notice::Disconnected(_))));

    let params = json!({});
    let outage = client.request("status", &params).await.unwrap_err();
    assert!(matches!(outage, CallError::NotConnected), "{outage:?}");

    let mut second = hello();
    second.server.conn_id = "second".try_into().unwrap();
    let mut peer = gateway.admit_with(second.clone()).await;
    match events.next().await {
        Some(Notice::Reconnected(hello)) => assert_eq!(*hello, second),
        other => panic!("{other:?}"),
    }
    assert_eq!(*client.hello(), second);
    // Far ahead of the old connection's numbers, and no gap.
    peer.send(&tick(100)).await;
    assert!(matches!(events.next().await, Some(Notice::Event(_))));
    let (answer, ()) = both(client.request("status", &params), async {
        let (id, ..) = peer.request().await;
        peer.answer(&id, &json!(1)).await;
    })
    .await;
    assert_eq!(answer.unwrap().get(), "1");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_ends_it_unless_told_otherwise() {
    for always in [false, true] {
        let (mut gateway, mut config) = gateway();
        if always {
            config.reconnect = Reconnect::Always(backoff());
        }
        let (client, mut peer) = both(Client::connect(config), gateway.admit()).await;
        let client = client.unwrap();
        let mut events = client.events();
        peer.close(1012, "service restart").await;
        gateway.refuse(&error(&errors::PAIRING_REQUIRED)).await;
        assert!(matches!(events.next().await, Some(Notice::Disconnected(_))));
        if always {
            let _peer = gateway.admit().await;
            assert!(matches!(events.next().await, Some(Notice::Reconnected(_))));
            continue;
        }
        match events.next().await {
            Some(Notice::GaveUp(error)) => {
                assert!(
                    matches!(*error, ConnectError::PairingRequired { .. }),
                    "{error:?}"
                );
            }
            other => panic!("{other:?}"),
        }
        assert!(events.next().await.is_none());
        client.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn refusals_that_pass_do_not_end_it() {
    let (mut gateway, config) = gateway();
    let (client, mut peer) = both(Client::connect(config), gateway.admit()).await;
    let client = client.unwrap();
    peer.close(1012, "service restart").await;
    gateway
        .refuse(&error(&errors::DEVICE_SIGNATURE_EXPIRED))
        .await;
    let ((), waited) = seconds(async { drop(gateway.admit().await) }).await;
    assert_eq!(waited, 2.0);
    drop(client);
}

#[tokio::test(start_paused = true)]
async fn never_means_never() {
    let (mut gateway, mut config) = gateway();
    config.reconnect = Reconnect::Never;
    let (client, mut peer) = both(Client::connect(config), gateway.admit()).await;
    let client = client.unwrap();
    let mut events = client.events();
    peer.close(1012, "service restart").await;
    assert!(matches!(events.next().await, Some(Notice::Disconnected(_))));
    assert!(events.next().await.is_none());
    client.close().await;
}

#[tokio::test(start_paused = true)]
async fn closing_ends_the_attempts_at_once() {
    // While it waits for the next attempt, and in the midst of one.
    for dialling in [false, true] {
        let (mut gateway, config) = gateway();
        let (client, mut peer) = both(Client::connect(config), gateway.admit()).await;
        let client = client.unwrap();
        let mut events = client.events();
        peer.close(1012, "service restart").await;
        assert!(matches!(events.next().await, Some(Notice::Disconnected(_))));
        let _stream = match dialling {
            true => Some(gateway.dialled().await),
            false => None,
        };
        let ((), waited) = seconds(client.close()).await;
        assert_eq!(waited, 0.0);
        assert!(events.next().await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_attempt_that_fails_is_not_repeated() {
    let (mut gateway, config) = gateway();
    let ((outcome, waited), ()) = both(seconds(Client::connect(config)), async {
        drop(gateway.dialled().await);
    })
    .await;
    assert!(outcome.is_err());
    assert_eq!(waited, 0.0);
}
