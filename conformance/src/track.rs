//! What must come in order and what may race. The gateway frames of a connection fall into tracks: inside a track the order
//! is as recorded, between tracks it is free. Used by the replayer to know what has arrived and by the judge to pair frames.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use crate::session::{Action, Session};

/// Events that come on their own time: no request waits for them, and how many come differs.
pub const FLOATING: [&str; 3] = ["health", "presence", "tick"];

/// A sequence of gateway frames whose order counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Track {
    /// Responses to the request with this id (its JSON text: ids may be of any type in an error response).
    Response(String),
    /// Everything that one agent run says on a connection: `agent` and `chat` events, and the responses to the request that
    /// began it. `directed` tells the copies without `seq` that a subscribed node gets from the broadcast ones.
    Run {
        /// The run id, or `made by the gateway #n` for the nth id that no client chose.
        run: String,
        /// Copies without `seq`.
        directed: bool,
    },
    /// Other events of one family: the part of the name before its last dot.
    Events(String),
    /// Events of [`FLOATING`].
    Floating(String),
    /// Frames that are neither response nor event.
    Other,
}

/// A request of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Connection that sent it.
    pub conn: String,
    /// JSON text of its id.
    pub id: String,
    /// Its method.
    pub method: String,
    /// The run that it begins: for the first `agent` or `chat.send` with an idempotency key.
    pub begins: Option<String>,
}

/// The requests that a session sends.
#[derive(Debug, Clone, Default)]
pub struct Requests {
    all: Vec<Request>,
    runs: HashSet<String>,
}

impl Requests {
    /// Collects them.
    pub fn of(session: &Session) -> Self {
        let mut out = Self::default();
        for step in &session.steps {
            let Action::Send { conn, text, .. } = &step.action else {
                continue;
            };
            let Ok(frame) = serde_json::from_str::<Value>(text) else {
                continue;
            };
            let (Some(id), Some(method)) =
                (frame.get("id"), frame.get("method").and_then(Value::as_str))
            else {
                continue;
            };
            let key = frame
                .pointer("/params/idempotencyKey")
                .and_then(Value::as_str);
            let begins = key.filter(|key| {
                matches!(method, "agent" | "chat.send") && out.runs.insert((*key).to_owned())
            });
            let (id, method, begins) =
                (id.to_string(), method.to_owned(), begins.map(str::to_owned));
            out.all.push(Request {
                conn: conn.clone(),
                id,
                method,
                begins,
            });
        }
        out
    }

    /// Requests that one connection sent with this id (JSON text).
    pub fn with_id<'a>(&'a self, conn: &'a str, id: &'a str) -> impl Iterator<Item = &'a Request> {
        self.all
            .iter()
            .filter(move |r| r.conn == conn && r.id == id)
    }

    /// `event <name>`, `res <method>`, or `res` when no request has its id, or several of different methods have it.
    pub fn describe(&self, conn: &str, frame: &Value) -> String {
        if let Some(name) = event_name(frame) {
            return format!("event {name}");
        }
        let id = frame.get("id").map(Value::to_string).unwrap_or_default();
        let mut methods = self
            .with_id(conn, &id)
            .map(|request| request.method.as_str());
        match methods.next() {
            Some(method) if methods.all(|other| other == method) => format!("res {method}"),
            _ => "res".into(),
        }
    }
}

/// Name of an event frame.
pub fn event_name(frame: &Value) -> Option<&str> {
    (frame.get("type")? == "event").then(|| frame.get("event")?.as_str())?
}

/// Run id of an `agent` or `chat` event.
pub fn run_of(frame: &Value) -> Option<&str> {
    matches!(event_name(frame)?, "agent" | "chat")
        .then(|| frame.pointer("/payload/runId")?.as_str())?
}

/// Whether a frame is a part of what a run says that model and throttling cut at will: an assistant event or a chat delta.
pub fn is_speech(frame: &Value) -> bool {
    match event_name(frame) {
        Some("agent") => frame
            .pointer("/payload/stream")
            .is_some_and(|s| s == "assistant"),
        Some("chat") => frame
            .pointer("/payload/state")
            .is_some_and(|s| s == "delta"),
        _ => false,
    }
}

/// The whole text so far that an assistant event carries.
pub fn speech_text(frame: &Value) -> Option<&str> {
    match event_name(frame)? {
        "agent" => frame.pointer("/payload/data/text")?.as_str(),
        _ => frame.pointer("/payload/message/content/0/text")?.as_str(),
    }
}

/// Sorts the frames of one connection into tracks, in their order of arrival.
pub struct Sorter<'a> {
    requests: &'a Requests,
    conn: &'a str,
    made: HashMap<String, usize>,
}

impl<'a> Sorter<'a> {
    /// For the frames of `conn`.
    pub fn new(requests: &'a Requests, conn: &'a str) -> Self {
        Self {
            requests,
            conn,
            made: HashMap::new(),
        }
    }

    /// The track of the next frame.
    pub fn track(&mut self, frame: &Value) -> Track {
        if let Some(run) = run_of(frame) {
            let directed = frame.get("seq").is_none();
            return Track::Run {
                run: self.run_name(run),
                directed,
            };
        }
        if let Some(name) = event_name(frame) {
            if FLOATING.contains(&name) {
                return Track::Floating(name.to_owned());
            }
            let family = name.rsplit_once('.').map_or(name, |(family, _)| family);
            return Track::Events(family.to_owned());
        }
        if frame.get("type").is_some_and(|t| t == "res") {
            let id = frame.get("id").map(Value::to_string).unwrap_or_default();
            let begun = self
                .requests
                .with_id(self.conn, &id)
                .find_map(|r| r.begins.clone());
            return match begun {
                Some(run) => Track::Run {
                    run,
                    directed: false,
                },
                None => Track::Response(id),
            };
        }
        Track::Other
    }

    fn run_name(&mut self, run: &str) -> String {
        if self.requests.runs.contains(run) {
            return run.to_owned();
        }
        let next = self.made.len() + 1;
        let number = *self.made.entry(run.to_owned()).or_insert(next);
        format!("made by the gateway #{number}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{Provenance, Setup, Step};
    use serde_json::json;

    fn session(sent: &[Value]) -> Session {
        let send = |frame: &Value| Step {
            t: 0,
            action: Action::Send {
                conn: "A".into(),
                text: frame.to_string(),
                binary: false,
                sign: None,
            },
        };
        Session {
            name: "s".into(),
            description: String::new(),
            provenance: Provenance {
                release: String::new(),
                how: String::new(),
            },
            setup: Setup {
                fresh: true,
                token: "tok".into(),
                config: Value::Null,
                env: Default::default(),
            },
            steps: sent.iter().map(send).collect(),
        }
    }

    #[test]
    fn frames_fall_into_tracks() {
        let requests = Requests::of(&session(&[
            json!({"type": "req", "id": "1", "method": "health"}),
            json!({"type": "req", "id": "2", "method": "agent", "params": {"idempotencyKey": "run"}}),
            json!({"type": "req", "id": "3", "method": "agent", "params": {"idempotencyKey": "run"}}),
        ]));
        let mut sorter = Sorter::new(&requests, "A");
        let run = |run: &str, directed| Track::Run {
            run: run.into(),
            directed,
        };
        for (frame, expected) in [
            (
                json!({"type": "res", "id": "1", "ok": true}),
                Track::Response("\"1\"".into()),
            ),
            (
                json!({"type": "res", "id": 7, "ok": false}),
                Track::Response("7".into()),
            ),
            (
                json!({"type": "res", "id": "2", "ok": true}),
                run("run", false),
            ),
            (
                json!({"type": "res", "id": "2", "ok": false}),
                run("run", false),
            ),
            (
                json!({"type": "res", "id": "3", "ok": true}),
                Track::Response("\"3\"".into()),
            ),
            (
                json!({"type": "event", "event": "agent", "seq": 1, "payload": {"runId": "run"}}),
                run("run", false),
            ),
            (
                json!({"type": "event", "event": "agent", "payload": {"runId": "run"}}),
                run("run", true),
            ),
            (
                json!({"type": "event", "event": "chat", "seq": 1, "payload": {"runId": "x"}}),
                run("made by the gateway #1", false),
            ),
            (
                json!({"type": "event", "event": "chat", "seq": 1, "payload": {"runId": "y"}}),
                run("made by the gateway #2", false),
            ),
            (
                json!({"type": "event", "event": "chat", "seq": 1, "payload": {"runId": "x"}}),
                run("made by the gateway #1", false),
            ),
            (
                json!({"type": "event", "event": "health"}),
                Track::Floating("health".into()),
            ),
            (
                json!({"type": "event", "event": "exec.approval.requested"}),
                Track::Events("exec.approval".into()),
            ),
            (
                json!({"type": "event", "event": "shutdown"}),
                Track::Events("shutdown".into()),
            ),
            (json!(5), Track::Other),
        ] {
            assert_eq!(sorter.track(&frame), expected, "{frame}");
        }
    }

    #[test]
    fn frames_are_described_by_the_method_of_their_request() {
        let requests = Requests::of(&session(&[
            json!({"type": "req", "id": "1", "method": "health"}),
            json!({"type": "req", "id": "2", "method": "health"}),
            json!({"type": "req", "id": "2", "method": "status"}),
            json!({"type": "req", "id": "3", "method": "status"}),
            json!({"type": "req", "id": "3", "method": "status"}),
        ]));
        for (conn, frame, expected) in [
            ("A", json!({"type": "res", "id": "1"}), "res health"),
            ("A", json!({"type": "res", "id": "2"}), "res"),
            ("A", json!({"type": "res", "id": "3"}), "res status"),
            ("B", json!({"type": "res", "id": "1"}), "res"),
            ("A", json!({"type": "event", "event": "tick"}), "event tick"),
        ] {
            assert_eq!(requests.describe(conn, &frame), expected);
        }
    }
}
