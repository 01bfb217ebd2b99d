//! Commands other than `system.run`.

use serde_json::{Value, json};

use super::super::speaker;
use super::*;
use crate::clock::ManualClock;

async fn ask(host: &Host, command: &str, params: Option<Value>) -> Result<Option<Value>, Failure> {
    let asked = serde_json::from_value(json!({
        "id": "i", "nodeId": "n", "command": command, "paramsJSON": params.map(|params| params.to_string()),
    }));
    let (speaker, _queue) = speaker::queue();
    match carry_out(host, &asked.unwrap(), &speaker).await? {
        Payload::Value(value) => Ok(Some(value)),
        Payload::Nothing => Ok(None),
        Payload::Run(_) => panic!("nothing is run here"),
    }
}

fn host(path: &str) -> (tempfile::TempDir, Host) {
    let dir = tempfile::tempdir().unwrap();
    let variables = [(
        "PATH".to_owned(),
        path.replace('^', dir.path().to_str().unwrap()),
    )];
    let host = Host::new(
        dir.path(),
        &variables.into(),
        std::sync::Arc::new(ManualClock::new(0)),
    );
    (dir, host)
}

#[tokio::test]
async fn which_programs_there_are() {
    let (_dir, host) = host("/usr/bin:/bin");
    let found = ask(
        &host,
        "system.which",
        Some(json!({"bins": [" sh ", "no-such-bin", "/bin/sh", "../sh", ""]})),
    )
    .await;
    let found = found.unwrap().unwrap();
    assert_eq!(
        found["bins"]
            .as_object()
            .unwrap()
            .keys()
            .collect::<Vec<_>>(),
        ["sh"]
    );
    assert!(found["bins"]["sh"].as_str().unwrap().ends_with("/sh"));
    for params in [None, Some(json!({"bins": "sh"}))] {
        assert_eq!(
            ask(&host, "system.which", params)
                .await
                .unwrap_err()
                .message,
            "bins required"
        );
    }
    let many = |count: usize| Some(json!({"bins": vec!["x"; count]}));
    assert!(ask(&host, "system.which", many(MAX_BINS)).await.is_ok());
    assert!(
        ask(&host, "system.which", many(MAX_BINS + 1))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn rules_are_shown_and_replaced() {
    let (dir, host) = host("/usr/bin");
    let shown = ask(&host, "system.execApprovals.get", None)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        shown["path"],
        json!(dir.path().join(".openclaw/exec-approvals.json"))
    );
    let file = json!({"version": 1, "defaults": {"security": "deny"}});
    let set = |base: Value| json!({"file": file, "baseHash": base});
    let refused = ask(&host, "system.execApprovals.set", Some(set(json!("stale"))))
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code.as_str(), refused.message.as_str()),
        ("INVALID_REQUEST", errors::EXEC_APPROVALS_CHANGED.text)
    );
    assert!(
        ask(
            &host,
            "system.execApprovals.set",
            Some(json!({"file": file}))
        )
        .await
        .is_err()
    );
    assert!(ask(&host, "system.execApprovals.set", None).await.is_err());
    let new = ask(
        &host,
        "system.execApprovals.set",
        Some(set(shown["hash"].clone())),
    )
    .await
    .unwrap()
    .unwrap();
    assert_eq!(new["file"]["defaults"], json!({"security": "deny"}));
    assert!(new["file"]["socket"].get("token").is_none());
}

#[tokio::test]
async fn notifications_need_a_program_that_shows_them() {
    use std::os::unix::fs::PermissionsExt;
    let (dir, host) = host("^");
    let note = || Some(json!({"title": "Build", "body": "-x done", "priority": "passive"}));
    let missing = ask(&host, "system.notify", note()).await.unwrap_err();
    assert!(
        missing.message.contains("notify-send is not installed"),
        "{}",
        missing.message
    );
    let script = dir.path().join("notify-send");
    let write = |text: &str| {
        std::fs::write(&script, text).unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    write("#!/bin/sh\necho \"$@\" > said\n");
    assert_eq!(ask(&host, "system.notify", note()).await, Ok(None));
    let said = std::fs::read_to_string(dir.path().join("said")).unwrap();
    assert_eq!(said, "--app-name=OpenClaw --urgency low -- Build -x done\n");
    write("#!/bin/sh\necho no display >&2; exit 1\n");
    let failed = ask(&host, "system.notify", note()).await.unwrap_err();
    assert_eq!(failed.message, "notify-send failed: no display");
    let empty = ask(&host, "system.notify", Some(json!({"title": " "})))
        .await
        .unwrap_err();
    assert_eq!(empty.message, "empty notification");
}

#[tokio::test]
async fn other_commands_are_refused() {
    let (_dir, host) = host("/usr/bin");
    let refused = ask(&host, "camera.snap", None).await.unwrap_err();
    assert_eq!(
        (refused.code.as_str(), refused.message.as_str()),
        ("UNAVAILABLE", "command not supported")
    );
}
