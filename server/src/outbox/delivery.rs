//! From an accepted message to its end: recorded first, one at a time for an address, tried again where [`retry`] says so.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Weak};

use futures_util::FutureExt;
use openclaw_protocol::protocol::ErrorCode;
use openclaw_protocol::types::{ErrorShape, OutboxOrigin};
use serde_json::json;
use tokio::sync::OwnedMutexGuard;

use super::channel::{Channel, Content, Fault, Parcel, Receipt};
use super::live::{End, Live};
use super::record::{CANCELLED, DeliveryKey, RESTARTED, Record, State};
use super::retry::{self, Next};
use super::{Active, MAX_ACTIVE, Outbox, webchat};
use crate::sessions::{Entry, injected};
use crate::store::{StoreError, Writer};

/// A delivery that is asked for.
pub(super) struct Ask {
    pub(super) origin: OutboxOrigin,
    pub(super) key: DeliveryKey,
    pub(super) channel: Arc<dyn Channel>,
    pub(super) parcel: Parcel,
    /// Conversation whose transcript notes what was sent.
    pub(super) session_key: Option<String>,
}

/// There is no room for another delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many messages are waiting to be sent (limit {MAX_ACTIVE}); try again later")]
pub(super) struct Full;

impl Full {
    /// As clients are told it.
    pub(super) fn shape(self) -> ErrorShape {
        ErrorCode::Unavailable.error(self.to_string())
    }
}

/// How a delivery ended, and through what.
pub(super) struct Outcome {
    pub(super) channel: String,
    end: End,
}

impl Outcome {
    /// What the channel says of the message, or why it does not have it, in words for clients.
    pub(super) fn receipt(self) -> Result<Receipt, String> {
        match self.end {
            End::Over(State::Sent(receipt)) => Ok(receipt),
            End::Over(State::Failed(problem) | State::Unknown(problem)) => Err(problem),
            End::Over(State::Cancelled) => Err(CANCELLED.to_owned()),
            End::Over(State::Queued | State::Sending) | End::Unrecorded => {
                Err("the message could not be recorded; nothing was sent".to_owned())
            }
        }
    }
}

/// A delivery whose key was used before.
#[derive(Clone)]
pub(super) enum Known {
    /// Under way.
    Live(Arc<Live>),
    /// Over.
    Stored(Box<Record>),
}

impl Known {
    /// How it ended; waits for its end.
    pub(super) async fn outcome(self) -> Outcome {
        match self {
            Self::Live(live) => Outcome {
                end: live.ended().await,
                channel: live.channel.clone(),
            },
            Self::Stored(record) => Outcome {
                end: End::Over(record.standing()),
                channel: record.channel,
            },
        }
    }
}

/// A delivery that has its place and is not on disk yet. Dropped before it has gone, it gives its place back.
pub(super) struct Draft {
    outbox: Outbox,
    record: Record,
    channel: Arc<dyn Channel>,
    live: Arc<Live>,
    has_gone: bool,
}

impl Draft {
    /// One that has entered.
    pub(super) fn of(
        outbox: Outbox,
        (record, channel, live): (Record, Arc<dyn Channel>, Arc<Live>),
    ) -> Self {
        Self {
            outbox,
            record,
            channel,
            live,
            has_gone: false,
        }
    }

    /// Puts this into it and writes it, as a part of a change.
    pub(super) fn put(
        &mut self,
        writer: &mut Writer<'_>,
        content: Content,
    ) -> Result<(), StoreError> {
        self.record.parcel.content = content;
        self.record.put(writer)
    }

    /// Has it carried. It is on disk.
    pub(super) fn send_off(mut self) {
        self.has_gone = true;
        let (record, channel) = (self.record.clone(), Arc::clone(&self.channel));
        self.outbox
            .have_carried(record, channel, Arc::clone(&self.live));
    }

    /// Writes it and has it carried.
    pub(super) async fn keep(self) -> Result<(), StoreError> {
        if let Err(error) = self.outbox.write(&self.record).await {
            tracing::error!(%error, "a message could not be recorded");
            return Err(error);
        }
        self.send_off();
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if self.has_gone {
            return;
        }
        let key = DeliveryKey::of_record(&self.record);
        self.outbox.active().deliveries.remove(&key);
        self.live.end.send_replace(Some(End::Unrecorded));
    }
}

impl Active {
    /// Takes a place for a delivery that is not under way.
    pub(super) fn enter(&mut self, key: &DeliveryKey, live: &Arc<Live>) -> Result<(), Full> {
        if self.deliveries.len() >= MAX_ACTIVE {
            return Err(Full);
        }
        self.deliveries.insert(key.clone(), Arc::clone(live));
        Ok(())
    }
}

impl Outbox {
    /// The delivery of a key, if it is known.
    pub(super) fn known(&self, key: &DeliveryKey) -> Result<Option<Known>, StoreError> {
        let active = self.active();
        if let Some(live) = active.deliveries.get(key) {
            return Ok(Some(Known::Live(Arc::clone(live))));
        }
        let sessions = &self.inner.parts.sessions;
        let stored = sessions.read(|reader| Record::get(reader, key))?;
        let now = self.now();
        Ok(stored
            .filter(|record| record.is_remembered(now))
            .map(|record| Known::Stored(Box::new(record))))
    }

    /// Sends a message unless its key is under way already, and waits for the end.
    pub(super) async fn deliver(&self, ask: Ask) -> Result<Outcome, Full> {
        let (live, draft) = self.draft(ask)?;
        if let Some(draft) = draft {
            // On the work runtime: a caller who goes away stops nothing.
            self.inner.parts.work.spawn(draft.keep());
        }
        Ok(Known::Live(live).outcome().await)
    }

    /// Takes a place for a new delivery. There is nothing to write where another request with the key was faster.
    pub(super) fn draft(&self, ask: Ask) -> Result<(Arc<Live>, Option<Draft>), Full> {
        let live = Live::new(ask.channel.name());
        let number = {
            let mut active = self.active();
            if let Some(live) = active.deliveries.get(&ask.key) {
                return Ok((Arc::clone(live), None));
            }
            active.enter(&ask.key, &live)?;
            active.number += 1;
            active.number
        };
        let now = self.now();
        let record = Record {
            origin: ask.origin,
            channel: live.channel.clone(),
            parcel: ask.parcel,
            session_key: ask.session_key,
            state: State::Queued,
            problem: None,
            attempts: 0,
            number,
            queued_at: now,
            changed_at: now,
        };
        let place = (record, ask.channel, Arc::clone(&live));
        Ok((live, Some(Draft::of(self.clone(), place))))
    }

    /// Takes up what a former process left unfinished.
    pub(super) async fn take_up(&self, mut record: Record) -> Result<(), StoreError> {
        let channel = self.channel(&record.channel);
        let was_sending = record.state == State::Sending;
        let channel = match channel {
            Some(channel) if !was_sending || channel.deduplicates() => channel,
            other => {
                record.state = match (was_sending, other) {
                    (true, _) => State::Unknown(RESTARTED.to_owned()),
                    (false, _) => State::Failed(format!("unsupported channel: {}", record.channel)),
                };
                record.changed_at = self.now();
                return self.write(&record).await;
            }
        };
        let live = Live::new(&record.channel);
        let key = DeliveryKey::of_record(&record);
        // Not bounded here: there were no more of them than the former process had places.
        self.active().deliveries.insert(key, Arc::clone(&live));
        self.have_carried(record, channel, live);
        Ok(())
    }

    fn have_carried(&self, record: Record, channel: Arc<dyn Channel>, live: Arc<Live>) {
        // Taken here, so that deliveries to one address keep the order in which they were recorded.
        let turn = self.lane(&record).lock_owned();
        let outbox = self.clone();
        self.inner.parts.work.spawn(async move {
            let turn = live.turn(turn).await;
            outbox.carry(record, &*channel, &live, turn).await;
        });
    }

    /// Carries a delivery to its end; one without a turn was cancelled before it.
    async fn carry(
        &self,
        mut record: Record,
        channel: &dyn Channel,
        live: &Live,
        turn: Option<OwnedMutexGuard<()>>,
    ) {
        record.state = match &turn {
            Some(_) => self.attempt(&mut record, channel, live).await,
            None => State::Cancelled,
        };
        record.changed_at = self.now();
        if let Err(error) = self.conclude(&record).await {
            tracing::error!(%error, "the end of a delivery could not be written");
        }
        let key = DeliveryKey::of_record(&record);
        self.active().deliveries.remove(&key);
        live.end.send_replace(Some(End::Over(record.state)));
    }

    /// Tries until there is an end.
    async fn attempt(&self, record: &mut Record, channel: &dyn Channel, live: &Live) -> State {
        while live.begin() {
            record.attempts += 1;
            if let Err(error) = self.step(record, State::Sending).await {
                // Not sent without a note of it: after a crash nobody would know.
                tracing::error!(%error, "a message could not be sent because its state could not be written");
                return State::Unknown(
                    "the gateway's store failed; the message was not sent yet".to_owned(),
                );
            }
            let attempt = AssertUnwindSafe(channel.send(record.parcel.clone())).catch_unwind();
            let fault = match attempt.await {
                Ok(Ok(receipt)) => return State::Sent(receipt),
                Ok(Err(fault)) => fault,
                Err(_) => Fault::Unknown("the channel failed for an internal reason".to_owned()),
            };
            let problem = fault.to_string();
            match retry::next(fault, record.attempts, channel.deduplicates()) {
                Next::Fail(problem) => return State::Failed(problem),
                Next::Unknown(problem) => return State::Unknown(problem),
                Next::Again(pause) => {
                    live.rest();
                    record.problem = Some(problem);
                    if let Err(error) = self.step(record, State::Queued).await {
                        tracing::warn!(%error, "the state of a message could not be written");
                    }
                    live.pause(pause).await;
                }
            }
        }
        State::Cancelled
    }

    async fn step(&self, record: &mut Record, state: State) -> Result<(), StoreError> {
        record.state = state;
        record.changed_at = self.now();
        self.write(record).await
    }

    /// Writes a record.
    pub(super) async fn write(&self, record: &Record) -> Result<(), StoreError> {
        let record = record.clone();
        let sessions = &self.inner.parts.sessions;
        sessions
            .write(move |changes| record.put(changes.writer()))
            .await
    }

    /// Writes the end, and notes what was sent in the conversation that it belongs to.
    async fn conclude(&self, record: &Record) -> Result<(), StoreError> {
        let record = record.clone();
        let sessions = &self.inner.parts.sessions;
        let noted = record
            .session_key
            .as_deref()
            .filter(|_| matches!(record.state, State::Sent(_)) && record.channel != webchat::NAME);
        let session = noted.map(|key| sessions.key(key));
        let now = record.changed_at;
        sessions
            .write(move |changes| {
                record.put(changes.writer())?;
                let (Some(session), Content::Message { text, .. }) =
                    (session, &record.parcel.content)
                else {
                    return Ok(());
                };
                let mut entry = changes.entry(&session)?.unwrap_or_else(|| Entry::new(now));
                entry.touch(now);
                changes.append(&entry.session_id, &json!(injected::message(text, now)))?;
                changes.put_entry(&session, &entry)
            })
            .await
    }

    /// Whose turn it is at a record's address.
    fn lane(&self, record: &Record) -> Arc<tokio::sync::Mutex<()>> {
        let account = record.parcel.account_id.as_deref().unwrap_or_default();
        let name = [&record.channel, account, &record.parcel.to].join("\0");
        let mut active = self.active();
        if let Some(lane) = active.lanes.get(&name).and_then(Weak::upgrade) {
            return lane;
        }
        // No more of them than deliveries.
        active.lanes.retain(|_, lane| lane.strong_count() > 0);
        let lane = Arc::default();
        active.lanes.insert(name, Arc::downgrade(&lane));
        lane
    }
}
