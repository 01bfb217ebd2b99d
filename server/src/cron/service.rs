//! The jobs joined with the store, the clock and what runs them.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use openclaw_protocol::events::Event;
use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::types::{
    CronAction, CronAddParams, CronEvent, CronJob, CronJobPatch, CronRunLogEntry, CronRunMode,
    CronStatusResult,
};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::error::CronError;
use super::job::{self, Claim, Ended, Record, Trigger};
use super::log;
use super::work::{Outcome, Worker};
use crate::clock::Clock;
use crate::hub::EventSink;
use crate::store::{Store, StoreError, Table};

/// Jobs there may be, disabled ones too. Each is in memory and in every `cron.list`; people have dozens, and an agent that
/// sets reminders in a loop is told to stop.
pub const MAX_JOBS: usize = 1_000;

/// Runs of all jobs at a time; more due ones wait for a place. Runs of agents wait for models most of the time, and how
/// many of them work at a time is bounded by `agents.defaults.maxConcurrent`.
pub const MAX_RUNNING: usize = 16;

/// Longest sleep of the scheduler. Timers stand still while the machine sleeps and do not follow a clock that is set, so
/// the wall clock is looked at again at least so often.
const LOOK_AGAIN: Duration = Duration::from_secs(15);

/// Rest after the store refused a claim; nothing may run without one.
const STORE_RETRY: Duration = Duration::from_secs(1);

/// What the jobs need of the rest of the gateway.
pub struct Parts {
    /// Where they are stored.
    pub store: Store,
    /// Wall clock.
    pub clock: Arc<dyn Clock>,
    /// Where events go.
    pub events: Arc<dyn EventSink>,
    /// What runs them.
    pub worker: Arc<dyn Worker>,
    /// Runtime that carries runs.
    pub work: Handle,
    /// Whether the clock runs jobs at all (`cron.enabled`); by hand they run in any case.
    pub enabled: bool,
    /// Where clients are told that jobs are stored.
    pub store_path: String,
}

/// The jobs of a gateway. Clones share them.
#[derive(Clone)]
pub struct Cron {
    inner: Arc<Inner>,
}

struct Inner {
    parts: Parts,
    jobs: Mutex<BTreeMap<String, Record>>,
    /// One change at a time: disk first, then memory.
    turn: tokio::sync::Mutex<()>,
    /// Something may be due earlier than the scheduler thinks.
    changed: Notify,
}

impl Cron {
    /// Reads the jobs, and ends the runs that a former process left. Damaged records are passed over (and counted by the
    /// store).
    ///
    /// # Errors
    /// Whatever the store says.
    pub async fn open(parts: Parts) -> Result<Self, StoreError> {
        let mut jobs = BTreeMap::new();
        parts.store.read(|reader| {
            reader.scan(Table::CronJobs, b"", |_, record: Record| {
                jobs.insert(record.job.id.to_string(), record);
                ControlFlow::Continue(())
            })
        })?;
        let now = parts.clock.now_ms();
        let cut: Vec<Ended> = jobs
            .values()
            .filter_map(|record| record.recovered(now))
            .collect();
        if !cut.is_empty() {
            tracing::warn!(
                runs = cut.len(),
                "runs of jobs were cut short by the last stop"
            );
        }
        for ended in cut {
            if let Some(record) = &ended.record {
                jobs.insert(record.job.id.to_string(), record.clone());
            }
            parts
                .store
                .write(move |writer| end(writer, &ended))
                .await
                .map_err(StoreError::from)?;
        }
        let inner = Inner {
            parts,
            jobs: Mutex::new(jobs),
            turn: tokio::sync::Mutex::new(()),
            changed: Notify::new(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// The jobs by next run, those without one first.
    #[must_use]
    pub fn list(&self, with_disabled: bool) -> Vec<CronJob> {
        let mut jobs: Vec<CronJob> = {
            let jobs = self.jobs();
            let shown = |record: &&Record| with_disabled || record.job.enabled;
            let shown = jobs.values().filter(shown);
            shown.map(|record| record.job.clone()).collect()
        };
        jobs.sort_by_key(|job| (job.state.next_run_at_ms, job.created_at_ms));
        jobs
    }

    /// How the scheduler is.
    #[must_use]
    pub fn status(&self) -> CronStatusResult {
        let Parts {
            enabled,
            store_path,
            ..
        } = &self.inner.parts;
        let jobs = self.jobs();
        let next = jobs.values().filter_map(Record::next).min();
        CronStatusResult::new(
            *enabled,
            store_path.clone(),
            jobs.len() as u64,
            next.filter(|_| *enabled),
        )
    }

    /// Adds a job. It is on disk when this returns.
    ///
    /// # Errors
    /// What the form of the params cannot say, [`CronError::TooMany`], or trouble with the store.
    pub async fn add(&self, params: CronAddParams) -> Result<CronJob, CronError> {
        self.apart(|cron| async move {
            let _turn = cron.inner.turn.lock().await;
            if cron.jobs().len() >= MAX_JOBS {
                return Err(CronError::TooMany);
            }
            let id = NonEmptyString::or(uuid::Uuid::new_v4().to_string(), "job");
            let record = Record::new(id, params, cron.now())?;
            cron.put(&record).await?;
            Ok(cron.announce(CronAction::Added, record))
        })
        .await
    }

    /// Changes a job.
    ///
    /// # Errors
    /// [`CronError::Unknown`], what the form of the patch cannot say, or trouble with the store.
    pub async fn update(&self, id: &str, patch: CronJobPatch) -> Result<CronJob, CronError> {
        let id = id.to_owned();
        self.apart(|cron| async move {
            let _turn = cron.inner.turn.lock().await;
            let record = cron.record(&id)?.patched(patch, cron.now())?;
            cron.put(&record).await?;
            Ok(cron.announce(CronAction::Updated, record))
        })
        .await
    }

    /// Removes a job; whether there was one. A run of it that goes on comes to its end and is noted.
    ///
    /// # Errors
    /// Trouble with the store.
    pub async fn remove(&self, id: &str) -> Result<bool, CronError> {
        let id = id.to_owned();
        self.apart(|cron| async move {
            let _turn = cron.inner.turn.lock().await;
            if cron.record(&id).is_err() {
                return Ok(false);
            }
            let key = id.clone();
            let written = cron.inner.parts.store.write(move |writer| {
                writer.delete(Table::CronJobs, key.as_bytes())?;
                log::removed(writer, &key)
            });
            written.await?;
            cron.jobs().remove(&id);
            cron.emit(CronEvent::new(
                NonEmptyString::or(id, "job"),
                CronAction::Removed,
            ));
            Ok(true)
        })
        .await
    }

    /// Runs a job by hand and waits for its end; whether it ran. It does not when it is not due (unless forced), or when
    /// it is running already.
    ///
    /// # Errors
    /// [`CronError::Unknown`], or trouble with the store; then nothing began.
    pub async fn run(&self, id: &str, mode: CronRunMode) -> Result<bool, CronError> {
        let Some(run) = self.begin(id, trigger(mode)).await? else {
            return Ok(false);
        };
        // A run that panicked has said so in its log.
        let _ = run.await;
        Ok(true)
    }

    /// As [`Self::run`], without waiting for the end: for those whom the run may wait for.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn start(&self, id: &str, mode: CronRunMode) -> Result<bool, CronError> {
        Ok(self.begin(id, trigger(mode)).await?.is_some())
    }

    /// The newest `limit` runs of a job, oldest first. Reads the disk; callers on the I/O thread put it aside.
    ///
    /// # Errors
    /// Whatever the store says.
    pub fn runs(&self, id: &str, limit: usize) -> Result<Vec<CronRunLogEntry>, StoreError> {
        self.inner
            .parts
            .store
            .read(|reader| log::read(reader, id, limit))
    }

    /// Runs jobs by the clock. Never returns.
    pub async fn run_by_clock(&self) {
        loop {
            let changed = self.inner.changed.notified();
            let pause = self.run_due().await;
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = changed => {}
            }
        }
    }

    /// Begins the runs that are due, the oldest first, and returns how long there is nothing to do.
    pub(super) async fn run_due(&self) -> Duration {
        if !self.inner.parts.enabled {
            return LOOK_AGAIN;
        }
        let now = self.now();
        let (due, places) = {
            let jobs = self.jobs();
            let mut due: Vec<(u64, String)> = jobs
                .iter()
                .filter_map(|(id, record)| Some((record.next()?, id.clone())))
                .filter(|(next, _)| *next <= now)
                .collect();
            due.sort();
            (due, MAX_RUNNING.saturating_sub(running(&jobs)))
        };
        for (_, id) in due.into_iter().take(places) {
            match self.begin(&id, Trigger::Clock).await {
                // Removed or changed meanwhile.
                Ok(_) | Err(CronError::Unknown(_)) => {}
                Err(error) => {
                    tracing::error!(%error, job = id, "a job is due and cannot begin");
                    return STORE_RETRY;
                }
            }
        }
        let jobs = self.jobs();
        if running(&jobs) >= MAX_RUNNING {
            // The end of a run is a change.
            return LOOK_AGAIN;
        }
        let next = jobs.values().filter_map(Record::next).min();
        next.map_or(LOOK_AGAIN, |next| {
            Duration::from_millis(next.saturating_sub(self.now())).min(LOOK_AGAIN)
        })
    }

    /// Claims a run on disk and begins it; none if it may not.
    async fn begin(&self, id: &str, trigger: Trigger) -> Result<Option<JoinHandle<()>>, CronError> {
        let id = id.to_owned();
        self.apart(move |cron| async move {
            let _turn = cron.inner.turn.lock().await;
            let Some(record) = cron.record(&id)?.claimed(trigger, cron.now()) else {
                return Ok(None);
            };
            let Some(claim) = record.claim else {
                return Ok(None);
            };
            cron.put(&record).await?;
            let job = record.job;
            let mut event = CronEvent::new(job.id.clone(), CronAction::Started);
            event.run_at_ms = Some(claim.run_at_ms);
            cron.emit(event);
            let carried = cron.clone();
            Ok(Some(cron.inner.parts.work.spawn(async move {
                carried.carry(job, claim).await;
            })))
        })
        .await
    }

    /// A run from its beginning to the note of its end.
    async fn carry(self, job: CronJob, claim: Claim) {
        let id = job.id.clone();
        let work = AssertUnwindSafe(self.inner.parts.worker.work(job)).catch_unwind();
        let outcome = work.await.unwrap_or_else(|_| {
            tracing::error!(job = %*id, "a run of a job panicked");
            Outcome::error("the run failed for an internal reason")
        });
        let _turn = self.inner.turn.lock().await;
        let now = self.now();
        let ended = match self.record(&id) {
            Ok(record) => record.ended(claim, &outcome, now),
            // Removed meanwhile.
            Err(_) => {
                let mut entry = CronRunLogEntry::new(now, id.clone());
                entry.status = Some(outcome.status);
                entry.error = outcome.error;
                entry.summary = outcome.summary;
                entry.run_at_ms = Some(claim.run_at_ms);
                entry.duration_ms = Some(now.saturating_sub(claim.run_at_ms));
                Ended {
                    record: None,
                    entry,
                }
            }
        };
        let was_there = self.record(&id).is_ok();
        let stored = ended.clone();
        let written = self.inner.parts.store.write(move |writer| {
            end(writer, &stored)?;
            if was_there && stored.record.is_none() {
                log::removed(writer, &stored.entry.job_id)?;
            }
            Ok::<_, StoreError>(())
        });
        if let Err(error) = written.await {
            // The claim stays on disk: the next start will say that the run's end is unknown.
            tracing::error!(%error, job = %*id, "the end of a run could not be stored");
        }
        {
            let mut jobs = self.jobs();
            match ended.record {
                Some(record) => jobs.insert(id.to_string(), record),
                None => jobs.remove(id.as_str()),
            };
        }
        self.emit(job::finished(&ended.entry));
        if was_there && self.record(&id).is_err() {
            self.emit(CronEvent::new(id, CronAction::Removed));
        }
        self.inner.changed.notify_one();
    }

    /// Runs a change as a task of its own, so that it is finished even when the caller goes away.
    async fn apart<T, F>(&self, change: impl FnOnce(Self) -> F) -> Result<T, CronError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, CronError>> + Send + 'static,
    {
        let change = self.inner.parts.work.spawn(change(self.clone()));
        change.await.unwrap_or(Err(StoreError::Panicked.into()))
    }

    fn record(&self, id: &str) -> Result<Record, CronError> {
        let record = self.jobs().get(id).cloned();
        record.ok_or_else(|| CronError::Unknown(id.to_owned()))
    }

    /// Puts a job on disk and then into memory.
    async fn put(&self, record: &Record) -> Result<(), CronError> {
        let stored = record.clone();
        let written =
            self.inner.parts.store.write(move |writer| {
                writer.put(Table::CronJobs, stored.job.id.as_bytes(), &stored)
            });
        written.await?;
        self.jobs()
            .insert(record.job.id.to_string(), record.clone());
        self.inner.changed.notify_one();
        Ok(())
    }

    fn announce(&self, action: CronAction, record: Record) -> CronJob {
        let mut event = CronEvent::new(record.job.id.clone(), action);
        event.next_run_at_ms = record.job.state.next_run_at_ms;
        self.emit(event);
        record.job
    }

    fn emit(&self, event: CronEvent) {
        self.inner.parts.events.emit(Event::Cron(event));
    }

    fn now(&self) -> u64 {
        self.inner.parts.clock.now_ms()
    }

    fn jobs(&self) -> MutexGuard<'_, BTreeMap<String, Record>> {
        self.inner
            .jobs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn trigger(mode: CronRunMode) -> Trigger {
    match mode {
        CronRunMode::Due => Trigger::Due,
        CronRunMode::Force => Trigger::Force,
    }
}

fn running(jobs: &BTreeMap<String, Record>) -> usize {
    jobs.values()
        .filter(|record| record.claim.is_some())
        .count()
}

/// Writes how a run ended: the job as it is then, and the line of its log.
fn end(writer: &mut crate::store::Writer<'_>, ended: &Ended) -> Result<(), StoreError> {
    let id = ended.entry.job_id.as_bytes();
    match &ended.record {
        Some(record) => writer.put(Table::CronJobs, id, record)?,
        None => {
            writer.delete(Table::CronJobs, id)?;
        }
    }
    log::append(writer, &ended.entry)
}
