use std::sync::Arc;

use openclaw_protocol::types::ChatState;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::sync::Semaphore;

use crate::agent::backend::scripted::{Step, say};
use crate::agent::backend::{BackendError, Chunk, StopReason, Turn, Usage};
use crate::http::testing::{Answer, BEARER, World};

const PATH: &str = "POST /v1/chat/completions";

async fn world(replies: impl IntoIterator<Item = Vec<Step>>) -> World {
    let on = json!({"gateway": {"http": {"endpoints": {"chatCompletions": {"enabled": true}}}}});
    World::new(on, replies).await
}

fn hello(stream: bool) -> String {
    json!({"model": "openclaw", "stream": stream, "stream_options": {"include_usage": true},
        "messages": [{"role": "user", "content": "hello"}]})
    .to_string()
}

fn reply_with_usage() -> Vec<Step> {
    let usage = Usage {
        input: 7,
        output: 3,
        cache_read: 2,
        ..Usage::default()
    };
    vec![
        Step::Say("one "),
        Step::Say("two"),
        Step::Give(Chunk::Usage(usage)),
        Step::Give(Chunk::Done(StopReason::Stop)),
    ]
}

fn refusal() -> Vec<Step> {
    vec![Step::Fail(BackendError::Refused {
        status: 400,
        message: "no".into(),
    })]
}

#[tokio::test]
async fn what_is_refused_before_any_run() {
    let world = world([]).await;
    let long = crate::limits::COMPLETIONS_BODY_BYTES + 1;
    let long = format!("{BEARER}Content-Length: {long}\r\n");
    let unknown =
        json!({"model": "openclaw:nobody", "messages": [{"role": "user", "content": "x"}]})
            .to_string();
    for (start, headers, body, code, said) in [
        (
            "GET /v1/chat/completions",
            BEARER,
            "",
            405,
            "Method Not Allowed",
        ),
        (
            "GET /v1/chat/completions",
            "",
            "",
            405,
            "Method Not Allowed",
        ),
        (
            PATH,
            "",
            "{}",
            401,
            r#"{"error":{"message":"Unauthorized","type":"unauthorized"}}"#,
        ),
        (
            PATH,
            "Authorization: Bearer no\r\n",
            "{}",
            401,
            "unauthorized",
        ),
        (PATH, BEARER, "{", 400, "invalid_request_error"),
        (PATH, BEARER, "", 400, "Missing user message in `messages`."),
        (PATH, &long, "", 400, "payload too large"),
        (PATH, BEARER, &unknown, 400, "unknown agent id"),
    ] {
        let answer = world.ask(start, headers, body).await;
        assert_eq!(answer.code, code, "{start} {headers} {answer:?}");
        assert!(answer.body.contains(said), "{answer:?}");
        assert_eq!(
            answer.head.contains("allow: post"),
            code == 405,
            "{answer:?}"
        );
    }
    assert_eq!(world.model.asked().len(), 0);
    // Off by default.
    let off = World::new(json!({}), []).await;
    assert_eq!(off.ask(PATH, BEARER, "{}").await.code, 404);
    assert_eq!(off.ask("POST /v1/responses", BEARER, "{}").await.code, 404);
}

#[tokio::test]
async fn a_completion_as_a_whole() {
    let world = world([
        reply_with_usage(),
        vec![Step::Give(Chunk::Done(StopReason::Stop))],
    ])
    .await;
    let answer = world.ask(PATH, BEARER, &hello(false)).await;
    assert_eq!(answer.code, 200, "{answer:?}");
    let whole = answer.json();
    let created = 1_769_900_000_u64;
    assert!(whole["id"].as_str().unwrap().starts_with("chatcmpl_"));
    assert_eq!(
        (
            &whole["object"],
            &whole["created"],
            &whole["model"],
            &whole["choices"],
            &whole["usage"]
        ),
        (
            &json!("chat.completion"),
            &json!(created),
            &json!("openclaw"),
            &json!([{"index": 0, "message": {"role": "assistant", "content": "one two"}, "finish_reason": "stop"}]),
            &json!({"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}),
        )
    );
    let silent = world.ask(PATH, BEARER, &hello(false)).await.json();
    assert_eq!(
        silent["choices"][0]["message"]["content"],
        "No response from OpenClaw."
    );
    let summary = world.sessions.summary("main", 9);
    assert_eq!(
        summary.count, 2,
        "each request is a conversation of its own"
    );
    assert!(
        summary.recent[0].key.starts_with("agent:main:openai:"),
        "{summary:?}"
    );
}

/// The pieces of a stream; the last one must be the end mark.
fn pieces(answer: &Answer) -> Vec<Value> {
    let mut events = answer.events();
    assert_eq!(events.pop(), Some((None, "[DONE]".to_owned())));
    events
        .iter()
        .map(|(_, data)| serde_json::from_str(data).unwrap())
        .collect()
}

#[tokio::test]
async fn a_completion_in_pieces_ends_as_clients_expect() {
    let world = world([reply_with_usage(), refusal()]).await;
    let answer = world.ask(PATH, BEARER, &hello(true)).await;
    assert!(
        answer.head.contains("content-type: text/event-stream"),
        "{answer:?}"
    );
    let told = pieces(&answer);
    let choices: Vec<&Value> = told.iter().map(|piece| &piece["choices"][0]).collect();
    assert_eq!(
        choices[0],
        &json!({"index": 0, "delta": {"role": "assistant"}})
    );
    let text: String = choices
        .iter()
        .filter_map(|choice| choice["delta"]["content"].as_str())
        .collect();
    assert_eq!(text, "one two");
    let closing = &choices[choices.len() - 2];
    assert_eq!(
        **closing,
        json!({"index": 0, "delta": {}, "finish_reason": "stop"}),
        "odd 49"
    );
    let last = told.last().unwrap();
    assert_eq!(
        (&last["choices"], &last["usage"]["total_tokens"]),
        (&json!([]), &json!(12))
    );
    assert!(told.iter().all(|piece| piece["id"] == told[0]["id"]));

    let broken = pieces(&world.ask(PATH, BEARER, &hello(true)).await);
    let last = broken.last().unwrap();
    assert_eq!(
        last["choices"][0]["delta"]["content"],
        "Error: HTTP 400: no"
    );
    assert_eq!(last["choices"][0]["finish_reason"], "stop");
    assert_eq!(last["error"]["message"], "HTTP 400: no");
}

#[tokio::test]
async fn a_run_that_fails_is_not_tried_again() {
    let world = world([refusal()]).await;
    let answer = world.ask(PATH, BEARER, &hello(false)).await;
    assert_eq!(answer.code, 500, "{answer:?}");
    assert_eq!(
        answer.json(),
        json!({"error": {"message": "HTTP 400: no", "type": "api_error"}})
    );
    assert!(answer.head.contains("x-should-retry: false"), "{answer:?}");
}

#[tokio::test]
async fn conversations_and_instructions_reach_the_model() {
    let world = world([say(&["1"]), say(&["2"])]).await;
    let body = json!({"model": "agent:ops", "user": "Ann", "messages": [
        {"role": "system", "content": "be brief"}, {"role": "user", "content": "hello"}]})
    .to_string();
    world.ask(PATH, BEARER, &body).await;
    world.ask(PATH, BEARER, &body).await;
    let asked = world.model.asked();
    assert!(asked[0].system.contains("be brief"));
    let users = |turns: &[Turn]| {
        turns
            .iter()
            .filter(|turn| matches!(turn, Turn::User { .. }))
            .count()
    };
    assert_eq!(
        (users(&asked[0].turns), users(&asked[1].turns)),
        (1, 2),
        "one conversation a user"
    );
    assert_eq!(
        world.sessions.summary("ops", 9).recent[0].key,
        "agent:ops:openai-user:ann"
    );
    let headers = format!("{BEARER}X-OpenClaw-Session-Key: main\r\n");
    world.ask(PATH, &headers, &hello(false)).await;
    assert_eq!(
        world.sessions.summary("main", 9).recent[0].key,
        "agent:main:main"
    );
}

#[tokio::test]
async fn a_client_that_leaves_calls_its_run_off() {
    for stream in [false, true] {
        let world = world([vec![Step::Say("so far"), Step::Stall]]).await;
        let (mut client, server) = world.send(PATH, BEARER, &hello(stream)).await;
        if stream {
            let mut seen = Vec::new();
            while !String::from_utf8_lossy(&seen).contains("so far") {
                let mut more = [0; 1024];
                let count = client.read(&mut more).await.unwrap();
                assert!(count > 0);
                seen.extend_from_slice(&more[..count]);
            }
        }
        drop(client);
        assert_eq!(
            world.first_end().await,
            ChatState::Aborted,
            "stream: {stream}"
        );
        assert!(server.await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_long_run_outlives_the_time_of_plain_requests() {
    let gate = Arc::new(Semaphore::new(0));
    let world = world([vec![
        Step::Say("slow"),
        Step::Wait(Arc::clone(&gate)),
        Step::Give(Chunk::Done(StopReason::Stop)),
    ]])
    .await;
    let (mut client, server) = world.send(PATH, BEARER, &hello(true)).await;
    let mut seen = String::new();
    let mut more = [0; 1024];
    while !seen.contains("slow") {
        let count = client.read(&mut more).await.unwrap();
        seen.push_str(&String::from_utf8_lossy(&more[..count]));
    }
    // Only the clock of timers moves from here on.
    tokio::time::pause();
    while seen.matches(": still working").count() < 12 {
        let count = client.read(&mut more).await.unwrap();
        assert!(count > 0, "{seen}");
        seen.push_str(&String::from_utf8_lossy(&more[..count]));
    }
    tokio::time::resume();
    gate.add_permits(1);
    client.read_to_string(&mut seen).await.unwrap();
    assert!(seen.contains("[DONE]"), "{seen}");
    assert!(server.await.unwrap().is_none());
}
