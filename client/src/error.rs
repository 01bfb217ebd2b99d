//! What can go wrong, in words for the person at the client.

use std::path::PathBuf;
use std::time::Duration;

use openclaw_protocol::protocol::{ErrorCode, KnownError, VERSION, errors};
use openclaw_protocol::types::{ErrorShape, PairingRequiredDetails, ProtocolMismatchDetails};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::dial::DialError;
use crate::tls::FingerprintMismatch;

/// There is no connection to the gateway.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nothing answers there.
    #[error(
        "cannot reach the gateway at {url}: {source}. Is it running? Start it with `openclaw gateway`, or pass another URL"
    )]
    Unreachable {
        /// The gateway's URL.
        url: String,
        /// What the network says.
        source: std::io::Error,
    },
    /// No gateway of the right user serves the Unix socket.
    #[error("no gateway at the Unix socket {}: {source}. Start it with `openclaw gateway`", path.display())]
    SocketUnreachable {
        /// Where the socket is.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// No encrypted connection.
    #[error(
        "no TLS connection to the gateway at {url}: {source}. If it signs its own certificate, pin that certificate's fingerprint"
    )]
    Tls {
        /// The gateway's URL.
        url: String,
        /// What TLS says.
        source: std::io::Error,
    },
    /// The certificate is not the pinned one: another machine answers, or the certificate is new.
    #[error("{0}. Do not connect unless you know why it has changed")]
    Fingerprint(FingerprintMismatch),
    /// A pin was given for a URL without TLS.
    #[error("a TLS fingerprint is pinned, but {url} is not a wss:// URL")]
    PinWithoutTls {
        /// The gateway's URL.
        url: String,
    },
    /// Something answers that is no gateway.
    #[error("what answers at {url} is not a gateway: {why}")]
    NotAGateway {
        /// The gateway's URL.
        url: String,
        /// How it gave itself away.
        why: String,
    },
    /// The gateway did not come to an end with the handshake.
    #[error("the gateway at {url} did not answer within {} s", after.as_secs_f32())]
    Timeout {
        /// The gateway's URL.
        url: String,
        /// How long was waited.
        after: Duration,
    },
    /// The connection ended in the handshake, without an answer.
    #[error("the gateway at {url} ended the connection during the handshake: {cause}")]
    Ended {
        /// The gateway's URL.
        url: String,
        /// How it ended.
        cause: Disconnect,
    },
    /// The gateway speaks other versions of the protocol.
    #[error(
        "the gateway speaks protocol {}, this client speaks {VERSION}: update the older of the two",
        gateway.map_or_else(|| "another version".to_owned(), |version| version.to_string())
    )]
    ProtocolMismatch {
        /// The gateway's version, where it says so.
        gateway: Option<u64>,
    },
    /// Token or password is missing or wrong. The text is the gateway's and says which.
    #[error("{}", error.message.as_str())]
    Unauthorized {
        /// The gateway's answer.
        error: Box<ErrorShape>,
    },
    /// An operator has to admit this device first.
    #[error(
        "this device waits for approval{}: approve it from a client that is paired, then connect again",
        request_id.as_ref().map_or_else(String::new, |id| format!(" (request {id})"))
    )]
    PairingRequired {
        /// The request to approve, where the gateway names it.
        request_id: Option<String>,
    },
    /// The gateway wants a device identity or its shared secret, and got neither.
    #[error(
        "the gateway wants to know this device: connect with a device identity, or pass the gateway's token"
    )]
    DeviceIdentityRequired,
    /// Any other refusal.
    #[error("the gateway refused the connection: {}", error.message.as_str())]
    Refused {
        /// The gateway's answer.
        error: Box<ErrorShape>,
    },
    /// The gateway's hello is not one of this protocol.
    #[error("the gateway at {url} sent a hello that cannot be read: {why}")]
    BadHello {
        /// The gateway's URL.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// Something that should have been sent cannot be put into a request.
    #[error("cannot connect: {0}")]
    BadConfig(String),
}

impl ConnectError {
    /// Whether the same attempt can only fail again, until somebody changes something on either
    /// side.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::SocketUnreachable { .. }
            | Self::Tls { .. }
            | Self::NotAGateway { .. }
            | Self::Timeout { .. }
            | Self::Ended { .. }
            | Self::BadHello { .. } => false,
            Self::Fingerprint(_)
            | Self::PinWithoutTls { .. }
            | Self::ProtocolMismatch { .. }
            | Self::Unauthorized { .. }
            | Self::PairingRequired { .. }
            | Self::DeviceIdentityRequired
            | Self::BadConfig(_) => true,
            // A late challenge, a clock that is being set and trouble on the gateway's side are
            // worth another try.
            Self::Refused { error } => {
                !says(error, &errors::DEVICE_NONCE_REQUIRED)
                    && !says(error, &errors::DEVICE_SIGNATURE_EXPIRED)
                    && error.code != *ErrorCode::Unavailable.as_str()
            }
        }
    }

    pub(crate) fn dial(url: String, error: DialError) -> Self {
        match error {
            DialError::Tcp(source) => Self::Unreachable { url, source },
            DialError::Socket { path, source } => Self::SocketUnreachable { path, source },
            DialError::Tls(source) => Self::Tls { url, source },
            DialError::Fingerprint(mismatch) => Self::Fingerprint(mismatch),
            DialError::PinWithoutTls => Self::PinWithoutTls { url },
        }
    }

    /// Sorts the gateway's answer to a connect by what its user can do about it.
    pub(crate) fn refused(error: Box<ErrorShape>) -> Self {
        if says(&error, &errors::PAIRING_REQUIRED) {
            let details: Option<PairingRequiredDetails> = details(&error);
            Self::PairingRequired {
                request_id: details.map(|d| d.request_id.into()),
            }
        } else if says(&error, &errors::DEVICE_IDENTITY_REQUIRED) {
            Self::DeviceIdentityRequired
        } else if says(&error, &errors::PROTOCOL_MISMATCH) {
            let details: Option<ProtocolMismatchDetails> = details(&error);
            Self::ProtocolMismatch {
                gateway: details.map(|d| d.expected_protocol),
            }
        } else if is_unauthorized(&error) {
            Self::Unauthorized { error }
        } else {
            Self::Refused { error }
        }
    }
}

fn details<T: DeserializeOwned>(error: &ErrorShape) -> Option<T> {
    serde_json::from_value(error.details.clone()?).ok()
}

/// Clients know errors by their texts, since there are but five codes (contract 2.8).
fn says(error: &ErrorShape, known: &KnownError) -> bool {
    error.message.as_str() == known.text
}

/// Every refusal of a secret begins with the same word and a colon, whatever the reason. One that was not looked at
/// because others had been wrong is none of them: the secret may be right, later.
fn is_unauthorized(error: &ErrorShape) -> bool {
    if error.code == *ErrorCode::Unavailable.as_str() {
        return false;
    }
    let word = errors::TOKEN_MISMATCH.text.split_once(':');
    word.is_some_and(|(word, _)| {
        let rest = error.message.as_str().strip_prefix(word);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
    })
}

/// How an established connection ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Disconnect {
    /// The gateway closed it.
    #[error("closed by the gateway ({}{}{reason})", code.map_or_else(|| "no code".to_owned(), |code| code.to_string()), if reason.is_empty() { "" } else { ": " })]
    ByGateway {
        /// Close code, if it sent one.
        code: Option<u16>,
        /// Its reason, empty if it gave none.
        reason: String,
    },
    /// This client closed it.
    #[error("closed by this client")]
    ByClient,
    /// The gateway's tick did not come for twice the announced interval.
    #[error("the gateway has gone silent")]
    Silent,
    /// The gateway broke the WebSocket protocol or sent a message over the limit.
    #[error("{0}")]
    BadPeer(String),
    /// The connection broke.
    #[error("{0}")]
    Broken(String),
}

/// A call did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The gateway answered with an error.
    #[error("{}", error.message.as_str())]
    Refused {
        /// The gateway's error.
        error: Box<ErrorShape>,
        /// What came beside it; only a few methods send something.
        payload: Option<Box<RawValue>>,
    },
    /// No answer in time. The request may have been carried out all the same.
    #[error("{method}: no answer within {} s", after.as_secs_f32())]
    Timeout {
        /// The method.
        method: String,
        /// How long was waited.
        after: Duration,
    },
    /// There is no connection at the moment. The request has not been sent.
    #[error("not connected to the gateway")]
    NotConnected,
    /// The connection ended before the answer came. The request may have been carried out.
    #[error("the connection ended before the answer: {0}")]
    Disconnected(Disconnect),
    /// Too many calls wait for their answers. The request has not been sent.
    #[error("{limit} calls wait for their answers already")]
    TooMany {
        /// The most that may wait.
        limit: usize,
    },
    /// The request is larger than the gateway accepts. It has not been sent.
    #[error("the request has {size} bytes, the gateway accepts {limit}")]
    TooBig {
        /// Size of the request in bytes.
        size: usize,
        /// The gateway's limit in bytes.
        limit: u64,
    },
    /// The params cannot be written as JSON.
    #[error("{method}: the params cannot be sent: {source}")]
    BadParams {
        /// The method.
        method: String,
        /// Why not.
        source: serde_json::Error,
    },
    /// The gateway's answer is not what the method returns.
    #[error("{method}: the answer cannot be read: {source}")]
    BadAnswer {
        /// The method.
        method: String,
        /// Why not.
        source: serde_json::Error,
    },
}
