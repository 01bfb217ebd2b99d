//! The files of a workspace that a model is told with every turn: who it is, for whom it works and how.

use std::path::Path;

use super::read_start;

/// The files, in the order in which they are told.
const NAMES: [&str; 8] = [
    "AGENTS.md",
    "SOUL.md",
    "TOOLS.md",
    "IDENTITY.md",
    "USER.md",
    "HEARTBEAT.md",
    "BOOTSTRAP.md",
    "MEMORY.md",
];
/// Most bytes of a file that are read, whatever is configured: bounds the memory of a turn.
const MAX_READ: usize = 1024 * 1024;

/// Name and text of every such file that exists, each cut to `max_chars`. Blocks.
///
/// Unlike those that tools name, these may be links: people keep them with their other configuration.
pub(in crate::agent) fn files(workspace: &Path, max_chars: usize) -> Vec<(&'static str, String)> {
    let found = |name: &&'static str| Some((*name, cut(&read(&workspace.join(name))?, max_chars)));
    NAMES.iter().filter_map(found).collect()
}

fn read(path: &Path) -> Option<String> {
    let bytes = read_start(path, MAX_READ).ok()?;
    let text = String::from_utf8_lossy(&bytes).trim().to_owned();
    (!text.is_empty()).then_some(text)
}

/// Start and end of a text that is too long; people put what matters at either.
fn cut(text: &str, max_chars: usize) -> String {
    let count = text.chars().count();
    if count <= max_chars {
        return text.to_owned();
    }
    let end = max_chars / 4;
    let start: String = text.chars().take(max_chars - end).collect();
    let end: String = text.chars().skip(count - end).collect();
    format!(
        "{start}\n[{} characters are left out]\n{end}",
        count - max_chars
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_told_in_order_and_cut() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        assert_eq!(files(dir.path(), 10), []);
        put("USER.md", "Ann\n");
        put("SOUL.md", "0123456789");
        put("TOOLS.md", " \n");
        put("other.md", "x");
        std::os::unix::fs::symlink("USER.md", dir.path().join("AGENTS.md")).unwrap();
        std::fs::create_dir(dir.path().join("MEMORY.md")).unwrap();
        let told = |soul: &str| {
            let text = |text: &str| text.to_owned();
            vec![
                ("AGENTS.md", text("Ann")),
                ("SOUL.md", text(soul)),
                ("USER.md", text("Ann")),
            ]
        };
        assert_eq!(files(dir.path(), 10), told("0123456789"));
        assert_eq!(
            files(dir.path(), 8),
            told("012345\n[2 characters are left out]\n89")
        );
    }
}
