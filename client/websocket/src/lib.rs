//! WebSocket messages with limits, for both ends of a connection.
//!
//! `fastwebsockets` parses frames; this crate makes messages of them and refuses what that
//! library lets through: messages over a total size, a new message inside a fragmented one,
//! oversized control frames, frames masked the wrong way round, invalid close payloads.
//! The gateway, the client, the conformance runner and the load generator all read through
//! [`MessageReader`] and write with the functions of [`encode`], so that both sides of every
//! test agree with what ships.
//!
//! Nothing here opens a socket or performs the HTTP upgrade.

pub mod encode;
mod error;
mod lent;
mod reader;
mod stream;

pub use bytestring::ByteString;
pub use encode::{Mask, Masks};
pub use error::{ReadError, Violation};
pub use fastwebsockets::OpCode;
pub use reader::{Incoming, MessageReader, Meter, Spare};
pub use stream::{OnIdle, Prefixed};

/// The largest payload of a ping, pong or close frame (RFC 6455, section 5.5).
pub const MAX_CONTROL_PAYLOAD: usize = 125;
