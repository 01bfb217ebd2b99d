//! Pairing joined with the store, the clock and randomness.

use std::hash::{BuildHasher, RandomState};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ed25519_dalek::VerifyingKey;
use openclaw_protocol::events::Event;
use openclaw_protocol::protocol::Role;
use openclaw_protocol::types::PairDecision;
use tokio::sync::Notify;

use super::actor::Actor;
use super::book::Book;
use super::change::{Change, Fresh};
use super::rules::{self, Step, Terms};
use super::{
    Ask, Decision, Device, Devices, Grant, Outcome, PairingError, PendingPairing, Resolved,
    TokenKey,
};
use crate::clock::Clock;
use crate::connection::identity::VerifiedDevice;
use crate::hub::Admitted;
use crate::store::{Store, StoreError, Table};

/// Locks that devices share by hash: as many devices can be changed at once. More would only add idle memory, since
/// the writer thread takes one change at a time anyway.
const LOCKS: usize = 64;

/// The paired devices of this gateway. Clones share them.
#[derive(Clone)]
pub struct Pairing {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    book: Mutex<Book>,
    pub(super) store: Store,
    key: TokenKey,
    clock: Arc<dyn Clock>,
    admitted: Arc<dyn Admitted>,
    locks: Vec<tokio::sync::Mutex<()>>,
    hasher: RandomState,
    /// Something is to be written behind.
    pub(super) dirty: Notify,
}

impl Pairing {
    /// Reads all devices and requests. Damaged records are skipped (and counted by the store): their devices have to
    /// pair again. `admitted` is told of every request and decision, and ends connections whose token died.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn load(
        store: Store,
        key: TokenKey,
        clock: Arc<dyn Clock>,
        admitted: Arc<dyn Admitted>,
    ) -> Result<Self, StoreError> {
        let (mut devices, mut pending) = (Vec::new(), Vec::new());
        store.read(|reader| {
            reader.scan(Table::Devices, b"", |_, device: Device| {
                devices.push(device);
                ControlFlow::Continue(())
            })?;
            reader.scan(Table::PendingPairings, b"", |_, request: PendingPairing| {
                pending.push(request);
                ControlFlow::Continue(())
            })
        })?;
        Ok(Self {
            inner: Arc::new(Inner {
                book: Mutex::new(Book::new(devices, pending)),
                store,
                key,
                clock,
                admitted,
                locks: std::iter::repeat_with(tokio::sync::Mutex::default)
                    .take(LOCKS)
                    .collect(),
                hasher: RandomState::new(),
                dirty: Notify::new(),
            }),
        })
    }

    /// Grants or asks for what `ask` lacks and resolves once that is on disk. Decides anew: by the time it is this
    /// device's turn, another connect or an operator may have settled the matter.
    ///
    /// With [`super::MAX_DEVICES`] paired, a local device too has to wait for an operator.
    ///
    /// # Errors
    /// [`PairingError::TooManyScopes`], or trouble with the store; nothing is granted then.
    pub async fn commit(&self, mut ask: Ask) -> Result<Outcome, PairingError> {
        self.run(|inner| async move {
            let _turn = inner.turn(ask.device.id()).await;
            let now_ms = inner.clock.now_ms();
            let fresh = Fresh::draw()?;
            let (step, change) = loop {
                let step = inner.book().step(&ask, now_ms);
                match step {
                    Step::Skip => return Ok(Outcome::Unpaired),
                    Step::Wait(request_id) => {
                        inner.repeat(&request_id, &ask, now_ms);
                        return Ok(Outcome::Waiting {
                            request_id,
                            requested: None,
                        });
                    }
                    Step::Admit => return inner.granted(&ask, Vec::new(), now_ms),
                    Step::Mint | Step::Approve | Step::Request => {}
                }
                let planned = inner.book().plan(&step, &ask, &fresh, now_ms);
                match planned {
                    // Somebody has to make room first, so somebody has to be asked.
                    Err(PairingError::TooManyDevices) if ask.local => ask.local = false,
                    planned => break (step, planned?),
                }
            };
            let change = inner.store(change).await?;
            if let Some(requested) = change.pending.clone() {
                inner.show(change);
                inner
                    .admitted
                    .emit(Event::DevicePairRequested((&requested).into()));
                return Ok(Outcome::Waiting {
                    request_id: fresh.request_id,
                    requested: Some(Box::new(requested)),
                });
            }
            let resolved = match step {
                Step::Approve => change.resolved(ask.device.id(), Some(fresh.request_id), now_ms),
                _ => Vec::new(),
            };
            inner.show(change);
            inner.tell(&resolved);
            inner.granted(&ask, resolved, now_ms)
        })
        .await
    }

    /// Open requests, newest first, and paired devices, latest approval first (contract 3.3).
    #[must_use]
    pub fn list(&self) -> (Vec<PendingPairing>, Vec<Device>) {
        let now_ms = self.inner.clock.now_ms();
        let book = self.inner.book();
        let mut pending: Vec<_> = book.requests(now_ms).cloned().collect();
        let mut paired: Vec<_> = book.devices().cloned().collect();
        drop(book);
        pending.sort_by(|a, b| {
            b.ts.cmp(&a.ts)
                .then_with(|| a.request_id.cmp(&b.request_id))
        });
        paired.sort_by(|a, b| {
            b.approved_at_ms
                .cmp(&a.approved_at_ms)
                .then_with(|| a.device_id.cmp(&b.device_id))
        });
        (pending, paired)
    }

    /// Approves an open request: the device's record as it is then, and every request that is thereby settled.
    ///
    /// # Errors
    /// [`PairingError::UnknownRequest`], [`PairingError::NotYours`] for scopes that the actor may not grant,
    /// [`PairingError::TooManyDevices`], [`PairingError::TooManyScopes`], or trouble with the store.
    pub async fn approve(
        &self,
        request_id: &str,
        actor: Actor,
    ) -> Result<(Device, Vec<Resolved>), PairingError> {
        let request_id = request_id.to_owned();
        self.run(|inner| async move {
            let (device_id, _turn) = inner.turn_of_request(&request_id).await?;
            let now_ms = inner.clock.now_ms();
            let salt = Fresh::draw()?.salt;
            let change = {
                let book = inner.book();
                let request = book
                    .request(&request_id, now_ms)
                    .ok_or(PairingError::UnknownRequest)?;
                if let Some(scope) = actor.may_not_decide(&request.scopes) {
                    return Err(PairingError::NotYours(scope.clone()));
                }
                book.plan_approval(Terms::from(request), salt, now_ms)?
            };
            let change = inner.store(change).await?;
            let resolved = change.resolved(&device_id, None, now_ms);
            let device = inner.show_device(change)?;
            inner.tell(&resolved);
            Ok((device, resolved))
        })
        .await
    }

    /// Drops an open request; the device may ask again.
    ///
    /// # Errors
    /// [`PairingError::UnknownRequest`], or trouble with the store.
    pub async fn reject(&self, request_id: &str) -> Result<Resolved, PairingError> {
        let request_id = request_id.to_owned();
        self.run(|inner| async move {
            let (device_id, _turn) = inner.turn_of_request(&request_id).await?;
            let ts = inner.clock.now_ms();
            if inner.book().request(&request_id, ts).is_none() {
                return Err(PairingError::UnknownRequest);
            }
            let change = Change {
                settled: vec![request_id.clone()],
                ..Change::default()
            };
            let change = inner.store(change).await?;
            inner.show(change);
            let resolved = Resolved {
                request_id,
                device_id,
                decision: PairDecision::Rejected,
                ts,
            };
            inner.tell(std::slice::from_ref(&resolved));
            Ok(resolved)
        })
        .await
    }

    /// Gives a device a new token for a role it was granted, with `scopes` of its own or, without any given, those of
    /// the old token. The old token dies, and so do the device's connections in that role (contract 3.3, odds 7 and 8).
    ///
    /// # Errors
    /// [`PairingError::UnknownDevice`]; [`PairingError::NotYours`] for scopes that the actor may not give, whether they
    /// were asked for or inherited, since the new token is shown to it, and for an old token that it may not take away;
    /// or trouble with the store.
    pub async fn rotate(
        &self,
        device_id: &str,
        role: Role,
        scopes: Option<Vec<String>>,
        actor: Actor,
    ) -> Result<Grant, PairingError> {
        let device_id = device_id.to_owned();
        self.run(|inner| async move {
            let _turn = inner.turn(&device_id).await;
            let now_ms = inner.clock.now_ms();
            let salt = Fresh::draw()?.salt;
            if let Some(device) = inner.book().device(&device_id) {
                actor.may_end(device, role)?;
            }
            let rotated = inner.plan_replacement(&device_id, |device| {
                rules::rotate(device, role, scopes.as_deref(), salt, now_ms)
            })?;
            let made = rotated
                .device
                .as_ref()
                .and_then(|device| device.token(role));
            if let Some(scope) = made.and_then(|token| actor.lacks(&token.scopes)) {
                return Err(PairingError::NotYours(scope.clone()));
            }
            let change = inner.store(rotated).await?;
            let device = inner.show_device(change)?;
            let token = device.token(role).ok_or(PairingError::UnknownDevice)?;
            inner.dismiss(&device_id, role, &actor);
            Ok(Grant {
                token: inner.key.token(&device_id, role, token.salt),
                role,
                scopes: token.scopes.clone(),
                issued_at_ms: token.issued_at_ms(),
            })
        })
        .await
    }

    /// Revokes the token of a device and role and ends its connections in that role; returns when the token was
    /// revoked, ms. With the shared secret the device can still come in, and then gets a new token (odd 8).
    ///
    /// # Errors
    /// [`PairingError::UnknownDevice`]; [`PairingError::NotYours`] for a token with scopes that the actor may not take
    /// away; or trouble with the store.
    pub async fn revoke(
        &self,
        device_id: &str,
        role: Role,
        actor: Actor,
    ) -> Result<u64, PairingError> {
        let device_id = device_id.to_owned();
        self.run(|inner| async move {
            let _turn = inner.turn(&device_id).await;
            let now_ms = inner.clock.now_ms();
            if let Some(device) = inner.book().device(&device_id) {
                actor.may_end(device, role)?;
            }
            let revoked =
                inner.plan_replacement(&device_id, |device| rules::revoke(device, role, now_ms))?;
            let change = inner.store(revoked).await?;
            let device = inner.show_device(change)?;
            let token = device.token(role).ok_or(PairingError::UnknownDevice)?;
            inner.dismiss(&device_id, role, &actor);
            Ok(token.revoked_at_ms.unwrap_or(now_ms))
        })
        .await
    }

    /// Runs a change as a task of its own, so that it is finished even when the caller goes away.
    pub(super) async fn run<T, F>(
        &self,
        change: impl FnOnce(Arc<Inner>) -> F,
    ) -> Result<T, PairingError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, PairingError>> + Send + 'static,
    {
        tokio::spawn(change(Arc::clone(&self.inner)))
            .await
            .unwrap_or(Err(PairingError::Interrupted))
    }
}

impl Devices for Pairing {
    fn key(&self, device_id: &str) -> Option<VerifyingKey> {
        self.inner.book().key(device_id)
    }

    fn accepts(&self, device: &VerifiedDevice, role: Role, scopes: &[String], token: &str) -> bool {
        self.inner
            .book()
            .accepts(&self.inner.key, device, role, scopes, token)
    }

    fn decide(&self, ask: &Ask) -> Decision {
        let inner = &self.inner;
        let now_ms = inner.clock.now_ms();
        let step = inner.book().step(ask, now_ms);
        match step {
            Step::Admit => inner
                .admit(ask, now_ms)
                .map_or(Decision::Undecided, Decision::Granted),
            Step::Skip => Decision::Unpaired,
            Step::Wait(request_id) => {
                inner.repeat(&request_id, ask, now_ms);
                Decision::Waiting { request_id }
            }
            Step::Mint | Step::Approve | Step::Request => Decision::Undecided,
        }
    }
}

impl Inner {
    pub(super) fn book(&self) -> MutexGuard<'_, Book> {
        // No code under this lock can panic half way through a change.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This device's turn to be changed; ends when the guard is dropped.
    async fn turn(&self, device_id: &str) -> tokio::sync::MutexGuard<'_, ()> {
        let index = self.hasher.hash_one(device_id) as usize % self.locks.len();
        self.locks[index].lock().await
    }

    /// The turn of the device behind an open request, and its id.
    async fn turn_of_request(
        &self,
        request_id: &str,
    ) -> Result<(String, tokio::sync::MutexGuard<'_, ()>), PairingError> {
        let now_ms = self.clock.now_ms();
        let device_id = self
            .book()
            .request(request_id, now_ms)
            .map(|request| request.device_id.clone());
        let device_id = device_id.ok_or(PairingError::UnknownRequest)?;
        let turn = self.turn(&device_id).await;
        Ok((device_id, turn))
    }

    /// Puts a change on disk and hands it back.
    async fn store(&self, change: Change) -> Result<Change, PairingError> {
        let written = self
            .store
            .write(move |writer| change.store(writer).map(|()| change));
        Ok(written.await?)
    }

    /// What `change` makes of the device's record, from what memory has now.
    fn plan_replacement(
        &self,
        device_id: &str,
        change: impl FnOnce(&Device) -> Option<Device>,
    ) -> Result<Change, PairingError> {
        let book = self.book();
        let device = book.device(device_id).and_then(change);
        device
            .map(|device| book.replacement(device))
            .ok_or(PairingError::UnknownDevice)
    }

    /// Shows a change that is on disk.
    fn show(&self, change: Change) {
        let mut book = self.book();
        book.apply(change);
        self.wake(book);
    }

    /// As [`Self::show`]; gives the record that was written.
    fn show_device(&self, change: Change) -> Result<Device, PairingError> {
        let device = change.device.clone();
        self.show(change);
        device.ok_or(PairingError::UnknownDevice)
    }

    /// Tells operators how requests were decided.
    fn tell(&self, resolved: &[Resolved]) {
        for resolved in resolved {
            self.admitted
                .emit(Event::DevicePairResolved(resolved.into()));
        }
    }

    /// After the change is in the book: who comes from now on is judged by it, who is here goes.
    fn dismiss(&self, device_id: &str, role: Role, actor: &Actor) {
        self.admitted
            .dismiss(device_id, role, actor.conn_id.as_deref());
    }

    fn granted(
        &self,
        ask: &Ask,
        resolved: Vec<Resolved>,
        now_ms: u64,
    ) -> Result<Outcome, PairingError> {
        let grant = self.admit(ask, now_ms).ok_or(PairingError::UnknownDevice)?;
        Ok(Outcome::Granted { grant, resolved })
    }

    fn admit(&self, ask: &Ask, now_ms: u64) -> Option<Grant> {
        let mut book = self.book();
        let grant = book.admit(&self.key, ask, now_ms);
        self.wake(book);
        grant
    }

    fn repeat(&self, request_id: &str, ask: &Ask, now_ms: u64) {
        let mut book = self.book();
        book.repeat(request_id, &ask.profile, now_ms);
        self.wake(book);
    }

    /// Wakes the writer behind, if there is something for it.
    fn wake(&self, book: MutexGuard<'_, Book>) {
        let dirty = book.is_dirty();
        drop(book);
        if dirty {
            self.dirty.notify_one();
        }
    }
}
