//! What a pairing leads to: what has to be written, what the device gets, what operators are told.
//!
//! Made by `book`, written and told by `service` and `behind`.

use openclaw_protocol::protocol::Role;
use openclaw_protocol::rt::SecretString;
use openclaw_protocol::types::PairDecision;

use super::record::{Device, DeviceToken, PendingPairing, Profile};
use super::token::Salt;
use crate::store::{StoreError, Table, Writer};

/// A device's way in: what hello-ok returns in `auth` (contract 3.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The clear token.
    pub token: SecretString,
    /// The role it opens.
    pub role: Role,
    /// Its scopes, sorted; possibly more than the connection has.
    pub scopes: Vec<String>,
    /// When it was made, ms.
    pub issued_at_ms: u64,
}

/// A request that was settled, as the event `device.pair.resolved` says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The request, or a fresh id where a device was paired without one.
    pub request_id: String,
    /// Whose it was.
    pub device_id: String,
    /// How it was decided.
    pub decision: PairDecision,
    /// When, ms.
    pub ts: u64,
}

/// Random values for one change.
#[derive(Debug, Clone)]
pub(super) struct Fresh {
    pub(super) request_id: String,
    pub(super) salt: Salt,
}

impl Fresh {
    pub(super) fn draw() -> Result<Self, getrandom::Error> {
        let (mut id, mut salt) = ([0; 16], [0; 16]);
        getrandom::fill(&mut id)?;
        getrandom::fill(&mut salt)?;
        Ok(Self {
            request_id: uuid::Builder::from_random_bytes(id).into_uuid().to_string(),
            salt: Salt::from_bytes(salt),
        })
    }
}

/// What a change writes and removes.
#[derive(Debug, Default)]
pub(super) struct Change {
    pub(super) device: Option<Device>,
    /// What connects of the device had changed by the time of the plan.
    pub(super) basis: Option<Touch>,
    pub(super) pending: Option<PendingPairing>,
    pub(super) settled: Vec<String>,
}

impl Change {
    /// Writes it to the store.
    pub(super) fn store(&self, writer: &mut Writer<'_>) -> Result<(), StoreError> {
        if let Some(device) = &self.device {
            writer.put(Table::Devices, device.device_id.as_bytes(), device)?;
        }
        if let Some(pending) = &self.pending {
            writer.put(
                Table::PendingPairings,
                pending.request_id.as_bytes(),
                pending,
            )?;
        }
        for id in &self.settled {
            writer.delete(Table::PendingPairings, id.as_bytes())?;
        }
        Ok(())
    }

    /// What it settled; `or` stands for a request that never was.
    pub(super) fn resolved(&self, device_id: &str, or: Option<String>, ts: u64) -> Vec<Resolved> {
        let ids = if self.settled.is_empty() {
            or.into_iter().collect()
        } else {
            self.settled.clone()
        };
        ids.into_iter()
            .map(|request_id| Resolved {
                request_id,
                device_id: device_id.to_owned(),
                decision: PairDecision::Approved,
                ts,
            })
            .collect()
    }
}

/// What connects of a device changed that may be written later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Touch {
    pub(super) device_id: String,
    profile: Profile,
    role: Role,
    /// By salt: the next token of a role has not been used yet.
    last_used: Vec<(Salt, u64)>,
}

impl Touch {
    pub(super) fn of(device: &Device) -> Self {
        let last_used = |token: &DeviceToken| Some((token.salt, token.last_used_at_ms?));
        Self {
            device_id: device.device_id.clone(),
            profile: device.profile.clone(),
            role: device.role,
            last_used: device.tokens.iter().filter_map(last_used).collect(),
        }
    }

    /// Puts it into the stored record, leaving what it grants alone.
    pub(super) fn merge_into(&self, stored: &mut Device) {
        self.merge_since(None, stored);
    }

    /// Puts into a planned record what has changed since its plan, which was made of `basis`.
    pub(super) fn merge_since(&self, basis: Option<&Self>, stored: &mut Device) {
        if basis.is_none_or(|basis| basis.profile != self.profile) {
            stored.profile.update(&self.profile);
        }
        if basis.is_none_or(|basis| basis.role != self.role) {
            stored.role = self.role;
        }
        for token in &mut stored.tokens {
            let used = self.last_used.iter().find(|(salt, _)| *salt == token.salt);
            token.last_used_at_ms = token.last_used_at_ms.max(used.map(|(_, at)| *at));
        }
    }
}
