//! The way to one accepted connection: events for it alone, and copies of what others get as well.

use std::sync::Arc;

use openclaw_protocol::events::Event;
use openclaw_protocol::protocol::Close;

use super::registry::Key;
use super::{Hub, Membership};
use crate::nodes::NodeLine;
use crate::ws::EventFrame;

/// One connection, for as long as it lives: afterwards nothing that is said here is heard.
#[derive(Debug, Clone)]
pub struct Line {
    hub: Arc<Hub>,
    key: Key,
}

impl Membership {
    /// The way to this connection alone.
    #[must_use]
    pub fn line(&self) -> Line {
        Line {
            hub: Arc::clone(&self.hub),
            key: self.key,
        }
    }
}

impl NodeLine for Line {
    fn send(&self, event: &Event) -> bool {
        // Droppable whatever the event: who calls is told, so a slow reader need not lose its connection for it.
        let frame = EventFrame::new(event.frame_start(), true);
        let kind = event.kind();
        self.hub.update(|state| {
            state
                .registry
                .direct(self.key, kind, &frame, &mut state.dirty)
        })
    }

    fn subscribe(&self, session_key: &str) -> bool {
        let mut state = self.hub.state();
        state.registry.is_accepted(self.key) && state.copies.subscribe(self.key, session_key)
    }

    fn unsubscribe(&self, session_key: &str) {
        self.hub.state().copies.unsubscribe(self.key, session_key);
    }

    fn close(&self, close: Close) {
        let outbox = self.hub.state().registry.outbox(self.key);
        if let Some(outbox) = outbox {
            outbox.close(close.code, close.reason);
        }
    }
}
