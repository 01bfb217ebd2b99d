//! Messages to people survive kills: what was acknowledged is there, and nothing is there twice.

use openclaw_client::{Client, ClientConfig, Reconnect};
use openclaw_protocol::rt::{NonEmptyString, SecretString};
use openclaw_protocol::types::{ClientId, ClientMode, ConnectClient};
use openclaw_tests::{Gateway, Home};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::time::Duration;

use crate::dice::{Dice, setting};

/// Kills; each costs a start of the process, a second or two on a busy machine.
const ROUNDS: u64 = 8;
/// Messages of a round, sent all at once.
const MESSAGES: u64 = 40;
/// The kill comes this long after the first message at the latest: the whole round takes about as long.
const LATEST_MS: u64 = 60;
/// Seed of the moments; another one by `OUTBOX_SEED`.
const SEED: u64 = 42;

pub(crate) async fn connect(gateway: &Gateway) -> Client {
    let who = ConnectClient::new(
        ClientId::Test,
        NonEmptyString::or("1", "1"),
        NonEmptyString::or("linux", "linux"),
        ClientMode::Test,
    );
    let mut config = ClientConfig::new(&gateway.url(), who).expect("a URL");
    config.token = Some(SecretString::new("tok"));
    config.reconnect = Reconnect::Never;
    Client::connect(config).await.expect("connected")
}

fn message(round: u64, n: u64) -> Value {
    json!({"to": "main", "channel": "webchat", "message": format!("round {round} message {n}"),
        "idempotencyKey": format!("key {round} {n}")})
}

/// The texts of the main conversation, sorted.
pub(crate) async fn texts(client: &Client) -> Vec<String> {
    let params = json!({"sessionKey": "main", "limit": 1000});
    let history = client
        .request("chat.history", &params)
        .await
        .expect("a history");
    let history: Value = serde_json::from_str(history.get()).expect("JSON");
    let messages = history["messages"].as_array().expect("messages").iter();
    let mut texts: Vec<String> = messages
        .map(|message| {
            message["content"][0]["text"]
                .as_str()
                .expect("a text")
                .to_owned()
        })
        .collect();
    texts.sort();
    texts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_lose_nothing_that_was_acknowledged_and_send_nothing_twice() {
    let home = Home::new();
    home.write_config(r#"{"gateway": {"mode": "local", "auth": {"token": "tok"}}}"#);
    let seed = setting("OUTBOX_SEED", SEED);
    let mut dice = Dice::new(seed);
    let mut expected = Vec::new();
    let mut cut_short = 0;
    for round in 0..ROUNDS {
        let mut gateway = Gateway::start(&home, &[]).await;
        let client = connect(&gateway).await;
        let sends: Vec<_> = (0..MESSAGES)
            .map(|n| {
                let client = client.clone();
                tokio::spawn(
                    async move { client.request("send", &message(round, n)).await.is_ok() },
                )
            })
            .collect();
        // The one wait of this test that is meant: the moment of the kill is what is tried.
        let moment = Duration::from_micros(dice.throw(LATEST_MS * 1000));
        tokio::time::sleep(moment).await;
        gateway.signal(Signal::KILL);
        gateway.ended().await;
        let mut acknowledged = Vec::new();
        for send in sends {
            acknowledged.push(send.await.expect("an outcome"));
        }
        cut_short += usize::from(acknowledged.contains(&false));

        let mut gateway = Gateway::start(&home, &[]).await;
        let client = connect(&gateway).await;
        let there = texts(&client).await;
        for (n, _) in (0..MESSAGES).zip(&acknowledged).filter(|(_, sent)| **sent) {
            let text = format!("round {round} message {n}");
            assert!(
                there.contains(&text),
                "seed {seed}: {text} was acknowledged and is lost"
            );
        }
        // Whoever got no answer tries again under the same key.
        for n in 0..MESSAGES {
            let sent = client.request("send", &message(round, n)).await;
            assert!(
                sent.is_ok(),
                "seed {seed}, round {round}, message {n}: {sent:?}"
            );
        }
        expected.extend((0..MESSAGES).map(|n| format!("round {round} message {n}")));
        expected.sort();
        assert_eq!(texts(&client).await, expected, "seed {seed}: each once");
        gateway.signal(Signal::TERM);
        gateway.ended().await;
    }
    assert!(cut_short > 0, "no kill came in time; seed {seed}");
}
