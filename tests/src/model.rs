//! A model server for whole-process tests: it speaks OpenAI's chat completions and Anthropic's messages, always answers in
//! the same way, and is as strict as the providers about what it is told. What does not hold the rules is refused with 400
//! and remembered. The last words of the user say what it does:
//!
//! | words hold | answer |
//! |---|---|
//! | `[call NAME {JSON}]`, and no tool has been used since | one call of that tool |
//! | anything else | `echo: <words>`, in pieces |

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

/// Longest request.
const MAX_REQUEST: usize = 16 * 1024 * 1024;
/// Pieces of an answer.
const PIECES: usize = 4;

/// The language that a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Chat completions.
    OpenAi,
    /// Messages.
    Anthropic,
}

impl Dialect {
    /// The configured name of its API.
    pub fn api(self) -> &'static str {
        match self {
            Dialect::OpenAi => "openai-completions",
            Dialect::Anthropic => "anthropic-messages",
        }
    }
}

#[derive(Debug, Default)]
struct Seen {
    /// Last words of the user, one for each request.
    words: Vec<String>,
    violations: Vec<String>,
}

/// A running model server; it stops when dropped.
pub struct Model {
    port: u16,
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

impl Model {
    /// Starts one that waits for `pace` before each piece of an answer.
    pub async fn start(pace: Duration) -> Model {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let seen = Arc::<Mutex<Seen>>::default();
        let task = tokio::spawn(serve(listener, pace, Arc::clone(&seen)));
        Model { port, seen, task }
    }

    /// `models` of a configuration whose one model, `mock/m`, this is.
    pub fn config(&self, dialect: Dialect) -> Value {
        json!({"providers": {"mock": {
            "baseUrl": format!("http://127.0.0.1:{}/v1", self.port), "apiKey": "key", "api": dialect.api(),
            "models": [{"id": "m", "contextWindow": 200_000}]
        }}})
    }

    /// How many requests have had these words among the last ones of the user.
    pub fn asked(&self, words: &str) -> usize {
        let seen = lock(&self.seen);
        seen.words
            .iter()
            .filter(|last| last.contains(words))
            .count()
    }

    /// How many requests have had last words of the user that begin like this.
    pub fn asked_from(&self, start: &str) -> usize {
        let seen = lock(&self.seen);
        let begun = |last: &&String| last.starts_with(start);
        seen.words.iter().filter(begun).count()
    }

    /// What was wrong with requests.
    pub fn violations(&self) -> Vec<String> {
        lock(&self.seen).violations.clone()
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, pace: Duration, seen: Arc<Mutex<Seen>>) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let seen = Arc::clone(&seen);
        connections.spawn(async move {
            let service = service_fn(move |request| answer(request, pace, Arc::clone(&seen)));
            // A gateway that is killed in the middle of an answer ends up here as an error.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(socket), service)
                .await;
        });
        while connections.try_join_next().is_some() {}
    }
}

type Answer = Result<Response<BoxBody<Bytes, Infallible>>, hyper::http::Error>;

async fn answer(request: Request<Incoming>, pace: Duration, seen: Arc<Mutex<Seen>>) -> Answer {
    let dialect = match request.uri().path() {
        "/v1/messages" => Dialect::Anthropic,
        _ => Dialect::OpenAi,
    };
    let body = Limited::new(request.into_body(), MAX_REQUEST)
        .collect()
        .await;
    let body: Value = match body.map(|body| serde_json::from_slice(&body.to_bytes())) {
        Ok(Ok(body)) => body,
        // Cut off by a kill.
        _ => return refuse("not a request"),
    };
    let told = match dialect {
        Dialect::OpenAi => openai(&body),
        Dialect::Anthropic => anthropic(&body),
    };
    let told = match told.and_then(|told| checked(&told).map(|()| told)) {
        Ok(told) => told,
        Err(violation) => {
            let text = format!("{violation}: {body}");
            lock(&seen).violations.push(text);
            return refuse(&violation);
        }
    };
    let last = told.iter().rposition(|said| matches!(said, Said::User(_)));
    let words = match last.map(|last| &told[last]) {
        Some(Said::User(words)) => words.clone(),
        _ => String::new(),
    };
    let since = &told[last.map_or(0, |last| last + 1)..];
    let is_done = since.iter().any(|said| matches!(said, Said::Result(_)));
    lock(&seen).words.push(words.clone());
    let events = match called(&words).filter(|_| !is_done) {
        Some((name, arguments)) => call_events(dialect, &name, &arguments),
        None => text_events(dialect, &format!("echo: {words}")),
    };
    let frames = stream::unfold(events.into_iter(), move |mut events| async move {
        let event = events.next()?;
        tokio::time::sleep(pace).await;
        Some((Ok(Frame::data(Bytes::from(event))), events))
    });
    Response::builder()
        .header(header::CONTENT_TYPE, "text/event-stream")
        .body(BodyExt::boxed(StreamBody::new(frames)))
}

fn refuse(why: &str) -> Answer {
    Response::builder()
        .status(StatusCode::BAD_REQUEST)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(json!({"error": {"message": why}}).to_string())).boxed())
}

/// What a conversation holds, whichever the dialect.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    User(String),
    Assistant(Vec<String>),
    Result(String),
}

fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        other => {
            let parts = other.as_array().into_iter().flatten();
            let texts = parts.filter_map(|part| part["text"].as_str());
            texts.collect::<Vec<_>>().join("\n")
        }
    }
}

fn id_of(value: &Value) -> Result<String, String> {
    let id = value.as_str().ok_or("a call or result has no id")?;
    Ok(id.to_owned())
}

fn messages(body: &Value) -> Result<&Vec<Value>, String> {
    let messages = body["messages"].as_array();
    messages
        .filter(|messages| !messages.is_empty())
        .ok_or("no messages".to_owned())
}

fn openai(body: &Value) -> Result<Vec<Said>, String> {
    let mut told = Vec::new();
    for message in messages(body)? {
        match message["role"].as_str() {
            Some("system" | "developer") => {}
            Some("user") => told.push(Said::User(text_of(&message["content"]))),
            Some("assistant") => {
                let calls = message["tool_calls"].as_array().into_iter().flatten();
                let ids: Result<_, _> = calls.map(|call| id_of(&call["id"])).collect();
                told.push(Said::Assistant(ids?));
            }
            Some("tool") => told.push(Said::Result(id_of(&message["tool_call_id"])?)),
            other => return Err(format!("role {other:?}")),
        }
    }
    Ok(told)
}

fn anthropic(body: &Value) -> Result<Vec<Said>, String> {
    let mut told = Vec::new();
    let mut before = None;
    for message in messages(body)? {
        let role = message["role"].as_str();
        if role == before || before.is_none() && role != Some("user") {
            return Err("roles do not alternate from user on".to_owned());
        }
        before = role;
        let blocks = message["content"].as_array().ok_or("no blocks")?;
        let of_type = |kind: &'static str| blocks.iter().filter(move |block| block["type"] == kind);
        if role == Some("assistant") {
            let ids: Result<_, _> = of_type("tool_use").map(|call| id_of(&call["id"])).collect();
            told.push(Said::Assistant(ids?));
            continue;
        }
        let results = of_type("tool_result").count();
        if blocks[..results]
            .iter()
            .any(|block| block["type"] != "tool_result")
        {
            return Err("results do not come first".to_owned());
        }
        for result in of_type("tool_result") {
            told.push(Said::Result(id_of(&result["tool_use_id"])?));
        }
        if blocks.len() > results {
            told.push(Said::User(text_of(&message["content"])));
        }
    }
    Ok(told)
}

/// Both providers demand a result for each call, before anything else, and a call for each result.
fn checked(told: &[Said]) -> Result<(), String> {
    let mut open: Vec<&String> = Vec::new();
    for said in told {
        match said {
            Said::Result(id) => {
                let at = open.iter().position(|call| *call == id);
                open.remove(at.ok_or_else(|| format!("a result without a call: {id}"))?);
            }
            _ if !open.is_empty() => return Err(format!("no result for {open:?}")),
            Said::Assistant(calls) => open.extend(calls),
            Said::User(_) => {}
        }
    }
    match open.is_empty() {
        true => Ok(()),
        false => Err(format!("no result for {open:?}")),
    }
}

/// The tool that words ask for, and its arguments.
fn called(words: &str) -> Option<(String, String)> {
    let (_, call) = words.split_once("[call ")?;
    let (name, rest) = call.split_once(' ')?;
    let arguments = serde_json::Deserializer::from_str(rest)
        .into_iter::<Value>()
        .next()?;
    Some((name.to_owned(), arguments.ok()?.to_string()))
}

fn pieces(text: &str) -> Vec<String> {
    let letters: Vec<char> = text.chars().collect();
    let size = letters.len().div_ceil(PIECES).max(1);
    letters
        .chunks(size)
        .map(|piece| piece.iter().collect())
        .collect()
}

fn text_events(dialect: Dialect, text: &str) -> Vec<String> {
    let said = pieces(text);
    match dialect {
        Dialect::OpenAi => {
            let said = said
                .iter()
                .map(|piece| delta(&json!({"content": piece}), None));
            said.chain(end_of_openai("stop")).collect()
        }
        Dialect::Anthropic => {
            let start = json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}});
            let said = said.iter().map(|piece| {
                json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}})
            });
            block(start, said.collect(), "end_turn")
        }
    }
}

fn call_events(dialect: Dialect, name: &str, arguments: &str) -> Vec<String> {
    // Ids are unlike each other, as those of providers are.
    let id = format!(
        "call_{}",
        std::time::UNIX_EPOCH
            .elapsed()
            .map_or(0, |age| age.as_nanos())
    );
    match dialect {
        Dialect::OpenAi => {
            let call = json!({"index": 0, "id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
            let call = delta(&json!({"tool_calls": [call]}), None);
            [call]
                .into_iter()
                .chain(end_of_openai("tool_calls"))
                .collect()
        }
        Dialect::Anthropic => {
            let start = json!({"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": id, "name": name, "input": {}}});
            let input = json!({"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": arguments}});
            block(start, vec![input], "tool_use")
        }
    }
}

fn delta(delta: &Value, finish: Option<&str>) -> String {
    let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
    format!("data: {}\n\n", json!({"choices": [choice]}))
}

fn end_of_openai(finish: &str) -> [String; 2] {
    [
        delta(&json!({}), Some(finish)),
        "data: [DONE]\n\n".to_owned(),
    ]
}

fn block(start: Value, deltas: Vec<Value>, reason: &str) -> Vec<String> {
    let begin = json!({"type": "message_start", "message": {"usage": {"input_tokens": 10, "output_tokens": 0}}});
    let end = [
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 5}}),
        json!({"type": "message_stop"}),
    ];
    let all = [begin, start].into_iter().chain(deltas).chain(end);
    all.map(|event| {
        format!(
            "event: {}\ndata: {event}\n\n",
            event["type"].as_str().unwrap_or_default()
        )
    })
    .collect()
}
