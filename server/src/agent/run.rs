//! One run: what it is to do, where it is in its life, and how it is called off.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::aftermath::Aftermath;
use super::attachments::Image;
use super::bus::Voice;
use super::commands::Task;
use super::outcome::{AbortReason, Ended, Record, Reply, RunKey, Space};
use crate::outbox::Pending;
use crate::sessions::SessionKey;

/// What a run is to do.
pub(super) struct Job {
    /// The user's words as the transcript keeps them.
    pub(super) text: String,
    pub(super) images: Vec<Image>,
    /// Thinking word of the request.
    pub(super) thinking: Option<String>,
    /// Longest time from the start of the run to its end; zero is refused.
    pub(super) timeout: Duration,
    /// When a chat run is called off by the clock, waiting included.
    pub(super) expires: Option<Instant>,
    /// Model of this turn only; the session's when absent.
    pub(super) model: Option<String>,
    /// Instructions for this turn only.
    pub(super) extra_system: Option<String>,
    /// How many runs have asked one another, each with a tool, before this one.
    pub(super) hops: u8,
    /// A turn of the model, or a command.
    pub(super) task: Task,
}

impl Job {
    /// Nothing to do yet, within `timeout`.
    pub(super) fn of(timeout: Duration) -> Self {
        Self {
            text: String::new(),
            images: Vec::new(),
            thinking: None,
            timeout,
            expires: None,
            extra_system: None,
            model: None,
            task: Task::Turn,
            hops: 0,
        }
    }
}

/// Where a run is in its life.
#[derive(Debug, Clone)]
pub(super) enum Phase {
    /// Its acceptance is being written.
    Admitting,
    /// Its acceptance could not be written; it never was.
    Refused,
    /// It waits or works.
    Accepted,
    /// It is over.
    Over(Arc<Closing>),
}

/// A run's end and reply.
#[derive(Debug)]
pub(super) struct Closing {
    pub(super) ended: Ended,
    pub(super) reply: Option<Reply>,
    /// What becomes of the reply on its way to people; none if it goes nowhere.
    pub(super) delivery: Option<Pending>,
}

/// A run that has not ended, or has just done so.
pub(super) struct Run {
    pub(super) key: RunKey,
    pub(super) id: String,
    pub(super) space: Space,
    /// The conversation; none if the request left it open.
    pub(super) session: Option<SessionKey>,
    pub(super) accepted_at: u64,
    /// Runs are numbered in the order of acceptance.
    pub(super) number: u64,
    /// What its end does elsewhere.
    pub(super) aftermath: Aftermath,
    pub(super) phase: watch::Sender<Phase>,
    voice: Mutex<Voice>,
    abort: watch::Sender<Option<AbortReason>>,
}

impl Run {
    pub(super) fn new(
        (key, space, id): (RunKey, Space, String),
        session: Option<SessionKey>,
        accepted_at: u64,
        number: u64,
        aftermath: Aftermath,
        voice: Voice,
    ) -> Self {
        let (phase, abort) = (
            watch::Sender::new(Phase::Admitting),
            watch::Sender::new(None),
        );
        Self {
            key,
            id,
            space,
            session,
            accepted_at,
            number,
            aftermath,
            phase,
            voice: Mutex::new(voice),
            abort,
        }
    }

    /// Its record as it was accepted.
    pub(super) fn record(&self) -> Record {
        Record {
            aftermath: self.aftermath.clone(),
            ..Record::accepted(self.space, self.accepted_at)
        }
    }

    /// The run's voice, for as long as the guard lives.
    pub(super) fn voice(&self) -> MutexGuard<'_, Voice> {
        self.voice.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls the run off and tells the clients; whether it was not over yet.
    pub(super) fn call_off(&self, reason: AbortReason) -> bool {
        let aborted = self.voice().abort(reason);
        if aborted {
            self.abort.send_replace(Some(reason));
        }
        aborted
    }

    /// Resolves when the run has been called off.
    pub(super) async fn called_off(&self) -> AbortReason {
        let mut abort = self.abort.subscribe();
        match abort.wait_for(Option::is_some).await.map(|reason| *reason) {
            Ok(Some(reason)) => reason,
            // The sender lives as long as the run.
            _ => std::future::pending().await,
        }
    }

    /// Waits until the acceptance is written or has failed.
    pub(super) async fn admitted(&self) -> Phase {
        self.phase_when(|phase| !matches!(phase, Phase::Admitting))
            .await
    }

    /// Waits for the end; none for a run that never was.
    pub(super) async fn over(&self) -> Option<Arc<Closing>> {
        match self
            .phase_when(|phase| matches!(phase, Phase::Over(_) | Phase::Refused))
            .await
        {
            Phase::Over(closing) => Some(closing),
            _ => None,
        }
    }

    async fn phase_when(&self, ready: impl FnMut(&Phase) -> bool) -> Phase {
        let mut phase = self.phase.subscribe();
        let ready = phase.wait_for(ready).await.map(|phase| phase.clone());
        // The sender lives as long as the run.
        ready.unwrap_or(Phase::Refused)
    }
}
