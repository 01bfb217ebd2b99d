//! All paired devices and open pairing requests in memory, loaded at start and kept equal to the store.
//!
//! `Pairing` holds the only one, behind a lock that is never held over an await. Reading it is all that the connect of
//! a paired device takes. A change is made in three moves: [`Book::plan`] says what is to be written, the store writes
//! it, [`Book::apply`] shows it to everybody; so memory never knows a grant that the disk does not.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use ed25519_dalek::VerifyingKey;
use openclaw_protocol::protocol::Role;

use super::change::{Change, Fresh, Grant, Touch};
use super::record::{Device, PendingPairing, Profile};
use super::rules::{self, Ask, Step, Terms};
use super::token::{Salt, TokenKey};
use super::{MAX_DEVICES, MAX_PENDING, MAX_PENDING_PER_DEVICE, PairingError};
use crate::connection::identity::VerifiedDevice;

/// Devices, requests, and what still has to be written behind.
#[derive(Debug, Default)]
pub(super) struct Book {
    devices: HashMap<String, Box<Known>>,
    pending: HashMap<String, PendingPairing>,
    /// Ids of devices whose profile or time of use is newer than on disk.
    touched: HashSet<String>,
    /// Ids of requests that were asked for again since they were written.
    repeated: HashSet<String>,
}

/// A paired device. Boxed, so that the index stays small enough to be at hand when one of thousands connects.
#[derive(Debug)]
struct Known {
    device: Device,
    /// Its key, ready to check signatures with, once it has connected since the start.
    key: Option<VerifyingKey>,
}

impl Book {
    pub(super) fn new(devices: Vec<Device>, pending: Vec<PendingPairing>) -> Self {
        let known = |device: Device| {
            let id = device.device_id.clone();
            (id, Box::new(Known { device, key: None }))
        };
        Self {
            devices: devices.into_iter().map(known).collect(),
            pending: pending
                .into_iter()
                .map(|request| (request.request_id.clone(), request))
                .collect(),
            ..Self::default()
        }
    }

    /// Is `shown` the unrevoked token of this device for `role`, and are all `scopes` among the token's (2.7, step 3)?
    pub(super) fn accepts(
        &self,
        key: &TokenKey,
        device: &VerifiedDevice,
        role: Role,
        scopes: &[String],
        shown: &str,
    ) -> bool {
        let record = rules::paired(self.device(device.id()), device.public_key());
        let token = record.and_then(|record| record.token(role));
        token.is_some_and(|token| {
            token.opens(scopes) && key.matches(shown, device.id(), role, token.salt)
        })
    }

    pub(super) fn key(&self, device_id: &str) -> Option<VerifyingKey> {
        self.devices.get(device_id)?.key
    }

    pub(super) fn step(&self, ask: &Ask, now_ms: u64) -> Step {
        let id = ask.device.id();
        rules::next_step(self.device(id), self.pending_of(id), ask, now_ms)
    }

    fn pending_of(&self, device_id: &str) -> impl Iterator<Item = &PendingPairing> {
        self.pending
            .values()
            .filter(move |request| request.device_id == device_id)
    }

    /// What [`Step::Mint`], [`Step::Approve`] or [`Step::Request`] writes.
    pub(super) fn plan(
        &self,
        step: &Step,
        ask: &Ask,
        fresh: &Fresh,
        now_ms: u64,
    ) -> Result<Change, PairingError> {
        match step {
            Step::Mint => Ok(self
                .device(ask.device.id())
                .map(|device| rules::mint(device, ask.role, &ask.scopes, fresh.salt, now_ms))
                .map_or_else(Change::default, |device| self.replacement(device))),
            Step::Approve => self.plan_approval(ask.terms(), fresh.salt, now_ms),
            Step::Request => self.plan_request(ask, fresh.request_id.clone(), now_ms),
            Step::Admit | Step::Wait(_) | Step::Skip => Ok(Change::default()),
        }
    }

    /// What approving `terms` writes; settles every request of the device that is thereby answered.
    pub(super) fn plan_approval(
        &self,
        terms: Terms<'_>,
        salt: Salt,
        now_ms: u64,
    ) -> Result<Change, PairingError> {
        let old = self.device(terms.device_id);
        if old.is_none() && self.devices.len() >= MAX_DEVICES {
            return Err(PairingError::TooManyDevices);
        }
        let device = rules::approve(old, terms, salt, now_ms)?;
        let answered = self.pending_of(terms.device_id).filter(|request| {
            request.public_key == device.public_key && device.grants(request.role, &request.scopes)
        });
        Ok(Change {
            settled: answered.map(|request| request.request_id.clone()).collect(),
            ..self.replacement(device)
        })
    }

    /// What writing `device` in the place of its present record writes.
    pub(super) fn replacement(&self, device: Device) -> Change {
        Change {
            basis: self.touch_of(&device.device_id),
            device: Some(device),
            ..Change::default()
        }
    }

    fn plan_request(
        &self,
        ask: &Ask,
        request_id: String,
        now_ms: u64,
    ) -> Result<Change, PairingError> {
        rules::bounded(&ask.scopes)?;
        let device_id = ask.device.id().to_owned();
        Ok(Change {
            settled: self.outlived(&device_id, now_ms),
            pending: Some(PendingPairing {
                request_id,
                public_key: ask.device.public_key().to_owned(),
                profile: ask.profile.clone(),
                role: ask.role,
                scopes: ask.scopes.clone(),
                is_repair: self.devices.contains_key(&device_id),
                device_id,
                ts: now_ms,
                seen_at_ms: now_ms,
            }),
            ..Change::default()
        })
    }

    /// Requests that go to make room for one more of `device_id`: all dead ones, then those longest not asked for.
    fn outlived(&self, device_id: &str, now_ms: u64) -> Vec<String> {
        let (mut alive, dead): (Vec<_>, Vec<_>) = self
            .pending
            .values()
            .partition(|request| rules::is_alive(request, now_ms));
        alive.sort_unstable_by_key(|request| (request.seen_at_ms, request.ts));
        let own = alive
            .iter()
            .filter(|request| request.device_id == device_id)
            .count();
        let mut own_excess = (own + 1).saturating_sub(MAX_PENDING_PER_DEVICE);
        let mut gone = dead;
        alive.retain(|request| {
            let goes = own_excess > 0 && request.device_id == device_id;
            if goes {
                own_excess -= 1;
                gone.push(request);
            }
            !goes
        });
        let excess = (alive.len() + 1).saturating_sub(MAX_PENDING);
        gone.extend(alive.drain(..excess));
        gone.into_iter()
            .map(|request| request.request_id.clone())
            .collect()
    }

    /// Shows a change that is on disk.
    pub(super) fn apply(&mut self, change: Change) {
        for id in &change.settled {
            self.pending.remove(id);
            self.repeated.remove(id);
        }
        if let Some(request) = change.pending {
            self.pending.insert(request.request_id.clone(), request);
        }
        let Some(mut device) = change.device else {
            return;
        };
        if let Some(touch) = self.touch_of(&device.device_id) {
            // What a connect changed while the change was being written is newer than the change's copy of it.
            touch.merge_since(change.basis.as_ref(), &mut device);
            // Whatever was written behind in the meantime may have come before or after the change.
            self.touched.insert(device.device_id.clone());
        }
        match self.devices.entry(device.device_id.clone()) {
            Entry::Occupied(known) => known.into_mut().device = device,
            Entry::Vacant(place) => {
                place.insert(Box::new(Known { device, key: None }));
            }
        }
    }

    /// The way in of a device that the step before admitted, noting that it was used.
    pub(super) fn admit(&mut self, key: &TokenKey, ask: &Ask, now_ms: u64) -> Option<Grant> {
        let known = &mut **self.devices.get_mut(ask.device.id())?;
        let device = &mut known.device;
        let mut changed = device.profile.update(&ask.profile);
        changed |= std::mem::replace(&mut device.role, ask.role) != ask.role;
        let token = device
            .tokens
            .iter_mut()
            .find(|token| token.role == ask.role)?;
        if ask.by_device_token {
            token.last_used_at_ms = Some(now_ms);
            changed = true;
        }
        let grant = Grant {
            token: key.token(ask.device.id(), ask.role, token.salt),
            role: ask.role,
            scopes: token.scopes.clone(),
            issued_at_ms: token.issued_at_ms(),
        };
        if changed {
            self.touched.insert(ask.device.id().to_owned());
        }
        // The id is the hash of the key: it is always the same one.
        known.key.get_or_insert_with(|| *ask.device.key());
        Some(grant)
    }

    /// Notes that a waiting request was asked for again: it lives on, with what the client says about itself now.
    pub(super) fn repeat(&mut self, request_id: &str, profile: &Profile, now_ms: u64) {
        if let Some(request) = self.pending.get_mut(request_id) {
            request.profile.update(profile);
            request.seen_at_ms = now_ms;
            self.repeated.insert(request_id.to_owned());
        }
    }

    pub(super) fn device(&self, device_id: &str) -> Option<&Device> {
        self.devices.get(device_id).map(|known| &known.device)
    }

    pub(super) fn devices(&self) -> impl Iterator<Item = &Device> {
        self.devices.values().map(|known| &known.device)
    }

    /// The request, if it is still alive.
    pub(super) fn request(&self, request_id: &str, now_ms: u64) -> Option<&PendingPairing> {
        self.pending
            .get(request_id)
            .filter(|request| rules::is_alive(request, now_ms))
    }

    pub(super) fn requests(&self, now_ms: u64) -> impl Iterator<Item = &PendingPairing> {
        self.pending
            .values()
            .filter(move |request| rules::is_alive(request, now_ms))
    }

    fn touch_of(&self, device_id: &str) -> Option<Touch> {
        self.device(device_id).map(Touch::of)
    }

    /// Is anything to be written behind?
    pub(super) fn is_dirty(&self) -> bool {
        !self.touched.is_empty() || !self.repeated.is_empty()
    }

    /// Takes up to `limit` entries of what is to be written behind.
    pub(super) fn take_dirty(&mut self, limit: usize) -> (Vec<Touch>, Vec<PendingPairing>) {
        let ids: Vec<String> = self.touched.iter().take(limit).cloned().collect();
        let touches = ids.iter().filter_map(|id| self.touch_of(id)).collect();
        for id in &ids {
            self.touched.remove(id);
        }
        let ids: Vec<String> = self
            .repeated
            .iter()
            .take(limit - ids.len())
            .cloned()
            .collect();
        let requests = ids
            .iter()
            .filter_map(|id| self.pending.get(id))
            .cloned()
            .collect();
        for id in &ids {
            self.repeated.remove(id);
        }
        (touches, requests)
    }

    /// Marks as dirty again what could not be written.
    pub(super) fn put_back(&mut self, touches: &[Touch], requests: &[PendingPairing]) {
        self.touched
            .extend(touches.iter().map(|touch| touch.device_id.clone()));
        self.repeated
            .extend(requests.iter().map(|request| request.request_id.clone()));
    }
}
