//! A delivery on disk: stored before it is acknowledged, and its state before each step that cannot be taken back.

use std::ops::ControlFlow;

use openclaw_protocol::protocol::limits;
use openclaw_protocol::types::{OutboxOrigin, OutboxState};
use serde::{Deserialize, Serialize};

use super::channel::{Parcel, Receipt};
use crate::hex::sha256_hex;
use crate::store::{Reader, StoreError, Table, Writer};

/// How long a delivery that was not sent, or may not have been, is kept: long enough for somebody to ask where a message went.
pub(super) const KEPT_MS: u64 = 7 * 24 * 3_600_000;

/// What the keys of deliveries begin with; channels keep records of their own beside them.
const RECORDS: &str = "delivery:";

/// A delivery, identified: the digest of its origin and key, in hex. Keys are as long as clients like, and those of different
/// origins do not meet (contract 6.4).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct DeliveryKey(String);

impl DeliveryKey {
    pub(super) fn new(origin: OutboxOrigin, key: &str) -> Self {
        Self(sha256_hex(format!("{origin}:{key}")))
    }

    /// The key of a stored delivery.
    pub(super) fn of_record(record: &Record) -> Self {
        Self(record.parcel.id.clone())
    }

    /// The id that channels see.
    pub(super) fn id(&self) -> &str {
        &self.0
    }
}

fn stored(id: &str) -> Vec<u8> {
    [RECORDS, id].concat().into_bytes()
}

/// Where a delivery is in its life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum State {
    /// Waits for its turn, or for another attempt.
    Queued,
    /// An attempt is under way. Found at a start, it says that nobody knows how that ended.
    Sending,
    /// The channel has it.
    Sent(Receipt),
    /// The channel does not have it; why.
    Failed(String),
    /// Nobody can say; why.
    Unknown(String),
    /// An operator has called it off; the channel never had it.
    Cancelled,
}

/// What a delivery without a known end is said to be.
pub(super) const RESTARTED: &str = "the gateway was stopped while the message was being sent; whether it arrived is unknown, and it is not sent again";

/// What a cancelled delivery is said to have failed with.
pub(super) const CANCELLED: &str = "the message was cancelled by an operator; it was not sent";

impl State {
    /// Is nothing left to do?
    pub(super) fn is_over(&self) -> bool {
        !matches!(self, Self::Queued | Self::Sending)
    }

    /// In the protocol's words.
    pub(super) fn word(&self) -> OutboxState {
        match self {
            Self::Queued => OutboxState::Queued,
            Self::Sending => OutboxState::Sending,
            Self::Sent(_) => OutboxState::Sent,
            Self::Failed(_) => OutboxState::Failed,
            Self::Unknown(_) => OutboxState::Unknown,
            Self::Cancelled => OutboxState::Cancelled,
        }
    }
}

/// The record of a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    /// What asked for it.
    #[serde(alias = "space")]
    pub(super) origin: OutboxOrigin,
    pub(super) channel: String,
    pub(super) parcel: Parcel,
    /// Conversation whose transcript notes what was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) session_key: Option<String>,
    pub(super) state: State,
    /// Why the last attempt was not the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) problem: Option<String>,
    /// Attempts begun, since an operator asked for more of them.
    pub(super) attempts: u32,
    /// Order of acceptance, over restarts.
    pub(super) number: u64,
    pub(super) queued_at: u64,
    pub(super) changed_at: u64,
}

impl Record {
    /// Writes it.
    pub(super) fn put(&self, writer: &mut Writer<'_>) -> Result<(), StoreError> {
        writer.put(Table::Outbox, &stored(&self.parcel.id), self)
    }

    /// The record of a delivery.
    pub(super) fn get(reader: &Reader<'_>, key: &DeliveryKey) -> Result<Option<Self>, StoreError> {
        reader.get(Table::Outbox, &stored(key.id()))
    }

    /// The state of a delivery that nobody carries: one that is not over has an end that could not be written.
    pub(super) fn standing(&self) -> State {
        match &self.state {
            State::Queued | State::Sending => State::Unknown(RESTARTED.to_owned()),
            over => over.clone(),
        }
    }

    /// Does its key still bring back its outcome? What may have arrived is never sent again under its key.
    pub(super) fn is_remembered(&self, now: u64) -> bool {
        let is_fresh = now.saturating_sub(self.changed_at) < limits::DEDUPE_TTL_MS;
        is_fresh || !self.state.is_over() || matches!(self.state, State::Unknown(_))
    }

    /// Is it still of interest?
    pub(super) fn is_kept(&self, now: u64) -> bool {
        let limit = match self.state {
            State::Sent(_) => limits::DEDUPE_TTL_MS,
            _ => KEPT_MS,
        };
        now.saturating_sub(self.changed_at) < limit
    }
}

/// Removes a delivery and what its channel kept about it.
pub(super) fn delete(writer: &mut Writer<'_>, id: &str) -> Result<(), StoreError> {
    writer.delete(Table::Outbox, &stored(id))?;
    writer
        .delete(Table::Outbox, &super::webchat::mark(id))
        .map(|_| ())
}

/// The records whose id begins with these characters, two at most: nobody needs more to see that one is not enough.
pub(super) fn beginning(reader: &Reader<'_>, id: &str) -> Result<Vec<Record>, StoreError> {
    let mut records: Vec<Record> = Vec::new();
    reader.scan(Table::Outbox, &stored(id), |_, record| {
        records.push(record);
        if records.len() < 2 {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    })?;
    Ok(records)
}

/// Shows all records to `each`, one at a time: together they may be large.
pub(super) fn visit(reader: &Reader<'_>, mut each: impl FnMut(Record)) -> Result<(), StoreError> {
    reader.scan(Table::Outbox, RECORDS.as_bytes(), |_, record| {
        each(record);
        ControlFlow::Continue(())
    })
}

/// All records in the order of their acceptance.
pub(super) fn all(reader: &Reader<'_>) -> Result<Vec<Record>, StoreError> {
    let mut records = Vec::new();
    visit(reader, |record| records.push(record))?;
    records.sort_by_key(|record: &Record| record.number);
    Ok(records)
}
