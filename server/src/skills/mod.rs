//! Skills: folders with instructions for agents. So far as nodes need them: which programs all skills ask for.
//!
//! A skill is a folder with a `SKILL.md` below `skills/` of an agent's workspace, or in the folder that all agents share.
//! Its head says what it needs. Reads the disk at each question: skills are edited by hand, and questions are few.

mod head;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use head::Head;

/// Folder of skills, in a workspace and in the state directory.
const FOLDER: &str = "skills";
/// A skill's instructions.
const FILE: &str = "SKILL.md";

/// Entries of one folder that are looked at. Collections have about a hundred skills.
pub const MAX_SKILLS: usize = 1024;

/// Beginning of a skill's file in which its head has to end, in bytes.
pub const MAX_HEAD_BYTES: u64 = 64 * 1024;

/// Where skills are.
#[derive(Debug, Clone)]
pub struct Skills {
    folders: Vec<PathBuf>,
}

impl Skills {
    /// Those of the workspaces, and those that all agents share.
    #[must_use]
    pub fn new(workspaces: &[PathBuf], state_dir: &Path) -> Self {
        let places = workspaces.iter().map(PathBuf::as_path).chain([state_dir]);
        Self {
            folders: places.map(|place| place.join(FOLDER)).collect(),
        }
    }

    /// Programs that skills need or can install, each once, sorted (`skills.bins`). Reads the disk.
    #[must_use]
    pub fn bins(&self) -> BTreeSet<String> {
        let mut bins = BTreeSet::new();
        for head in self.heads() {
            bins.extend(head.required);
            bins.extend(head.installed);
        }
        bins
    }

    /// Programs that skills for this operating system (as `darwin`) need. Reads the disk.
    #[must_use]
    pub fn bins_on(&self, os: &str) -> BTreeSet<String> {
        let heads = self.heads().into_iter();
        heads
            .filter(|head| head.os.is_empty() || head.os.iter().any(|known| known == os))
            .flat_map(|head| head.required)
            .collect()
    }

    /// The heads of all skills; what cannot be read is no skill.
    fn heads(&self) -> Vec<Head> {
        let entries = |folder: &PathBuf| {
            let entries = std::fs::read_dir(folder).into_iter().flatten();
            entries.take(MAX_SKILLS).filter_map(Result::ok)
        };
        self.folders
            .iter()
            .flat_map(entries)
            .filter_map(|entry| read_start(&entry.path().join(FILE)))
            .map(|text| Head::of(&text))
            .collect()
    }
}

fn read_start(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    let file = File::open(path).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    file.take(MAX_HEAD_BYTES).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
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
        assert_eq!(
            list(skills.bins()),
            ["a", "b", "brewed", "gh", "jq", "memo"]
        );
        assert_eq!(list(skills.bins_on("darwin")), ["gh", "jq", "memo"]);
        assert_eq!(list(skills.bins_on("linux")), ["a", "b", "gh", "jq"]);
    }

    #[test]
    fn only_the_start_of_a_file_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let skills = Skills::new(&[], dir.path());
        let head = "---\nmetadata: {\"openclaw\":{\"requires\":{\"bins\":[\"gh\"]}}}\n";
        let end = "---";
        for (bytes, expected) in [(MAX_HEAD_BYTES, 1), (MAX_HEAD_BYTES + 1, 0)] {
            let filler = usize::try_from(bytes).unwrap() - head.len() - end.len();
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
        assert_eq!(skills.heads().len(), MAX_SKILLS);
        write(dir.path(), "one too many", text);
        assert_eq!(skills.heads().len(), MAX_SKILLS);
    }
}
