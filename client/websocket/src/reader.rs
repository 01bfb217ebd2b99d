//! Assembles messages from frames. Used by every side that reads a WebSocket.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use fastwebsockets::{Frame, OpCode, Payload, Role, WebSocketRead};
use tokio::io::AsyncRead;

use crate::MAX_CONTROL_PAYLOAD;
use crate::error::{ReadError, Violation};
use crate::lent::{Home, Lent};

/// A frame with a larger payload makes the frame parser grow its buffer (8 KiB); the buffer is
/// replaced once it is empty again, so that a connection does not stay as large as its largest
/// message. Below this size a replacement would cost more than it saves.
const KEEP_BUFFER_UP_TO: usize = 16 * 1024;

/// A parser may serve another stream until it has handed out this much of its buffer: with less than the other half
/// left, the next reads would be small, and each costs more than a new parser.
const REUSE_UP_TO: u64 = 4 * 1024;

/// What a peer sent.
///
/// Payloads of unfragmented messages are views into the read buffer, not copies: keep them only
/// as long as they are worked on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// A whole text message; its UTF-8 has been checked.
    Text(ByteString),
    /// A whole binary message.
    Binary(Bytes),
    /// A ping; the reader's owner answers it with a pong of the same payload.
    Ping(Bytes),
    /// A pong, asked for or not.
    Pong(Bytes),
    /// The peer closes. It is the last message; the reader's owner answers with a close frame.
    Close {
        /// The close code, or `None` when the frame had no payload (reported as 1005 elsewhere).
        code: Option<u16>,
        /// The reason, empty when none was given.
        reason: ByteString,
    },
}

/// Reads messages from the read half of a connection, after the upgrade.
///
/// Sizes are bounded by one limit over all fragments of a message; it can be changed between
/// messages with [`set_limit`](Self::set_limit). Memory is the frame parser's buffer (8 KiB while
/// idle) plus, while a fragmented message is coming in, its fragments: at most twice the limit.
///
/// [`next`](Self::next) is **not cancel safe**. One loop owns the reader and awaits `next` to the
/// end; it never stands in a `select!`. A reader whose `next` was dropped half-way answers
/// [`ReadError::Ended`] from then on, instead of taking payload bytes for a frame header.
pub struct MessageReader<R> {
    parser: Parser<R>,
    peer_masks: bool,
    limit: usize,
    partial: Option<Partial>,
    grown: bool,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Between two messages.
    Ready,
    /// A message is being read; if nobody reads it any more, that was dropped half-way.
    Reading,
    /// The peer has closed; nothing follows.
    Closed,
    /// What came was no message; what is in the parser cannot be told.
    Failed,
}

/// A frame parser, and the way to the stream that it reads.
struct Parser<R> {
    frames: WebSocketRead<Lent<R>>,
    home: Arc<Home<R>>,
    /// Bytes of all frames so far, counted with the shortest possible heads. Equal to what the
    /// parser was fed only when its buffer is empty.
    consumed: u64,
}

/// The parser of a reader that has been taken apart, for a reader of another stream. Making one takes five
/// allocations, one of them 8 KiB: as much as reading some messages.
pub struct Spare<R>(Parser<R>);

impl<R> std::fmt::Debug for Spare<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spare").finish_non_exhaustive()
    }
}

/// Counts the bytes that a reader has taken from its stream, while that reader is busy.
pub struct Meter<R>(Arc<Home<R>>, u64);

impl<R> Meter<R> {
    /// Bytes taken since the reader was made.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.0.fed() - self.1
    }
}

impl<R> std::fmt::Debug for Meter<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Meter").field(&self.taken()).finish()
    }
}

impl<R> std::fmt::Debug for MessageReader<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MessageReader")
            .field("peer_masks", &self.peer_masks)
            .field("limit", &self.limit)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// A fragmented message of which the end has not come yet.
struct Partial {
    is_text: bool,
    data: BytesMut,
}

impl<R: AsyncRead + Unpin> MessageReader<R> {
    /// A reader for the server's end: frames must be masked. `limit` is the largest message in
    /// bytes that passes.
    #[must_use]
    pub fn server(stream: R, limit: usize) -> Self {
        Self::new(Parser::new(stream), limit, true)
    }

    /// As [`server`](Self::server), with a parser that has served another stream.
    #[must_use]
    pub fn server_with(spare: Spare<R>, stream: R, limit: usize) -> Self {
        spare.0.home.put(stream);
        Self::new(spare.0, limit, true)
    }

    /// A reader for the client's end: frames must not be masked. `limit` is the largest message
    /// in bytes that passes.
    #[must_use]
    pub fn client(stream: R, limit: usize) -> Self {
        Self::new(Parser::new(stream), limit, false)
    }

    fn new(parser: Parser<R>, limit: usize, peer_masks: bool) -> Self {
        Self {
            parser,
            peer_masks,
            limit,
            partial: None,
            grown: false,
            state: State::Ready,
        }
    }

    /// What counts the bytes from now on.
    #[must_use]
    pub fn meter(&self) -> Meter<R> {
        let home = Arc::clone(&self.parser.home);
        let before = home.fed();
        Meter(home, before)
    }

    /// Gives the stream back, and the parser where it holds nothing of this stream and has buffer enough for another.
    /// That may be in the middle of [`next`](Self::next), while nothing of a message has come.
    ///
    /// Bytes of messages that have not been returned are lost with a parser that does hold some. The stream is `None`
    /// only for a reader that panicked.
    #[must_use]
    pub fn into_parts(self) -> (Option<R>, Option<Spare<R>>) {
        let Self {
            parser,
            partial,
            state,
            ..
        } = self;
        let stream = parser.home.take();
        let is_fresh = state != State::Failed && partial.is_none() && parser.is_empty();
        let spare = is_fresh && parser.consumed <= REUSE_UP_TO;
        (stream, spare.then_some(Spare(parser)))
    }

    /// Sets the largest message in bytes that passes, from the next frame on.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Waits for the next message or control frame. Not cancel safe, see the type.
    ///
    /// # Errors
    /// Any [`ReadError`] is final; [`ReadError::close_code`] says what to tell the peer.
    pub async fn next(&mut self) -> Result<Incoming, ReadError> {
        if self.state != State::Ready {
            return Err(ReadError::Ended);
        }
        self.state = State::Reading;
        let outcome = self.assemble().await;
        self.state = match outcome {
            Err(_) => State::Failed,
            Ok(Incoming::Close { .. }) => State::Closed,
            Ok(_) => State::Ready,
        };
        outcome
    }

    async fn assemble(&mut self) -> Result<Incoming, ReadError> {
        loop {
            let Piece {
                fin,
                opcode,
                payload,
                ..
            } = self.next_frame().await?;
            match opcode {
                OpCode::Ping => return Ok(Incoming::Ping(payload.freeze())),
                OpCode::Pong => return Ok(Incoming::Pong(payload.freeze())),
                OpCode::Close => return close(payload.freeze()),
                OpCode::Text | OpCode::Binary => {
                    if self.partial.is_some() {
                        return Err(ReadError::Protocol(Violation::InterruptedMessage));
                    }
                    let start = Partial {
                        is_text: opcode == OpCode::Text,
                        data: payload,
                    };
                    if fin {
                        return start.finish();
                    }
                    self.partial = Some(start);
                }
                OpCode::Continuation => {
                    let Some(mut partial) = self.partial.take() else {
                        return Err(ReadError::Protocol(Violation::StrayContinuation));
                    };
                    partial.data.extend_from_slice(&payload);
                    if fin {
                        return partial.finish();
                    }
                    self.partial = Some(partial);
                }
            }
        }
    }

    /// One frame, unmasked and within its limits.
    async fn next_frame(&mut self) -> Result<Piece, ReadError> {
        self.shrink();
        let limit = self.limit;
        // Refuses a frame by its head alone. The parser's own limit is exclusive, and a control
        // frame between the fragments of a full message is no part of it.
        self.parser
            .frames
            .set_max_message_size(self.room().max(MAX_CONTROL_PAYLOAD).saturating_add(1));
        let frame = self
            .parser
            .frames
            .read_frame(&mut |_| std::future::ready(Ok::<(), std::convert::Infallible>(())))
            .await
            .map_err(|e| ReadError::from_frames(e, limit))?;
        let piece = Piece::new(frame);
        self.check(&piece)?;
        Ok(piece)
    }

    /// Judges what the parser lets through, and keeps the count of consumed bytes.
    fn check(&mut self, piece: &Piece) -> Result<(), ReadError> {
        let len = piece.payload.len();
        self.parser.consumed += (piece.head_len + len) as u64;
        self.grown |= len > KEEP_BUFFER_UP_TO;

        if piece.masked != self.peer_masks {
            return Err(ReadError::Protocol(if piece.masked {
                Violation::Masked
            } else {
                Violation::Unmasked
            }));
        }
        match piece.opcode {
            OpCode::Ping | OpCode::Pong | OpCode::Close if len > MAX_CONTROL_PAYLOAD => {
                Err(ReadError::Protocol(Violation::LongControlFrame))
            }
            OpCode::Text | OpCode::Binary | OpCode::Continuation if len > self.room() => {
                Err(ReadError::TooBig { limit: self.limit })
            }
            _ => Ok(()),
        }
    }

    /// Bytes that the message coming in may still have.
    fn room(&self) -> usize {
        let assembled = self.partial.as_ref().map_or(0, |p| p.data.len());
        self.limit.saturating_sub(assembled)
    }

    /// Replaces a parser of which the buffer has grown, when nothing is in that buffer.
    fn shrink(&mut self) {
        if self.grown && self.parser.is_empty() {
            self.parser.frames = frames(&self.parser.home);
            self.grown = false;
        }
    }
}

/// One frame, unmasked.
struct Piece {
    fin: bool,
    opcode: OpCode,
    payload: BytesMut,
    /// Whether the frame came masked.
    masked: bool,
    /// Bytes of the shortest head that this frame can have.
    head_len: usize,
}

impl Piece {
    fn new(mut frame: Frame<'_>) -> Self {
        // The mask is private to the frame, but the head shows it.
        let mut head = [0; 16];
        let head_len = frame.fmt_head(&mut head);
        Self {
            fin: frame.fin,
            opcode: frame.opcode,
            masked: head[1] & 0x80 != 0,
            head_len,
            payload: match frame.payload {
                Payload::Bytes(bytes) => bytes,
                // The parser makes no other kind.
                other => BytesMut::from(&*other),
            },
        }
    }
}

impl Partial {
    fn finish(self) -> Result<Incoming, ReadError> {
        let data = self.data.freeze();
        if self.is_text {
            // The parser has checked unfragmented text as well, but keeps the proof to itself.
            let text = ByteString::try_from(data).map_err(|_| ReadError::NotUtf8)?;
            Ok(Incoming::Text(text))
        } else {
            Ok(Incoming::Binary(data))
        }
    }
}

impl<R: AsyncRead + Unpin> Parser<R> {
    fn new(stream: R) -> Self {
        let home = Home::new(stream);
        Self {
            frames: frames(&home),
            home,
            consumed: 0,
        }
    }
}

impl<R> Parser<R> {
    /// Is nothing in its buffer?
    fn is_empty(&self) -> bool {
        self.home.fed() == self.consumed
    }
}

/// A parser that leaves pings and closes to the reader's owner. It unmasks whatever is masked,
/// at both ends: whether it should have been is judged afterwards.
fn frames<R: AsyncRead + Unpin>(home: &Arc<Home<R>>) -> WebSocketRead<Lent<R>> {
    let lent = Lent::new(Arc::clone(home));
    let (mut frames, _) =
        fastwebsockets::after_handshake_split(lent, tokio::io::sink(), Role::Server);
    frames.set_auto_pong(false);
    frames.set_auto_close(false);
    frames
}

/// Reads a close frame: nothing, or a code and a reason.
fn close(payload: Bytes) -> Result<Incoming, ReadError> {
    if payload.is_empty() {
        return Ok(Incoming::Close {
            code: None,
            reason: ByteString::new(),
        });
    }
    let Some((code, _)) = payload.split_first_chunk::<2>() else {
        return Err(ReadError::Protocol(Violation::InvalidClose));
    };
    let code = u16::from_be_bytes(*code);
    if !may_be_sent(code) {
        return Err(ReadError::Protocol(Violation::InvalidClose));
    }
    let reason = ByteString::try_from(payload.slice(2..)).map_err(|_| ReadError::NotUtf8)?;
    Ok(Incoming::Close {
        code: Some(code),
        reason,
    })
}

/// Codes of RFC 6455 section 7.4 and the IANA registry that may stand in a close frame: 1004 to
/// 1006 and 1015 are for local use, 1016 to 2999 are unassigned.
fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

#[cfg(test)]
mod tests;
