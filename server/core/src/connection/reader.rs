//! The loop of a connection's task: reads messages and gives them to the [`Link`].
//!
//! A connection has a frame parser and its buffer only while there is something to parse: an idle connection waits for
//! its socket alone, and the next one to read takes the parser over. Reading a message cannot be interrupted without
//! losing bytes, so the future that does it is never dropped half-way; everything else the task does is polled beside it,
//! by [`Link::poll_rest`].

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use openclaw_websocket::{Incoming, MessageReader, Prefixed, ReadError, Spare, encode};

use super::ending::Ending;
use super::link::Link;
use crate::net::ReadSide;

thread_local! {
    /// The parser of whoever read last. One is enough: nearly every reading ends in the turn that it began in.
    static SPARE: Cell<Option<Spare<Prefixed<ReadSide>>>> = const { Cell::new(None) };
}

/// What polling the reader led to.
enum Step {
    /// A message, or the end of them.
    Message(Result<Incoming, ReadError>),
    /// All that had come is read, and no message has begun.
    Empty,
    /// The connection is over for another reason.
    Over(Ending),
}

/// Serves a connection until it is over. `early` is what the peer had sent before. Gives the socket back, unless it was
/// lost with its reader.
pub(super) async fn run(
    link: &mut Link,
    mut socket: ReadSide,
    mut early: Bytes,
) -> (Ending, Option<ReadSide>) {
    loop {
        if early.is_empty()
            && let Err(ending) = poll_fn(|cx| poll_readable(link, &socket, cx)).await
        {
            return (ending, Some(socket));
        }
        let mut reader = reader(link, Prefixed::new(std::mem::take(&mut early), socket));
        let ending = read(link, &mut reader).await;
        let (stream, spare) = reader.into_parts();
        SPARE.set(spare);
        match (ending, stream.map(Prefixed::into_inner)) {
            (None, Some(stream)) => socket = stream,
            (ending, stream) => return (ending.unwrap_or(Ending::Lost), stream),
        }
    }
}

fn reader(link: &Link, stream: Prefixed<ReadSide>) -> MessageReader<Prefixed<ReadSide>> {
    let limit = link.message_limit();
    match SPARE.take() {
        Some(spare) => MessageReader::server_with(spare, stream, limit),
        None => MessageReader::server(stream, limit),
    }
}

/// Waits until there is something to read and it may be read.
fn poll_readable(
    link: &mut Link,
    socket: &ReadSide,
    cx: &mut Context<'_>,
) -> Poll<Result<(), Ending>> {
    ready!(poll_may_read(link, cx))?;
    // An error shows when reading.
    if socket.poll_read_ready(cx).is_ready() {
        return Poll::Ready(Ok(()));
    }
    link.end_turn();
    Poll::Pending
}

/// Does everything but reading, and waits until reading is allowed.
fn poll_may_read(link: &mut Link, cx: &mut Context<'_>) -> Poll<Result<(), Ending>> {
    if let Some(ending) = link.poll_rest(cx) {
        return Poll::Ready(Err(ending));
    }
    if link.may_read() {
        return Poll::Ready(Ok(()));
    }
    link.end_turn();
    Poll::Pending
}

/// Reads messages until there are none in the parser, or the connection is over.
async fn read(link: &mut Link, reader: &mut MessageReader<Prefixed<ReadSide>>) -> Option<Ending> {
    let meter = reader.meter();
    // Counted with the shortest heads that the messages can have had. Equal to what the reader has taken only when that
    // has nothing left; after a message in fragments it never is again, and the reader stays.
    let mut used = 0;
    loop {
        if !link.may_read()
            && let Err(ending) = poll_fn(|cx| poll_may_read(link, cx)).await
        {
            return Some(ending);
        }
        reader.set_limit(link.message_limit());
        let step = {
            let mut next = pin!(reader.next());
            poll_fn(|cx| {
                let is_empty = || meter.taken() == used;
                poll_next(link, next.as_mut(), is_empty, cx)
            })
            .await
        };
        match step {
            Step::Message(Ok(message)) => {
                used += shortest(&message);
                if let Some(ending) = link.handle(message) {
                    return Some(ending);
                }
                // Whether the socket has more is cheaper to ask of the socket than of the parser.
                if meter.taken() == used {
                    return None;
                }
            }
            Step::Message(Err(error)) => return Some(link.unreadable(&error)),
            Step::Empty => return None,
            Step::Over(ending) => return Some(ending),
        }
    }
}

/// Waits for the next message, doing everything else meanwhile.
fn poll_next(
    link: &mut Link,
    mut next: Pin<&mut impl Future<Output = Result<Incoming, ReadError>>>,
    is_empty: impl Fn() -> bool,
    cx: &mut Context<'_>,
) -> Poll<Step> {
    loop {
        let could_read = link.may_read();
        if could_read && link.begin_frame() {
            match next.as_mut().poll(cx) {
                Poll::Ready(message) => return Poll::Ready(Step::Message(message)),
                Poll::Pending if is_empty() => return Poll::Ready(Step::Empty),
                Poll::Pending => {}
            }
        } else if could_read {
            // Enough for one turn. Polled once, this wakes the task after the runtime has looked at the other sockets;
            // waking it directly would not let them in before it had had sixty more turns.
            let _ = pin!(tokio::task::yield_now()).poll(cx);
        }
        if let Some(ending) = link.poll_rest(cx) {
            return Poll::Ready(Step::Over(ending));
        }
        if could_read || !link.may_read() {
            link.end_turn();
            return Poll::Pending;
        }
    }
}

/// Bytes of the shortest frame that holds a message.
fn shortest(message: &Incoming) -> u64 {
    const MASK: usize = 4;
    let len = match message {
        Incoming::Text(text) => text.len(),
        Incoming::Binary(bytes) | Incoming::Ping(bytes) | Incoming::Pong(bytes) => bytes.len(),
        Incoming::Close { code, reason } => code.map_or(0, |_| size_of::<u16>()) + reason.len(),
    };
    let (_, head) = encode::text_head(len);
    (head + MASK + len) as u64
}
