//! The run log: the newest runs of each job, in table `CronRuns` under the job's id, a zero byte and a number. The log of a
//! removed job stays, as long as not too many jobs were removed after it; their ids are one value of `Meta`.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use openclaw_protocol::protocol::limits;
use openclaw_protocol::types::CronRunLogEntry;

use crate::store::{Reader, StoreError, Table, Writer};

/// Removed jobs whose log is kept. Reminders that remove themselves come by the hundred; who looks for one looks soon.
pub const MAX_REMOVED_LOGS: usize = 200;

/// Key of the removed jobs' ids in `Meta`, oldest first.
const REMOVED: &[u8] = b"cron-removed";

/// Bytes of a job's id; ours are UUIDs. Longer ones name nothing.
const MAX_ID: usize = 64;

/// Adds a run. The oldest go when there are more than `limits.cronLogLines`.
pub(super) fn append(writer: &mut Writer<'_>, entry: &CronRunLogEntry) -> Result<(), StoreError> {
    let Some(prefix) = prefix(&entry.job_id) else {
        return Ok(());
    };
    let mut newest = None;
    writer.scan_back::<CronRunLogEntry>(Table::CronRuns, &prefix, |key, _| {
        newest = number(key, &prefix);
        ControlFlow::Break(())
    })?;
    let next = newest.map_or(0, |newest| newest + 1);
    writer.put(Table::CronRuns, &key(&prefix, next), entry)?;
    if let Some(surplus) = next.checked_sub(limits::CRON_LOG_LINES) {
        writer.delete(Table::CronRuns, &key(&prefix, surplus))?;
    }
    Ok(())
}

/// The newest `limit` runs of a job, oldest first.
pub(super) fn read(
    reader: &Reader<'_>,
    job_id: &str,
    limit: usize,
) -> Result<Vec<CronRunLogEntry>, StoreError> {
    let mut entries = Vec::new();
    let Some(prefix) = prefix(job_id).filter(|_| limit > 0) else {
        return Ok(entries);
    };
    reader.scan_back(Table::CronRuns, &prefix, |_, entry| {
        entries.push(entry);
        if entries.len() < limit {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    })?;
    entries.reverse();
    Ok(entries)
}

/// Notes that a job is removed. The log of the one that was removed longest ago goes when there are too many.
pub(super) fn removed(writer: &mut Writer<'_>, job_id: &str) -> Result<(), StoreError> {
    let mut ids: VecDeque<String> = writer.get(Table::Meta, REMOVED)?.unwrap_or_default();
    ids.push_back(job_id.to_owned());
    while ids.len() > MAX_REMOVED_LOGS {
        if let Some(prefix) = ids.pop_front().as_deref().and_then(prefix) {
            writer.delete_prefix(Table::CronRuns, &prefix)?;
        }
    }
    writer.put(Table::Meta, REMOVED, &ids)
}

/// What the keys of a job's runs begin with; none for what cannot be an id.
fn prefix(job_id: &str) -> Option<Vec<u8>> {
    let is_id = job_id.len() <= MAX_ID && !job_id.contains('\0');
    is_id.then(|| [job_id.as_bytes(), b"\0"].concat())
}

fn key(prefix: &[u8], number: u64) -> Vec<u8> {
    [prefix, &number.to_be_bytes()].concat()
}

fn number(key: &[u8], prefix: &[u8]) -> Option<u64> {
    let number = key.strip_prefix(prefix)?.try_into().ok()?;
    Some(u64::from_be_bytes(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;
    use openclaw_protocol::rt::NonEmptyString;

    fn entry(job: &str, ts: u64) -> CronRunLogEntry {
        CronRunLogEntry::new(ts, NonEmptyString::or(job, "x"))
    }

    fn times(store: &Store, job: &str, limit: usize) -> Vec<u64> {
        let entries = store.read(|reader| read(reader, job, limit)).unwrap();
        entries.into_iter().map(|entry| entry.ts).collect()
    }

    #[tokio::test]
    async fn the_newest_runs_are_kept_and_shown_oldest_first() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let lines = limits::CRON_LOG_LINES;
        let fill = store.write(move |writer| {
            append(writer, &entry("b", 7))?;
            (0..lines).try_for_each(|ts| append(writer, &entry("a", ts)))
        });
        fill.await.unwrap();
        assert_eq!(times(&store, "a", 3), [lines - 3, lines - 2, lines - 1]);
        assert_eq!(times(&store, "a", usize::MAX).len() as u64, lines);
        store
            .write(move |writer| append(writer, &entry("a", lines)))
            .await
            .unwrap();
        let all = times(&store, "a", usize::MAX);
        assert_eq!((all.len() as u64, all[0]), (lines, 1), "the oldest is gone");
        assert_eq!(times(&store, "b", 5), [7]);
        for nobody in ["", "c", "a\0", &"a".repeat(MAX_ID + 1), &"a".repeat(MAX_ID)] {
            assert_eq!(times(&store, nobody, 5), [0; 0]);
        }
        assert_eq!(times(&store, "a", 0), [0; 0]);
    }

    #[tokio::test]
    async fn logs_of_removed_jobs_are_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let remove = |range: std::ops::Range<usize>| {
            store.write(move |writer| {
                for n in range {
                    let job = format!("job-{n}");
                    append(writer, &entry(&job, 1))?;
                    removed(writer, &job)?;
                }
                Ok::<_, StoreError>(())
            })
        };
        remove(0..MAX_REMOVED_LOGS).await.unwrap();
        assert_eq!(times(&store, "job-0", 5), [1]);
        remove(MAX_REMOVED_LOGS..MAX_REMOVED_LOGS + 1)
            .await
            .unwrap();
        assert_eq!(times(&store, "job-0", 5), [0; 0]);
        assert_eq!(times(&store, "job-1", 5), [1]);
        assert_eq!(times(&store, &format!("job-{MAX_REMOVED_LOGS}"), 5), [1]);
    }
}
