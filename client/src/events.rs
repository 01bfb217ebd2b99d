//! What a client tells its user without being asked.

use std::sync::Arc;

use futures_util::Stream;
use openclaw_protocol::events::Event;
use openclaw_protocol::types::{HelloOk, StateVersion};
use serde_json::value::RawValue;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::error::{ConnectError, Disconnect};

/// An event of the gateway or of the connection to it. Cheap to clone.
#[derive(Debug, Clone)]
pub enum Notice {
    /// The gateway sent an event.
    Event(Arc<Received>),
    /// Events of the gateway are missing before the next one: whatever they would have told has
    /// to be asked for.
    Gap {
        /// The sequence number that should have come.
        expected: u64,
        /// The one that came.
        received: u64,
    },
    /// This consumer was too slow, and notices were dropped before the next one.
    Dropped {
        /// How many.
        count: u64,
    },
    /// The connection is lost. Unless this client closed it or reconnecting is off, attempts to
    /// reconnect begin now.
    Disconnected(Disconnect),
    /// The connection is back. Nothing is known about events in between: the hello's snapshot is
    /// the state to go on from.
    Reconnected(Arc<HelloOk>),
    /// The gateway refuses to have this client back. It is the last notice.
    GaveUp(Arc<ConnectError>),
}

/// An event as it came.
#[derive(Debug)]
pub struct Received {
    /// Name of the event.
    pub name: String,
    /// The decoded event; `None` when this client does not know the name or the payload does not
    /// fit it.
    pub event: Option<Event>,
    /// The payload's JSON text, `null` when there was none.
    pub payload: Box<RawValue>,
    /// Number of the event on this connection; absent on events meant for it alone.
    pub seq: Option<u64>,
    /// Versions of the gateway's state that the event brings.
    pub state_version: Option<StateVersion>,
}

/// The notices of one client, from when it was made. The first consumer of a client gets all
/// since hello-ok. A consumer that falls behind loses the oldest and is told.
#[derive(Debug)]
pub struct Events(broadcast::Receiver<Notice>);

impl Events {
    pub(crate) fn new(receiver: broadcast::Receiver<Notice>) -> Self {
        Self(receiver)
    }

    /// Waits for the next notice; `None` when the client is closed. Cancel safe.
    pub async fn next(&mut self) -> Option<Notice> {
        match self.0.recv().await {
            Ok(notice) => Some(notice),
            Err(RecvError::Lagged(count)) => Some(Notice::Dropped { count }),
            Err(RecvError::Closed) => None,
        }
    }

    /// The same as a stream.
    pub fn into_stream(self) -> impl Stream<Item = Notice> + Send {
        futures_util::stream::unfold(self, |mut events| async {
            let notice = events.next().await?;
            Some((notice, events))
        })
    }
}

/// Finds holes in the sequence numbers of one connection.
#[derive(Debug, Default)]
pub(crate) struct Sequence(Option<u64>);

impl Sequence {
    /// Takes note of a number. Gives what was expected instead, if numbers were left out. The
    /// first may be any, and numbers that go back count as a new start (contract 12).
    pub(crate) fn gap_before(&mut self, seq: u64) -> Option<u64> {
        let expected = self.0.replace(seq).map(|last| last.saturating_add(1));
        expected.filter(|expected| seq > *expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_upward_jumps_only() {
        let mut sequence = Sequence::default();
        let gaps = [7, 8, 10, 11, 3, 4, 4, 6, u64::MAX, u64::MAX].map(|s| sequence.gap_before(s));
        let none = None;
        assert_eq!(
            gaps,
            [
                none,
                none,
                Some(9),
                none,
                none,
                none,
                none,
                Some(5),
                Some(7),
                none
            ]
        );
    }

    #[tokio::test]
    async fn a_slow_consumer_is_told_how_much_it_lost() {
        const BUFFER: u64 = 4;
        for (sent, lost) in [(BUFFER, 0), (BUFFER + 1, 1), (BUFFER + 9, 9)] {
            let (sender, receiver) = broadcast::channel(BUFFER as usize);
            let mut events = Events::new(receiver);
            for expected in 0..sent {
                sender
                    .send(Notice::Gap {
                        expected,
                        received: expected + 1,
                    })
                    .unwrap();
            }
            drop(sender);
            let mut got = Vec::new();
            while let Some(notice) = events.next().await {
                got.push(match notice {
                    Notice::Dropped { count } => format!("dropped {count}"),
                    Notice::Gap { expected, .. } => expected.to_string(),
                    other => panic!("{other:?}"),
                });
            }
            let dropped = (lost > 0).then(|| format!("dropped {lost}"));
            let kept = (lost..sent).map(|n| n.to_string());
            assert_eq!(got, dropped.into_iter().chain(kept).collect::<Vec<_>>());
        }
    }
}
