//! What is refused: code, message, details and close of every row, and that the rows are checked in order.

use super::*;
use crate::store::StoreError;

#[test]
fn first_messages() {
    let gate = Gate::local();
    let good = connect(|_| {}).to_string();
    let silent_frame = || Seen::silent(1008, "invalid request frame");
    let not_json = || Seen::silent(1000, "");
    let first = || Seen::invalid("invalid handshake: first request must be connect");
    let cases = [
        ("empty", String::new(), not_json()),
        ("text", "hello".into(), not_json()),
        ("binary, decoded", "\0\u{1}\u{2}\u{fffd}".into(), not_json()),
        ("cut off", good[..good.len() - 1].into(), not_json()),
        ("two values", format!("{good}{good}"), not_json()),
        ("null", "null".into(), silent_frame()),
        ("number", "42".into(), silent_frame()),
        ("text as JSON", r#""connect""#.into(), silent_frame()),
        ("array", format!("[{good}]"), silent_frame()),
        ("empty object", "{}".into(), silent_frame()),
        (
            "event",
            r#"{"type":"event","event":"tick","payload":{}}"#.into(),
            silent_frame(),
        ),
        (
            "response",
            r#"{"type":"res","id":"A-1","ok":true}"#.into(),
            silent_frame(),
        ),
        (
            "no id",
            r#"{"type":"req","method":"connect"}"#.into(),
            silent_frame(),
        ),
        ("empty id", good.replace("A-1", ""), silent_frame()),
        ("numeric id", good.replace(r#""A-1""#, "1"), silent_frame()),
        (
            "no method",
            r#"{"type":"req","id":"A-1"}"#.into(),
            silent_frame(),
        ),
        (
            "unexpected member",
            good.replacen('{', r#"{"extra":true,"#, 1),
            silent_frame(),
        ),
        (
            "duplicate member",
            good.replacen('{', r#"{"id":"A-1","#, 1),
            silent_frame(),
        ),
        (
            "duplicate in params",
            good.replacen(r#""params":{"#, r#""params":{"minProtocol":3,"#, 1),
            silent_frame(),
        ),
        (
            "other method",
            r#"{"type":"req","id":"A-1","method":"health","params":{}}"#.into(),
            first(),
        ),
        (
            "unknown method",
            r#"{"type":"req","id":"A-1","method":"nope"}"#.into(),
            first(),
        ),
        (
            "other case",
            r#"{"type":"req","id":"A-1","method":"Connect"}"#.into(),
            first(),
        ),
        (
            "other method, params first",
            r#"{"params":[1],"type":"req","method":"health","id":"A-1"}"#.into(),
            first(),
        ),
    ];
    for (name, text, expected) in cases {
        refuses(name, &gate, &text, expected);
    }
}

#[test]
fn params() {
    let bare = |params: &str| format!(r#"{{"type":"req","id":"A-1","method":"connect"{params}}}"#);
    let cases = [
        (bare(""), "must be object"),
        (bare(r#","params":null"#), "must be object"),
        (bare(r#","params":[]"#), "must be object"),
        (bare(r#","params":"x""#), "must be object"),
        (
            bare(r#","params":{}"#),
            "must have required property 'minProtocol'; must have required property 'maxProtocol'; must have required property 'client'",
        ),
        (
            connect(|params| params["caps"] = Value::Null).to_string(),
            "at /caps: must be array",
        ),
        (
            connect(|params| params["client"]["id"] = json!("CLI")).to_string(),
            "at /client/id: must be equal to constant; at /client/id: must match a schema in anyOf",
        ),
        (
            connect(|params| {
                params["device"] = json!({"id": "a", "publicKey": "b", "signature": "c"})
            })
            .to_string(),
            "at /device: must have required property 'signedAt'",
        ),
        (
            connect(|params| params["auth"]["token"] = json!(5)).to_string(),
            "at /auth/token: must be string",
        ),
        (
            connect(|params| params["role"] = json!("")).to_string(),
            "at /role: must NOT have fewer than 1 characters",
        ),
    ];
    for (text, problems) in cases {
        let message = format!("invalid connect params: {problems}");
        let expected = Seen::invalid(&message);
        let reason = cut_reason(&message);
        refuses(
            problems,
            &Gate::local(),
            &text,
            expected.closed(1008, &reason),
        );
    }
}

#[test]
fn long_reasons_are_cut() {
    // A character of two bytes lies across the 120th.
    let name = format!("x{}", "é".repeat(60));
    let text = connect(|params| params[name.as_str()] = json!(1)).to_string();
    let message = format!("invalid connect params: at root: unexpected property '{name}'");
    let verdict = Seen::of(Gate::local().receive(&text));
    assert_eq!(verdict.response, Seen::invalid(&message).response);
    assert_eq!(verdict.reason.len(), 122);
    assert!(verdict.reason.ends_with("é\u{fffd}"), "{}", verdict.reason);
}

#[test]
fn rows() {
    let local = Gate::local();
    let remote = Gate::remote();
    let insecure = Gate::local().with(|policy| policy.allow_insecure_auth = true);
    let disabled = Gate::local().with(|policy| policy.disable_device_auth = true);
    let no_auth = |params: &mut Value| without(params, "auth");
    let with_password = |password: &'static str| {
        move |params: &mut Value| params["auth"] = json!({"password": password})
    };
    let mismatch = || {
        Seen::invalid("protocol mismatch")
            .detailed(json!({"expectedProtocol": 3}))
            .closed(1002, "protocol mismatch")
    };
    let device_required = || Seen::error("NOT_PAIRED", "device identity required");
    let insecure_ui = || Seen::invalid("control ui requires HTTPS or localhost (secure context)");
    let flip = |frame: &Value| {
        let mut frame = frame.clone();
        let signature = frame["params"]["device"]["signature"]
            .as_str()
            .unwrap()
            .to_owned();
        let flipped = if signature.starts_with('A') { "B" } else { "A" };
        frame["params"]["device"]["signature"] = json!(format!("{flipped}{}", &signature[1..]));
        frame
    };
    let protocol = |min: u64, max: u64| {
        connect(|params| (params["minProtocol"], params["maxProtocol"]) = (json!(min), json!(max)))
    };
    let weak = connect(|params| {
        sign(params, Some(NONCE));
        params["device"]["publicKey"] = json!(URL_SAFE_NO_PAD.encode([0; 32]));
        params["device"]["id"] = json!(sha256_hex([0; 32]));
    });
    let cases = [
        // 2
        ("too new", &local, protocol(4, 5), mismatch()),
        ("too old", &local, protocol(1, 2), mismatch()),
        ("upside down", &local, protocol(4, 2), mismatch()),
        (
            "before the role",
            &local,
            connect(|params| (params["minProtocol"], params["role"]) = (json!(4), json!("x"))),
            mismatch(),
        ),
        // 3
        (
            "role",
            &local,
            connect(|params| params["role"] = json!("admin")),
            Seen::invalid("invalid role"),
        ),
        (
            "role in other case",
            &local,
            connect(|params| params["role"] = json!("Operator")),
            Seen::invalid("invalid role"),
        ),
        (
            "before the device",
            &local,
            connect(|params| {
                params["role"] = json!("x");
                no_auth(params);
            }),
            Seen::invalid("invalid role"),
        ),
        // 6a
        ("control UI", &local, connect(control_ui), insecure_ui()),
        (
            "control UI, password",
            &local,
            connect(|params| {
                control_ui(params);
                with_password("pw")(params);
            }),
            insecure_ui(),
        ),
        (
            "control UI without anything",
            &remote,
            connect(|params| {
                control_ui(params);
                no_auth(params);
            }),
            insecure_ui(),
        ),
        (
            "former brand",
            &local,
            connect(|params| {
                control_ui(params);
                params["client"]["id"] = json!("clawdbot-control-ui");
            }),
            insecure_ui(),
        ),
        (
            "whatever the mode",
            &local,
            connect(|params| params["client"]["id"] = json!("moltbot-control-ui")),
            insecure_ui(),
        ),
        // 6b
        (
            "neither device nor secret",
            &local,
            connect(no_auth),
            device_required(),
        ),
        (
            "empty auth",
            &local,
            connect(|params| params["auth"] = json!({})),
            device_required(),
        ),
        (
            "empty secrets",
            &local,
            connect(|params| params["auth"] = json!({"token": "", "password": ""})),
            device_required(),
        ),
        (
            "password in token mode",
            &local,
            connect(with_password("tok")),
            device_required(),
        ),
        (
            "nothing in password mode",
            &Gate::local().password(),
            connect(no_auth),
            device_required(),
        ),
        (
            "bypass without secret",
            &insecure,
            connect(|params| {
                control_ui(params);
                no_auth(params);
            }),
            device_required(),
        ),
        (
            "other bypass without secret",
            &disabled,
            connect(|params| {
                control_ui(params);
                no_auth(params);
            }),
            device_required(),
        ),
        (
            "device dropped",
            &disabled,
            signed(|params| {
                control_ui(params);
                no_auth(params);
            }),
            device_required(),
        ),
        (
            "bypass is for the control UI",
            &insecure,
            connect(with_password("pw")),
            device_required(),
        ),
        // 7a
        (
            "id of another key",
            &local,
            {
                let mut frame = signed(|_| {});
                frame["params"]["device"]["id"] =
                    json!("e51c588bfd21585d9c90b863f03573f8def79d6229ef76581b75087a2d7a90a6");
                frame
            },
            Seen::invalid("device identity mismatch"),
        ),
        (
            "unreadable key",
            &local,
            {
                let mut frame = signed(|_| {});
                frame["params"]["device"]["publicKey"] = json!("?");
                frame
            },
            Seen::invalid("device identity mismatch"),
        ),
        // 7b
        (
            "old signature",
            &local,
            connect(|params| sign_at(params, Some(NONCE), NOW - 600_001)),
            Seen::invalid("device signature expired"),
        ),
        (
            "future signature",
            &local,
            connect(|params| sign_at(params, Some(NONCE), NOW + 600_001)),
            Seen::invalid("device signature expired"),
        ),
        // 7c
        (
            "remote without nonce",
            &remote,
            connect(|params| sign(params, None)),
            Seen::invalid("device nonce required"),
        ),
        (
            "strict without nonce",
            &Gate::local().with(|policy| policy.strict_devices = true),
            connect(|params| sign(params, None)),
            Seen::invalid("device nonce required"),
        ),
        // 7d
        (
            "other nonce",
            &local,
            connect(|params| sign(params, Some("00000000-0000-4000-8000-000000000000"))),
            Seen::invalid("device nonce mismatch"),
        ),
        // 7e
        (
            "bad signature",
            &local,
            flip(&signed(|_| {})),
            Seen::invalid("device signature invalid"),
        ),
        (
            "bad signature before bad token",
            &local,
            flip(&signed(|params| params["auth"]["token"] = json!("x"))),
            Seen::invalid("device signature invalid"),
        ),
        (
            "scopes not signed",
            &local,
            {
                let mut frame = signed(|_| {});
                frame["params"]["scopes"] = json!(["operator.admin"]);
                frame
            },
            Seen::invalid("device signature invalid"),
        ),
        (
            "signed over the default scope",
            &local,
            connect(|params| {
                params["scopes"] = json!(["operator.admin"]);
                sign(params, Some(NONCE));
                without(params, "scopes");
            }),
            Seen::invalid("device signature invalid"),
        ),
        (
            "alias not signed as sent",
            &local,
            {
                let mut frame = signed(|params| params["client"]["id"] = json!("openclaw-macos"));
                frame["params"]["client"]["id"] = json!("moltbot-macos");
                frame
            },
            Seen::invalid("device signature invalid"),
        ),
        (
            "bypass does not excuse a bad device",
            &insecure,
            flip(&signed(control_ui)),
            Seen::invalid("device signature invalid"),
        ),
        // 7f
        (
            "weak key",
            &local,
            weak,
            Seen::invalid("device public key invalid"),
        ),
    ];
    for (name, gate, frame, expected) in cases {
        refuses(name, gate, &frame.to_string(), expected);
    }
}

#[test]
fn pairing() {
    let required =
        || Seen::error("NOT_PAIRED", "pairing required").detailed(json!({"requestId": REQUEST}));
    let waiting = Gate::remote().deciding(Decision::Waiting {
        request_id: REQUEST.into(),
    });
    refuses("waiting", &waiting, &signed(|_| {}).to_string(), required());

    let undecided = Gate::remote().deciding(Decision::Undecided);
    let need = || match undecided.receive(&signed(|_| {}).to_string()) {
        Verdict::NeedPairing(need) => need,
        other => panic!("{other:?}"),
    };
    let outcomes = [
        (
            Ok(Outcome::Waiting {
                request_id: REQUEST.into(),
                requested: None,
            }),
            required(),
        ),
        (
            Err(PairingError::TooManyScopes),
            Seen::invalid("invalid connect params: at /scopes: must NOT have more than 64 items"),
        ),
        // As with the reference: storage errors end without a word.
        (
            Err(PairingError::Store(StoreError::Closed)),
            Seen::silent(1000, ""),
        ),
        (Err(PairingError::Interrupted), Seen::silent(1000, "")),
    ];
    for (outcome, expected) in outcomes {
        let name = format!("{outcome:?}");
        assert_eq!(Seen::of(need().decided(outcome)), expected, "{name}");
    }
}

#[test]
fn nothing_in_time() {
    let refusal = Refusal::timed_out();
    assert_eq!(refusal.response, None);
    assert_eq!((refusal.close.code, &*refusal.close.reason), (1000, ""));
}

/// Names of members are a stranger's words: in the log they are one short line without anything that a terminal obeys.
#[test]
fn the_log_shows_a_strangers_words_harmlessly() {
    let long = "x".repeat(1_000);
    for name in ["a\nb\u{1b}[2J", "a\u{9b}2J\u{202e}", long.as_str()] {
        let text = connect(|params| params[name] = json!(1)).to_string();
        let Verdict::Refuse(refusal) = Gate::local().receive(&text) else {
            panic!("{name:?} is not refused");
        };
        let line = refusal.cause.to_string();
        assert!(line.starts_with("invalid params: "), "{line:?}");
        let obeyed = |c: char| c.is_control() || c == '\u{202e}';
        assert!(!line.contains(obeyed), "{line:?}");
        assert!(line.chars().count() < 1_000, "{line:?}");
    }
}
