//! The rules of pairing as pure functions over records: what a connect leads to, what an approval grants, which token
//! a device gets (contract 3.2 to 3.4 with odds 6, 7, 8 and 50).
//!
//! `book` calls them with the records it holds; nothing here stores, waits, or knows the time.

use openclaw_protocol::protocol::Role;

use super::record::{
    Device, DeviceToken, MAX_SCOPE_BYTES, MAX_SCOPES, PendingPairing, Profile, covers,
};
use super::token::Salt;
use super::{PENDING_TTL_MS, PairingError};
use crate::connection::identity::VerifiedDevice;

/// What a device asks for by connecting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Who asks; its key was verified.
    pub device: VerifiedDevice,
    /// Role of the connection.
    pub role: Role,
    /// Effective scopes of the connection, in the order sent.
    pub scopes: Vec<String>,
    /// The connection is local: what is missing is granted without asking an operator. Only the present connection
    /// counts, never what an earlier one was (odd 6).
    pub local: bool,
    /// The connection gets in even when the device is not paired (Control UI with a bypass flag).
    pub optional: bool,
    /// The device showed its token for this role, and no shared secret.
    pub by_device_token: bool,
    /// What the client says about itself.
    pub profile: Profile,
}

impl Ask {
    pub(super) fn terms(&self) -> Terms<'_> {
        Terms {
            device_id: self.device.id(),
            public_key: self.device.public_key(),
            role: self.role,
            scopes: &self.scopes,
            profile: &self.profile,
        }
    }
}

/// What an approval grants, and to whom.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms<'a> {
    pub(super) device_id: &'a str,
    pub(super) public_key: &'a str,
    pub(super) role: Role,
    pub(super) scopes: &'a [String],
    pub(super) profile: &'a Profile,
}

impl<'a> From<&'a PendingPairing> for Terms<'a> {
    fn from(pending: &'a PendingPairing) -> Self {
        Self {
            device_id: &pending.device_id,
            public_key: &pending.public_key,
            role: pending.role,
            scopes: &pending.scopes,
            profile: &pending.profile,
        }
    }
}

/// What a connect leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Paired, with a token that covers the connection: nothing to write.
    Admit,
    /// Paired, but a token has to be made first.
    Mint,
    /// Not paired for this, but local: granted silently.
    Approve,
    /// Not paired for this; the same terms were asked for already, under this request id.
    Wait(String),
    /// Not paired for this: an operator has to be asked.
    Request,
    /// Not paired for this, and it need not be.
    Skip,
}

/// The next step for `ask`. `device` is the record of its id, `pending` the requests of its id.
pub(super) fn next_step<'a>(
    device: Option<&Device>,
    pending: impl IntoIterator<Item = &'a PendingPairing>,
    ask: &Ask,
    now_ms: u64,
) -> Step {
    if let Some(device) = paired(device, ask.device.public_key())
        && device.grants(ask.role, &ask.scopes)
    {
        return match device.token(ask.role) {
            Some(token) if token.opens(&ask.scopes) => Step::Admit,
            _ => Step::Mint,
        };
    }
    if ask.optional {
        return Step::Skip;
    }
    if ask.local {
        return Step::Approve;
    }
    let same = pending.into_iter().find(|request| {
        is_alive(request, now_ms)
            && request.public_key == ask.device.public_key()
            && request.role == ask.role
            && covers(&request.scopes, &ask.scopes)
            && covers(&ask.scopes, &request.scopes)
    });
    match same {
        Some(request) => Step::Wait(request.request_id.clone()),
        None => Step::Request,
    }
}

/// The record, if it is of this very key. A device id is the hash of the key, so another key under the same id takes a
/// damaged record; it counts as not paired and inherits nothing.
pub(super) fn paired<'a>(device: Option<&'a Device>, public_key: &str) -> Option<&'a Device> {
    device.filter(|device| device.public_key == public_key)
}

/// Has somebody asked for it within the last [`PENDING_TTL_MS`]?
pub(super) fn is_alive(request: &PendingPairing, now_ms: u64) -> bool {
    now_ms.saturating_sub(request.seen_at_ms) <= PENDING_TTL_MS
}

/// The record after an approval of `terms`: roles and scopes are merged, the token of the role is replaced by a new one
/// with exactly the scopes of the request.
pub(super) fn approve(
    old: Option<&Device>,
    terms: Terms<'_>,
    salt: Salt,
    now_ms: u64,
) -> Result<Device, PairingError> {
    let mut device = match paired(old, terms.public_key) {
        Some(device) => device.clone(),
        None => Device {
            device_id: terms.device_id.to_owned(),
            public_key: terms.public_key.to_owned(),
            profile: Profile::default(),
            role: terms.role,
            roles: Vec::new(),
            scopes: Vec::new(),
            tokens: Vec::new(),
            created_at_ms: now_ms,
            approved_at_ms: now_ms,
        },
    };
    device.profile.update(terms.profile);
    device.role = terms.role;
    device.approved_at_ms = now_ms;
    if !device.roles.contains(&terms.role) {
        device.roles.push(terms.role);
    }
    merge(&mut device.scopes, terms.scopes);
    bounded(&device.scopes)?;
    put_token(&mut device, terms.role, terms.scopes.to_vec(), salt, now_ms);
    Ok(device)
}

/// The record with a token of `role` that covers `scopes`, all of which the record grants already (3.4).
///
/// A token that was merely too narrow keeps its scopes beside the new ones. The reference gives the new token the
/// requested scopes alone; two programs that share a device and ask for different scopes then revoke each other's
/// token at every connect. A revoked token hands on nothing.
pub(super) fn mint(
    device: &Device,
    role: Role,
    scopes: &[String],
    salt: Salt,
    now_ms: u64,
) -> Device {
    let mut device = device.clone();
    let mut wanted = scopes.to_vec();
    if let Some(narrow) = device
        .token(role)
        .filter(|token| token.revoked_at_ms.is_none())
    {
        let kept: Vec<String> = narrow
            .scopes
            .iter()
            .filter(|&scope| device.scopes.contains(scope))
            .cloned()
            .collect();
        merge(&mut wanted, &kept);
    }
    put_token(&mut device, role, wanted, salt, now_ms);
    device
}

/// The record with a new token for an operator who asked for one: the old one dies, revoked or not (3.3). Unlike the
/// reference it stays within what the record grants (odd 7).
pub(super) fn rotate(
    device: &Device,
    role: Role,
    scopes: Option<&[String]>,
    salt: Salt,
    now_ms: u64,
) -> Option<Device> {
    let scopes = match (scopes, device.token(role)) {
        (Some(scopes), _) => scopes.to_vec(),
        (None, Some(token)) => token.scopes.clone(),
        (None, None) => device.scopes.clone(),
    };
    if !device.grants(role, &scopes) {
        return None;
    }
    let mut device = device.clone();
    put_token(&mut device, role, scopes, salt, now_ms);
    // What was made on request counts as rotated even when it is the role's first (recorded so).
    if let Some(token) = device.tokens.iter_mut().find(|token| token.role == role) {
        token.rotated_at_ms = Some(now_ms);
    }
    Some(device)
}

/// The record with the token of `role` revoked; `None` when there is none.
pub(super) fn revoke(device: &Device, role: Role, now_ms: u64) -> Option<Device> {
    let mut device = device.clone();
    let token = device.tokens.iter_mut().find(|token| token.role == role)?;
    token.revoked_at_ms.get_or_insert(now_ms);
    Some(device)
}

/// Is there room for these scopes in a record?
pub(super) fn bounded(scopes: &[String]) -> Result<(), PairingError> {
    if scopes.len() > MAX_SCOPES || scopes.iter().map(String::len).sum::<usize>() > MAX_SCOPE_BYTES
    {
        return Err(PairingError::TooManyScopes);
    }
    Ok(())
}

fn put_token(device: &mut Device, role: Role, mut scopes: Vec<String>, salt: Salt, now_ms: u64) {
    scopes.sort_unstable();
    scopes.dedup();
    let old = device.token(role);
    let token = DeviceToken {
        role,
        salt,
        scopes,
        created_at_ms: old.map_or(now_ms, |old| old.created_at_ms),
        rotated_at_ms: old.map(|_| now_ms),
        revoked_at_ms: None,
        last_used_at_ms: old.and_then(|old| old.last_used_at_ms),
    };
    device.tokens.retain(|token| token.role != role);
    device.tokens.push(token);
    device
        .tokens
        .sort_unstable_by_key(|token| token.role.as_str());
}

/// Adds what is not there yet, keeping the order.
fn merge(held: &mut Vec<String>, more: &[String]) {
    for scope in more {
        if !held.contains(scope) {
            held.push(scope.clone());
        }
    }
}

#[cfg(test)]
mod tests;
