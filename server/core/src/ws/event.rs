//! One event for many connections: serialised once, numbered for each.

use bytes::Bytes;
use openclaw_protocol::events::EventKind;

/// The text of an event frame but for the connection's own `seq`.
///
/// `start` and `end` are the same for everyone; an outbox writes `start`, `,"seq":N`, `end`.
#[derive(Debug, Clone)]
pub struct EventFrame {
    /// `{"type":"event","event":…,"payload":…`
    pub(super) start: Bytes,
    /// `,"stateVersion":{…}}` or `}`
    pub(super) end: Bytes,
    /// May be left out for a connection that is over its budget.
    pub(super) droppable: bool,
}

impl EventFrame {
    /// An event frame; `start` is the text up to the end of the payload. `droppable` says what happens for a slow
    /// reader.
    #[must_use]
    pub fn new(start: impl Into<Bytes>, droppable: bool) -> Self {
        Self {
            start: start.into(),
            end: Bytes::from_static(b"}"),
            droppable,
        }
    }

    /// Adds `stateVersion` (contract 7.3).
    #[must_use]
    pub fn with_state_version(mut self, presence: u64, health: u64) -> Self {
        /// The names and two numbers of the longest.
        const LONGEST: usize = 80;
        let (mut digits, mut more) = (itoa::Buffer::new(), itoa::Buffer::new());
        let mut end = String::with_capacity(LONGEST);
        for piece in [
            r#","stateVersion":{"presence":"#,
            digits.format(presence),
            r#","health":"#,
            more.format(health),
            "}}",
        ] {
            end.push_str(piece);
        }
        self.end = end.into();
        self
    }

    /// The same for clients of an older protocol version: without members that are newer.
    #[must_use]
    pub fn at(&self, kind: EventKind, version: u64) -> Self {
        let start = String::from_utf8_lossy(&self.start);
        Self {
            start: kind.frame_start_at(version, &start).into(),
            ..self.clone()
        }
    }

    /// Length of the text without `seq`, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.start.len() + self.end.len()
    }
}
