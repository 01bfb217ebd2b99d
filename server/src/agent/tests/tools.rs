//! Tools in runs: what clients see of them, what the transcript keeps, where they end.

use serde_json::{Value, json};

use super::super::backend::scripted::{Step, say};
use super::super::backend::{BackendError, Call, Chunk, StopReason, Thought, Turn};
use super::World;

/// A reply that calls tools.
pub(super) fn call(calls: &[(&str, &str, Value)]) -> Vec<Step> {
    let call = |(id, name, arguments): &(&str, &str, Value)| {
        Step::Give(Chunk::Call(Call {
            id: (*id).to_owned(),
            name: (*name).to_owned(),
            arguments: arguments.clone(),
        }))
    };
    let done = Step::Give(Chunk::Done(StopReason::ToolUse));
    calls.iter().map(call).chain([done]).collect()
}

fn reading(path: &str) -> Vec<Step> {
    call(&[("c1", "read", json!({"path": path}))])
}

/// A world whose workspace has one file.
async fn world(config: Value, replies: Vec<Vec<Step>>) -> World {
    let world = World::configured(config, replies).await;
    let workspace = world.path().join("workspace");
    std::fs::create_dir_all(&workspace).unwrap();
    std::fs::write(workspace.join("a.txt"), "line\n").unwrap();
    world
}

pub(super) fn results(world: &World, request: usize) -> Vec<(String, bool)> {
    let asked = world.model.asked();
    let turns = asked[request].turns.iter();
    let result = |turn: &Turn| match turn {
        Turn::Result { text, is_error, .. } => Some((text.clone(), *is_error)),
        _ => None,
    };
    turns.filter_map(result).collect()
}

#[tokio::test(start_paused = true)]
async fn hidden_tools_still_count() {
    let world = world(json!({}), vec![reading("a.txt"), say(&["done"])]).await;
    let answers = world.turn("go", "r").await;
    assert_eq!(
        answers[1]["result"]["payloads"],
        json!([{"text": "done", "mediaUrl": null}])
    );
    let lines = [
        "r agent 1 start",
        "r agent 4 text \"done\" +\"done\"",
        "r chat 4 delta \"done\"",
        "r agent 5 end",
        "r chat 5 final \"done\"",
    ];
    assert_eq!(world.lines(), lines);
    let history = world.history("main");
    let messages = history["messages"].as_array().unwrap();
    let roles: Vec<&str> = messages
        .iter()
        .map(|message| message["role"].as_str().unwrap())
        .collect();
    assert_eq!(roles, ["user", "assistant", "toolResult", "assistant"]);
    assert_eq!(
        messages[1]["content"],
        json!([{"type": "toolCall", "id": "c1", "name": "read", "arguments": {"path": "a.txt"}}])
    );
    assert_eq!(messages[1]["stopReason"], "toolUse");
    assert_eq!(
        messages[2],
        json!({
            "role": "toolResult", "toolCallId": "c1", "toolName": "read", "isError": false,
            "content": [{"type": "text", "text": "line\n"}], "timestamp": super::START
        })
    );
    assert_eq!(results(&world, 1), [("line\n".to_owned(), false)]);
    let asked = world.model.asked();
    let offered: Vec<&str> = asked[0].tools.iter().map(|tool| &*tool.name).collect();
    assert_eq!(
        offered,
        [
            "read",
            "write",
            "edit",
            "sessions_list",
            "sessions_history",
            "sessions_send"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn shown_tools_come_in_order_and_text_begins_anew() {
    let speaking = [vec![Step::Say("let me look")], reading("a.txt")].concat();
    for level in ["on", "full"] {
        let world = world(json!({}), vec![speaking.clone(), say(&["ok"])]).await;
        world
            .settle("main", move |entry| {
                entry.verbose_level = Some(level.to_owned())
            })
            .await;
        let answers = world.turn("go", "r").await;
        let payloads = &answers[1]["result"]["payloads"];
        assert_eq!(
            (&payloads[0]["text"], &payloads[1]["text"]),
            (&json!("let me look"), &json!("ok"))
        );
        let lines: Vec<String> = world
            .lines()
            .into_iter()
            .filter(|line| line.contains("agent"))
            .collect();
        let expected = [
            "r agent 1 start",
            "r agent 2 text \"let me look\" +\"let me look\"",
            "r agent 3 tool Start read c1 {\"path\":\"a.txt\"}",
            "r agent 4 tool Result read c1 \"a.txt\" good \"line\\n\"",
            "r agent 5 text \"ok\" +\"ok\"",
            "r agent 6 end",
        ];
        assert_eq!(lines, expected);
        assert_eq!(world.lines().last().unwrap(), "r chat 6 final \"ok\"");
    }
}

#[tokio::test(start_paused = true)]
async fn what_goes_wrong_is_told_to_the_model() {
    let calls = call(&[
        ("1", "fly", json!({})),
        ("2", "read", json!("{\"pa")),
        ("3", "read", json!({"path": "../openclaw.json"})),
        ("4", "exec", json!({"command": "true"})),
        ("5", "read", json!({"path": "a.txt"})),
    ]);
    let world = world(json!({}), vec![calls, say(&["sorry"])]).await;
    assert_eq!(world.turn("go", "r").await[1]["status"], "ok");
    let told = [
        ("There is no tool \"fly\".", true),
        ("The arguments are not a JSON object.", true),
        (
            "../openclaw.json: the path leads out of the workspace.",
            true,
        ),
        ("There is no tool \"exec\".", true),
        ("line\n", false),
    ];
    assert_eq!(
        results(&world, 1),
        told.map(|(text, is_error)| (text.to_owned(), is_error))
    );
}

#[tokio::test(start_paused = true)]
async fn denied_tools_are_neither_offered_nor_run() {
    let config = json!({"tools": {"deny": ["group:fs", "group:sessions"]}});
    let world = world(config, vec![reading("a.txt"), say(&["ok"])]).await;
    world.turn("go", "r").await;
    assert!(world.model.asked()[0].tools.is_empty());
    assert_eq!(
        results(&world, 1),
        [("There is no tool \"read\".".to_owned(), true)]
    );
}

#[tokio::test(start_paused = true)]
async fn rounds_are_bounded() {
    let world = world(json!({}), vec![reading("a.txt"); 66]).await;
    let text = "Error: the model asked for tools more than 64 times";
    assert_eq!(world.turn("go", "r").await[1]["failed"]["summary"], text);
    assert_eq!(world.model.asked().len(), 65);
    let within = [vec![reading("a.txt"); 64], vec![say(&["ok"])]].concat();
    let world = self::world(json!({}), within).await;
    assert_eq!(world.turn("go", "r").await[1]["status"], "ok");
}

#[tokio::test(start_paused = true)]
async fn commands_run_where_they_may_and_end_with_their_run() {
    let config = json!({"tools": {"exec": {"security": "full"}}});
    let exec = |command: &str| call(&[("c1", "exec", json!({"command": command}))]);
    let replies = vec![
        exec("cat a.txt; exit 3"),
        say(&["ok"]),
        exec("echo begun; sleep 1000"),
        say(&["again"]),
    ];
    let world = world(config, replies).await;
    world
        .settle("main", |entry| entry.verbose_level = Some("on".to_owned()))
        .await;
    world.turn("go", "r").await;
    assert_eq!(
        results(&world, 1),
        [("line\n[exit code 3]".to_owned(), true)]
    );
    world.chat("main", "again", "s").await;
    world
        .until("s agent 2 tool Start exec c1 {\"command\":\"echo begun; sleep 1000\"}")
        .await;
    assert_eq!(
        world.abort("main", Some("s")),
        json!({"ok": true, "aborted": true, "runIds": ["s"]})
    );
    assert_eq!(world.wait("s", 600_000).await["error"], "run aborted (rpc)");
    assert_eq!(world.turn("go on", "t").await[1]["status"], "ok");
    let cut = "There is no result: the run ended before the tool did.";
    assert_eq!(results(&world, 3)[1], (cut.to_owned(), true));
}

#[tokio::test(start_paused = true)]
async fn conversations_ask_one_another() {
    let send = |key: &str| {
        call(&[(
            "c1",
            "sessions_send",
            json!({"sessionKey": key, "message": "what?"}),
        )])
    };
    let other = "agent:main:other";
    let world = world(json!({}), vec![send(other), say(&["that"]), say(&["ok"])]).await;
    assert_eq!(world.turn("go", "r").await[1]["status"], "ok");
    assert_eq!(results(&world, 2), [("that".to_owned(), false)]);
    assert_eq!(
        world.said(other),
        ["user: [from agent:main:main] what?", "assistant: that"]
    );
    for (key, told) in [
        (
            "main",
            "That is this conversation: it cannot wait for itself.",
        ),
        ("agent:ops:main", "That conversation is another agent's."),
    ] {
        let world = self::world(json!({}), vec![send(key), say(&["ok"])]).await;
        world.turn("go", "r").await;
        assert_eq!(results(&world, 1), [(told.to_owned(), true)]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_of_conversations_that_ask_has_an_end() {
    let ask = |n: usize| {
        call(&[(
            "c",
            "sessions_send",
            json!({"sessionKey": format!("s{n}"), "message": "?"}),
        )])
    };
    let mut replies: Vec<Vec<Step>> = (1..=5).map(ask).collect();
    replies.extend(vec![say(&["end"]); 5]);
    let config = json!({"agents": {"defaults": {"model": "mock/echo-1", "maxConcurrent": 8}}});
    let world = world(config, replies).await;
    assert_eq!(world.turn("go", "r").await[1]["status"], "ok");
    let refused = "Too many conversations wait for one another; answer without asking.";
    assert_eq!(results(&world, 5), [(refused.to_owned(), true)]);
}

#[tokio::test(start_paused = true)]
async fn conversations_are_listed_and_read() {
    let calls = call(&[
        ("1", "sessions_list", json!({})),
        ("2", "sessions_history", json!({"sessionKey": "main"})),
        ("3", "sessions_history", json!({"sessionKey": "nowhere"})),
        (
            "4",
            "sessions_history",
            json!({"sessionKey": "agent:ops:main"}),
        ),
    ]);
    let world = world(json!({}), vec![say(&["hello"]), calls, say(&["ok"])]).await;
    world.turn("first", "r").await;
    world.turn("go", "s").await;
    let results = results(&world, 2);
    let listed: Value = serde_json::from_str(&results[0].0).unwrap();
    assert_eq!(
        (
            &listed[0]["sessionKey"],
            &listed[0]["isThisOne"],
            listed.as_array().unwrap().len()
        ),
        (&json!("agent:main:main"), &json!(true), 1)
    );
    let read: Value = serde_json::from_str(&results[1].0).unwrap();
    let talk = json!([
        {"role": "user", "text": "first"}, {"role": "assistant", "text": "hello"}, {"role": "user", "text": "go"}
    ]);
    assert_eq!(read, talk);
    assert_eq!(
        results[2],
        ("There is no such conversation.".to_owned(), true)
    );
    assert_eq!(
        results[3],
        ("That conversation is another agent's.".to_owned(), true)
    );
}

#[tokio::test(start_paused = true)]
async fn thoughts_are_told_again_until_the_user_speaks() {
    let thought = Thought::Open {
        text: "hm".into(),
        signature: "sig".into(),
    };
    let thinking = [
        vec![Step::Give(Chunk::Thought(thought.clone()))],
        reading("a.txt"),
    ]
    .concat();
    let failing = vec![
        Step::Give(Chunk::Thought(thought.clone())),
        Step::Fail(BackendError::CutOff),
    ];
    let world = world(
        json!({}),
        vec![
            thinking,
            reading("a.txt"),
            say(&["done"]),
            say(&["ok"]),
            failing,
        ],
    )
    .await;
    world.turn("go", "r").await;
    world.turn("and now?", "s").await;
    let thoughts = |request: usize| {
        let asked = world.model.asked();
        let turns = asked[request].turns.iter();
        let of_turn = |turn: &Turn| match turn {
            Turn::Assistant { thoughts, .. } => thoughts.clone(),
            _ => Vec::new(),
        };
        turns.flat_map(of_turn).collect::<Vec<_>>()
    };
    assert_eq!(thoughts(1), [thought.clone()]);
    assert_eq!(thoughts(2), [thought], "the first reply only");
    assert_eq!(thoughts(3), [], "the user has spoken");
    let history = world.history("main");
    let part = json!({"type": "thinking", "thinking": "hm", "thinkingSignature": "sig"});
    assert_eq!(history["messages"][1]["content"][0], part);
    world.turn("fail", "t").await;
    let history = world.history("main");
    let last = history["messages"].as_array().unwrap().last().unwrap();
    assert_eq!(last["content"], json!([]), "a reply that led to nothing");
}
