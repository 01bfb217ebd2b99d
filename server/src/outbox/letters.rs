//! A reply on its way out: found its way ([`Letter`]), written in a change ([`Posted`]), and in its channel's hands
//! ([`Pending`]).
//!
//! Made by [`super::replies`]; `agent` writes them in the change that ends a run.

use super::delivery::{Draft, Known};
use super::replies::{Replied, ReplyError, Words};
use crate::store::{StoreError, Writer};

/// A reply that has its way and its place, and no words yet.
pub struct Letter {
    pub(super) draft: Option<Draft>,
    pub(super) pending: Pending,
}

/// A reply that was written in a change. Once that is on disk it may go.
pub struct Posted {
    draft: Option<Draft>,
    pending: Pending,
}

/// What becomes of a reply.
#[derive(Clone)]
pub struct Pending(pub(super) Fate);

#[derive(Clone)]
pub(super) enum Fate {
    /// It is not sent: the conversation itself is where it is read.
    Here,
    /// It is not sent.
    Refused(ReplyError),
    /// A delivery decides; to this address.
    Delivery { known: Known, to: String },
}

impl Letter {
    /// Writes the reply as a part of a change, so that it is on disk together with what it is the reply of.
    ///
    /// # Errors
    /// Whatever the store says.
    pub fn put(self, writer: &mut Writer<'_>, words: Words) -> Result<Posted, StoreError> {
        let Self { mut draft, pending } = self;
        if let Some(draft) = &mut draft {
            draft.put(writer, words.into())?;
        }
        Ok(Posted { draft, pending })
    }
}

impl Posted {
    /// Why it is not sent, if it is not.
    #[must_use]
    pub fn refusal(&self) -> Option<&ReplyError> {
        match &self.pending.0 {
            Fate::Refused(error) => Some(error),
            Fate::Here | Fate::Delivery { .. } => None,
        }
    }

    /// Lets it go. The change is on disk.
    #[must_use]
    pub fn send_off(self) -> Pending {
        if let Some(draft) = self.draft {
            draft.send_off();
        }
        self.pending
    }
}

impl Pending {
    /// Whether its channel has not had the last word yet.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        match &self.0 {
            Fate::Delivery {
                known: Known::Live(live),
                ..
            } => live.end.borrow().is_none(),
            Fate::Delivery { .. } | Fate::Here | Fate::Refused(_) => false,
        }
    }

    /// How it ended; waits for its end.
    ///
    /// # Errors
    /// See [`ReplyError`].
    pub async fn outcome(&self) -> Result<Replied, ReplyError> {
        let (known, to) = match &self.0 {
            Fate::Here => return Ok(Replied::Here),
            Fate::Refused(error) => return Err(error.clone()),
            Fate::Delivery { known, to } => (known.clone(), to.clone()),
        };
        let outcome = known.outcome().await;
        let channel = outcome.channel.clone();
        let receipt = outcome.receipt().map_err(ReplyError::Undelivered)?;
        Ok(Replied::Sent {
            channel,
            to,
            message_id: receipt.message_id,
        })
    }
}

impl std::fmt::Debug for Pending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The words may be private.
        f.debug_struct("Pending").finish_non_exhaustive()
    }
}
