//! What code inside a transaction sees: [`Reader`] and [`Writer`] over JSON values.

use std::ops::{Bound, ControlFlow, RangeBounds};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use heed::{RoTxn, RwTxn, WithoutTls};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::table::Tables;
use super::{StoreError, Table};

/// Longest key in bytes: what LMDB is built with. Callers hash keys that clients choose.
pub const MAX_KEY_BYTES: usize = 511;

/// Damaged records beyond this many are still counted, but no longer logged one by one: a scan that runs every minute
/// over a damaged table must not fill the log.
const MAX_DAMAGE_REPORTS: u64 = 64;

/// Counters of one open store.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) commits: AtomicU64,
    pub(super) writes: AtomicU64,
    pub(super) damaged: AtomicU64,
}

impl Counters {
    fn damage(&self, table: Table, key: &[u8], error: &serde_json::Error) {
        let before = self.damaged.fetch_add(1, Ordering::Relaxed);
        if before < MAX_DAMAGE_REPORTS {
            // The position and kind of the error are logged, never the record's content.
            tracing::warn!(
                %table,
                key = %key.escape_ascii(),
                kind = ?error.classify(),
                column = error.column(),
                "damaged record"
            );
        }
    }
}

/// A consistent view of the store. Lives inside one closure and is never held over an await: an old view pins pages.
pub struct Reader<'t> {
    txn: &'t RoTxn<'t, WithoutTls>,
    tables: Tables,
    counters: &'t Counters,
}

impl<'t> Reader<'t> {
    pub(super) fn new(
        txn: &'t RoTxn<'t, WithoutTls>,
        tables: Tables,
        counters: &'t Counters,
    ) -> Self {
        Self {
            txn,
            tables,
            counters,
        }
    }

    /// The value under `key`. A value that is not a `V` is [`StoreError::Damaged`].
    pub fn get<V: DeserializeOwned>(
        &self,
        table: Table,
        key: &[u8],
    ) -> Result<Option<V>, StoreError> {
        check_key(table, key)?;
        let Some(bytes) = self.tables.get(table).get(self.txn, key)? else {
            return Ok(None);
        };
        match serde_json::from_slice(bytes) {
            Ok(value) => Ok(Some(value)),
            Err(error) => {
                self.counters.damage(table, key, &error);
                Err(StoreError::Damaged {
                    table,
                    key: key.to_vec(),
                })
            }
        }
    }

    /// Visits the records whose key begins with `prefix` in key order until `visit` breaks. Damaged records are
    /// skipped and counted.
    pub fn scan<V: DeserializeOwned>(
        &self,
        table: Table,
        prefix: &[u8],
        visit: impl FnMut(&[u8], V) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let (range, database) = (PrefixRange::new(prefix), self.tables.get(table));
        self.walk(table, database.range(self.txn, &range)?, visit)
    }

    /// As [`Self::scan`], from the last key to the first.
    pub fn scan_back<V: DeserializeOwned>(
        &self,
        table: Table,
        prefix: &[u8],
        visit: impl FnMut(&[u8], V) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let (range, database) = (PrefixRange::new(prefix), self.tables.get(table));
        self.walk(table, database.rev_range(self.txn, &range)?, visit)
    }

    /// How many records have a key that begins with `prefix`, damaged ones included. Free for the empty prefix,
    /// otherwise one step a record.
    pub fn count(&self, table: Table, prefix: &[u8]) -> Result<u64, StoreError> {
        let database = self.tables.get(table);
        if prefix.is_empty() {
            return Ok(database.len(self.txn)?);
        }
        let mut count = 0;
        for record in database.range(self.txn, &PrefixRange::new(prefix))? {
            record?;
            count += 1;
        }
        Ok(count)
    }

    fn walk<'a, V: DeserializeOwned>(
        &self,
        table: Table,
        records: impl Iterator<Item = heed::Result<(&'a [u8], &'a [u8])>>,
        mut visit: impl FnMut(&[u8], V) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        for record in records {
            let (key, bytes) = record?;
            match serde_json::from_slice(bytes) {
                Ok(value) => {
                    if visit(key, value).is_break() {
                        break;
                    }
                }
                Err(error) => self.counters.damage(table, key, &error),
            }
        }
        Ok(())
    }
}

/// One write: sees its own changes, and either all of them are stored or none.
pub struct Writer<'t> {
    txn: RwTxn<'t>,
    tables: Tables,
    counters: Arc<Counters>,
    failure: Option<StoreError>,
}

impl<'t> Writer<'t> {
    pub(super) fn new(txn: RwTxn<'t>, tables: Tables, counters: Arc<Counters>) -> Self {
        Self {
            txn,
            tables,
            counters,
            failure: None,
        }
    }

    pub(super) fn into_txn(self) -> RwTxn<'t> {
        self.txn
    }

    /// The first change that the database refused. The transaction is unusable then, even if the closure went on:
    /// committing it nested would spoil the whole batch.
    pub(super) fn failure(&self) -> Option<&StoreError> {
        self.failure.as_ref()
    }

    fn changed<T>(&mut self, outcome: heed::Result<T>) -> Result<T, StoreError> {
        outcome.map_err(|error| {
            let error = StoreError::from(error);
            self.failure.get_or_insert_with(|| error.clone());
            error
        })
    }

    /// The store as this write sees it, for code that only reads.
    #[must_use]
    pub fn reader(&self) -> Reader<'_> {
        Reader::new(&self.txn, self.tables, &self.counters)
    }

    /// As [`Reader::get`].
    pub fn get<V: DeserializeOwned>(
        &self,
        table: Table,
        key: &[u8],
    ) -> Result<Option<V>, StoreError> {
        self.reader().get(table, key)
    }

    /// As [`Reader::scan`].
    pub fn scan<V: DeserializeOwned>(
        &self,
        table: Table,
        prefix: &[u8],
        visit: impl FnMut(&[u8], V) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.reader().scan(table, prefix, visit)
    }

    /// As [`Reader::scan_back`].
    pub fn scan_back<V: DeserializeOwned>(
        &self,
        table: Table,
        prefix: &[u8],
        visit: impl FnMut(&[u8], V) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.reader().scan_back(table, prefix, visit)
    }

    /// As [`Reader::count`].
    pub fn count(&self, table: Table, prefix: &[u8]) -> Result<u64, StoreError> {
        self.reader().count(table, prefix)
    }

    /// Stores `value` under `key`, replacing what was there.
    pub fn put<V: Serialize + ?Sized>(
        &mut self,
        table: Table,
        key: &[u8],
        value: &V,
    ) -> Result<(), StoreError> {
        let bytes = serde_json::to_vec(value).map_err(|error| StoreError::Encode {
            table,
            cause: Arc::new(error),
        })?;
        self.put_bytes(table, key, &bytes)
    }

    /// Stores bytes as they are: `put` after serialising, and tests that need a damaged value.
    pub(super) fn put_bytes(
        &mut self,
        table: Table,
        key: &[u8],
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        check_key(table, key)?;
        let outcome = self.tables.get(table).put(&mut self.txn, key, bytes);
        self.changed(outcome)
    }

    /// Removes the record under `key`; whether there was one.
    pub fn delete(&mut self, table: Table, key: &[u8]) -> Result<bool, StoreError> {
        check_key(table, key)?;
        let outcome = self.tables.get(table).delete(&mut self.txn, key);
        self.changed(outcome)
    }

    /// Removes every record whose key begins with `prefix` and returns their number.
    pub fn delete_prefix(&mut self, table: Table, prefix: &[u8]) -> Result<u64, StoreError> {
        let range = PrefixRange::new(prefix);
        let outcome = self.tables.get(table).delete_range(&mut self.txn, &range);
        self.changed(outcome).map(|deleted| deleted as u64)
    }
}

fn check_key(table: Table, key: &[u8]) -> Result<(), StoreError> {
    if key.is_empty() || key.len() > MAX_KEY_BYTES {
        return Err(StoreError::KeyLength {
            table,
            length: key.len(),
        });
    }
    Ok(())
}

/// The keys that begin with a prefix, as a range.
struct PrefixRange {
    prefix: Vec<u8>,
    end: Option<Vec<u8>>,
}

impl PrefixRange {
    fn new(prefix: &[u8]) -> Self {
        // The smallest key greater than all of them: the last byte below 0xff counted up, what follows it cut off.
        let end = prefix
            .iter()
            .rposition(|&byte| byte != u8::MAX)
            .map(|last| {
                let mut end = prefix[..=last].to_vec();
                end[last] += 1;
                end
            });
        Self {
            prefix: prefix.to_vec(),
            end,
        }
    }
}

impl RangeBounds<[u8]> for PrefixRange {
    fn start_bound(&self) -> Bound<&[u8]> {
        // LMDB knows no empty key, so the empty prefix has no bound.
        if self.prefix.is_empty() {
            Bound::Unbounded
        } else {
            Bound::Included(&self.prefix)
        }
    }

    fn end_bound(&self) -> Bound<&[u8]> {
        match &self.end {
            Some(end) => Bound::Excluded(end),
            None => Bound::Unbounded,
        }
    }
}
