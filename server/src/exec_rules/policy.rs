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
    /// What may run when a person was asked and did not answer.
    pub ask_fallback: Security,
    /// Whether programs that skills need are allowed by themselves.
    pub auto_allow_skills: bool,
    /// Programs that are allowed: those of all agents, then the agent's own.
    pub allowlist: Vec<ExecApprovalsEntry>,
}

/// Whether a command may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
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
        let unanswered = first([own.ask_fallback, all.ask_fallback, defaults.ask_fallback]);
        Self {
            agent: agent.to_owned(),
            security: said_security.map_or(fallbacks.security, |word| security(&word)),
            ask: said_ask.map_or(fallbacks.ask, |word| ask(&word)),
            ask_fallback: unanswered.map_or(Security::Deny, |word| security(&word)),
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

    /// The same with what somebody else says too: the stricter of both holds.
    #[must_use]
    pub fn within(mut self, security: Security, ask: Ask) -> Self {
        self.security = self.security.min(security);
        self.ask = self.ask.max(ask);
        self
    }

    /// Whether a command may run about which nobody answered in time.
    #[must_use]
    pub fn runs_unanswered(&self, listed: bool) -> bool {
        match self.ask_fallback.min(self.security) {
            Security::Deny => false,
            Security::Allowlist => listed,
            Security::Full => true,
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
    pub fn judge(&self, listed: bool, approved: bool) -> Permission {
        if self.security == Security::Deny {
            return Permission::Disabled;
        }
        let misses = self.security == Security::Allowlist && !listed;
        let asks = match self.ask {
            Ask::Off => false,
            Ask::OnMiss => misses,
            Ask::Always => true,
        };
        match (approved, asks, misses) {
            (true, _, _) | (false, false, false) => Permission::Allowed,
            (false, true, _) => Permission::NeedsApproval,
            (false, false, true) => Permission::NotListed,
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
#[path = "policy_tests.rs"]
mod tests;
