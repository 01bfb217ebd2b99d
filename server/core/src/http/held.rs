//! The stream that HTTP is spoken on. From the moment that an upgrade is granted it keeps what is written: the response
//! that switches protocols leaves together with the first WebSocket frame, in one system call instead of two.

use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream that may keep what is written.
pub(super) struct Held<S, F> {
    stream: S,
    /// Is what is written from now on to be kept?
    is_holding: F,
    held: Vec<u8>,
}

impl<S, F: Fn() -> bool> Held<S, F> {
    /// Passes everything on while `is_holding` says no.
    pub(super) fn new(stream: S, is_holding: F) -> Self {
        Self {
            stream,
            is_holding,
            held: Vec::new(),
        }
    }

    /// The stream, and what was kept.
    pub(super) fn into_parts(self) -> (S, Vec<u8>) {
        (self.stream, self.held)
    }
}

impl<S: AsyncRead + Unpin, F: Unpin> AsyncRead for Held<S, F> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin, F: Fn() -> bool + Unpin> AsyncWrite for Held<S, F> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<Result<usize>> {
        if !(self.is_holding)() {
            return Pin::new(&mut self.stream).poll_write(cx, buf);
        }
        self.held.extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        if !(self.is_holding)() {
            return Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        }
        let before = self.held.len();
        for slice in slices {
            self.held.extend_from_slice(slice);
        }
        Poll::Ready(Ok(self.held.len() - before))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[tokio::test]
    async fn keeps_what_is_written_from_some_moment_on() {
        let holding = AtomicBool::new(false);
        let mut stream = Held::new(Vec::new(), || holding.load(Ordering::Relaxed));
        stream.write_all(b"through").await.unwrap();
        holding.store(true, Ordering::Relaxed);
        stream.write_all(b"ke").await.unwrap();
        let rest = [IoSlice::new(b"p"), IoSlice::new(b"t")];
        assert_eq!(stream.write_vectored(&rest).await.unwrap(), 2);
        stream.flush().await.unwrap();
        let (through, kept) = stream.into_parts();
        assert_eq!((&*through, &*kept), (&b"through"[..], &b"kept"[..]));
    }
}
