//! Pairing: which devices may connect, in which roles, with which scopes, and the tokens they hold
//! (contract 3.1 to 3.4; field pains P9 and P14).
//!
//! `record` is what is stored, `rules` what is allowed, `book` all of it in memory, `change` what comes of it, `token`
//! how tokens are made. [`Pairing`] joins them with the store. The handshake asks it through [`Devices`], which touches
//! no disk, and, when something has to be granted or asked for, the connection awaits [`Pairing::commit`]. `device.*`
//! methods are thin over the rest, and `wire` turns records into what clients see. `nodes` is the older pairing of nodes,
//! which admits nobody.
//!
//! What is decided is told here and not by who asked for it: events go out, and the connections of a token that died are
//! closed, also when the operator who wanted it is gone by then.
//!
//! Who may write: changes of one device happen one after another under its lock, decided on what the previous one left
//! behind; so two connects of the same new device get one approval and the same token. They run to their end even when
//! the connection that wanted them is gone, otherwise memory could miss what the disk has.

mod actor;
mod behind;
mod book;
mod change;
pub mod nodes;
mod record;
mod rules;
mod service;
mod token;
mod wire;

use std::time::Duration;

use ed25519_dalek::VerifyingKey;
use openclaw_protocol::protocol::{Role, limits};

pub use actor::Actor;
pub use change::{Grant, Resolved};
pub use record::{
    Device, DeviceToken, MAX_PROFILE_CHARS, MAX_SCOPE_BYTES, MAX_SCOPES, PendingPairing, Profile,
};
pub use rules::Ask;
pub use service::Pairing;
pub use token::{Salt, TokenKey, TokenKeyError};

use crate::connection::identity::VerifiedDevice;
use crate::store::{StoreError, WriteError};

/// Paired devices at most. The index of all of them is in memory, about one KiB each. May be passed by the few that are
/// being approved at the same instant.
pub const MAX_DEVICES: usize = 16_384;

/// Open pairing requests at most; each took a client that knew the shared secret. Beyond it the one longest not asked
/// for goes: a device that still wants in asks again.
pub const MAX_PENDING: usize = 256;

/// Open requests of one device: one for each of the terms that programs on it ask for.
pub const MAX_PENDING_PER_DEVICE: usize = 4;

/// How long a request lives after it was last asked for (contract 3.1).
pub const PENDING_TTL_MS: u64 = limits::PAIRING_TTL_MS;

/// How long profiles and times of use wait to be written together. They are for people to read; losing the last
/// seconds of them in a crash costs nothing, a commit at every connect would.
pub const FLUSH_DELAY: Duration = Duration::from_secs(5);

/// What a connect of a device leads to, as far as memory tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Paired for what it asks for.
    Granted(Grant),
    /// Not paired, but [`Ask::optional`].
    Unpaired,
    /// Not paired, and already waiting for an operator.
    Waiting {
        /// The request that waits.
        request_id: String,
    },
    /// Something has to be written first: see [`Pairing::commit`].
    Undecided,
}

/// What a [`Pairing::commit`] led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Paired; what was granted is on disk.
    Granted {
        /// The way in.
        grant: Grant,
        /// Requests that were thereby settled; operators were told. Never empty after a silent approval.
        resolved: Vec<Resolved>,
    },
    /// Not paired, but [`Ask::optional`].
    Unpaired,
    /// An operator has to approve.
    Waiting {
        /// The request that waits.
        request_id: String,
        /// The request, when it is new; operators were told of it then.
        requested: Option<Box<PendingPairing>>,
    },
}

/// Why a change of pairing did not happen.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PairingError {
    /// There is no room for another device ([`MAX_DEVICES`]).
    #[error("{MAX_DEVICES} devices are paired already")]
    TooManyDevices,
    /// The device asks for, or would hold, more scopes than are kept ([`MAX_SCOPES`], [`MAX_SCOPE_BYTES`]).
    #[error("more than {MAX_SCOPES} scopes or {MAX_SCOPE_BYTES} bytes of them")]
    TooManyScopes,
    /// No such open request.
    #[error("no such open request")]
    UnknownRequest,
    /// Whoever wants a token made may not hand out this scope.
    #[error("the caller does not have the scope {0}")]
    NotYours(String),
    /// No such device, or not in this role, or the scopes go beyond what it was granted.
    #[error("no such device, or the role or scopes are not granted to it")]
    UnknownDevice,
    /// The store failed; nothing was changed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system gives no random bytes.
    #[error("no random bytes from the system: {0}")]
    Random(#[from] getrandom::Error),
    /// The task that made the change was ended, as happens when the gateway stops.
    #[error("the change was interrupted")]
    Interrupted,
}

impl From<WriteError<StoreError>> for PairingError {
    fn from(error: WriteError<StoreError>) -> Self {
        Self::Store(error.into())
    }
}

/// What a handshake asks about devices; answered from memory.
pub trait Devices {
    /// The key of a paired device that was here before, if it is kept ready.
    fn key(&self, device_id: &str) -> Option<VerifyingKey>;

    /// Is `token` the unrevoked token of `device` for `role`, with all of `scopes` among its own (contract 2.7, step 3)?
    fn accepts(&self, device: &VerifiedDevice, role: Role, scopes: &[String], token: &str) -> bool;

    /// What `ask` leads to. [`Decision::Granted`] counts as a connect of the device: its profile and times are noted.
    fn decide(&self, ask: &Ask) -> Decision;
}

#[cfg(test)]
mod tests;
