//! The programs of one command, judged by the allowlist, and what running it changes in the rules. The node host and the
//! gate for agents' commands use it.

use std::path::{Path, PathBuf};

use super::{Policy, Program, RulesFile, Security, find_program, runs_anything};

/// A program that a command runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meant {
    /// The program.
    pub program: Program,
    /// It is the one that the host itself means by its name: named without a path, and not found in the directories of the
    /// asker.
    pub is_own: bool,
    /// Id of the entry that allows it.
    pub entry: Option<String>,
}

/// The programs of `commands`, each given as its words; `None` when one of them is not there. `paths` are the `PATH` that
/// the command gets and the host's own. Blocks on disk.
#[must_use]
pub fn programs_of(
    commands: &[Vec<String>],
    policy: &Policy,
    cwd: &Path,
    [path_env, own_path]: [&str; 2],
    home: &Path,
) -> Option<Vec<Meant>> {
    let meant = |words: &Vec<String>| {
        let word = words.first()?;
        let program = find_program(word, cwd, path_env)?;
        let entry = policy.entry_for(&program, home);
        let own = || find_program(word, cwd, own_path);
        Some(Meant {
            entry: entry.and_then(|entry| entry.id.clone()).map(String::from),
            is_own: !word.contains('/') && own().as_ref() == Some(&program),
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
        // A lasting yes to one command of a program that runs anything is no yes to all others.
        let is_new = |meant: &&Meant| meant.entry.is_none() && !runs_anything(&meant.program.name);
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
