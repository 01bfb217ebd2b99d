//! A command for a node: what is asked, what comes back, and what clients are told of failures (contract 8.3).

use openclaw_protocol::protocol::{KnownError, Scope, errors, texts};
use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::types::{
    ErrorShape, NodeCommandRefusal, NodeCommandRefusedDetails, NodeErrorDetails, NodeInvokeError,
    NodeNotConnectedDetails,
};
use serde::Serialize;
use serde_json::{Value, json};

/// What a node is to do.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// The node.
    pub node_id: String,
    /// The command.
    pub command: String,
    /// What the command takes; the node judges it.
    pub params: Option<Value>,
    /// How long to wait, in ms; [`limits::NODE_INVOKE_TIMEOUT_MS`] when absent. 0 expires at once. The node is told only
    /// what was asked for.
    ///
    /// [`limits::NODE_INVOKE_TIMEOUT_MS`]: openclaw_protocol::protocol::limits::NODE_INVOKE_TIMEOUT_MS
    pub timeout_ms: Option<u64>,
    /// Handed to the node, which may recognise a retry by it.
    pub idempotency_key: Option<NonEmptyString>,
}

impl Invocation {
    /// A command without params, for the usual time.
    #[must_use]
    pub fn new(node_id: impl Into<String>, command: impl Into<String>) -> Self {
        Self {
            node_id: node_id.into(),
            command: command.into(),
            params: None,
            timeout_ms: None,
            idempotency_key: None,
        }
    }
}

/// What a node says to a command.
#[derive(Debug, Clone, PartialEq)]
pub struct InvokeReply {
    /// Whether it did it.
    pub ok: bool,
    /// What the command gives, as a value.
    pub payload: Option<Value>,
    /// What the command gives, as JSON text.
    pub payload_json: Option<String>,
    /// Why it did not.
    pub error: Option<NodeInvokeError>,
}

/// What a command gave.
#[derive(Debug, Clone, PartialEq)]
pub struct InvokeAnswer {
    /// As a value: the text's, or an object with the text where that is no JSON; else what the node gave as a value.
    pub payload: Option<Value>,
    /// As the text that the node gave, if it gave one.
    pub payload_json: Option<String>,
}

/// Why a command gave nothing.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum InvokeError {
    /// No such node is connected.
    #[error("the node is not connected")]
    NotConnected,
    /// The node may not have the command, or does not offer it.
    #[error("the node may not be asked for {command}: {}", reason.as_str())]
    NotAllowed {
        /// The command.
        command: String,
        /// Why.
        reason: NodeCommandRefusal,
    },
    /// Whoever asks may ask nodes, but not for this.
    #[error("who asks lacks the scope {}", .0.as_str())]
    NotYours(Scope),
    /// As many commands wait as the gateway keeps track of.
    #[error("too many commands wait for nodes")]
    Busy,
    /// The request could not be queued for the node's connection: it is closing, or reads too slowly.
    #[error("the request did not reach the node's connection")]
    NotSent,
    /// No answer within the time.
    #[error("the node did not answer in time")]
    TimedOut,
    /// The node said no.
    #[error("the node refused")]
    Refused(Option<NodeInvokeError>),
    /// The node left, or was replaced by another connection of it, before it answered.
    #[error("the node left before it answered {command}")]
    Left {
        /// The command.
        command: String,
    },
}

impl InvokeReply {
    /// What the asker gets.
    pub(super) fn outcome(self) -> Result<InvokeAnswer, InvokeError> {
        if !self.ok {
            return Err(InvokeError::Refused(self.error));
        }
        let text = self.payload_json.as_deref().filter(|text| !text.is_empty());
        let payload = match text {
            Some(text) => {
                Some(serde_json::from_str(text).unwrap_or_else(|_| json!({ "payloadJSON": text })))
            }
            None => self.payload,
        };
        Ok(InvokeAnswer {
            payload,
            payload_json: self.payload_json,
        })
    }
}

impl InvokeError {
    /// The error for a client of `exec.approvals.node.*`, `browser.request` and other methods that ask nodes.
    #[must_use]
    pub fn shape(&self) -> ErrorShape {
        let of_gateway = |known: KnownError, code: &str| {
            let mut error = NodeInvokeError::new();
            error.code = NonEmptyString::new(code);
            error.message = NonEmptyString::new(known.text);
            with(known.error(), NodeErrorDetails::new(Some(error)))
        };
        match self {
            Self::NotConnected => {
                of_gateway(errors::NODE_NOT_CONNECTED, texts::NODE_CODE_NOT_CONNECTED)
            }
            Self::NotAllowed { command, reason } => with(
                errors::NODE_COMMAND_NOT_ALLOWED.error(),
                NodeCommandRefusedDetails::new(*reason, command.clone()),
            ),
            Self::NotYours(scope) => errors::MISSING_SCOPE.with(&[("scope", scope.as_str())]),
            Self::Busy => of_gateway(errors::NODE_BUSY, texts::NODE_CODE_UNAVAILABLE),
            Self::NotSent => of_gateway(errors::NODE_SEND_FAILED, texts::NODE_CODE_UNAVAILABLE),
            Self::TimedOut => of_gateway(errors::NODE_INVOKE_TIMED_OUT, texts::NODE_CODE_TIMEOUT),
            Self::Refused(error) => {
                let known = errors::NODE_INVOKE_FAILED;
                let message = error.as_ref().and_then(|error| error.message.as_ref());
                let shape = match message {
                    Some(message) => known.code.error(message.as_str()),
                    None => known.error(),
                };
                with(shape, NodeErrorDetails::new(error.clone()))
            }
            Self::Left { command } => errors::NODE_DISCONNECTED.with(&[("command", command)]),
        }
    }

    /// The error for a client of `node.invoke`, which tells an absent node in its own way.
    #[must_use]
    pub fn shape_for_invoke(&self) -> ErrorShape {
        match self {
            Self::NotConnected => with(
                errors::NODE_NOT_CONNECTED.error(),
                NodeNotConnectedDetails::new(),
            ),
            _ => self.shape(),
        }
    }
}

fn with(mut error: ErrorShape, details: impl Serialize) -> ErrorShape {
    error.details = serde_json::to_value(details).ok();
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(ok: bool, payload: Option<Value>, text: Option<&str>) -> InvokeReply {
        InvokeReply {
            ok,
            payload,
            payload_json: text.map(str::to_owned),
            error: None,
        }
    }

    #[test]
    fn the_text_goes_before_the_value() {
        for (payload, text, expected) in [
            (Some(json!([1])), None, Some(json!([1]))),
            (None, Some(r#"{"out":"two"}"#), Some(json!({"out": "two"}))),
            (Some(json!(1)), Some("2"), Some(json!(2))),
            (Some(json!(1)), Some(""), Some(json!(1))),
            (
                None,
                Some("not json"),
                Some(json!({"payloadJSON": "not json"})),
            ),
            (None, Some("null"), Some(Value::Null)),
            (None, None, None),
        ] {
            let found = reply(true, payload.clone(), text).outcome().unwrap();
            assert_eq!(found.payload, expected, "{payload:?}, {text:?}");
            assert_eq!(found.payload_json.as_deref(), text);
        }
        let refused = reply(false, Some(json!(1)), None).outcome();
        assert_eq!(refused, Err(InvokeError::Refused(None)));
    }

    #[test]
    fn clients_are_told_as_the_original_tells_them() {
        let said: NodeInvokeError =
            serde_json::from_value(json!({"code": "X", "message": "no such program"})).unwrap();
        let silent: NodeInvokeError = serde_json::from_value(json!({"code": "X"})).unwrap();
        let unavailable = "UNAVAILABLE";
        for (error, expected) in [
            (
                InvokeError::NotConnected,
                json!({"code": unavailable, "message": "node not connected",
                    "details": {"nodeError": {"code": "NOT_CONNECTED", "message": "node not connected"}}}),
            ),
            (
                InvokeError::NotAllowed {
                    command: "camera.snap".into(),
                    reason: NodeCommandRefusal::CommandNotAllowlisted,
                },
                json!({"code": "INVALID_REQUEST", "message": "node command not allowed",
                    "details": {"reason": "command not allowlisted", "command": "camera.snap"}}),
            ),
            (
                InvokeError::NotSent,
                json!({"code": unavailable, "message": "failed to send invoke to node",
                    "details": {"nodeError": {"code": "UNAVAILABLE", "message": "failed to send invoke to node"}}}),
            ),
            (
                InvokeError::TimedOut,
                json!({"code": unavailable, "message": "node invoke timed out",
                    "details": {"nodeError": {"code": "TIMEOUT", "message": "node invoke timed out"}}}),
            ),
            (
                InvokeError::Refused(Some(said.clone())),
                json!({"code": unavailable, "message": "no such program", "details": {"nodeError": said}}),
            ),
            (
                InvokeError::Refused(Some(silent.clone())),
                json!({"code": unavailable, "message": "node invoke failed", "details": {"nodeError": silent}}),
            ),
            (
                InvokeError::Refused(None),
                json!({"code": unavailable, "message": "node invoke failed", "details": {"nodeError": null}}),
            ),
            (
                InvokeError::Left {
                    command: "system.run".into(),
                },
                json!({"code": unavailable, "message": "Error: node disconnected (system.run)"}),
            ),
        ] {
            assert_eq!(serde_json::to_value(error.shape()).unwrap(), expected);
        }
        let absent = serde_json::to_value(InvokeError::NotConnected.shape_for_invoke()).unwrap();
        assert_eq!(absent["details"], json!({"code": "NOT_CONNECTED"}));
        let late = InvokeError::TimedOut;
        assert_eq!(late.shape_for_invoke(), late.shape());
    }
}
