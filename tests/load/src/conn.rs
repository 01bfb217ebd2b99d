//! A client connection of the generator, which costs as little as it can: frames are made before, a burst is one
//! write, and of what comes back only the start of each frame is looked at.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail};
use openclaw_client::{Clock, DeviceIdentity};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::frames;

/// First room for what is read; enough for a burst of replies.
const READ_ROOM: usize = 16 * 1024;

/// How every event begins. Responses, and what echo servers send back, do not.
const EVENT: &[u8] = br#"{"type":"event""#;

/// Marks a response that refuses, near its start.
const REFUSED: &[u8] = br#""ok":false"#;

/// Bytes of a response in which [`REFUSED`] is looked for: ids are short here.
const REFUSED_WITHIN: usize = 64;

/// One connection, upgraded.
#[derive(Debug)]
pub(crate) struct Conn {
    stream: TcpStream,
    /// Read, from `start` on not yet looked at.
    buffer: Vec<u8>,
    start: usize,
}

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Event,
    Reply,
    Refusal,
    Close,
    Control,
}

impl Conn {
    /// Connects and upgrades.
    pub(crate) async fn open(address: SocketAddr) -> Result<Self> {
        Self::upgrade(
            TcpStream::connect(address)
                .await
                .context("cannot connect")?,
        )
        .await
    }

    /// As [`Self::open`] with a small receive buffer, so that the kernel does not take what the client leaves lying.
    pub(crate) async fn open_narrow(address: SocketAddr, receive_buffer: u32) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(receive_buffer)?;
        Self::upgrade(socket.connect(address).await.context("cannot connect")?).await
    }

    async fn upgrade(stream: TcpStream) -> Result<Self> {
        stream.set_nodelay(true)?;
        let mut conn = Self {
            stream,
            buffer: Vec::new(),
            start: 0,
        };
        conn.send(frames::UPGRADE).await?;
        loop {
            conn.read().await.context("no answer to the upgrade")?;
            if let Some(end) = find(&conn.buffer, b"\r\n\r\n") {
                if !conn.buffer.starts_with(b"HTTP/1.1 101 ") {
                    bail!("no upgrade: {}", String::from_utf8_lossy(&conn.buffer));
                }
                conn.start = end + 4;
                return Ok(conn);
            }
        }
    }

    /// Lets the gateway accept this connection: challenge, connect, hello-ok.
    pub(crate) async fn shake_hands(
        &mut self,
        device: Option<(&DeviceIdentity, &Clock)>,
    ) -> Result<()> {
        let challenge: Value = self.parsed().await?;
        let nonce = challenge["payload"]["nonce"]
            .as_str()
            .context("no nonce in the challenge")?;
        let connect = frames::masked([frames::connect(device, nonce)]);
        self.send(&connect).await?;
        self.replies(1).await.context("connect was not accepted")
    }

    /// Opens a connection that the gateway accepts by its token.
    pub(crate) async fn to_gateway(address: SocketAddr) -> Result<Self> {
        let mut conn = Self::open(address).await?;
        conn.shake_hands(None).await?;
        Ok(conn)
    }

    /// Writes frames.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).await.context("cannot write")
    }

    /// Reads until `count` responses have come; events between them do not count.
    pub(crate) async fn replies(&mut self, count: usize) -> Result<()> {
        self.count(Kind::Reply, count).await
    }

    /// Reads until at least one event has come, and returns how many did.
    pub(crate) async fn events(&mut self) -> Result<u64> {
        let mut seen = 0;
        loop {
            while let Some(kind) = self.next_kind()? {
                seen += u64::from(kind == Kind::Event);
            }
            if seen > 0 {
                return Ok(seen);
            }
            self.read().await?;
        }
    }

    /// Sends a close frame and waits for the end of the connection.
    pub(crate) async fn close(mut self) -> Result<()> {
        self.send(&frames::close()).await?;
        loop {
            self.buffer.clear();
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(());
            }
        }
    }

    /// Reads what is there and forgets it, for connections that are idle from then on.
    pub(crate) fn idle(self) -> TcpStream {
        self.stream
    }

    async fn count(&mut self, wanted: Kind, count: usize) -> Result<()> {
        let mut seen = 0;
        loop {
            while let Some(kind) = self.next_kind()? {
                seen += usize::from(kind == wanted);
                if seen == count {
                    return Ok(());
                }
            }
            self.read().await?;
        }
    }

    /// The kind of the next frame, `None` when it is not all there.
    fn next_kind(&mut self) -> Result<Option<Kind>> {
        let Some((opcode, payload)) = self.next_frame() else {
            return Ok(None);
        };
        let kind = kind_of(opcode, payload);
        if matches!(kind, Kind::Refusal | Kind::Close) {
            let text = String::from_utf8_lossy(&payload[..payload.len().min(400)]);
            bail!("unexpected {kind:?}: {text}");
        }
        Ok(Some(kind))
    }

    /// Opcode and payload of the next frame, `None` when it is not all there.
    fn next_frame(&mut self) -> Option<(u8, &[u8])> {
        let frame = split_frame(&self.buffer[self.start..])?;
        let (opcode, range) = (frame.opcode, frame.payload);
        let payload = self.start + range.start..self.start + range.end;
        self.start = payload.end;
        Some((opcode, &self.buffer[payload]))
    }

    async fn parsed(&mut self) -> Result<Value> {
        loop {
            if let Some((_, payload)) = self.next_frame() {
                return serde_json::from_slice(payload).context("not JSON");
            }
            self.read().await?;
        }
    }

    /// Waits for more bytes.
    async fn read(&mut self) -> Result<()> {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.reserve(READ_ROOM);
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            bail!("the server closed the connection");
        }
        Ok(())
    }
}

/// A frame at the start of some bytes.
#[derive(Debug, PartialEq, Eq)]
struct Split {
    opcode: u8,
    payload: std::ops::Range<usize>,
}

/// Splits off an unmasked frame; `None` when it is not all there.
fn split_frame(bytes: &[u8]) -> Option<Split> {
    let [first, second, ..] = *bytes else {
        return None;
    };
    let (head, len): (usize, usize) = match second & 0x7f {
        126 => {
            let len = bytes.get(2..)?.first_chunk().copied()?;
            (4, usize::from(u16::from_be_bytes(len)))
        }
        127 => {
            let len = bytes.get(2..)?.first_chunk().copied()?;
            (10, usize::try_from(u64::from_be_bytes(len)).ok()?)
        }
        len => (2, usize::from(len)),
    };
    let payload = head..head.checked_add(len)?;
    (payload.end <= bytes.len()).then_some(Split {
        opcode: first & 0x0f,
        payload,
    })
}

fn kind_of(opcode: u8, payload: &[u8]) -> Kind {
    match opcode {
        8 => Kind::Close,
        9 | 10 => Kind::Control,
        _ if payload.starts_with(EVENT) => Kind::Event,
        _ if find(&payload[..payload.len().min(REFUSED_WITHIN)], REFUSED).is_some() => {
            Kind::Refusal
        }
        _ => Kind::Reply,
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use openclaw_websocket::encode;

    use super::*;

    #[test]
    fn frames_are_split_once_they_are_whole() {
        for len in [0, 1, 125, 126, 65_535, 65_536] {
            let mut bytes = Vec::new();
            encode::put_text(&mut bytes, &vec![b'x'; len]);
            let whole = bytes.len();
            bytes.extend_from_slice(b"next");
            let expected = Split {
                opcode: 1,
                payload: whole - len..whole,
            };
            assert_eq!(split_frame(&bytes), Some(expected), "{len}");
            for cut in [0, 1, whole - 1] {
                assert_eq!(split_frame(&bytes[..cut]), None, "{cut} of {len}");
            }
        }
    }

    #[test]
    fn frames_are_told_apart_by_their_start() {
        for (opcode, payload, expected) in [
            (1, r#"{"type":"event","event":"tick"}"#, Kind::Event),
            (1, r#"{"type":"res","id":"1","ok":true}"#, Kind::Reply),
            (1, r#"{"type":"res","id":"1","ok":false}"#, Kind::Refusal),
            (1, r#"{"type":"req","id":"1","method":"x"}"#, Kind::Reply),
            (8, "", Kind::Close),
            (9, "", Kind::Control),
        ] {
            assert_eq!(kind_of(opcode, payload.as_bytes()), expected, "{payload}");
        }
    }
}
