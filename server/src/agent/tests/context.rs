//! What a model is told, and which model: instructions, summaries of long conversations, fallbacks.

use serde_json::json;

use super::super::backend::scripted::{Step, say};
use super::super::backend::{BackendError, Turn};
use super::World;

fn said(turn: &Turn) -> String {
    match turn {
        Turn::User { text, .. } | Turn::Assistant { text, .. } | Turn::Result { text, .. } => {
            text.clone()
        }
    }
}

fn told(world: &World, request: usize) -> Vec<String> {
    world.model.asked()[request]
        .turns
        .iter()
        .map(said)
        .collect()
}

#[tokio::test(start_paused = true)]
async fn the_files_of_the_workspace_are_told() {
    let config = json!({"agents": {"defaults": {"model": "mock/echo-1", "bootstrapMaxChars": 8}}});
    let world = World::configured(config, []).await;
    let workspace = world.path().join("workspace");
    std::fs::create_dir(&workspace).unwrap();
    std::fs::write(workspace.join("SOUL.md"), "Be kind.").unwrap();
    std::fs::write(workspace.join("USER.md"), "0123456789").unwrap();
    world.turn("hi", "r").await;
    let system = world.model.asked()[0].system.clone();
    assert!(system.contains("## SOUL.md\n\nBe kind.\n"), "{system}");
    assert!(
        system.ends_with("## USER.md\n\n012345\n[2 characters are left out]\n89"),
        "{system}"
    );
}

/// A world whose model has room for some 3000 bytes.
async fn small(replies: Vec<Vec<Step>>) -> World {
    let config = json!({"agents": {"defaults": {"model": "mock/echo-1", "contextTokens": 1334}}});
    World::configured(config, replies).await
}

#[tokio::test(start_paused = true)]
async fn a_long_conversation_is_summed_up_once_and_stays_whole() {
    let world = small(vec![
        say(&["one"]),
        say(&["two"]),
        say(&["the sum"]),
        say(&["three"]),
        say(&["four"]),
    ])
    .await;
    let (long, short) = ("x".repeat(1_000), "z".repeat(300));
    world.turn(&long, "1").await;
    world.turn(&format!("{long}y"), "2").await;
    let before = world.lines().len();
    world.turn(&short, "3").await;
    let lines = world.lines()[before..].to_vec();
    assert_eq!(
        lines[..4],
        [
            "3 agent 1 start",
            "3 agent 2 compaction Start",
            "3 agent 3 compaction End",
            "3 agent 4 text \"three\" +\"three\"",
        ]
    );
    let old = format!("User: {long}\n\nAssistant: one\n\nUser: {long}y\n\nAssistant: two");
    assert_eq!(told(&world, 2), [old]);
    assert!(world.model.asked()[2].tools.is_empty());
    let summary = "[What was said before, in short]\nthe sum";
    assert_eq!(told(&world, 3), [summary, short.as_str()]);
    world.turn("next", "4").await;
    assert_eq!(told(&world, 4), [summary, short.as_str(), "three", "next"]);
    assert_eq!(world.said("main").len(), 8, "nothing is lost");
    assert_eq!(world.said("main")[0], format!("user: {long}"));
}

#[tokio::test(start_paused = true)]
async fn without_a_summary_the_newest_is_told() {
    let fail = vec![Step::Fail(BackendError::CutOff)];
    let empty = say(&[" "]);
    let large = say(&["0123456789abcdef"; 1025]);
    for failing in [fail, empty, large] {
        let world = small(vec![say(&["one"]), say(&["two"]), failing, say(&["three"])]).await;
        let long = "x".repeat(1_100);
        world.turn(&long, "1").await;
        world.turn(&long, "2").await;
        assert_eq!(world.turn(&"z".repeat(1_000), "3").await[1]["status"], "ok");
        assert_eq!(told(&world, 3), [long, "two".to_owned(), "z".repeat(1_000)]);
        assert!(
            world
                .lines()
                .contains(&"3 agent 3 compaction End".to_owned())
        );
    }
}

#[tokio::test(start_paused = true)]
async fn another_model_answers_when_the_first_cannot() {
    let provider = |id: &str| json!({"baseUrl": "http://127.0.0.1:1/v1", "models": [{"id": id}]});
    let config = json!({
        "agents": {"defaults": {"model": {"primary": "a/one", "fallbacks": ["b/two"]}}},
        "models": {"providers": {"a": provider("one"), "b": provider("two")}},
    });
    let refused = |status| BackendError::Refused {
        status,
        message: "no".into(),
    };
    let fails = |error: BackendError| vec![Step::Fail(error)];
    let world = World::configured(
        config,
        vec![
            fails(refused(503)),
            say(&["from two"]),
            say(&["two again"]),
            fails(refused(400)),
            vec![Step::Say("half"), Step::Fail(BackendError::CutOff)],
            fails(refused(429)),
            fails(refused(500)),
        ],
    )
    .await;
    let models = |from: usize| -> Vec<String> {
        world.model.asked()[from..]
            .iter()
            .map(|request| request.model.clone())
            .collect()
    };
    let answers = world.turn("x", "1").await;
    assert_eq!(answers[1]["result"]["meta"]["agentMeta"]["provider"], "b");
    assert_eq!(models(0), ["one", "two"]);
    let starts = world
        .lines()
        .iter()
        .filter(|line| line.ends_with("start"))
        .count();
    assert_eq!(starts, 1, "one run, one start");
    world.turn("x", "2").await;
    assert_eq!(
        models(2),
        ["two"],
        "the one that failed is left alone for a while"
    );
    assert_eq!(
        world.turn("x", "3").await[1]["failed"]["summary"],
        "HTTP 400: no"
    );
    assert_eq!(models(3), ["two"], "a bad request is as bad elsewhere");
    world.turn("x", "4").await;
    assert_eq!(models(4), ["two"], "what was shown cannot be taken back");
    assert_eq!(
        world.turn("x", "5").await[1]["failed"]["summary"],
        "HTTP 500: no"
    );
    assert_eq!(
        models(5).len(),
        2,
        "both are asked, though both have failed"
    );
}

#[tokio::test(start_paused = true)]
async fn a_conversation_that_is_too_large_is_halved_and_asked_again() {
    let too_large = || {
        vec![Step::Fail(BackendError::Refused {
            status: 400,
            message: "maximum context length exceeded".into(),
        })]
    };
    let replies = vec![
        say(&["one"]),
        too_large(),
        say(&["the sum"]),
        say(&["two"]),
        too_large(),
        too_large(),
        too_large(),
    ];
    let world = World::new(replies).await;
    let long = "x".repeat(600);
    world.turn(&long, "1").await;
    assert_eq!(world.turn("next", "2").await[1]["status"], "ok");
    let summary = "[What was said before, in short]\nthe sum";
    assert_eq!(told(&world, 1), [long.as_str(), "one", "next"]);
    assert_eq!(told(&world, 3), [summary, "next"]);
    let lines = world.lines();
    assert!(
        lines.contains(&"2 agent 3 compaction End retry".to_owned()),
        "{lines:?}"
    );
    let failed = world.turn("again", "3").await[1]["failed"]["summary"].clone();
    assert_eq!(failed, "HTTP 400: maximum context length exceeded");
    assert_eq!(world.model.asked().len(), 7, "halved twice, then given up");
}
