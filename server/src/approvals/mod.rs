//! Questions to people about one command: asked, decided once, and not lost in between (contract 9.5; field reports of
//! approvals that were orphaned or unknown after a restart).
//!
//! `record` is what is stored, `book` all of it in memory, [`Approvals`] joins them with the store, the clock and the
//! hub. A question is on disk before anybody is told of it, and so is its decision. Called by `methods/exec`, by `gate` for
//! the commands of agents and, for whoever connects, by the gateway's greeter.
//!
//! Who may ask again: an id that somebody waits for is taken. Once nobody does, because the asker left or the gateway
//! was started again, the same question under the same id is joined: it waits on, or gets the decision that was made
//! meanwhile. A decision is handed out once; afterwards the id is free.

mod book;
mod gate;
mod record;
mod service;

pub use gate::{AskingGate, MAX_LASTING, Machine};
pub use record::Question;
pub use service::Approvals;

use crate::store::{StoreError, WriteError};

/// Questions that wait at a time. People answer a few; a program that asks more has gone wrong.
pub const MAX_PENDING: usize = 256;

/// Decisions that wait for an asker who left, beyond which the oldest go.
pub const MAX_DECIDED: usize = 256;

/// Bytes of texts in all questions that are kept. A frame may hold half a MiB of command; 256 of those would be too much.
pub const MAX_BYTES: usize = 8 * 1024 * 1024;

/// How long a decision waits for its asker to come back: longer than any restart and any reconnect takes.
pub const DECIDED_TTL_MS: u64 = 600_000;

/// Why a question was not asked, or not decided.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ApprovalError {
    /// Somebody waits for a question of this id, or it is another question.
    #[error("the id is taken")]
    Pending,
    /// [`MAX_PENDING`] or [`MAX_BYTES`] are reached.
    #[error("{MAX_PENDING} questions wait, or {MAX_BYTES} bytes of them")]
    Full,
    /// The word is no decision.
    #[error("no such decision")]
    Decision,
    /// No such question waits: unknown, decided, or its time is over.
    #[error("no such question waits")]
    Unknown,
    /// The store failed; nothing was changed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The change was ended half way, as happens when the gateway stops.
    #[error("the change was interrupted")]
    Interrupted,
}

impl From<WriteError<StoreError>> for ApprovalError {
    fn from(error: WriteError<StoreError>) -> Self {
        Self::Store(error.into())
    }
}

#[cfg(test)]
mod tests;
