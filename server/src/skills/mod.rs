//! Skills: folders with instructions for agents. Which there are and what they need ([`Skills::status`]), which of them a
//! model is told of ([`Skills::told`]), and which programs all of them ask for ([`Skills::bins`]).
//!
//! A skill is a folder with a `SKILL.md` below `skills/` of an agent's workspace, in the folder that all agents share, or in
//! a folder that the configuration names. Its [`head`] says what it needs. What a node is to allow by itself comes from the
//! folders outside of workspaces only: agents write into their workspaces. Reads the disk at each question: skills are edited
//! by hand, and questions are few. Called by the methods `skills.*` and `node.*` and by runs; built once by the
//! gateway.

mod head;
mod install;
mod needs;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use openclaw_protocol::types::{SkillStatus, SkillsStatusResult};
use serde_json::Value;

use crate::agent::read_start;
use crate::config::{self, Config};
use crate::paths::Environment;
use head::Head;
use needs::Machine;

/// Folder of skills, in a workspace and in the state directory.
const FOLDER: &str = "skills";
/// A skill's instructions.
const FILE: &str = "SKILL.md";

/// Entries of one folder that are looked at. Collections have about a hundred skills.
pub const MAX_SKILLS: usize = 1024;

/// Beginning of a skill's file in which its head has to end, in bytes.
pub const MAX_HEAD_BYTES: usize = 64 * 1024;

/// Skills that a model is told of; each costs some tokens in every turn.
pub const MAX_TOLD: usize = 100;

/// Longest description that a model is told, in characters.
pub const MAX_TOLD_CHARS: usize = 400;

/// The skills of a gateway. Clones share what is known about them. Not to be printed: the configuration holds secrets.
#[derive(Clone, Default)]
pub struct Skills {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    /// The folder that all agents share.
    managed: PathBuf,
    /// Folders that the configuration names.
    extra: Vec<PathBuf>,
    config: config::Skills,
    /// The configuration as it is written.
    document: Value,
    environment: Environment,
}

/// Where a skill is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Extra,
    Managed,
    Workspace,
}

impl Source {
    fn as_str(self) -> &'static str {
        match self {
            Self::Extra => "openclaw-extra",
            Self::Managed => "openclaw-managed",
            Self::Workspace => "openclaw-workspace",
        }
    }
}

/// A skill that was found.
struct Skill {
    name: String,
    head: Head,
    source: Source,
    folder: PathBuf,
}

/// A skill as a model is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToldSkill {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Its instructions: inside the workspace a path from there, otherwise the whole path.
    pub path: String,
}

impl Skills {
    /// Those that all agents share and those of the folders that `config` names; `document` is the file of it as it is
    /// written.
    #[must_use]
    pub fn new(
        config: &Config,
        document: Option<&Value>,
        state_dir: &Path,
        environment: &Environment,
    ) -> Self {
        let extra = config.skills.load.extra_dirs.iter();
        let inner = Inner {
            managed: state_dir.join(FOLDER),
            // A relative one would mean whatever directory happens to be the current one.
            extra: extra
                .map(|dir| environment.expand(dir))
                .filter(|dir| dir.is_absolute())
                .collect(),
            config: config.skills.clone(),
            document: document.cloned().unwrap_or_default(),
            environment: environment.clone(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// What `skills.status` answers for an agent that works in `workspace`. Reads the disk.
    #[must_use]
    pub fn status(&self, workspace: &Path) -> SkillsStatusResult {
        let machine = self.machine();
        let skills = self.of(workspace).into_iter();
        SkillsStatusResult::new(
            workspace.display().to_string(),
            self.inner.managed.display().to_string(),
            skills.map(|skill| self.shown(&skill, &machine)).collect(),
        )
    }

    /// What a model is told of: the skills that an agent in `workspace` can use, by name. Reads the disk.
    #[must_use]
    pub fn told(&self, workspace: &Path) -> Vec<ToldSkill> {
        let machine = self.machine();
        let usable = self
            .of(workspace)
            .into_iter()
            .filter(|skill| !skill.head.hidden && self.shown(skill, &machine).eligible);
        let told = usable.map(|skill| {
            let file = skill.folder.join(FILE);
            let path = file.strip_prefix(workspace).unwrap_or(&file);
            let description = skill.head.description.unwrap_or_default();
            let words = description.split_whitespace().collect::<Vec<_>>().join(" ");
            ToldSkill {
                name: skill.name,
                description: words.chars().take(MAX_TOLD_CHARS).collect(),
                path: path.display().to_string(),
            }
        });
        told.take(MAX_TOLD).collect()
    }

    /// Folders of skills outside of workspaces; agents may read in them.
    #[must_use]
    pub fn shared(&self) -> Vec<PathBuf> {
        let managed = std::iter::once(&self.inner.managed);
        let all = managed.chain(&self.inner.extra);
        all.filter(|dir| dir.is_absolute()).cloned().collect()
    }

    /// Programs that shared skills need or can install, each once, sorted (`skills.bins`). Nodes may allow them without
    /// a question, so no skill of a workspace counts. Reads the disk.
    #[must_use]
    pub fn bins(&self) -> BTreeSet<String> {
        let mut bins = BTreeSet::new();
        for head in self.heads(&[]) {
            let needs = head.metadata.requires;
            let installed = head.metadata.install.into_iter().flat_map(|way| way.bins);
            bins.extend(
                needs
                    .bins
                    .into_iter()
                    .chain(needs.any_bins)
                    .chain(installed),
            );
        }
        bins
    }

    /// Programs that skills for this operating system (as `darwin`) need, those of workspaces as well: nodes are asked
    /// which of them they have. Reads the disk.
    #[must_use]
    pub fn bins_on(&self, workspaces: &[PathBuf], os: &str) -> BTreeSet<String> {
        let for_it = |head: &Head| {
            let systems = &head.metadata.os;
            systems.is_empty() || systems.iter().any(|known| known == os)
        };
        let heads = self.heads(workspaces).into_iter().filter(for_it);
        let needs = heads.map(|head| head.metadata.requires);
        needs
            .flat_map(|needs| [needs.bins, needs.any_bins].concat())
            .collect()
    }

    fn machine(&self) -> Machine<'_> {
        Machine {
            os: needs::own_os(),
            environment: &self.inner.environment,
            document: &self.inner.document,
        }
    }

    fn shown(&self, skill: &Skill, machine: &Machine<'_>) -> SkillStatus {
        let Head {
            description,
            homepage,
            metadata,
            ..
        } = &skill.head;
        let key = metadata.skill_key.as_deref().unwrap_or(&skill.name);
        let entry = self.inner.config.entries.get(key);
        let is_disabled = entry.is_some_and(|entry| entry.enabled == Some(false));
        let missing = needs::missing(metadata, entry, machine);
        let mut status = SkillStatus::new(
            skill.name.clone(),
            description.clone().unwrap_or_default(),
            skill.source.as_str().to_owned(),
            skill.folder.join(FILE).display().to_string(),
            skill.folder.display().to_string(),
            key.to_owned(),
            metadata.always,
            is_disabled,
            // The list of the configuration is for skills that come with the gateway; there are none.
            false,
            !is_disabled && needs::is_complete(&missing),
            needs::requirements(metadata),
            missing,
            needs::config_checks(metadata, machine.document),
            install::options(&metadata.install, &self.inner.config.install, machine),
        );
        status.primary_env.clone_from(&metadata.primary_env);
        status.emoji.clone_from(&metadata.emoji);
        status.homepage = homepage.clone().or_else(|| metadata.homepage.clone());
        status
    }

    /// The skills of an agent by name. Of the same name, the workspace goes before the shared folder, and that before
    /// others.
    fn of(&self, workspace: &Path) -> Vec<Skill> {
        let own = workspace.join(FOLDER);
        let extra = self.inner.extra.iter().map(|dir| (dir, Source::Extra));
        let shared = [
            (&self.inner.managed, Source::Managed),
            (&own, Source::Workspace),
        ];
        let mut found = BTreeMap::new();
        for (folder, source) in extra.chain(shared) {
            for (folder, head) in read_all(folder) {
                let of_folder = folder.file_name().and_then(|name| name.to_str());
                let Some(name) = head.name.clone().or(of_folder.map(str::to_owned)) else {
                    continue;
                };
                let skill = Skill {
                    name: name.clone(),
                    head,
                    source,
                    folder,
                };
                found.insert(name, skill);
            }
        }
        found.into_values().collect()
    }

    fn heads(&self, workspaces: &[PathBuf]) -> Vec<Head> {
        let own = workspaces.iter().map(|workspace| workspace.join(FOLDER));
        let folders = own.chain(self.shared());
        let found = folders.flat_map(|folder| read_all(&folder));
        found.map(|(_, head)| head).collect()
    }
}

/// The skills in a folder; what cannot be read is none.
fn read_all(folder: &Path) -> Vec<(PathBuf, Head)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let entries = entries.take(MAX_SKILLS).filter_map(Result::ok);
    let read = |folder: PathBuf| {
        let bytes = read_start(&folder.join(FILE), MAX_HEAD_BYTES).ok()?;
        Some((folder, Head::of(&String::from_utf8_lossy(&bytes))))
    };
    entries.filter_map(|entry| read(entry.path())).collect()
}

#[cfg(test)]
mod tests;
