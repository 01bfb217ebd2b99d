//! The state of one connection and everything it does but reading: writing, time limits, in `stranger` the handshake, in
//! `asking` requests.

mod asking;
mod stranger;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use openclaw_protocol::protocol::{Close, close, limits};
use openclaw_websocket::{Incoming, ReadError};
use tokio::time::{Instant, Sleep, sleep};

pub use asking::with_issues;
pub(super) use stranger::Stranger;

use super::Shared;
use super::caller::Caller;
use super::ending::Ending;
use super::requests::Requests;
use crate::hub::Membership;
use crate::limits::{MAX_FRAMES_PER_WAKE, STALL_TIMEOUT};
use crate::nodes::NodePlace;
use crate::ws::{Flush, Outbox};

/// One connection.
pub(super) struct Link {
    shared: Arc<Shared>,
    outbox: Arc<Outbox>,
    membership: Membership,
    /// Its place among the nodes, if it is one.
    node: Option<NodePlace>,
    phase: Phase,
    requests: Requests,
    /// Messages after hello-ok that were no requests.
    bad_frames: u64,
    /// Messages begun in this turn of the task.
    frames: usize,
    stall: Option<Box<Stall>>,
}

enum Phase {
    /// Nobody knows who this is. Boxed: it is over soon.
    Stranger(Box<Stranger>),
    /// Accepted.
    Open(Caller),
    /// About to be closed; what still comes is not looked at.
    Over,
}

/// The peer has taken nothing since `written` bytes were out.
struct Stall {
    written: u64,
    timeout: Pin<Box<Sleep>>,
}

impl Link {
    pub(super) fn new(
        shared: Arc<Shared>,
        outbox: Arc<Outbox>,
        membership: Membership,
        stranger: Stranger,
    ) -> Self {
        Self {
            shared,
            outbox,
            membership,
            node: None,
            phase: Phase::Stranger(Box::new(stranger)),
            requests: Requests::default(),
            bad_frames: 0,
            frames: 0,
            stall: None,
        }
    }

    /// May the next message be read now? Not while the handshake is being decided, while too much waits to be written,
    /// and while too many requests are being handled.
    pub(super) fn may_read(&self) -> bool {
        let is_deciding =
            matches!(&self.phase, Phase::Stranger(stranger) if stranger.deciding.is_some());
        !is_deciding && !self.requests.is_full() && !self.outbox.is_congested()
    }

    /// The largest message that may come now, in bytes (odd 65).
    pub(super) fn message_limit(&self) -> usize {
        let limit = match self.phase {
            Phase::Stranger(_) => limits::PRE_AUTH_PAYLOAD,
            Phase::Open(_) | Phase::Over => limits::MAX_PAYLOAD,
        };
        limit as usize
    }

    /// Counts a message of this turn. False when the turn has had enough of them.
    pub(super) fn begin_frame(&mut self) -> bool {
        self.frames += 1;
        self.frames <= MAX_FRAMES_PER_WAKE
    }

    /// The task is going to wait.
    pub(super) fn end_turn(&mut self) {
        self.frames = 0;
    }

    /// Takes in a message. `Some` when the connection is over.
    pub(super) fn handle(&mut self, message: Incoming) -> Option<Ending> {
        match message {
            Incoming::Text(text) => self.handle_text(&text),
            // Binary messages are texts that do not say so (contract 1.2).
            Incoming::Binary(bytes) => match std::str::from_utf8(&bytes) {
                Ok(text) => self.handle_text(text),
                Err(_) => self.handle_text(NOT_JSON),
            },
            Incoming::Ping(payload) => {
                self.outbox.pong(&payload);
                None
            }
            Incoming::Pong(_) => None,
            Incoming::Close { code, .. } => {
                self.outbox.close_reply(code);
                Some(Ending::ClosedByPeer)
            }
        }
    }

    /// The peer could not be understood, or is gone.
    pub(super) fn unreadable(&mut self, error: &ReadError) -> Ending {
        let (close, ending) = match error {
            ReadError::TooBig { .. } => (close::TOO_BIG, Ending::TooBig),
            ReadError::Protocol(_) => (close::PROTOCOL_ERROR, Ending::ProtocolError),
            ReadError::NotUtf8 => (close::INVALID_PAYLOAD, Ending::NotUtf8),
            ReadError::Eof | ReadError::Io(_) | ReadError::Ended => return Ending::Lost,
        };
        self.close(close, ending)
    }

    /// Everything that is to be done beside reading. `Some` when the connection is over.
    pub(super) fn poll_rest(&mut self, cx: &mut Context<'_>) -> Option<Ending> {
        self.outbox.register(cx.waker());
        if let Phase::Stranger(_) = self.phase
            && let Some(ending) = self.poll_handshake(cx)
        {
            return Some(ending);
        }
        while !self.outbox.is_congested()
            && let Poll::Ready(frame) = self.requests.poll_next(cx)
        {
            self.outbox.send(frame);
        }
        if self.outbox.is_over() {
            return Some(Ending::ClosedByHub);
        }
        self.poll_write(cx)
    }

    /// The connection is over: it takes part in nothing any more, requests under way are dropped. What is left is its
    /// place in the hub.
    pub(super) fn finish(mut self, ending: Ending) -> Membership {
        drop(self.node.take());
        self.membership.retire();
        self.shared.counters.ended(ending);
        let dropped = self.outbox.dropped();
        match &self.phase {
            Phase::Open(caller) => {
                tracing::debug!(
                    conn = caller.conn_id,
                    reason = ending.name(),
                    dropped,
                    "connection ended"
                );
            }
            Phase::Stranger(_) | Phase::Over => {
                tracing::debug!(reason = ending.name(), "handshake ended");
            }
        }
        self.membership
    }

    /// Writes what waits; while the socket takes nothing, waits for it, but not for ever.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Option<Ending> {
        loop {
            match self.outbox.flush() {
                Flush::Done => {
                    self.stall = None;
                    return None;
                }
                Flush::Failed(_) => return Some(Ending::Lost),
                Flush::Blocked if self.outbox.poll_writable(cx).is_ready() => {}
                Flush::Blocked => break,
            }
        }
        let written = self.outbox.written();
        let stall = self.stall.get_or_insert_with(|| {
            Box::new(Stall {
                written,
                timeout: Box::pin(sleep(STALL_TIMEOUT)),
            })
        });
        if stall.written != written {
            stall.written = written;
            stall.timeout.as_mut().reset(Instant::now() + STALL_TIMEOUT);
        }
        if stall.timeout.as_mut().poll(cx).is_ready() {
            return Some(self.close(close::SLOW_CONSUMER, Ending::Stalled));
        }
        None
    }

    fn handle_text(&mut self, text: &str) -> Option<Ending> {
        match &mut self.phase {
            Phase::Stranger(stranger) => {
                let handshake = stranger.handshake.take()?;
                let now_ms = self.shared.clock.now_ms();
                let (devices, limiter) = (&self.shared.pairing, &self.shared.limiter);
                let verdict = handshake.receive(text, now_ms, devices, limiter);
                self.settle(verdict)
            }
            Phase::Open(_) => self.handle_request(text),
            Phase::Over => None,
        }
    }

    fn close(&mut self, close: Close, ending: Ending) -> Ending {
        self.outbox.close(close.code, close.reason);
        ending
    }
}

#[cfg(test)]
impl Link {
    /// The connection of a caller who was accepted.
    pub(super) fn of_test(
        shared: Arc<Shared>,
        outbox: Arc<Outbox>,
        membership: Membership,
        caller: Caller,
    ) -> Self {
        Self {
            shared,
            outbox,
            membership,
            node: None,
            phase: Phase::Open(caller),
            requests: Requests::default(),
            bad_frames: 0,
            frames: 0,
            stall: None,
        }
    }
}

/// Stands for bytes that are not even text.
const NOT_JSON: &str = "";
