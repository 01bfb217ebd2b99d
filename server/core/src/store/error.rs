//! What can go wrong in the store, in the store's own words: no LMDB type leaves this folder.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use super::Table;

/// Why the store refused or failed. Cheap to clone: one failed commit answers every write of its batch.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The directory or its files cannot be made or opened.
    #[error("cannot open the store at {path}: {cause}")]
    Open {
        /// The store's directory.
        path: PathBuf,
        /// What the system said.
        cause: Arc<dyn Error + Send + Sync>,
    },
    /// This process has the same directory open already.
    #[error("the store at {path} is already open in this process")]
    AlreadyOpen {
        /// The store's directory.
        path: PathBuf,
    },
    /// Written by a newer release; reading it could destroy what that one stored.
    #[error(
        "the store at {path} has format {found}, this program knows up to {supported}: run the newer release, or move the directory away to start empty"
    )]
    Newer {
        /// The store's directory.
        path: PathBuf,
        /// Format version found.
        found: u32,
        /// Highest version this program knows.
        supported: u32,
    },
    /// There is data, but no readable format version.
    #[error(
        "the store at {path} holds data but its format version is unreadable: restore a backup, or move the directory away to start empty"
    )]
    NoVersion {
        /// The store's directory.
        path: PathBuf,
    },
    /// The map is full. The map is sized at start with room to spare, so a restart makes room.
    #[error("the store is full; restart the gateway to enlarge it")]
    Full,
    /// A key is empty or longer than the database can hold; hash long keys.
    #[error("a key of {length} bytes does not fit {table} (1 to {max} bytes)", max = super::MAX_KEY_BYTES)]
    KeyLength {
        /// Table addressed.
        table: Table,
        /// Length of the refused key in bytes.
        length: usize,
    },
    /// A stored value cannot be read as what is asked for.
    #[error("the record {} in {table} is damaged", key.escape_ascii())]
    Damaged {
        /// Table that holds the record.
        table: Table,
        /// Key of the record.
        key: Vec<u8>,
    },
    /// A value cannot be expressed as JSON.
    #[error("a value for {table} cannot be stored: {cause}")]
    Encode {
        /// Table addressed.
        table: Table,
        /// What the serialiser said.
        cause: Arc<dyn Error + Send + Sync>,
    },
    /// The closure of a write panicked; nothing of it was stored.
    #[error("a write was abandoned: its code panicked")]
    Panicked,
    /// The store was closed before the write could be queued; nothing of it was stored.
    #[error("the store is closed")]
    Closed,
    /// The database failed (disk, memory, damage).
    #[error("the store failed: {cause}")]
    Database {
        /// What the database said.
        cause: Arc<dyn Error + Send + Sync>,
    },
}

impl From<heed::Error> for StoreError {
    fn from(error: heed::Error) -> Self {
        match error {
            heed::Error::Mdb(heed::MdbError::MapFull) => Self::Full,
            other => Self::Database {
                cause: Arc::new(other),
            },
        }
    }
}

/// Why a [`super::Store::write`] stored nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WriteError<E> {
    /// The closure decided against it; its own error.
    #[error("{0}")]
    Rejected(E),
    /// The store could not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<WriteError<StoreError>> for StoreError {
    fn from(error: WriteError<StoreError>) -> Self {
        match error {
            WriteError::Rejected(error) | WriteError::Store(error) => error,
        }
    }
}
