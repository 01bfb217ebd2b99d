//! From files to the store.
//!
//! What is stored already stays as it is: a second import of the same folder changes nothing.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::super::archive::{self, Archived, Reason};
use super::super::key::{GLOBAL, SessionKey, UNKNOWN, normalise_agent_id};
use super::super::{Changes, Entry, Sessions, transcript};
use super::export::SESSION_FILE;
use super::{FilesError, INDEX, MAX_LINE_BYTES, folder};
use crate::store::StoreError;
use crate::usage::ledger::{self, Reply};

/// Transcripts that are in memory and written together: one commit for many small ones.
const BATCH: usize = 32;
/// What the name of a transcript's file holds.
const TRANSCRIPT: &str = ".jsonl";

/// What was read in.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Imported {
    /// Sessions.
    pub sessions: usize,
    /// Messages, those of archived transcripts included.
    pub messages: u64,
    /// Archived transcripts.
    pub archived: usize,
    /// Lines of transcripts that hold no message: their heads, notes of a change of model and the like.
    pub other_lines: u64,
    /// Sessions and files that were left alone.
    pub passed_over: Vec<PassedOver>,
    /// Keys and files that this import has taken in, so that it can be continued.
    #[serde(skip)]
    done: HashSet<String>,
}

/// A session or file that was left alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PassedOver {
    /// Its key or name.
    pub name: String,
    /// Why.
    pub why: String,
}

impl Imported {
    fn pass_over(&mut self, name: &str, why: impl Into<String>) {
        self.passed_over.push(PassedOver {
            name: name.to_owned(),
            why: why.into(),
        });
    }
}

/// A session as it was read.
struct Found {
    key: SessionKey,
    entry: Entry,
    messages: Vec<Box<RawValue>>,
}

impl Sessions {
    /// Reads all sessions below `from`, or those of one agent, into the store, and adds to `imported` what was done.
    /// After a failure it can be called again and goes on where it stopped.
    ///
    /// # Errors
    /// See [`FilesError`]; what was written before stays.
    pub async fn import(
        &self,
        from: &Path,
        agent: Option<&str>,
        imported: &mut Imported,
    ) -> Result<(), FilesError> {
        imported.passed_over.clear();
        let agents = agents(from)?;
        let agents: Vec<_> = agents
            .into_iter()
            .filter(|(id, _)| agent.is_none_or(|wanted| wanted == id))
            .collect();
        if agents.is_empty() {
            return Err(FilesError::Nothing {
                path: from.to_owned(),
            });
        }
        for (agent, dir) in agents {
            let mut used = HashSet::new();
            let mut batch = Vec::new();
            for (key, entry) in self.listed(&dir, &agent, imported)? {
                let Some(found) = self.found(&dir, key, entry, &mut used, imported)? else {
                    continue;
                };
                batch.push(found);
                if batch.len() == BATCH {
                    self.take_in(std::mem::take(&mut batch), imported).await?;
                }
            }
            self.take_in(batch, imported).await?;
            self.take_in_archived(&dir, &agent, &used, imported).await?;
        }
        Ok(())
    }

    /// The sessions that a list names, the newest first.
    fn listed(
        &self,
        dir: &Path,
        agent: &str,
        imported: &mut Imported,
    ) -> Result<Vec<(SessionKey, Entry)>, FilesError> {
        let path = dir.join(INDEX);
        let text = std::fs::read(&path).map_err(FilesError::file(&path))?;
        let index: BTreeMap<String, Value> =
            serde_json::from_slice(&text).map_err(|cause| FilesError::Index { path, cause })?;
        let mut listed = Vec::new();
        for (raw, value) in index {
            match serde_json::from_value::<Entry>(value) {
                Ok(entry) => listed.push((self.key_of(&raw, agent), entry)),
                Err(error) => {
                    imported.pass_over(&raw, format!("its entry cannot be read: {error}"))
                }
            }
        }
        listed.sort_by_key(|(_, entry)| std::cmp::Reverse(entry.updated_at.unwrap_or(0)));
        Ok(listed)
    }

    /// The session that a key in an agent's list names: a bare one is that agent's.
    fn key_of(&self, raw: &str, agent: &str) -> SessionKey {
        let lower = raw.trim().to_lowercase();
        if lower == GLOBAL || lower == UNKNOWN || lower.starts_with("agent:") {
            self.key(raw)
        } else {
            self.key(&format!("agent:{agent}:{lower}"))
        }
    }

    /// Reads the transcript of a session that is not stored yet. `used` gets the names of files that need no archive.
    fn found(
        &self,
        dir: &Path,
        key: SessionKey,
        mut entry: Entry,
        used: &mut HashSet<String>,
        imported: &mut Imported,
    ) -> Result<Option<Found>, FilesError> {
        let shown = key.canonical().to_owned();
        let file = entry.extra.remove(SESSION_FILE);
        let file = file_of(file.as_ref(), &entry.session_id);
        if imported.done.contains(&shown) {
            if !imported.done.contains(&file) {
                // Another spelling of a key, with an older transcript: that one is archived below.
                imported.pass_over(&shown, "an older entry of the same session");
            } else {
                used.insert(file);
            }
            return Ok(None);
        }
        used.insert(file.clone());
        if self.entry(&key)?.is_some() {
            imported.pass_over(&shown, "there is such a session already");
            return Ok(None);
        }
        if !self.read(|reader| transcript::is_empty(reader, &entry.session_id))? {
            imported.pass_over(&shown, "its transcript is stored already");
            return Ok(None);
        }
        let messages = match read_transcript(&dir.join(&file), imported)? {
            Ok(messages) => messages,
            Err(why) => {
                imported.pass_over(&shown, why);
                return Ok(None);
            }
        };
        imported.done.insert(shown);
        imported.done.insert(file);
        Ok(Some(Found {
            key,
            entry,
            messages,
        }))
    }

    async fn take_in(&self, batch: Vec<Found>, imported: &mut Imported) -> Result<(), FilesError> {
        if batch.is_empty() {
            return Ok(());
        }
        let sessions = batch.len();
        let messages: usize = batch.iter().map(|found| found.messages.len()).sum();
        let names: Vec<String> = batch
            .iter()
            .map(|found| found.key.canonical().to_owned())
            .collect();
        let write = self.write(move |changes| {
            for found in batch {
                changes.put_entry(&found.key, &found.entry)?;
                append_all(changes, &found.entry.session_id, &found.messages, true)?;
            }
            Ok(())
        });
        if let Err(error) = write.await {
            for name in names {
                imported.done.remove(&name);
            }
            return Err(error.into());
        }
        imported.sessions += sessions;
        imported.messages += messages as u64;
        Ok(())
    }

    /// Takes the transcripts in that belong to no session any more.
    async fn take_in_archived(
        &self,
        dir: &Path,
        agent: &str,
        used: &HashSet<String>,
        imported: &mut Imported,
    ) -> Result<(), FilesError> {
        let mut known = HashSet::new();
        self.read(|reader| {
            archive::visit(reader, agent, |row| {
                known.insert(row.name);
                ControlFlow::Continue(())
            })
        })?;
        for (name, written_at) in transcripts(dir)? {
            if used.contains(&name) || known.contains(&name) {
                continue;
            }
            let messages = match read_transcript(&dir.join(&name), imported)? {
                Ok(messages) if messages.is_empty() => continue,
                Ok(messages) => messages,
                Err(why) => {
                    imported.pass_over(&name, why);
                    continue;
                }
            };
            let count = messages.len() as u64;
            let (session_id, rest) = name.split_once(TRANSCRIPT).unwrap_or((&name, ""));
            let reason = if rest.starts_with(".deleted.") {
                Reason::Deleted
            } else if rest.starts_with(".bak.") {
                Reason::Cut
            } else {
                Reason::Left
            };
            let row = Archived {
                transcript: archive::place(agent, &name),
                // No file tells whose it was.
                key: String::new(),
                session_id: session_id.to_owned(),
                at: written_at,
                reason,
                name,
            };
            let agent = agent.to_owned();
            let write = self.write(move |changes| {
                // What was left of a cut transcript counts with its session; the whole would count that twice.
                append_all(
                    changes,
                    &row.transcript,
                    &messages,
                    row.reason != Reason::Cut,
                )?;
                archive::note(changes.writer(), &agent, &row)
            });
            write.await?;
            imported.archived += 1;
            imported.messages += count;
        }
        Ok(())
    }
}

/// Adds messages to a transcript, and what they used to the ledger if it is `counted`.
fn append_all(
    changes: &mut Changes<'_, '_>,
    transcript: &str,
    messages: &[Box<RawValue>],
    counted: bool,
) -> Result<(), StoreError> {
    for message in messages {
        let reply = Reply::of(&mut serde_json::Deserializer::from_str(message.get()));
        if let Some(reply) = reply.filter(|_| counted) {
            ledger::enter(changes.writer(), &reply)?;
        }
        transcript::append(changes.writer(), transcript, message)?;
    }
    Ok(())
}

/// The agents that have a list of sessions below `from`, with their folders.
fn agents(from: &Path) -> Result<Vec<(String, PathBuf)>, FilesError> {
    let root = from.join("agents");
    let listing = match std::fs::read_dir(&root) {
        Ok(listing) => listing,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(FilesError::file(&root)(error)),
    };
    let mut agents = Vec::new();
    for item in listing {
        let name = item.map_err(FilesError::file(&root))?.file_name();
        let Some(name) = name.to_str() else { continue };
        let dir = folder(from, name);
        if dir.join(INDEX).is_file() {
            agents.push((normalise_agent_id(name), dir));
        }
    }
    agents.sort();
    Ok(agents)
}

/// Name of a session's file, always in its own folder: where an entry says that it is elsewhere, it is looked for here.
fn file_of(told: Option<&Value>, session_id: &str) -> String {
    let told = told.and_then(Value::as_str).map(Path::new);
    let name = told
        .and_then(Path::file_name)
        .and_then(|name| name.to_str());
    name.map_or_else(|| archive::file_name(session_id), str::to_owned)
}

/// Names of the transcripts in a folder, with the time of their last change in ms.
fn transcripts(dir: &Path) -> Result<Vec<(String, u64)>, FilesError> {
    let mut found = Vec::new();
    for item in std::fs::read_dir(dir).map_err(FilesError::file(dir))? {
        let item = item.map_err(FilesError::file(dir))?;
        let metadata = item.metadata().map_err(FilesError::file(dir))?;
        let name = item.file_name();
        let Some(name) = name.to_str().filter(|name| name.contains(TRANSCRIPT)) else {
            continue;
        };
        if metadata.is_file() {
            let changed = metadata.modified().ok();
            let since = changed.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
            let at = since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(0));
            found.push((name.to_owned(), at));
        }
    }
    found.sort();
    Ok(found)
}

/// The messages of a transcript in the order of the file; none for a missing file. The inner error says why this one
/// cannot be read.
fn read_transcript(
    path: &Path,
    imported: &mut Imported,
) -> Result<Result<Vec<Box<RawValue>>, String>, FilesError> {
    #[derive(Deserialize)]
    struct Line<'a> {
        #[serde(borrow)]
        message: Option<&'a RawValue>,
    }
    #[derive(Deserialize)]
    struct Said {
        #[serde(rename = "role")]
        _role: String,
    }
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Ok(Vec::new())),
        Err(error) => return Err(FilesError::file(path)(error)),
    };
    let (mut file, mut line) = (BufReader::new(file), Vec::new());
    let (mut messages, mut others, mut number) = (Vec::new(), 0, 0_u64);
    loop {
        line.clear();
        number += 1;
        let mut limited = file.by_ref().take(MAX_LINE_BYTES + 1);
        let read = limited
            .read_until(b'\n', &mut line)
            .map_err(FilesError::file(path))?;
        if read == 0 {
            break;
        }
        if read as u64 > MAX_LINE_BYTES {
            return Ok(Err(format!(
                "line {number} of {} is longer than {MAX_LINE_BYTES} bytes",
                path.display()
            )));
        }
        let parsed = serde_json::from_slice::<Line<'_>>(&line).ok();
        let message = parsed.and_then(|line| line.message);
        match message.filter(|message| serde_json::from_str::<Said>(message.get()).is_ok()) {
            Some(message) => messages.push(message.to_owned()),
            None if line.iter().all(u8::is_ascii_whitespace) => {}
            None => others += 1,
        }
    }
    imported.other_lines += others;
    Ok(Ok(messages))
}
