//! Slash commands and `chat.inject`: what they change, what they say, and that they say it once.

use std::sync::Arc;

use openclaw_protocol::types::ChatInjectParams;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::super::Manner;
use super::super::backend::scripted::{Step, say};
use super::World;

/// The answer to a command, from its only event.
async fn answer(world: &World, message: &str, id: &str) -> String {
    let before = world.lines().len();
    assert_eq!(
        world.chat("main", message, id).await,
        json!({"runId": id, "status": "started"})
    );
    world.wait(id, 10_000).await;
    let lines = world.lines().split_off(before);
    let [line] = lines.as_slice() else {
        panic!("not one event: {lines:?}");
    };
    let text = line.strip_prefix(&format!("{id} chat 1 final "));
    let text = text.unwrap_or_else(|| panic!("another event: {line}"));
    serde_json::from_str(text).unwrap_or_else(|_| text.to_owned())
}

async fn inject(world: &World, params: Value) -> Result<Value, Value> {
    let params: ChatInjectParams = serde_json::from_value(params).unwrap();
    let injected = world.runs.chat_inject(params).await;
    injected
        .map(|result| json!(result))
        .map_err(|error| json!({"code": error.code, "message": error.message}))
}

#[tokio::test(start_paused = true)]
async fn a_command_is_answered_once_and_without_the_model() {
    let world = World::new([]).await;
    assert_eq!(
        answer(&world, "/think low", "c-1").await,
        "Thinking level set to low."
    );
    let history = world.history("main");
    assert_eq!(history["thinkingLevel"], "low");
    let message = json!({
        "role": "assistant", "content": [{"type": "text", "text": "Thinking level set to low."}], "timestamp": 1_000_000,
        "stopReason": "injected", "usage": {"input": 0, "output": 0, "totalTokens": 0}
    });
    assert_eq!(history["messages"], json!([message]));
    assert_eq!(
        world.chat("main", "/think high", "c-1").await,
        json!({"runId": "c-1", "status": "ok"}),
        "the key is known"
    );
    assert_eq!(world.history("main")["thinkingLevel"], "low");
    assert!(answer(&world, "/help", "c-2").await.contains("/new"));
    assert_eq!(world.runs.active(), 0);
}

#[tokio::test(start_paused = true)]
async fn words_of_others_are_no_commands() {
    for (is_only_words, expected) in [
        (
            true,
            vec![
                "user: one",
                "assistant: a",
                "user: /new two",
                "assistant: b",
            ],
        ),
        (false, vec!["user: two", "assistant: b"]),
    ] {
        let world = World::new([say(&["a"]), say(&["b"])]).await;
        for (id, message) in [("r-1", "one"), ("r-2", "/new two")] {
            let params = json!({"message": message, "sessionKey": "main", "idempotencyKey": id});
            let params = serde_json::from_value(params).unwrap();
            let manner = Manner {
                is_only_words,
                model: None,
            };
            drop(world.runs.agent_in(params, manner).await.unwrap());
            world.wait(id, 10_000).await;
        }
        assert_eq!(world.said("agent:main:main"), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_for_one_turn() {
    let config = json!({"agents": {"defaults": {
        "model": "mock/echo-1", "models": {"mock/echo-1": {}, "mock/echo-2": {"alias": "second"}}
    }}});
    let world = World::configured(config, [say(&["a"]), say(&["b"]), say(&["c"])]).await;
    let begin = async |id: &str, model: Option<&str>| {
        let params = json!({"message": "hi", "sessionKey": "main", "idempotencyKey": id});
        let manner = Manner {
            is_only_words: true,
            model: model.map(str::to_owned),
        };
        let params = serde_json::from_value(params).unwrap();
        let begun = world.runs.agent_in(params, manner).await.map(drop);
        if begun.is_ok() {
            world.wait(id, 10_000).await;
        }
        begun.map_err(|error| error.message.to_string())
    };
    assert_eq!(begin("r-1", Some("second")).await, Ok(()));
    assert_eq!(begin("r-2", None).await, Ok(()));
    assert_eq!(begin("r-3", Some("mock/echo-1")).await, Ok(()));
    let refused = begin("r-4", Some("mock/other")).await.unwrap_err();
    assert!(refused.contains("mock/other"), "{refused}");
    let asked = world.model.asked();
    let models: Vec<_> = asked.iter().map(|asked| asked.model.as_str()).collect();
    assert_eq!(models, ["echo-2", "echo-1", "echo-1"]);
}

#[tokio::test(start_paused = true)]
async fn settings_by_command() {
    let config = json!({"agents": {"defaults": {
        "model": "mock/echo-1", "thinkingDefault": "medium",
        "models": {"mock/echo-1": {}, "mock/echo-2": {"alias": "second"}}
    }}});
    let world = World::configured(config, []).await;
    let cases = [
        (
            "/think",
            "Thinking level: medium. Choose one with /think off|minimal|low|medium|high.",
        ),
        ("/think max", "Thinking level set to high."),
        (
            "/think off",
            "This conversation has no thinking level of its own now; the configured one is medium.",
        ),
        (
            "/think sideways",
            "\"sideways\" is none of off, minimal, low, medium, high; nothing was changed.",
        ),
        (
            "/verbose",
            "Verbose: off. Choose with /verbose on|off|full.",
        ),
        ("/verbose everything", "Verbose set to full."),
        (
            "/verbose loud",
            "\"loud\" is none of on, off, full; nothing was changed.",
        ),
        ("/model second", "Model set to mock/echo-2."),
        (
            "/model",
            "Model: mock/echo-2. Choose another with /model provider/model.\nConfigured:\nmock/echo-1\nmock/echo-2",
        ),
        ("/model mock/none", "model not allowed: mock/none"),
        ("/model mock/", "invalid model: mock/"),
        (
            "/model DEFAULT",
            "The configured model answers now: mock/echo-1.",
        ),
        ("/usage", "Last turn: none counted; window of 128000 tokens"),
        (
            "/usage tokens",
            "Replies show their use (tokens) from now on.",
        ),
        ("/usage off", "Replies do not show their use."),
        (
            "/usage much",
            "\"much\" is none of off, tokens, full; nothing was changed.",
        ),
        ("/compact", "Nothing to cut: there are 16 messages."),
        (
            "/compact 0",
            "/compact takes the number of messages to keep, such as /compact 50; it does not summarise. Nothing was changed.",
        ),
        ("/stop", ""),
    ];
    for (number, (message, expected)) in cases.iter().enumerate() {
        if *message == "/stop" {
            let stopped = json!({"ok": true, "aborted": false, "runIds": []});
            assert_eq!(
                world.chat("main", message, "c-stop").await,
                stopped,
                "a stop word"
            );
            continue;
        }
        let answered = answer(&world, message, &format!("c-{number}")).await;
        assert_eq!(&answered, expected, "{message}");
    }
    let row = world.row("main");
    assert_eq!(
        (
            &row["verboseLevel"],
            &row["thinkingLevel"],
            &row["responseUsage"]
        ),
        (&json!("full"), &Value::Null, &Value::Null)
    );
    let cut = answer(&world, "/compact 2", "c-cut").await;
    assert!(
        cut.starts_with("Cut to the last 2 messages. The whole is archived as "),
        "{cut}"
    );
    assert_eq!(world.said("main").len(), 3);
}

#[tokio::test(start_paused = true)]
async fn status_is_told_while_a_run_hangs() {
    let gate = Arc::new(Semaphore::new(0));
    let world = World::new([[vec![Step::Wait(gate.clone())], say(&["late"])].concat()]).await;
    world.chat("main", "go", "c-slow").await;
    world.until("c-slow agent 1 start").await;
    let status = answer(&world, "/status", "c-1").await;
    let expected = "Conversation: agent:main:main (1 messages)\nModel: mock/echo-1 (the default)\n\
        Thinking: off, verbose: off\nLast turn: none counted; window of 128000 tokens\nNow: 1 run is under way";
    assert_eq!(status, expected);
    gate.add_permits(1);
    world.until("c-slow chat 3 final \"late\"").await;
    let said = world.said("main");
    assert_eq!((said.len(), said[2].as_str()), (3, "assistant: late"));
}

#[tokio::test(start_paused = true)]
async fn a_new_conversation_begins_with_a_turn() {
    let world = World::new([say(&["one"]), say(&["hello"]), say(&["rhyme"])]).await;
    world.chat("main", "remember", "c-1").await;
    world.until("c-1 chat 3 final \"one\"").await;
    answer(&world, "/verbose on", "c-2").await;
    let before = world.history("main")["sessionId"].clone();
    world.chat("main", "/new", "c-3").await;
    world.until("c-3 chat 3 final \"hello\"").await;
    let history = world.history("main");
    assert_ne!(history["sessionId"], before);
    let said = world.said("main");
    assert_eq!((said.len(), said[1].as_str()), (2, "assistant: hello"));
    assert!(
        said[0].starts_with("user: The user has just begun"),
        "{said:?}"
    );
    let row = world.row("main");
    assert_eq!(
        (&row["verboseLevel"], &row["lastChannel"]),
        (&json!("on"), &json!("webchat"))
    );
    world.chat("main", "/reset write a poem", "c-4").await;
    world.until("c-4 chat 3 final \"rhyme\"").await;
    assert_eq!(
        world.said("main"),
        ["user: write a poem", "assistant: rhyme"]
    );
    let request = world.model.asked().pop().unwrap();
    assert_eq!(request.turns.len(), 1, "the model knows nothing of before");
}

#[tokio::test(start_paused = true)]
async fn other_slash_words_go_to_the_model() {
    let world = World::new([say(&["a path"]), say(&["thought"])]).await;
    world.chat("main", "/etc/passwd", "c-1").await;
    world.until("c-1 chat 3 final \"a path\"").await;
    world.chat("main", "/think high about it", "c-2").await;
    world.until("c-2 chat 3 final \"thought\"").await;
    let said = [
        "user: /etc/passwd",
        "assistant: a path",
        "user: about it",
        "assistant: thought",
    ];
    assert_eq!(world.said("main"), said);
    assert_eq!(
        world.history("main")["thinkingLevel"],
        "off",
        "for one turn only"
    );
}

#[tokio::test(start_paused = true)]
async fn usage_is_shown_under_replies() {
    let world = World::new([say(&["one"]), say(&["two"])]).await;
    answer(&world, "/usage on", "c-1").await;
    world.chat("main", "go", "c-2").await;
    world
        .until("c-2 chat 4 final \"one\\n\\nUsage: 0 in / 0 out\"")
        .await;
    assert_eq!(
        world.said("main").last().unwrap(),
        "assistant: one",
        "the transcript has the reply alone"
    );
    let answers = world
        .agent_answers(json!({"message": "go", "sessionKey": "main", "idempotencyKey": "r"}))
        .await;
    assert_eq!(
        answers[1]["result"]["payloads"][0]["text"],
        "two\n\nUsage: 0 in / 0 out"
    );
}

#[tokio::test(start_paused = true)]
async fn commands_of_agent_requests() {
    let world = World::new([]).await;
    let ask = |message: &str, id: &str| json!({"message": message, "sessionKey": "main", "idempotencyKey": id});
    let answers = world.agent_answers(ask("/think low", "r-1")).await;
    let shown = &answers[1]["result"]["payloads"];
    assert_eq!(shown[0]["text"], "Thinking level set to low.");
    assert_eq!(
        world.lines(),
        ["r-1 chat 1 final \"Thinking level set to low.\""]
    );
    let again = world.agent_answers(ask("/think low", "r-1")).await;
    assert_eq!(again, [answers[1].clone()]);
    let stopped = world.agent_answers(ask("/stop", "r-2")).await;
    assert_eq!(
        stopped[1]["result"]["payloads"][0]["text"],
        "Nothing was under way."
    );
}

#[tokio::test(start_paused = true)]
async fn words_are_put_in() {
    let world = World::new([say(&["reply"])]).await;
    let note = json!({"sessionKey": "main", "message": "note"});
    let refused = |message: &str| Err(json!({"code": "INVALID_REQUEST", "message": message}));
    assert_eq!(
        inject(&world, note.clone()).await,
        refused("session not found")
    );
    let key = world.runs.sessions().key("main");
    let made = world
        .runs
        .sessions()
        .write(move |changes| changes.reset(&key, 1));
    made.await.unwrap();
    assert_eq!(
        inject(&world, note.clone()).await,
        refused("transcript file not found")
    );
    world.chat("main", "go", "c-1").await;
    world.until("c-1 chat 3 final \"reply\"").await;
    let first = inject(&world, note).await.unwrap();
    let labelled = json!({"sessionKey": "main", "message": "note", "label": "Monitor"});
    let second = inject(&world, labelled).await.unwrap();
    let id = |result: &Value| result["messageId"].as_str().unwrap().to_owned();
    assert_ne!(id(&first), id(&second));
    assert_eq!(id(&first).len(), 8);
    let lines = world.lines().split_off(5);
    let expected = [
        format!("inject-{} chat 0 final \"note\"", id(&first)),
        format!(
            "inject-{} chat 0 final \"[Monitor]\\n\\nnote\"",
            id(&second)
        ),
    ];
    assert_eq!(lines, expected);
    assert_eq!(
        world.said("main")[2..],
        ["assistant: note", "assistant: [Monitor]\n\nnote"]
    );
    let last = world.history("main")["messages"][3].clone();
    assert_eq!(
        (&last["stopReason"], &last["usage"]["totalTokens"]),
        (&json!("injected"), &json!(0))
    );
}
