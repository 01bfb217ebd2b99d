//! A gateway made of a test's script, at the other end of streams in memory.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use openclaw_protocol::protocol::KnownError;
use openclaw_protocol::rt::accepts;
use openclaw_protocol::tables;
use openclaw_protocol::types::{
    ClientId, ClientMode, ConnectClient, ConnectParams, ErrorShape, HelloOk,
};
use openclaw_websocket::encode::{put_close, put_frame, put_text};
use openclaw_websocket::{Incoming, MessageReader, OpCode};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use crate::config::{ClientConfig, Reconnect};
use crate::dial::{Dial, DialError, Dialling, Socket};
use crate::endpoint::Endpoint;
use crate::upgrade::accept_for;
use crate::{Backoff, Chance, Clock};

/// What the wall clock of tests says.
pub(crate) const NOW_MS: u64 = 1_769_900_000_000;

/// Bytes that a stream holds when nobody reads it.
pub(crate) const STREAM_BUFFER: usize = 64 * 1024;

/// The gateway's side: connections in the order in which they were dialled.
pub(crate) struct FakeGateway(mpsc::UnboundedReceiver<DuplexStream>);

struct FakeNetwork(mpsc::UnboundedSender<DuplexStream>);

impl Dial for FakeNetwork {
    fn dial<'a>(&'a self, _: &'a Endpoint) -> Dialling<'a> {
        let (near, far) = tokio::io::duplex(STREAM_BUFFER);
        let outcome = match self.0.send(far) {
            Ok(()) => Ok(Box::new(near) as Box<dyn Socket>),
            // The gateway was dropped.
            Err(_) => Err(DialError::Tcp(io::ErrorKind::ConnectionRefused.into())),
        };
        Box::pin(std::future::ready(outcome))
    }
}

/// A gateway, and the configuration of a client that reaches it: without secrets, and with delays
/// of 1, 2, 4 … s before it reconnects.
pub(crate) fn gateway() -> (FakeGateway, ClientConfig) {
    let (sender, connections) = mpsc::unbounded_channel();
    let text = |text: &str| text.try_into().unwrap();
    let client = ConnectClient::new(ClientId::Test, text("1.0"), text("linux"), ClientMode::Test);
    let mut config = ClientConfig::new("ws://gw.example.com:18789", client).unwrap();
    config.dial = Arc::new(FakeNetwork(sender));
    config.clock = Clock::from_fn(|| NOW_MS);
    config.reconnect = Reconnect::UnlessRefused(backoff());
    (FakeGateway(connections), config)
}

pub(crate) fn backoff() -> Backoff {
    Backoff {
        chance: Chance::from_fn(|| 0.0),
        ..Backoff::default()
    }
}

/// The first example of a definition in the schema.
pub(crate) fn example(definition: &str) -> Value {
    let mut all = openclaw_protocol::examples::ALL.iter();
    let found = all.find(|examples| examples.definition == definition);
    serde_json::from_str(found.unwrap().valid[0]).unwrap()
}

/// The hello of the schema's example, without a device token.
pub(crate) fn hello() -> HelloOk {
    let mut hello: HelloOk = serde_json::from_value(example("HelloOk")).unwrap();
    hello.auth = None;
    hello.policy.tick_interval_ms = 30_000;
    hello
}

/// An event frame.
pub(crate) fn event(name: &str, payload: Value, seq: Option<u64>) -> Value {
    let mut frame = json!({ "type": "event", "event": name, "payload": payload });
    if let Some(seq) = seq {
        frame["seq"] = seq.into();
    }
    frame
}

pub(crate) fn challenge() -> Value {
    event(
        "connect.challenge",
        json!({ "nonce": "n-1", "ts": NOW_MS }),
        None,
    )
}

pub(crate) fn tick(seq: u64) -> Value {
    event("tick", json!({ "ts": NOW_MS }), Some(seq))
}

/// An error of the schema with its placeholders left in.
pub(crate) fn error(known: &KnownError) -> ErrorShape {
    known.error()
}

impl FakeGateway {
    /// Waits for a connection and upgrades it.
    pub(crate) async fn accept(&mut self) -> Peer {
        let mut stream = self.dialled().await;
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.unwrap());
        }
        let request = String::from_utf8(request).unwrap();
        let mut lines = request.lines();
        let key = lines.find_map(|line| line.strip_prefix("sec-websocket-key: "));
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-accept: {}\r\n\r\n",
            accept_for(key.unwrap())
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
        let (reader, writer) = tokio::io::split(stream);
        Peer {
            reader: MessageReader::server(reader, 1 << 20),
            writer,
        }
    }

    /// Waits for a connection and leaves it as it is.
    pub(crate) async fn dialled(&mut self) -> DuplexStream {
        self.0.recv().await.expect("the client is gone")
    }

    /// Accepts a client, challenges it and admits it.
    pub(crate) async fn admit(&mut self) -> Peer {
        self.admit_with(hello()).await
    }

    pub(crate) async fn admit_with(&mut self, hello: HelloOk) -> Peer {
        let mut peer = self.accept().await;
        peer.send(&challenge()).await;
        peer.connect_request().await;
        peer.answer("connect", &json!(hello)).await;
        peer
    }

    /// Accepts a client and refuses it. Gives what it sent.
    pub(crate) async fn refuse(&mut self, error: &ErrorShape) -> ConnectParams {
        let mut peer = self.accept().await;
        peer.send(&challenge()).await;
        let params = peer.connect_request().await;
        peer.fail("connect", error, None).await;
        params
    }
}

/// One connection, seen from the gateway.
pub(crate) struct Peer {
    reader: MessageReader<ReadHalf<DuplexStream>>,
    pub(crate) writer: WriteHalf<DuplexStream>,
}

impl Peer {
    pub(crate) async fn bytes(&mut self, bytes: &[u8]) {
        self.writer.write_all(bytes).await.unwrap();
    }

    pub(crate) async fn text(&mut self, text: &str) {
        let mut frame = Vec::new();
        put_text(&mut frame, text.as_bytes());
        self.bytes(&frame).await;
    }

    pub(crate) async fn send(&mut self, frame: &Value) {
        self.text(&frame.to_string()).await;
    }

    pub(crate) async fn answer(&mut self, id: &str, payload: &Value) {
        let frame = json!({ "type": "res", "id": id, "ok": true, "payload": payload });
        self.send(&frame).await;
    }

    pub(crate) async fn fail(&mut self, id: &str, error: &ErrorShape, payload: Option<Value>) {
        let mut frame = json!({ "type": "res", "id": id, "ok": false, "error": error });
        if let Some(payload) = payload {
            frame["payload"] = payload;
        }
        self.send(&frame).await;
    }

    pub(crate) async fn ping(&mut self, payload: &[u8]) {
        let mut frame = Vec::new();
        put_frame(&mut frame, true, OpCode::Ping, payload, None);
        self.bytes(&frame).await;
    }

    pub(crate) async fn close(&mut self, code: u16, reason: &str) {
        let mut frame = Vec::new();
        put_close(&mut frame, code, reason);
        self.bytes(&frame).await;
    }

    pub(crate) async fn next(&mut self) -> Incoming {
        self.reader.next().await.expect("the client has left")
    }

    /// Waits for a request, which has to be a valid one, and gives its id, method and params.
    pub(crate) async fn request(&mut self) -> (String, String, Value) {
        let Incoming::Text(text) = self.next().await else {
            panic!("not a request");
        };
        assert!(accepts(&tables::REQUEST_FRAME, &text), "{text}");
        let mut frame: Value = serde_json::from_str(&text).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (
            text(&frame["id"]),
            text(&frame["method"]),
            frame["params"].take(),
        )
    }

    /// Waits for the connect request, which has to be valid.
    pub(crate) async fn connect_request(&mut self) -> ConnectParams {
        let (id, method, params) = self.request().await;
        assert_eq!((&*id, &*method), ("connect", "connect"));
        let text = params.to_string();
        assert!(accepts(&tables::CONNECT_PARAMS, &text), "{text}");
        serde_json::from_value(params).unwrap()
    }

    /// Waits for the client's close frame.
    pub(crate) async fn closed(&mut self) -> (Option<u16>, String) {
        loop {
            if let Incoming::Close { code, reason } = self.next().await {
                return (code, reason.to_string());
            }
        }
    }
}

/// Runs one half of a test beside the other.
pub(crate) async fn both<A, B>(
    client: impl Future<Output = A>,
    gateway: impl Future<Output = B>,
) -> (A, B) {
    tokio::join!(client, gateway)
}

/// Seconds of (paused) time that something takes.
pub(crate) async fn seconds<T>(future: impl Future<Output = T>) -> (T, f64) {
    let start = tokio::time::Instant::now();
    let outcome = future.await;
    (outcome, round(start.elapsed()))
}

/// In seconds, to the hundredth: timers have a resolution of a millisecond.
pub(crate) fn round(time: Duration) -> f64 {
    (time.as_secs_f64() * 100.0).round() / 100.0
}

/// A server end of TLS with a certificate of its own, and that certificate.
pub(crate) fn self_signed() -> (TlsAcceptor, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(["gw.example.com".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key.into())
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), certificate)
}
