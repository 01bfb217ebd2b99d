//! The last health summary, serialised once for everybody it goes to. Made by [`super::Hub`].

use std::sync::Arc;

use bytes::Bytes;
use openclaw_protocol::events::Event;
use openclaw_protocol::types::{HealthSummary, StateVersion};

use crate::ws::EventFrame;

/// A health summary as the start of its event.
#[derive(Clone)]
pub(super) struct Health {
    start: Bytes,
    /// The summary alone.
    payload: Arc<str>,
    droppable: bool,
}

impl Health {
    pub(super) fn new(summary: HealthSummary) -> Self {
        const MEMBER: &str = r#""payload":"#;
        let event = Event::Health(summary);
        let start = event.frame_start();
        let text = String::from_utf8_lossy(&start);
        let payload = text
            .split_once(MEMBER)
            .map_or("", |(_, payload)| payload)
            .into();
        Self {
            start: start.into(),
            payload,
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
        &self.payload
    }
}
