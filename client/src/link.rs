//! One established connection: a loop that reads and a task that writes.
//!
//! The reading loop runs in the client's own task and ends with the connection. It is the only
//! owner of the message reader; what it waits for beside the next message ends the connection too,
//! so a read is never taken up again after it was dropped.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openclaw_protocol::events::{Event, EventKind};
use openclaw_protocol::types::HelloOk;
use openclaw_websocket::encode::{
    put_close_masked, put_close_reply, put_pong_masked, put_text_masked,
};
use openclaw_websocket::{Incoming, Masks, MessageReader, ReadError};
use serde_json::value::RawValue;
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::error::Disconnect;
use crate::events::{Notice, Received, Sequence};
use crate::state::Shared;
use crate::upgrade::Upgraded;
use crate::wire::{self, Inbound};

/// Frames that wait for the socket. When it is full, calls wait to be sent (and time out), so that
/// a gateway that does not read cannot make the client grow.
const OUTBOX: usize = 64;

/// Bytes that the writer's buffer may keep between writes.
const KEEP_BUFFER: usize = 64 * 1024;

/// How long a close waits: for its frame to be written, and for the gateway's own.
const CLOSE_WAIT: Duration = Duration::from_secs(1);

/// What a gateway may announce as its tick interval; anything else is taken for the nearer bound.
const TICK_BOUNDS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3600));

/// Sent when ticks stay away, as by the original client (contract 1.4).
const TICK_TIMEOUT: (u16, &str) = (4000, "tick timeout");

/// Sent when the user closes the client.
const NORMAL: (u16, &str) = (1000, "");

/// A connection past hello-ok.
pub(crate) struct Link {
    pub(crate) reader: MessageReader<ReadHalf<Upgraded>>,
    pub(crate) writer: WriteHalf<Upgraded>,
    pub(crate) masks: Masks,
    pub(crate) hello: Arc<HelloOk>,
}

/// A frame to be written.
#[derive(Debug)]
pub(crate) enum Outgoing {
    Text(String),
    Pong(Bytes),
    Close(u16, &'static str),
    CloseReply(Option<u16>),
}

impl Link {
    /// Serves the connection until it ends, and says why it did. `ready` runs when calls can be
    /// made; `stop` becomes true when the user closes the client.
    pub(crate) async fn serve(
        self,
        shared: &Shared,
        stop: watch::Receiver<bool>,
        ready: impl FnOnce(),
    ) -> Disconnect {
        let (outbox, frames) = mpsc::channel(OUTBOX);
        let (broken, on_broken) = oneshot::channel();
        let mut writing = tokio::spawn(async move {
            if let Err(error) = write(frames, self.writer, self.masks).await {
                let _ = broken.send(error);
            }
        });
        shared.attach(Arc::clone(&self.hello), outbox.clone());
        ready();

        let reading = Reading {
            shared,
            outbox: &outbox,
            sequence: Sequence::default(),
            tick_interval: Duration::from_millis(self.hello.policy.tick_interval_ms)
                .clamp(TICK_BOUNDS.0, TICK_BOUNDS.1),
            last_tick: Instant::now(),
        };
        let mut stopping = stop.clone();
        let stopped = async {
            // An error means that the client's handles are gone, which stops it as well.
            let _ = stopping.wait_for(|stop| *stop).await;
            let close = outbox.send(Outgoing::Close(NORMAL.0, NORMAL.1));
            let _ = tokio::time::timeout(CLOSE_WAIT, close).await;
            tokio::time::sleep(CLOSE_WAIT).await;
        };
        let mut cause = tokio::select! {
            cause = reading.run(self.reader) => cause,
            () = stopped => Disconnect::ByClient,
            Ok(error) = on_broken => Disconnect::Broken(error.to_string()),
        };
        if *stop.borrow() {
            // Whatever came last was the answer to our own close.
            cause = Disconnect::ByClient;
        }
        shared.detach(&cause);

        // What is still in the outbox, a close frame above all, gets a moment to leave.
        drop(outbox);
        if tokio::time::timeout(CLOSE_WAIT, &mut writing)
            .await
            .is_err()
        {
            writing.abort();
        }
        cause
    }
}

/// The reading side and what it keeps track of.
struct Reading<'a> {
    shared: &'a Shared,
    outbox: &'a mpsc::Sender<Outgoing>,
    sequence: Sequence,
    tick_interval: Duration,
    last_tick: Instant,
}

impl Reading<'_> {
    /// Reads until the connection ends.
    async fn run(mut self, mut reader: MessageReader<ReadHalf<Upgraded>>) -> Disconnect {
        loop {
            // Two intervals, as the original client has it: one tick may be late.
            let silent_at = self.last_tick + self.tick_interval * 2;
            // The end of this wait is the end of the reader.
            match tokio::time::timeout_at(silent_at, reader.next()).await {
                Ok(Ok(Incoming::Text(text))) => self.frame(&text),
                Ok(Ok(Incoming::Ping(payload))) => self.send(Outgoing::Pong(payload)),
                // Gateways send text only.
                Ok(Ok(Incoming::Binary(_) | Incoming::Pong(_))) => {}
                Ok(Ok(Incoming::Close { code, reason })) => {
                    self.send(Outgoing::CloseReply(code));
                    return Disconnect::ByGateway {
                        code,
                        reason: reason.to_string(),
                    };
                }
                Ok(Err(error)) => return self.failed(&error),
                Err(_) => {
                    self.send(Outgoing::Close(TICK_TIMEOUT.0, TICK_TIMEOUT.1));
                    return Disconnect::Silent;
                }
            }
        }
    }

    fn failed(&self, error: &ReadError) -> Disconnect {
        match error.close_code() {
            Some(code) => {
                self.send(Outgoing::Close(code, ""));
                Disconnect::BadPeer(error.to_string())
            }
            None => Disconnect::Broken(error.to_string()),
        }
    }

    /// Puts a control frame into the outbox. When that is full the frame is left out, since the
    /// reader may not wait for the writer: of pings only the latest needs an answer, and after a
    /// close the connection ends anyway.
    fn send(&self, frame: Outgoing) {
        let _ = self.outbox.try_send(frame);
    }

    fn frame(&mut self, text: &str) {
        match wire::read(text) {
            Some(Inbound::Response { id, response }) => self.shared.settle(id, response),
            Some(Inbound::Event {
                name,
                payload,
                seq,
                state_version,
            }) => {
                let kind = EventKind::from_name(&name);
                if kind == Some(EventKind::Tick) {
                    self.last_tick = Instant::now();
                }
                if let Some(received) = seq
                    && let Some(expected) = self.sequence.gap_before(received)
                {
                    self.shared.notify(Notice::Gap { expected, received });
                }
                if !self.shared.has_consumers() {
                    return;
                }
                let payload = payload.unwrap_or(RawValue::NULL);
                let event = kind.and_then(|kind| {
                    Event::decode(kind, payload.get())
                        .inspect_err(|error| tracing::debug!(%name, %error, "event not understood"))
                        .ok()
                });
                self.shared.notify(Notice::Event(Arc::new(Received {
                    name,
                    event,
                    payload: payload.to_owned(),
                    seq,
                    state_version,
                })));
            }
            None => tracing::debug!(bytes = text.len(), "ignored a message that is no frame"),
        }
    }
}

/// Writes frames until a close frame is out or nobody can send any more. Frames that wait
/// together are written together.
async fn write(
    mut frames: mpsc::Receiver<Outgoing>,
    mut socket: WriteHalf<Upgraded>,
    mut masks: Masks,
) -> std::io::Result<()> {
    let mut batch = Vec::with_capacity(OUTBOX);
    let mut buf = Vec::new();
    while frames.recv_many(&mut batch, OUTBOX).await > 0 {
        let mut closed = false;
        for frame in batch.drain(..) {
            if closed {
                break;
            }
            let mask = masks.next_mask()?;
            match frame {
                Outgoing::Text(text) => put_text_masked(&mut buf, text.as_bytes(), mask),
                Outgoing::Pong(payload) => put_pong_masked(&mut buf, &payload, mask),
                Outgoing::Close(code, reason) => {
                    put_close_masked(&mut buf, code, reason, mask);
                    closed = true;
                }
                Outgoing::CloseReply(code) => {
                    put_close_reply(&mut buf, code, Some(mask));
                    closed = true;
                }
            }
        }
        socket.write_all(&buf).await?;
        socket.flush().await?;
        if closed {
            return socket.shutdown().await;
        }
        buf.clear();
        buf.shrink_to(KEEP_BUFFER);
    }
    Ok(())
}
