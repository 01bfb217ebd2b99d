//! What holds for one agent, and whether a command may run.

use openclaw_protocol::types::{ExecApprovalsAgent, ExecApprovalsEntry, ExecApprovalsFile};

use super::file::{allow, defaults};
use super::{ALL_AGENTS, DEFAULT_AGENT, Program, matches};
pub use crate::config::{ExecAsk as Ask, ExecSecurity as Security};

/// What holds where the file says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fallbacks {
    /// What may run.
    pub security: Security,
    /// When a person is asked.
    pub ask: Ask,
}

/// The rules of one agent.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// The agent.
    pub agent: String,
    /// What may run.
    pub security: Security,
    /// When a person is asked.
    pub ask: Ask,
    /// Whether programs that skills need are allowed by themselves.
    pub auto_allow_skills: bool,
    /// Programs that are allowed: those of all agents, then the agent's own.
    pub allowlist: Vec<ExecApprovalsEntry>,
}

/// Whether a command may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Yes.
    Allowed,
    /// No, whoever says what.
    Disabled,
    /// Not before a person has said yes.
    NeedsApproval,
    /// No, and nobody is asked.
    NotListed,
}

/// The word in the file; one that is not known, or is written otherwise, counts as the strictest.
fn security(word: &str) -> Security {
    let known = |one: &&Security| one.as_str() == word.trim();
    Security::ALL
        .iter()
        .find(known)
        .copied()
        .unwrap_or(Security::Deny)
}

/// As [`security`].
fn ask(word: &str) -> Ask {
    let known = |one: &&Ask| one.as_str() == word.trim();
    Ask::ALL.iter().find(known).copied().unwrap_or(Ask::Always)
}

impl Policy {
    /// The rules of `agent`: its own, else those of all, else the defaults, else `fallbacks`.
    #[must_use]
    pub fn of(rules: &ExecApprovalsFile, agent: Option<&str>, fallbacks: Fallbacks) -> Self {
        let agent = agent
            .map(str::trim)
            .filter(|agent| !agent.is_empty())
            .unwrap_or(DEFAULT_AGENT);
        let of = |name: &str| -> ExecApprovalsAgent {
            let agents = rules.agents.as_ref();
            agents
                .and_then(|agents| agents.get(name))
                .cloned()
                .unwrap_or_default()
        };
        let (own, all, defaults) = (of(agent), of(ALL_AGENTS), defaults(rules));
        let first = |words: [Option<String>; 3]| words.into_iter().flatten().next();
        let said_security = first([own.security, all.security, defaults.security]);
        let said_ask = first([own.ask, all.ask, defaults.ask]);
        Self {
            agent: agent.to_owned(),
            security: said_security.map_or(fallbacks.security, |word| security(&word)),
            ask: said_ask.map_or(fallbacks.ask, |word| ask(&word)),
            auto_allow_skills: own
                .auto_allow_skills
                .or(all.auto_allow_skills)
                .or(defaults.auto_allow_skills)
                .unwrap_or(false),
            allowlist: [all.allowlist, own.allowlist]
                .into_iter()
                .flatten()
                .flatten()
                .collect(),
        }
    }

    /// The entry that allows a program.
    #[must_use]
    pub fn entry_for(
        &self,
        program: &Program,
        home: &std::path::Path,
    ) -> Option<&ExecApprovalsEntry> {
        self.allowlist
            .iter()
            .find(|entry| matches(&entry.pattern, program, home))
    }

    /// Whether a command may run of which all programs are on the allowlist (`listed`), or of which a person said that
    /// it may (`approved`).
    #[must_use]
    pub fn judge(&self, listed: bool, approved: bool) -> Verdict {
        if self.security == Security::Deny {
            return Verdict::Disabled;
        }
        let misses = self.security == Security::Allowlist && !listed;
        let asks = match self.ask {
            Ask::Off => false,
            Ask::OnMiss => misses,
            Ask::Always => true,
        };
        match (approved, asks, misses) {
            (true, _, _) | (false, false, false) => Verdict::Allowed,
            (false, true, _) => Verdict::NeedsApproval,
            (false, false, true) => Verdict::NotListed,
        }
    }

    /// Writes down that a person allowed programs from now on.
    pub fn remember(&self, rules: &mut ExecApprovalsFile, programs: &[Program]) {
        for program in programs {
            if let Some(path) = program.path.to_str() {
                allow(rules, &self.agent, path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const FALLBACKS: Fallbacks = Fallbacks {
        security: Security::Allowlist,
        ask: Ask::OnMiss,
    };

    #[test]
    fn rules_of_an_agent_come_from_the_nearest_place() {
        let rules: ExecApprovalsFile = serde_json::from_value(json!({
            "version": 1,
            "defaults": {"security": "full", "autoAllowSkills": true},
            "agents": {
                "*": {"ask": "always", "allowlist": [{"pattern": "/all"}]},
                "main": {"security": "deny", "ask": "off", "allowlist": [{"pattern": "/own"}]},
                "odd": {"security": "most", "ask": "perhaps", "autoAllowSkills": false},
            },
        }))
        .unwrap();
        let check = |agent: Option<&str>, expected: (&str, Security, Ask, bool, &[&str])| {
            let policy = Policy::of(&rules, agent, FALLBACKS);
            let list: Vec<&str> = policy
                .allowlist
                .iter()
                .map(|entry| entry.pattern.as_str())
                .collect();
            let got = (
                policy.agent.as_str(),
                policy.security,
                policy.ask,
                policy.auto_allow_skills,
                list.as_slice(),
            );
            assert_eq!(got, expected);
        };
        let own = (
            "main",
            Security::Deny,
            Ask::Off,
            true,
            &["/all", "/own"][..],
        );
        check(None, own);
        check(Some(" "), own);
        check(Some("main"), own);
        check(
            Some("x"),
            ("x", Security::Full, Ask::Always, true, &["/all"]),
        );
        check(
            Some("odd"),
            ("odd", Security::Deny, Ask::Always, false, &["/all"]),
        );
        let empty = Policy::of(&ExecApprovalsFile::new(1), None, FALLBACKS);
        assert_eq!(
            (empty.security, empty.ask, empty.auto_allow_skills),
            (Security::Allowlist, Ask::OnMiss, false)
        );
    }

    #[test]
    fn verdicts() {
        use Verdict::{Allowed, Disabled, NeedsApproval, NotListed};
        // listed or not, without and with a yes
        let table = [
            (
                Security::Deny,
                Ask::Off,
                [Disabled, Disabled, Disabled, Disabled],
            ),
            (
                Security::Deny,
                Ask::Always,
                [Disabled, Disabled, Disabled, Disabled],
            ),
            (
                Security::Allowlist,
                Ask::Off,
                [Allowed, NotListed, Allowed, Allowed],
            ),
            (
                Security::Allowlist,
                Ask::OnMiss,
                [Allowed, NeedsApproval, Allowed, Allowed],
            ),
            (
                Security::Allowlist,
                Ask::Always,
                [NeedsApproval, NeedsApproval, Allowed, Allowed],
            ),
            (
                Security::Full,
                Ask::Off,
                [Allowed, Allowed, Allowed, Allowed],
            ),
            (
                Security::Full,
                Ask::OnMiss,
                [Allowed, Allowed, Allowed, Allowed],
            ),
            (
                Security::Full,
                Ask::Always,
                [NeedsApproval, NeedsApproval, Allowed, Allowed],
            ),
        ];
        for (security, ask, expected) in table {
            let policy = Policy {
                security,
                ask,
                ..Policy::of(&ExecApprovalsFile::new(1), None, FALLBACKS)
            };
            let cases = [(true, false), (false, false), (true, true), (false, true)];
            let got = cases.map(|(listed, approved)| policy.judge(listed, approved));
            assert_eq!(got, expected, "{security:?} {ask:?}");
        }
    }
}
