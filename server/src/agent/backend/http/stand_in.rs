//! A scripted model server on a real socket, for tests of what goes wrong: the backend's own, and those of what clients are
//! told of it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::{Dialect, Timeouts};

/// Waits of a test.
pub(in crate::agent) const IMPATIENT: Timeouts = Timeouts {
    connect: Duration::from_secs(5),
    first_byte: Duration::from_millis(300),
    between: Duration::from_millis(300),
    back_off: Duration::from_millis(1),
    max_back_off: Duration::from_millis(2),
};

/// What the server does after the head of its answer.
#[derive(Clone)]
pub(in crate::agent) enum Part {
    Text(&'static str),
    Raw(Vec<u8>),
    /// Send nothing more and keep the connection.
    Stall,
    /// Break the connection.
    Cut,
}

/// Whether an answer has a beginning.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::agent) enum Head {
    Sent,
    /// Keep the connection and say nothing.
    Never,
    /// Break the connection at once.
    Cut,
}

/// An answer.
#[derive(Clone)]
pub(in crate::agent) struct Answer {
    pub(in crate::agent) status: u16,
    pub(in crate::agent) headers: Vec<(&'static str, &'static str)>,
    pub(in crate::agent) body: Vec<Part>,
    pub(in crate::agent) head: Head,
}

pub(in crate::agent) fn events(body: Vec<Part>) -> Answer {
    Answer {
        status: 200,
        headers: vec![("content-type", "text/event-stream; charset=utf-8")],
        body,
        head: Head::Sent,
    }
}

pub(in crate::agent) fn refusal(status: u16, body: &'static str) -> Answer {
    Answer {
        status,
        headers: vec![("content-type", "application/json")],
        body: vec![Part::Text(body)],
        head: Head::Sent,
    }
}

pub(in crate::agent) type Seen = Arc<Mutex<Vec<(hyper::HeaderMap, String, Value)>>>;

pub(in crate::agent) struct Server {
    pub(in crate::agent) url: String,
    pub(in crate::agent) seen: Seen,
    /// Permits: connections whose client has gone.
    pub(in crate::agent) gone: Arc<Semaphore>,
}

/// Serves `answers` in order, the last one for ever.
pub(in crate::agent) async fn serve(answers: Vec<Answer>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let (seen, gone) = (Seen::default(), Arc::new(Semaphore::new(0)));
    let server = Server {
        url,
        seen: Arc::clone(&seen),
        gone: Arc::clone(&gone),
    };
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (answers, seen, gone) = (answers.clone(), Arc::clone(&seen), Arc::clone(&gone));
            tokio::spawn(async move {
                let service =
                    service_fn(move |request| answer(request, answers.clone(), Arc::clone(&seen)));
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(socket), service)
                    .await;
                gone.add_permits(1);
            });
        }
    });
    server
}

async fn answer(
    request: Request<Incoming>,
    answers: Vec<Answer>,
    seen: Seen,
) -> Result<Response<BoxBody<Bytes, &'static str>>, &'static str> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let call = {
        let mut seen = seen.lock().unwrap();
        seen.push((
            head.headers,
            head.uri.path().to_owned(),
            serde_json::from_slice(&body).unwrap(),
        ));
        seen.len() - 1
    };
    let answer = answers[call.min(answers.len() - 1)].clone();
    match answer.head {
        Head::Sent => {}
        Head::Never => std::future::pending().await,
        Head::Cut => return Err("cut"),
    }
    let parts = stream::iter(answer.body).then(|part| async move {
        match part {
            Part::Text(text) => Ok(Frame::data(Bytes::from_static(text.as_bytes()))),
            Part::Raw(bytes) => Ok(Frame::data(Bytes::from(bytes))),
            Part::Stall => std::future::pending().await,
            Part::Cut => {
                // A pending body lets the server flush what it has.
                tokio::task::yield_now().await;
                Err("cut")
            }
        }
    });
    let mut response = Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    Ok(response
        .body(BodyExt::boxed(StreamBody::new(parts)))
        .unwrap())
}

/// How a dialect says the same things.
pub(in crate::agent) struct Lines {
    pub(in crate::agent) dialect: Dialect,
    pub(in crate::agent) hello: &'static str,
    pub(in crate::agent) end: &'static str,
    pub(in crate::agent) busy: &'static str,
    /// What is wrong with an event that is none.
    pub(in crate::agent) not_ours: &'static str,
}

pub(in crate::agent) const OPENAI: Lines = Lines {
    dialect: Dialect::OpenAi,
    hello: HELLO,
    end: DONE,
    busy: "data: {\"error\":{\"message\":\"busy\"}}\n\n",
    not_ours: "an event is not a completion chunk",
};
pub(in crate::agent) const ANTHROPIC: Lines = Lines {
    dialect: Dialect::Anthropic,
    hello: "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"hello\"}}\n\n",
    end: "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    busy: "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}\n\n",
    not_ours: "an event is not one of a message",
};

pub(in crate::agent) const HELLO: &str =
    "data: {\"choices\":[{\"delta\":{\"content\":\"hello\"}}]}\n\n";
pub(in crate::agent) const STOP: &str =
    "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
pub(in crate::agent) const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":15}}\n\n";
pub(in crate::agent) const DONE: &str = "data: [DONE]\n\n";
