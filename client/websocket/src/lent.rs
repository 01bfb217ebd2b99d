//! A stream that outlives the frame parser it is lent to.
//!
//! `fastwebsockets` neither gives its stream back nor lets go of its read buffer, so one large
//! message would keep a large buffer for the life of the connection. [`Lent`] solves both: it
//! takes the stream out of its [`Home`] at the first read and puts it back when it is dropped,
//! and it counts the bytes it handed over, so that the owner knows when the parser's buffer is
//! empty and the parser may be replaced by a fresh one.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};

/// Where the stream is while no parser has it. Locked at the first read and at the drop of each
/// parser only.
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

    fn take(&self) -> Option<R> {
        self.stream
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    fn put(&self, stream: R) {
        *self.stream.lock().unwrap_or_else(PoisonError::into_inner) = Some(stream);
    }
}

/// The stream as a parser sees it.
#[derive(Debug)]
pub(crate) struct Lent<R> {
    stream: Option<R>,
    home: Arc<Home<R>>,
}

impl<R> Lent<R> {
    pub(crate) fn new(home: Arc<Home<R>>) -> Self {
        Self { stream: None, home }
    }
}

impl<R> Drop for Lent<R> {
    fn drop(&mut self) {
        if let Some(stream) = self.stream.take() {
            self.home.put(stream);
        }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Lent<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let this = &mut *self;
        if this.stream.is_none() {
            this.stream = this.home.take();
        }
        let Some(stream) = &mut this.stream else {
            return Poll::Ready(Err(std::io::ErrorKind::NotConnected.into()));
        };
        let before = buf.filled().len();
        let outcome = Pin::new(stream).poll_read(cx, buf);
        let read = buf.filled().len() - before;
        this.home.fed.fetch_add(read as u64, Ordering::Relaxed);
        outcome
    }
}
