//! The write side of a socket as the outbox needs it.

use std::io::{ErrorKind, IoSlice, Result};
use std::task::{Context, Poll};

use crate::net::WriteSide;

/// Takes bytes without waiting, from any thread.
pub trait Wire: Send + Sync + 'static {
    /// Writes what fits of `slices`, which hold at least one byte, and says how much that was.
    ///
    /// # Errors
    /// `WouldBlock` when nothing fits at the moment; anything else means that the connection is lost.
    fn try_write(&self, slices: &[IoSlice<'_>]) -> Result<usize>;

    /// As [`Self::try_write`] when the end of the connection follows at once. The bytes may wait for that, so that both
    /// leave in one packet.
    ///
    /// # Errors
    /// As for [`Self::try_write`].
    fn try_write_last(&self, slices: &[IoSlice<'_>]) -> Result<usize>;

    /// Waits until something may fit again. Only one task can wait.
    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<Result<()>>;

    /// Tells the peer that nothing follows.
    fn end(&self);
}

/// The write side of a socket.
pub struct Socket(Option<WriteSide>);

impl Socket {
    /// Takes the write side.
    #[must_use]
    pub fn new(half: WriteSide) -> Self {
        Self(Some(half))
    }

    fn half(&self) -> Result<&WriteSide> {
        self.0
            .as_ref()
            .ok_or_else(|| ErrorKind::NotConnected.into())
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Dropped as it is, the half would shut down its direction first, which closing the socket does as well.
        if let Some(half) = self.0.take() {
            half.forget();
        }
    }
}

impl Wire for Socket {
    fn try_write(&self, slices: &[IoSlice<'_>]) -> Result<usize> {
        self.half()?.try_write(slices)
    }

    fn try_write_last(&self, slices: &[IoSlice<'_>]) -> Result<usize> {
        self.half()?.try_write_last(slices)
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.half()?.poll_write_ready(cx)
    }

    fn end(&self) {
        if let Ok(half) = self.half() {
            half.end();
        }
    }
}

#[cfg(test)]
pub(crate) mod fake {
    //! A socket of which a test decides how much it takes.

    use std::io::{ErrorKind, IoSlice, Result};
    use std::sync::{Arc, Mutex};
    use std::task::{Context, Poll};

    use super::Wire;

    /// What has been written and how much more may be.
    #[derive(Debug, Default)]
    pub(crate) struct Socket {
        /// Bytes written so far.
        pub(crate) written: Vec<u8>,
        /// Bytes that still fit.
        pub(crate) room: usize,
        /// Calls that wrote something.
        pub(crate) writes: usize,
        /// Of these, calls that said that the end follows.
        pub(crate) last_writes: usize,
        /// Fails every write from now on.
        pub(crate) broken: bool,
    }

    /// A handle to a [`Socket`]; clones share it.
    #[derive(Debug, Clone, Default)]
    pub(crate) struct FakeWire(pub(crate) Arc<Mutex<Socket>>);

    impl FakeWire {
        /// A socket with room for `room` bytes.
        pub(crate) fn with_room(room: usize) -> Self {
            let wire = Self::default();
            wire.make_room(room);
            wire
        }

        /// Lets `more` bytes through.
        pub(crate) fn make_room(&self, more: usize) {
            let mut socket = self.0.lock().unwrap();
            socket.room = socket.room.saturating_add(more);
        }

        /// Everything written, and forgets it.
        pub(crate) fn take(&self) -> Vec<u8> {
            std::mem::take(&mut self.0.lock().unwrap().written)
        }

        /// The texts written in whole frames, and forgets them.
        pub(crate) fn take_texts(&self) -> Vec<String> {
            texts(&self.take())
        }
    }

    impl Wire for FakeWire {
        fn try_write(&self, slices: &[IoSlice<'_>]) -> Result<usize> {
            let mut socket = self.0.lock().unwrap();
            if socket.broken {
                return Err(ErrorKind::ConnectionReset.into());
            }
            let before = socket.room;
            for slice in slices {
                let n = slice.len().min(socket.room);
                socket.room -= n;
                socket.written.extend_from_slice(&slice[..n]);
            }
            match before - socket.room {
                0 => Err(ErrorKind::WouldBlock.into()),
                n => {
                    socket.writes += 1;
                    Ok(n)
                }
            }
        }

        fn try_write_last(&self, slices: &[IoSlice<'_>]) -> Result<usize> {
            let written = self.try_write(slices)?;
            self.0.lock().unwrap().last_writes += 1;
            Ok(written)
        }

        fn poll_writable(&self, _: &mut Context<'_>) -> Poll<Result<()>> {
            Poll::Pending
        }

        fn end(&self) {}
    }

    /// The payloads of a run of unmasked frames as text; of a close frame, the code and the reason.
    pub(crate) fn texts(mut bytes: &[u8]) -> Vec<String> {
        let mut out = Vec::new();
        while !bytes.is_empty() {
            let (head, len) = match bytes[1] {
                126 => (4, usize::from(u16::from_be_bytes([bytes[2], bytes[3]]))),
                127 => {
                    let len = u64::from_be_bytes(bytes[2..10].try_into().unwrap());
                    (10, usize::try_from(len).unwrap())
                }
                short => (2, usize::from(short)),
            };
            let payload = &bytes[head..head + len];
            out.push(match bytes[0] & 0x0f {
                8 => format!(
                    "close {} {}",
                    u16::from_be_bytes([payload[0], payload[1]]),
                    String::from_utf8_lossy(&payload[2..])
                ),
                _ => String::from_utf8_lossy(payload).into_owned(),
            });
            bytes = &bytes[head + len..];
        }
        out
    }
}
