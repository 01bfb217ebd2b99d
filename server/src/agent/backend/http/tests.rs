//! The backend against a scripted server on a real socket. Times are real here, so waits are short and every test
//! ends on an event.

mod thoughts;

use futures_util::{StreamExt, TryStreamExt};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::stand_in::{
    ANTHROPIC, Answer, DONE, HELLO, Head, Lines, OPENAI, Part, STOP, USAGE, events, refusal, serve,
};
use super::*;
use crate::agent::backend::{StopReason, Turn, Usage};

fn backend(url: &str, dialect: Dialect) -> HttpModel {
    let endpoint = Endpoint {
        provider: "mock".into(),
        dialect,
        bearer: false,
        base_url: format!("{url}/"),
        api_key: Some("sk-secret".into()),
        headers: vec![("x-team".into(), "blue".into())],
    };
    HttpModel::new(&endpoint, stand_in::IMPATIENT).unwrap()
}

fn request() -> ModelRequest {
    let turns = vec![Turn::User {
        text: "hi".into(),
        images: vec![],
    }];
    ModelRequest {
        model: "echo-1".into(),
        system: "be kind".into(),
        turns,
        thinking: None,
        tools: Vec::new().into(),
        max_tokens: None,
    }
}

/// Runs one call; the texts, or the error's text after the texts before it, and how often the server was called.
async fn check(
    lines: &Lines,
    answers: Vec<Answer>,
    expected: Result<&str, (&str, &str)>,
    calls: usize,
) {
    let server = serve(answers).await;
    let mut reply = backend(&server.url, lines.dialect).stream(request());
    let mut text = String::new();
    let mut end = Err("no end".to_owned());
    while let Some(chunk) = reply.next().await {
        match chunk {
            Ok(Chunk::Delta(delta)) => text.push_str(&delta),
            Ok(Chunk::Done(_)) => end = Ok(()),
            Ok(Chunk::Usage(usage)) => assert_eq!(
                usage,
                Usage {
                    input: 10,
                    output: 5,
                    ..Usage::default()
                }
            ),
            Ok(other) => panic!("{other:?}"),
            Err(error) => end = Err(error.to_string()),
        }
    }
    let result = end.map_err(|error| (text.clone(), error)).map(|()| text);
    assert_eq!(
        result,
        expected
            .map(str::to_owned)
            .map_err(|(text, error)| (text.to_owned(), error.to_owned()))
    );
    assert_eq!(server.seen.lock().unwrap().len(), calls, "calls");
}

#[tokio::test]
async fn streams_text_usage_and_the_end() {
    let server = serve(vec![events(vec![
        Part::Text(": ping\n\n"),
        Part::Text(HELLO),
        Part::Text(STOP),
        Part::Text(USAGE),
        Part::Text(DONE),
    ])])
    .await;
    let chunks: Vec<Chunk> = backend(&server.url, Dialect::OpenAi)
        .stream(request())
        .try_collect()
        .await
        .unwrap();
    let usage = Chunk::Usage(Usage {
        input: 10,
        output: 5,
        ..Usage::default()
    });
    assert_eq!(
        chunks,
        [
            Chunk::Delta("hello".into()),
            usage,
            Chunk::Done(StopReason::Stop)
        ]
    );
    let seen = server.seen.lock().unwrap();
    let (headers, path, body) = &seen[0];
    assert_eq!(path, "/v1/chat/completions");
    assert_eq!(headers["authorization"], "Bearer sk-secret");
    assert_eq!(headers["x-team"], "blue");
    assert_eq!(
        (
            body["model"].as_str(),
            body["messages"][1]["content"].as_str()
        ),
        (Some("echo-1"), Some("hi"))
    );
}

#[tokio::test]
async fn a_stream_may_arrive_in_any_pieces() {
    let whole = "data: {\"choices\":[{\"delta\":{\"content\":\"grüße — 🦞\"}}]}\r\n\r\ndata: [DONE]\r\n\r\n";
    let bytes = whole.bytes().map(|byte| Part::Raw(vec![byte])).collect();
    check(&OPENAI, vec![events(bytes)], Ok("grüße — 🦞"), 1).await;
    check(
        &OPENAI,
        vec![events(vec![Part::Raw(whole.as_bytes().to_vec())])],
        Ok("grüße — 🦞"),
        1,
    )
    .await;
}

#[tokio::test]
async fn refusals_are_reported_and_some_are_tried_again() {
    for lines in [&OPENAI, &ANTHROPIC] {
        refusals(lines).await;
    }
}

async fn refusals(lines: &Lines) {
    let mock = r#"{"error":{"message":"mock error requested","type":"invalid_request_error"}}"#;
    let fine = || events(vec![Part::Text(lines.hello), Part::Text(lines.end)]);
    check(
        lines,
        vec![refusal(400, mock)],
        Err(("", "HTTP 400: mock error requested")),
        1,
    )
    .await;
    let key = r#"{"error":{"message":"Incorrect API key: sk-secret."}}"#;
    check(
        lines,
        vec![refusal(401, key)],
        Err(("", "HTTP 401: Incorrect API key: [redacted].")),
        1,
    )
    .await;
    check(lines, vec![refusal(429, "{}"), fine()], Ok("hello"), 2).await;
    check(
        lines,
        vec![refusal(500, ""), refusal(503, ""), fine()],
        Ok("hello"),
        3,
    )
    .await;
    check(
        lines,
        vec![refusal(500, "")],
        Err(("", "HTTP 500: Internal Server Error")),
        3,
    )
    .await;
    let mut polite = refusal(429, "{}");
    polite.headers.push(("retry-after", "86400"));
    check(lines, vec![polite, fine()], Ok("hello"), 2).await;
    let mut moved = refusal(307, "");
    moved.headers.push(("location", "http://127.0.0.1:1/"));
    check(
        lines,
        vec![moved],
        Err(("", "HTTP 307: Temporary Redirect")),
        1,
    )
    .await;
}

#[tokio::test]
async fn broken_streams_are_told_apart() {
    for lines in [&OPENAI, &ANTHROPIC] {
        broken(lines).await;
    }
}

async fn broken(lines: &Lines) {
    let cut = "model stream ended before the reply was complete";
    let garbage = "model provider \"mock\" sent an answer that is not understood";
    check(
        lines,
        vec![events(vec![Part::Text(lines.hello)])],
        Err(("hello", cut)),
        1,
    )
    .await;
    check(
        lines,
        vec![events(vec![Part::Text(lines.hello), Part::Cut])],
        Err(("hello", cut)),
        1,
    )
    .await;
    check(lines, vec![events(vec![])], Err(("", cut)), 1).await;
    let stalled = "model stream stalled: nothing arrived for 0 s";
    check(
        lines,
        vec![events(vec![Part::Text(lines.hello), Part::Stall])],
        Err(("hello", stalled)),
        1,
    )
    .await;
    check(
        lines,
        vec![events(vec![
            Part::Text(lines.hello),
            Part::Text("data: hm\n\n"),
        ])],
        Err(("hello", &format!("{garbage}: {}", lines.not_ours))),
        1,
    )
    .await;
    check(
        lines,
        vec![events(vec![Part::Raw(b"data: \xff\xfe\n\n".to_vec())])],
        Err(("", &format!("{garbage}: it is not UTF-8"))),
        1,
    )
    .await;
    let page = Answer {
        headers: vec![("content-type", "text/html")],
        ..events(vec![Part::Text("<html>")])
    };
    check(
        lines,
        vec![page],
        Err(("", &format!("{garbage}: it is no event stream"))),
        1,
    )
    .await;
    let silent = Answer {
        head: Head::Never,
        ..events(vec![])
    };
    check(
        lines,
        vec![silent],
        Err(("", "model provider \"mock\" sent no answer for 0 s")),
        1,
    )
    .await;
    check(
        lines,
        vec![events(vec![
            Part::Text(lines.hello),
            Part::Text(lines.busy),
        ])],
        Err(("hello", "model error: busy")),
        1,
    )
    .await;
}

#[tokio::test]
async fn nobody_listening() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1?key=sk-secret", listener.local_addr().unwrap());
    drop(listener);
    let error = backend(&url, Dialect::OpenAi)
        .stream(request())
        .try_collect::<Vec<_>>()
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("model provider \"mock\" could not be reached: "),
        "{error}"
    );
    assert!(
        !error.contains("127.0.0.1") && !error.contains("sk-secret"),
        "{error}"
    );
}

#[tokio::test]
async fn dropping_the_stream_hangs_up() {
    let server = serve(vec![events(vec![Part::Text(HELLO), Part::Stall])]).await;
    let mut reply = backend(&server.url, Dialect::OpenAi).stream(request());
    let (first, dropped) = oneshot::channel();
    let reading = tokio::spawn(async move {
        assert_eq!(reply.next().await, Some(Ok(Chunk::Delta("hello".into()))));
        drop(reply);
        first.send(()).unwrap();
    });
    dropped.await.unwrap();
    reading.await.unwrap();
    server.gone.acquire().await.unwrap().forget();
}

#[test]
fn configurations_that_cannot_work_say_so() {
    for (base_url, key, text) in [
        (
            "not a url",
            "k",
            "model provider \"p\": baseUrl is not a URL",
        ),
        ("", "k", "model provider \"p\": baseUrl is not a URL"),
        (
            "ftp://host/v1",
            "k",
            "model provider \"p\": baseUrl must begin with http:// or https://",
        ),
        (
            "http://host/v1",
            "a\nb",
            "model provider \"p\": apiKey or headers hold characters that no header can",
        ),
    ] {
        let endpoint = Endpoint {
            provider: "p".into(),
            dialect: Dialect::OpenAi,
            bearer: false,
            base_url: base_url.into(),
            api_key: Some(key.into()),
            headers: vec![],
        };
        let error = HttpModel::new(&endpoint, Timeouts::default())
            .err()
            .map(|error| error.to_string());
        assert_eq!(error.as_deref(), Some(text), "{base_url}");
    }
}

#[tokio::test]
async fn keys_and_paths_of_anthropic() {
    for (bearer, header, value) in [
        (false, "x-api-key", "sk-secret"),
        (true, "authorization", "Bearer sk-secret"),
    ] {
        let server = serve(vec![events(vec![Part::Text(ANTHROPIC.end)])]).await;
        let endpoint = Endpoint {
            provider: "mock".into(),
            dialect: Dialect::Anthropic,
            base_url: server.url.clone(),
            api_key: Some("sk-secret".into()),
            bearer,
            headers: vec![("anthropic-beta".into(), "x".into())],
        };
        let model = HttpModel::new(&endpoint, Timeouts::default()).unwrap();
        let chunks: Vec<Chunk> = model.stream(request()).try_collect().await.unwrap();
        assert_eq!(chunks, [Chunk::Done(StopReason::Stop)]);
        let seen = server.seen.lock().unwrap();
        let (headers, path, body) = &seen[0];
        assert_eq!(
            (path.as_str(), &headers[header]),
            ("/v1/messages", &HeaderValue::from_static(value))
        );
        assert_eq!(headers["anthropic-version"], anthropic::VERSION);
        assert_eq!(headers["anthropic-beta"], "x");
        assert_eq!(body["messages"][0]["content"][0]["text"], "hi");
    }
    for (base, url) in [
        (
            "https://api.anthropic.com",
            "https://api.anthropic.com/v1/messages",
        ),
        ("http://host/v1/", "http://host/v1/messages"),
    ] {
        assert_eq!(Dialect::Anthropic.url(base), url);
    }
}
