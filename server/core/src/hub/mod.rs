//! Who is connected, and what everybody is told: broadcasts, presence, health and their versions (contract 7).
//!
//! One lock around everything makes the order of events the same for every client, and lets a newcomer's snapshot and
//! the events after it fit together without a gap. What happens under it is short and never waits: events are appended
//! to outboxes; writing is done afterwards by [`Hub::run_flusher`], once for each client and burst, or by a
//! connection's own task when it ends its turn.

mod audience;
mod beacon;
mod copies;
mod health;
mod line;
mod membership;
mod older;
mod presence;
mod registry;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use openclaw_protocol::events::{Event, EventKind};
use openclaw_protocol::protocol::{Role, close};
use openclaw_protocol::types::{HealthSummary, PresenceEntry, StateVersion};
use tokio::sync::Notify;

pub use beacon::Beacon;
pub use line::Line;
pub use membership::Membership;
pub use presence::{Presence, PresenceKey, is_tracked};

use crate::clock::Clock;
use crate::limits;
use crate::ws::{EventFrame, Outbox};
use copies::Copies;
use health::Health;
use registry::{Registry, Tally};

/// Takes events from the domain modules. [`Hub`] sends them to everybody who may see them; tests collect them.
pub trait EventSink: Send + Sync + 'static {
    /// Passes an event on. May be called from any thread; does not wait.
    fn emit(&self, event: Event);
}

/// What pairing does to those who are connected. [`Hub`] does it; tests note it.
pub trait Admitted: EventSink {
    /// Ends the connections that a device has in a role, those in their handshake included: what they came in with no
    /// longer holds. `spare` names one that is left alone.
    fn dismiss(&self, device_id: &str, role: Role, spare: Option<&str>);
}

/// The hub of a gateway.
pub struct Hub {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    /// Some outbox has become dirty.
    dirty: Notify,
    /// Presence has changed and not everybody has been told.
    presence_changed: Notify,
    /// The last connection is gone.
    emptied: Notify,
}

struct State {
    registry: Registry,
    copies: Copies,
    presence: Presence,
    version: StateVersion,
    /// Presence version that everybody was told of.
    announced: u64,
    /// The last health summary, as the start of its event.
    health: Option<Health>,
    dirty: Vec<Arc<Outbox>>,
    tally: Tally,
    is_stopping: bool,
}

/// What has become of broadcasts since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HubStats {
    /// Connections, accepted or not.
    pub connections: usize,
    /// Accepted connections.
    pub accepted: usize,
    /// Events put into outboxes.
    pub queued: u64,
    /// Events left out for slow readers.
    pub dropped: u64,
    /// Connections closed because they were too slow for an event.
    pub too_slow: u64,
}

/// The state that hello-ok shows, all of one moment.
#[derive(Debug, Clone, Copy)]
pub struct Snapshot<'a> {
    /// JSON text of the presence list.
    pub presence: &'a str,
    /// JSON text of the health summary; `{}` before the first.
    pub health: &'a str,
    /// Versions of both.
    pub version: &'a StateVersion,
}

impl Hub {
    /// A hub without connections; `own` is the gateway's own presence entry.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, own: PresenceEntry) -> Self {
        Self {
            clock,
            state: Mutex::new(State {
                registry: Registry::default(),
                copies: Copies::default(),
                presence: Presence::new(own),
                version: StateVersion::new(1, 1),
                announced: 1,
                health: None,
                dirty: Vec::new(),
                tally: Tally::default(),
                is_stopping: false,
            }),
            dirty: Notify::new(),
            presence_changed: Notify::new(),
            emptied: Notify::new(),
        }
    }

    /// Where `is_narrow`, broadcasts go to those alone who could ask about them (odd 19, `gateway.narrowEvents`).
    #[must_use]
    pub fn narrowed(self, is_narrow: bool) -> Self {
        if is_narrow {
            self.state().registry.narrow();
        }
        self
    }

    /// Sends a new health summary to everybody and keeps it for newcomers.
    pub fn publish_health(&self, summary: HealthSummary) {
        let health = Health::new(summary);
        self.update(|state| {
            state.version.health += 1;
            state.health = Some(health.clone());
            let frame = health.frame(&state.version);
            state.broadcast(EventKind::Health, &frame);
            state.copy_to_all(EventKind::Health, &health.bare());
        });
    }

    /// Keeps a health summary for newcomers that differs from the published one only in what nobody needs to be told.
    pub fn renew_health(&self, summary: HealthSummary) {
        self.state().health = Some(Health::new(summary));
    }

    /// Takes in what a beacon says and tells everybody at once. Returns the entry before and after.
    pub fn beacon(&self, beacon: &Beacon) -> (Option<PresenceEntry>, PresenceEntry) {
        let now_ms = self.clock.now_ms();
        self.update(|state| {
            let change = state.presence.beacon(beacon, now_ms);
            state.version.presence += 1;
            state.announce_presence(now_ms);
            change
        })
    }

    /// The presence list, newest first.
    #[must_use]
    pub fn presence(&self) -> Vec<PresenceEntry> {
        let now_ms = self.clock.now_ms();
        self.state().presence.list(now_ms)
    }

    /// Tells everybody to go: the event, then a close (contract 7.5). Newcomers are closed at once from now on.
    pub fn stop(&self, shutdown: Event) {
        self.emit(shutdown);
        let outboxes: Vec<_> = {
            let mut state = self.state();
            state.is_stopping = true;
            state.registry.outboxes().cloned().collect()
        };
        for outbox in outboxes {
            // Wakes the connection's task, which writes and waits for the peer.
            outbox.close(close::SERVICE_RESTART.code, close::SERVICE_RESTART.reason);
        }
    }

    /// Waits until no connection is left.
    pub async fn emptied(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.state().registry.len() == 0 {
                return;
            }
            emptied.await;
        }
    }

    /// Writes dirty outboxes out whenever there are some. Never returns; runs on the thread of the sockets.
    pub async fn run_flusher(&self) {
        loop {
            self.dirty.notified().await;
            let dirty = std::mem::take(&mut self.state().dirty);
            for batch in dirty.chunks(limits::FLUSH_BATCH) {
                for outbox in batch {
                    outbox.flush_dirty();
                }
                tokio::task::yield_now().await;
            }
        }
    }

    /// Tells everybody of connects and disconnects, gathered over [`limits::PRESENCE_WINDOW`]. Never returns.
    pub async fn run_presence(&self) {
        loop {
            self.presence_changed.notified().await;
            tokio::time::sleep(limits::PRESENCE_WINDOW).await;
            let bytes = self.announce_presence();
            tokio::time::sleep(pause_after(bytes)).await;
        }
    }

    /// Tells everybody who does not know it yet of the present list. Returns how many bytes that comes to.
    fn announce_presence(&self) -> u64 {
        let now_ms = self.clock.now_ms();
        self.update(|state| {
            if state.announced < state.version.presence {
                state.announce_presence(now_ms)
            } else {
                0
            }
        })
    }

    /// Counters since the start.
    #[must_use]
    pub fn stats(&self) -> HubStats {
        let state = self.state();
        HubStats {
            connections: state.registry.len(),
            accepted: state.registry.accepted(),
            queued: state.tally.queued,
            dropped: state.tally.dropped,
            too_slow: state.tally.too_slow,
        }
    }

    /// Changes the state and wakes the flusher if there is something to write.
    fn update<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state();
        let was_clean = state.dirty.is_empty();
        let result = change(&mut state);
        let is_dirty = !state.dirty.is_empty();
        drop(state);
        if was_clean && is_dirty {
            self.dirty.notify_one();
        }
        result
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is complete or has not begun; a panic elsewhere leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long presence keeps quiet after `bytes` of it, beyond the window.
fn pause_after(bytes: u64) -> Duration {
    let pace = Duration::from_millis(bytes * 1000 / limits::PRESENCE_BYTES_PER_SECOND);
    pace.saturating_sub(limits::PRESENCE_WINDOW)
}

impl EventSink for Hub {
    fn emit(&self, event: Event) {
        let kind = event.kind();
        // Serialised before the lock is taken: that is the long part.
        let frame = EventFrame::new(event.frame_start(), event.droppable());
        self.update(|state| {
            if kind.spec().state_version {
                let version = &state.version;
                let frame = frame
                    .clone()
                    .with_state_version(version.presence, version.health);
                state.broadcast(kind, &frame);
            } else {
                state.broadcast(kind, &frame);
            }
            match &event {
                Event::Agent(agent) => state.copy(kind, agent.session_key.as_deref(), &frame),
                Event::Chat(chat) => state.copy(kind, Some(&chat.session_key), &frame),
                Event::Tick(_) => state.copy_to_all(kind, &frame),
                _ => {}
            }
        });
    }
}

impl Admitted for Hub {
    fn dismiss(&self, device_id: &str, role: Role, spare: Option<&str>) {
        let outboxes: Vec<_> = self
            .state()
            .registry
            .outboxes_of(device_id, role, spare)
            .cloned()
            .collect();
        for outbox in outboxes {
            outbox.close(
                close::DEVICE_TOKEN_REVOKED.code,
                close::DEVICE_TOKEN_REVOKED.reason,
            );
        }
    }
}

impl State {
    fn broadcast(&mut self, kind: EventKind, frame: &EventFrame) {
        let tally = self.registry.broadcast(kind, frame, &mut self.dirty);
        self.tally += tally;
    }

    /// Sends an event of a conversation to those who subscribed to it, after the broadcast and without a number: what
    /// the apps of the original read (contract 8.5, odd 21).
    fn copy(&mut self, kind: EventKind, session_key: Option<&str>, frame: &EventFrame) {
        for key in session_key.map_or(&[][..], |key| self.copies.of(key)) {
            self.registry.direct(*key, kind, frame, &mut self.dirty);
        }
    }

    /// As [`Self::copy`] for what concerns every conversation.
    fn copy_to_all(&mut self, kind: EventKind, frame: &EventFrame) {
        for key in self.copies.members() {
            self.registry.direct(key, kind, frame, &mut self.dirty);
        }
    }

    /// Sends the presence list to everybody who does not know this version. Returns how many bytes that comes to.
    fn announce_presence(&mut self, now_ms: u64) -> u64 {
        let frame = self.presence_frame(now_ms);
        let version = self.version.presence;
        self.announced = version;
        let tally = self
            .registry
            .broadcast_presence(&frame, version, &mut self.dirty);
        self.tally += tally;
        tally.queued * frame.size() as u64
    }

    fn presence_frame(&mut self, now_ms: u64) -> EventFrame {
        presence::frame(&self.presence.list_json(now_ms), &self.version)
    }
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Hub").field(&self.stats()).finish()
    }
}

#[cfg(test)]
mod tests;
