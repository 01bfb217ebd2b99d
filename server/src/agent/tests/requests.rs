//! Requests: what they answer, what they refuse, which session they mean.

use std::sync::Arc;
use std::time::Duration;

use openclaw_protocol::events::Event;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::super::backend::scripted::{Step, say};
use super::super::backend::{Chunk, Turn, Usage};
use super::World;

#[tokio::test(start_paused = true)]
async fn an_agent_run_from_request_to_result() {
    let mut reply = say(&["echo", ": he", "llo", " "]);
    reply.insert(
        4,
        Step::Give(Chunk::Usage(Usage {
            input: 10,
            output: 5,
            ..Usage::default()
        })),
    );
    let world = World::new([reply]).await;
    let answers = world
        .agent_answers(json!({"message": "hello", "sessionKey": "main", "idempotencyKey": "run-1"}))
        .await;
    let session_id = world.history("main")["sessionId"].clone();
    let expected = [
        json!({"runId": "run-1", "status": "accepted", "acceptedAt": 1_000_000}),
        json!({"runId": "run-1", "status": "ok", "summary": "completed", "result": {
            "payloads": [{"text": "echo: hello", "mediaUrl": null}],
            "meta": {"durationMs": 0, "aborted": false, "agentMeta": {"sessionId": session_id, "provider": "mock",
                "model": "echo-1", "usage": {"input": 10, "output": 5, "cacheRead": 0, "cacheWrite": 0, "total": 15}}}
        }}),
    ];
    assert_eq!(answers, expected);
    // Chunks that are there at once come as one.
    let lines = [
        "run-1 agent 1 start",
        "run-1 agent 2 text \"echo: hello\" +\"echo: hello\"",
        "run-1 chat 2 delta \"echo: hello\"",
        "run-1 agent 3 end",
        "run-1 chat 3 final \"echo: hello\"",
    ];
    assert_eq!(world.lines(), lines);
    for event in &*world.events.0.borrow() {
        let key = match event {
            Event::Agent(agent) => agent.session_key.as_ref(),
            Event::Chat(chat) => Some(&chat.session_key),
            _ => None,
        };
        assert_eq!(
            key.map(|key| key.as_str()),
            Some("main"),
            "as the client spelled it"
        );
    }
    let row = json!({"key": "agent:main:main", "kind": "direct", "updatedAt": 1_000_000, "sessionId": session_id,
        "abortedLastRun": false, "inputTokens": 10, "outputTokens": 5, "totalTokens": 10, "modelProvider": "mock",
        "model": "echo-1", "contextTokens": 128_000});
    assert_eq!(world.row("main"), row);
    let history = world.history("main");
    assert_eq!(
        (&history["sessionKey"], &history["thinkingLevel"]),
        (&json!("main"), &json!("off"))
    );
    assert_eq!(
        world.said("agent:main:main"),
        ["user: hello", "assistant: echo: hello"]
    );
    let asked = world.model.asked();
    assert_eq!(
        asked[0].turns,
        [Turn::User {
            text: "hello".into(),
            images: vec![]
        }]
    );
}

#[tokio::test(start_paused = true)]
async fn deltas_are_spaced_and_the_final_has_everything() {
    let pause = |ms| Step::Pause(Duration::from_millis(ms));
    let mut reply = vec![
        Step::Say("a"),
        pause(149),
        Step::Say("b"),
        pause(1),
        Step::Say("c"),
        pause(100),
        Step::Say(" d "),
    ];
    reply.extend(say(&["!", "\n"]));
    let world = World::new([reply]).await;
    world.chat("main", "hi", "c").await;
    world.until("c chat 2 delta \"a\"").await;
    tokio::time::advance(Duration::from_millis(149)).await;
    world.until("c agent 3 text \"ab\" +\"b\"").await;
    tokio::time::advance(Duration::from_millis(1)).await;
    world.until("c chat 4 delta \"abc\"").await;
    tokio::time::advance(Duration::from_millis(100)).await;
    let lines = world.until("c chat 6 final \"abc d !\"").await;
    let chats: Vec<&String> = lines
        .iter()
        .filter(|line| line.contains(" chat "))
        .collect();
    assert_eq!(
        chats,
        [
            "c chat 2 delta \"a\"",
            "c chat 4 delta \"abc\"",
            "c chat 6 final \"abc d !\""
        ]
    );
    assert!(
        lines.contains(&"c agent 5 text \"abc d !\" +\" d !\"".to_owned()),
        "{lines:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn refusals_of_agent_in_order() {
    let list =
        json!({"list": [{"id": "main"}, {"id": "Ops"}], "defaults": {"model": "mock/echo-1"}});
    let world = World::configured(json!({"agents": list}), []).await;
    let key = world.runs.sessions().key("denied");
    let deny = world.runs.sessions().write(move |changes| {
        let entry = crate::sessions::Entry {
            send_policy: Some("deny".into()),
            ..crate::sessions::Entry::new(1)
        };
        changes.put_entry(&key, &entry)
    });
    deny.await.unwrap();
    let bad = json!([{"fileName": "a.png", "content": "%%%"}]);
    for (params, text) in [
        (
            json!({"agentId": "Ghost"}),
            "invalid agent params: unknown agent id \"Ghost\"",
        ),
        (
            json!({"agentId": "main", "sessionKey": "agent:other:main"}),
            "invalid agent params: agent \"main\" does not match session key agent \"other\"",
        ),
        (
            json!({"agentId": "OPS", "sessionKey": "main"}),
            "invalid agent params: agent \"ops\" does not match session key agent \"main\"",
        ),
        (
            json!({"channel": "carrier-pigeon"}),
            "invalid agent params: unknown channel: carrier-pigeon",
        ),
        (
            json!({"replyChannel": "smoke"}),
            "invalid agent params: unknown channel: smoke",
        ),
        (
            json!({"attachments": bad}),
            "Error: attachment a.png: invalid base64 content",
        ),
        (
            json!({"attachments": bad, "channel": "smoke", "agentId": "ghost"}),
            "Error: attachment a.png: invalid base64 content",
        ),
        (
            json!({"channel": "smoke", "agentId": "ghost"}),
            "invalid agent params: unknown channel: smoke",
        ),
        (
            json!({"sessionKey": "DENIED"}),
            "send blocked by session policy",
        ),
    ] {
        let mut request = json!({"message": "x", "idempotencyKey": "bad"});
        request
            .as_object_mut()
            .unwrap()
            .extend(params.as_object().unwrap().clone());
        let answers = world.agent_answers(request).await;
        assert_eq!(
            answers,
            [json!({"refused": text, "code": "INVALID_REQUEST"})],
            "{params}"
        );
    }
    assert_eq!((world.lines().len(), world.runs.active()), (0, 0));
    let answers = world
        .agent_answers(json!({"message": "x", "agentId": "ops", "idempotencyKey": "bad"}))
        .await;
    assert_eq!(answers[1]["status"], "ok", "a refusal is not remembered");
}

#[tokio::test(start_paused = true)]
async fn the_session_that_a_request_means() {
    let world = World::new([]).await;
    for (n, (params, key)) in [
        (json!({"agentId": "main"}), "agent:main:main"),
        (
            json!({"agentId": "main", "sessionKey": " "}),
            "agent:main:main",
        ),
        (json!({"to": "+4912345"}), "agent:main:main"),
        (json!({"sessionKey": "agent:main:Side"}), "agent:main:Side"),
        (json!({"sessionKey": "agent:ghost:x"}), "agent:ghost:x"),
        (
            json!({"sessionId": "My-Transcript"}),
            "agent:main:my-transcript",
        ),
        (
            json!({"sessionId": "My-Transcript"}),
            "agent:main:my-transcript",
        ),
        (
            json!({"channel": "whatsapp", "sessionKey": "main", "deliver": false, "timeout": 600}),
            "main",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("run-{n}");
        let mut request = json!({"message": "x", "idempotencyKey": id});
        request
            .as_object_mut()
            .unwrap()
            .extend(params.as_object().unwrap().clone());
        let answers = world.agent_answers(request).await;
        assert_eq!(answers[1]["status"], "ok", "{params} {answers:?}");
        let events = world.events.0.borrow();
        let shown = events.iter().rev().find_map(|event| match event {
            Event::Chat(chat) if chat.run_id == *id => Some(chat.session_key.to_string()),
            _ => None,
        });
        assert_eq!(shown.as_deref(), Some(key), "{params}");
    }
    assert_eq!(world.history("my-transcript")["sessionId"], "My-Transcript");
    assert_eq!(
        world.said("agent:main:SIDE").len(),
        2,
        "one session whatever its spelling"
    );
}

#[tokio::test(start_paused = true)]
async fn what_an_agent_request_leaves_in_the_entry() {
    let world = World::new([]).await;
    let request = json!({"message": "x", "idempotencyKey": "r", "sessionKey": "child", "label": "Side",
        "spawnedBy": "agent:main:main", "groupId": "g", "groupChannel": "#general", "groupSpace": "team", "channel": "slack"});
    world.agent_answers(request).await;
    let row = world.row("child");
    let expected = ["Side", "Side", "slack", "#general", "team"];
    for (member, value) in ["label", "displayName", "channel", "groupChannel", "space"]
        .into_iter()
        .zip(expected)
    {
        assert_eq!(row[member], value, "{member}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_chat_client_leaves_in_the_entry() {
    let world = World::new([]).await;
    world.chat("agent:main:Upper", "to Upper", "c-1").await;
    world.until("c-1 chat 3 final \"ok\"").await;
    let row = world.row("upper");
    let expected = json!({
        "key": "agent:main:upper", "kind": "direct", "displayName": "Client A", "chatType": "direct",
        "origin": {"label": "Client A", "provider": "webchat", "surface": "webchat", "chatType": "direct"},
        "updatedAt": 1_000_000, "sessionId": row["sessionId"], "systemSent": true, "abortedLastRun": false,
        "totalTokens": 0, "modelProvider": "mock", "model": "echo-1", "contextTokens": 128_000,
        "deliveryContext": {"channel": "webchat"}, "lastChannel": "webchat"
    });
    assert_eq!(row, expected);
    assert_eq!(
        world.said("agent:main:Upper"),
        ["user: to Upper", "assistant: ok"],
        "without the message id"
    );
    let asked = world.model.asked();
    assert_eq!(
        asked[0].turns,
        [Turn::User {
            text: "to Upper\n[message_id: c-1]".into(),
            images: vec![]
        }]
    );
}

#[tokio::test(start_paused = true)]
async fn refusals_of_chat_send() {
    const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
    let world = World::new([]).await;
    let send = |message: &str, attachments: Value| json!({"sessionKey": "main", "message": message, "idempotencyKey": "c-1", "attachments": attachments});
    let required = json!({"refused": "message or attachment required", "code": "INVALID_REQUEST"});
    assert_eq!(world.chat("main", "", "c-1").await, required);
    assert_eq!(
        world
            .chat_with(send(" \n", json!([{"content": 5}, 7])))
            .await,
        required
    );
    assert_eq!(
        world
            .chat_with(send(
                "",
                json!([{"mimeType": "text/plain", "content": "aGVsbG8="}])
            ))
            .await,
        required
    );
    let bad = json!({"refused": "Error: attachment image: invalid base64 content", "code": "INVALID_REQUEST"});
    assert_eq!(
        world
            .chat_with(send("stop", json!([{"type": "image", "content": "***"}])))
            .await,
        bad
    );
    let started = world.chat_with(send("", json!([{"content": PNG}]))).await;
    assert_eq!(started, json!({"runId": "c-1", "status": "started"}));
    world.until("c-1 chat 3 final \"ok\"").await;
    assert_eq!(
        world.history("main")["messages"][0]["content"][1],
        json!({"type": "image", "data": PNG, "mimeType": "image/png"})
    );
}

#[tokio::test(start_paused = true)]
async fn thinking_levels() {
    let reasoning = json!({"providers": {"mock": {"baseUrl": "http://127.0.0.1:1", "models": [{"id": "echo-1", "reasoning": true}]}}});
    let world = World::configured(json!({"models": reasoning}), []).await;
    assert_eq!(world.history("main")["thinkingLevel"], "low");
    for (n, word) in [None, Some("ultra"), Some("off")].into_iter().enumerate() {
        let id = format!("r{n}");
        let mut params = json!({"message": "x", "sessionKey": "main", "idempotencyKey": id});
        if let Some(word) = word {
            params["thinking"] = json!(word);
        }
        world.agent_answers(params).await;
    }
    let asked = world.model.asked();
    let levels: Vec<_> = asked
        .iter()
        .map(|request| request.thinking.map(|level| level.as_str()))
        .collect();
    assert_eq!(levels, [Some("low"), Some("high"), Some("off")]);
    let plain = World::new([]).await;
    plain.agent_answers(json!({"message": "x", "sessionKey": "main", "idempotencyKey": "r", "thinking": "high"})).await;
    assert_eq!(plain.model.asked()[0].thinking, None);
}

#[tokio::test(start_paused = true)]
async fn one_run_at_a_time_in_a_session() {
    let gate = Arc::new(Semaphore::new(0));
    let gated = || [vec![Step::Wait(gate.clone())], say(&["done"])].concat();
    let world = World::new([gated(), gated(), gated()]).await;
    world.chat("main", "one", "c-1").await;
    world.until("c-1 agent 1 start").await;
    world.chat("agent:main:MAIN", "two", "c-2").await;
    world.chat("other", "three", "c-3").await;
    world.until("c-3 agent 1 start").await;
    assert_eq!(
        world.model.asked().len(),
        2,
        "the second waits for the first"
    );
    gate.add_permits(3);
    let lines = world.until("c-2 chat 3 final \"done\"").await;
    let at = |line: &str| lines.iter().position(|shown| shown == line).unwrap();
    assert!(at("c-1 chat 3 final \"done\"") < at("c-2 agent 1 start"));
    let words = [
        "user: one",
        "assistant: done",
        "user: two",
        "assistant: done",
    ];
    assert_eq!(world.said("main"), words);
    assert_eq!(
        world.model.asked()[2].turns.len(),
        3,
        "the second is told of the first"
    );
}

#[tokio::test(start_paused = true)]
async fn as_many_runs_at_a_time_as_configured() {
    let gate = Arc::new(Semaphore::new(0));
    let gated = || [vec![Step::Wait(gate.clone())], say(&["done"])].concat();
    let defaults = json!({"defaults": {"model": "mock/echo-1", "maxConcurrent": 1}});
    let world = World::configured(json!({"agents": defaults}), [gated(), gated()]).await;
    world.chat("a", "one", "c-1").await;
    world.until("c-1 agent 1 start").await;
    world.chat("b", "two", "c-2").await;
    assert_eq!(world.model.asked().len(), 1);
    gate.add_permits(2);
    let lines = world.until("c-2 chat 3 final \"done\"").await;
    assert_eq!(
        lines.iter().filter(|line| line.contains("final")).count(),
        2
    );
}

#[tokio::test(start_paused = true)]
async fn who_an_agent_is() {
    let list = json!([{"id": "main", "identity": {"name": "Maia", "emoji": "M"}}, {"id": "ops", "name": "Ops"},
        {"id": "pic", "workspace": "~/pic", "identity": {"avatar": "avatars/me.png"}}]);
    let agents = json!({"list": list, "defaults": {"model": "mock/echo-1"}});
    let plain = World::configured(json!({"agents": agents}), []).await;
    let ui = json!({"assistant": {"name": "Claw", "avatar": "https://example.org/a.png"}});
    let dressed = World::configured(
        json!({"agents": agents, "ui": ui, "gateway": {"controlUi": {"basePath": "/ui/"}}}),
        [],
    )
    .await;
    std::fs::create_dir(plain.path().join("pic")).unwrap();
    std::fs::write(
        plain.path().join("pic/IDENTITY.md"),
        "- **Name:** Pixel\n- **Avatar:** https://example.org/p.png\n",
    )
    .unwrap();
    let mismatch = "invalid agent.identity.get params: agent \"main\" does not match session key agent \"ops\"";
    for (world, params, expected) in [
        (&plain, json!({}), Ok(("main", "Maia", "M"))),
        (
            &plain,
            json!({"sessionKey": "agent:ops:main"}),
            Ok(("ops", "Assistant", "A")),
        ),
        (
            &plain,
            json!({"agentId": "Ghost"}),
            Ok(("ghost", "Assistant", "A")),
        ),
        (
            &plain,
            json!({"agentId": "pic"}),
            Ok(("pic", "Pixel", "/avatar/pic")),
        ),
        (
            &plain,
            json!({"agentId": "main", "sessionKey": "agent:ops:x"}),
            Err(mismatch),
        ),
        (
            &plain,
            json!({"agentId": "main", "sessionKey": "side"}),
            Ok(("main", "Maia", "M")),
        ),
        (
            &dressed,
            json!({"agentId": "ops"}),
            Ok(("ops", "Claw", "https://example.org/a.png")),
        ),
    ] {
        let found = world
            .runs
            .identified(&serde_json::from_value(params.clone()).unwrap())
            .map(|agent| world.runs.identity(&agent));
        if let Ok(found) = &found {
            let known = world.runs.known_identity(&found.agent_id);
            assert_eq!(known.as_ref(), Some(found), "{params}: remembered");
        }
        let shown = found
            .as_ref()
            .map(|of| (of.agent_id.as_str(), of.name.as_str(), of.avatar.as_str()));
        assert_eq!(
            shown.map_err(|error| error.message.as_str()),
            expected,
            "{params}"
        );
    }
}
