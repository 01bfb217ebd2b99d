//! Connects that come through the real handshake, signed by real keys.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use serde_json::json;

use super::super::super::book::Book;
use super::super::super::rules::Step;
use super::super::*;
use crate::connection::auth::Auth;
use crate::connection::auth::AuthMode;
use crate::connection::handshake::{Handshake, Policy, Verdict};
use crate::connection::limiter::Limiter;
use crate::connection::locality::{PeerFacts, Trust};

/// Devices that take part. Few, so that they meet their own requests and tokens again and again.
pub(super) const DEVICES: usize = 4;
/// The shared secret.
pub(super) const SECRET: &str = "tok";
const NONCE: &str = "11111111-2222-4333-8444-555555555555";

/// The devices' keys, and what the gateway makes of them.
static KEYS: LazyLock<Vec<(SigningKey, VerifiedDevice)>> = LazyLock::new(|| {
    let key = |n: usize| SigningKey::from_bytes(&[n as u8 + 1; 32]);
    let verified = |key: &SigningKey| VerifiedDevice::of_key(key.verifying_key().to_bytes());
    (0..DEVICES).map(|n| (key(n), verified(&key(n)))).collect()
});

/// Device number `n`.
pub(super) fn device(n: usize) -> &'static VerifiedDevice {
    &KEYS[n].1
}

/// What a handshake asks, answered by a book as `Pairing` does.
pub(super) struct Door<'k> {
    pub(super) book: RefCell<Book>,
    pub(super) key: &'k TokenKey,
    pub(super) now_ms: u64,
}

impl Devices for Door<'_> {
    fn key(&self, device_id: &str) -> Option<VerifyingKey> {
        self.book.borrow().key(device_id)
    }

    fn accepts(&self, device: &VerifiedDevice, role: Role, scopes: &[String], token: &str) -> bool {
        let book = self.book.borrow();
        book.accepts(self.key, device, role, scopes, token)
    }

    fn decide(&self, ask: &Ask) -> Decision {
        let mut book = self.book.borrow_mut();
        match book.step(ask, self.now_ms) {
            Step::Admit => Decision::Granted(book.admit(self.key, ask, self.now_ms).unwrap()),
            Step::Skip => panic!("nothing here is optional"),
            Step::Wait(request_id) => {
                book.repeat(&request_id, &ask.profile, self.now_ms);
                Decision::Waiting { request_id }
            }
            Step::Mint | Step::Approve | Step::Request => Decision::Undecided,
        }
    }
}

/// The handshake of a connect with `token`; a forged one is signed by another device's key.
pub(super) fn knock(door: &Door<'_>, ask: &Ask, token: &str, is_forged: bool) -> Verdict {
    let policy = Policy {
        auth: Auth::new(AuthMode::Token, Some(SECRET)),
        trust: Trust::default(),
        allow_insecure_auth: false,
        disable_device_auth: false,
        strict_devices: false,
        allow_tailscale: false,
    };
    let here = IpAddr::from(Ipv4Addr::LOCALHOST);
    let host = if ask.local {
        "127.0.0.1:18789"
    } else {
        "gateway.example:18789"
    };
    let peer = PeerFacts {
        host: Some(host.to_owned()),
        ..PeerFacts::direct(here, here)
    };
    let n = (0..DEVICES).find(|n| device(*n) == &ask.device).unwrap();
    let signer = &KEYS[(n + usize::from(is_forged)) % DEVICES].0;
    let (role, scopes) = (ask.role.as_str(), ask.scopes.join(","));
    let (id, now_ms) = (ask.device.id(), door.now_ms);
    let signed = format!("v2|{id}|test|test|{role}|{scopes}|{now_ms}|{token}|{NONCE}");
    let signature = URL_SAFE_NO_PAD.encode(signer.sign(signed.as_bytes()).to_bytes());
    let frame = json!({"type": "req", "id": "c", "method": "connect", "params": {
        "minProtocol": 3, "maxProtocol": 3, "role": role, "scopes": ask.scopes, "auth": {"token": token},
        "client": {
            "id": "test", "version": "1", "platform": "linux", "mode": "test", "displayName": ask.profile.display_name,
        },
        "device": {
            "id": id, "publicKey": ask.device.public_key(), "signature": signature, "signedAt": now_ms, "nonce": NONCE,
        },
    }});
    // Guessing is another test's matter: each of these connects is the first of its address.
    let handshake = Handshake::new(policy.into(), &peer, NONCE.to_owned());
    handshake.receive(&frame.to_string(), now_ms, door, &Limiter::default())
}
