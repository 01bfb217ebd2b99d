//! What health and status show of sessions, kept in memory: per agent a count and the newest keys.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};

/// Newest sessions of an agent that are remembered; status shows ten, and a few may be deleted before it asks.
const KEPT: usize = 32;
/// Fewer than this are read again if there are more.
const ENOUGH: usize = 16;
/// Removals that are remembered, so that the note of an earlier change, coming late, does not bring a session back. A
/// note comes late by the time that a task needs to be woken.
const GRAVES: usize = 256;

/// A session and its last change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecentSession {
    /// Canonical key.
    pub key: String,
    /// Last change, ms; 0 when unknown.
    pub updated_at: u64,
}

/// The index. Its size depends on the number of agents, not of sessions.
#[derive(Debug, Default)]
pub(super) struct Recent {
    agents: BTreeMap<String, OfAgent>,
    /// Removed sessions with the number of the change, the oldest first.
    graves: VecDeque<(String, u64)>,
}

#[derive(Debug, Default)]
struct OfAgent {
    /// Below zero for a moment when a removal is noted before what it removed.
    count: i64,
    /// Newest first.
    newest: Vec<RecentSession>,
}

impl OfAgent {
    fn show(&mut self, key: &str, updated_at: u64) {
        if let Some(at) = self.newest.iter().position(|recent| recent.key == key) {
            if self.newest[at].updated_at >= updated_at {
                return;
            }
            self.newest.remove(at);
        }
        let newer = |recent: &RecentSession| {
            let (time, other) = (Reverse(recent.updated_at), recent.key.as_str());
            (time, other) < (Reverse(updated_at), key)
        };
        let at = self.newest.partition_point(newer);
        // At a start all sessions come by, most of them too old for a place.
        if at < KEPT {
            self.newest.truncate(KEPT - 1);
            let key = key.to_owned();
            self.newest.insert(at, RecentSession { key, updated_at });
        }
    }

    fn count(&self) -> u64 {
        u64::try_from(self.count).unwrap_or(0)
    }
}

impl Recent {
    /// Notes that change `number` wrote a session. Notes may arrive in another order than the writes: the newest time
    /// counts, and what was removed after it stays removed.
    pub(super) fn note(
        &mut self,
        agent: &str,
        key: &str,
        updated_at: u64,
        is_new: bool,
        number: u64,
    ) {
        let is_gone = |(gone, at): &(String, u64)| gone == key && *at > number;
        let is_gone = self.graves.iter().any(is_gone);
        let of_agent = self.of_agent(agent);
        // Its removal has been counted already.
        of_agent.count += i64::from(is_new);
        if !is_gone {
            of_agent.show(key, updated_at);
        }
    }

    /// Notes that change `number` removed a session.
    pub(super) fn forget(&mut self, agent: &str, key: &str, number: u64) {
        if self.graves.len() == GRAVES {
            self.graves.pop_front();
        }
        self.graves.push_back((key.to_owned(), number));
        let of_agent = self.of_agent(agent);
        of_agent.count -= 1;
        of_agent.newest.retain(|recent| recent.key != key);
    }

    /// Whether so few of an agent's newest sessions are left that they should be read again.
    pub(super) fn is_short(&self, agent: &str) -> bool {
        self.agents.get(agent).is_some_and(|of_agent| {
            let known = of_agent.newest.len();
            known < ENOUGH && i64::try_from(known).is_ok_and(|known| known < of_agent.count)
        })
    }

    /// Takes in a session that was read again.
    pub(super) fn refill(&mut self, agent: &str, key: &str, updated_at: u64) {
        self.of_agent(agent).show(key, updated_at);
    }

    fn of_agent(&mut self, agent: &str) -> &mut OfAgent {
        self.agents.entry(agent.to_owned()).or_default()
    }

    /// Number and newest sessions of an agent.
    pub(super) fn of(&self, agent: &str, limit: usize) -> (u64, Vec<RecentSession>) {
        self.agents.get(agent).map_or((0, Vec::new()), |of_agent| {
            (
                of_agent.count(),
                of_agent.newest.iter().take(limit).cloned().collect(),
            )
        })
    }

    /// Number and newest sessions of all agents.
    pub(super) fn of_all(&self, limit: usize) -> (u64, Vec<RecentSession>) {
        let mut newest: Vec<&RecentSession> = self
            .agents
            .values()
            .flat_map(|of_agent| &of_agent.newest)
            .collect();
        newest.sort_by_key(|recent| Reverse(recent.updated_at));
        let count = self.agents.values().map(OfAgent::count).sum();
        (count, newest.into_iter().take(limit).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_are_remembered() {
        let mut recent = Recent::default();
        let kept = u64::try_from(KEPT).unwrap();
        for n in 0..=kept {
            recent.note("main", &format!("k{n}"), n, true, 1);
        }
        let (count, newest) = recent.of("main", usize::MAX);
        assert_eq!((count, newest.len()), (kept + 1, KEPT));
        assert_eq!(
            (newest[0].updated_at, newest[KEPT - 1].updated_at),
            (kept, 1)
        );
        recent.note("main", "k0", 1_000, false, 2);
        recent.note("main", "k0", 500, false, 3);
        let (count, newest) = recent.of("main", 1);
        assert_eq!(
            (count, newest[0].key.as_str(), newest[0].updated_at),
            (kept + 1, "k0", 1_000)
        );
    }

    #[test]
    fn what_was_removed_stays_removed() {
        let mut recent = Recent::default();
        recent.note("main", "a", 1, true, 1);
        recent.forget("main", "a", 3);
        recent.note("main", "a", 2, false, 2);
        assert_eq!(recent.of("main", 9), (0, vec![]), "the note was late");
        recent.note("main", "a", 4, true, 4);
        assert_eq!(recent.of("main", 9).0, 1, "it was made again");
        recent.forget("main", "b", 6);
        recent.note("main", "b", 5, true, 5);
        let (count, newest) = recent.of("main", 9);
        assert_eq!(
            (count, newest.len()),
            (1, 1),
            "made and removed, noted the other way round"
        );
        for n in 0..=GRAVES {
            recent.forget("main", "c", n as u64);
        }
        assert_eq!(recent.graves.len(), GRAVES);
    }

    #[test]
    fn few_are_read_again_if_there_are_more() {
        let mut recent = Recent::default();
        for n in 0..=KEPT as u64 {
            recent.note("main", &format!("k{n}"), n, true, 1);
        }
        for n in (ENOUGH as u64 + 1..=KEPT as u64).rev() {
            assert!(!recent.is_short("main"), "{n}");
            recent.forget("main", &format!("k{n}"), 2);
        }
        assert!(!recent.is_short("main"), "sixteen are enough");
        recent.forget("main", "k16", 2);
        assert!(recent.is_short("main"));
        recent.refill("main", "k0", 0);
        let (count, newest) = recent.of("main", 99);
        assert_eq!((count, newest.len()), (16, 16));
        assert!(!recent.is_short("main"), "there are no more");
    }
}
