//! A fresh machine: the first start writes what is needed, and the commands find it.

use std::os::unix::fs::PermissionsExt;

use openclaw_tests::{Gateway, Home};
use rustix::process::Signal;
use serde_json::Value;

#[tokio::test]
async fn first_start_writes_a_private_config_that_the_commands_use() {
    let home = Home::new();
    let gateway = Gateway::start(&home, &[]).await;
    let mode = |path: &std::path::Path| {
        std::fs::metadata(path)
            .expect("exists")
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(mode(&home.config()), 0o600);
    assert_eq!(mode(&home.state()), 0o700);
    let config: Value =
        serde_json::from_str(&std::fs::read_to_string(home.config()).expect("readable"))
            .expect("JSON");
    assert_eq!(config["gateway"]["mode"], "local");
    let token = config["gateway"]["auth"]["token"]
        .as_str()
        .expect("a token");
    assert!(
        token.len() == 64 && token.bytes().all(|b| b.is_ascii_hexdigit()),
        "256 bits as hex"
    );

    let port = gateway.port.to_string();
    let here = [("OPENCLAW_GATEWAY_PORT", port.as_str())];
    let health = home.run_with(&["health", "--json"], &here).await;
    assert_eq!(health.code, Some(0), "{}", health.err);
    let summary: Value = serde_json::from_str(&health.out).expect("JSON");
    assert_eq!(summary["ok"], true);
    assert_eq!(summary["defaultAgentId"], "main");

    for arguments in [&["health"][..], &["status"], &["status", "--json"]] {
        let ran = home.run_with(arguments, &here).await;
        assert_eq!(ran.code, Some(0), "{arguments:?}: {}", ran.err);
        assert!(!ran.out.trim().is_empty(), "{arguments:?} says something");
    }
    for call in [&["gateway", "call", "health"][..], &["call", "health"]] {
        let ran = home.run_with(call, &here).await;
        assert_eq!(ran.code, Some(0), "{call:?}: {}", ran.err);
        let payload: Value = serde_json::from_str(&ran.out).expect("JSON");
        assert_eq!(payload["ok"], true);
    }

    let said = home
        .run_with(&["agent", "--message", "hello there"], &here)
        .await;
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out.contains("echo: hello there"), "{}", said.out);
    let said = home
        .run_with(&["agent", "--message", "again", "--json"], &here)
        .await;
    let outcome: Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!(outcome["status"], "ok");
    assert_eq!(outcome["result"]["payloads"][0]["text"], "echo: again");

    let history = home
        .run_with(
            &[
                "call",
                "chat.history",
                "--params",
                "{\"sessionKey\":\"main\"}",
            ],
            &here,
        )
        .await;
    let history: Value = serde_json::from_str(&history.out).expect("JSON");
    assert_eq!(
        history["messages"].as_array().map(Vec::len),
        Some(4),
        "two turns are kept"
    );
}

#[tokio::test]
async fn nothing_secret_is_written_to_the_log() {
    let home = Home::new();
    let mut gateway = Gateway::start(&home, &["--verbose"]).await;
    let port = gateway.port.to_string();
    let here = [("OPENCLAW_GATEWAY_PORT", port.as_str())];
    let ran = home
        .run_with(&["agent", "--message", "a private word: swordfish"], &here)
        .await;
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.ended().await.code(), Some(0));
    let log = gateway.output().await;
    let config = std::fs::read_to_string(home.config()).expect("readable");
    let config: Value = serde_json::from_str(&config).expect("JSON");
    let token = config["gateway"]["auth"]["token"]
        .as_str()
        .expect("a token");
    assert!(log.contains("127.0.0.1"), "it says where it listens: {log}");
    assert!(!log.contains(token), "the shared token is in the log");
    assert!(!log.contains("swordfish"), "a message is in the log");
    let tokens = std::fs::read_to_string(home.state().join("identity/device-auth.json"))
        .expect("a device token");
    let tokens: Value = serde_json::from_str(&tokens).expect("JSON");
    let device = tokens["tokens"]["operator"]["token"]
        .as_str()
        .expect("a token");
    assert!(!log.contains(device), "the device token is in the log");
}
