//! The last health summary, serialised once for everybody it goes to. Made by [`super::Hub`].

use bytes::Bytes;
use openclaw_protocol::events::Event;
use openclaw_protocol::types::{HealthSummary, StateVersion};

use crate::ws::EventFrame;

/// A health summary as the start of its event.
#[derive(Clone)]
pub(super) struct Health {
    start: Bytes,
    droppable: bool,
}

impl Health {
    pub(super) fn new(summary: HealthSummary) -> Self {
        let event = Event::Health(summary);
        Self {
            start: event.frame_start().into(),
            droppable: event.droppable(),
        }
    }

    pub(super) fn frame(&self, version: &StateVersion) -> EventFrame {
        self.bare()
            .with_state_version(version.presence, version.health)
    }

    /// For one connection alone.
    pub(super) fn bare(&self) -> EventFrame {
        EventFrame::new(self.start.clone(), self.droppable)
    }

    /// The summary alone.
    pub(super) fn payload(&self) -> &str {
        const MEMBER: &[u8] = br#""payload":"#;
        let start = self
            .start
            .windows(MEMBER.len())
            .position(|window| window == MEMBER);
        let payload = start.map_or(&[][..], |start| &self.start[start + MEMBER.len()..]);
        std::str::from_utf8(payload).unwrap_or_default()
    }
}
