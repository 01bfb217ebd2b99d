//! A connection's place in the hub, from its first byte to its farewell. Connections hold and drop it.

use std::sync::Arc;

use openclaw_protocol::events::EventKind;
use openclaw_protocol::protocol::{Role, close};

use super::registry::Key;
use super::{Hub, PresenceKey, Snapshot, health::Health, is_tracked, older, presence};
use crate::connection::Caller;
use crate::ws::{EventFrame, Outbox};

/// A connection's place in the hub, given back when this is dropped.
pub struct Membership {
    pub(super) hub: Arc<Hub>,
    pub(super) key: Key,
    pub(super) presence: Option<PresenceKey>,
    /// It takes part in nothing any more, or not again yet.
    pub(super) is_retired: bool,
}

impl Hub {
    /// Registers a connection that is not accepted yet. It gets no broadcasts, but is told of a shutdown (odd 66).
    #[must_use]
    pub fn enter(self: &Arc<Self>, outbox: Arc<Outbox>) -> Membership {
        let mut state = self.state();
        let is_late = state.is_stopping;
        let key = state.registry.enter(Arc::clone(&outbox));
        drop(state);
        if is_late {
            outbox.close(close::SERVICE_RESTART.code, close::SERVICE_RESTART.reason);
        }
        Membership {
            hub: Arc::clone(self),
            key,
            presence: None,
            is_retired: false,
        }
    }
}

impl Membership {
    /// Says as whom the connection wants to be let in, before anything is granted to it: a revocation that comes while
    /// the grant is being written then ends it too.
    pub fn claim(&self, device_id: &str, role: Role) {
        self.hub.state().registry.claim(self.key, device_id, role);
    }

    /// Lets an accepted connection in: enters it into presence, sends `hello` (made of the state at this moment)
    /// before anything else, and then the newcomer's own presence and health events.
    pub fn accept(
        &mut self,
        caller: &Caller,
        outbox: &Outbox,
        hello: impl FnOnce(Snapshot<'_>) -> Vec<u8>,
    ) {
        self.is_retired = false;
        let now_ms = self.hub.clock.now_ms();
        let mut state = self.hub.state();
        let state = &mut *state;
        let tracked = is_tracked(caller);
        if tracked {
            self.presence = Some(state.presence.connect(caller, now_ms));
            state.version.presence += 1;
        }
        let list = state.presence.list_json(now_ms);
        let version = &state.version;
        // Nothing is broadcast in between: the state is locked.
        state.registry.accept(self.key, caller, version.presence);
        let gets = |kind| state.registry.gets(self.key, kind);
        let list = match gets(EventKind::Presence) {
            true => list,
            false => "[]".to_owned(),
        };
        let health = state.health.as_ref().filter(|_| gets(EventKind::Health));
        outbox.send(hello(Snapshot {
            presence: &list,
            health: health.map_or("{}", Health::payload),
            version,
        }));
        let greet = |kind: EventKind, frame: EventFrame| {
            if gets(kind)
                && let Some(frame) = older::frame_at(kind, caller.protocol, &frame)
            {
                outbox.event(&frame);
            }
        };
        if tracked {
            greet(EventKind::Presence, presence::frame(&list, version));
            self.hub.presence_changed.notify_one();
        }
        if let Some(health) = health {
            greet(EventKind::Health, health.frame(version));
        }
    }

    /// Takes the connection out of broadcasts and presence. Its place is kept until this is dropped, so that a stopping
    /// gateway waits for its farewell.
    pub fn retire(&mut self) {
        if std::mem::replace(&mut self.is_retired, true) {
            return;
        }
        let mut state = self.hub.state();
        state.registry.retire(self.key);
        state.copies.leave(self.key);
        let has_left = self.presence.take().is_some_and(|key| {
            let now_ms = self.hub.clock.now_ms();
            state.presence.disconnect(&key, now_ms)
        });
        if has_left {
            state.version.presence += 1;
        }
        drop(state);
        if has_left {
            self.hub.presence_changed.notify_one();
        }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.retire();
        let mut state = self.hub.state();
        state.registry.leave(self.key);
        let is_empty = state.registry.len() == 0;
        drop(state);
        if is_empty {
            self.hub.emptied.notify_waiters();
        }
    }
}

impl std::fmt::Debug for Membership {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Membership")
            .field("key", &self.key)
            .field("presence", &self.presence)
            .finish_non_exhaustive()
    }
}
