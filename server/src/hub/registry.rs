//! Slots of connections: who is to get which event. No locks here; [`Hub`](super::Hub) holds one around it.

use std::sync::Arc;

use openclaw_protocol::events::EventKind;
use openclaw_protocol::methods;

use crate::connection::Caller;
use crate::ws::{Delivery, EventFrame, Outbox};

/// One bit for each kind of event.
type Audience = u64;

const _: () = assert!(EventKind::ALL.len() <= Audience::BITS as usize);

/// All connections, accepted or not.
#[derive(Debug, Default)]
pub(super) struct Registry {
    slots: Vec<Slot>,
    /// Slots without a member.
    free: Vec<usize>,
    /// Grows with each member; tells a member from a later one in the same slot.
    generation: u64,
    members: usize,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u64,
    member: Option<Member>,
}

#[derive(Debug)]
struct Member {
    outbox: Arc<Outbox>,
    /// Broadcasts it gets; none before it is accepted.
    audience: Audience,
    is_accepted: bool,
    /// Version of the presence list that it was sent last.
    presence: u64,
}

/// Names a member, also when its slot has been given to another one since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    slot: usize,
    generation: u64,
}

#[cfg(test)]
impl Key {
    pub(super) fn slot_for_test(self) -> usize {
        self.slot
    }
}

/// What a broadcast came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) queued: u64,
    pub(super) dropped: u64,
    pub(super) too_slow: u64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, more: Self) {
        self.queued += more.queued;
        self.dropped += more.dropped;
        self.too_slow += more.too_slow;
    }
}

impl Registry {
    /// Adds a connection that gets no broadcasts yet.
    pub(super) fn enter(&mut self, outbox: Arc<Outbox>) -> Key {
        self.generation += 1;
        self.members += 1;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() - 1
        });
        self.slots[slot] = Slot {
            generation: self.generation,
            member: Some(Member {
                outbox,
                audience: 0,
                is_accepted: false,
                presence: 0,
            }),
        };
        Key {
            slot,
            generation: self.generation,
        }
    }

    /// Opens broadcasts to a member. `presence` is the version of the list it knows already.
    pub(super) fn accept(&mut self, key: Key, caller: &Caller, presence: u64) {
        let audience = audience_of(caller);
        if let Some(member) = self.member(key) {
            member.audience = audience;
            member.is_accepted = true;
            member.presence = presence;
        }
    }

    /// Ends broadcasts to a member, which keeps its slot.
    pub(super) fn retire(&mut self, key: Key) {
        if let Some(member) = self.member(key) {
            member.audience = 0;
            member.is_accepted = false;
        }
    }

    /// Removes a member; a key of an earlier one changes nothing.
    pub(super) fn leave(&mut self, key: Key) {
        if self.member(key).is_some() {
            self.slots[key.slot].member = None;
            self.free.push(key.slot);
            self.members -= 1;
        }
    }

    /// Connections, accepted or not.
    pub(super) fn len(&self) -> usize {
        self.members
    }

    /// Accepted connections.
    pub(super) fn accepted(&self) -> usize {
        self.all().filter(|member| member.is_accepted).count()
    }

    /// Appends an event to the outbox of everyone who may see it. Outboxes that have something new to write are added
    /// to `dirty`.
    pub(super) fn broadcast(
        &mut self,
        kind: EventKind,
        frame: &EventFrame,
        dirty: &mut Vec<Arc<Outbox>>,
    ) -> Tally {
        self.deliver(kind, frame, dirty, |_| true)
    }

    /// As [`Self::broadcast`] for a presence list of `version`, which those who know it are spared.
    pub(super) fn broadcast_presence(
        &mut self,
        frame: &EventFrame,
        version: u64,
        dirty: &mut Vec<Arc<Outbox>>,
    ) -> Tally {
        self.deliver(EventKind::Presence, frame, dirty, |member| {
            std::mem::replace(&mut member.presence, version) < version
        })
    }

    fn deliver(
        &mut self,
        kind: EventKind,
        frame: &EventFrame,
        dirty: &mut Vec<Arc<Outbox>>,
        mut wants: impl FnMut(&mut Member) -> bool,
    ) -> Tally {
        let mut tally = Tally::default();
        let members = self
            .slots
            .iter_mut()
            .filter_map(|slot| slot.member.as_mut());
        for member in members.filter(|member| member.audience & bit(kind) != 0) {
            if !wants(member) {
                continue;
            }
            match member.outbox.event(frame) {
                Delivery::Queued => tally.queued += 1,
                Delivery::Dropped => tally.dropped += 1,
                Delivery::TooSlow => tally.too_slow += 1,
                Delivery::Over => continue,
            }
            if member.outbox.mark_dirty() {
                dirty.push(Arc::clone(&member.outbox));
            }
        }
        tally
    }

    /// The outboxes of all connections, accepted or not.
    pub(super) fn outboxes(&self) -> impl Iterator<Item = &Arc<Outbox>> {
        self.all().map(|member| &member.outbox)
    }

    fn all(&self) -> impl Iterator<Item = &Member> {
        self.slots.iter().filter_map(|slot| slot.member.as_ref())
    }

    fn member(&mut self, key: Key) -> Option<&mut Member> {
        let slot = self.slots.get_mut(key.slot)?;
        slot.member
            .as_mut()
            .filter(|_| slot.generation == key.generation)
    }
}

fn bit(kind: EventKind) -> Audience {
    1 << kind as usize
}

/// The broadcasts that a caller may see (contract 7.2, odd 19).
fn audience_of(caller: &Caller) -> Audience {
    EventKind::ALL
        .iter()
        .filter(|kind| {
            let spec = kind.spec();
            spec.broadcast
                && spec.roles.contains(&caller.role)
                && (spec.scopes.is_empty() || methods::grants(&caller.scopes, spec.scopes))
        })
        .map(|kind| bit(*kind))
        .sum()
}
