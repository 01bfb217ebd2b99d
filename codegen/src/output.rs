//! The produced files: written to disk, or compared with what is there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use similar::TextDiff;

/// Folders that hold nothing but generated files; a file in them that is not produced is stale.
const OWNED: &[&str] = &[
    "generated/src",
    "generated/typescript",
    "client/typescript/tests/generated",
    "schema/dist",
    "swift/Sources/OpenClawProtocol/Generated",
    "swift/Sources/OpenClawGateway/Generated",
    "swift/Tests/OpenClawProtocolTests/Generated",
    "swift/Tests/OpenClawGatewayTests/Generated",
];

/// Files inside owned folders that are written by hand.
const BY_HAND: &[&str] = &["schema/dist/released"];

/// Lines of the difference that `--check` shows of a stale file.
const DIFF_LINES: usize = 30;

/// Produced files by path relative to the project.
#[derive(Default)]
pub struct Outputs {
    files: BTreeMap<String, String>,
}

impl Outputs {
    /// Adds one file.
    pub fn add(&mut self, path: impl Into<String>, mut text: String) {
        if !text.ends_with('\n') {
            text.push('\n');
        }
        self.files.insert(path.into(), text);
    }

    /// Number of files.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// True when nothing was produced.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The text of one file.
    pub fn get(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// All files in path order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// Writes the files that differ, deletes stale ones, and returns how many changed.
    ///
    /// # Errors
    /// Any file that cannot be written.
    pub fn write(&self, root: &Path) -> anyhow::Result<usize> {
        let mut changed = 0;
        for (path, text) in &self.files {
            let target = root.join(path);
            if std::fs::read_to_string(&target).is_ok_and(|old| old == *text) {
                continue;
            }
            if let Some(parent) = target.parent() {
                std::fs::create_dir_all(parent)
                    .with_context(|| format!("creating {}", parent.display()))?;
            }
            std::fs::write(&target, text).with_context(|| format!("writing {path}"))?;
            changed += 1;
        }
        for stale in self.stale(root)? {
            std::fs::remove_file(root.join(&stale)).with_context(|| format!("deleting {stale}"))?;
            changed += 1;
        }
        Ok(changed)
    }

    /// Compares with what is on disk.
    ///
    /// # Errors
    /// Lists every stale file with the start of its difference, and names the command.
    pub fn check(&self, root: &Path) -> anyhow::Result<()> {
        let mut report = String::new();
        for (path, text) in &self.files {
            let old = std::fs::read_to_string(root.join(path)).unwrap_or_default();
            if old != *text {
                report.push_str(&format!("\n{path} is stale:\n"));
                let diff = TextDiff::from_lines(&old, text);
                let unified = diff.unified_diff().context_radius(1).to_string();
                for line in unified.lines().take(DIFF_LINES) {
                    report.push_str(line);
                    report.push('\n');
                }
            }
        }
        for stale in self.stale(root)? {
            report.push_str(&format!("\n{stale} is no longer generated\n"));
        }
        if !report.is_empty() {
            bail!(
                "generated files do not match schema/\n{report}\nrun `cargo run -p codegen` and commit the result"
            );
        }
        Ok(())
    }

    fn stale(&self, root: &Path) -> anyhow::Result<Vec<String>> {
        let mut stale = Vec::new();
        for folder in OWNED {
            let mut pending = vec![PathBuf::from(folder)];
            while let Some(dir) = pending.pop() {
                let Ok(entries) = std::fs::read_dir(root.join(&dir)) else {
                    continue;
                };
                for entry in entries {
                    let entry = entry.with_context(|| format!("reading {}", dir.display()))?;
                    let path = dir.join(entry.file_name());
                    let name = path.to_string_lossy().replace('\\', "/");
                    if BY_HAND.contains(&name.as_str()) {
                        continue;
                    }
                    if entry.path().is_dir() {
                        pending.push(path);
                    } else if !self.files.contains_key(&name) {
                        stale.push(name);
                    }
                }
            }
        }
        stale.sort();
        Ok(stale)
    }
}
