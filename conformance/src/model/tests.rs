//! Tables for [`super`].

use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn body(text: &str) -> Value {
    json!({"model": "echo-1", "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": text}]})
}

/// The pieces of text (or tool calls) of a streamed answer.
fn said(reply: Reply) -> Vec<String> {
    let Reply::Stream { chunks, .. } = reply else {
        return vec!["refused".into()];
    };
    let parse =
        |c: &Chunk| serde_json::from_str::<Value>(c.text.strip_prefix("data: ")?.trim()).ok();
    let deltas = chunks.iter().filter_map(parse).filter_map(|v| {
        let delta = v.pointer("/choices/0/delta")?.clone();
        let text = delta
            .get("content")
            .and_then(Value::as_str)
            .map(str::to_owned);
        text.or_else(|| Some(delta.get("tool_calls")?.to_string()))
    });
    deltas.filter(|t| !t.is_empty()).collect()
}

#[test]
fn the_text_selects_the_answer() {
    assert_eq!(
        said(reply(&body("hello agent"))),
        ["echo", ": he", "llo ", "agen", "t"]
    );
    assert_eq!(said(reply(&body("a"))), ["ec", "ho", ": ", "a"]);
    assert_eq!(said(reply(&body("please [error]"))), ["refused"]);
    let slow = said(reply(&body("go [slow]")));
    assert_eq!(
        (slow.len(), slow[0].as_str(), slow[79].as_str()),
        (80, "slow-0 ", "slow-79 ")
    );
    let mut tool = body("a [tool]");
    assert_eq!(said(reply(&tool)).len(), 5, "no tools offered");
    tool["tools"] = json!([{}]);
    assert_eq!(said(reply(&tool)).len(), 2);
    tool["messages"]
        .as_array_mut()
        .unwrap()
        .push(json!({"role": "tool", "content": "x"}));
    assert_eq!(said(reply(&tool)).concat(), "echo: a [tool]");
    let parts = json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "look"}, {"type": "image_url"}]}]});
    assert_eq!(said(reply(&parts)).concat(), "echo: look");
}

#[test]
fn envelopes_are_taken_off() {
    for (text, expected) in [
        ("hello", "hello"),
        (
            "[WebChat Thu 2026-01-29 10:00 UTC] hello\n[message_id: 5]",
            "hello",
        ),
        ("System: [2026] node up\nhello\nCurrent time: now", "hello"),
        ("[slow] hello", "[slow] hello"),
        ("[ok", "[ok"),
    ] {
        assert_eq!(without_envelope(text), expected);
    }
}

async fn post(port: u16, path: &str, body: &str) -> String {
    let mut socket = tokio::net::TcpStream::connect(("127.0.0.1", port))
        .await
        .unwrap();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn it_serves_over_http() {
    let pace = Pace {
        chunk: Duration::ZERO,
        slow_chunk: Duration::ZERO,
    };
    let model = Model::start(pace).await.unwrap();
    for (path, body, expected) in [
        (
            "/v1/chat/completions",
            body("hi").to_string(),
            "data: [DONE]",
        ),
        (
            "/v1/chat/completions",
            body("[error]").to_string(),
            "400 Bad Request",
        ),
        ("/v1/chat/completions", "{".to_owned(), "not a request"),
        ("/v1/models", "{}".to_owned(), "404 Not Found"),
    ] {
        let answer = post(model.port(), path, &body).await;
        assert!(answer.contains(expected), "{path} {body}: {answer}");
    }
}
