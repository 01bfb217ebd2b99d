//! Turns a byte stream into a WebSocket: the client's side of the HTTP upgrade (RFC 6455, 4.1).

use std::io;
use std::pin::pin;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::future::{Either, select};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, UPGRADE};
use hyper::header::{SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION};
use hyper::{Request, StatusCode, http};
use hyper_util::rt::TokioIo;
use openclaw_websocket::Prefixed;
use sha1::{Digest as _, Sha1};

use crate::dial::Socket;
use crate::endpoint::Endpoint;

/// What every WebSocket server appends to the key before hashing it (RFC 6455, section 1.3).
const KEY_SUFFIX: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A byte stream after its upgrade: it carries frames.
pub(crate) type Upgraded = Prefixed<Box<dyn Socket>>;

/// The peer did not become a WebSocket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpgradeError {
    /// It answered with another status.
    #[error("it answered HTTP {0}")]
    Status(StatusCode),
    /// It did not prove that it had read the key.
    #[error("its answer to the WebSocket key is wrong")]
    Accept,
    /// It is no HTTP server, or the connection broke.
    #[error("{0}")]
    Http(#[from] hyper::Error),
    /// The URL cannot be put into a request.
    #[error("{0}")]
    Request(#[from] http::Error),
    /// The operating system has no random numbers.
    #[error("{0}")]
    Random(io::Error),
}

/// Asks for the upgrade and waits for it.
pub(crate) async fn upgrade(
    endpoint: &Endpoint,
    socket: Box<dyn Socket>,
) -> Result<Upgraded, UpgradeError> {
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce).map_err(|e| UpgradeError::Random(io::Error::other(e)))?;
    let key = STANDARD.encode(nonce);
    let request = Request::builder()
        .uri(endpoint.path())
        .header(HOST, endpoint.host_header())
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_VERSION, "13")
        .header(SEC_WEBSOCKET_KEY, &key)
        .body(Empty::<Bytes>::new())?;

    let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
    let exchange = async move {
        let response = sender.send_request(request).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(UpgradeError::Status(response.status()));
        }
        let accept = response.headers().get(SEC_WEBSOCKET_ACCEPT);
        if accept.is_none_or(|accept| accept != &*accept_for(&key)) {
            return Err(UpgradeError::Accept);
        }
        Ok(hyper::upgrade::on(response).await?)
    };
    // The connection moves the bytes of the exchange, and ends when the upgrade is through.
    let upgraded = match select(pin!(exchange), pin!(connection.with_upgrades())).await {
        Either::Left((outcome, _)) => outcome,
        Either::Right((_, exchange)) => exchange.await,
    }?;
    let parts = upgraded
        .downcast::<TokioIo<Box<dyn Socket>>>()
        .map_err(|_| UpgradeError::Accept)?;
    Ok(Prefixed::new(parts.read_buf, parts.io.into_inner()))
}

/// The value of `Sec-WebSocket-Accept` that proves that a server has read the key.
pub(crate) fn accept_for(key: &str) -> String {
    STANDARD.encode(Sha1::digest(format!("{key}{KEY_SUFFIX}")))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[test]
    fn the_example_of_the_rfc() {
        let accept = accept_for("dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    /// What becomes of an upgrade that is answered with `answer`, in which `KEY` stands for the
    /// right proof; and the request that was made.
    async fn answered(answer: &str) -> (Result<Upgraded, UpgradeError>, String) {
        let (near, mut far) = tokio::io::duplex(4096);
        let endpoint = Endpoint::parse("ws://gw.example.com:18789/x?y=z").unwrap();
        let server = async {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(far.read_u8().await.unwrap());
            }
            let request = String::from_utf8(request).unwrap();
            let key = request
                .lines()
                .find_map(|line| line.strip_prefix("sec-websocket-key: "))
                .unwrap();
            let answer = answer.replace("KEY", &accept_for(key));
            far.write_all(answer.as_bytes()).await.unwrap();
            request
        };
        let (outcome, request) = tokio::join!(upgrade(&endpoint, Box::new(near)), server);
        (outcome, request)
    }

    #[tokio::test]
    async fn an_upgrade_keeps_the_bytes_that_came_with_it() {
        let (upgraded, request) = answered(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-accept: KEY\r\n\r\nfirst frame",
        )
        .await;
        assert!(request.starts_with("GET /x?y=z HTTP/1.1\r\n"), "{request}");
        assert!(
            request.contains("host: gw.example.com:18789\r\n"),
            "{request}"
        );
        let mut rest = String::new();
        upgraded.unwrap().read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "first frame");
    }

    #[tokio::test]
    async fn other_answers_are_refused() {
        let cases = [
            (
                "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
                "HTTP 404",
            ),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf",
                "HTTP 200",
            ),
            (
                "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                 sec-websocket-accept: wrong\r\n\r\n",
                "WebSocket key",
            ),
            (
                "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n",
                "WebSocket key",
            ),
            ("SSH-2.0-OpenSSH_9.9\r\n", ""),
        ];
        for (answer, words) in cases {
            let error = answered(answer)
                .await
                .0
                .map(|_| ())
                .unwrap_err()
                .to_string();
            assert!(error.contains(words), "{answer}: {error}");
        }
    }
}
