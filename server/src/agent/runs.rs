//! The runs of a gateway: acceptance with idempotency, lanes, waiting, calling off (contract 6.4, 6.6, 6.7).
//!
//! A run belongs to the gateway, not to the request that began it: it is accepted and carried on the work runtime, and
//! goes on when the caller is gone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use openclaw_protocol::protocol::limits;
use openclaw_protocol::rt::NonEmptyString;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, MissedTickBehavior};

use super::bus::Voice;
use super::commands::Task;
use super::identity::Remembered;
use super::lanes::{LaneFull, Lanes, Place};
use super::models::Models;
use super::outcome::{
    self, AbortReason, Debt, Ended, Expired, Ledger, Owed, Record, Reply, RunKey, Space,
};
use super::parts::Parts;
use super::run::{Closing, Job, Phase, Run};
use super::wire::Names;
use super::{messages, recovery};
use crate::clock::Clock;
use crate::sessions::{Entry, SessionKey, Sessions};
use crate::store::StoreError;

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

/// A turn that a request asks for.
pub(super) struct Ask {
    pub(super) space: Space,
    /// Run id: the idempotency key.
    pub(super) id: NonEmptyString,
    /// Conversation, and its key in the client's spelling.
    pub(super) session: Option<(SessionKey, NonEmptyString)>,
    /// What the request changes in the session's entry.
    pub(super) on_entry: Box<dyn FnOnce(&mut Entry) + Send>,
    pub(super) job: Job,
    /// Whether chat clients are spared its words (a heartbeat).
    pub(super) quiet: bool,
}

impl Ask {
    /// What the conversation must be given if the run never begins: the words of whoever was told that it was accepted.
    /// A heartbeat's have nobody behind them, and a command leaves its answer and no words.
    fn debt(&self, run: &Run) -> Option<Debt> {
        let anew = match self.job.task {
            Task::Turn => false,
            Task::TurnAnew => true,
            Task::Command(_) => return None,
        };
        let session = run.session.as_ref().filter(|_| !self.quiet)?;
        let message = messages::user(&self.job.text, &self.job.images, run.accepted_at);
        Some(Debt {
            number: run.number,
            session: session.canonical().to_owned(),
            owed: Owed::Words { message, anew },
        })
    }
}

/// A run that has its place and is not on disk yet.
struct Entered {
    run: Arc<Run>,
    /// None for a run without a session, and for a command that does not wait.
    place: Option<Place>,
}

/// What became of an [`Ask`].
pub(super) enum Admission {
    /// A run has begun.
    New(Arc<Run>),
    /// The key's run is under way.
    Running(Arc<Run>),
    /// The key's run has ended.
    Ended(Ended),
}

/// Why no run was begun. The text is for the client.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error(transparent)]
    LaneFull(#[from] LaneFull),
    #[error(
        "too many runs are under way or waiting (limit {MAX_RUNS}); try again when some have ended"
    )]
    TooMany,
    #[error("the run could not be recorded; nothing was started")]
    Store(#[source] StoreError),
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

    /// What is known of a key, without beginning anything.
    pub(super) async fn known(&self, space: Space, id: &str) -> Option<Admission> {
        let key = RunKey::new(space, id);
        loop {
            let run = {
                let table = self.table();
                match table.active.get(&key) {
                    Some(run) => Arc::clone(run),
                    None => {
                        return table
                            .ledger
                            .outcome(&key, self.clock().now_ms())
                            .cloned()
                            .map(Admission::Ended);
                    }
                }
            };
            match run.admitted().await {
                Phase::Over(closing) => return Some(Admission::Ended(closing.ended.clone())),
                Phase::Refused => {}
                Phase::Admitting | Phase::Accepted => return Some(Admission::Running(run)),
            }
        }
    }

    /// Begins a run unless its key is known. The run is on disk before this returns.
    pub(super) async fn admit(&self, ask: Ask) -> Result<Admission, Refusal> {
        let key = RunKey::new(ask.space, &ask.id);
        loop {
            if let Some(known) = self.known(ask.space, &ask.id).await {
                return Ok(known);
            }
            if let Some(entered) = self.enter(key, &ask)? {
                return self.accept(entered, ask).await;
            }
        }
    }

    /// Takes a place for a new run; none if another request with its key was faster.
    fn enter(&self, key: RunKey, ask: &Ask) -> Result<Option<Entered>, Refusal> {
        let mut table = self.table();
        let now = self.clock().now_ms();
        if table.active.contains_key(&key) || table.ledger.outcome(&key, now).is_some() {
            return Ok(None);
        }
        if table.active.len() >= MAX_RUNS {
            return Err(Refusal::TooMany);
        }
        let session = ask.session.as_ref();
        let waits = match &ask.job.task {
            Task::Turn | Task::TurnAnew => true,
            Task::Command(command) => command.waits(),
        };
        let place = session
            .filter(|_| waits)
            .map(|(session, _)| self.inner.lanes.take(session.canonical()))
            .transpose()?;
        table.accepted += 1;
        let names = Names {
            run_id: ask.id.clone(),
            session_key: session.map(|(_, shown)| shown.clone()),
        };
        let parts = &self.inner.parts;
        let voice = Voice::new(names, Arc::clone(&parts.events), Arc::clone(&parts.clock));
        let voice = if ask.quiet { voice.quiet() } else { voice };
        let session = session.map(|(session, _)| session.clone());
        let run = Run::new(
            (key, ask.space, ask.id.to_string()),
            session,
            now,
            table.accepted,
            voice,
        );
        let run = Arc::new(run);
        table.active.insert(key, Arc::clone(&run));
        drop(table);
        self.inner.arrivals.notify_waiters();
        Ok(Some(Entered { run, place }))
    }

    /// Writes the acceptance and starts the run, on the work runtime: a caller who goes away stops neither.
    ///
    /// The run says nothing before its caller was answered. Both happen on other threads, so the start waits for a task
    /// of the caller's runtime, which has its turn when the caller's own has handed the answer on.
    async fn accept(
        &self,
        Entered { run, place }: Entered,
        ask: Ask,
    ) -> Result<Admission, Refusal> {
        let (runs, accepted) = (self.clone(), Arc::clone(&run));
        let (answered, start) = oneshot::channel::<()>();
        let debt = ask.debt(&run);
        let recorded = self.inner.parts.work.spawn(async move {
            let recorded = runs.record(&accepted, ask.on_entry, debt).await;
            if recorded.is_err() {
                runs.table().active.remove(&accepted.key);
                accepted.phase.send_replace(Phase::Refused);
                return recorded;
            }
            accepted.phase.send_replace(Phase::Accepted);
            let work = runs.inner.parts.work.clone();
            work.spawn(async move {
                // A caller who is gone gets no answer to wait for.
                let _ = start.await;
                runs.drive(accepted, ask.job, place).await;
            });
            recorded
        });
        match recorded.await.unwrap_or(Err(StoreError::Closed)) {
            Ok(()) => {
                tokio::spawn(async move { drop(answered) });
                Ok(Admission::New(run))
            }
            Err(error) => {
                tracing::error!(%error, run = run.id, "a run could not be recorded");
                Err(Refusal::Store(error))
            }
        }
    }

    async fn record(
        &self,
        run: &Run,
        on_entry: Box<dyn FnOnce(&mut Entry) + Send>,
        debt: Option<Debt>,
    ) -> Result<(), StoreError> {
        let (key, space, now, session) = (run.key, run.space, run.accepted_at, run.session.clone());
        self.sessions()
            .write(move |changes| {
                if let Some(session) = &session {
                    let mut entry = changes.entry(session)?.unwrap_or_else(|| Entry::new(now));
                    entry.touch(now);
                    on_entry(&mut entry);
                    changes.put_entry(session, &entry)?;
                }
                let accepted = Record {
                    debt,
                    ..Record::accepted(space, now)
                };
                accepted.put(changes.writer(), &key)
            })
            .await
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

    /// The reply of an ended `agent` run, from the store.
    pub(super) fn reply(&self, id: &str) -> Option<Reply> {
        let key = RunKey::new(Space::Agent, id);
        let record = self.sessions().read(|reader| Record::get(reader, &key));
        record.ok().flatten().and_then(|record| record.reply)
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
