//! `HEARTBEAT.md`: what an agent is to look after. Read before each heartbeat, so that one without work costs nothing.

use std::path::PathBuf;

use crate::agent::{FileError, read_start};

/// The file in an agent's workspace that says what to look after.
const FILE: &str = "HEARTBEAT.md";

/// Largest file that is looked into; a larger one holds something.
const MAX_FILE: usize = 64 * 1024;

/// Whether the file exists and says that there is nothing to look after.
pub(super) async fn says_nothing(workspace: PathBuf) -> bool {
    let path = workspace.join(FILE);
    let read = move || match read_start(&path, MAX_FILE + 1) {
        Ok(bytes) if bytes.len() > MAX_FILE => false,
        Ok(bytes) => String::from_utf8(bytes).is_ok_and(|text| text.lines().all(is_filler)),
        Err(FileError::Missing) => false,
        Err(error) => {
            tracing::warn!(%error, path = %path.display(), "the heartbeat file cannot be read");
            false
        }
    };
    tokio::task::spawn_blocking(read).await.unwrap_or(false)
}

/// Blank lines, headings and empty list items ask for nothing.
pub(super) fn is_filler(line: &str) -> bool {
    let line = line.trim();
    let is_heading = {
        let after = line.trim_start_matches('#');
        after.len() < line.len() && (after.is_empty() || after.starts_with(char::is_whitespace))
    };
    let item = line.strip_prefix(['-', '*', '+']).map(str::trim);
    line.is_empty()
        || is_heading
        || item.is_some_and(|item| matches!(item, "" | "[ ]" | "[x]" | "[X]" | "[]"))
}
