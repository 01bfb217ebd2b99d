//! How a run begins: its key, its place, its record on disk (contract 6.4, 6.6).

use std::sync::Arc;

use openclaw_protocol::rt::NonEmptyString;
use tokio::sync::oneshot;

use super::super::aftermath::Aftermath;
use super::super::bus::Voice;
use super::super::commands::Task;
use super::super::lanes::{LaneFull, Place};
use super::super::messages;
use super::super::outcome::{Debt, Ended, Owed, Record, RunKey, Space};
use super::super::run::{Job, Phase, Run};
use super::super::wire::Names;
use super::{MAX_RUNS, Runs};
use crate::sessions::{Entry, SessionKey};
use crate::store::StoreError;

/// A turn that a request asks for.
pub(in crate::agent) struct Ask {
    pub(in crate::agent) space: Space,
    /// Run id: the idempotency key.
    pub(in crate::agent) id: NonEmptyString,
    /// Conversation, and its key in the client's spelling.
    pub(in crate::agent) session: Option<(SessionKey, NonEmptyString)>,
    /// Whether `agent` asks for it.
    pub(in crate::agent) is_agent_call: bool,
    /// What the request changes in the session's entry.
    pub(in crate::agent) on_entry: Box<dyn FnOnce(&mut Entry) + Send>,
    pub(in crate::agent) job: Job,
    /// Whether chat clients are spared its words (a heartbeat).
    pub(in crate::agent) quiet: bool,
    /// What its end does elsewhere.
    pub(in crate::agent) aftermath: Aftermath,
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
pub(in crate::agent) enum Admission {
    /// A run has begun.
    New(Arc<Run>),
    /// The key's run is under way.
    Running(Arc<Run>),
    /// The key's run has ended.
    Ended(Ended),
}

/// Why no run was begun. The text is for the client.
#[derive(Debug, thiserror::Error)]
pub(in crate::agent) enum Refusal {
    #[error(transparent)]
    LaneFull(#[from] LaneFull),
    #[error(
        "too many runs are under way or waiting (limit {MAX_RUNS}); try again when some have ended"
    )]
    TooMany,
    #[error("the run could not be recorded; nothing was started")]
    Store(#[source] StoreError),
}

impl Runs {
    /// What is known of a key, without beginning anything.
    pub(in crate::agent) async fn known(&self, space: Space, id: &str) -> Option<Admission> {
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
    pub(in crate::agent) async fn admit(&self, ask: Ask) -> Result<Admission, Refusal> {
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
            ask.aftermath.clone(),
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
            let recorded = runs
                .record(&accepted, ask.on_entry, ask.is_agent_call, debt)
                .await;
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
        is_agent_call: bool,
        debt: Option<Debt>,
    ) -> Result<(), StoreError> {
        let (key, now, session) = (run.key, run.accepted_at, run.session.clone());
        let accepted = Record {
            debt,
            ..run.record()
        };
        self.sessions()
            .write(move |changes| {
                if let Some(session) = &session {
                    let mut entry = changes.entry(session)?.unwrap_or_else(|| Entry::new(now));
                    entry.touch(now);
                    on_entry(&mut entry);
                    entry.spoken_by(is_agent_call, changes.is_silent(&entry.session_id)?);
                    changes.put_entry(session, &entry)?;
                }
                accepted.put(changes.writer(), &key)
            })
            .await
    }
}
