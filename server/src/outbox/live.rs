//! A delivery that is under way: what its carrier does, what an operator wants of it, and how it ended.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedMutexGuard, watch};

use super::record::State;

/// A delivery that is not over, or has just ended.
pub(super) struct Live {
    /// Channel it goes through.
    pub(super) channel: String,
    /// How it ended; none while it has not.
    pub(super) end: watch::Sender<Option<End>>,
    step: Mutex<Step>,
    /// The carrier is to look at `step`.
    called: Notify,
}

/// What its callers are told.
#[derive(Debug, Clone)]
pub(super) enum End {
    /// It is over in this state.
    Over(State),
    /// It could not be recorded and never was.
    Unrecorded,
}

/// Between the carrier of a delivery and operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// It waits: for its turn, or for the end of a pause.
    Waiting,
    /// As above, and is to wait no longer.
    Hurried,
    /// As above, and is not to go on.
    Cancelled,
    /// An attempt is under way.
    Sending,
}

/// An attempt is under way: it can be neither called back nor repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct IsSending;

impl Live {
    pub(super) fn new(channel: &str) -> Arc<Self> {
        Arc::new(Self {
            channel: channel.to_owned(),
            end: watch::Sender::new(None),
            step: Mutex::new(Step::Waiting),
            called: Notify::new(),
        })
    }

    /// Lets the carrier wait no longer.
    pub(super) fn hurry(&self) -> Result<(), IsSending> {
        self.call(Step::Hurried)
    }

    /// Tells the carrier not to go on.
    pub(super) fn cancel(&self) -> Result<(), IsSending> {
        self.call(Step::Cancelled)
    }

    fn call(&self, wish: Step) -> Result<(), IsSending> {
        let mut step = self.step();
        match *step {
            Step::Sending => return Err(IsSending),
            // Nothing brings back what is called off.
            Step::Cancelled => {}
            Step::Waiting | Step::Hurried => *step = wish,
        }
        drop(step);
        self.called.notify_one();
        Ok(())
    }

    /// Waits for the turn at an address; none if the delivery was cancelled meanwhile.
    pub(super) async fn turn(
        &self,
        turn: impl Future<Output = OwnedMutexGuard<()>>,
    ) -> Option<OwnedMutexGuard<()>> {
        tokio::pin!(turn);
        loop {
            tokio::select! {
                turn = &mut turn => return Some(turn),
                () = self.called.notified() => {
                    if *self.step() == Step::Cancelled {
                        return None;
                    }
                }
            }
        }
    }

    /// Begins an attempt, unless the delivery was cancelled.
    pub(super) fn begin(&self) -> bool {
        let mut step = self.step();
        if *step == Step::Cancelled {
            return false;
        }
        *step = Step::Sending;
        true
    }

    /// An attempt is over and there will be another.
    pub(super) fn rest(&self) {
        *self.step() = Step::Waiting;
    }

    /// Waits for the end of a pause, or until an operator calls.
    pub(super) async fn pause(&self, pause: Duration) {
        let end = tokio::time::sleep(pause);
        tokio::pin!(end);
        // A call from before the attempt may still be noted.
        while *self.step() == Step::Waiting {
            tokio::select! {
                () = &mut end => return,
                () = self.called.notified() => {}
            }
        }
    }

    /// Waits for the end.
    pub(super) async fn ended(&self) -> End {
        let mut end = self.end.subscribe();
        let ended = end.wait_for(Option::is_some).await.map(|end| end.clone());
        // The sender lives as long as the delivery.
        ended.ok().flatten().unwrap_or(End::Unrecorded)
    }

    fn step(&self) -> MutexGuard<'_, Step> {
        self.step.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
