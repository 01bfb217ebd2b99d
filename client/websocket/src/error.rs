//! Why reading stopped, and which close code tells the peer.

use fastwebsockets::WebSocketError;

/// Reading ended. Whatever the reason, no further message comes from this reader.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A message, whole or in fragments, is larger than the limit in force.
    #[error("message is larger than {limit} bytes")]
    TooBig {
        /// The limit in bytes that the message went over.
        limit: usize,
    },
    /// The peer broke a rule of the WebSocket protocol.
    #[error("WebSocket protocol violated: {0}")]
    Protocol(Violation),
    /// The text of a message, or the reason of a close frame, is not UTF-8.
    #[error("text is not UTF-8")]
    NotUtf8,
    /// The stream ended without a close frame.
    #[error("connection ended without a close frame")]
    Eof,
    /// The stream failed.
    #[error("connection failed: {0}")]
    Io(#[source] std::io::Error),
    /// `next` was called after it had returned an error or a close frame, or after an earlier
    /// call of it was dropped before it finished.
    #[error("reading had ended already")]
    Ended,
}

impl ReadError {
    /// The close code that tells the peer what it did, or `None` when there is nobody to tell.
    #[must_use]
    pub fn close_code(&self) -> Option<u16> {
        match self {
            Self::TooBig { .. } => Some(1009),
            Self::Protocol(_) => Some(1002),
            Self::NotUtf8 => Some(1007),
            Self::Eof | Self::Io(_) | Self::Ended => None,
        }
    }

    /// Translates an error of the frame parser; `limit` is the message limit in force.
    pub(crate) fn from_frames(error: WebSocketError, limit: usize) -> Self {
        match error {
            WebSocketError::FrameTooLarge => Self::TooBig { limit },
            WebSocketError::InvalidUTF8 => Self::NotUtf8,
            WebSocketError::UnexpectedEOF => Self::Eof,
            // TLS reports a peer that left without close_notify this way.
            WebSocketError::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
                Self::Eof
            }
            WebSocketError::IoError(e) => Self::Io(e),
            WebSocketError::ReservedBitsNotZero => Self::Protocol(Violation::ReservedBits),
            WebSocketError::InvalidValue => Self::Protocol(Violation::UnknownOpcode),
            WebSocketError::ControlFrameFragmented => {
                Self::Protocol(Violation::FragmentedControlFrame)
            }
            WebSocketError::PingFrameTooLarge => Self::Protocol(Violation::LongControlFrame),
            other => Self::Io(std::io::Error::other(other)),
        }
    }
}

/// The rule that the peer broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A reserved bit is set though no extension was negotiated.
    #[error("reserved bits are not zero")]
    ReservedBits,
    /// The opcode is none of RFC 6455.
    #[error("unknown opcode")]
    UnknownOpcode,
    /// A control frame came in fragments.
    #[error("control frame is fragmented")]
    FragmentedControlFrame,
    /// A control frame is longer than [`MAX_CONTROL_PAYLOAD`](crate::MAX_CONTROL_PAYLOAD).
    #[error("control frame is longer than 125 bytes")]
    LongControlFrame,
    /// A continuation frame came though no fragmented message was begun.
    #[error("continuation without a message to continue")]
    StrayContinuation,
    /// A new message began before the fragmented one had ended.
    #[error("new message inside a fragmented one")]
    InterruptedMessage,
    /// A client sent a frame without a mask.
    #[error("client frame is not masked")]
    Unmasked,
    /// A server sent a frame with a mask.
    #[error("server frame is masked")]
    Masked,
    /// The payload of a close frame is one byte, or its code may not be sent.
    #[error("invalid close frame")]
    InvalidClose,
}
