//! A site with agents behind it, for the tests of the surfaces: real runs over a store in a temporary directory, a
//! scripted model, requests over a socket.

use std::sync::Arc;

use openclaw_core::http::{Site, Upgraded, serve};
use openclaw_protocol::events::Event;
use openclaw_protocol::types::ChatState;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::hooks::{HookParts, Hooks};
use super::*;
use crate::agent::backend::scripted::{Scripted, Step};
use crate::agent::{Models, Parts, Runs};
use crate::clock::ManualClock;
use crate::config::{AuthMode, Config};
use crate::connection::auth::Auth;
use crate::connection::handshake::Policy;
use crate::connection::locality::Trust;
use crate::connection::tailscale::Whois;
use crate::hub::EventSink;
use crate::outbox::testing::Pigeon;
use crate::sessions::{Sessions, SystemEvents};

/// The secret of the gateway.
pub(super) const BEARER: &str = "Authorization: Bearer tok\r\n";

/// How runs ended, in the order of their ends.
struct RunEnds(watch::Sender<Vec<ChatState>>);

impl EventSink for RunEnds {
    fn emit(&self, event: Event) {
        if let Event::Chat(event) = event
            && event.state != ChatState::Delta
        {
            self.0.send_modify(|ends| ends.push(event.state));
        }
    }
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) code: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// The data of each event of a stream, with its name where it has one.
    pub(super) fn events(&self) -> Vec<(Option<String>, String)> {
        let body = dechunked(&self.body);
        let blocks = body.split("\n\n").filter(|block| !block.is_empty());
        blocks
            .map(|block| {
                let line = |head: &str| {
                    let found = block.lines().find_map(|line| line.strip_prefix(head));
                    found.map(str::to_owned)
                };
                (line("event: "), line("data: ").unwrap_or_default())
            })
            .collect()
    }
}

/// The text of a body in chunks.
fn dechunked(body: &str) -> String {
    let (mut text, mut rest) = (String::new(), body);
    while let Some((size, behind)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        text.push_str(&behind[..size]);
        rest = &behind[size + 2..];
        if size == 0 {
            break;
        }
    }
    text
}

pub(super) struct World {
    pub(super) site: Arc<Site>,
    pub(super) model: Scripted,
    pub(super) sessions: Sessions,
    pub(super) events: Arc<SystemEvents>,
    pub(super) runs: Runs,
    pub(super) pigeon: Pigeon,
    ends: Arc<RunEnds>,
    _dir: tempfile::TempDir,
}

impl World {
    pub(super) async fn new(
        mut config: Value,
        replies: impl IntoIterator<Item = Vec<Step>>,
    ) -> Self {
        let provider = json!({"baseUrl": "http://127.0.0.1:1/v1", "models": [
            {"id": "echo-1", "contextWindow": 128_000}, {"id": "echo-2", "contextWindow": 128_000}]});
        config["models"] = json!({"providers": {"mock": provider}});
        config["agents"] = json!({"defaults": {"model": "mock/echo-1", "models": {"mock/echo-1": {}, "mock/echo-2": {}}},
                "list": [{"id": "main"}, {"id": "ops"}]});
        let config: Arc<Config> = Arc::new(serde_json::from_value(config).unwrap());
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(1_769_900_000_000));
        let model = Scripted::new(replies);
        let ends = Arc::new(RunEnds(watch::Sender::new(Vec::new())));
        let taps = Arc::new(Taps::new(Arc::clone(&ends) as Arc<dyn EventSink>));
        let pigeon = Pigeon::new(false, []);
        let parts = Parts::of_test(dir.path(), &config, clock.clone(), &pigeon).await;
        let (sessions, events) = (parts.sessions.clone(), Arc::clone(&parts.waiting));
        let work = parts.work.clone();
        let runs = Runs::open(Parts {
            models: Models::answered_by(Arc::clone(&config), Arc::new(model.clone())),
            events: taps.clone(),
            ..parts
        })
        .await
        .unwrap();
        let policy = Policy {
            auth: Auth::new(AuthMode::Token, Some("tok")),
            trust: Trust::default(),
            allow_insecure_auth: false,
            disable_device_auth: false,
            strict_devices: false,
            allow_tailscale: false,
        };
        let hooks = Hooks::new(
            &config.hooks,
            Trust::default(),
            HookParts {
                runs: runs.clone(),
                events: Arc::clone(&events),
                clock: clock.clone(),
                wake: None,
                refusals: Arc::default(),
            },
        );
        let api = Api::new(
            &config,
            ApiParts {
                runs: runs.clone(),
                taps,
                doors: Doors {
                    policy: Arc::new(policy),
                    limiter: Arc::default(),
                    refusals: Arc::default(),
                    whois: Arc::new(Whois::new("/nonexistent".into(), work, clock.clone())),
                    clock,
                },
                hooks: hooks.ok(),
            },
        );
        let site =
            Site::new(Arc::default(), Trust::default()).with_surfaces(Arc::new(Web::new(api)));
        site.set_ready();
        Self {
            site: Arc::new(site),
            model,
            sessions,
            events,
            runs,
            pigeon,
            ends,
            _dir: dir,
        }
    }

    /// Sends a request and leaves the connection open.
    pub(super) async fn send(
        &self,
        start: &str,
        headers: &str,
        body: &str,
    ) -> (TcpStream, JoinHandle<Option<Upgraded>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (stream, peer) = listener.accept().await.unwrap();
        let local = stream.local_addr().unwrap();
        let server = tokio::spawn(serve(
            stream.into(),
            Ends::Tcp { peer, local },
            Arc::clone(&self.site),
        ));
        let length = match headers.contains("Content-Length") {
            true => String::new(),
            false => format!("Content-Length: {}\r\n", body.len()),
        };
        let request = format!(
            "{start} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{length}{headers}\r\n{body}"
        );
        client.write_all(request.as_bytes()).await.unwrap();
        (client, server)
    }

    /// Sends a request and reads the whole answer. With a length among the headers no body is sent.
    pub(super) async fn ask(&self, start: &str, headers: &str, body: &str) -> Answer {
        let (mut client, _server) = self.send(start, headers, body).await;
        let mut text = Vec::new();
        client.read_to_end(&mut text).await.unwrap();
        let text = String::from_utf8(text).unwrap();
        let (head, body) = text
            .split_once("\r\n\r\n")
            .unwrap_or_else(|| panic!("{text:?}"));
        Answer {
            code: head[9..12].parse().unwrap(),
            head: head.to_lowercase(),
            body: body.to_owned(),
        }
    }

    /// Waits for the end of the first run.
    pub(super) async fn first_end(&self) -> ChatState {
        let mut ends = self.ends.0.subscribe();
        let ended = ends.wait_for(|ends| !ends.is_empty()).await.unwrap();
        ended[0]
    }
}
