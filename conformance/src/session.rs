//! A session: what clients and a gateway said to each other, step by step. The importer writes it, the replayer acts its
//! client side, the judge compares its gateway side.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::keys::SignedWith;

/// One recorded session.
#[derive(Debug, Clone)]
pub struct Session {
    /// File name without its ending, unique in a suite.
    pub name: String,
    /// What the session shows, one line.
    pub description: String,
    /// Where the session comes from.
    pub provenance: Provenance,
    /// What the gateway has to be given before it starts.
    pub setup: Setup,
    /// In the order of the recording.
    pub steps: Vec<Step>,
}

/// Where a session comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The release that was recorded, such as `openclaw 2026.1.30`.
    pub release: String,
    /// How the recording was made.
    pub how: String,
}

/// What the gateway has to be given before it starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Setup {
    /// True: recorded with a gateway of its own and an empty home. False: recorded with a gateway that had served other
    /// sessions before; presence entries may differ.
    pub fresh: bool,
    /// The shared secret that the clients know.
    pub token: String,
    /// Merged over the base configuration.
    #[serde(default, skip_serializing_if = "is_empty_object")]
    pub config: Value,
    /// Added to the environment of the gateway.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
}

fn is_empty_object(value: &Value) -> bool {
    value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty)
}

/// One step and when it was recorded.
#[derive(Debug, Clone)]
pub struct Step {
    /// Milliseconds since the recording began.
    pub t: u64,
    /// What happened.
    pub action: Action,
}

/// What happened in a step.
#[derive(Debug, Clone)]
pub enum Action {
    /// A client opens a connection.
    Open {
        /// Name of the connection in this session.
        conn: String,
        /// `host` and, where one was sent, `origin` of the upgrade request.
        headers: BTreeMap<String, String>,
    },
    /// A client sends a message.
    Send {
        /// Name of the connection.
        conn: String,
        /// The text exactly as it was sent, padding expanded.
        text: String,
        /// True: as a binary message.
        binary: bool,
        /// How to sign the device block anew; none when there is no device or its signature is sent as it is.
        sign: Option<SignedWith>,
    },
    /// The gateway sends a frame.
    Receive {
        /// Name of the connection.
        conn: String,
        /// The frame.
        frame: Value,
    },
    /// A connection ends.
    Close {
        /// Name of the connection.
        conn: String,
        /// How it ends.
        close: Close,
    },
    /// Something outside the frames.
    Mark(Mark),
}

impl Action {
    /// The connection that the step belongs to, if it belongs to one.
    pub fn conn(&self) -> Option<&str> {
        match self {
            Self::Open { conn, .. }
            | Self::Send { conn, .. }
            | Self::Receive { conn, .. }
            | Self::Close { conn, .. } => Some(conn),
            Self::Mark(_) => None,
        }
    }
}

/// How a connection ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Close {
    /// Who closes first.
    pub by: By,
    /// Close code. 1005: a close frame without a code. 1006: no close frame at all.
    pub code: u16,
    /// Reason text.
    #[serde(default)]
    pub reason: String,
}

/// Code that stands for a close frame without a code (RFC 6455, 7.4.1).
pub const NO_CODE: u16 = 1005;
/// Code that stands for a connection that ended without a close frame (RFC 6455, 7.4.1).
pub const NO_CLOSE_FRAME: u16 = 1006;

/// Who closes a connection first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// The client.
    Client,
    /// The gateway.
    Gateway,
}

impl fmt::Display for Close {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = match self.by {
            By::Client => "client",
            By::Gateway => "gateway",
        };
        match self.code {
            NO_CODE => write!(f, "closed by the {by} without a code"),
            NO_CLOSE_FRAME => write!(f, "cut by the {by} without a close frame"),
            code => write!(f, "closed by the {by}: {code} {:?}", self.reason),
        }
    }
}

/// Something outside the frames.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "lowercase")]
pub enum Mark {
    /// A signal to the gateway, such as `SIGTERM`.
    Signal {
        /// Name of the signal.
        signal: String,
    },
    /// Something that a person or a program did at a real client; its frames are in the session, so replaying needs no
    /// more than them.
    #[serde(untagged)]
    Note(Value),
}

/// Expands `{"$repeat": "x", "count": n}` to a string of `n` times `x`, anywhere in `value`.
pub fn expand_repeats(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if let (2, Some(Value::String(unit)), Some(count)) = (
                map.len(),
                map.get("$repeat"),
                map.get("count").and_then(Value::as_u64),
            ) {
                *value = Value::String(unit.repeat(usize::try_from(count).unwrap_or(0)));
                return;
            }
            map.values_mut().for_each(expand_repeats);
        }
        Value::Array(items) => items.iter_mut().for_each(expand_repeats),
        _ => {}
    }
}

/// Expands `{"$repeat":"x","count":n}` in a JSON text without touching anything else of it, so that key order and size
/// of what a client sent stay as recorded.
pub fn expand_repeats_in_text(text: &str) -> String {
    const OPEN: &str = "{\"$repeat\":\"";
    const COUNT: &str = "\",\"count\":";
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(OPEN) {
        let (before, from) = rest.split_at(at);
        let parsed = from[OPEN.len()..]
            .split_once(COUNT)
            .and_then(|(unit, tail)| {
                let (digits, after) = tail.split_once('}')?;
                Some((unit.repeat(digits.parse().ok()?), after))
            });
        let Some((expanded, after)) = parsed else {
            break;
        };
        out.push_str(before);
        out.push('"');
        out.push_str(&expanded);
        out.push('"');
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn repeats_expand_in_values_and_in_texts() {
        for (text, expected) in [
            (
                r#"{"a":{"$repeat":"x","count":3},"b":1}"#,
                r#"{"a":"xxx","b":1}"#,
            ),
            (
                r#"{"b":[{"$repeat":"ab","count":2}],"a":{"count":2}}"#,
                r#"{"b":["abab"],"a":{"count":2}}"#,
            ),
            (r#"{"$repeat":5}"#, r#"{"$repeat":5}"#),
            ("[]", "[]"),
        ] {
            assert_eq!(expand_repeats_in_text(text), expected);
            let mut value: Value = serde_json::from_str(text).unwrap();
            expand_repeats(&mut value);
            assert_eq!(
                value,
                serde_json::from_str::<Value>(expected).unwrap(),
                "{text}"
            );
        }
    }

    #[test]
    fn marks_know_signals_and_keep_the_rest() {
        let signal: Mark =
            serde_json::from_value(json!({"action": "signal", "signal": "SIGTERM"})).unwrap();
        assert_eq!(
            signal,
            Mark::Signal {
                signal: "SIGTERM".into()
            }
        );
        let note = json!({"action": "exec", "argv": ["openclaw", "health"]});
        assert_eq!(
            serde_json::from_value::<Mark>(note.clone()).unwrap(),
            Mark::Note(note)
        );
    }

    #[test]
    fn closes_read_well() {
        let close = |by, code, reason: &str| {
            Close {
                by,
                code,
                reason: reason.into(),
            }
            .to_string()
        };
        assert_eq!(
            close(By::Gateway, 1008, "invalid role"),
            "closed by the gateway: 1008 \"invalid role\""
        );
        assert_eq!(
            close(By::Client, NO_CODE, ""),
            "closed by the client without a code"
        );
        assert_eq!(
            close(By::Gateway, NO_CLOSE_FRAME, ""),
            "cut by the gateway without a close frame"
        );
    }
}
