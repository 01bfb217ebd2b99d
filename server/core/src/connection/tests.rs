//! Connections over real loopback sockets, with a service of its own behind them.

mod authorization;
mod handshakes;
mod limits;
mod requests;

use std::collections::VecDeque;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use openclaw_protocol::call::Call;
use openclaw_protocol::events::Event;
use openclaw_protocol::methods::Method;
use openclaw_protocol::rt::{NonEmptyString, ok_frame};
use openclaw_protocol::types::{PresenceEntry, VoiceWakeTriggers};
use openclaw_websocket::{Incoming, MessageReader, encode};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::*;
use crate::clock::ManualClock;
use crate::connection::auth::Auth;
use crate::connection::auth::AuthMode;
use crate::connection::locality::Trust;
use crate::http::Admission;
use crate::hub::{Admitted, EventSink};
use crate::net::Ends;
use crate::nodes::{self, NodeLine};
use crate::pairing::TokenKey;
use crate::store::Store;

const NOW: u64 = 1_769_900_000_000;
const MASK: [u8; 4] = [1, 2, 3, 4];
/// Size of a large reply, in bytes.
const LARGE: usize = 100_000;

/// Behaves by method: `health` answers at once, `status` with much, `agent.wait` when allowed, `agent` twice, and
/// `system-presence` panics. Nodes are greeted by their id.
struct Fake {
    calls: AtomicUsize,
    waiters: Arc<Semaphore>,
}

impl Service for Fake {
    fn call(
        self: Arc<Self>,
        _: Caller,
        id: String,
        call: Call,
    ) -> Result<BoxFuture<'static, Answer>, HandshakeOnly> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let answer = move |text: &str| ok_frame(&id, text);
        Ok(match call.method() {
            Method::Status => Box::pin(async move { Answer::One(answer(&"x".repeat(LARGE))) }),
            Method::AgentWait => Box::pin(async move {
                self.waiters.acquire().await.unwrap().forget();
                Answer::One(answer("waited"))
            }),
            Method::Agent => Box::pin(async move {
                Answer::Two {
                    first: answer("accepted"),
                    then: Box::pin(async move {
                        self.waiters.acquire().await.unwrap().forget();
                        answer("done")
                    }),
                }
            }),
            Method::ChatSend => Box::pin(async move {
                Answer::Two {
                    first: answer("accepted"),
                    then: Box::pin(pending()),
                }
            }),
            Method::SystemPresence => Box::pin(async { panic!("a handler that panics") }),
            Method::Connect => return Err(HandshakeOnly),
            _ => Box::pin(async move { Answer::One(answer("well")) }),
        })
    }

    fn greet(&self, node: &NodePlace, line: &Line) {
        let word = NonEmptyString::or(format!("greets {}", node.node().node_id), "-");
        line.send(&Event::VoicewakeChanged(VoiceWakeTriggers::new(vec![word])));
    }
}

/// A gateway without the rest of it.
struct Bench {
    shared: Arc<Shared>,
    service: Arc<Fake>,
    admission: Arc<Admission>,
    _dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(NOW));
        let store = Store::open(dir.path()).unwrap();
        let key = TokenKey::load_or_create(dir.path()).unwrap();
        let service = Arc::new(Fake {
            calls: AtomicUsize::new(0),
            waiters: Arc::new(Semaphore::new(0)),
        });
        let handle = tokio::runtime::Handle::current();
        let whois = Arc::new(Whois::new(
            "/nonexistent".into(),
            handle,
            Arc::clone(&clock),
        ));
        let hub = Arc::new(Hub::new(Arc::clone(&clock), PresenceEntry::new(NOW)));
        let admitted = Arc::clone(&hub) as Arc<dyn Admitted>;
        let shared = Shared {
            hub,
            service: Arc::clone(&service) as Arc<dyn Service>,
            policy: Arc::new(Policy {
                auth: Auth::new(AuthMode::Token, Some("tok")),
                trust: Trust::default(),
                allow_insecure_auth: false,
                disable_device_auth: false,
                strict_devices: false,
                allow_tailscale: false,
            }),
            pairing: Pairing::load(store, key, Arc::clone(&clock), admitted).unwrap(),
            nodes: Nodes::new(nodes::Policy::default(), Arc::clone(&clock)),
            hello: HelloTemplate::new(&Facts::default()),
            clock,
            handshakes: Arc::new(Deadlines::new(Duration::from_millis(
                openclaw_protocol::protocol::limits::HANDSHAKE_TIMEOUT_MS,
            ))),
            started: Instant::now(),
            counters: Counters::default(),
            refusals: Arc::default(),
            limiter: Arc::default(),
            whois,
        };
        Self {
            shared: Arc::new(shared),
            service,
            admission: Arc::default(),
            _dir: dir,
        }
    }

    /// A client that has just upgraded, and the server's side of it as a task. What the client sends is with the
    /// server already when `early` is given.
    async fn open_with(&self, early: Vec<u8>) -> Client {
        let listener = TcpSocket::new_v4().unwrap();
        // Small, so that it does not take much to fill them.
        listener.set_send_buffer_size(16 * 1024).unwrap();
        listener.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = listener.listen(1).unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(16 * 1024).unwrap();
        let stream = socket
            .connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        stream.set_nodelay(true).unwrap();
        let (server, peer) = listener.accept().await.unwrap();
        let task = tokio::spawn(serve(
            Arc::clone(&self.shared),
            self.upgraded(server, peer, early),
            self.admission.enter(None).unwrap(),
        ));
        let (read, write) = stream.into_split();
        Client {
            reader: MessageReader::client(read, usize::MAX >> 1),
            write,
            task,
            seen: VecDeque::new(),
        }
    }

    fn upgraded(&self, stream: TcpStream, peer: SocketAddr, early: Vec<u8>) -> Upgraded {
        let mut headers = hyper::HeaderMap::new();
        headers.insert("host", "127.0.0.1:18789".parse().unwrap());
        let ends = Ends::Tcp {
            peer,
            local: stream.local_addr().unwrap(),
        };
        Upgraded {
            stream: stream.into(),
            response: Vec::new(),
            early: early.into(),
            headers,
            ends,
            handshake: self.admission.begin_handshake(None).unwrap(),
            behind_proxy: None,
        }
    }

    /// A client that has got its challenge.
    async fn open(&self) -> Client {
        let mut client = self.open_with(Vec::new()).await;
        assert_eq!(client.next().await["event"], "connect.challenge");
        client
    }

    /// A client that has been accepted, all its first events taken.
    async fn connect(&self) -> Client {
        let mut client = self.open().await;
        client.send(&connect()).await;
        assert_eq!(client.next().await["payload"]["type"], "hello-ok");
        assert_eq!(client.next().await["event"], "presence");
        client
    }

    fn count(&self, name: &str) -> u64 {
        self.shared.counters.all().get(name).copied().unwrap_or(0)
    }
}

/// The client's side of a connection.
struct Client {
    reader: MessageReader<OwnedReadHalf>,
    write: OwnedWriteHalf,
    task: JoinHandle<()>,
    seen: VecDeque<Value>,
}

impl Client {
    async fn send(&mut self, frame: &Value) {
        self.send_text(&frame.to_string()).await;
    }

    async fn send_text(&mut self, text: &str) {
        self.send_bytes(&frame_of(text)).await;
    }

    async fn send_bytes(&mut self, bytes: &[u8]) {
        self.write.write_all(bytes).await.unwrap();
    }

    /// The next frame as JSON; a close as `close <code> <reason>`, the end of the stream as `end`.
    async fn next(&mut self) -> Value {
        if let Some(frame) = self.seen.pop_front() {
            return frame;
        }
        match self.reader.next().await {
            Ok(Incoming::Text(text)) => serde_json::from_str(&text).unwrap(),
            Ok(Incoming::Close { code, reason }) => {
                json!(format!("close {} {reason}", code.unwrap_or(1005)))
            }
            Ok(other) => json!(format!("{other:?}")),
            Err(_) => json!("end"),
        }
    }

    /// The answer to a request, events put aside.
    async fn answer(&mut self, id: &str) -> Value {
        loop {
            let frame = self.next().await;
            if frame["id"] == id || frame.is_string() {
                return frame;
            }
        }
    }

    /// Sends a request and waits for its answer.
    async fn call(&mut self, id: &str, method: &str, params: Value) -> Value {
        self.send(&request(id, method, params)).await;
        self.answer(id).await
    }

    /// Waits until the server's task has ended.
    async fn ended(self) {
        let Self { task, write, .. } = self;
        drop(write);
        task.await.unwrap();
    }
}

fn frame_of(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode::put_text_masked(&mut bytes, text.as_bytes(), MASK);
    bytes
}

fn request(id: &str, method: &str, params: Value) -> Value {
    json!({"type": "req", "id": id, "method": method, "params": params})
}

fn connect() -> Value {
    request(
        "c",
        "connect",
        json!({
            "minProtocol": 3, "maxProtocol": 3, "auth": {"token": "tok"},
            "client": {"id": "test", "version": "1", "platform": "linux", "mode": "test"},
        }),
    )
}

/// Lets the server's tasks do what they can.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
}
