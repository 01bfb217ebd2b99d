//! Sessions as files, in the layout of the reference: `agents/<agent>/sessions/sessions.json` with one
//! `<sessionId>.jsonl` beside it for each transcript, and archived transcripts under their own names. So a user can move
//! in and out.
//!
//! Called by `openclaw sessions export` and `import`, which own the store meanwhile: no gateway runs.

mod export;
mod import;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

use crate::store::StoreError;

pub use export::Exported;
pub use import::{Imported, PassedOver};

/// Name of the file that lists an agent's sessions.
pub const INDEX: &str = "sessions.json";
/// Longest line of a transcript that is read: a message with the largest attachments, several times over.
const MAX_LINE_BYTES: u64 = 64 * 1024 * 1024;

/// Why sessions were not moved. The texts are for the person at the terminal.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// A file or folder cannot be used.
    #[error("{}: {cause}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// Sessions would be overwritten.
    #[error("{} is there already: name an empty folder with --out, or move that one away", path.display())]
    Occupied {
        /// The file that is in the way.
        path: PathBuf,
    },
    /// There are no sessions where they were looked for.
    #[error("no sessions in {}: name a folder that holds agents/<agent>/sessions/{INDEX} with --from", path.display())]
    Nothing {
        /// The folder.
        path: PathBuf,
    },
    /// The list of an agent's sessions cannot be read.
    #[error("{} is no list of sessions: {cause}", path.display())]
    Index {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: serde_json::Error,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl FilesError {
    fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |cause| Self::File { path, cause }
    }
}

/// Folder of an agent's sessions below `root`.
fn folder(root: &Path, agent: &str) -> PathBuf {
    root.join("agents").join(agent).join("sessions")
}
