//! HTTP answers. The surfaces of contract 10 that are not built are absent: 404.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::stream::{BoxStream, Stream, StreamExt};
use http_body_util::{Either, Full};
use hyper::body::Frame;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Method, StatusCode};
use serde::Serialize;

/// A body that is there, or one that comes piece by piece.
pub type Body = Either<Full<Bytes>, Pieces>;

/// A body that comes piece by piece. Dropping it ends what makes it.
pub struct Pieces(BoxStream<'static, Bytes>);

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0
            .poll_next_unpin(cx)
            .map(|piece| piece.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// Every answer of this server.
pub type Response = hyper::Response<Body>;

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json; charset=utf-8";
const EVENTS: &str = "text/event-stream; charset=utf-8";

/// The answer to a request that is no upgrade.
pub fn route(method: &Method, path: &str, is_ready: bool) -> Response {
    match path {
        "/healthz" => probe(method, true, "live"),
        "/readyz" => probe(
            method,
            is_ready,
            if is_ready { "ready" } else { "not ready" },
        ),
        _ => refuse(StatusCode::NOT_FOUND, "Not Found"),
    }
}

/// A probe of the process, for supervisors and load balancers (odd 47).
fn probe(method: &Method, ok: bool, status: &str) -> Response {
    if !is_read(method) {
        return only_reads();
    }
    let code = if ok {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let mut response = build(code, JSON, format!(r#"{{"ok":{ok},"status":"{status}"}}"#));
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Does the method ask for something and nothing more?
pub fn is_read(method: &Method) -> bool {
    method == Method::GET || method == Method::HEAD
}

/// The answer to a request that wants to change what can only be read.
pub fn only_reads() -> Response {
    let mut response = refuse(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

/// The answer to a request that is no POST where nothing else makes sense.
pub fn only_posts() -> Response {
    let mut response = refuse(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static("POST"));
    response
}

/// A value as JSON. Never kept by caches: it is somebody's conversation.
pub fn json(code: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(text) => {
            let mut response = build(code, JSON, text);
            response
                .headers_mut()
                .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
        Err(error) => {
            tracing::error!(%error, "an answer cannot be written");
            refuse(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
        }
    }
}

/// Server-sent events, each a text as it goes over the wire.
pub fn events(texts: impl Stream<Item = String> + Send + 'static) -> Response {
    let pieces = Pieces(texts.map(Bytes::from).boxed());
    let mut response = headed(StatusCode::OK, EVENTS, Either::Right(pieces));
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// Says when to come again.
pub fn not_before(mut response: Response, wait_ms: u64) -> Response {
    let seconds = HeaderValue::from(wait_ms.div_ceil(1000));
    response.headers_mut().insert(RETRY_AFTER, seconds);
    response
}

/// An error in plain text.
pub fn refuse(code: StatusCode, text: &'static str) -> Response {
    build(code, TEXT, text)
}

/// An answer with the headers that all have.
pub fn build(code: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response {
    headed(code, content_type, Either::Left(Full::new(body.into())))
}

fn headed(code: StatusCode, content_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(
        HeaderName::from_static("x-content-type-options"),
        HeaderValue::from_static("nosniff"),
    );
    response
}
