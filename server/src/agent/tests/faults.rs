//! What clients are told when the model's server fails, whichever its dialect: one table for both.
//!
//! Times are real here, and short; each case ends on an event.

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::super::backend::http::Dialect;
use super::super::backend::http::stand_in::{
    ANTHROPIC, Answer, Head, IMPATIENT, Lines, OPENAI, Part, Server, events, refusal, serve,
};
use super::super::backend::scripted::Scripted;
use super::{Models, START, World};

/// What happens, and what the server answers, call by call; the last one for ever.
fn faults(lines: &Lines) -> Vec<(&'static str, Vec<Answer>)> {
    let (hello, end) = (Part::Text(lines.hello), Part::Text(lines.end));
    let said = |more: Vec<Part>| events([vec![hello.clone()], more].concat());
    let fine = || said(vec![end.clone()]);
    let never = |head| Answer {
        head,
        ..events(vec![])
    };
    let polite = |seconds| {
        let mut answer = refusal(429, r#"{"error":{"message":"slow down"}}"#);
        answer.headers.push(("retry-after", seconds));
        answer
    };
    let page = Answer {
        headers: vec![("content-type", "text/html")],
        ..events(vec![Part::Text("<html>")])
    };
    vec![
        ("nothing", vec![fine()]),
        (
            "400",
            vec![refusal(400, r#"{"error":{"message":"no such model"}}"#)],
        ),
        (
            "401 that quotes the key",
            vec![refusal(401, r#"{"error":{"message":"bad key sk-secret"}}"#)],
        ),
        (
            "429 with retry-after, then an answer",
            vec![polite("1"), fine()],
        ),
        (
            "429 with retry-after of a day, for ever",
            vec![polite("86400")],
        ),
        ("500, then an answer", vec![refusal(500, ""), fine()]),
        (
            "500 and 503, then an answer",
            vec![refusal(500, ""), refusal(503, ""), fine()],
        ),
        ("500 for ever", vec![refusal(500, "")]),
        (
            "connection cut before the answer, then an answer",
            vec![never(Head::Cut), fine()],
        ),
        (
            "connection cut before the answer, for ever",
            vec![never(Head::Cut)],
        ),
        ("no first byte", vec![never(Head::Never)]),
        (
            "stall before the first event",
            vec![events(vec![Part::Stall])],
        ),
        ("stall after some words", vec![said(vec![Part::Stall])]),
        (
            "connection cut after some words",
            vec![said(vec![Part::Cut])],
        ),
        (
            "proper end of the connection after some words",
            vec![said(vec![])],
        ),
        ("empty answer", vec![events(vec![])]),
        (
            "garbage after some words",
            vec![said(vec![Part::Text("data: hm\n\n")])],
        ),
        (
            "bytes that are no text",
            vec![events(vec![Part::Raw(b"data: \xff\xfe\n\n".to_vec())])],
        ),
        ("a web page", vec![page]),
        (
            "an error in the stream",
            vec![said(vec![Part::Text(lines.busy)])],
        ),
    ]
}

async fn world(dialect: Dialect, url: &str) -> World {
    let api = match dialect {
        Dialect::OpenAi => "openai-completions",
        Dialect::Anthropic => "anthropic-messages",
    };
    let provider = json!({"baseUrl": url, "apiKey": "sk-secret", "api": api, "models": [{"id": "echo-1", "contextWindow": 128_000}]});
    let config = json!({"models": {"providers": {"mock": provider}}});
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let models = |config| Models::new(config).with_timeouts(IMPATIENT);
    World::answered(dir, config, START, Scripted::default(), models).await
}

/// What a client sees of one run: its events in order, and how `agent.wait` says it ended.
async fn seen(dialect: Dialect, url: &str) -> String {
    let world = world(dialect, url).await;
    assert_eq!(world.chat("main", "hi", "r").await["status"], "started");
    let end = world.wait("r", 20_000).await;
    let lines = world.lines();
    let of = |stream: &str| {
        let start = format!("r {stream} ");
        let lines = lines.iter().filter_map(|line| line.strip_prefix(&start));
        lines
            .map(|line| line.split_once(' ').unwrap().1.to_owned())
            .collect::<Vec<_>>()
    };
    let (agent, chat) = (of("agent"), of("chat"));
    let ends = |lines: &[String], words: [&str; 2]| {
        lines
            .iter()
            .filter(|line| words.iter().any(|word| line.starts_with(word)))
            .count()
    };
    assert_eq!(
        (
            ends(&agent, ["end", "error"]),
            ends(&chat, ["final", "error"])
        ),
        (1, 1),
        "one end each: {lines:?}"
    );
    let error = end["error"].as_str();
    for last in [agent.last(), chat.last()] {
        let told = last.and_then(|last| last.strip_prefix("error "));
        assert_eq!(told, error, "{lines:?}");
    }
    // A repeated key tells the same.
    let again = world.chat("main", "hi", "r").await;
    assert_eq!(again["failed"]["summary"].as_str(), error, "{again}");
    let ended = end["status"].as_str().unwrap();
    format!(
        "agent: {}\n  chat: {}\n  agent.wait: {ended}\n",
        agent.join(", "),
        chat.join(", ")
    )
}

async fn seen_of(lines: &Lines, answers: Vec<Answer>) -> String {
    let Server {
        url, seen: calls, ..
    } = serve(answers).await;
    let seen = seen(lines.dialect, &url).await;
    let calls = calls.lock().unwrap().len();
    format!("  calls: {calls}\n  {seen}")
}

#[tokio::test]
async fn what_clients_see_of_a_failing_server() {
    let mut table = String::new();
    for ((fault, openai), (_, anthropic)) in faults(&OPENAI).into_iter().zip(faults(&ANTHROPIC)) {
        let openai = seen_of(&OPENAI, openai).await;
        // The words for what is no event differ.
        let anthropic = seen_of(&ANTHROPIC, anthropic).await;
        let same = anthropic.replace(ANTHROPIC.not_ours, OPENAI.not_ours);
        assert_eq!(openai, same, "{fault}");
        writeln!(table, "{fault}\n{openai}").unwrap();
    }
    insta::assert_snapshot!("faults", table);
}

#[tokio::test]
async fn what_clients_see_of_no_server() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    drop(listener);
    for dialect in [Dialect::OpenAi, Dialect::Anthropic] {
        let seen = seen(dialect, &url).await;
        let error = "error model provider \"mock\" could not be reached: ";
        assert!(
            seen.starts_with(&format!("agent: start, {error}")),
            "{seen}"
        );
        assert!(!seen.contains("127.0.0.1"), "{seen}");
    }
}

/// What the transcript keeps of a reply that broke off.
#[tokio::test]
async fn words_before_a_fault_stay() {
    for lines in [&OPENAI, &ANTHROPIC] {
        let answer = events(vec![Part::Text(lines.hello), Part::Cut]);
        let server = serve(vec![answer]).await;
        let world = world(lines.dialect, &server.url).await;
        world.chat("main", "hi", "r").await;
        world.wait("r", 20_000).await;
        let history = world.history("main");
        let last: &Value = &history["messages"][1];
        assert_eq!(
            (&last["content"][0]["text"], &last["stopReason"]),
            (&json!("hello"), &json!("error"))
        );
    }
}
