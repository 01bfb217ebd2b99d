//! The tables of the store and their LMDB databases.

use std::fmt;

use heed::types::Bytes;
use heed::{CommitOrAbort, Database, Env, WithoutTls};

use super::StoreError;

/// An LMDB database of raw keys and JSON values, usable for as long as its environment is open.
pub(super) type RawTable = Database<'static, Bytes, Bytes>;

/// A table. Keys are bytes and sorted bytewise; values are JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Table {
    /// Facts about the store itself (format version) and single values of the gateway.
    Meta,
    /// Paired devices by device id.
    Devices,
    /// Pairing requests that wait for a decision.
    PendingPairings,
    /// Nodes of the older pairing by token.
    PairedNodes,
    /// Requests of the older pairing of nodes.
    PendingNodes,
    /// Session entries by canonical session key.
    Sessions,
    /// Transcript lines by session and position.
    Transcripts,
    /// Transcripts that were put away, by agent and time.
    Archives,
    /// Outcomes of requests by idempotency key.
    Idempotency,
    /// The words that wake a listening device: one record.
    VoiceWake,
    /// Questions about commands, by digest of their id.
    ExecApprovals,
    /// Jobs by id.
    CronJobs,
    /// Ended runs of jobs by job and number.
    CronRuns,
    /// Deliveries to people, and what channels keep about them.
    Outbox,
    /// Texts that wait for the next run of a session, by session.
    SystemEvents,
    /// What models used, by quarter of an hour and model.
    Usage,
}

impl Table {
    /// Every table, in the order of their declaration.
    pub const ALL: [Self; 16] = [
        Self::Meta,
        Self::Devices,
        Self::PendingPairings,
        Self::PairedNodes,
        Self::PendingNodes,
        Self::Sessions,
        Self::Transcripts,
        Self::Archives,
        Self::Idempotency,
        Self::VoiceWake,
        Self::ExecApprovals,
        Self::CronJobs,
        Self::CronRuns,
        Self::Outbox,
        Self::SystemEvents,
        Self::Usage,
    ];

    /// Name of the LMDB database; part of the format, never change one.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Devices => "devices",
            Self::PendingPairings => "pending-pairings",
            Self::PairedNodes => "paired-nodes",
            Self::PendingNodes => "pending-nodes",
            Self::Sessions => "sessions",
            Self::Transcripts => "transcripts",
            Self::Archives => "archives",
            Self::Idempotency => "idempotency",
            Self::VoiceWake => "voice-wake",
            Self::ExecApprovals => "exec-approvals",
            Self::CronJobs => "cron-jobs",
            Self::CronRuns => "cron-runs",
            Self::Outbox => "outbox",
            Self::SystemEvents => "system-events",
            Self::Usage => "usage",
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The opened database of every table.
#[derive(Clone, Copy)]
pub(super) struct Tables([RawTable; Table::ALL.len()]);

impl Tables {
    /// Opens all tables, creating the missing ones, in one transaction.
    pub(super) fn create(env: &Env<WithoutTls>) -> Result<Self, StoreError> {
        let txn = env.write_txn()?;
        let created = env.create_databases_and_commit(txn, |opener, txn| {
            let mut databases = Vec::with_capacity(Table::ALL.len());
            for table in Table::ALL {
                databases.push(opener.create_database::<Bytes, Bytes>(txn, Some(table.name()))?);
            }
            let databases: Result<[Database<'_, Bytes, Bytes>; Table::ALL.len()], _> =
                databases.try_into();
            Ok::<_, heed::Error>(match databases {
                Ok(databases) => CommitOrAbort::Commit(databases),
                Err(_) => CommitOrAbort::Abort(()),
            })
        })?;
        created.commit().map(Self).ok_or(StoreError::Closed)
    }

    /// Opens `Meta` alone without creating anything: `None` in a fresh environment.
    pub(super) fn existing_meta(env: &Env<WithoutTls>) -> Result<Option<RawTable>, StoreError> {
        let txn = env.read_txn()?;
        let opened = env.open_databases_and_commit(txn, |opener, txn| {
            opener
                .open_database::<Bytes, Bytes>(txn, Some(Table::Meta.name()))
                .map(CommitOrAbort::<_, ()>::Commit)
        })?;
        Ok(opened.commit().flatten())
    }

    pub(super) fn get(&self, table: Table) -> &RawTable {
        &self.0[table as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_stand_at_their_own_index_under_distinct_names() {
        for (index, table) in Table::ALL.into_iter().enumerate() {
            assert_eq!(table as usize, index);
            assert_eq!(
                Table::ALL
                    .iter()
                    .filter(|other| other.name() == table.name())
                    .count(),
                1
            );
        }
    }
}
