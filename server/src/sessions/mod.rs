//! Sessions: who talked with which agent, what was said, and what clients are shown of it.
//!
//! The store is the truth. In memory there is only [`recent::Recent`]: per agent a count and the newest keys, which health
//! and status ask for all the time. All changes go through [`Sessions::write`], which keeps the two in step.
//!
//! Called by `agent` runs (transcripts, entries), by the methods `chat.*`, `sessions.*`, `health`, `status`, and by
//! `openclaw sessions`, which moves all of them in and out as files ([`files`]).

pub mod archive;
mod changes;
mod entry;
pub mod envelope;
pub(crate) mod events;
pub mod files;
mod heads;
mod history;
pub(crate) mod injected;
pub mod key;
pub mod levels;
mod listed;
mod listing;
pub mod message;
mod patch;
mod preview;
mod recent;
mod resolve;
mod shown;
mod titles;
pub mod transcript;

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

pub use changes::Compacted;
pub use entry::Entry;
pub use events::{NotKept, SystemEvents, Waiting};
pub use history::History;
pub use key::{KeyRules, SessionKey};
pub(crate) use patch::choose_model;
pub use patch::{ModelFacts, ModelName, ModelWish, PatchRefusal, stored_usage};
pub use recent::RecentSession;
pub use resolve::ResolveError;

use crate::paths::Paths;
use crate::store::{Reader, Store, StoreError, Writer};
use crate::usage::ledger::{self, Reply};
use entry::Stamp;
use recent::Recent;

/// The sessions of a gateway. Clones share them.
#[derive(Clone)]
pub struct Sessions {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    rules: KeyRules,
    paths: Paths,
    recent: Mutex<Recent>,
    /// Numbers changes in the order in which the writer thread makes them.
    changes: AtomicU64,
}

/// How many sessions there are, and the newest of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Where they are, as clients are shown it; `(multiple)` over all agents.
    pub path: String,
    /// Number of sessions.
    pub count: u64,
    /// The newest ones, newest first.
    pub recent: Vec<RecentSession>,
}

/// What stands for the place of sessions that each agent keeps apart.
const MULTIPLE: &str = "(multiple)";

impl Sessions {
    /// Opens the sessions in `store`. Reads every entry once.
    ///
    /// # Errors
    /// Whatever the store says; damaged entries are passed over.
    pub fn open(store: Store, paths: Paths, rules: KeyRules) -> Result<Self, StoreError> {
        let mut recent = Recent::default();
        store.read(|reader| {
            entry::visit_as(reader, None, |agent, key, stamp: Stamp| {
                recent.note(agent, &key, stamp.updated_at.unwrap_or(0), true, 0);
                ControlFlow::Continue(())
            })
        })?;
        let inner = Inner {
            store,
            rules,
            paths,
            recent: Mutex::new(recent),
            changes: AtomicU64::new(0),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// How keys are read.
    #[must_use]
    pub fn rules(&self) -> &KeyRules {
        &self.inner.rules
    }

    /// The session that a client's key names.
    #[must_use]
    pub fn key(&self, raw: &str) -> SessionKey {
        self.inner.rules.canonicalise(raw)
    }

    /// Runs `look` on a consistent view.
    ///
    /// # Errors
    /// Whatever `look` or the store says.
    pub fn read<T>(
        &self,
        look: impl FnOnce(&Reader<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.inner.store.read(look)
    }

    /// The entry of a session, if there is one.
    ///
    /// # Errors
    /// Whatever the store says; a damaged entry counts as none.
    pub fn entry(&self, key: &SessionKey) -> Result<Option<Entry>, StoreError> {
        self.read(|reader| entry::load(reader, key))
    }

    /// The session whose transcript has this id.
    ///
    /// # Errors
    /// Whatever the store says.
    pub fn find_by_id(&self, session_id: &str) -> Result<Option<SessionKey>, StoreError> {
        let mut found = None;
        self.read(|reader| {
            entry::visit_tags(reader, None, |_, key, tag| {
                if tag.session_id != session_id {
                    return ControlFlow::Continue(());
                }
                found = Some(self.key(&key));
                ControlFlow::Break(())
            })
        })?;
        Ok(found)
    }

    /// Applies `change` as a whole or not at all, and returns once it is on disk.
    ///
    /// # Errors
    /// Whatever `change` or the store says; then nothing is changed.
    pub async fn write<T, F>(&self, change: F) -> Result<T, StoreError>
    where
        F: FnOnce(&mut Changes<'_, '_>) -> Result<T, StoreError> + Send + 'static,
        T: Send + 'static,
    {
        let inner = Arc::clone(&self.inner);
        let written = self.inner.store.write(move |writer| {
            // Counted on the writer's thread: what is noted below may come in another order.
            let number = inner.changes.fetch_add(1, Ordering::Relaxed) + 1;
            let mut changes = Changes {
                writer,
                touched: Vec::new(),
            };
            let value = change(&mut changes)?;
            Ok::<_, StoreError>((value, changes.touched, number))
        });
        let (value, touched, number) = written.await?;
        self.note(touched, number);
        Ok(value)
    }

    /// Brings what is in memory up to date with a change that is on disk.
    fn note(&self, touched: Vec<Touched>, number: u64) {
        let mut recent = self.recent();
        for Touched { key, what } in touched {
            let (agent, canonical) = (key.agent(), key.canonical());
            match what {
                Touch::Put { updated_at, is_new } => {
                    recent.note(agent, canonical, updated_at, is_new, number);
                }
                Touch::Removed => recent.forget(agent, canonical, number),
            }
            if recent.is_short(agent) {
                // Under the lock, so that no change comes between what is read and what is noted of it.
                let read = self.read(|reader| {
                    entry::visit_as(reader, Some(agent), |agent, key, stamp: Stamp| {
                        recent.refill(agent, &key, stamp.updated_at.unwrap_or(0));
                        ControlFlow::Continue(())
                    })
                });
                if let Err(error) = read {
                    tracing::error!(%error, "the newest sessions could not be read again");
                }
            }
        }
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.inner
            .recent
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether `child` is a session that `parent` has started.
    ///
    /// # Errors
    /// Whatever the store says.
    pub fn is_child(&self, child: &SessionKey, parent: &SessionKey) -> Result<bool, StoreError> {
        let entry = self.entry(child)?;
        Ok(entry.is_some_and(|entry| entry.spawned_by.as_deref() == Some(parent.canonical())))
    }

    /// Number and newest sessions of an agent, `limit` of them at most; from memory.
    #[must_use]
    pub fn summary(&self, agent: &str, limit: usize) -> Summary {
        let (count, recent) = self.recent().of(agent, limit);
        Summary {
            path: self.shown_path(agent),
            count,
            recent,
        }
    }

    /// As [`Sessions::summary`] over all agents.
    #[must_use]
    pub fn summary_of_all(&self, limit: usize) -> Summary {
        let (count, recent) = self.recent().of_all(limit);
        Summary {
            path: MULTIPLE.to_owned(),
            count,
            recent,
        }
    }

    /// Where an agent's sessions are, as clients are shown it: the name of the reference's file.
    #[must_use]
    pub fn shown_path(&self, agent: &str) -> String {
        self.shown_file(agent, files::INDEX)
    }

    /// Where a file beside an agent's sessions is, as clients are shown it.
    #[must_use]
    pub fn shown_file(&self, agent: &str, name: &str) -> String {
        self.inner
            .paths
            .sessions_dir(agent)
            .join(name)
            .display()
            .to_string()
    }
}

/// A change of sessions under way, on the store's writer thread.
pub struct Changes<'a, 't> {
    writer: &'a mut Writer<'t>,
    touched: Vec<Touched>,
}

struct Touched {
    key: SessionKey,
    what: Touch,
}

enum Touch {
    Put { updated_at: u64, is_new: bool },
    Removed,
}

impl<'t> Changes<'_, 't> {
    /// The entry of a session as this change sees it.
    pub fn entry(&self, key: &SessionKey) -> Result<Option<Entry>, StoreError> {
        entry::load(&self.writer.reader(), key)
    }

    /// Writes the entry of a session.
    pub fn put_entry(&mut self, key: &SessionKey, entry: &Entry) -> Result<(), StoreError> {
        let is_new = self.entry(key)?.is_none();
        entry::store(self.writer, key, entry)?;
        self.touched.push(Touched {
            key: key.clone(),
            what: Touch::Put {
                updated_at: entry.updated_at.unwrap_or(0),
                is_new,
            },
        });
        Ok(())
    }

    /// Removes the entry of a session.
    fn remove_entry(&mut self, key: &SessionKey) -> Result<(), StoreError> {
        let was_there = self.entry(key)?.is_some();
        entry::remove(self.writer, key)?;
        if was_there {
            self.touched.push(Touched {
                key: key.clone(),
                what: Touch::Removed,
            });
        }
        Ok(())
    }

    /// Adds a message to a transcript and returns its number. What a reply used is entered into the ledger.
    pub fn append(&mut self, session_id: &str, message: &Value) -> Result<u64, StoreError> {
        if let Some(reply) = Reply::of(message) {
            ledger::enter(self.writer, &reply)?;
        }
        transcript::append(self.writer, session_id, message)
    }

    /// Whether nothing was said in a transcript so far.
    pub fn is_silent(&mut self, session_id: &str) -> Result<bool, StoreError> {
        transcript::is_empty(&self.writer.reader(), session_id)
    }

    /// Takes the last message of a transcript back if it has this number, and tells whether it did.
    pub fn take_back(&mut self, session_id: &str, index: u64) -> Result<bool, StoreError> {
        transcript::take_back(self.writer, session_id, index)
    }

    /// Removes all messages of a transcript.
    pub fn clear(&mut self, session_id: &str) -> Result<(), StoreError> {
        transcript::remove(self.writer, session_id)
    }

    /// The writer, for records that belong to the same change.
    pub fn writer(&mut self) -> &mut Writer<'t> {
        self.writer
    }
}

/// Sessions in a directory, for tests.
#[cfg(test)]
pub(crate) fn open_in(dir: &std::path::Path) -> Sessions {
    open_with(dir, KeyRules::default())
}

/// As [`open_in`], with rules for keys.
#[cfg(test)]
pub(crate) fn open_with(dir: &std::path::Path, rules: KeyRules) -> Sessions {
    let paths = Paths {
        state_dir: dir.to_owned(),
        config_file: dir.join("openclaw.json"),
    };
    Sessions::open(Store::open(&dir.join("store")).unwrap(), paths, rules).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    async fn put(sessions: &Sessions, raw: &str, updated_at: u64) {
        let key = sessions.key(raw);
        let entry = Entry {
            session_id: format!("id-{raw}"),
            updated_at: Some(updated_at),
            ..Entry::default()
        };
        sessions
            .write(move |changes| changes.put_entry(&key, &entry))
            .await
            .unwrap();
    }

    fn shown(sessions: &Sessions, agent: &str, limit: usize) -> (u64, Vec<String>) {
        let summary = sessions.summary(agent, limit);
        (
            summary.count,
            summary
                .recent
                .into_iter()
                .map(|recent| recent.key)
                .collect(),
        )
    }

    #[tokio::test]
    async fn summaries_follow_writes_and_survive_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let expected = (
            3,
            vec!["agent:main:b".to_owned(), "agent:main:c".to_owned()],
        );
        {
            let sessions = open_in(dir.path());
            assert_eq!(shown(&sessions, "main", 5), (0, vec![]));
            for (key, updated_at) in [("a", 1), ("B", 2), ("c", 3), ("b", 4), ("agent:ops:x", 9)] {
                put(&sessions, key, updated_at).await;
            }
            assert_eq!(shown(&sessions, "main", 2), expected);
            assert_eq!(
                shown(&sessions, "ops", 2),
                (1, vec!["agent:ops:x".to_owned()])
            );
        }
        let sessions = open_in(dir.path());
        assert_eq!(shown(&sessions, "main", 2), expected);
        let all = sessions.summary_of_all(2);
        assert_eq!(
            (
                all.count,
                all.recent[0].key.as_str(),
                all.recent[0].updated_at
            ),
            (4, "agent:ops:x", 9)
        );
    }

    #[tokio::test]
    async fn a_change_is_whole_or_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let sessions = open_in(dir.path());
        let key = sessions.key("main");
        let failing = {
            let key = key.clone();
            sessions.write(move |changes| {
                changes.append("s", &json!({"role": "user"}))?;
                changes.put_entry(&key, &Entry::new(5))?;
                Err::<(), _>(StoreError::Panicked)
            })
        };
        failing.await.unwrap_err();
        assert_eq!(sessions.entry(&key).unwrap(), None);
        assert_eq!(shown(&sessions, "main", 5), (0, vec![]));
        put(&sessions, "main", 6).await;
        assert_eq!(sessions.find_by_id("id-main").unwrap(), Some(key));
        assert_eq!(sessions.find_by_id("other").unwrap(), None);
    }
}
