//! The programs of one command, judged by the allowlist, and what running it changes in the rules. The node host and the
//! gate for agents' commands use it.

use std::path::{Path, PathBuf};

use super::{Policy, Program, RulesFile, Security, find_program};

/// Programs that run whatever they are told; a lasting yes to one command of theirs is no yes to all others.
const RUNS_ANYTHING: &[&str] = &[
    "bash", "busybox", "dash", "env", "fish", "ksh", "node", "perl", "python", "python3", "ruby",
    "sh", "sudo", "xargs", "zsh",
];

/// A program that a command runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meant {
    /// The program.
    pub program: Program,
    /// Whether it was named without a path.
    pub is_bare: bool,
    /// Id of the entry that allows it.
    pub entry: Option<String>,
}

/// The programs of `commands`, each given as its words; `None` when one of them is not there. Blocks on disk.
#[must_use]
pub fn programs_of(
    commands: &[Vec<String>],
    policy: &Policy,
    cwd: &Path,
    path_env: &str,
    home: &Path,
) -> Option<Vec<Meant>> {
    let meant = |words: &Vec<String>| {
        let word = words.first()?;
        let program = find_program(word, cwd, path_env)?;
        let entry = policy.entry_for(&program, home);
        Some(Meant {
            entry: entry.and_then(|entry| entry.id.clone()).map(String::from),
            is_bare: !word.contains('/'),
            program,
        })
    };
    commands.iter().map(meant).collect()
}

/// What running a command changes in the rules: which entries were used, and which programs are allowed from now on.
#[derive(Debug)]
pub struct Note {
    policy: Policy,
    line: String,
    used: Vec<(String, PathBuf)>,
    remembered: Vec<Program>,
}

impl Note {
    /// The note of `line`, which runs `programs`; `always`: a person said yes for good.
    #[must_use]
    pub fn new(policy: &Policy, line: &str, programs: &[Meant], always: bool) -> Self {
        let used = programs.iter().filter_map(|meant| {
            let entry = meant.entry.clone()?;
            Some((entry, meant.program.path.clone()))
        });
        let is_new = |meant: &&Meant| {
            meant.entry.is_none() && !RUNS_ANYTHING.contains(&meant.program.name.as_str())
        };
        let remembered = programs
            .iter()
            .filter(is_new)
            .map(|meant| meant.program.clone());
        let remembers = always && policy.security == Security::Allowlist;
        Self {
            used: used.collect(),
            remembered: if remembers {
                remembered.collect()
            } else {
                Vec::new()
            },
            policy: policy.clone(),
            line: line.to_owned(),
        }
    }

    /// Are `programs` all allowed once this is written?
    #[must_use]
    pub fn allows_all(&self, programs: &[Meant]) -> bool {
        programs
            .iter()
            .all(|meant| meant.entry.is_some() || self.remembered.contains(&meant.program))
    }

    /// Writes it down; a command does not fail because its use could not be noted. Blocks on disk.
    pub fn write(self, rules: &RulesFile, now_ms: u64) {
        if self.used.is_empty() && self.remembered.is_empty() {
            return;
        }
        let changed = rules.change(|rules| {
            self.policy.remember(rules, &self.remembered);
            let agents = rules.agents.get_or_insert_default();
            for entry in agents
                .values_mut()
                .flat_map(|agent| agent.allowlist.iter_mut().flatten())
            {
                let id = entry.id.as_ref().map(|id| id.as_str());
                if let Some((_, path)) =
                    self.used.iter().find(|(used, _)| Some(used.as_str()) == id)
                {
                    entry.last_used_at = Some(now_ms);
                    entry.last_used_command = Some(self.line.clone());
                    entry.last_resolved_path = Some(path.display().to_string());
                }
            }
        });
        if let Err(error) = changed {
            tracing::warn!(%error, "the use of a program is not noted");
        }
    }
}
