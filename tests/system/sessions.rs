//! `openclaw sessions`: conversations listed, moved out as files, and in again elsewhere.

use openclaw_tests::{Gateway, Home, Ran};
use rustix::process::Signal;
use serde_json::Value;

async fn call(home: &Home, port: u16, arguments: &[&str]) -> Ran {
    let port = port.to_string();
    home.run_with(arguments, &[("OPENCLAW_GATEWAY_PORT", &port)])
        .await
}

async fn history(home: &Home, port: u16) -> Value {
    let params = r#"{"sessionKey":"main"}"#;
    let ran = call(home, port, &["call", "chat.history", "--params", params]).await;
    let history: Value = serde_json::from_str(&ran.out).expect(&ran.err);
    history["messages"].clone()
}

#[tokio::test]
async fn conversations_move_to_another_home() {
    let (home, other, out) = (Home::new(), Home::new(), Home::new());
    let folder = out.path().display().to_string();
    let mut gateway = Gateway::start(&home, &[]).await;
    let said = call(&home, gateway.port, &["agent", "--message", "move me"]).await;
    assert_eq!(said.code, Some(0), "{}", said.err);
    let before = history(&home, gateway.port).await;
    let listed = call(&home, gateway.port, &["sessions", "list"]).await;
    assert!(listed.out.contains("agent:main:main"), "{}", listed.out);
    let listed = call(
        &home,
        gateway.port,
        &["sessions", "list", "--json", "--search", "nobody"],
    )
    .await;
    let listed: Value = serde_json::from_str(&listed.out).expect("JSON");
    assert_eq!(listed["count"], 0);

    let export: &[&str] = &["sessions", "export", "--out", &folder];
    let import: &[&str] = &["sessions", "import", "--from", &folder];
    for command in [export, import] {
        let refused = home.run_with(command, &[]).await;
        assert_eq!(refused.code, Some(1));
        assert!(refused.err.contains("a gateway (pid "), "{}", refused.err);
        assert!(refused.err.contains("stop it first"), "{}", refused.err);
    }
    gateway.signal(Signal::TERM);
    gateway.ended().await;

    let exported = home.run_with(export, &[]).await;
    assert_eq!(exported.code, Some(0), "{}", exported.err);
    assert!(
        exported.out.starts_with("Wrote 1 conversations"),
        "{}",
        exported.out
    );
    let again = home.run_with(export, &[]).await;
    assert_eq!(again.code, Some(1));
    assert!(again.err.contains("is there already"), "{}", again.err);

    let imported = other.run_with(import, &[]).await;
    assert_eq!(imported.code, Some(0), "{}", imported.err);
    assert!(
        imported.out.starts_with("Read 1 conversations"),
        "{}",
        imported.out
    );
    let gateway = Gateway::start(&other, &[]).await;
    assert_eq!(history(&other, gateway.port).await, before);
}
