//! What a connection comes over: TCP, or the Unix socket of this host (`gateway.socket`); and how strangers are counted.
//!
//! `gateway` accepts a [`Stream`] and says which [`Ends`] it has; `http` speaks on it, `connection` and `ws` take its two
//! sides after the upgrade. An enum rather than a boxed trait: nothing is added to a read or a write.

use std::fmt;
use std::io::{IoSlice, Result};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use rustix::net::Shutdown;
#[cfg(target_os = "linux")]
use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};
#[cfg(target_os = "linux")]
use tokio::io::Interest;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream, tcp, unix};

/// A connected socket.
#[derive(Debug)]
pub enum Stream {
    /// From anywhere.
    Tcp(TcpStream),
    /// From a process of this host, whose user the system vouches for.
    Unix(UnixStream),
}

/// The side that is read.
#[derive(Debug)]
pub enum ReadSide {
    /// Of a TCP socket.
    Tcp(tcp::OwnedReadHalf),
    /// Of a Unix socket.
    Unix(unix::OwnedReadHalf),
}

/// The side that is written.
#[derive(Debug)]
pub enum WriteSide {
    /// Of a TCP socket.
    Tcp(tcp::OwnedWriteHalf),
    /// Of a Unix socket.
    Unix(unix::OwnedWriteHalf),
}

/// Both ends of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// Two addresses.
    Tcp {
        /// The other end.
        peer: SocketAddr,
        /// This end.
        local: SocketAddr,
    },
    /// The Unix socket; the other end is a process of this user or of root.
    Unix,
}

impl Ends {
    /// Address of the other end, where it has one.
    #[must_use]
    pub fn peer(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp { peer, .. } => Some(peer.ip()),
            Self::Unix => None,
        }
    }
}

impl fmt::Display for Ends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { peer, .. } => peer.fmt(f),
            Self::Unix => f.write_str("the Unix socket"),
        }
    }
}

/// An address as strangers are counted: IPv4 as it is, IPv6 by its first 64 bits, since whoever has one address of such
/// a network has all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network(IpAddr);

impl Network {
    /// The network of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (!0 << 64)).into(),
            v4 => v4,
        })
    }
}

/// The same of whichever socket it is.
macro_rules! each {
    ($side:expr, $socket:ident => $same:expr) => {
        match $side {
            Self::Tcp($socket) => $same,
            Self::Unix($socket) => $same,
        }
    };
}

impl Stream {
    /// The two sides.
    #[must_use]
    pub fn into_split(self) -> (ReadSide, WriteSide) {
        match self {
            Self::Tcp(stream) => {
                let (read, write) = stream.into_split();
                (ReadSide::Tcp(read), WriteSide::Tcp(write))
            }
            Self::Unix(stream) => {
                let (read, write) = stream.into_split();
                (ReadSide::Unix(read), WriteSide::Unix(write))
            }
        }
    }
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        Self::Tcp(stream)
    }
}

impl ReadSide {
    /// Waits until there is something to read. Only one task can wait.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        each!(self, half => half.as_ref().poll_read_ready(cx))
    }
}

impl WriteSide {
    /// Writes what fits, without waiting.
    ///
    /// # Errors
    /// `WouldBlock` when nothing fits; anything else means that the connection is lost.
    pub fn try_write(&self, slices: &[IoSlice<'_>]) -> Result<usize> {
        match slices {
            [one] => each!(self, half => half.try_write(one)),
            many => each!(self, half => half.try_write_vectored(many)),
        }
    }

    /// As [`Self::try_write`] when the end follows at once: Linux keeps the bytes for it, a fifth of a second at most.
    ///
    /// # Errors
    /// As for [`Self::try_write`].
    pub fn try_write_last(&self, slices: &[IoSlice<'_>]) -> Result<usize> {
        #[cfg(target_os = "linux")]
        if let Self::Tcp(half) = self {
            let (socket, flags) = (half.as_ref(), SendFlags::MORE | SendFlags::NOSIGNAL);
            let send = || {
                Ok(sendmsg(
                    socket,
                    slices,
                    &mut SendAncillaryBuffer::default(),
                    flags,
                )?)
            };
            return socket.try_io(Interest::WRITABLE, send);
        }
        self.try_write(slices)
    }

    /// Waits until something may fit. Only one task can wait.
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        each!(self, half => half.as_ref().poll_write_ready(cx))
    }

    /// Tells the peer that nothing follows.
    pub fn end(&self) {
        // The peer may have closed first.
        let _ = each!(self, half => rustix::net::shutdown(half.as_ref(), Shutdown::Write));
    }

    /// Lets go of this side without shutting its direction down.
    pub fn forget(self) {
        each!(self, half => half.forget());
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncRead for ReadSide {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        each!(self.get_mut(), half => Pin::new(half).poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        each!(self, stream => stream.is_write_vectored())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use tokio::net::TcpListener;

    use super::*;

    /// Both ends of a socket: ours, and the peer's, which does not wait.
    async fn tcp() -> (Stream, std::net::TcpStream) {
        let listener = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (ours, theirs) = tokio::join!(listener.accept(), TcpStream::connect(address));
        (ours.unwrap().0.into(), theirs.unwrap().into_std().unwrap())
    }

    fn unix() -> (Stream, std::os::unix::net::UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Stream::Unix(ours), theirs.into_std().unwrap())
    }

    fn last_words(stream: Stream) -> (ReadSide, WriteSide) {
        let (read, write) = stream.into_split();
        let slices = [IoSlice::new(b"good"), IoSlice::new(b"bye")];
        assert_eq!(write.try_write_last(&slices).unwrap(), 7);
        (read, write)
    }

    #[tokio::test]
    async fn the_last_words_come_before_the_end() {
        for is_closed in [false, true] {
            let ((ours_tcp, tcp), (ours_unix, unix)) = (tcp().await, unix());
            for (ours, theirs) in [
                (ours_tcp, Box::new(tcp) as Box<dyn Read>),
                (ours_unix, Box::new(unix)),
            ] {
                let (read, write) = last_words(ours);
                let _held = if is_closed {
                    drop((read, write));
                    None
                } else {
                    write.end();
                    Some((read, write))
                };
                assert_eq!(read_to_end(theirs), b"goodbye", "closed: {is_closed}");
            }
        }
    }

    /// Loopback delivers while it sends, so nothing that was sent is ever waited for.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_last_words_wait_for_the_end() {
        // Several tries: the kernel sends them without an end when that takes a fifth of a second.
        let mut waited = false;
        for _ in 0..20 {
            let (ours, theirs) = tcp().await;
            let sides = last_words(ours);
            waited |= theirs.peek(&mut [0; 8]).is_err();
            drop(sides);
        }
        assert!(waited);
    }

    fn read_to_end(mut from: Box<dyn Read>) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            match from.read_to_end(&mut all) {
                Ok(_) => return all,
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn networks() {
        let same =
            |a: &str, b: &str| Network::of(a.parse().unwrap()) == Network::of(b.parse().unwrap());
        for (a, b, expected) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", true),
            ("2001:db8:0:1::1", "2001:db8:0:2::1", false),
        ] {
            assert_eq!(same(a, b), expected, "{a} {b}");
        }
    }
}
