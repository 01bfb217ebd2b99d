//! How runs end, and for how long that is known (contract 6.4, `agent.wait` in 6.6; odds 12, 14, 43, 44).
//!
//! [`Ledger`] is the memory: small rows, bounded in number and age. The record of each run in the store outlives the
//! process; it alone holds the text of a reply, which is read again when a key is repeated.

use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;

use openclaw_protocol::protocol::limits;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::aftermath::Aftermath;
use super::backend::Usage;
use crate::store::{Reader, StoreError, Table, Writer};

/// Most ended runs that are remembered.
const MAX_ENDED: usize = limits::DEDUPE_MAX as usize;
/// What the keys of run records begin with; the table has room for records of other methods.
const RECORDS: &[u8] = b"run:";

/// Which method began a run: keys of different methods do not meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Space {
    /// `agent`.
    Agent,
    /// `chat.send`.
    Chat,
}

/// A run, identified: the digest of method and idempotency key. Keys are as long as clients like; this is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct RunKey([u8; 32]);

impl RunKey {
    pub(super) fn new(space: Space, id: &str) -> Self {
        let prefix = match space {
            Space::Agent => "agent:",
            Space::Chat => "chat:",
        };
        Self(
            Sha256::new()
                .chain_update(prefix)
                .chain_update(id)
                .finalize()
                .into(),
        )
    }

    fn stored(&self) -> Vec<u8> {
        [RECORDS, &self.0].concat()
    }

    fn from_stored(key: &[u8]) -> Option<Self> {
        key.strip_prefix(RECORDS)?.try_into().ok().map(Self)
    }
}

/// Who called a chat run off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum AbortReason {
    /// `chat.abort`.
    Rpc,
    /// A stop word.
    Stop,
    /// The clock.
    Timeout,
}

impl AbortReason {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Rpc => "rpc",
            Self::Stop => "stop",
            Self::Timeout => "timeout",
        }
    }

    /// What clients are told of the run.
    pub(super) fn words(self) -> String {
        format!("run aborted ({})", self.as_str())
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum End {
    /// With a reply, be it empty.
    Completed,
    /// With an error; its text, for clients.
    Failed(String),
    /// Called off.
    Aborted(AbortReason),
}

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Reply {
    /// What was said before tools were used, oldest first; each trimmed and not empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) before: Vec<String>,
    /// The reply, trimmed; empty if there was none.
    pub(super) text: String,
    pub(super) session_id: String,
    pub(super) provider: String,
    pub(super) model: String,
    pub(super) usage: Usage,
    pub(super) duration_ms: u64,
}

impl Reply {
    /// All that was said, with a blank line between.
    pub(super) fn whole(&self) -> String {
        let said = self.before.iter().chain([&self.text]);
        let said = said.map(String::as_str).filter(|text| !text.is_empty());
        said.collect::<Vec<_>>().join("\n\n")
    }
}

/// A run that has ended, without its reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) started_at: Option<u64>,
    pub(super) ended_at: u64,
    pub(super) end: End,
}

/// The ended runs of the last ten minutes.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    runs: HashMap<RunKey, Ended>,
    by_age: BTreeSet<Expired>,
}

/// A run that can be forgotten, by the time of its end.
pub(super) type Expired = (u64, RunKey);

impl Ledger {
    /// Notes the end of a run and returns the runs that had to be forgotten for it.
    pub(super) fn note(&mut self, key: RunKey, ended: Ended) -> Vec<Expired> {
        self.forget(&key);
        self.by_age.insert((ended.ended_at, key));
        self.runs.insert(key, ended);
        let surplus = self.by_age.len().saturating_sub(MAX_ENDED);
        let oldest: Vec<Expired> = self.by_age.iter().take(surplus).copied().collect();
        oldest.iter().for_each(|(_, key)| self.forget(key));
        oldest
    }

    /// The end of a run as a repeated key gets it: for five minutes.
    pub(super) fn outcome(&self, key: &RunKey, now: u64) -> Option<&Ended> {
        self.within(key, now, limits::DEDUPE_TTL_MS)
    }

    /// The end of a run as `agent.wait` gets it: for ten minutes.
    pub(super) fn result(&self, key: &RunKey, now: u64) -> Option<&Ended> {
        self.within(key, now, limits::AGENT_RESULT_TTL_MS)
    }

    /// Forgets what nobody can ask for any more and returns the runs whose record in the store can go.
    pub(super) fn sweep(&mut self, now: u64) -> Vec<Expired> {
        let aged = |limit: u64| {
            let is_old = move |(at, _): &&Expired| now.saturating_sub(*at) >= limit;
            self.by_age
                .iter()
                .take_while(is_old)
                .copied()
                .collect::<Vec<_>>()
        };
        let (stale, forgotten) = (
            aged(limits::DEDUPE_TTL_MS),
            aged(limits::AGENT_RESULT_TTL_MS),
        );
        forgotten.iter().for_each(|(_, key)| self.forget(key));
        stale
    }

    fn within(&self, key: &RunKey, now: u64, ttl: u64) -> Option<&Ended> {
        self.runs
            .get(key)
            .filter(|ended| now.saturating_sub(ended.ended_at) < ttl)
    }

    fn forget(&mut self, key: &RunKey) {
        if let Some(ended) = self.runs.remove(key) {
            self.by_age.remove(&(ended.ended_at, *key));
        }
    }
}

/// The record of a run in the store. It exists before the run is acknowledged, so that no restart can run it twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    pub(super) space: Space,
    pub(super) accepted_at: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) started_at: Option<u64>,
    /// When the end was written; none while the run is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ended_at: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) end: Option<End>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reply: Option<Reply>,
    /// What it owes its conversation; none once it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) debt: Option<Debt>,
    /// What its end is to do elsewhere, or has done.
    #[serde(default, skip_serializing_if = "Aftermath::is_none")]
    pub(super) aftermath: Aftermath,
    /// Why its reply was not sent to people; none if it was, or was not to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) undelivered: Option<String>,
}

/// What a run that is under way owes its conversation: if the gateway dies, the next one pays ([`super::recovery`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Debt {
    /// Runs of one process are numbered in the order of acceptance.
    pub(super) number: u64,
    /// Canonical key of the session.
    pub(super) session: String,
    pub(super) owed: Owed,
}

/// See [`Debt`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Owed {
    /// The user's words, which the transcript does not have yet.
    Words {
        /// As the transcript will have them.
        message: Value,
        /// The conversation begins anew with them.
        anew: bool,
    },
    /// The end of a turn in the transcript with this id.
    End {
        /// The id.
        transcript: String,
    },
}

impl Record {
    /// A run that was accepted and has not ended.
    pub(super) fn accepted(space: Space, accepted_at: u64) -> Self {
        Self {
            space,
            accepted_at,
            started_at: None,
            ended_at: None,
            end: None,
            reply: None,
            debt: None,
            aftermath: Aftermath::default(),
            undelivered: None,
        }
    }

    /// Writes the record of a run.
    pub(super) fn put(&self, writer: &mut Writer<'_>, key: &RunKey) -> Result<(), StoreError> {
        writer.put(Table::Idempotency, &key.stored(), self)
    }

    /// The record of a run.
    pub(super) fn get(reader: &Reader<'_>, key: &RunKey) -> Result<Option<Self>, StoreError> {
        reader.get(Table::Idempotency, &key.stored())
    }
}

/// Removes the records of runs, but not where the same key has begun another run since.
pub(super) fn delete(writer: &mut Writer<'_>, expired: &[Expired]) -> Result<(), StoreError> {
    for (ended_at, key) in expired {
        match Record::get(&writer.reader(), key) {
            Ok(Some(record)) if record.ended_at != Some(*ended_at) => continue,
            Err(StoreError::Damaged { .. }) | Ok(_) => {}
            Err(error) => return Err(error),
        }
        writer.delete(Table::Idempotency, &key.stored())?;
    }
    Ok(())
}

/// A [`Record`] without its reply: a start must not hold a thousand of them.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Header {
    pub(super) space: Space,
    pub(super) accepted_at: u64,
    #[serde(default)]
    pub(super) started_at: Option<u64>,
    #[serde(default)]
    pub(super) ended_at: Option<u64>,
    #[serde(default)]
    pub(super) end: Option<End>,
    #[serde(default)]
    pub(super) debt: Option<Debt>,
    #[serde(default)]
    pub(super) aftermath: Aftermath,
}

/// The records of all runs.
pub(super) fn all(reader: &Reader<'_>) -> Result<Vec<(RunKey, Header)>, StoreError> {
    let mut found = Vec::new();
    reader.scan(Table::Idempotency, RECORDS, |key, header: Header| {
        found.extend(RunKey::from_stored(key).map(|key| (key, header)));
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

#[cfg(test)]
mod tests;
