//! What is to be written to one connection, gathered and bounded.
//!
//! Frames are appended by the connection's task (replies) and by the hub (events, from any thread); `flush` hands
//! everything to the socket with one write. A frame that does not fit into the budget is a slow reader's: a droppable
//! event is dropped and counted, any other event closes the connection with 1008 `slow consumer` (contract 7.2).
//! Replies are never refused; instead the connection stops reading requests while [`Outbox::is_congested`], so that
//! what is owed stays within the budget whatever a client sends (odd 54).

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use openclaw_protocol::protocol::close;
use openclaw_websocket::encode;

use super::{EventFrame, Wire, buffers};

/// Payloads up to this size are copied into the outbox; larger ones are queued as they are. Copying this much costs
/// less than the larger system call for another piece of memory.
pub const COPY_UP_TO: usize = 4 * 1024;

/// Pieces of memory handed to one system call. A burst of large events has three each; more calls than one are only
/// needed beyond that, and the array for it lives on the stack.
const MAX_SLICES: usize = 24;

/// A piece of memory is let go when all of it is written. So one that grew beyond this is followed by a new one, or a
/// reader that keeps up without ever catching up would make the first piece grow for ever.
const MAX_TAIL: usize = 64 * 1024;

/// `,"seq":` and the longest number.
const SEQ_SPACE: usize = 7 + 20;

/// The write side of one connection.
pub struct Outbox {
    wire: Box<dyn Wire>,
    budget: usize,
    task: AtomicWaker,
    /// Bytes not yet written. Changed under the lock only; read without it.
    pending: AtomicUsize,
    /// A close frame is queued, or the socket failed: nothing more may be appended.
    is_over: AtomicBool,
    /// Somebody has promised to flush.
    is_dirty: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Written first, in order.
    queue: VecDeque<Chunk>,
    /// Frames after the queue; appended to while it is the last piece.
    tail: Vec<u8>,
    /// Bytes of the first piece that are out already.
    sent: usize,
    /// Bytes written since the connection was made; shows whether a slow reader makes progress.
    written: u64,
    /// Number of the last event that was sent or dropped.
    seq: u64,
    /// Events dropped because the reader was slow.
    dropped: u64,
    /// The socket took nothing at the last write; the connection's task waits for it.
    is_blocked: bool,
    closing: Option<Closing>,
    failure: Option<ErrorKind>,
}

enum Chunk {
    Owned(Vec<u8>),
    Shared(Bytes),
}

/// The close frame that was queued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closing {
    /// Close code; `None` for the answer to a close frame without one.
    pub code: Option<u16>,
    /// Reason as sent.
    pub reason: String,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// It will be written.
    Queued,
    /// The reader is slow and may do without it; its number is used up, so that the client sees a gap.
    Dropped,
    /// The reader is slow and may not do without it; the connection closes.
    TooSlow,
    /// The connection was closing or lost already.
    Over,
}

/// How a flush ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flush {
    /// Everything is written.
    Done,
    /// The socket takes no more for now.
    Blocked,
    /// The connection is lost.
    Failed(ErrorKind),
}

impl Outbox {
    /// An empty outbox in front of `wire` that holds at most `budget` bytes of events.
    #[must_use]
    pub fn new(wire: impl Wire, budget: usize) -> Self {
        Self {
            wire: Box::new(wire),
            budget,
            task: AtomicWaker::new(),
            pending: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
            is_dirty: AtomicBool::new(false),
            state: Mutex::default(),
        }
    }

    /// Names the task to wake when the socket blocks or the connection is closed by somebody else.
    pub fn register(&self, waker: &Waker) {
        self.task.register(waker);
    }

    /// Bytes not yet written.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending.load(Ordering::Relaxed)
    }

    /// Is so much unwritten that no further request should be read? True above half of the budget: the other half is
    /// for events, and for the answers to requests that are being handled.
    #[must_use]
    pub fn is_congested(&self) -> bool {
        self.pending() > self.budget / 2
    }

    /// Is a close frame queued, or the socket lost?
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    /// The close frame that was queued first.
    #[must_use]
    pub fn closing(&self) -> Option<Closing> {
        self.lock().closing.clone()
    }

    /// Bytes written since the connection was made.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.lock().written
    }

    /// Events dropped because the reader was slow.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    /// Queues bytes as they are, in front of all frames: what ends the HTTP exchange.
    pub fn precede(&self, bytes: &[u8]) {
        let mut state = self.lock();
        self.append(&mut state, |tail| tail.extend_from_slice(bytes));
    }

    /// Queues a text message: a response, or an event for this connection alone, without `seq`.
    pub fn send(&self, text: Vec<u8>) {
        let mut state = self.lock();
        if self.is_over() {
            return;
        }
        if text.len() <= COPY_UP_TO {
            self.append(&mut state, |tail| encode::put_text(tail, &text));
        } else {
            let (head, len) = encode::text_head(text.len());
            self.append(&mut state, |tail| tail.extend_from_slice(&head[..len]));
            self.enqueue(&mut state, Chunk::Owned(text));
        }
    }

    /// Queues the answer to a ping.
    pub fn pong(&self, payload: &[u8]) {
        let mut state = self.lock();
        if !self.is_over() {
            self.append(&mut state, |tail| encode::put_pong(tail, payload));
        }
    }

    /// Queues an event under this connection's next number.
    ///
    /// An event that does not fit counts as too much only behind other frames: a reader who owes nothing gets a
    /// frame of any size.
    pub fn event(&self, frame: &EventFrame) -> Delivery {
        self.offer(frame, true)
    }

    /// Queues an event for this connection alone: without a number, within the same budget.
    pub fn notice(&self, frame: &EventFrame) -> Delivery {
        self.offer(frame, false)
    }

    fn offer(&self, frame: &EventFrame, is_numbered: bool) -> Delivery {
        let mut state = self.lock();
        if self.is_over() {
            return Delivery::Over;
        }
        let mut number = [0; SEQ_SPACE];
        let number: &[u8] = if is_numbered {
            state.seq += 1;
            seq_member(&mut number, state.seq)
        } else {
            &[]
        };
        let len = frame.size() + number.len();
        let (head, head_len) = encode::text_head(len);
        let head = &head[..head_len];
        let pending = self.pending();
        if pending > 0 && pending + head.len() + len > self.budget {
            if frame.droppable {
                state.dropped += 1;
                return Delivery::Dropped;
            }
            let slow = close::SLOW_CONSUMER;
            self.put_close(&mut state, Some(slow.code), slow.reason);
            drop(state);
            self.task.wake();
            return Delivery::TooSlow;
        }
        if frame.start.len() <= COPY_UP_TO {
            self.append(&mut state, |tail| {
                tail.reserve(head.len() + len);
                tail.extend_from_slice(head);
                tail.extend_from_slice(&frame.start);
                tail.extend_from_slice(number);
                tail.extend_from_slice(&frame.end);
            });
        } else {
            self.append(&mut state, |tail| tail.extend_from_slice(head));
            self.enqueue(&mut state, Chunk::Shared(frame.start.clone()));
            self.append(&mut state, |tail| {
                tail.extend_from_slice(number);
                tail.extend_from_slice(&frame.end);
            });
        }
        Delivery::Queued
    }

    /// Queues a close frame; nothing can be queued behind it. Of several calls the first one counts. Wakes the
    /// connection's task.
    pub fn close(&self, code: u16, reason: &str) {
        let mut state = self.lock();
        if self.is_over() {
            return;
        }
        self.put_close(&mut state, Some(code), reason);
        drop(state);
        self.task.wake();
    }

    /// Queues the answer to the peer's close frame, unless a close frame is queued already.
    pub fn close_reply(&self, code: Option<u16>) {
        let mut state = self.lock();
        if self.is_over() {
            return;
        }
        self.put_close(&mut state, code, "");
    }

    /// Notes that somebody is going to call [`Self::flush_dirty`]. False when it was noted already.
    pub fn mark_dirty(&self) -> bool {
        !self.is_dirty.swap(true, Ordering::AcqRel)
    }

    /// Keeps the promise of [`Self::mark_dirty`].
    pub fn flush_dirty(&self) -> Flush {
        // Before the flush: what is appended during it is promised anew.
        self.is_dirty.store(false, Ordering::Release);
        self.flush()
    }

    /// Writes as much as the socket takes. Wakes the connection's task when the socket begins to block, or fails,
    /// because only that task waits for it.
    pub fn flush(&self) -> Flush {
        self.flush_by(|slices| self.wire.try_write(slices))
    }

    /// As [`Self::flush`] when the caller closes the socket next, or calls [`Self::end`]: the peer may get the last bytes
    /// only then, since a packet for both costs half as much as two.
    pub fn flush_last(&self) -> Flush {
        self.flush_by(|slices| self.wire.try_write_last(slices))
    }

    fn flush_by(&self, write: impl Fn(&[IoSlice<'_>]) -> io::Result<usize>) -> Flush {
        if self.pending() == 0 && !self.is_over() {
            return Flush::Done;
        }
        let mut state = self.lock();
        let outcome = self.write_out(&mut state, write);
        let news = match outcome {
            Flush::Done => {
                state.is_blocked = false;
                false
            }
            Flush::Blocked => !std::mem::replace(&mut state.is_blocked, true),
            Flush::Failed(_) => true,
        };
        drop(state);
        if news {
            self.task.wake();
        }
        outcome
    }

    /// Waits until a blocked socket takes something again. For the connection's task alone.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<()> {
        // What is wrong with the socket shows at the next write.
        self.wire.poll_writable(cx).map(|_| ())
    }

    /// Tells the peer that nothing follows what has been written.
    pub fn end(&self) {
        self.wire.end();
    }

    fn write_out(
        &self,
        state: &mut State,
        write: impl Fn(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> Flush {
        if let Some(kind) = state.failure {
            return Flush::Failed(kind);
        }
        while self.pending() > 0 {
            let written = {
                let mut slices = [IoSlice::new(&[]); MAX_SLICES];
                let count = state.slices(&mut slices);
                write(&slices[..count])
            };
            match written {
                Ok(0) => return self.fail(state, ErrorKind::WriteZero),
                Ok(n) => {
                    state.advance(n);
                    self.pending.store(self.pending() - n, Ordering::Relaxed);
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return Flush::Blocked,
                    ErrorKind::Interrupted => {}
                    kind => return self.fail(state, kind),
                },
            }
        }
        Flush::Done
    }

    /// Nothing can be written any more; frees what was queued.
    fn fail(&self, state: &mut State, kind: ErrorKind) -> Flush {
        state.failure = Some(kind);
        state.queue = VecDeque::new();
        state.tail = Vec::new();
        self.pending.store(0, Ordering::Relaxed);
        self.is_over.store(true, Ordering::Release);
        Flush::Failed(kind)
    }

    fn append(&self, state: &mut State, write: impl FnOnce(&mut Vec<u8>)) {
        if state.tail.len() > MAX_TAIL {
            let full = std::mem::take(&mut state.tail);
            state.queue.push_back(Chunk::Owned(full));
        }
        if state.tail.capacity() == 0 {
            state.tail = buffers::take();
        }
        let before = state.tail.len();
        write(&mut state.tail);
        self.add_pending(state.tail.len() - before);
    }

    /// Nobody else changes the count while the lock is held, so it need not be changed in one step.
    fn add_pending(&self, n: usize) {
        self.pending.store(self.pending() + n, Ordering::Relaxed);
    }

    fn enqueue(&self, state: &mut State, chunk: Chunk) {
        let tail = std::mem::take(&mut state.tail);
        if !tail.is_empty() {
            state.queue.push_back(Chunk::Owned(tail));
        }
        self.add_pending(chunk.len());
        state.queue.push_back(chunk);
    }

    fn put_close(&self, state: &mut State, code: Option<u16>, reason: &str) {
        self.append(state, |tail| match code {
            Some(code) => encode::put_close(tail, code, reason),
            None => encode::put_close_reply(tail, None, None),
        });
        state.closing = Some(Closing {
            code,
            reason: reason.to_owned(),
        });
        self.is_over.store(true, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Frames are appended whole or not at all, so a panic elsewhere leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbox")
            .field("pending", &self.pending())
            .field("is_over", &self.is_over())
            .finish_non_exhaustive()
    }
}

impl State {
    /// Points `slices` at what is to be written next and says how many there are.
    fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>; MAX_SLICES]) -> usize {
        let pieces = self
            .queue
            .iter()
            .map(Chunk::bytes)
            .chain(std::iter::once(self.tail.as_slice()));
        let mut count = 0;
        for (index, piece) in pieces.take(MAX_SLICES).enumerate() {
            let rest = if index == 0 {
                &piece[self.sent..]
            } else {
                piece
            };
            if !rest.is_empty() {
                slices[count] = IoSlice::new(rest);
                count += 1;
            }
        }
        count
    }

    /// Lets go of `n` bytes that are out.
    fn advance(&mut self, n: usize) {
        self.written += n as u64;
        self.sent += n;
        while let Some(first) = self.queue.front() {
            let len = first.len();
            if self.sent < len {
                return;
            }
            self.sent -= len;
            if let Some(Chunk::Owned(buffer)) = self.queue.pop_front() {
                buffers::give(buffer);
            }
        }
        if self.sent == self.tail.len() {
            self.sent = 0;
            self.queue = VecDeque::new();
            buffers::give(std::mem::take(&mut self.tail));
        }
    }
}

impl Chunk {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }

    fn len(&self) -> usize {
        self.bytes().len()
    }
}

/// `,"seq":<number>` in `space`.
fn seq_member(space: &mut [u8; SEQ_SPACE], seq: u64) -> &[u8] {
    const MEMBER: &[u8] = br#","seq":"#;
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(seq).as_bytes();
    space[..MEMBER.len()].copy_from_slice(MEMBER);
    space[MEMBER.len()..MEMBER.len() + digits.len()].copy_from_slice(digits);
    &space[..MEMBER.len() + digits.len()]
}

#[cfg(test)]
mod tests;
