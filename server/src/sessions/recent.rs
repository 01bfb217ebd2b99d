//! What health and status show of sessions, kept in memory: per agent a count and the newest keys.

use std::collections::BTreeMap;

/// Newest sessions of an agent that are remembered; status shows ten, and a few may be deleted before it asks.
const KEPT: usize = 32;

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
}

#[derive(Debug, Default)]
struct OfAgent {
    count: u64,
    /// Newest first.
    newest: Vec<RecentSession>,
}

impl Recent {
    /// Notes that a session was written. Notes may arrive in another order than the writes: the newest time counts.
    pub(super) fn note(&mut self, agent: &str, key: &str, updated_at: u64, is_new: bool) {
        if !self.agents.contains_key(agent) {
            self.agents.insert(agent.to_owned(), OfAgent::default());
        }
        let Some(of_agent) = self.agents.get_mut(agent) else {
            return;
        };
        of_agent.count += u64::from(is_new);
        let newest = &mut of_agent.newest;
        match newest.iter_mut().find(|recent| recent.key == key) {
            Some(recent) => recent.updated_at = recent.updated_at.max(updated_at),
            None => newest.push(RecentSession {
                key: key.to_owned(),
                updated_at,
            }),
        }
        newest.sort_by(|one, other| {
            other
                .updated_at
                .cmp(&one.updated_at)
                .then_with(|| one.key.cmp(&other.key))
        });
        newest.truncate(KEPT);
    }

    /// Number and newest sessions of an agent.
    pub(super) fn of(&self, agent: &str, limit: usize) -> (u64, Vec<RecentSession>) {
        self.agents.get(agent).map_or((0, Vec::new()), |of_agent| {
            (
                of_agent.count,
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
        newest.sort_by_key(|recent| std::cmp::Reverse(recent.updated_at));
        let count = self.agents.values().map(|of_agent| of_agent.count).sum();
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
            recent.note("main", &format!("k{n}"), n, true);
        }
        let (count, newest) = recent.of("main", usize::MAX);
        assert_eq!((count, newest.len()), (kept + 1, KEPT));
        assert_eq!(
            (newest[0].updated_at, newest[KEPT - 1].updated_at),
            (kept, 1)
        );
        recent.note("main", "k0", 1_000, false);
        recent.note("main", "k0", 500, false);
        let (count, newest) = recent.of("main", 1);
        assert_eq!(
            (count, newest[0].key.as_str(), newest[0].updated_at),
            (kept + 1, "k0", 1_000)
        );
    }
}
