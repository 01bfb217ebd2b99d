use serde_json::{Value, json};

use crate::agent::backend::scripted::{Step, say};
use crate::agent::backend::{BackendError, Chunk, StopReason};
use crate::http::testing::{BEARER, World};

const PATH: &str = "POST /v1/responses";

async fn world(replies: impl IntoIterator<Item = Vec<Step>>) -> World {
    let on = json!({"gateway": {"http": {"endpoints": {"responses": {"enabled": true, "maxBodyBytes": 1000}}}}});
    World::new(on, replies).await
}

fn hello(stream: bool) -> String {
    json!({"model": "openclaw", "stream": stream, "input": "hello", "user": "ann"}).to_string()
}

fn refusal() -> Vec<Step> {
    vec![Step::Fail(BackendError::Refused {
        status: 400,
        message: "no".into(),
    })]
}

#[tokio::test]
async fn a_response_as_a_whole() {
    let world = world([
        say(&["one ", "two"]),
        refusal(),
        vec![Step::Give(Chunk::Done(StopReason::Stop))],
    ])
    .await;
    let answer = world.ask(PATH, BEARER, &hello(false)).await;
    assert_eq!(answer.code, 200, "{answer:?}");
    let whole = answer.json();
    assert_eq!(
        (&whole["object"], &whole["status"], &whole["model"]),
        (&json!("response"), &json!("completed"), &json!("openclaw"))
    );
    let message = &whole["output"][0];
    assert_eq!(
        (&message["type"], &message["role"], &message["status"]),
        (&json!("message"), &json!("assistant"), &json!("completed"))
    );
    assert_eq!(
        message["content"],
        json!([{"type": "output_text", "text": "one two", "annotations": []}])
    );
    assert_eq!(
        world.sessions.summary("main", 9).recent[0].key,
        "agent:main:openresponses-user:ann"
    );
    let failed = world.ask(PATH, BEARER, &hello(false)).await;
    assert_eq!(failed.code, 500);
    assert_eq!(failed.json()["status"], "failed");
    assert_eq!(
        failed.json()["error"],
        json!({"code": "api_error", "message": "HTTP 400: no"})
    );
    let silent = world.ask(PATH, BEARER, &hello(false)).await.json();
    assert_eq!(
        silent["output"][0]["content"][0]["text"],
        "No response from OpenClaw."
    );
    for (headers, body, code) in [
        ("", hello(false), 401),
        (BEARER, "{}".to_owned(), 400),
        (
            BEARER,
            json!({"model": "m", "input": "x".repeat(1000)}).to_string(),
            400,
        ),
    ] {
        assert_eq!(world.ask(PATH, headers, &body).await.code, code);
    }
}

#[tokio::test]
async fn the_events_of_a_response() {
    let world = world([
        say(&["one ", "two"]),
        refusal(),
        vec![Step::Give(Chunk::Done(StopReason::Stop))],
    ])
    .await;
    let answer = world.ask(PATH, BEARER, &hello(true)).await;
    let mut events = answer.events();
    assert_eq!(events.pop(), Some((None, "[DONE]".to_owned())));
    let data: Vec<Value> = events
        .iter()
        .map(|(_, data)| serde_json::from_str(data).unwrap())
        .collect();
    let mut names: Vec<&str> = events
        .iter()
        .map(|(name, _)| name.as_deref().unwrap())
        .collect();
    let text: String = data
        .iter()
        .filter(|event| event["type"] == "response.output_text.delta")
        .map(|event| event["delta"].as_str().unwrap())
        .collect();
    assert_eq!(text, "one two");
    names.dedup();
    assert_eq!(
        names,
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    for (number, (event, (name, _))) in data.iter().zip(&events).enumerate() {
        assert_eq!(event["sequence_number"], number);
        assert_eq!(event["type"].as_str(), name.as_deref());
    }
    let last = &data[data.len() - 1]["response"];
    assert_eq!(
        (&last["status"], &last["output"][0]["content"][0]["text"]),
        (&json!("completed"), &json!("one two"))
    );

    let mut broken = world.ask(PATH, BEARER, &hello(true)).await.events();
    broken.pop();
    let (name, data) = broken.pop().unwrap();
    assert_eq!(name.as_deref(), Some("response.failed"));
    let event: Value = serde_json::from_str(&data).unwrap();
    assert_eq!(event["response"]["error"]["message"], "HTTP 400: no");

    let silent = world.ask(PATH, BEARER, &hello(true)).await;
    assert!(
        silent.body.contains("No response from OpenClaw."),
        "{silent:?}"
    );
}
