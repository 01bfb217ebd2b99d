//! A delivery on disk: stored before it is acknowledged, and its state before each step that cannot be taken back.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::channel::{Parcel, Receipt};
use crate::store::{Reader, StoreError, Table, Writer};

/// Which method a delivery came by: keys of different methods do not meet (contract 6.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Space {
    /// `send`.
    Send,
    /// `poll`.
    Poll,
}

impl Space {
    fn prefix(self) -> &'static str {
        match self {
            Self::Send => "send:",
            Self::Poll => "poll:",
        }
    }
}

/// What the keys of deliveries begin with; channels keep records of their own beside them.
const RECORDS: &str = "delivery:";

/// A delivery, identified: the digest of method and idempotency key, in hex. Keys are as long as clients like.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct DeliveryKey(String);

impl DeliveryKey {
    pub(super) fn new(space: Space, key: &str) -> Self {
        let digest = Sha256::new()
            .chain_update(space.prefix())
            .chain_update(key)
            .finalize();
        Self(digest.iter().map(|byte| format!("{byte:02x}")).collect())
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
}

impl State {
    /// Is nothing left to do?
    pub(super) fn is_over(&self) -> bool {
        !matches!(self, Self::Queued | Self::Sending)
    }
}

/// The record of a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    pub(super) space: Space,
    pub(super) channel: String,
    pub(super) parcel: Parcel,
    /// Conversation whose transcript notes what was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) session_key: Option<String>,
    pub(super) state: State,
    /// Attempts begun.
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
}

/// Removes a delivery and what its channel kept about it.
pub(super) fn delete(writer: &mut Writer<'_>, id: &str) -> Result<(), StoreError> {
    writer.delete(Table::Outbox, &stored(id))?;
    writer
        .delete(Table::Outbox, &super::webchat::mark(id))
        .map(|_| ())
}

/// All records in the order of their acceptance.
pub(super) fn all(reader: &Reader<'_>) -> Result<Vec<Record>, StoreError> {
    let mut records: Vec<Record> = Vec::new();
    reader.scan(Table::Outbox, RECORDS.as_bytes(), |_, record| {
        records.push(record);
        ControlFlow::Continue(())
    })?;
    records.sort_by_key(|record| record.number);
    Ok(records)
}
