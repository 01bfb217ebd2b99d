//! Texts that the generator sends.

use openclaw_client::identity::SignedFields;
use openclaw_client::{Clock, DeviceIdentity};
use openclaw_websocket::encode;
use serde_json::{Value, json};

use crate::process::TOKEN;

/// Asks for the upgrade. The key may be any; servers answer it, and the generator does not check how.
pub(crate) const UPGRADE: &[u8] = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Masks hide nothing on loopback; a fixed one lets frames be made before the load.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

const CLIENT_ID: &str = "cli";
/// Command lines are not shown in presence, so that connecting many does not change what is measured.
const CLIENT_MODE: &str = "cli";
const ROLE: &str = "operator";
const SCOPE: &str = "operator.admin";

/// `texts` as masked frames, one behind the other.
pub(crate) fn masked<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for text in texts {
        encode::put_text_masked(&mut bytes, text.as_ref().as_bytes(), MASK);
    }
    bytes
}

/// A close frame.
pub(crate) fn close() -> Vec<u8> {
    let mut bytes = Vec::new();
    encode::put_close_masked(&mut bytes, 1000, "", MASK);
    bytes
}

/// A request.
pub(crate) fn request(id: &str, method: &str, params: &Value) -> String {
    let (id, method) = (json!(id), json!(method));
    format!(r#"{{"type":"req","id":{id},"method":{method},"params":{params}}}"#)
}

/// A request without params.
pub(crate) fn bare_request(id: &str, method: &str) -> String {
    let (id, method) = (json!(id), json!(method));
    format!(r#"{{"type":"req","id":{id},"method":{method}}}"#)
}

/// A system event about one `host`, of which everybody is told by a presence event that contains `text`.
pub(crate) fn system_event(id: &str, host: &str, text: &str) -> String {
    request(id, "system-event", &json!({ "text": text, "host": host }))
}

/// A short text of a system event, as clients send them all the time.
pub(crate) const BEACON: &str =
    "Node: bench (192.0.2.7) · app 2026.1.30 · last input 12s ago · mode local · reason periodic";

/// `connect` with the shared token, and with a device's signature over `nonce` if there is one.
pub(crate) fn connect(device: Option<(&DeviceIdentity, &Clock)>, nonce: &str) -> String {
    let mut params = json!({
        "minProtocol": openclaw_protocol::protocol::VERSION,
        "maxProtocol": openclaw_protocol::protocol::VERSION,
        "client": { "id": CLIENT_ID, "version": "1.0.0", "platform": "linux", "mode": CLIENT_MODE },
        "role": ROLE,
        "scopes": [SCOPE],
        "auth": { "token": TOKEN },
    });
    if let Some((identity, clock)) = device {
        let signed_at = clock.now_ms();
        let fields = SignedFields {
            device_id: identity.device_id(),
            client_id: CLIENT_ID,
            client_mode: CLIENT_MODE,
            role: ROLE,
            scopes: &[SCOPE],
            signed_at,
            token: TOKEN,
            nonce: Some(nonce),
        };
        params["device"] = json!({
            "id": identity.device_id(),
            "publicKey": identity.public_key(),
            "signature": identity.sign(&fields.payload()),
            "signedAt": signed_at,
            "nonce": nonce,
        });
    }
    request("c", "connect", &params)
}
