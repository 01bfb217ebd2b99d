//! A connect whose params and device are in order: is it let in (checks 8 and 9 of contract 2.3)?

use std::net::IpAddr;
use std::sync::Arc;

use openclaw_protocol::types::ConnectAuth;

use super::refusal::{Cause, Refusal};
use super::{Accepted, ClientKind, NeedPairing, Policy, Verdict};
use crate::connection::auth::Credentials;
use crate::connection::limiter::Limiter;
use crate::connection::tailscale::Claim;
use crate::pairing::{Decision, Devices};

/// A connect that has passed checks 1 to 7.
#[derive(Debug)]
pub(super) struct Introduced {
    pub(super) policy: Arc<Policy>,
    pub(super) auth: Option<ConnectAuth>,
    /// The device need not be paired.
    pub(super) optional: bool,
    /// Who the headers say that it is.
    pub(super) claim: Option<Box<Claim>>,
    /// What it will be if it is let in.
    pub(super) accepted: Box<Accepted>,
}

/// A `connect` that waits for [`crate::connection::tailscale::Whois::login`].
#[derive(Debug)]
pub struct NeedWhois {
    introduced: Introduced,
    claim: Box<Claim>,
}

impl NeedWhois {
    /// Whose owner is to be found out.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.claim.address
    }

    /// The verdict once that was tried. Without the right owner it goes on as if nothing had been claimed.
    #[must_use]
    pub fn answered(
        self,
        owner: Option<&str>,
        now_ms: u64,
        devices: &impl Devices,
        limiter: &Limiter,
    ) -> Verdict {
        let is_proven = self.claim.is_proven_by(owner);
        self.introduced.decide(is_proven, now_ms, devices, limiter)
    }
}

impl Introduced {
    /// Checks 8 and 9.
    pub(super) fn judge(
        mut self,
        now_ms: u64,
        devices: &impl Devices,
        limiter: &Limiter,
    ) -> Verdict {
        match self.claim.take() {
            Some(claim) => Verdict::NeedWhois(Box::new(NeedWhois {
                introduced: self,
                claim,
            })),
            None => self.decide(false, now_ms, devices, limiter),
        }
    }

    fn decide(
        self,
        is_proven: bool,
        now_ms: u64,
        devices: &impl Devices,
        limiter: &Limiter,
    ) -> Verdict {
        let refuse = |id: &str, cause| Verdict::Refuse(Box::new(Refusal::answering(id, cause)));
        let id = &self.accepted.request_id;
        let by_device_token = match self.authenticate(is_proven, now_ms, devices, limiter) {
            Ok(by_device_token) => by_device_token,
            Err(cause) => return refuse(id, cause),
        };
        let accepted = self.accepted;
        let Some(ask) = accepted.ask(self.optional, by_device_token) else {
            return Verdict::Accept(accepted);
        };
        match devices.decide(&ask) {
            Decision::Granted(grant) => accepted.with(Some(grant)),
            Decision::Unpaired => accepted.with(None),
            Decision::Waiting { request_id } => {
                refuse(&accepted.request_id, Cause::PairingRequired { request_id })
            }
            Decision::Undecided => Verdict::NeedPairing(Box::new(NeedPairing { ask, accepted })),
        }
    }

    /// Check 8; whether it was the device's own token that opened.
    fn authenticate(
        &self,
        is_proven: bool,
        now_ms: u64,
        devices: &impl Devices,
        limiter: &Limiter,
    ) -> Result<bool, Cause> {
        let accepted = &self.accepted;
        // The header names a member of the tailnet, and any of its machines may be that member's. Without a device of
        // its own, which can be approved and revoked, it has to know the secret as everybody else.
        if (is_proven && accepted.device.is_some()) || accepted.locality.is_vouched_for {
            return Ok(false);
        }
        let credentials = Credentials::of(self.auth.as_ref());
        let opens_by_itself = || match (&accepted.device, credentials.token()) {
            (Some(device), Some(token)) => {
                devices.accepts(device, accepted.role, &accepted.scopes, token)
            }
            _ => false,
        };
        let guesser = accepted.locality.guesser.filter(|_| credentials.any());
        if let Some(guesser) = guesser
            && let Some(wait_ms) = limiter.wait_ms(guesser, now_ms)
        {
            // Somebody behind the same address guesses. Devices with a token of their own are not locked out by that:
            // no guess opens without the device's key.
            return match opens_by_itself() {
                true => Ok(true),
                false => Err(Cause::TooManyAttempts { wait_ms }),
            };
        }
        let Err(error) = self.policy.auth.check(&credentials) else {
            if let Some(guesser) = guesser {
                limiter.knew(guesser);
            }
            return Ok(false);
        };
        if opens_by_itself() {
            return Ok(true);
        }
        if let Some(guesser) = guesser {
            limiter.failed(guesser, now_ms);
        }
        Err(Cause::Unauthorized {
            error,
            client: ClientKind::of(&accepted.params.client),
        })
    }
}
