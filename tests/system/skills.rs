//! Skills of a workspace and of the shared folder, as a running gateway shows them.

use std::path::Path;

use openclaw_tests::{Gateway, Home};
use serde_json::Value;

fn write(place: &Path, name: &str, metadata: &str) {
    let folder = place.join("skills").join(name);
    std::fs::create_dir_all(&folder).expect("a folder");
    let head = format!(
        "---\nname: {name}\ndescription: Use it when: asked\nmetadata: {metadata}\n---\nText.\n"
    );
    std::fs::write(folder.join("SKILL.md"), head).expect("a file");
}

#[tokio::test]
async fn skills_show_what_they_miss() {
    let home = Home::new();
    let workspace = home.path().join("w");
    home.write_config(&format!(
        "{{gateway: {{mode: 'local', auth: {{token: 'tok'}}}}, agents: {{defaults: {{workspace: '{}'}}}}}}",
        workspace.display()
    ));
    write(
        &workspace,
        "ready",
        r#"{"openclaw": {"requires": {"bins": ["sh"]}}}"#,
    );
    write(
        &home.state(),
        "poor",
        r#"{"openclaw": {"requires": {"bins": ["no-such-program"]}}}"#,
    );
    let gateway = Gateway::start(&home, &[]).await;
    let port = gateway.port.to_string();
    let port = [("OPENCLAW_GATEWAY_PORT", port.as_str())];
    let ran = home.run_with(&["call", "skills.status"], &port).await;
    let status: Value = serde_json::from_str(&ran.out).expect(&ran.err);
    let skills = status["skills"].as_array().expect("a list").iter();
    let line = |skill: &Value| {
        let missing = &skill["missing"]["bins"];
        format!(
            "{} {} {} {missing}",
            skill["name"], skill["source"], skill["eligible"]
        )
    };
    assert_eq!(
        skills.map(line).collect::<Vec<_>>(),
        [
            r#""poor" "openclaw-managed" false ["no-such-program"]"#,
            r#""ready" "openclaw-workspace" true []"#,
        ]
    );
}
