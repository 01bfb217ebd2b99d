//! Transcripts that were put away: deleted ones, the whole of one that was cut, and those that a reset or a deletion
//! left behind. Nothing that was said is lost without a word: `openclaw sessions export` writes them all as files.
//!
//! A record tells where the messages are; they are in the transcripts' own table. Deleted and cut ones have moved to a
//! name of their own, so that a new session of the same id does not continue them.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::key::agent_prefix;
use super::transcript;
use crate::clock::iso_8601;
use crate::hex::sha256_hex;
use crate::store::{Reader, StoreError, Table, Writer};

/// Longest session id that is part of a file's name as it is; UUIDs have 36 characters.
const MAX_NAMED_ID: usize = 128;

/// Why a transcript was put away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// Its session was deleted.
    Deleted,
    /// It was made shorter; this is the whole.
    Cut,
    /// Its session has another one now, or is gone without it.
    Left,
}

/// A transcript that was put away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Archived {
    /// Name of its file, as the reference would have it.
    pub name: String,
    /// Canonical key of its session.
    pub key: String,
    /// Id of the session it was written in.
    pub session_id: String,
    /// When it was put away, ms.
    pub at: u64,
    /// Why.
    pub reason: Reason,
    /// Id under which its messages are stored.
    pub transcript: String,
}

/// Name of a transcript's file. Ids that clients chose may hold anything; such a one is only a digest here.
#[must_use]
pub fn file_name(session_id: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let is_safe = !session_id.is_empty()
        && session_id.len() <= MAX_NAMED_ID
        && !session_id.starts_with('.')
        && session_id.chars().all(is_plain);
    if is_safe {
        format!("{session_id}.jsonl")
    } else {
        format!("{}.jsonl", sha256_hex(session_id))
    }
}

/// Puts the transcript of a session away; none if nothing was said in it. [`Reason::Cut`] copies, [`Reason::Deleted`]
/// moves, [`Reason::Left`] leaves the messages where they are.
pub(super) fn put_away(
    writer: &mut Writer<'_>,
    (agent, key): (&str, &str),
    session_id: &str,
    reason: Reason,
    now: u64,
) -> Result<Option<Archived>, StoreError> {
    if transcript::is_empty(&writer.reader(), session_id)? {
        return Ok(None);
    }
    let file = file_name(session_id);
    let time = iso_8601(now).replace(':', "-");
    let name = match reason {
        Reason::Deleted => format!("{file}.deleted.{time}"),
        Reason::Cut => format!("{file}.bak.{time}"),
        Reason::Left => file,
    };
    let transcript = match reason {
        Reason::Left => session_id.to_owned(),
        Reason::Deleted | Reason::Cut => {
            let place = place(agent, &name);
            transcript::copy(writer, session_id, &place)?;
            place
        }
    };
    if reason == Reason::Deleted {
        transcript::remove(writer, session_id)?;
    }
    let archived = Archived {
        name,
        key: key.to_owned(),
        session_id: session_id.to_owned(),
        at: now,
        reason,
        transcript,
    };
    note(writer, agent, &archived)?;
    Ok(Some(archived))
}

/// Where the messages of an archived file are. The NUL keeps it apart from ids that are stored as they are.
pub(super) fn place(agent: &str, name: &str) -> String {
    format!("archive\0{agent}\0{name}")
}

/// Writes the record.
pub(super) fn note(
    writer: &mut Writer<'_>,
    agent: &str,
    archived: &Archived,
) -> Result<(), StoreError> {
    let mut key = agent_prefix(agent);
    key.extend_from_slice(&archived.at.to_be_bytes());
    key.extend_from_slice(sha256_hex(&archived.name).as_bytes());
    writer.put(Table::Archives, &key, archived)
}

/// Visits an agent's archived transcripts, the oldest first.
pub fn visit(
    reader: &Reader<'_>,
    agent: &str,
    mut each: impl FnMut(Archived) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    reader.scan(Table::Archives, &agent_prefix(agent), |_, archived| {
        each(archived)
    })
}

/// Agents that have archived transcripts.
pub fn agents(reader: &Reader<'_>) -> Result<Vec<String>, StoreError> {
    let mut agents = Vec::new();
    reader.scan::<serde::de::IgnoredAny>(Table::Archives, b"", |key, _| {
        let agent = key.split(|byte| *byte == 0).next().unwrap_or_default();
        let agent = String::from_utf8_lossy(agent);
        if agents.last().is_none_or(|last| *last != agent) {
            agents.push(agent.into_owned());
        }
        ControlFlow::Continue(())
    })?;
    Ok(agents)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_stay_in_their_folder() {
        let digest = |id: &str| format!("{}.jsonl", sha256_hex(id));
        for (id, name) in [
            ("0f8c-1", "0f8c-1.jsonl".to_owned()),
            ("a.b_c", "a.b_c.jsonl".to_owned()),
            ("../x", digest("../x")),
            ("a/b", digest("a/b")),
            (".hidden", digest(".hidden")),
            ("", digest("")),
            ("ümlaut", digest("ümlaut")),
            (
                &"x".repeat(MAX_NAMED_ID),
                format!("{}.jsonl", "x".repeat(MAX_NAMED_ID)),
            ),
            (
                &"x".repeat(MAX_NAMED_ID + 1),
                digest(&"x".repeat(MAX_NAMED_ID + 1)),
            ),
        ] {
            assert_eq!(file_name(id), name, "{id:?}");
        }
    }
}
