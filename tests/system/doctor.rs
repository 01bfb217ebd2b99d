//! `openclaw doctor` on a fresh machine, on a good one and on one with mistakes.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;

use openclaw_tests::{Gateway, Home, free_port};
use serde_json::Value;

/// Exit code, and the worst level of each check.
async fn examine(home: &Home, port: u16) -> (Option<i32>, Vec<(String, String)>) {
    let port = port.to_string();
    let ran = home
        .run_with(&["doctor", "--json"], &[("OPENCLAW_GATEWAY_PORT", &port)])
        .await;
    let report: Value = serde_json::from_str(&ran.out).expect("JSON");
    assert_eq!(report["ok"], ran.code == Some(0));
    let findings = report["findings"].as_array().expect("findings");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let found = findings
        .iter()
        .map(|found| (text(&found["check"]), text(&found["level"])))
        .collect();
    (ran.code, found)
}

fn has(found: &[(String, String)], check: &str, level: &str) -> bool {
    found.iter().any(|(c, l)| c == check && l == level)
}

#[tokio::test]
async fn what_is_wrong_is_an_error_and_what_is_missing_a_warning() {
    let home = Home::new();
    let (code, found) = examine(&home, free_port()).await;
    assert_eq!(code, Some(0), "a fresh machine: {found:?}");
    assert!(
        has(&found, "config", "warning") && has(&found, "port", "warning"),
        "{found:?}"
    );

    let gateway = Gateway::start(&home, &[]).await;
    let (code, found) = examine(&home, gateway.port).await;
    assert_eq!(code, Some(0), "{found:?}");
    assert!(
        found.iter().all(|(_, level)| level == "ok"),
        "a good one: {found:?}"
    );

    set_permissions(home.config(), Permissions::from_mode(0o644)).expect("the mode is set");
    let (code, found) = examine(&home, gateway.port).await;
    assert_eq!(code, Some(1));
    assert!(has(&found, "permissions", "error"), "{found:?}");

    let ran = home.run(&["doctor"]).await;
    assert_eq!(ran.code, Some(1));
    assert!(ran.out.contains("chmod 600"), "{}", ran.out);
}

#[tokio::test]
async fn a_gateway_open_to_others_is_told_of_strict_devices() {
    let home = Home::new();
    home.write_config("{ gateway: { mode: 'local', bind: 'lan', auth: { token: 'short' } }, session: { scope: 'x' } }");
    set_permissions(home.state(), Permissions::from_mode(0o700)).expect("the mode is set");
    set_permissions(home.config(), Permissions::from_mode(0o600)).expect("the mode is set");
    let (code, found) = examine(&home, free_port()).await;
    assert_eq!(code, Some(1), "a value is wrong");
    for (check, level) in [
        ("config", "error"),
        ("secret", "warning"),
        ("exposure", "warning"),
    ] {
        assert!(has(&found, check, level), "{check}: {found:?}");
    }
    let ran = home.run(&["doctor"]).await;
    assert!(ran.out.contains("strictDevices"), "{}", ran.out);
    assert!(!ran.out.contains("'short'"), "{}", ran.out);
}
