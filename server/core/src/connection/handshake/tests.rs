//! Every row of contract 2.3, the recordings, and what goes beyond them.

mod accepted;
mod doors;
mod recordings;
mod refused;
mod secrets;

use std::cell::RefCell;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use openclaw_protocol::rt::SecretString;
use serde_json::{Value, json};

use super::*;
use crate::connection::auth::AuthMode;
use crate::hex::sha256_hex;
use crate::pairing::Decision;

const NOW: u64 = 1_769_900_000_000;
const NONCE: &str = "11111111-2222-4333-8444-555555555555";
const REQUEST: &str = "5d6c1c2e-5b0a-4f4e-9d7a-0d3f6a9b1c11";
const DEVICE_TOKEN: &str = "059be96934724cb5a6518a2e90f75265";

/// What a test varies beside the message.
#[derive(Debug, Clone)]
struct Gate {
    policy: Policy,
    peer: PeerFacts,
    devices: Fake,
    limiter: Arc<Limiter>,
}

impl Gate {
    /// Token `tok`, a client on this host, devices that are paired.
    fn local() -> Self {
        Self {
            policy: Policy {
                auth: Auth::new(AuthMode::Token, Some("tok")),
                trust: Trust::default(),
                allow_insecure_auth: false,
                disable_device_auth: false,
                strict_devices: false,
                allow_tailscale: false,
            },
            peer: PeerFacts {
                host: Some("127.0.0.1:18789".into()),
                ..PeerFacts::direct(loopback(), loopback())
            },
            devices: Fake {
                decision: Decision::Granted(grant()),
                asked: RefCell::default(),
                keys_asked: RefCell::default(),
            },
            limiter: Arc::default(),
        }
    }

    /// The same behind a name that is not of this host, as the recordings make remote clients.
    fn remote() -> Self {
        let mut gate = Self::local();
        gate.peer.host = Some("gateway.example:18789".into());
        gate
    }

    fn with(mut self, change: impl FnOnce(&mut Policy)) -> Self {
        change(&mut self.policy);
        self
    }

    fn password(self) -> Self {
        self.with(|policy| policy.auth = Auth::new(AuthMode::Password, Some("pw")))
    }

    fn deciding(mut self, decision: Decision) -> Self {
        self.devices.decision = decision;
        self
    }

    fn receive(&self, text: &str) -> Verdict {
        let policy = Arc::new(self.policy.clone());
        let handshake = Handshake::new(policy, &self.peer, NONCE.to_owned());
        handshake.receive(text, NOW, &self.devices, &self.limiter)
    }

    fn accept(&self, frame: &Value) -> Box<Accepted> {
        match self.receive(&frame.to_string()) {
            Verdict::Accept(accepted) => accepted,
            other => panic!("{other:?}"),
        }
    }
}

fn loopback() -> IpAddr {
    "127.0.0.1".parse().unwrap()
}

fn grant() -> Grant {
    Grant {
        token: SecretString::new(DEVICE_TOKEN),
        role: Role::Operator,
        scopes: vec!["operator.admin".into()],
        issued_at_ms: 1,
    }
}

/// Devices that hold [`DEVICE_TOKEN`] for the role operator and scopes named `operator.*`.
#[derive(Debug, Clone)]
struct Fake {
    decision: Decision,
    asked: RefCell<Vec<Ask>>,
    /// Device ids of the keys that were asked for.
    keys_asked: RefCell<Vec<String>>,
}

impl Devices for Fake {
    fn key(&self, device_id: &str) -> Option<VerifyingKey> {
        self.keys_asked.borrow_mut().push(device_id.to_owned());
        None
    }

    fn accepts(&self, _: &VerifiedDevice, role: Role, scopes: &[String], token: &str) -> bool {
        role == Role::Operator
            && token == DEVICE_TOKEN
            && scopes.iter().all(|scope| scope.starts_with("operator."))
    }

    fn decide(&self, ask: &Ask) -> Decision {
        self.asked.borrow_mut().push(ask.clone());
        self.decision.clone()
    }
}

/// A `connect` of client `test` with token `tok`, after `change` of its params.
fn connect(change: impl FnOnce(&mut Value)) -> Value {
    let mut params = json!({
        "minProtocol": 3,
        "maxProtocol": 3,
        "client": {"id": "test", "displayName": "Client A", "version": "1.0.0", "platform": "linux", "mode": "test"},
        "auth": {"token": "tok"},
    });
    change(&mut params);
    json!({"type": "req", "id": "A-1", "method": "connect", "params": params})
}

/// Removes a member.
fn without(params: &mut Value, name: &str) {
    params.as_object_mut().unwrap().remove(name);
}

/// As the Control UI.
fn control_ui(params: &mut Value) {
    params["client"]["id"] = json!("openclaw-control-ui");
    params["client"]["mode"] = json!("webchat");
}

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

/// Signs params for [`key`]: version 2 with a nonce, version 1 without. Has to come last.
fn sign(params: &mut Value, nonce: Option<&str>) {
    sign_at(params, nonce, NOW);
}

fn sign_at(params: &mut Value, nonce: Option<&str>, signed_at: u64) {
    let raw = key().verifying_key().to_bytes();
    let device = VerifiedDevice::of_key(raw);
    let texts = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let scopes: Vec<String> = params["scopes"]
        .as_array()
        .into_iter()
        .flatten()
        .map(texts)
        .collect();
    let mut fields = vec![
        if nonce.is_some() { "v2" } else { "v1" }.to_owned(),
        device.id().to_owned(),
        texts(&params["client"]["id"]),
        texts(&params["client"]["mode"]),
        params["role"].as_str().unwrap_or("operator").to_owned(),
        scopes.join(","),
        signed_at.to_string(),
        texts(&params["auth"]["token"]),
    ];
    fields.extend(nonce.map(str::to_owned));
    let signature = key().sign(fields.join("|").as_bytes());
    params["device"] = json!({
        "id": device.id(),
        "publicKey": device.public_key(),
        "signature": URL_SAFE_NO_PAD.encode(signature.to_bytes()),
        "signedAt": signed_at,
    });
    if let Some(nonce) = nonce {
        params["device"]["nonce"] = json!(nonce);
    }
}

/// A `connect` with a signed device.
fn signed(change: impl FnOnce(&mut Value)) -> Value {
    connect(|params| {
        change(params);
        sign(params, Some(NONCE));
    })
}

/// What a client sees of a refusal: response and close.
#[derive(Debug, PartialEq)]
struct Seen {
    response: Option<Value>,
    code: u16,
    reason: String,
}

impl Seen {
    fn of(verdict: Verdict) -> Self {
        let Verdict::Refuse(refusal) = verdict else {
            panic!("{verdict:?}")
        };
        assert!(!refusal.cause.to_string().is_empty());
        Self {
            response: refusal
                .response
                .map(|text| serde_json::from_slice(&text).unwrap()),
            code: refusal.close.code,
            reason: refusal.close.reason.into_owned(),
        }
    }

    /// A response with this code and message, and a close 1008 with the message.
    fn error(code: &str, message: &str) -> Self {
        Self {
            response: Some(json!({
                "type": "res", "id": "A-1", "ok": false, "error": {"code": code, "message": message},
            })),
            code: 1008,
            reason: message.to_owned(),
        }
    }

    fn invalid(message: &str) -> Self {
        Self::error("INVALID_REQUEST", message)
    }

    fn detailed(mut self, details: Value) -> Self {
        self.response.as_mut().unwrap()["error"]["details"] = details;
        self
    }

    fn closed(mut self, code: u16, reason: &str) -> Self {
        (self.code, self.reason) = (code, reason.to_owned());
        self
    }

    /// A close alone.
    fn silent(code: u16, reason: &str) -> Self {
        Self {
            response: None,
            code,
            reason: reason.to_owned(),
        }
    }
}

#[track_caller]
fn refuses(name: &str, gate: &Gate, text: &str, expected: Seen) {
    assert_eq!(Seen::of(gate.receive(text)), expected, "{name}");
}

#[test]
fn the_challenge_is_a_frame_without_seq() {
    let handshake = Handshake::new(
        Arc::new(Gate::local().policy),
        &Gate::local().peer,
        NONCE.to_owned(),
    );
    assert!(handshake.locality().local);
    let text = String::from_utf8(handshake.challenge(NOW)).unwrap();
    assert_eq!(
        text,
        format!(
            r#"{{"type":"event","event":"connect.challenge","payload":{{"nonce":"{NONCE}","ts":{NOW}}}}}"#
        )
    );
}
