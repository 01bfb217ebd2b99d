//! All questions in memory, kept equal to the store by [`super::Approvals`], which holds the only one behind a lock.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::Notify;

use super::record::{Decided, Question};
use super::{ApprovalError, MAX_BYTES, MAX_DECIDED, MAX_PENDING};

/// Questions by id.
#[derive(Debug, Default)]
pub(super) struct Book {
    entries: HashMap<String, Entry>,
    /// Keys of records on disk that are of no use; they go with the next write.
    stale: Vec<[u8; 32]>,
    /// Askers so far.
    askers: u64,
}

#[derive(Debug)]
struct Entry {
    question: Question,
    stage: Stage,
    /// Who waits for the answer: a number that no other asker has.
    awaited_by: Option<u64>,
    /// Wakes whoever waits.
    changed: Arc<Notify>,
}

/// How far a question is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// On its way to the disk; nobody knows of it yet.
    Storing,
    /// Waits for a decision.
    Waiting,
    /// Its decision is on its way to the disk.
    Deciding,
    /// Decided.
    Decided,
}

/// What becomes of somebody who asks. The number is the asker's.
#[derive(Debug)]
pub(super) enum Asked {
    /// The question is new: it has to be stored, and then announced.
    New(u64),
    /// It waits already, and nobody but the new asker waits for it.
    Joined(Question, u64),
    /// It was decided while nobody waited; its id is free now.
    Decided(Question),
}

/// Where an asker stands.
#[derive(Debug)]
pub(super) enum Standing {
    /// Nothing yet; look again when told to, until this time.
    Wait {
        changed: Arc<Notify>,
        until_ms: u64,
        is_deciding: bool,
    },
    /// This is the answer.
    Answer(Box<Question>),
    /// The question is gone.
    Gone,
}

impl Book {
    /// Takes what was stored; what is of no use any more is left out and marked for removal.
    pub(super) fn restore(questions: Vec<Question>, now_ms: u64) -> Self {
        let mut book = Self::default();
        for question in questions {
            if !question.is_alive(now_ms) {
                book.stale.push(question.key());
                continue;
            }
            let stage = match question.decided {
                Some(_) => Stage::Decided,
                None => Stage::Waiting,
            };
            book.insert(question, stage, None);
        }
        book
    }

    fn insert(&mut self, question: Question, stage: Stage, awaited_by: Option<u64>) {
        let entry = Entry {
            stage,
            awaited_by,
            changed: Arc::default(),
            question,
        };
        self.entries.insert(entry.question.id.to_string(), entry);
    }

    /// Somebody asks. A question that is [`Asked::New`] has its place from now on, but nobody sees it before
    /// [`Self::announce`].
    pub(super) fn ask(&mut self, question: Question, now_ms: u64) -> Result<Asked, ApprovalError> {
        self.prune(now_ms);
        let asker = self.askers + 1;
        if let Some(entry) = self.entries.get_mut(question.id.as_str()) {
            let is_same = entry.question.request == question.request && entry.awaited_by.is_none();
            match entry.stage {
                Stage::Waiting | Stage::Deciding if is_same => {
                    entry.awaited_by = Some(asker);
                    self.askers = asker;
                    return Ok(Asked::Joined(entry.question.clone(), asker));
                }
                Stage::Decided if is_same => {
                    let decided = self.forget(&question.id);
                    return Ok(Asked::Decided(decided.unwrap_or(question)));
                }
                // Another question under the id of one that is over takes its place.
                Stage::Decided if entry.awaited_by.is_none() => {}
                _ => return Err(ApprovalError::Pending),
            }
        }
        let (mut waiting, mut bytes) = (0, question.size());
        for entry in self.entries.values() {
            waiting += usize::from(entry.stage != Stage::Decided);
            bytes += entry.question.size();
        }
        if waiting >= MAX_PENDING || bytes > MAX_BYTES {
            return Err(ApprovalError::Full);
        }
        self.askers = asker;
        self.insert(question, Stage::Storing, Some(asker));
        Ok(Asked::New(asker))
    }

    /// A new question is on disk.
    pub(super) fn announce(&mut self, id: &str) {
        if let Some(entry) = self.entries.get_mut(id) {
            entry.stage = Stage::Waiting;
        }
    }

    /// A question is of no use any more: answered, its time over, or never stored. Gives what was known of it.
    pub(super) fn forget(&mut self, id: &str) -> Option<Question> {
        self.entries.remove(id).map(|entry| entry.question)
    }

    /// An asker does not wait any more.
    pub(super) fn leave(&mut self, id: &str, asker: u64) {
        if let Some(entry) = self.entries.get_mut(id)
            && entry.awaited_by == Some(asker)
        {
            entry.awaited_by = None;
        }
        self.bound_decided();
    }

    /// Takes a question for deciding; nobody else can decide it from now on. Gives it as it is to be stored.
    pub(super) fn decide(&mut self, id: &str, decided: Decided) -> Result<Question, ApprovalError> {
        let entry = self.entries.get_mut(id).filter(|entry| {
            entry.stage == Stage::Waiting && entry.question.is_alive(decided.at_ms)
        });
        let entry = entry.ok_or(ApprovalError::Unknown)?;
        entry.stage = Stage::Deciding;
        Ok(Question {
            decided: Some(decided),
            ..entry.question.clone()
        })
    }

    /// A decision is on disk, or it is not and the question waits on.
    pub(super) fn settle(&mut self, id: &str, decided: Option<Decided>) {
        if let Some(entry) = self.entries.get_mut(id) {
            entry.stage = match decided {
                Some(_) => Stage::Decided,
                None => Stage::Waiting,
            };
            entry.question.decided = decided;
            entry.changed.notify_waiters();
        }
        self.bound_decided();
    }

    /// Where the asker of a question stands.
    pub(super) fn standing(&self, id: &str) -> Standing {
        match self.entries.get(id) {
            None => Standing::Gone,
            Some(entry) if entry.stage == Stage::Decided => {
                Standing::Answer(Box::new(entry.question.clone()))
            }
            Some(entry) => Standing::Wait {
                changed: Arc::clone(&entry.changed),
                until_ms: entry.question.expires_at_ms,
                is_deciding: entry.stage == Stage::Deciding,
            },
        }
    }

    /// Questions that wait, oldest first.
    pub(super) fn waiting(&self, now_ms: u64) -> Vec<&Question> {
        let mut waiting: Vec<&Question> = self
            .entries
            .values()
            .filter(|entry| entry.stage == Stage::Waiting && entry.question.is_alive(now_ms))
            .map(|entry| &entry.question)
            .collect();
        waiting.sort_by(|a, b| (a.created_at_ms, &*a.id).cmp(&(b.created_at_ms, &*b.id)));
        waiting
    }

    /// Keys of records to be removed from disk.
    pub(super) fn take_stale(&mut self) -> Vec<[u8; 32]> {
        std::mem::take(&mut self.stale)
    }

    /// Drops what is over and awaited by nobody; who waits notices the time on its own.
    fn prune(&mut self, now_ms: u64) {
        let stale = &mut self.stale;
        self.entries.retain(|_, entry| {
            let is_settled = matches!(entry.stage, Stage::Waiting | Stage::Decided);
            let keeps =
                entry.awaited_by.is_some() || !is_settled || entry.question.is_alive(now_ms);
            if !keeps {
                stale.push(entry.question.key());
            }
            keeps
        });
    }

    /// The oldest decisions go when there are too many for nobody.
    fn bound_decided(&mut self) {
        let mut decided: Vec<(u64, String)> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.stage == Stage::Decided && entry.awaited_by.is_none())
            .map(|(id, entry)| {
                (
                    entry.question.decided.as_ref().map_or(0, |d| d.at_ms),
                    id.clone(),
                )
            })
            .collect();
        let Some(excess) = decided.len().checked_sub(MAX_DECIDED) else {
            return;
        };
        decided.sort_unstable();
        for (_, id) in decided.into_iter().take(excess) {
            if let Some(question) = self.forget(&id) {
                self.stale.push(question.key());
            }
        }
    }
}
