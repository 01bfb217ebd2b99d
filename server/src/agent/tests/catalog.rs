//! `agents.list` and `models.list`.

use serde_json::{Value, json};

use super::World;

async fn agents(config: Value, prepare: impl FnOnce(&std::path::Path)) -> Value {
    let world = World::configured(config, []).await;
    prepare(world.path());
    json!(world.runs.agents())
}

#[tokio::test(start_paused = true)]
async fn agents_as_recorded() {
    let list = json!([
        {"id": "main", "default": true, "identity": {"name": "Maia", "emoji": "🦞", "theme": "helper"}},
        {"id": "Ops", "name": "Ops", "identity": {"name": " "}},
        {"id": "aux"},
    ]);
    let listed = json!({
        "defaultId": "main", "mainKey": "main", "scope": "per-sender",
        "agents": [
            {"id": "main", "identity": {"name": "Maia", "theme": "helper", "emoji": "🦞"}},
            {"id": "aux"},
            {"id": "ops", "name": "Ops"},
        ]
    });
    assert_eq!(
        agents(json!({"agents": {"list": list}}), |_| {}).await,
        listed
    );
    let session = json!({"session": {"mainKey": "home", "scope": "global"}, "agents": {"list": [{"id": "x"}]}});
    let listed =
        json!({"defaultId": "x", "mainKey": "home", "scope": "global", "agents": [{"id": "x"}]});
    assert_eq!(agents(session, |_| {}).await, listed);
}

#[tokio::test(start_paused = true)]
async fn folders_count_where_nothing_is_configured() {
    let folders = |dir: &std::path::Path| {
        for name in ["main", "ops", "Not An Id"] {
            std::fs::create_dir_all(dir.join("agents").join(name)).unwrap();
        }
        std::fs::write(dir.join("agents/file"), "").unwrap();
    };
    let listed = agents(json!({}), folders).await;
    assert_eq!(listed["agents"], json!([{"id": "main"}, {"id": "ops"}]));
    let configured = json!({"agents": {"list": [{"id": "x"}]}});
    assert_eq!(
        agents(configured, folders).await["agents"],
        json!([{"id": "x"}])
    );
}

#[tokio::test(start_paused = true)]
async fn pictures_can_be_loaded() {
    for (avatar, url) in [
        (
            "https://example.test/a.png",
            Some("https://example.test/a.png"),
        ),
        (
            "data:image/png;base64,AA==",
            Some("data:image/png;base64,AA=="),
        ),
        ("a.png", Some("data:image/png;base64,AQI=")),
        ("./a.PNG", None),
        ("../secret.png", None),
        ("a.txt", None),
        ("A", None),
    ] {
        let config = json!({"agents": {"list": [{"id": "main", "identity": {"avatar": avatar}}]}});
        let listed = agents(config, |dir| {
            std::fs::create_dir(dir.join("workspace")).unwrap();
            std::fs::write(dir.join("workspace/a.png"), [1, 2]).unwrap();
            std::fs::write(dir.join("workspace/a.txt"), "x").unwrap();
            std::fs::write(dir.join("secret.png"), "x").unwrap();
        })
        .await;
        let identity = &listed["agents"][0]["identity"];
        assert_eq!(identity["avatar"], avatar);
        assert_eq!(
            identity.get("avatarUrl").and_then(Value::as_str),
            url,
            "{avatar}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn models_are_those_that_are_configured() {
    let config = json!({"models": {"providers": {
        "zoo": {"baseUrl": "http://z", "models": [{"id": "b", "name": "Ant"}, {"id": "a"}]},
        "mock": {"baseUrl": "http://m", "models": [{"id": "echo-1", "name": "Echo", "contextWindow": 128_000, "reasoning": true, "input": ["text", "image"]}]},
        "empty": {"baseUrl": "http://e"},
    }}});
    let listed = json!({"models": [
        {"id": "echo-1", "name": "Echo", "provider": "mock", "contextWindow": 128_000, "reasoning": true, "input": ["text", "image"]},
        {"id": "b", "name": "Ant", "provider": "zoo", "reasoning": false, "input": ["text"]},
        {"id": "a", "name": "a", "provider": "zoo", "reasoning": false, "input": ["text"]},
    ]});
    let world = World::configured(config, []).await;
    assert_eq!(json!(world.runs.models_list()), listed);
    let nothing = json!({"models": {"providers": {}}, "agents": {"defaults": {}}});
    let echo = json!({"models": [{"id": "echo", "name": "echo", "provider": "echo", "contextWindow": 200_000}]});
    let world = World::configured(nothing, []).await;
    assert_eq!(json!(world.runs.models_list()), echo);
}
