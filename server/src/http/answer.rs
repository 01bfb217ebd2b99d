//! Plain HTTP answers. The surfaces of contract 10 that are not built are absent: 404.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};

/// Every answer of this server.
pub(super) type Response = hyper::Response<Full<Bytes>>;

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json; charset=utf-8";

/// The answer to a request that is no upgrade.
pub(super) fn route(method: &Method, path: &str, is_ready: bool) -> Response {
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
pub(super) fn is_read(method: &Method) -> bool {
    method == Method::GET || method == Method::HEAD
}

/// The answer to a request that wants to change what can only be read.
pub(super) fn only_reads() -> Response {
    let mut response = refuse(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

/// An error in plain text.
pub(super) fn refuse(code: StatusCode, text: &'static str) -> Response {
    build(code, TEXT, text)
}

/// An answer with the headers that all have.
pub(super) fn build(
    code: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(
        HeaderName::from_static("x-content-type-options"),
        HeaderValue::from_static("nosniff"),
    );
    response
}
