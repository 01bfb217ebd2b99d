//! From HTTP to WebSocket (contract 1.1): any path upgrades, the first offered subprotocol is echoed, no extension is
//! negotiated. Who may come in is decided by the first frame, not here.

use fastwebsockets::upgrade;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::header::{HeaderValue, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION};
use hyper::{HeaderMap, Method, Request, StatusCode, Version};

use super::answer::{self, Response};

/// Does the client ask for WebSocket?
pub(super) fn is_asked_for(request: &Request<Incoming>) -> bool {
    upgrade::is_upgrade_request(request)
}

/// The response that switches protocols.
///
/// # Errors
/// The response that refuses, when the request breaks RFC 6455.
pub(super) fn accept(request: &mut Request<Incoming>) -> Result<Response, Box<Response>> {
    if request.method() != Method::GET || request.version() < Version::HTTP_11 {
        return Err(Box::new(answer::refuse(
            StatusCode::BAD_REQUEST,
            "a WebSocket upgrade is a GET request of HTTP/1.1",
        )));
    }
    let version = request.headers().get(SEC_WEBSOCKET_VERSION);
    if version.is_none_or(|version| version.as_bytes() != b"13") {
        let mut response = answer::refuse(
            StatusCode::UPGRADE_REQUIRED,
            "only WebSocket version 13 is spoken here",
        );
        response
            .headers_mut()
            .insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        return Err(Box::new(response));
    }
    let protocol = first_protocol(request.headers());
    // The future that comes with the response would keep the HTTP connection's machinery; the socket is taken from
    // the connection itself instead.
    let Ok((response, _)) = upgrade::upgrade(request) else {
        return Err(Box::new(answer::refuse(
            StatusCode::BAD_REQUEST,
            "Sec-WebSocket-Key is missing",
        )));
    };
    let mut response = response.map(|_| Either::Left(Full::default()));
    if let Some(protocol) = protocol {
        response
            .headers_mut()
            .insert(SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    Ok(response)
}

/// The subprotocol that the client named first.
fn first_protocol(headers: &HeaderMap) -> Option<HeaderValue> {
    let offered = headers.get(SEC_WEBSOCKET_PROTOCOL)?.as_bytes();
    let first = offered.split(|byte| *byte == b',').next()?.trim_ascii();
    HeaderValue::from_bytes(first)
        .ok()
        .filter(|protocol| !protocol.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_offered_subprotocol_is_echoed() {
        for (offered, expected) in [
            (None, None),
            (Some("chat"), Some("chat")),
            (Some(" a , b"), Some("a")),
            (Some(""), None),
            (Some(" ,b"), None),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(offered) = offered {
                headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(offered));
            }
            let echoed = first_protocol(&headers);
            assert_eq!(
                echoed.as_ref().map(HeaderValue::as_bytes),
                expected.map(str::as_bytes),
                "{offered:?}"
            );
        }
    }
}
