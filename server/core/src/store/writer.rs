//! The writer thread. All write transactions begin and end on it: one that changes threads leaves LMDB's writer lock
//! held for ever. What is queued while a commit runs is committed together and acknowledged after that commit.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};

use heed::{Env, WithoutTls};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::open::Opened;
use super::table::Tables;
use super::txn::{Counters, Writer};
use super::{StoreError, WriteError};

/// Writes that may wait for the writer thread. At three thousand commits a second and hundreds of writes a commit
/// this is some milliseconds of work; more callers than that wait in `write` itself.
pub const WRITE_QUEUE: usize = 1024;

/// Writes in one commit. Bounds how long the first one waits for the others, and the pages a commit holds in memory.
pub const WRITE_BATCH: usize = 256;

/// What the queue carries.
pub(super) enum Message {
    /// A write, with its place in the queue.
    Write(Box<dyn Job>, OwnedSemaphorePermit),
    /// Commit what is queued and end.
    Close,
}

/// A write whose types are erased.
pub(super) trait Job: Send {
    /// Runs the closure inside `writer`; whether its changes are to be kept.
    fn run(&mut self, writer: &mut Writer<'_>) -> bool;
    /// Tells the caller, after the commit. `committed` is the outcome of the whole batch.
    fn acknowledge(self: Box<Self>, committed: Result<(), StoreError>);
}

/// The closure of one write and the way back to its caller.
pub(super) struct TypedJob<F, T, E> {
    closure: Option<F>,
    outcome: Option<Result<T, WriteError<E>>>,
    reply: oneshot::Sender<Result<T, WriteError<E>>>,
}

impl<F, T, E> TypedJob<F, T, E> {
    pub(super) fn new(closure: F, reply: oneshot::Sender<Result<T, WriteError<E>>>) -> Self {
        Self {
            closure: Some(closure),
            outcome: None,
            reply,
        }
    }
}

impl<F, T, E> Job for TypedJob<F, T, E>
where
    F: FnOnce(&mut Writer<'_>) -> Result<T, E> + Send,
    T: Send,
    E: Send,
{
    fn run(&mut self, writer: &mut Writer<'_>) -> bool {
        let Some(closure) = self.closure.take() else {
            return false;
        };
        // A panic leaves only this write's own nested transaction behind, which is then aborted.
        let outcome = match catch_unwind(AssertUnwindSafe(|| closure(writer))) {
            Ok(Ok(value)) => match writer.failure() {
                None => Ok(value),
                Some(failure) => Err(WriteError::Store(failure.clone())),
            },
            Ok(Err(error)) => Err(WriteError::Rejected(error)),
            Err(_) => Err(WriteError::Store(StoreError::Panicked)),
        };
        let keep = outcome.is_ok();
        self.outcome = Some(outcome);
        keep
    }

    fn acknowledge(self: Box<Self>, committed: Result<(), StoreError>) {
        let answer = match (self.outcome, committed) {
            // A write that failed by itself says so, whatever became of the others.
            (Some(Err(error)), _) => Err(error),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (_, Err(error)) => Err(WriteError::Store(error)),
            (None, Ok(())) => Err(WriteError::Store(StoreError::Closed)),
        };
        // A caller that no longer listens is no reason to undo its write.
        let _ = self.reply.send(answer);
    }
}

/// Body of the writer thread: ends on [`Message::Close`] or when nobody can send any more, having committed
/// everything queued by then.
pub(super) fn run(opened: Opened, queue: mpsc::Receiver<Message>) {
    let Opened {
        env,
        tables,
        counters,
    } = opened;
    let mut batch: Vec<Box<dyn Job>> = Vec::new();
    let mut closing = false;
    loop {
        let first = if closing {
            queue.try_recv().ok()
        } else {
            queue.recv().ok()
        };
        let Some(first) = first else { break };
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Message::Write(job, _place) => batch.push(job),
                Message::Close => closing = true,
            }
            next = if batch.len() < WRITE_BATCH {
                queue.try_recv().ok()
            } else {
                None
            };
        }
        if batch.is_empty() {
            continue;
        }
        let committed = commit(&env, tables, &counters, &mut batch);
        if let Err(error) = &committed {
            tracing::error!(%error, writes = batch.len(), "a commit of the store failed");
        }
        for job in batch.drain(..) {
            job.acknowledge(committed.clone());
        }
    }
}

/// Runs the jobs in one transaction, each in a nested one so that a failing job takes nothing but itself back.
fn commit(
    env: &Env<WithoutTls>,
    tables: Tables,
    counters: &Arc<Counters>,
    batch: &mut [Box<dyn Job>],
) -> Result<(), StoreError> {
    counters
        .writes
        .fetch_add(batch.len() as u64, Ordering::Relaxed);
    let mut txn = env.write_txn()?;
    let mut kept = 0_usize;
    if let [job] = batch {
        // Alone, the job needs no nesting: there is nobody to protect from it.
        let mut writer = Writer::new(txn, tables, Arc::clone(counters));
        kept += usize::from(job.run(&mut writer));
        txn = writer.into_txn();
    } else {
        for job in batch {
            let nested = env.nested_write_txn(&mut txn)?;
            let mut writer = Writer::new(nested, tables, Arc::clone(counters));
            if job.run(&mut writer) {
                writer.into_txn().commit()?;
                kept += 1;
            } else {
                writer.into_txn().abort();
            }
        }
    }
    if kept == 0 {
        txn.abort();
        return Ok(());
    }
    txn.commit()?;
    counters.commits.fetch_add(1, Ordering::Relaxed);
    Ok(())
}
