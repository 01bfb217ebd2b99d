//! Skills: folders with instructions for agents. So far as nodes need them: which programs all skills ask for.
//!
//! A skill is a folder with a `SKILL.md` below `skills/` of an agent's workspace, or in the folder that all agents share.
//! Its head says what it needs. What a node is to allow by itself comes from the shared folder only: agents write into their
//! workspaces. Reads the disk at each question: skills are edited by hand, and questions are few.

mod head;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use head::Head;

use crate::agent::read_start;

/// Folder of skills, in a workspace and in the state directory.
const FOLDER: &str = "skills";
/// A skill's instructions.
const FILE: &str = "SKILL.md";

/// Entries of one folder that are looked at. Collections have about a hundred skills.
pub const MAX_SKILLS: usize = 1024;

/// Beginning of a skill's file in which its head has to end, in bytes.
pub const MAX_HEAD_BYTES: usize = 64 * 1024;

/// Where skills are.
#[derive(Debug, Clone)]
pub struct Skills {
    workspaces: Vec<PathBuf>,
    shared: PathBuf,
}

impl Skills {
    /// Those of the workspaces, and those that all agents share.
    #[must_use]
    pub fn new(workspaces: &[PathBuf], state_dir: &Path) -> Self {
        Self {
            workspaces: workspaces.iter().map(|place| place.join(FOLDER)).collect(),
            shared: state_dir.join(FOLDER),
        }
    }

    /// Programs that shared skills need or can install, each once, sorted (`skills.bins`). Nodes may allow them without
    /// a question, so no skill of a workspace counts. Reads the disk.
    #[must_use]
    pub fn bins(&self) -> BTreeSet<String> {
        let mut bins = BTreeSet::new();
        for head in heads([&self.shared]) {
            bins.extend(head.required);
            bins.extend(head.installed);
        }
        bins
    }

    /// Programs that skills for this operating system (as `darwin`) need, those of workspaces as well: nodes are asked
    /// which of them they have. Reads the disk.
    #[must_use]
    pub fn bins_on(&self, os: &str) -> BTreeSet<String> {
        heads(self.workspaces.iter().chain([&self.shared]))
            .into_iter()
            .filter(|head| head.os.is_empty() || head.os.iter().any(|known| known == os))
            .flat_map(|head| head.required)
            .collect()
    }
}

/// The heads of all skills in folders; what cannot be read is no skill.
fn heads<'a>(folders: impl IntoIterator<Item = &'a PathBuf>) -> Vec<Head> {
    let entries = |folder: &PathBuf| {
        let entries = std::fs::read_dir(folder).into_iter().flatten();
        entries.take(MAX_SKILLS).filter_map(Result::ok)
    };
    folders
        .into_iter()
        .flat_map(entries)
        .filter_map(|entry| read_start(&entry.path().join(FILE), MAX_HEAD_BYTES).ok())
        .map(|bytes| Head::of(&String::from_utf8_lossy(&bytes)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(place: &Path, name: &str, text: &str) {
        let folder = place.join(FOLDER).join(name);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(FILE), text).unwrap();
    }

    #[test]
    fn programs_of_all_skills() {
        let (workspace, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let skills = Skills::new(&[workspace.path().into(), "/nowhere".into()], state.path());
        assert!(skills.bins().is_empty());
        let needs =
            |json: &str| format!("---\nname: x\nmetadata: {{\"openclaw\":{json}}}\n---\nText.\n");
        write(
            workspace.path(),
            "gh",
            &needs(r#"{"requires":{"bins":["gh"," jq "]}}"#),
        );
        write(
            workspace.path(),
            "memo",
            &needs(
                r#"{"os":["darwin"],"requires":{"bins":["memo"]},"install":[{"bins":["brewed"]}]}"#,
            ),
        );
        write(
            state.path(),
            "any",
            &needs(r#"{"os":["linux"],"requires":{"anyBins":["a","b"]}}"#),
        );
        write(state.path(), "plain", "No head.");
        std::fs::write(state.path().join(FOLDER).join("file"), "no folder").unwrap();
        let list = |bins: BTreeSet<String>| bins.into_iter().collect::<Vec<_>>();
        assert_eq!(list(skills.bins()), ["a", "b"], "no workspace's");
        write(
            state.path(),
            "gh",
            &needs(r#"{"requires":{"bins":["gh2"]},"install":[{"bins":["brewed2"]}]}"#),
        );
        assert_eq!(list(skills.bins()), ["a", "b", "brewed2", "gh2"]);
        assert_eq!(list(skills.bins_on("darwin")), ["gh", "gh2", "jq", "memo"]);
        assert_eq!(list(skills.bins_on("linux")), ["a", "b", "gh", "gh2", "jq"]);
    }

    #[test]
    fn only_the_start_of_a_file_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let skills = Skills::new(&[], dir.path());
        let head = "---\nmetadata: {\"openclaw\":{\"requires\":{\"bins\":[\"gh\"]}}}\n";
        let end = "---";
        for (bytes, expected) in [(MAX_HEAD_BYTES, 1), (MAX_HEAD_BYTES + 1, 0)] {
            let filler = bytes - head.len() - end.len();
            let text = format!("{head}{}\n{end}", "#".repeat(filler - 1));
            write(dir.path(), "one", &text);
            assert_eq!(skills.bins().len(), expected, "{bytes}");
        }
    }

    #[test]
    fn folders_are_read_up_to_a_bound() {
        let dir = tempfile::tempdir().unwrap();
        let skills = Skills::new(&[], dir.path());
        let text = "---\nname: x\n---\n";
        for n in 0..MAX_SKILLS {
            write(dir.path(), &n.to_string(), text);
        }
        assert_eq!(heads([&skills.shared]).len(), MAX_SKILLS);
        write(dir.path(), "one too many", text);
        assert_eq!(heads([&skills.shared]).len(), MAX_SKILLS);
    }
}
