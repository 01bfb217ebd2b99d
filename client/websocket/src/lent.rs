//! A stream that outlives the frame parser it is lent to.
//!
//! `fastwebsockets` neither gives its stream back nor lets go of its read buffer, so one large
//! message would keep a large buffer for the life of the connection, and each connection a buffer
//! while it is idle. [`Lent`] solves both: the stream stays in its [`Home`], so that the parser may
//! be replaced by a fresh one or serve another stream, and the bytes handed over are counted, so
//! that the owner knows when the parser's buffer is empty and either may be done.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};

/// Where the stream is.
#[derive(Debug)]
pub(crate) struct Home<R> {
    fed: AtomicU64,
    stream: Mutex<Option<R>>,
}

impl<R> Home<R> {
    pub(crate) fn new(stream: R) -> Arc<Self> {
        Arc::new(Self {
            fed: AtomicU64::new(0),
            stream: Mutex::new(Some(stream)),
        })
    }

    /// Bytes that all parsers have received together.
    pub(crate) fn fed(&self) -> u64 {
        self.fed.load(Ordering::Relaxed)
    }

    /// Takes the stream out; reads fail from then on.
    pub(crate) fn take(&self) -> Option<R> {
        self.stream().take()
    }

    /// Puts a stream in.
    pub(crate) fn put(&self, stream: R) {
        *self.stream() = Some(stream);
    }

    fn stream(&self) -> MutexGuard<'_, Option<R>> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The stream as a parser sees it.
#[derive(Debug)]
pub(crate) struct Lent<R>(Arc<Home<R>>);

impl<R> Lent<R> {
    pub(crate) fn new(home: Arc<Home<R>>) -> Self {
        Self(home)
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Lent<R> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let home = &*self.0;
        let mut stream = home.stream();
        let Some(stream) = &mut *stream else {
            return Poll::Ready(Err(std::io::ErrorKind::NotConnected.into()));
        };
        let before = buf.filled().len();
        let outcome = Pin::new(stream).poll_read(cx, buf);
        let read = buf.filled().len() - before;
        // Whoever counts has the lock.
        home.fed.store(home.fed() + read as u64, Ordering::Relaxed);
        outcome
    }
}
