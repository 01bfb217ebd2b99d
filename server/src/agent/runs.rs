//! The runs of a gateway: [`admission`] with idempotency, lanes, waiting, calling off (contract 6.4, 6.6, 6.7).
//!
//! A run belongs to the gateway, not to the request that began it: it is accepted and carried on the work runtime, and
//! goes on when the caller is gone.

mod admission;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use openclaw_protocol::protocol::limits;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, MissedTickBehavior};

use super::identity::Remembered;
use super::lanes::{Lanes, Place};
use super::models::Models;
use super::outcome::{self, AbortReason, Ended, Expired, Ledger, Record, RunKey, Space};
use super::parts::Parts;
use super::recovery;
use super::run::{Closing, Run};
use crate::clock::Clock;
use crate::sessions::{SessionKey, Sessions};
use crate::store::StoreError;

pub(super) use admission::{Admission, Ask, Refusal};

/// Runs that are accepted and have not ended, over all sessions: each holds a message with its attachments in memory.
pub(super) const MAX_RUNS: usize = 256;

/// The runs. Clones share them.
#[derive(Clone)]
pub struct Runs {
    inner: Arc<Inner>,
}

struct Inner {
    parts: Parts,
    lanes: Lanes,
    /// Runs that may work at a time (`agents.defaults.maxConcurrent`).
    slots: Arc<Semaphore>,
    table: Mutex<Table>,
    /// Wakes those who wait for a run that is not known yet.
    arrivals: Notify,
    /// Identities of agents.
    identities: Remembered,
}

#[derive(Default)]
struct Table {
    active: HashMap<RunKey, Arc<Run>>,
    ledger: Ledger,
    accepted: u64,
}

/// `chat.abort` named a run of another session.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OtherSession;

impl Runs {
    /// The runs over `parts`, knowing what a former process left behind. Sweeps expired outcomes for as long as there
    /// is a clone.
    ///
    /// # Errors
    /// Whatever the store says.
    pub async fn open(parts: Parts) -> Result<Self, StoreError> {
        let left = recovery::recover(&parts).await?;
        let mut table = Table::default();
        let mut surplus = Vec::new();
        for (key, ended) in left {
            surplus.extend(table.ledger.note(key, ended));
        }
        let slots =
            usize::try_from(parts.config.agents.defaults.max_concurrent.get()).unwrap_or(MAX_RUNS);
        let inner = Inner {
            lanes: Lanes::default(),
            slots: Arc::new(Semaphore::new(slots.min(MAX_RUNS))),
            table: Mutex::new(table),
            arrivals: Notify::new(),
            identities: Remembered::default(),
            parts,
        };
        let runs = Self {
            inner: Arc::new(inner),
        };
        runs.delete_records(surplus);
        runs.inner
            .parts
            .work
            .spawn(sweep_regularly(Arc::downgrade(&runs.inner)));
        Ok(runs)
    }

    /// What the runs stand on.
    pub fn parts(&self) -> &Parts {
        &self.inner.parts
    }

    pub(super) fn remembered(&self) -> &Remembered {
        &self.inner.identities
    }

    pub(super) fn sessions(&self) -> &Sessions {
        &self.inner.parts.sessions
    }

    /// The models that answer.
    pub fn models(&self) -> &Models {
        &self.inner.parts.models
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.inner.parts.clock
    }

    /// Runs that are under way or waiting.
    pub fn active(&self) -> usize {
        self.table().active.len()
    }

    /// Whether a run of this session is under way or waiting.
    pub fn is_busy(&self, session: &SessionKey) -> bool {
        self.inner.lanes.is_busy(session.canonical())
    }

    /// Whether there is an agent of this normalised id.
    pub fn has_agent(&self, id: &str) -> bool {
        self.parts().is_agent(id)
    }

    /// The directory that an agent (normalised id) works in.
    pub fn workspace(&self, agent: &str) -> std::path::PathBuf {
        self.parts().workspace(agent)
    }

    /// The next place in the lane of a session; none if too many wait there.
    pub(super) fn place(&self, session: &SessionKey) -> Option<Place> {
        self.inner.lanes.take(session.canonical()).ok()
    }

    /// The runs that are under way or waiting, in the order of acceptance.
    pub(super) fn active_runs(&self) -> Vec<Arc<Run>> {
        let mut runs: Vec<Arc<Run>> = self.table().active.values().cloned().collect();
        runs.sort_by_key(|run| run.number);
        runs
    }

    /// Waits for the turn of a run in its lane, and for a slot to work in.
    pub(super) async fn turn_of(&self, place: &mut Place) -> Option<OwnedSemaphorePermit> {
        place.turn().await;
        // Never closed.
        Arc::clone(&self.inner.slots).acquire_owned().await.ok()
    }

    /// Slots that no run works in.
    #[cfg(test)]
    pub(super) fn free_slots(&self) -> usize {
        self.inner.slots.available_permits()
    }

    /// Moves a run from the active ones to the ended ones.
    pub(super) fn close(&self, run: &Run, closing: &Closing) {
        let forgotten = {
            let mut table = self.table();
            table.active.remove(&run.key);
            table.ledger.note(run.key, closing.ended.clone())
        };
        self.delete_records(forgotten);
    }

    /// The record of an `agent` run, from the store.
    pub(super) fn record_of(&self, id: &str) -> Option<Record> {
        let key = RunKey::new(Space::Agent, id);
        let record = self.sessions().read(|reader| Record::get(reader, &key));
        record.ok().flatten()
    }

    /// The end of the run with this id, by whichever method it was begun; none if it does not come within `timeout`.
    pub(super) async fn wait(&self, id: &str, timeout: Duration) -> Option<Ended> {
        let keys = [RunKey::new(Space::Agent, id), RunKey::new(Space::Chat, id)];
        tokio::time::timeout(timeout, async {
            loop {
                let arrival = self.inner.arrivals.notified();
                let run = {
                    let table = self.table();
                    let now = self.clock().now_ms();
                    let active = keys.iter().find_map(|key| table.active.get(key)).cloned();
                    if active.is_none()
                        && let Some(ended) =
                            keys.iter().find_map(|key| table.ledger.result(key, now))
                    {
                        return ended.clone();
                    }
                    active
                };
                match run {
                    Some(run) => {
                        if let Some(closing) = run.over().await {
                            return closing.ended.clone();
                        }
                    }
                    None => arrival.await,
                }
            }
        })
        .await
        .ok()
    }

    /// Calls off the chat runs of a session, or the one named, and returns the ids of those that were not over yet.
    pub(super) fn abort(
        &self,
        session: &SessionKey,
        id: Option<&str>,
        reason: AbortReason,
    ) -> Result<Vec<String>, OtherSession> {
        let mut runs: Vec<Arc<Run>> = {
            let table = self.table();
            match id {
                Some(id) => table
                    .active
                    .get(&RunKey::new(Space::Chat, id))
                    .cloned()
                    .into_iter()
                    .collect(),
                None => {
                    let of_session = |run: &&Arc<Run>| {
                        run.space == Space::Chat && run.session.as_ref() == Some(session)
                    };
                    table.active.values().filter(of_session).cloned().collect()
                }
            }
        };
        if runs.iter().any(|run| run.session.as_ref() != Some(session)) {
            return Err(OtherSession);
        }
        runs.sort_by_key(|run| run.number);
        Ok(runs
            .into_iter()
            .filter(|run| run.call_off(reason))
            .map(|run| run.id.clone())
            .collect())
    }

    /// Calls off the `agent` run of this id because nobody waits for it any more; whether it was not over yet.
    pub fn abandon(&self, id: &str) -> bool {
        let key = RunKey::new(Space::Agent, id);
        let run = self.table().active.get(&key).cloned();
        run.is_some_and(|run| run.call_off(AbortReason::Rpc))
    }

    /// The agent that is meant when a request names none.
    #[must_use]
    pub fn default_agent(&self) -> String {
        self.sessions().rules().default_agent.clone()
    }

    /// Forgets outcomes that have expired, in memory and on disk.
    pub fn sweep(&self) {
        let now = self.clock().now_ms();
        let expired = self.table().ledger.sweep(now);
        self.delete_records(expired);
    }

    fn delete_records(&self, expired: Vec<Expired>) {
        if expired.is_empty() {
            return;
        }
        let sessions = self.sessions().clone();
        self.inner.parts.work.spawn(async move {
            let deleted = sessions
                .write(move |changes| outcome::delete(changes.writer(), &expired))
                .await;
            if let Err(error) = deleted {
                tracing::warn!(%error, "expired run records could not be removed");
            }
        });
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.inner
            .table
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

async fn sweep_regularly(inner: Weak<Inner>) {
    let period = Duration::from_millis(limits::DEDUPE_SWEEP_MS);
    let mut beat = tokio::time::interval_at(Instant::now() + period, period);
    // After a suspended night one sweep is enough.
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beat.tick().await;
        let Some(inner) = inner.upgrade() else { return };
        Runs { inner }.sweep();
    }
}
