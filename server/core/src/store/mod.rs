//! The store: the only place that knows LMDB. Durable, typed by JSON, one writer thread with group commit, reads from
//! any thread.
//!
//! Called by the domain modules (`pairing`, `sessions`, `agent`, …), each with its own tables and record types.
//! Losing power or being killed loses no acknowledged write.

mod error;
mod open;
mod table;
mod txn;
mod writer;

use std::future::Future;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

use heed::{Env, WithoutTls};
use tokio::sync::{Semaphore, oneshot};

pub use error::{StoreError, WriteError};
pub use table::Table;
pub use txn::{MAX_KEY_BYTES, Reader, Writer};
pub use writer::{WRITE_BATCH, WRITE_QUEUE};

use open::{Opened, Settings};
use table::Tables;
use txn::Counters;
use writer::{Message, TypedJob};

/// Name of the writer thread, as debuggers and `top -H` show it.
const WRITER_THREAD: &str = "store-writer";

/// An open store. Clones share it; the last one to go commits what is queued and ends the writer thread.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    env: Env<WithoutTls>,
    tables: Tables,
    counters: Arc<Counters>,
    /// Free places in the queue; closed with the store.
    places: Arc<Semaphore>,
    queue: mpsc::Sender<Message>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Counters since the store was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreStats {
    /// Transactions committed to disk.
    pub commits: u64,
    /// Writes run; more than `commits` when they came in groups.
    pub writes: u64,
    /// Times a damaged record was met.
    pub damaged: u64,
}

impl Store {
    /// Opens the store in `dir` (made 0700 with files of 0600), checking the format version before anything else and
    /// upgrading an older one.
    ///
    /// # Errors
    /// [`StoreError::Open`], [`StoreError::AlreadyOpen`], [`StoreError::Newer`], [`StoreError::NoVersion`] or
    /// [`StoreError::Database`].
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        Self::open_as(dir, &Settings::CURRENT)
    }

    fn open_as(dir: &Path, settings: &Settings) -> Result<Self, StoreError> {
        let Opened {
            env,
            tables,
            counters,
        } = open::open(dir, settings)?;
        let (queue, messages) = mpsc::channel();
        let opened = Opened {
            env: env.clone(),
            tables,
            counters: Arc::clone(&counters),
        };
        let thread = std::thread::Builder::new()
            .name(WRITER_THREAD.to_owned())
            .spawn(move || writer::run(opened, messages))
            .map_err(|error| StoreError::Open {
                path: dir.to_path_buf(),
                cause: Arc::new(error),
            })?;
        Ok(Self {
            inner: Arc::new(Inner {
                env,
                tables,
                counters,
                places: Arc::new(Semaphore::new(WRITE_QUEUE)),
                queue,
                thread: Mutex::new(Some(thread)),
            }),
        })
    }

    /// Runs `look` on a consistent view of what is committed. Synchronous: a look-up takes microseconds; callers on a
    /// runtime put long scans into `spawn_blocking`.
    pub fn read<T>(
        &self,
        look: impl FnOnce(&Reader<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let txn = self.inner.env.read_txn()?;
        look(&Reader::new(&txn, self.inner.tables, &self.inner.counters))
    }

    /// Queues `change` for the writer thread and resolves once it is on disk. It is stored as a whole or, when it
    /// returns an error or panics, not at all; other writes of the same commit are not affected. Works on any runtime.
    ///
    /// Waits while [`WRITE_QUEUE`] writes are queued. Dropping the future before it is queued cancels the write;
    /// afterwards the write happens all the same. A write under way keeps the store open.
    pub fn write<T, E, F>(
        &self,
        change: F,
    ) -> impl Future<Output = Result<T, WriteError<E>>> + Send + use<T, E, F>
    where
        F: FnOnce(&mut Writer<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        let inner = Arc::clone(&self.inner);
        async move {
            let place = Arc::clone(&inner.places)
                .acquire_owned()
                .await
                .map_err(|_| StoreError::Closed)?;
            let (reply, answer) = oneshot::channel();
            inner
                .queue
                .send(Message::Write(
                    Box::new(TypedJob::new(change, reply)),
                    place,
                ))
                .map_err(|_| StoreError::Closed)?;
            answer.await.map_err(|_| StoreError::Closed)?
        }
    }

    /// Commits what is queued and ends the writer thread; blocks for that long. Later writes get
    /// [`StoreError::Closed`], reads go on. The last clone to be dropped does the same.
    pub fn close(&self) {
        self.inner.close();
    }

    /// Counters for health and tests.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        let Counters {
            commits,
            writes,
            damaged,
        } = &*self.inner.counters;
        StoreStats {
            commits: commits.load(Ordering::Relaxed),
            writes: writes.load(Ordering::Relaxed),
            damaged: damaged.load(Ordering::Relaxed),
        }
    }
}

impl Inner {
    fn close(&self) {
        self.places.close();
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(thread) = thread else { return };
        // Fails only when the thread is gone already.
        let _ = self.queue.send(Message::Close);
        // A write's closure may hold the last clone of the store: its thread cannot wait for itself, and ends on its
        // own after that batch.
        if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
            tracing::error!("the writer thread of the store had panicked");
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("dir", &self.inner.env.path())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
