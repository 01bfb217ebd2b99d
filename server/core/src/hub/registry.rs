//! Slots of connections: who is to get which event. No locks here; [`Hub`](super::Hub) holds one around it.

use std::collections::BTreeMap;
use std::sync::Arc;

use openclaw_protocol::events::EventKind;
use openclaw_protocol::protocol::Role;

use super::audience::{self, Audience, bit};
use super::older;
use crate::connection::Caller;
use crate::ws::{Delivery, EventFrame, Outbox};

/// All connections, accepted or not.
#[derive(Debug, Default)]
pub(super) struct Registry {
    slots: Vec<Slot>,
    /// Slots without a member.
    free: Vec<usize>,
    /// Events that some member gets, or got, with less in them.
    reduced: Audience,
    /// Grows with each member; tells a member from a later one in the same slot.
    generation: u64,
    members: usize,
    /// Nobody gets more broadcasts than they may ask about.
    is_narrow: bool,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u64,
    member: Option<Member>,
}

#[derive(Debug)]
struct Member {
    outbox: Arc<Outbox>,
    /// The device that it is of, or wants to be let in as.
    claim: Option<Claim>,
    /// Broadcasts it gets; none before it is accepted.
    audience: Audience,
    /// Broadcasts it gets without members that are newer than its protocol version; none of `audience`.
    reduced: Audience,
    /// Its protocol version.
    protocol: u64,
    is_accepted: bool,
    /// Version of the presence list that it was sent last.
    presence: u64,
}

/// Whose a connection is.
#[derive(Debug)]
struct Claim {
    device_id: String,
    role: Role,
    /// Its own id; none before it is accepted.
    conn_id: Option<String>,
}

impl Member {
    /// Appends an event to the outbox, and counts what becomes of it.
    #[inline]
    fn offer(&self, frame: &EventFrame, dirty: &mut Vec<Arc<Outbox>>, tally: &mut Tally) {
        match self.outbox.event(frame) {
            Delivery::Queued => tally.queued += 1,
            Delivery::Dropped => tally.dropped += 1,
            Delivery::TooSlow => tally.too_slow += 1,
            Delivery::Over => return,
        }
        if self.outbox.mark_dirty() {
            dirty.push(Arc::clone(&self.outbox));
        }
    }
}

/// Names a member, also when its slot has been given to another one since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    slot: usize,
    generation: u64,
}

#[cfg(test)]
impl Key {
    /// A key of no registry.
    pub(super) fn of_test(slot: usize) -> Self {
        Self {
            slot,
            generation: 1,
        }
    }

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
    /// From now on nobody who comes gets more broadcasts than they may ask about (odd 19).
    pub(super) fn narrow(&mut self) {
        self.is_narrow = true;
    }

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
                claim: None,
                audience: 0,
                reduced: 0,
                protocol: 0,
                is_accepted: false,
                presence: 0,
            }),
        };
        Key {
            slot,
            generation: self.generation,
        }
    }

    /// Notes as whom a connection wants to be let in.
    pub(super) fn claim(&mut self, key: Key, device_id: &str, role: Role) {
        if let Some(member) = self.member(key) {
            member.claim = Some(Claim {
                device_id: device_id.to_owned(),
                role,
                conn_id: None,
            });
        }
    }

    /// Opens broadcasts to a member. `presence` is the version of the list it knows already.
    pub(super) fn accept(&mut self, key: Key, caller: &Caller, presence: u64) {
        let (audience, reduced) = audience::of(caller, self.is_narrow);
        self.reduced |= reduced;
        if let Some(member) = self.member(key) {
            member.claim = caller.device_id.clone().map(|device_id| Claim {
                device_id,
                role: caller.role,
                conn_id: Some(caller.conn_id.clone()),
            });
            member.audience = audience;
            member.reduced = reduced;
            member.protocol = caller.protocol;
            member.is_accepted = true;
            member.presence = presence;
        }
    }

    /// Does a member get such broadcasts, whole or with less in them?
    pub(super) fn gets(&self, key: Key, kind: EventKind) -> bool {
        let slot = self.slots.get(key.slot);
        let slot = slot.filter(|slot| slot.generation == key.generation);
        let member = slot.and_then(|slot| slot.member.as_ref());
        member.is_some_and(|member| (member.audience | member.reduced) & bit(kind) != 0)
    }

    /// Ends broadcasts to a member, which keeps its slot.
    pub(super) fn retire(&mut self, key: Key) {
        if let Some(member) = self.member(key) {
            member.claim = None;
            member.audience = 0;
            member.reduced = 0;
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
            if wants(member) {
                member.offer(frame, dirty, &mut tally);
            }
        }
        if self.reduced & bit(kind) != 0 {
            tally += self.deliver_reduced(kind, |version| frame.at(kind, version), dirty, wants);
        }
        tally
    }

    /// The rest of [`Self::deliver`]: those who get the event with less in it. `reduce` makes the frame of a
    /// protocol version; it is asked once for each.
    #[cold]
    fn deliver_reduced(
        &mut self,
        kind: EventKind,
        reduce: impl Fn(u64) -> EventFrame,
        dirty: &mut Vec<Arc<Outbox>>,
        mut wants: impl FnMut(&mut Member) -> bool,
    ) -> Tally {
        let mut tally = Tally::default();
        let mut frames = BTreeMap::new();
        let members = self
            .slots
            .iter_mut()
            .filter_map(|slot| slot.member.as_mut());
        for member in members.filter(|member| member.reduced & bit(kind) != 0) {
            if wants(member) {
                let version = member.protocol;
                let frame = frames.entry(version).or_insert_with(|| reduce(version));
                member.offer(frame, dirty, &mut tally);
            }
        }
        tally
    }

    /// Appends an event for one accepted member alone, without a number. False when it was not appended: the member is
    /// gone, has an older protocol version without this event, or reads too slowly.
    pub(super) fn direct(
        &mut self,
        key: Key,
        kind: EventKind,
        frame: &EventFrame,
        dirty: &mut Vec<Arc<Outbox>>,
    ) -> bool {
        let member = self.member(key).filter(|member| member.is_accepted);
        let Some(member) = member else {
            return false;
        };
        let Some(frame) = older::frame_at(kind, member.protocol, frame) else {
            return false;
        };
        let is_queued = member.outbox.notice(&frame) == Delivery::Queued;
        if member.outbox.mark_dirty() {
            dirty.push(Arc::clone(&member.outbox));
        }
        is_queued
    }

    /// Is this member there, and accepted?
    pub(super) fn is_accepted(&mut self, key: Key) -> bool {
        self.member(key).is_some_and(|member| member.is_accepted)
    }

    /// The outbox of a member.
    pub(super) fn outbox(&mut self, key: Key) -> Option<Arc<Outbox>> {
        self.member(key).map(|member| Arc::clone(&member.outbox))
    }

    /// The outboxes of all connections, accepted or not.
    pub(super) fn outboxes(&self) -> impl Iterator<Item = &Arc<Outbox>> {
        self.all().map(|member| &member.outbox)
    }

    /// The outboxes of a device's connections in a role, those in their handshake included, but not that of `spare`.
    pub(super) fn outboxes_of(
        &self,
        device_id: &str,
        role: Role,
        spare: Option<&str>,
    ) -> impl Iterator<Item = &Arc<Outbox>> {
        let is_meant = move |claim: &Claim| {
            claim.device_id == device_id
                && claim.role == role
                && (spare.is_none() || claim.conn_id.as_deref() != spare)
        };
        self.all()
            .filter(move |member| member.claim.as_ref().is_some_and(is_meant))
            .map(|member| &member.outbox)
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

#[cfg(test)]
mod tests;
