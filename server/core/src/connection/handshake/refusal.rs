//! Why a handshake failed, and what the client is told: a response with the request's id, then a close whose reason is
//! the same text (contract 2.3, 2.8).

use std::borrow::Cow;

use openclaw_protocol::methods::Method;
use openclaw_protocol::protocol::{self, Close, close, errors, limits, texts};
use openclaw_protocol::rt::{self, NonEmptyString, Violation};
use openclaw_protocol::types::{
    ErrorShape, PairingRequiredDetails, ProtocolMismatchDetails, RefusalReason,
};

use super::client::ClientKind;
use crate::connection::auth::AuthMode;
use crate::connection::auth::{AuthError, AuthFault};
use crate::connection::identity::IdentityError;
use crate::pairing::PairingError;

/// Longest description of a client's mistake in the log, in characters: the first mistakes, which are the ones to mend.
const LOGGED_CHARS: usize = 200;

/// A close with a reason made at run time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseWith {
    /// Close code.
    pub code: u16,
    /// Reason, already cut to what fits.
    pub reason: Cow<'static, str>,
}

impl From<Close> for CloseWith {
    fn from(close: Close) -> Self {
        Self {
            code: close.code,
            reason: Cow::Borrowed(close.reason),
        }
    }
}

/// The end of a handshake that failed.
#[derive(Debug)]
pub struct Refusal {
    /// Text of the response frame; `None` where the contract has the connection closed without one.
    pub response: Option<Vec<u8>>,
    /// The close that follows.
    pub close: CloseWith,
    /// Why, for the log and the counters.
    pub cause: Cause,
}

/// Why a handshake failed. Its text is for the log; what the client reads is in [`Refusal`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// Nothing came in time.
    #[error("no connect in time")]
    TimedOut,
    /// The first message is not JSON.
    #[error("first message is not JSON")]
    NotJson,
    /// 1a
    #[error("first message is not a request frame")]
    InvalidFrame,
    /// 1b
    #[error("first request is not connect")]
    NotConnect,
    /// 1c
    #[error("invalid params: {}", for_the_log(.0))]
    InvalidParams(Vec<Violation>),
    /// 2
    #[error("no common protocol version")]
    ProtocolMismatch,
    /// 3
    #[error("unknown role")]
    InvalidRole,
    /// 6a
    #[error("control UI without device")]
    ControlUiInsecure,
    /// 6b
    #[error("no device and no shared secret")]
    DeviceRequired,
    /// 7a to 7f
    #[error("device refused: {0}")]
    Identity(IdentityError),
    /// 8
    #[error("unauthorized: {:?} {:?}", .error.mode, .error.fault)]
    Unauthorized {
        /// What was wrong with the shared secret; a refused device token is reported so too.
        error: AuthError,
        /// Whom to give a hint.
        client: ClientKind,
    },
    /// 8, not even looked at: too many wrong secrets came from there.
    #[error("too many wrong secrets, {wait_ms} ms to wait")]
    TooManyAttempts {
        /// Until the next one is looked at.
        wait_ms: u64,
    },
    /// 9
    #[error("pairing request {request_id} waits for an operator")]
    PairingRequired {
        /// The request.
        request_id: String,
    },
    /// What should have been granted could not be written. The client sees a close without a word, as with the
    /// reference, and tries again.
    #[error("pairing failed: {0}")]
    PairingFailed(PairingError),
}

impl Cause {
    /// The word under which it is counted.
    #[must_use]
    pub fn reason(&self) -> RefusalReason {
        match self {
            Self::TimedOut => RefusalReason::TimedOut,
            Self::NotJson => RefusalReason::NotJson,
            Self::InvalidFrame => RefusalReason::InvalidFrame,
            Self::NotConnect => RefusalReason::NotConnect,
            Self::InvalidParams(_) => RefusalReason::InvalidParams,
            Self::ProtocolMismatch => RefusalReason::ProtocolMismatch,
            Self::InvalidRole => RefusalReason::InvalidRole,
            Self::ControlUiInsecure => RefusalReason::InsecureControlUi,
            Self::DeviceRequired => RefusalReason::NoDevice,
            Self::Identity(_) => RefusalReason::DeviceIdentity,
            Self::Unauthorized { .. } => RefusalReason::Unauthorized,
            Self::TooManyAttempts { .. } => RefusalReason::TooManyAttempts,
            Self::PairingRequired { .. } => RefusalReason::PairingRequired,
            Self::PairingFailed(_) => RefusalReason::PairingFailed,
        }
    }

    /// What the client is answered; `None` where it gets a close only.
    fn error(&self) -> Option<ErrorShape> {
        Some(match self {
            Self::TimedOut | Self::NotJson | Self::InvalidFrame | Self::PairingFailed(_) => {
                return None;
            }
            Self::NotConnect => errors::CONNECT_FIRST.error(),
            Self::InvalidParams(violations) => errors::INVALID_PARAMS.with(&[
                ("method", Method::Connect.name()),
                ("problems", &rt::describe(violations)),
            ]),
            Self::ProtocolMismatch => {
                let details = ProtocolMismatchDetails::new(protocol::VERSION);
                with_details(errors::PROTOCOL_MISMATCH.error(), &details)
            }
            Self::InvalidRole => errors::INVALID_ROLE.error(),
            Self::ControlUiInsecure => errors::CONTROL_UI_INSECURE.error(),
            Self::DeviceRequired => errors::DEVICE_IDENTITY_REQUIRED.error(),
            Self::Identity(error) => identity_error(*error),
            Self::Unauthorized { error, client } => unauthorized(*error, *client),
            Self::TooManyAttempts { wait_ms } => too_many_attempts(*wait_ms),
            Self::PairingRequired { request_id } => {
                let details =
                    PairingRequiredDetails::new(NonEmptyString::or(request_id.as_str(), "unknown"));
                with_details(errors::PAIRING_REQUIRED.error(), &details)
            }
        })
    }

    fn close(&self, error: Option<&ErrorShape>) -> CloseWith {
        match (self, error) {
            (Self::TimedOut, _) => close::HANDSHAKE_TIMEOUT.into(),
            (Self::NotJson, _) => close::FIRST_FRAME_NOT_JSON.into(),
            (Self::InvalidFrame, _) => close::INVALID_REQUEST_FRAME.into(),
            (Self::ProtocolMismatch, _) => close::PROTOCOL_MISMATCH.into(),
            (_, Some(error)) => CloseWith {
                code: close::HANDSHAKE_REFUSED.code,
                reason: Cow::Owned(cut_reason(&error.message)),
            },
            (_, None) => close::NORMAL.into(),
        }
    }
}

impl Refusal {
    /// Nothing came within [`limits::HANDSHAKE_TIMEOUT_MS`].
    #[must_use]
    pub fn timed_out() -> Self {
        Self::silent(Cause::TimedOut)
    }

    /// A close without a response.
    pub(super) fn silent(cause: Cause) -> Self {
        Self {
            response: None,
            close: cause.close(None),
            cause,
        }
    }

    /// A response to request `id`, where the cause has one, and a close.
    pub(super) fn answering(id: &str, cause: Cause) -> Self {
        let error = cause.error();
        Self {
            response: error
                .as_ref()
                .map(|error| rt::error_frame(id, error, None::<&()>)),
            close: cause.close(error.as_ref()),
            cause,
        }
    }
}

/// A close reason: the first [`limits::CLOSE_REASON_BYTES`] bytes of a text. A character that is cut in two becomes
/// U+FFFD, as in the reference (contract 1.4); the result still fits the 123 bytes that WebSocket allows.
#[must_use]
pub fn cut_reason(text: &str) -> String {
    let bytes = text.as_bytes();
    let end = bytes.len().min(limits::CLOSE_REASON_BYTES as usize);
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// What is wrong with params, in one short line: names of members are the client's words, and nothing is known of it yet.
fn for_the_log(violations: &[Violation]) -> String {
    let described = rt::describe(violations);
    let shown = described.chars().take(LOGGED_CHARS);
    let escaped = |c: char| match c {
        '\'' | '"' => c.to_string(),
        c => c.escape_debug().to_string(),
    };
    shown.map(escaped).collect()
}

fn identity_error(error: IdentityError) -> ErrorShape {
    match error {
        IdentityError::Mismatch => errors::DEVICE_IDENTITY_MISMATCH,
        IdentityError::Expired => errors::DEVICE_SIGNATURE_EXPIRED,
        IdentityError::NonceRequired => errors::DEVICE_NONCE_REQUIRED,
        IdentityError::NonceMismatch => errors::DEVICE_NONCE_MISMATCH,
        IdentityError::SignatureInvalid => errors::DEVICE_SIGNATURE_INVALID,
        IdentityError::WeakKey => errors::DEVICE_PUBLIC_KEY_INVALID,
    }
    .error()
}

fn unauthorized(error: AuthError, client: ClientKind) -> ErrorShape {
    let known = match (error.mode, error.fault) {
        (AuthMode::Token, AuthFault::NotConfigured) => errors::TOKEN_NOT_CONFIGURED,
        (AuthMode::Token, AuthFault::Missing) => errors::TOKEN_MISSING,
        (AuthMode::Token, AuthFault::Mismatch) => errors::TOKEN_MISMATCH,
        (AuthMode::Password, AuthFault::NotConfigured) => errors::PASSWORD_NOT_CONFIGURED,
        (AuthMode::Password, AuthFault::Missing) => errors::PASSWORD_MISSING,
        (AuthMode::Password, AuthFault::Mismatch) => errors::PASSWORD_MISMATCH,
    };
    let hint = match (error.mode, client) {
        (AuthMode::Token, ClientKind::Cli) => texts::TOKEN_HINT_CLI,
        (AuthMode::Token, ClientKind::Page) => texts::TOKEN_HINT_CONTROL_UI,
        (AuthMode::Token, ClientKind::Other) => texts::TOKEN_HINT_OTHER,
        (AuthMode::Password, ClientKind::Cli) => texts::PASSWORD_HINT_CLI,
        (AuthMode::Password, ClientKind::Page) => texts::PASSWORD_HINT_CONTROL_UI,
        (AuthMode::Password, ClientKind::Other) => texts::PASSWORD_HINT_OTHER,
    };
    known.with(&[("hint", hint)])
}

fn too_many_attempts(wait_ms: u64) -> ErrorShape {
    let seconds = wait_ms.div_ceil(1000).to_string();
    let mut error = errors::TOO_MANY_ATTEMPTS.with(&[("seconds", &seconds)]);
    error.retryable = Some(true);
    error.retry_after_ms = Some(wait_ms);
    error
}

fn with_details(mut error: ErrorShape, details: &impl serde::Serialize) -> ErrorShape {
    error.details = serde_json::to_value(details).ok();
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_cut_by_bytes() {
        let ascii = |n: usize| "x".repeat(n);
        let cases = [
            (String::new(), String::new()),
            (ascii(120), ascii(120)),
            (ascii(121), ascii(120)),
            (format!("{}é", ascii(118)), format!("{}é", ascii(118))),
            (
                format!("{}é", ascii(119)),
                format!("{}\u{fffd}", ascii(119)),
            ),
            (format!("{}é", ascii(120)), ascii(120)),
            (
                format!("{}😀", ascii(117)),
                format!("{}\u{fffd}", ascii(117)),
            ),
            (
                format!("{}😀x", ascii(119)),
                format!("{}\u{fffd}", ascii(119)),
            ),
            (format!("{}😀x", ascii(116)), format!("{}😀", ascii(116))),
        ];
        for (text, expected) in cases {
            let reason = cut_reason(&text);
            assert_eq!(reason, expected);
            assert!(reason.len() <= 123, "{reason}");
        }
    }
}
