//! From the store to files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::super::archive::{self, Archived};
use super::super::{Entry, Sessions, entry, heads, transcript};
use super::{FilesError, INDEX, folder};
use crate::clock::iso_8601;
use crate::store::Reader;

/// Member of an entry that names its transcript's file.
pub(super) const SESSION_FILE: &str = "sessionFile";

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Exported {
    /// Agents that have sessions.
    pub agents: usize,
    /// Sessions.
    pub sessions: usize,
    /// Messages, those of archived transcripts included.
    pub messages: u64,
    /// Archived transcripts.
    pub archived: usize,
}

/// A line of a transcript that holds a message.
#[derive(Serialize)]
struct MessageLine<'a> {
    r#type: &'static str,
    id: String,
    #[serde(rename = "parentId")]
    parent_id: Option<String>,
    timestamp: String,
    message: &'a RawValue,
}

impl Sessions {
    /// Writes all sessions, or those of one agent, below `out`, which is made if it is missing. One consistent view.
    ///
    /// # Errors
    /// [`FilesError::Occupied`] before anything is written if there are sessions already; otherwise what the file
    /// system or the store says, and files may be half there.
    pub fn export(&self, out: &Path, agent: Option<&str>) -> Result<Exported, FilesError> {
        let mut outcome = Ok(Exported::default());
        self.read(|reader| {
            outcome = export(reader, out, agent);
            Ok(())
        })?;
        outcome
    }
}

fn export(reader: &Reader<'_>, out: &Path, agent: Option<&str>) -> Result<Exported, FilesError> {
    let mut agents: BTreeSet<String> = archive::agents(reader)?.into_iter().collect();
    entry::visit_tags(reader, None, |agent, _, _| {
        if !agents.contains(agent) {
            agents.insert(agent.to_owned());
        }
        ControlFlow::Continue(())
    })?;
    agents.retain(|found| agent.is_none_or(|wanted| wanted == found));
    for agent in &agents {
        let index = folder(out, agent).join(INDEX);
        if index.exists() {
            return Err(FilesError::Occupied { path: index });
        }
    }
    let mut exported = Exported::default();
    for agent in &agents {
        export_agent(reader, &folder(out, agent), agent, &mut exported)?;
        exported.agents += 1;
    }
    Ok(exported)
}

fn export_agent(
    reader: &Reader<'_>,
    dir: &Path,
    agent: &str,
    exported: &mut Exported,
) -> Result<(), FilesError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(FilesError::file(dir))?;
    let mut entries = Vec::new();
    entry::visit(reader, Some(agent), |_, key, entry| {
        entries.push((key, entry));
        ControlFlow::Continue(())
    })?;
    let mut index: BTreeMap<String, Value> = BTreeMap::new();
    let mut names = BTreeSet::new();
    for (key, mut entry) in entries {
        exported.sessions += 1;
        if !entry.session_id.is_empty() {
            let name = archive::file_name(&entry.session_id);
            let path = dir.join(&name);
            // Two sessions of one transcript share its file.
            if names.insert(name) {
                let written = write_transcript(reader, &path, &entry.session_id, &entry)?;
                exported.messages += written;
            }
            if path.exists() {
                let shown = path.display().to_string();
                entry.extra.insert(SESSION_FILE.to_owned(), shown.into());
            }
        }
        index.insert(key, json!(entry));
    }
    let mut archived = Vec::new();
    archive::visit(reader, agent, |row| {
        archived.push(row);
        ControlFlow::Continue(())
    })?;
    for Archived {
        name,
        transcript,
        session_id,
        at,
        ..
    } in archived
    {
        let stamp = Entry {
            session_id,
            updated_at: Some(at),
            ..Entry::default()
        };
        // What a session uses again is in its own file.
        if names.insert(name.clone()) {
            let written = write_transcript(reader, &dir.join(&name), &transcript, &stamp)?;
            exported.messages += written;
            exported.archived += usize::from(written > 0);
        }
    }
    // Last, so that a folder with a list is whole.
    let path = dir.join(INDEX);
    let mut file = BufWriter::new(create(&path)?);
    serde_json::to_writer_pretty(&mut file, &index).map_err(|cause| FilesError::File {
        path: path.clone(),
        cause: cause.into(),
    })?;
    finish(file, &path)
}

/// Writes a transcript and returns the number of its messages; no file for none.
fn write_transcript(
    reader: &Reader<'_>,
    path: &Path,
    transcript: &str,
    entry: &Entry,
) -> Result<u64, FilesError> {
    if transcript::is_empty(reader, transcript)? {
        return Ok(0);
    }
    let mut file = BufWriter::new(create(path)?);
    let fallback = entry.updated_at.unwrap_or(0);
    let head = heads::records(reader, transcript, entry)?;
    let mut written = head.iter().try_for_each(|record| line(&mut file, record));
    // The first record has no number.
    let before = head.len().saturating_sub(1) as u64;
    let mut count: u64 = 0;
    transcript::head(reader, transcript, |message: Box<RawValue>| {
        let number = before + count;
        let parent_id = (number > 0).then(|| heads::id(number));
        count += 1;
        let line_of = MessageLine {
            r#type: "message",
            id: heads::id(number + 1),
            parent_id,
            timestamp: iso_8601(stamp(&message).unwrap_or(fallback)),
            message: &message,
        };
        written = line(&mut file, &line_of);
        if written.is_ok() {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    })?;
    written.map_err(FilesError::file(path))?;
    finish(file, path)?;
    Ok(count)
}

/// When a message was written.
fn stamp(message: &RawValue) -> Option<u64> {
    #[derive(serde::Deserialize)]
    struct Stamped {
        timestamp: Option<u64>,
    }
    serde_json::from_str::<Stamped>(message.get())
        .ok()?
        .timestamp
}

fn line(file: &mut impl Write, value: &impl Serialize) -> std::io::Result<()> {
    serde_json::to_writer(&mut *file, value)?;
    file.write_all(b"\n")
}

/// A new file that only its user can read.
fn create(path: &Path) -> Result<File, FilesError> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(FilesError::file(path))
}

fn finish(file: BufWriter<File>, path: &Path) -> Result<(), FilesError> {
    let file = file
        .into_inner()
        .map_err(|error| FilesError::file(path)(error.into_error()))?;
    file.sync_all().map_err(FilesError::file(path))
}
