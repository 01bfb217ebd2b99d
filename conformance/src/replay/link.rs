//! One WebSocket connection as a client. Written on fastwebsockets and not on this project's own framing: a judge should
//! not share it with what it judges.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use fastwebsockets::{
    Frame, OpCode, Payload, WebSocketError, WebSocketRead, WebSocketWrite, handshake,
};
use http_body_util::Empty;
use hyper::Request;
use hyper::header::{CONNECTION, UPGRADE};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::session::{Close, NO_CLOSE_FRAME, NO_CODE};

/// Longest upgrade.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest message from a gateway; chat.history is capped at 6 MiB (contract 1.3).
const MAX_MESSAGE_BYTES: usize = 64 * 1024 * 1024;
/// Messages that wait to be written; a session sends a handful at a time.
const OUTBOX: usize = 64;

/// What comes in on a connection.
#[derive(Debug, PartialEq)]
pub(super) enum Incoming {
    /// A text message.
    Text(String),
    /// A binary message, which no gateway should send.
    Binary(usize),
    /// A close frame.
    Closed { code: u16, reason: String },
    /// The end without a close frame, or bytes that are no WebSocket frames.
    Lost,
}

enum Outgoing {
    Message { text: String, binary: bool },
    Pong(Vec<u8>),
    Close { code: u16, reason: String },
}

/// A connection could not be opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error("cannot connect: {0}")]
    Connect(std::io::Error),
    #[error("the upgrade failed: {0}")]
    Upgrade(WebSocketError),
    #[error("not a header: {0}")]
    Header(hyper::http::Error),
    #[error("no answer to the upgrade in {} s", OPEN_TIMEOUT.as_secs())]
    Timeout,
}

/// An open connection. What comes in goes to the channel given to [`Link::open`]. Dropping it cuts the connection.
pub(super) struct Link {
    out: mpsc::Sender<Outgoing>,
    reader: JoinHandle<()>,
    writer: JoinHandle<()>,
}

struct Spawn;

impl<F> hyper::rt::Executor<F> for Spawn
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        tokio::spawn(future);
    }
}

impl Link {
    /// Opens a connection with these headers beside those of every upgrade. `name` goes with everything that comes in.
    pub(super) async fn open(
        name: &str,
        addr: SocketAddr,
        headers: &BTreeMap<String, String>,
        incoming: mpsc::Sender<(String, Incoming)>,
    ) -> Result<Self, OpenError> {
        let mut request = Request::builder()
            .uri("/")
            .header(UPGRADE, "websocket")
            .header(CONNECTION, "upgrade")
            .header("sec-websocket-key", handshake::generate_key())
            .header("sec-websocket-version", "13");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request
            .body(Empty::<Bytes>::new())
            .map_err(OpenError::Header)?;
        let opening = async {
            let socket = TcpStream::connect(addr).await.map_err(OpenError::Connect)?;
            socket.set_nodelay(true).map_err(OpenError::Connect)?;
            handshake::client(&Spawn, request, socket)
                .await
                .map_err(OpenError::Upgrade)
        };
        let (socket, _) = tokio::time::timeout(OPEN_TIMEOUT, opening)
            .await
            .map_err(|_| OpenError::Timeout)??;
        let (mut read, write) = socket.split(tokio::io::split);
        read.set_auto_close(false);
        read.set_auto_pong(false);
        read.set_max_message_size(MAX_MESSAGE_BYTES);
        let (out, outbox) = mpsc::channel(OUTBOX);
        let pongs = out.clone();
        Ok(Self {
            out,
            reader: tokio::spawn(receive(name.to_owned(), read, incoming, pongs)),
            writer: tokio::spawn(transmit(write, outbox)),
        })
    }

    /// Sends a message. False when the connection is gone.
    pub(super) async fn send(&self, text: String, binary: bool) -> bool {
        self.out
            .send(Outgoing::Message { text, binary })
            .await
            .is_ok()
    }

    /// Closes with the code and reason of `close`; cuts the connection for 1006.
    pub(super) async fn close(&self, close: &Close) {
        if close.code == NO_CLOSE_FRAME {
            self.reader.abort();
            self.writer.abort();
            return;
        }
        // A connection that is gone already needs no close frame.
        let _ = self
            .out
            .send(Outgoing::Close {
                code: close.code,
                reason: close.reason.clone(),
            })
            .await;
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.reader.abort();
        self.writer.abort();
    }
}

type Socket = TokioIo<Upgraded>;

async fn receive(
    name: String,
    mut read: WebSocketRead<ReadHalf<Socket>>,
    incoming: mpsc::Sender<(String, Incoming)>,
    pongs: mpsc::Sender<Outgoing>,
) {
    let mut fragments: Option<(OpCode, Vec<u8>)> = None;
    // Nothing is answered automatically, so there is never anything to send.
    let mut no_reply = |_: Frame<'_>| async { Ok::<(), std::io::Error>(()) };
    loop {
        let message = match read.read_frame(&mut no_reply).await {
            Err(_) => Incoming::Lost,
            Ok(frame) => match frame.opcode {
                OpCode::Close => closed(&frame.payload),
                OpCode::Ping => {
                    if pongs
                        .send(Outgoing::Pong(frame.payload.to_vec()))
                        .await
                        .is_err()
                    {
                        return;
                    }
                    continue;
                }
                OpCode::Pong => continue,
                opcode => {
                    let (kind, bytes) = fragments.get_or_insert_with(|| (opcode, Vec::new()));
                    let kind = *kind;
                    bytes.extend_from_slice(&frame.payload);
                    let fits = bytes.len() <= MAX_MESSAGE_BYTES;
                    if fits && !frame.fin {
                        continue;
                    }
                    let whole = fragments.take().map(|(_, bytes)| bytes).unwrap_or_default();
                    match (fits, kind, String::from_utf8(whole)) {
                        (true, OpCode::Text, Ok(text)) => Incoming::Text(text),
                        (true, OpCode::Binary, Ok(text)) => Incoming::Binary(text.len()),
                        (true, OpCode::Binary, Err(bytes)) => {
                            Incoming::Binary(bytes.as_bytes().len())
                        }
                        _ => Incoming::Lost,
                    }
                }
            },
        };
        let ends = matches!(message, Incoming::Closed { .. } | Incoming::Lost);
        if incoming.send((name.clone(), message)).await.is_err() || ends {
            return;
        }
    }
}

fn closed(payload: &[u8]) -> Incoming {
    match payload {
        [] => Incoming::Closed {
            code: NO_CODE,
            reason: String::new(),
        },
        [high, low, reason @ ..] => Incoming::Closed {
            code: u16::from_be_bytes([*high, *low]),
            reason: String::from_utf8_lossy(reason).into_owned(),
        },
        [_] => Incoming::Lost,
    }
}

async fn transmit(
    mut write: WebSocketWrite<WriteHalf<Socket>>,
    mut outbox: mpsc::Receiver<Outgoing>,
) {
    while let Some(message) = outbox.recv().await {
        let bytes;
        let (frame, last) = match message {
            Outgoing::Message { text, binary } => {
                bytes = text.into_bytes();
                let payload = Payload::Borrowed(&bytes);
                (
                    if binary {
                        Frame::binary(payload)
                    } else {
                        Frame::text(payload)
                    },
                    false,
                )
            }
            Outgoing::Pong(payload) => {
                bytes = payload;
                (Frame::pong(Payload::Borrowed(&bytes)), false)
            }
            Outgoing::Close { code: NO_CODE, .. } => {
                (Frame::close_raw(Payload::Borrowed(&[])), true)
            }
            Outgoing::Close { code, reason } => (Frame::close(code, reason.as_bytes()), true),
        };
        // Masking changes the payload in place, so the frame needs bytes of its own.
        let owned = Payload::Owned(frame.payload.to_vec());
        let frame = Frame::new(true, frame.opcode, None, owned);
        if write.write_frame(frame).await.is_err() || write.flush().await.is_err() || last {
            return;
        }
    }
}
