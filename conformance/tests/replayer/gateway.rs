//! A gateway that plays the gateway side of a session by heart, with ids of its own: the replayer and the judge must find
//! nothing wrong with it, and must find whatever is changed in its script.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use fastwebsockets::{FragmentCollector, Frame, OpCode, Payload, upgrade};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use openclaw_conformance::binding::{Piece, pieces};
use openclaw_conformance::session::{Action, By, NO_CLOSE_FRAME, NO_CODE, Session};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Longest wait for the next thing of the script; only reached when the replayer stopped before the end.
const WAIT: Duration = Duration::from_secs(20);

type Socket = FragmentCollector<TokioIo<Upgraded>>;

/// Starts it. The script is played once; the connections are told apart by the order of their opening.
pub(crate) async fn start(script: Session, constants: &[String]) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (opened, sockets) = mpsc::channel(16);
    tokio::spawn(accept(listener, opened));
    let constants = constants.to_vec();
    tokio::spawn(async move {
        let mut open = HashMap::new();
        // The replayer may stop in the middle: then the rest of the script has no listener.
        let _ = perform(&script, sockets, &constants, &mut open).await;
        // Whatever the script has not closed stays open.
        tokio::time::sleep(WAIT).await;
    });
    addr
}

async fn accept(listener: TcpListener, opened: mpsc::Sender<Socket>) {
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        let opened = opened.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(request, opened.clone()));
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(socket), service);
            let _ = connection.with_upgrades().await;
        });
    }
}

async fn answer(
    mut request: Request<Incoming>,
    opened: mpsc::Sender<Socket>,
) -> Result<Response<Empty<Bytes>>, fastwebsockets::WebSocketError> {
    let (response, socket) = upgrade::upgrade(&mut request)?;
    tokio::spawn(async move {
        let mut socket = socket.await.unwrap();
        socket.set_auto_close(false);
        opened.send(FragmentCollector::new(socket)).await.unwrap();
    });
    Ok(response)
}

/// None: the other side went another way.
async fn perform(
    script: &Session,
    mut sockets: mpsc::Receiver<Socket>,
    constants: &[String],
    open: &mut HashMap<String, Socket>,
) -> Option<()> {
    let mut own = OwnIds {
        known: constants.iter().map(|c| (c.clone(), c.clone())).collect(),
        made: 0,
    };
    for step in &script.steps {
        match &step.action {
            Action::Open { conn, .. } => {
                open.insert(conn.clone(), timeout(WAIT, sockets.recv()).await.ok()??);
            }
            Action::Send { conn, text, .. } => {
                let frame = timeout(WAIT, open.get_mut(conn.as_str())?.read_frame())
                    .await
                    .ok()?
                    .ok()?;
                if !matches!(frame.opcode, OpCode::Text | OpCode::Binary) {
                    return None;
                }
                // What the client chose is the same on both sides.
                own.keep(text);
            }
            Action::Receive { conn, frame } => {
                let text = own.frame(frame).to_string();
                let frame = Frame::text(Payload::Owned(text.into_bytes()));
                open.get_mut(conn.as_str())?.write_frame(frame).await.ok()?;
            }
            Action::Close { conn, close } if close.by == By::Gateway => {
                let mut socket = open.remove(conn.as_str())?;
                match close.code {
                    NO_CLOSE_FRAME => drop(socket),
                    NO_CODE => socket
                        .write_frame(Frame::close_raw(Payload::Borrowed(&[])))
                        .await
                        .ok()?,
                    code => socket
                        .write_frame(Frame::close(code, close.reason.as_bytes()))
                        .await
                        .ok()?,
                }
            }
            Action::Close { conn, .. } => {
                let mut socket = open.remove(conn.as_str())?;
                while let Ok(Ok(frame)) = timeout(WAIT, socket.read_frame()).await {
                    if frame.opcode == OpCode::Close {
                        let payload = frame.payload.to_vec();
                        socket
                            .write_frame(Frame::close_raw(Payload::Owned(payload)))
                            .await
                            .ok()?;
                        break;
                    }
                }
            }
            Action::Mark(_) => {}
        }
    }
    Some(())
}

/// Gives every recorded id that the client did not choose another value.
struct OwnIds {
    known: HashMap<String, String>,
    made: u64,
}

impl OwnIds {
    fn keep(&mut self, text: &str) {
        for piece in pieces(text) {
            if let Piece::Id(_, id) = piece {
                self.known
                    .entry(id.to_owned())
                    .or_insert_with(|| id.to_owned());
            }
        }
    }

    fn frame(&mut self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(items) => items.iter().map(|v| self.frame(v)).collect(),
            Value::Object(map) => map
                .iter()
                .map(|(k, v)| (k.clone(), self.frame(v)))
                .collect(),
            other => other.clone(),
        }
    }

    fn text(&mut self, text: &str) -> String {
        let mut out = String::new();
        for piece in pieces(text) {
            match piece {
                Piece::Literal(part) | Piece::Time(part) => out.push_str(part),
                Piece::Id(_, id) => {
                    if !self.known.contains_key(id) {
                        self.made += 1;
                        let own: String = id
                            .chars()
                            .rev()
                            .zip(format!("{:064x}", self.made).chars().rev())
                            .map(|(c, n)| if c == '-' { '-' } else { n })
                            .collect::<Vec<_>>()
                            .into_iter()
                            .rev()
                            .collect();
                        self.known.insert(id.to_owned(), own);
                    }
                    out.push_str(&self.known[id]);
                }
            }
        }
        out
    }
}
