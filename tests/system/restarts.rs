//! What survives a stop, a kill and a restart.

use openclaw_tests::{Gateway, Home};
use rustix::process::Signal;
use serde_json::Value;

async fn history(home: &Home, port: u16) -> Vec<Value> {
    let port = port.to_string();
    let ran = home
        .run_with(
            &[
                "call",
                "chat.history",
                "--params",
                "{\"sessionKey\":\"main\"}",
            ],
            &[("OPENCLAW_GATEWAY_PORT", &port)],
        )
        .await;
    let payload: Value =
        serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{}{}", ran.out, ran.err));
    payload["messages"].as_array().cloned().unwrap_or_default()
}

async fn say(home: &Home, port: u16, text: &str, key: &str) -> Value {
    let port = port.to_string();
    let ran = home
        .run_with(
            &[
                "agent",
                "--message",
                text,
                "--idempotency-key",
                key,
                "--json",
            ],
            &[("OPENCLAW_GATEWAY_PORT", &port)],
        )
        .await;
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    serde_json::from_str(&ran.out).expect("JSON")
}

#[tokio::test]
async fn conversations_devices_and_keys_survive_a_kill() {
    let home = Home::new();
    let mut gateway = Gateway::start(&home, &[]).await;
    let first = say(&home, gateway.port, "remember this", "key-1").await;
    let before = history(&home, gateway.port).await;
    assert_eq!(before.len(), 2);
    gateway.signal(Signal::KILL);
    gateway.ended().await;

    let again = Gateway::start(&home, &[]).await;
    assert_eq!(history(&home, again.port).await, before);
    // The same key again is the same run, not a second one.
    let repeat = say(&home, again.port, "remember this", "key-1").await;
    assert_eq!(repeat["result"]["payloads"], first["result"]["payloads"]);
    assert_eq!(history(&home, again.port).await.len(), 2);
    // The device token of the first connect still opens the door, without the shared token.
    let port = again.port.to_string();
    std::fs::write(home.config(), "{ gateway: { mode: 'local' } }")
        .expect("the shared token is forgotten");
    let ran = home
        .run_with(&["health"], &[("OPENCLAW_GATEWAY_PORT", &port)])
        .await;
    assert_eq!(ran.code, Some(0), "{}", ran.err);
}

#[tokio::test]
async fn sigterm_and_sigint_end_with_code_0() {
    for signal in [Signal::TERM, Signal::INT] {
        let home = Home::new();
        let mut gateway = Gateway::start(&home, &[]).await;
        gateway.signal(signal);
        assert_eq!(gateway.ended().await.code(), Some(0), "{signal:?}");
        // The lock is free at once.
        let _again = Gateway::start(&home, &[]).await;
    }
}
