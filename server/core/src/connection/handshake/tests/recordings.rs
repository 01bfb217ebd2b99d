//! The recorded sessions `connect-*` and `first-frame-*` as texts: what was sent, and what came back. Devices are signed
//! anew with a key of ours; where the contract's section 13 improves on a recording, its row says so.

use super::*;

const REMOTE: bool = true;
const LOCAL: bool = false;

#[derive(Debug)]
enum Recorded {
    Hello,
    /// Code, message, close.
    Refused(&'static str, &'static str, u16),
    /// The same, with a close reason of its own.
    Cut(&'static str, &'static str, &'static str),
    Closed(u16, &'static str),
}

use Recorded::{Closed, Cut, Hello, Refused};

/// Session, is its `Host` one of elsewhere, message, what came back. `{device}`, `{v1}`, `{stale}`, `{other nonce}` and
/// the like stand for a member `device` signed over the rest of the params.
const SESSIONS: &[(&str, bool, &str, Recorded)] = &[
    (
        "connect-bad-signature",
        LOCAL,
        r#"{CLIENT,"auth":{"token":"tok"},{bad v1}}"#,
        Refused("INVALID_REQUEST", "device signature invalid", 1008),
    ),
    (
        "connect-bad-token-control-ui",
        LOCAL,
        r#"{UI,"auth":{"token":"wrong"},{v2}}"#,
        Refused(
            "INVALID_REQUEST",
            "unauthorized: gateway token mismatch (open a tokenized dashboard URL or paste token in Control UI settings)",
            1008,
        ),
    ),
    (
        "connect-bad-token-same-length",
        LOCAL,
        r#"{CLIENT,"auth":{"token":"tox"}}"#,
        Refused(
            "INVALID_REQUEST",
            "unauthorized: gateway token mismatch (provide gateway auth token)",
            1008,
        ),
    ),
    (
        "connect-bad-token",
        LOCAL,
        r#"{CLIENT,"auth":{"token":"wrong"}}"#,
        Refused(
            "INVALID_REQUEST",
            "unauthorized: gateway token mismatch (provide gateway auth token)",
            1008,
        ),
    ),
    (
        "connect-control-ui-no-device",
        LOCAL,
        r#"{UI,"auth":{"token":"tok"}}"#,
        Refused(
            "INVALID_REQUEST",
            "control ui requires HTTPS or localhost (secure context)",
            1008,
        ),
    ),
    (
        "connect-device-default-scopes",
        LOCAL,
        r#"{CLIENT,"auth":{"token":"tok"},{v2}}"#,
        Hello,
    ),
    (
        "connect-device-id-mismatch",
        LOCAL,
        r#"{CLIENT,"auth":{"token":"tok"},{other id}}"#,
        Refused("INVALID_REQUEST", "device identity mismatch", 1008),
    ),
    (
        "connect-device-no-token",
        LOCAL,
        r#"{CLIENT,{v2}}"#,
        Refused(
            "INVALID_REQUEST",
            "unauthorized: gateway token missing (provide gateway auth token)",
            1008,
        ),
    ),
    (
        "connect-device-signed-v1-loopback",
        LOCAL,
        r#"{CLIENT,"scopes":["operator.admin"],"auth":{"token":"tok"},{v1}}"#,
        Hello,
    ),
    (
        "connect-device-signed-v2-nonce",
        LOCAL,
        r#"{CLIENT,"scopes":["operator.read","operator.write"],"role":"operator","auth":{"token":"tok"},{v2}}"#,
        Hello,
    ),
    (
        "connect-empty-scopes",
        LOCAL,
        r#"{CLIENT,"role":"operator","scopes":[],"auth":{"token":"tok"}}"#,
        Hello,
    ),
    (
        "connect-full-client-info",
        LOCAL,
        r#"{"minProtocol":3,"maxProtocol":3,"client":{"id":"openclaw-macos","displayName":"Client A","version":"1.0.0","platform":"macos 15.1","mode":"ui","deviceFamily":"Mac","modelIdentifier":"Mac15,3","instanceId":"instance-1"},"role":"operator","scopes":["operator.admin"],"caps":["a","b"],"commands":[],"permissions":{"camera":true},"pathEnv":"/usr/bin:/bin","locale":"en-US","userAgent":"recorder/1.0","auth":{"token":"tok"}}"#,
        Hello,
    ),
    (
        "connect-invalid-params-client-id",
        LOCAL,
        r#"{"minProtocol":3,"maxProtocol":3,"client":{"id":"someone-else","displayName":"Client A","version":"1.0.0","platform":"linux","mode":"test"},"auth":{"token":"tok"}}"#,
        Refused(
            "INVALID_REQUEST",
            "invalid connect params: at /client/id: must be equal to constant; at /client/id: must match a schema in anyOf",
            1008,
        ),
    ),
    (
        "connect-invalid-params-extra",
        LOCAL,
        r#"{"minProtocol":3,"maxProtocol":3,"client":{"id":"test","displayName":"Client A","version":"1.0.0","platform":"linux","mode":"test","shoe":42},"auth":{"token":"tok"},"extra":1}"#,
        Refused(
            "INVALID_REQUEST",
            "invalid connect params: at root: unexpected property 'extra'; at /client: unexpected property 'shoe'",
            1008,
        ),
    ),
    (
        "connect-invalid-params-long",
        LOCAL,
        r#"{"minProtocol":3,"maxProtocol":3,"client":{"id":"x","mode":"y","version":1,"platform":2,"one":1,"two":2},"auth":{"token":"tok"}}"#,
        Cut(
            "INVALID_REQUEST",
            "invalid connect params: at /client: unexpected property 'one'; at /client: unexpected property 'two'; at /client/id: must be equal to constant; at /client/id: must match a schema in anyOf; at /client/version: must be string; at /client/platform: must be string; at /client/mode: must be equal to constant; at /client/mode: must match a schema in anyOf",
            "invalid connect params: at /client: unexpected property 'one'; at /client: unexpected property 'two'; at /client/id: mus",
        ),
    ),
    (
        "connect-invalid-params-missing-client",
        LOCAL,
        r#"{"minProtocol":3,"maxProtocol":3,"auth":{"token":"tok"}}"#,
        Refused(
            "INVALID_REQUEST",
            "invalid connect params: must have required property 'client'",
            1008,
        ),
    ),
    (
        "connect-invalid-params-types",
        LOCAL,
        r#"{"minProtocol":"3","maxProtocol":3,"client":{"id":"test","displayName":"Client A","version":"1.0.0","platform":"linux","mode":"test"},"auth":{"token":"tok"},"scopes":"operator.admin"}"#,
        Refused(
            "INVALID_REQUEST",
            "invalid connect params: at /minProtocol: must be integer; at /scopes: must be array",
            1008,
        ),
    ),
    (
        "connect-invalid-role",
        LOCAL,
        r#"{CLIENT,"role":"admin","auth":{"token":"tok"}}"#,
        Refused("INVALID_REQUEST", "invalid role", 1008),
    ),
    (
        "connect-no-device-no-token",
        LOCAL,
        r#"{CLIENT}"#,
        Refused("NOT_PAIRED", "device identity required", 1008),
    ),
    (
        "connect-no-device-password-only",
        LOCAL,
        r#"{CLIENT,"auth":{"password":"pw"}}"#,
        Refused("NOT_PAIRED", "device identity required", 1008),
    ),
    (
        "connect-node-no-device",
        LOCAL,
        r#"{"minProtocol":3,"maxProtocol":3,"client":{"id":"node-host","displayName":"Client A","version":"1.0.0","platform":"linux","mode":"node"},"role":"node","commands":["system.run","camera.snap","bogus.command"],"caps":["system"],"auth":{"token":"tok"}}"#,
        Hello,
    ),
    (
        "connect-nonce-mismatch",
        LOCAL,
        r#"{CLIENT,"auth":{"token":"tok"},{other nonce}}"#,
        Refused("INVALID_REQUEST", "device nonce mismatch", 1008),
    ),
    (
        "connect-protocol-mismatch-high",
        LOCAL,
        r#"{"minProtocol":4,"maxProtocol":5,"client":{"id":"test","version":"1.0.0","platform":"linux","mode":"test"},"auth":{"token":"tok"}}"#,
        Refused("INVALID_REQUEST", "protocol mismatch", 1002),
    ),
    (
        "connect-protocol-mismatch-low",
        LOCAL,
        r#"{"minProtocol":1,"maxProtocol":2,"client":{"id":"test","version":"1.0.0","platform":"linux","mode":"test"},"auth":{"token":"tok"}}"#,
        Refused("INVALID_REQUEST", "protocol mismatch", 1002),
    ),
    (
        "connect-protocol-range-ok",
        LOCAL,
        r#"{"minProtocol":1,"maxProtocol":9,"client":{"id":"test","version":"1.0.0","platform":"linux","mode":"test"},"auth":{"token":"tok"}}"#,
        Hello,
    ),
    (
        "connect-remote-token-no-device",
        REMOTE,
        r#"{CLIENT,"auth":{"token":"tok"}}"#,
        Hello,
    ),
    (
        "connect-remote-v1-signature",
        REMOTE,
        r#"{CLIENT,"auth":{"token":"tok"},{v1}}"#,
        Refused("INVALID_REQUEST", "device nonce required", 1008),
    ),
    (
        "connect-signature-wrong-scopes",
        LOCAL,
        r#"{CLIENT,"scopes":["operator.admin"],"auth":{"token":"tok"},{other scopes}}"#,
        Refused("INVALID_REQUEST", "device signature invalid", 1008),
    ),
    (
        "connect-stale-signature",
        LOCAL,
        r#"{CLIENT,"auth":{"token":"tok"},{stale}}"#,
        Refused("INVALID_REQUEST", "device signature expired", 1008),
    ),
    (
        "connect-token-ok-custom-scopes",
        LOCAL,
        r#"{CLIENT,"role":"operator","scopes":["operator.read","operator.write"],"auth":{"token":"tok"}}"#,
        Hello,
    ),
    (
        "connect-token-ok",
        LOCAL,
        r#"{CLIENT,"auth":{"token":"tok"}}"#,
        Hello,
    ),
];

/// First messages that are no `connect`, as they were sent.
const FIRST_FRAMES: &[(&str, &str, Recorded)] = &[
    (
        "connect-invalid-params-none",
        r#"{"type":"req","id":"A-1","method":"connect"}"#,
        Refused(
            "INVALID_REQUEST",
            "invalid connect params: must be object",
            1008,
        ),
    ),
    (
        "first-frame-binary",
        "\0\u{1}\u{2}\u{fffd}",
        Closed(1000, ""),
    ),
    (
        "first-frame-empty-id",
        r#"{"type":"req","id":"","method":"connect","params":{}}"#,
        Closed(1008, "invalid request frame"),
    ),
    (
        "first-frame-event",
        r#"{"type":"event","event":"tick","payload":{}}"#,
        Closed(1008, "invalid request frame"),
    ),
    (
        "first-frame-extra-property",
        r#"{"type":"req","id":"A-1","method":"connect","params":{},"extra":true}"#,
        Closed(1008, "invalid request frame"),
    ),
    (
        "first-frame-not-connect",
        r#"{"type":"req","id":"A-1","method":"health","params":{}}"#,
        Refused(
            "INVALID_REQUEST",
            "invalid handshake: first request must be connect",
            1008,
        ),
    ),
    ("first-frame-not-json", "hello", Closed(1000, "")),
    (
        "first-frame-not-object",
        "42",
        Closed(1008, "invalid request frame"),
    ),
    (
        "first-frame-null",
        "null",
        Closed(1008, "invalid request frame"),
    ),
];

/// Params out of a row of [`SESSIONS`].
fn params(row: &str) -> Value {
    let client = |id: &str, mode: &str| {
        format!(
            r#""minProtocol":3,"maxProtocol":3,"client":{{"id":"{id}","displayName":"Client A","version":"1.0.0","platform":"linux","mode":"{mode}"}}"#
        )
    };
    let text = row.replace("CLIENT", &client("test", "test")).replace(
        "UI,",
        &format!("{},", client("openclaw-control-ui", "webchat")),
    );
    let Some((rest, device)) = text.rsplit_once(",{") else {
        return serde_json::from_str(&text).unwrap();
    };
    let Some(device) = device
        .strip_suffix("}}")
        .filter(|device| !device.contains('"'))
    else {
        return serde_json::from_str(&text).unwrap();
    };
    let mut params: Value = serde_json::from_str(&format!("{rest}}}")).unwrap();
    match device {
        "v1" => sign(&mut params, None),
        "v2" => sign(&mut params, Some(NONCE)),
        "stale" => sign_at(&mut params, Some(NONCE), NOW - 11 * 60_000),
        "other nonce" => sign(&mut params, Some("00000000-0000-4000-8000-000000000000")),
        "other id" => {
            sign(&mut params, Some(NONCE));
            params["device"]["id"] =
                json!("e51c588bfd21585d9c90b863f03573f8def79d6229ef76581b75087a2d7a90a6");
        }
        "other scopes" => {
            let scopes = std::mem::replace(&mut params["scopes"], json!(["operator.read"]));
            sign(&mut params, Some(NONCE));
            params["scopes"] = scopes;
        }
        "bad v1" => {
            sign(&mut params, None);
            params["device"]["signature"] = json!(URL_SAFE_NO_PAD.encode([7; 64]));
        }
        other => panic!("{other}"),
    }
    params
}

fn check(name: &str, gate: &Gate, text: &str, recorded: &Recorded) {
    let verdict = gate.receive(text);
    let expected = match recorded {
        Hello => {
            assert!(matches!(verdict, Verdict::Accept(_)), "{name}: {verdict:?}");
            return;
        }
        Refused(code, message, close) => {
            let seen = Seen::error(code, message).closed(*close, message);
            if *close == 1002 {
                seen.detailed(json!({"expectedProtocol": 3}))
            } else {
                seen
            }
        }
        Cut(code, message, reason) => Seen::error(code, message).closed(1008, reason),
        Closed(code, reason) => Seen::silent(*code, reason),
    };
    assert_eq!(Seen::of(verdict), expected, "{name}");
}

#[test]
fn replayed() {
    for (name, remote, row, recorded) in SESSIONS {
        let gate = if *remote {
            Gate::remote()
        } else {
            Gate::local()
        };
        let frame = json!({"type": "req", "id": "A-1", "method": "connect", "params": params(row)});
        check(name, &gate, &frame.to_string(), recorded);
    }
    for (name, text, recorded) in FIRST_FRAMES {
        check(name, &Gate::local(), text, recorded);
    }
}

#[test]
fn insecure_auth_session() {
    let gate = Gate::remote().with(|policy| policy.allow_insecure_auth = true);
    let frame = |row| {
        json!({"type": "req", "id": "A-1", "method": "connect", "params": params(row)}).to_string()
    };
    check("A", &gate, &frame(r#"{UI,"auth":{"token":"tok"}}"#), &Hello);
    check(
        "B",
        &gate,
        &frame(r#"{UI,"locale":"en"}"#),
        &Refused("NOT_PAIRED", "device identity required", 1008),
    );
}

#[test]
fn password_mode_session() {
    let gate = Gate::local().password();
    let rows = [
        (
            "A",
            r#"{CLIENT,"auth":{"password":"pw"},"scopes":["operator.admin"],{v2}}"#,
            Hello,
        ),
        (
            "B",
            r#"{CLIENT,"auth":{"password":"no"},"scopes":["operator.admin"],{v2}}"#,
            Refused(
                "INVALID_REQUEST",
                "unauthorized: gateway password mismatch (provide gateway auth password)",
                1008,
            ),
        ),
        (
            "C",
            r#"{CLIENT,"scopes":["operator.admin"],"auth":{"token":"tok"},{v2}}"#,
            Refused(
                "INVALID_REQUEST",
                "unauthorized: gateway password missing (provide gateway auth password)",
                1008,
            ),
        ),
        // Recorded as NOT_PAIRED `device identity required`; odd 2 lets the password suffice in password mode.
        ("D", r#"{CLIENT,"auth":{"password":"pw"}}"#, Hello),
        (
            "E",
            r#"{CLIENT,"scopes":["operator.admin"],{v2}}"#,
            Refused(
                "INVALID_REQUEST",
                "unauthorized: gateway password missing (provide gateway auth password)",
                1008,
            ),
        ),
    ];
    for (name, row, recorded) in rows {
        let frame = json!({"type": "req", "id": "A-1", "method": "connect", "params": params(row)});
        check(name, &gate, &frame.to_string(), &recorded);
    }
}
