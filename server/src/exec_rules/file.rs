//! The file: read, brought into its normal form, replaced as a whole.
//!
//! Its functions block on disk. The token in it opens the approval socket of this machine: it is never shown.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openclaw_protocol::rt::{NonEmptyString, SecretString};
use openclaw_protocol::types::{
    ExecApprovalsAgent, ExecApprovalsDefaults, ExecApprovalsEntry, ExecApprovalsFile,
    ExecApprovalsShownFile, ExecApprovalsShownSocket, ExecApprovalsSnapshot, ExecApprovalsSocket,
};
use serde_json::Value;

use super::{DEFAULT_AGENT, LEGACY_AGENT};
use crate::config::file::{create, replace};
use crate::hex::sha256_hex;

/// Version of the form; there is one.
const VERSION: u64 = 1;

/// Random bytes of a socket token: more than can be guessed.
const TOKEN_BYTES: usize = 24;

/// Permission bits of everybody but the owner.
const OTHERS: u32 = 0o077;

/// Where the rules of this user are. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RulesFile {
    path: PathBuf,
}

/// The rules cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// What the operating system says.
    #[error("exec approvals {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
    /// They have the form of another version, whose denials this one cannot know.
    #[error("exec approvals {}: this is version {version} of the form, and only {VERSION} is known: nothing runs until that is mended", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: Value,
    },
    /// No random bytes for ids and token.
    #[error("no random bytes: {0}")]
    Random(#[from] getrandom::Error),
    /// The rules cannot be written as JSON, which only a defect of ours can cause.
    #[error("exec approvals cannot be written: {0}")]
    Write(#[from] serde_json::Error),
}

/// Why rules were not replaced.
#[derive(Debug, thiserror::Error)]
pub enum SetRefusal {
    /// The writer did not say what it had read.
    #[error("no base hash")]
    HashRequired,
    /// Others changed the rules since.
    #[error("changed since they were read")]
    Changed,
    /// They cannot be read or kept.
    #[error(transparent)]
    Rules(#[from] RulesError),
}

/// What is stored, and its text's digest.
struct Stored {
    rules: ExecApprovalsFile,
    hash: String,
}

impl RulesFile {
    /// The rules of the user whose home this is. They do not follow an override of the state directory.
    #[must_use]
    pub fn of_home(home: &Path) -> Self {
        Self {
            path: home.join(".openclaw").join("exec-approvals.json"),
        }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The rules as they hold, for whoever obeys them. Missing ones are made, unreadable ones are moved aside and
    /// replaced by empty ones, which allow nothing. Those of another version stay as they are and are an error.
    ///
    /// # Errors
    /// [`RulesError`].
    pub fn read(&self) -> Result<ExecApprovalsFile, RulesError> {
        let _lock = self.lock()?;
        Ok(self.ensure()?.rules)
    }

    /// The rules as they are shown.
    ///
    /// # Errors
    /// [`RulesError`].
    pub fn get(&self) -> Result<ExecApprovalsSnapshot, RulesError> {
        let _lock = self.lock()?;
        Ok(self.shown(self.ensure()?))
    }

    /// Replaces the rules if `base_hash` is that of those stored. A socket path or token that `new` leaves out stays.
    ///
    /// # Errors
    /// [`SetRefusal`]; nothing is changed then.
    pub fn set(
        &self,
        new: ExecApprovalsFile,
        base_hash: Option<&str>,
    ) -> Result<ExecApprovalsSnapshot, SetRefusal> {
        let _lock = self.lock()?;
        let stored = self.ensure()?;
        let base_hash = base_hash.map(str::trim).filter(|hash| !hash.is_empty());
        match base_hash {
            None => return Err(SetRefusal::HashRequired),
            Some(hash) if hash != stored.hash => return Err(SetRefusal::Changed),
            Some(_) => {}
        }
        let mut new = new;
        let (old, socket) = (
            stored.rules.socket.unwrap_or_default(),
            new.socket.get_or_insert_default(),
        );
        if is_blank(socket.path.as_deref()) {
            socket.path = old.path;
        }
        if is_blank(socket.token.as_ref().map(SecretString::expose)) {
            socket.token = old.token;
        }
        Ok(self.shown(self.save(self.complete(new)?)?))
    }

    /// Changes the rules in place, whatever they are by then.
    ///
    /// # Errors
    /// [`RulesError`]; nothing is changed then.
    pub fn change(&self, change: impl FnOnce(&mut ExecApprovalsFile)) -> Result<(), RulesError> {
        let _lock = self.lock()?;
        let stored = self.ensure()?;
        let mut rules = stored.rules.clone();
        change(&mut rules);
        let rules = self.complete(rules)?;
        if rules != stored.rules {
            self.save(rules)?;
        }
        Ok(())
    }

    /// One process at a time; ends when the lock is dropped.
    fn lock(&self) -> Result<File, RulesError> {
        let path = self.path.with_extension("json.lock");
        let failed = |source| self.error(source);
        if let Some(dir) = path.parent() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(dir)
                .map_err(failed)?;
        }
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        file.lock().map_err(failed)?;
        Ok(file)
    }

    /// What is stored, in its normal form, after it was brought into it on disk too.
    fn ensure(&self) -> Result<Stored, RulesError> {
        let text = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return self.save(self.complete(ExecApprovalsFile::new(VERSION))?);
            }
            Err(source) => return Err(self.error(source)),
        };
        let version = serde_json::from_slice::<Value>(&text)
            .ok()
            .and_then(|rules| rules.get("version").cloned())
            .filter(|version| *version != VERSION);
        if let Some(version) = version {
            let path = self.path.clone();
            return Err(RulesError::Version { path, version });
        }
        let Ok(parsed) = serde_json::from_slice::<ExecApprovalsFile>(&text) else {
            self.move_aside()?;
            return self.save(self.complete(ExecApprovalsFile::new(VERSION))?);
        };
        let rules = self.complete(parsed.clone())?;
        if rules != parsed || self.is_open_to_others()? {
            return self.save(rules);
        }
        Ok(Stored {
            rules,
            hash: sha256_hex(&text),
        })
    }

    /// Somebody's rules, though they cannot be read: kept for them to be mended.
    fn move_aside(&self) -> Result<(), RulesError> {
        let aside = self.path.with_extension("json.unreadable");
        tracing::warn!(path = %self.path.display(), aside = %aside.display(), "exec approvals cannot be read and count as empty");
        fs::rename(&self.path, &aside).map_err(|source| self.error(source))
    }

    fn is_open_to_others(&self) -> Result<bool, RulesError> {
        let facts = fs::metadata(&self.path).map_err(|source| self.error(source))?;
        Ok(facts.permissions().mode() & OTHERS != 0)
    }

    fn save(&self, rules: ExecApprovalsFile) -> Result<Stored, RulesError> {
        let text = serde_json::to_string_pretty(&rules)? + "\n";
        let saved = if self.path.exists() {
            replace(&self.path, &text)
        } else {
            create(&self.path, &text)
        };
        saved.map_err(|source| self.error(source))?;
        Ok(Stored {
            rules,
            hash: sha256_hex(&text),
        })
    }

    /// The normal form: all members there, one name for the default agent, ids on all entries, a socket with a token.
    fn complete(&self, mut rules: ExecApprovalsFile) -> Result<ExecApprovalsFile, RulesError> {
        rules.version = VERSION;
        rules.defaults.get_or_insert_default();
        let agents = rules.agents.get_or_insert_default();
        if let Some(legacy) = agents.remove(LEGACY_AGENT) {
            let main = agents.remove(DEFAULT_AGENT).unwrap_or_default();
            agents.insert(DEFAULT_AGENT.to_owned(), merged(main, legacy));
        }
        for entry in agents
            .values_mut()
            .flat_map(|agent| agent.allowlist.iter_mut().flatten())
        {
            if entry.id.is_none() {
                entry.id = NonEmptyString::new(new_id()?);
            }
        }
        let socket = rules.socket.get_or_insert_default();
        if is_blank(socket.path.as_deref()) {
            socket.path = Some(self.path.with_extension("sock").display().to_string());
        }
        if is_blank(socket.token.as_ref().map(SecretString::expose)) {
            let mut bytes = [0; TOKEN_BYTES];
            getrandom::fill(&mut bytes)?;
            socket.token = Some(SecretString::new(URL_SAFE_NO_PAD.encode(bytes)));
        }
        Ok(rules)
    }

    fn shown(&self, stored: Stored) -> ExecApprovalsSnapshot {
        let Stored { rules, hash } = stored;
        let mut file = ExecApprovalsShownFile::new(
            rules.version,
            rules.defaults.unwrap_or_default(),
            rules.agents.unwrap_or_default(),
        );
        file.socket = rules
            .socket
            .and_then(|ExecApprovalsSocket { path, .. }| path)
            .map(ExecApprovalsShownSocket::new);
        ExecApprovalsSnapshot::new(
            NonEmptyString::or(self.path.display().to_string(), "exec-approvals.json"),
            true,
            NonEmptyString::or(hash, "-"),
            file,
        )
    }

    fn error(&self, source: io::Error) -> RulesError {
        RulesError::File {
            path: self.path.clone(),
            source,
        }
    }
}

/// Rules of one agent under two names: those of the present name come first.
fn merged(main: ExecApprovalsAgent, legacy: ExecApprovalsAgent) -> ExecApprovalsAgent {
    let mut known = HashSet::new();
    let lists = [main.allowlist, legacy.allowlist];
    let has_list = lists.iter().any(Option::is_some);
    let entries: Vec<ExecApprovalsEntry> = lists
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| known.insert(entry.pattern.trim().to_owned()))
        .collect();
    ExecApprovalsAgent {
        security: main.security.or(legacy.security),
        ask: main.ask.or(legacy.ask),
        ask_fallback: main.ask_fallback.or(legacy.ask_fallback),
        auto_allow_skills: main.auto_allow_skills.or(legacy.auto_allow_skills),
        allowlist: has_list.then_some(entries),
    }
}

fn is_blank(text: Option<&str>) -> bool {
    text.is_none_or(|text| text.trim().is_empty())
}

fn new_id() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(uuid::Builder::from_random_bytes(bytes)
        .into_uuid()
        .to_string())
}

/// Adds a program to the rules of an agent, unless it is there.
pub(super) fn allow(rules: &mut ExecApprovalsFile, agent: &str, pattern: &str) {
    let agents: &mut BTreeMap<_, _> = rules.agents.get_or_insert_default();
    let list = agents
        .entry(agent.to_owned())
        .or_default()
        .allowlist
        .get_or_insert_default();
    if !list.iter().any(|entry| entry.pattern.trim() == pattern) {
        list.push(ExecApprovalsEntry::new(pattern.to_owned()));
    }
}

/// The defaults of rules that were read.
pub(super) fn defaults(rules: &ExecApprovalsFile) -> ExecApprovalsDefaults {
    rules.defaults.clone().unwrap_or_default()
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
