//! The scripted model: an OpenAI-compatible chat-completions server that answers the same way every time. The last user
//! text selects what it does:
//!
//! | text holds | answer |
//! |---|---|
//! | `[error]` | HTTP 400, `mock error requested` |
//! | `[tool]`, tools offered, none called yet | one call of the `read` tool |
//! | `[slow]` | 80 chunks, one every 250 ms |
//! | anything else | `echo: <text>` in five chunks, one every 200 ms |
//!
//! The recordings were made with such a model (`recordings/README.md` of the reference, "How they were made").

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Longest request: a transcript with a few images.
const MAX_REQUEST_BYTES: usize = 16 * 1024 * 1024;
/// Connections at a time: one for each run of each session that plays.
const MAX_CONNECTIONS: usize = 256;

/// How long the model takes between two chunks.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Of an ordinary answer.
    pub chunk: Duration,
    /// Of a slow one.
    pub slow_chunk: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            chunk: Duration::from_millis(200),
            slow_chunk: Duration::from_millis(250),
        }
    }
}

const CHUNKS: usize = 5;
const SLOW_CHUNKS: usize = 80;

/// A running model; it stops when dropped.
pub struct Model {
    addr: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

impl Model {
    /// Starts on a free port of the loopback interface.
    ///
    /// # Errors
    ///
    /// When no port can be opened.
    pub async fn start(pace: Pace) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let addr = listener.local_addr()?;
        Ok(Self {
            addr,
            task: tokio::spawn(serve(listener, pace)),
        })
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.addr.port()
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, pace: Pace) {
    let mut connections = JoinSet::new();
    loop {
        while connections.len() >= MAX_CONNECTIONS {
            connections.join_next().await;
        }
        // A connection that was gone before it was accepted is no reason to stop.
        let Ok((socket, _)) = listener.accept().await else {
            continue;
        };
        connections.spawn(async move {
            let service = service_fn(move |request| answer(request, pace));
            // A gateway that hangs up in the middle of an answer (an aborted run) ends up here as an error.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(socket), service)
                .await;
        });
        while connections.try_join_next().is_some() {}
    }
}

type Body = BoxBody<Bytes, Infallible>;

async fn answer(
    request: Request<Incoming>,
    pace: Pace,
) -> Result<Response<Body>, hyper::http::Error> {
    let plain = |status: StatusCode, body: Value| {
        Response::builder()
            .status(status)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body.to_string())).boxed())
    };
    if request.method() != Method::POST || !request.uri().path().ends_with("/chat/completions") {
        return plain(StatusCode::NOT_FOUND, json!({}));
    }
    let body = Limited::new(request.into_body(), MAX_REQUEST_BYTES)
        .collect()
        .await;
    let Some(body) = body
        .ok()
        .and_then(|b| serde_json::from_slice::<Value>(&b.to_bytes()).ok())
    else {
        return plain(
            StatusCode::BAD_REQUEST,
            json!({"error": {"message": "not a request"}}),
        );
    };
    match reply(&body) {
        Reply::Refused => plain(
            StatusCode::BAD_REQUEST,
            json!({"error": {"message": "mock error requested", "type": "invalid_request_error", "code": "mock_error"}}),
        ),
        Reply::Stream { chunks, slow } => {
            let wait = if slow { pace.slow_chunk } else { pace.chunk };
            let frames = stream::unfold(chunks.into_iter(), move |mut chunks| async move {
                let chunk = chunks.next()?;
                if chunk.waits {
                    tokio::time::sleep(wait).await;
                }
                Some((Ok(Frame::data(Bytes::from(chunk.text))), chunks))
            });
            Response::builder()
                .header(header::CONTENT_TYPE, "text/event-stream")
                .header(header::CACHE_CONTROL, "no-cache")
                .body(BodyExt::boxed(StreamBody::new(frames)))
        }
    }
}

/// A piece of the answer as it goes over the wire.
#[derive(Debug, Clone, PartialEq)]
struct Chunk {
    text: String,
    /// Comes a pace after the one before.
    waits: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum Reply {
    Refused,
    Stream { chunks: Vec<Chunk>, slow: bool },
}

fn reply(body: &Value) -> Reply {
    let messages = body
        .get("messages")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let role = |m: &Value, role: &str| m.get("role").is_some_and(|r| r == role);
    let last_user = messages.iter().rposition(|m| role(m, "user"));
    let text = last_user
        .map(|i| without_envelope(&text_of(&messages[i])))
        .unwrap_or_default();
    if text.contains("[error]") {
        return Reply::Refused;
    }
    let tool_done = messages[last_user.map_or(0, |i| i + 1)..]
        .iter()
        .any(|m| role(m, "tool"));
    let has_tools = body
        .get("tools")
        .and_then(Value::as_array)
        .is_some_and(|t| !t.is_empty());
    let model = body.get("model").cloned().unwrap_or(Value::Null);
    let data = |mut member: Value| {
        let chunk = json!({"id": "chatcmpl-mock", "object": "chat.completion.chunk", "created": 1, "model": model});
        if let (Some(into), Value::Object(base)) = (member.as_object_mut(), chunk) {
            into.extend(base);
        }
        format!("data: {member}\n\n")
    };
    let delta = |delta: Value, finish: Value| {
        data(json!({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}))
    };
    let mut chunks = vec![Chunk {
        text: delta(json!({"role": "assistant", "content": ""}), Value::Null),
        waits: false,
    }];
    let (slow, finish) = if text.contains("[tool]") && !tool_done && has_tools {
        let call = |call: Value| delta(json!({"tool_calls": [call]}), Value::Null);
        let name = json!({"index": 0, "id": "call_mock_1", "type": "function", "function": {"name": "read", "arguments": ""}});
        let arguments = json!({"index": 0, "function": {"arguments": json!({"path": "mock-tool-input.txt"}).to_string()}});
        chunks.push(Chunk {
            text: call(name),
            waits: false,
        });
        chunks.push(Chunk {
            text: call(arguments),
            waits: true,
        });
        (false, "tool_calls")
    } else {
        let slow = text.contains("[slow]");
        let parts = if slow {
            (0..SLOW_CHUNKS).map(|i| format!("slow-{i} ")).collect()
        } else {
            split(&format!("echo: {text}"), CHUNKS)
        };
        for (i, part) in parts.into_iter().enumerate() {
            chunks.push(Chunk {
                text: delta(json!({"content": part}), Value::Null),
                waits: i > 0,
            });
        }
        (slow, "stop")
    };
    chunks.push(Chunk {
        text: delta(json!({}), finish.into()),
        waits: finish == "stop",
    });
    let usage = json!({"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}});
    chunks.push(Chunk {
        text: data(usage),
        waits: false,
    });
    chunks.push(Chunk {
        text: "data: [DONE]\n\n".into(),
        waits: false,
    });
    Reply::Stream { chunks, slow }
}

fn text_of(message: &Value) -> String {
    match message.get("content") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => {
            let texts = parts
                .iter()
                .filter(|p| p.get("type").is_some_and(|t| t == "text"));
            texts
                .filter_map(|p| p.get("text")?.as_str())
                .collect::<Vec<_>>()
                .join("\n")
        }
        _ => String::new(),
    }
}

/// Takes off what a gateway may wrap around the user's words: event lines, message ids, the time, and an envelope
/// `[… 2026-01-29 …]` at the start.
fn without_envelope(text: &str) -> String {
    let wrapped = ["System: [", "[message_id: ", "Current time: "];
    let lines: Vec<&str> = text
        .split('\n')
        .filter(|l| !wrapped.iter().any(|w| l.starts_with(w)))
        .collect();
    let text = lines.join("\n");
    let text = text.trim();
    let envelope = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    match envelope {
        Some((inside, words)) if holds_date(inside) => words.trim().to_owned(),
        _ => text.to_owned(),
    }
}

fn holds_date(text: &str) -> bool {
    text.as_bytes().windows(10).any(|w| {
        w.iter().enumerate().all(|(i, b)| {
            if matches!(i, 4 | 7) {
                *b == b'-'
            } else {
                b.is_ascii_digit()
            }
        })
    })
}

/// Cuts a text into at most `parts` pieces of equal length (the last may be shorter).
fn split(text: &str, parts: usize) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    chars
        .chunks(chars.len().div_ceil(parts).max(1))
        .map(|part| part.iter().collect())
        .collect()
}

#[cfg(test)]
mod tests;
