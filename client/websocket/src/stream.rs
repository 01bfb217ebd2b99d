//! Wrappers around the read side of a socket.

use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Calls a hook whenever the reader above has used up all bytes and the socket has no more.
///
/// The frame parser hides its buffer, but it asks the socket for bytes only when no whole frame
/// is left in there. So the moment a read returns `Pending` is the moment when everything that
/// had arrived has been handled: replies gathered until then go out in one write.
///
/// The hook runs inside `poll_read` and must not block. It gets the task's context, so it may
/// poll a writer and be called again when that is ready. It also runs when the runtime makes a
/// busy task pause (cooperative budget), with bytes still waiting: that bounds how long replies
/// to a peer that never stops sending are held back.
#[derive(Debug)]
pub struct OnIdle<R, F> {
    stream: R,
    hook: F,
}

impl<R, F: FnMut(&mut Context<'_>)> OnIdle<R, F> {
    /// Wraps the read half of a connection.
    pub fn new(stream: R, hook: F) -> Self {
        Self { stream, hook }
    }
}

impl<R, F> AsyncRead for OnIdle<R, F>
where
    R: AsyncRead + Unpin,
    F: FnMut(&mut Context<'_>) + Unpin,
{
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_read(cx, buf);
        if outcome.is_pending() {
            (self.hook)(cx);
        }
        outcome
    }
}

/// A stream in front of which some bytes were read already: what an HTTP parser took past the
/// end of an upgrade request. The bytes are let go as soon as they have been read again.
#[derive(Debug)]
pub struct Prefixed<S> {
    prefix: Bytes,
    stream: S,
}

impl<S> Prefixed<S> {
    /// Puts `prefix` in front of what `stream` delivers.
    pub fn new(prefix: Bytes, stream: S) -> Self {
        Self { prefix, stream }
    }

    /// The stream; what is left of the bytes before it is lost.
    pub fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Prefixed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.prefix.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let len = self.prefix.len().min(buf.remaining());
        buf.put_slice(&self.prefix[..len]);
        self.prefix.advance(len);
        if self.prefix.is_empty() {
            // An empty view would still hold the HTTP parser's buffer.
            self.prefix = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Prefixed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn prefix_comes_first_and_is_let_go() {
        let http_buffer = Bytes::from(vec![7; 100]);
        let mut stream = Prefixed::new(http_buffer.slice(95..), &b"rest"[..]);
        let mut first = [0; 3];
        stream.read_exact(&mut first).await.unwrap();
        assert_eq!(first, [7; 3]);
        assert!(!http_buffer.is_unique());
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, [7, 7, b'r', b'e', b's', b't']);
        assert!(http_buffer.is_unique(), "the buffer is still held");
    }

    #[tokio::test]
    async fn prefixed_writes_go_to_the_stream() {
        let (near, mut far) = tokio::io::duplex(64);
        let mut stream = Prefixed::new(Bytes::from_static(b"x"), near);
        stream.write_all(b"out").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut got = Vec::new();
        far.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, b"out");
    }

    #[tokio::test]
    async fn hook_runs_exactly_when_a_read_has_to_wait() {
        let (near, mut far) = tokio::io::duplex(64);
        let calls = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&calls);
        let mut stream = OnIdle::new(near, move |_: &mut Context<'_>| {
            seen.fetch_add(1, Ordering::Relaxed);
        });
        let mut byte = [0; 1];
        far.write_all(b"ab").await.unwrap();
        for expected in [b"a", b"b"] {
            stream.read_exact(&mut byte).await.unwrap();
            assert_eq!(&byte, expected);
            assert_eq!(calls.load(Ordering::Relaxed), 0);
        }
        let (read, ()) = tokio::join!(stream.read_exact(&mut byte), async {
            tokio::task::yield_now().await;
            assert_eq!(calls.load(Ordering::Relaxed), 1);
            far.write_all(b"c").await.unwrap();
        });
        read.unwrap();
        assert_eq!(calls.load(Ordering::Relaxed), 1);
    }
}
