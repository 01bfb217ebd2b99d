//! Appends frames to a byte buffer.
//!
//! Writers gather frames in a `Vec<u8>` and send them with one write, so these functions only
//! append; they cannot fail. A server's frames are not masked; a client's are, each with a mask of
//! its own from [`Masks`]. Control frames longer than the protocol allows are cut.

use fastwebsockets::{OpCode, unmask};

use crate::MAX_CONTROL_PAYLOAD;

/// The key that the payload of one client frame is masked with.
pub type Mask = [u8; 4];

/// The longest frame head without a mask, in bytes.
pub const MAX_HEAD: usize = 10;

/// Appends a text message. `payload` must be UTF-8.
pub fn put_text(buf: &mut Vec<u8>, payload: &[u8]) {
    put_frame(buf, true, OpCode::Text, payload, None);
}

/// Appends a text message of a client. `payload` must be UTF-8.
pub fn put_text_masked(buf: &mut Vec<u8>, payload: &[u8], mask: Mask) {
    put_frame(buf, true, OpCode::Text, payload, Some(mask));
}

/// The head of an unmasked text message of `len` bytes: the array and how many bytes of it count.
/// For messages of which the payload is written apart, such as one shared by many connections.
#[must_use]
pub fn text_head(len: usize) -> ([u8; MAX_HEAD], usize) {
    head(true, OpCode::Text, len)
}

/// Appends a close frame. A reason over 123 bytes is cut at a character.
pub fn put_close(buf: &mut Vec<u8>, code: u16, reason: &str) {
    put_frame(buf, true, OpCode::Close, &close_payload(code, reason), None);
}

/// Appends a close frame of a client. A reason over 123 bytes is cut at a character.
pub fn put_close_masked(buf: &mut Vec<u8>, code: u16, reason: &str, mask: Mask) {
    put_frame(
        buf,
        true,
        OpCode::Close,
        &close_payload(code, reason),
        Some(mask),
    );
}

/// Appends the answer to a peer's close frame: its code (none if it had none), without a reason.
pub fn put_close_reply(buf: &mut Vec<u8>, code: Option<u16>, mask: Option<Mask>) {
    let code = code.map(u16::to_be_bytes);
    let payload = code.as_ref().map_or(&[][..], |code| code);
    put_frame(buf, true, OpCode::Close, payload, mask);
}

/// Appends the answer to a ping; `payload` is the ping's.
pub fn put_pong(buf: &mut Vec<u8>, payload: &[u8]) {
    put_frame(buf, true, OpCode::Pong, payload, None);
}

/// Appends a client's answer to a ping; `payload` is the ping's.
pub fn put_pong_masked(buf: &mut Vec<u8>, payload: &[u8], mask: Mask) {
    put_frame(buf, true, OpCode::Pong, payload, Some(mask));
}

/// Appends any one frame: what the functions above are made of, and what tests use to send
/// fragments and frames that break the protocol (only the length of control frames is enforced).
pub fn put_frame(buf: &mut Vec<u8>, fin: bool, opcode: OpCode, payload: &[u8], mask: Option<Mask>) {
    let payload = match opcode {
        OpCode::Close | OpCode::Ping | OpCode::Pong => {
            &payload[..payload.len().min(MAX_CONTROL_PAYLOAD)]
        }
        OpCode::Text | OpCode::Binary | OpCode::Continuation => payload,
    };
    let (mut head, len) = head(fin, opcode, payload.len());
    buf.reserve(len + size_of::<Mask>() + payload.len());
    if mask.is_some() {
        head[1] |= 0x80;
    }
    buf.extend_from_slice(&head[..len]);
    if let Some(mask) = mask {
        buf.extend_from_slice(&mask);
    }
    let start = buf.len();
    buf.extend_from_slice(payload);
    if let Some(mask) = mask {
        unmask(&mut buf[start..], mask);
    }
}

fn head(fin: bool, opcode: OpCode, len: usize) -> ([u8; MAX_HEAD], usize) {
    let mut head = [0; MAX_HEAD];
    head[0] = u8::from(fin) << 7 | opcode as u8;
    let size = if let Ok(short) = u8::try_from(len)
        && short < 126
    {
        head[1] = short;
        2
    } else if let Ok(medium) = u16::try_from(len) {
        head[1] = 126;
        head[2..4].copy_from_slice(&medium.to_be_bytes());
        4
    } else {
        head[1] = 127;
        head[2..].copy_from_slice(&(len as u64).to_be_bytes());
        MAX_HEAD
    };
    (head, size)
}

fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    let mut end = reason.len().min(MAX_CONTROL_PAYLOAD - size_of_val(&code));
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let mut payload = code.to_be_bytes().to_vec();
    payload.extend_from_slice(&reason.as_bytes()[..end]);
    payload
}

/// Masks for one connection, from the operating system's random numbers, fetched in batches
/// because a system call for each frame would cost more than the frame.
#[derive(Clone)]
pub struct Masks {
    pool: [u8; Self::BATCH],
    used: usize,
}

impl Masks {
    const BATCH: usize = 256;

    /// An empty batch; the first mask fetches.
    #[must_use]
    pub fn new() -> Self {
        Self {
            pool: [0; Self::BATCH],
            used: Self::BATCH,
        }
    }

    /// The mask for the next frame.
    ///
    /// # Errors
    /// When the operating system has no random numbers to give.
    pub fn next_mask(&mut self) -> std::io::Result<Mask> {
        if let Some(mask) = self.pool[self.used..].first_chunk() {
            self.used += mask.len();
            return Ok(*mask);
        }
        getrandom::fill(&mut self.pool).map_err(std::io::Error::other)?;
        let mask = Mask::default();
        self.used = mask.len();
        Ok(self.pool.first_chunk().copied().unwrap_or(mask))
    }
}

impl Default for Masks {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Masks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Masks")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use fastwebsockets::{Frame, Payload};

    use super::*;

    /// The parser's own writer is the judge of ours.
    fn by_library(fin: bool, opcode: OpCode, payload: &[u8], mask: Option<Mask>) -> Vec<u8> {
        let mut masked = payload.to_vec();
        if let Some(mask) = mask {
            unmask(&mut masked, mask);
        }
        let mut scratch = Vec::new();
        Frame::new(fin, opcode, mask, Payload::Owned(masked))
            .write(&mut scratch)
            .to_vec()
    }

    #[test]
    fn frames_are_those_of_the_library() {
        for len in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
            let payload: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
            for opcode in [OpCode::Text, OpCode::Binary, OpCode::Continuation] {
                for (fin, mask) in [(true, None), (false, None), (true, Some([1, 2, 3, 250]))] {
                    let mut buf = b"before".to_vec();
                    put_frame(&mut buf, fin, opcode, &payload, mask);
                    assert_eq!(&buf[..6], b"before");
                    assert_eq!(
                        buf[6..],
                        by_library(fin, opcode, &payload, mask),
                        "{len} bytes of {opcode:?}, fin {fin}, mask {mask:?}"
                    );
                }
            }
            let (head, size) = text_head(len);
            let mut whole = Vec::new();
            put_text(&mut whole, &payload);
            assert_eq!(head[..size], whole[..size]);
            assert_eq!(payload, whole[size..]);
        }
    }

    #[test]
    fn control_frames_stay_within_their_size() {
        fn check(expected: &[u8], put: impl FnOnce(&mut Vec<u8>)) {
            let mut buf = Vec::new();
            put(&mut buf);
            assert_eq!(buf, expected);
        }
        let long = "x".repeat(124);
        // 122 bytes and a character of two: it does not fit into 123.
        let wide = format!("{}é", "x".repeat(122));
        let with = |head: &[u8], tail: &str| [head, tail.as_bytes()].concat();
        let close = OpCode::Close as u8 | 0x80;
        check(&[close, 2, 3, 232], |b| put_close(b, 1000, ""));
        check(&with(&[close, 125, 3, 240], &long[..123]), |b| {
            put_close(b, 1008, &long[..123]);
        });
        check(&with(&[close, 125, 3, 240], &long[..123]), |b| {
            put_close(b, 1008, &long);
        });
        check(&with(&[close, 124, 3, 240], &wide[..122]), |b| {
            put_close(b, 1008, &wide);
        });
        check(&[close, 0x82, 1, 1, 1, 1, 2, 233], |b| {
            put_close_masked(b, 1000, "", [1; 4]);
        });
        check(&[close, 0], |b| put_close_reply(b, None, None));
        check(&[close, 2, 3, 234], |b| {
            put_close_reply(b, Some(1002), None);
        });
        let echoed = "x".repeat(125);
        check(&with(&[0x8a, 125], &echoed), |b| {
            put_pong(b, echoed.as_bytes());
        });
        check(&with(&[0x8a, 125], &echoed), |b| {
            put_pong(b, "x".repeat(126).as_bytes());
        });
        check(&[0x8a, 0x81, 1, 1, 1, 1, b'x' ^ 1], |b| {
            put_pong_masked(b, b"x", [1; 4]);
        });
        check(&[0x81, 0x81, 1, 1, 1, 1, b'x' ^ 1], |b| {
            put_text_masked(b, b"x", [1; 4]);
        });
    }

    #[test]
    fn masks_do_not_repeat_within_or_across_batches() {
        let mut masks = Masks::new();
        let many = Masks::BATCH / size_of::<Mask>() * 3;
        let seen: HashSet<Mask> = (0..many).map(|_| masks.next_mask().unwrap()).collect();
        // A repeat by chance among 192 of 2^32 happens once in 230,000 runs, two never.
        assert!(seen.len() >= many - 1);
    }
}
