//! The handshake as a state machine: what a connection's first message leads to (contract 2, all checks of 2.3 in order).
//!
//! Pure: no socket, no clock, no disk. The connection drives it:
//!
//! ```text
//! Handshake::new ─ challenge() ──► sent at once
//!       │
//!       ├─ nothing within limits::HANDSHAKE_TIMEOUT_MS ─► Refusal::timed_out()
//!       └─ receive(first message) ─► Verdict
//!                 Accept       hello-ok follows
//!                 Refuse       its response, if any, then its close
//!                 NeedWhois    await whois.login(need.address()), then need.answered(login, …) ─► Verdict
//!                 NeedPairing  await pairing.commit(need.ask()), then need.decided(outcome) ─► Verdict
//! ```
//!
//! Checks 1 to 7 are here, 8 and 9 in `introduced`. Every step consumes the machine, so nothing can be received twice; what a client sends behind its `connect` has to
//! wait in the connection until the verdict (odd 1). Accepting touches no disk unless something has to be granted.

mod client;
mod introduced;
mod refusal;

use std::sync::Arc;

use openclaw_protocol::call::{self, Call, Problem};
use openclaw_protocol::events::Event;
use openclaw_protocol::methods::Method;
use openclaw_protocol::protocol::{self, Role, limits};
use openclaw_protocol::rt::{self, NonEmptyString, Tree, Violation};
use openclaw_protocol::tables;
use openclaw_protocol::types::{self, ConnectParams};

pub use client::{ClientKind, is_control_ui, is_webchat};
pub use introduced::NeedWhois;
pub use refusal::{Cause, CloseWith, Refusal, cut_reason};

use super::auth::{Auth, Credentials};
use super::identity::{Challenge, Claim, VerifiedDevice};
use super::limiter::Limiter;
use super::locality::{Locality, PeerFacts, Trust};
use super::tailscale;
use crate::pairing::{Ask, Devices, Grant, MAX_SCOPES, Outcome, PairingError, Profile};
use introduced::Introduced;

/// What a configuration says about connecting.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The shared secret.
    pub auth: Auth,
    /// Trusted proxies and origins, own addresses.
    pub trust: Trust,
    /// `gateway.controlUi.allowInsecureAuth`: the Control UI may come without a device, and is not paired.
    pub allow_insecure_auth: bool,
    /// `gateway.controlUi.dangerouslyDisableDeviceAuth`: as above, and a device that it sends is ignored.
    pub disable_device_auth: bool,
    /// `gateway.auth.strictDevices`: every client has to show a device, whatever else it shows; local devices have to
    /// sign the nonce too (odd 53). Off by default: clients that connect before the challenge arrives sign without it.
    pub strict_devices: bool,
    /// A proven user of the tailnet needs no secret.
    pub allow_tailscale: bool,
}

/// A connection that has not said who it is.
#[derive(Debug)]
pub struct Handshake {
    policy: Arc<Policy>,
    locality: Locality,
    /// What a member of the tailnet says. Never that of a foreign page: a browser sends the header for it too.
    claim: Option<Box<tailscale::Claim>>,
    nonce: String,
}

/// What a message led to.
#[derive(Debug)]
pub enum Verdict {
    /// The connection is open.
    Accept(Box<Accepted>),
    /// The connection is over.
    Refuse(Box<Refusal>),
    /// The tailnet has to be asked who this is.
    NeedWhois(Box<NeedWhois>),
    /// Everything is in order but the pairing, which has to be written first.
    NeedPairing(Box<NeedPairing>),
}

/// An accepted `connect`.
#[derive(Debug)]
pub struct Accepted {
    /// Id of the request, to be answered by hello-ok.
    pub request_id: String,
    /// The params without `auth` and `device`, of which only what follows is of use.
    pub params: Box<ConnectParams>,
    /// The negotiated protocol version.
    pub protocol: u64,
    /// The effective role.
    pub role: Role,
    /// The effective scopes: as sent, or the default of the role.
    pub scopes: Vec<String>,
    /// The device, if it sent one that is in effect.
    pub device: Option<VerifiedDevice>,
    /// `auth` of hello-ok; there is one for every paired device.
    pub grant: Option<Grant>,
    /// Where the connection comes from.
    pub locality: Locality,
}

/// A `connect` that waits for [`crate::pairing::Pairing::commit`].
#[derive(Debug)]
pub struct NeedPairing {
    ask: Ask,
    accepted: Box<Accepted>,
}

impl Handshake {
    /// A connection from `peer`, with a `nonce` that no other connection has.
    #[must_use]
    pub fn new(policy: Arc<Policy>, peer: &PeerFacts, nonce: String) -> Self {
        let locality = policy.trust.judge(peer);
        let may_claim = policy.allow_tailscale && !locality.local && !locality.is_foreign_page;
        Self {
            claim: may_claim
                .then(|| tailscale::Claim::of(peer))
                .flatten()
                .map(Box::new),
            locality,
            policy,
            nonce,
        }
    }

    /// Where the connection comes from.
    #[must_use]
    pub fn locality(&self) -> Locality {
        self.locality
    }

    /// The text of the challenge, the first frame of every connection (2.1). Clients wait only
    /// [`limits::CHALLENGE_WAIT_MS`] for it.
    #[must_use]
    pub fn challenge(&self, now_ms: u64) -> Vec<u8> {
        let nonce = NonEmptyString::or(self.nonce.as_str(), "nonce");
        let mut text =
            Event::ConnectChallenge(types::ConnectChallenge::new(nonce, now_ms)).frame_start();
        text.push(b'}');
        text
    }

    /// Judges the first message. `limiter` holds the wrong secrets of earlier connections.
    pub fn receive(
        self,
        text: &str,
        now_ms: u64,
        devices: &impl Devices,
        limiter: &Limiter,
    ) -> Verdict {
        let judged = read_connect(text).and_then(|(id, params)| {
            let introduced = self
                .introduce(&id, params, now_ms, devices)
                .map_err(|cause| Box::new(Refusal::answering(&id, cause)))?;
            Ok(introduced.judge(now_ms, devices, limiter))
        });
        judged.unwrap_or_else(Verdict::Refuse)
    }

    /// Checks 2 to 7 of 2.3.
    fn introduce(
        self,
        id: &str,
        mut params: Box<ConnectParams>,
        now_ms: u64,
        devices: &impl Devices,
    ) -> Result<Introduced, Cause> {
        let Some(protocol) = protocol::negotiate(params.min_protocol, params.max_protocol) else {
            return Err(Cause::ProtocolMismatch);
        };
        let role = match params.role.as_deref() {
            None => Role::Operator,
            Some(name) => Role::from_wire(name).ok_or(Cause::InvalidRole)?,
        };
        let sent: Vec<String> = params
            .scopes
            .take()
            .into_iter()
            .flatten()
            .map(String::from)
            .collect();
        let (device, auth) = (params.device.take(), params.auth.take());
        let credentials = Credentials::of(auth.as_ref());
        let policy = &self.policy;
        let control_ui = is_control_ui(&params.client);
        // What excuses the Control UI from its device excuses nobody where every client has to show one.
        let bypass = control_ui
            && !policy.strict_devices
            && (policy.allow_insecure_auth || policy.disable_device_auth);
        let device = device.filter(|_| !(bypass && policy.disable_device_auth));
        let optional = bypass && credentials.any();
        let device = match device {
            Some(device) => {
                let challenge = self.challenge_at(now_ms);
                let (client, auth) = (&params.client, auth.as_ref());
                Some(verify(
                    &challenge, &device, client, role, &sent, auth, devices,
                )?)
            }
            None if control_ui && !bypass => return Err(Cause::ControlUiInsecure),
            None => {
                let excused = if bypass {
                    credentials.any()
                } else {
                    self.locality.is_vouched_for || policy.auth.offered(&credentials)
                };
                if policy.strict_devices || !excused {
                    return Err(Cause::DeviceRequired);
                }
                None
            }
        };
        let scopes = if sent.is_empty() {
            role.default_scopes()
                .iter()
                .map(|scope| scope.as_str().to_owned())
                .collect()
        } else {
            sent
        };
        let accepted = Box::new(Accepted {
            request_id: id.to_owned(),
            protocol,
            role,
            scopes,
            device,
            grant: None,
            locality: self.locality,
            params,
        });
        Ok(Introduced {
            policy: self.policy,
            auth,
            optional,
            claim: self.claim,
            accepted,
        })
    }

    fn challenge_at(&self, now_ms: u64) -> Challenge<'_> {
        Challenge {
            nonce: &self.nonce,
            nonce_required: self.policy.strict_devices || !self.locality.local,
            now_ms,
            max_skew_ms: limits::SIGNATURE_SKEW_MS,
        }
    }
}

impl Accepted {
    /// What its device asks for; `None` without a device.
    fn ask(&self, optional: bool, by_device_token: bool) -> Option<Ask> {
        let client = &self.params.client;
        let profile = Profile {
            display_name: client.display_name.as_deref().map(str::to_owned),
            platform: Some(client.platform.to_string()),
            client_id: Some(client.id.to_string()),
            client_mode: Some(client.mode.to_string()),
            remote_ip: self.locality.reported_ip.map(|address| address.to_string()),
        };
        Some(Ask {
            device: self.device.clone()?,
            role: self.role,
            scopes: self.scopes.clone(),
            local: self.locality.local,
            optional,
            by_device_token,
            profile: profile.bounded(),
        })
    }

    fn with(mut self: Box<Self>, grant: Option<Grant>) -> Verdict {
        self.grant = grant;
        Verdict::Accept(self)
    }
}

impl NeedPairing {
    /// What has to be committed.
    #[must_use]
    pub fn ask(&self) -> &Ask {
        &self.ask
    }

    /// The verdict once that was done.
    #[must_use]
    pub fn decided(self, outcome: Result<Outcome, PairingError>) -> Verdict {
        let cause = match outcome {
            Ok(Outcome::Granted { grant, .. }) => return self.accepted.with(Some(grant)),
            Ok(Outcome::Unpaired) => return self.accepted.with(None),
            Ok(Outcome::Waiting { request_id, .. }) => Cause::PairingRequired { request_id },
            Err(PairingError::TooManyScopes) => Cause::InvalidParams(vec![Violation {
                path: "/scopes".to_owned(),
                keyword: "maxItems",
                message: format!("must NOT have more than {MAX_SCOPES} items"),
            }]),
            Err(error) => Cause::PairingFailed(error),
        };
        Verdict::Refuse(Box::new(Refusal::answering(
            &self.accepted.request_id,
            cause,
        )))
    }
}

/// Checks 7a to 7f.
fn verify(
    challenge: &Challenge<'_>,
    device: &types::ConnectDevice,
    client: &types::ConnectClient,
    role: Role,
    scopes: &[String],
    auth: Option<&types::ConnectAuth>,
    devices: &impl Devices,
) -> Result<VerifiedDevice, Cause> {
    let claim = Claim {
        device_id: &device.id,
        public_key: &device.public_key,
        signature: &device.signature,
        signed_at: device.signed_at,
        nonce: device.nonce.as_deref(),
        client_id: &client.id.to_string(),
        client_mode: &client.mode.to_string(),
        role: role.as_str(),
        scopes,
        token: auth
            .and_then(|auth| auth.token.as_ref())
            .map(rt::SecretString::expose),
    };
    claim
        .verify(challenge, |id| devices.key(id))
        .map_err(Cause::Identity)
}

/// Checks 1a to 1c: the id and params of a `connect`.
fn read_connect(text: &str) -> Result<(String, Box<ConnectParams>), Box<Refusal>> {
    let gate = |name: &str| Method::from_name(name).filter(|method| *method == Method::Connect);
    let refusal = match call::read_request(text, gate) {
        Ok(request) => match request.params {
            Some(Call::Connect(params)) => return Ok((request.id.into_owned(), params)),
            _ => Refusal::answering(&request.id, Cause::NotConnect),
        },
        Err(Problem::NotJson) => Refusal::silent(Cause::NotJson),
        Err(Problem::Frame { .. }) => Refusal::silent(Cause::InvalidFrame),
        Err(Problem::Params { id, violations, .. }) => {
            let violations = if has_params(text) {
                violations
            } else {
                rt::violations(&tables::CONNECT_PARAMS, &Tree::Null)
            };
            Refusal::answering(&id, Cause::InvalidParams(violations))
        }
    };
    Err(Box::new(refusal))
}

/// Elsewhere absent params count as `{}`; `connect` has required ones, and without any it is told that they have to be
/// an object (recorded).
fn has_params(text: &str) -> bool {
    Tree::parse(text).is_ok_and(|frame| !matches!(frame.get("params"), None | Some(Tree::Null)))
}

#[cfg(test)]
mod tests;
