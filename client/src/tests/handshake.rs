//! From the first byte to hello-ok or the reason why not.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signature, VerifyingKey};
use openclaw_protocol::protocol::{ErrorCode, KnownError, Role, Scope, errors};
use openclaw_protocol::types::{ConnectParams, ErrorShape};
use openclaw_websocket::encode::{put_text, put_text_masked};
use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::config::CONNECT_TIMEOUT;
use crate::fake::{NOW_MS, both, challenge, error, gateway, hello, seconds};
use crate::identity::SignedFields;
use crate::{Client, ConnectError, DeviceIdentity, Disconnect};

fn identity() -> DeviceIdentity {
    DeviceIdentity::from_seed(&[3; 32])
}

/// Does the signature fit the fields that were sent with it?
fn signature_is_good(params: &ConnectParams) -> bool {
    let device = params.device.as_ref().unwrap();
    let scopes = params.scopes.as_deref().unwrap_or_default();
    let scopes: Vec<&str> = scopes.iter().map(|s| &**s).collect();
    let auth = params.auth.as_ref();
    let payload = SignedFields {
        device_id: &device.id,
        client_id: params.client.id.as_str(),
        client_mode: params.client.mode.as_str(),
        role: params.role.as_deref().unwrap(),
        scopes: &scopes,
        signed_at: device.signed_at,
        token: auth
            .and_then(|a| a.token.as_ref())
            .map_or("", |t| t.expose()),
        nonce: device.nonce.as_deref(),
    }
    .payload();
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
    let key = VerifyingKey::try_from(&*decode(&device.public_key)).unwrap();
    let signature = Signature::from_slice(&decode(&device.signature)).unwrap();
    key.verify_strict(payload.as_bytes(), &signature).is_ok()
}

#[tokio::test(start_paused = true)]
async fn the_challenge_is_signed() {
    let (mut gateway, mut config) = gateway();
    config.identity = Some(identity());
    config.token = Some("tok".into());
    config.scopes = vec![Scope::Write, Scope::Read];
    let (outcome, params) = both(Client::connect(config), async {
        let mut peer = gateway.accept().await;
        peer.send(&challenge()).await;
        let params = peer.connect_request().await;
        peer.answer("connect", &json!(hello())).await;
        params
    })
    .await;
    assert_eq!(*outcome.unwrap().hello(), hello());
    let device = params.device.as_ref().unwrap();
    assert_eq!(device.nonce.as_deref(), Some("n-1"));
    assert_eq!(device.signed_at, NOW_MS);
    assert_eq!(&*device.id, identity().device_id());
    assert_eq!(params.scopes.as_ref().unwrap().len(), 2);
    assert!(signature_is_good(&params));
}

#[tokio::test(start_paused = true)]
async fn everything_that_is_configured_is_sent_and_nothing_else() {
    let connect = async |change: fn(&mut crate::ClientConfig)| {
        let (mut gateway, mut config) = gateway();
        change(&mut config);
        let refusal = error(&errors::INVALID_ROLE);
        both(Client::connect(config), gateway.refuse(&refusal))
            .await
            .1
    };
    let bare = connect(|_| {}).await;
    assert_eq!(
        json!(bare),
        json!({
            "minProtocol": 3, "maxProtocol": 3, "role": "operator",
            "client": {"id": "test", "version": "1.0", "platform": "linux", "mode": "test"},
        })
    );
    let full = connect(|config| {
        config.role = Role::Node;
        config.password = Some("secret".into());
        config.caps = vec!["canvas".to_owned()];
        config.commands = vec!["canvas.show".to_owned(), String::new()];
        config.permissions = [("camera".to_owned(), false)].into();
        config.path_env = Some("/bin".to_owned());
        config.locale = Some("de".to_owned());
        config.user_agent = Some("me".to_owned());
    })
    .await;
    assert_eq!(
        json!(full),
        json!({
            "minProtocol": 3, "maxProtocol": 3, "role": "node",
            "client": {"id": "test", "version": "1.0", "platform": "linux", "mode": "test"},
            "auth": {"password": "secret"}, "caps": ["canvas"], "commands": ["canvas.show"],
            "permissions": {"camera": false}, "pathEnv": "/bin", "locale": "de", "userAgent": "me",
        })
    );
}

#[tokio::test(start_paused = true)]
async fn without_a_challenge_the_first_version_is_signed_after_750_ms() {
    let (mut gateway, mut config) = gateway();
    config.identity = Some(identity());
    let (outcome, waited) = both(Client::connect(config), async {
        let mut peer = gateway.accept().await;
        let (params, waited) = seconds(peer.connect_request()).await;
        assert_eq!(params.device.as_ref().unwrap().nonce, None);
        assert!(signature_is_good(&params));
        // Too late: it is not answered.
        peer.send(&challenge()).await;
        peer.answer("connect", &json!(hello())).await;
        (waited, peer)
    })
    .await;
    outcome.unwrap();
    assert_eq!(waited.0, 0.75);
}

#[tokio::test(start_paused = true)]
async fn a_challenge_that_is_half_here_when_the_wait_ends_loses_no_bytes() {
    let mut frame = Vec::new();
    put_text(&mut frame, challenge().to_string().as_bytes());
    for cut in 1..frame.len() {
        let (mut gateway, config) = gateway();
        let (outcome, _peer) = both(Client::connect(config), async {
            let mut peer = gateway.accept().await;
            peer.bytes(&frame[..cut]).await;
            peer.connect_request().await;
            peer.bytes(&frame[cut..]).await;
            peer.answer("connect", &json!(hello())).await;
            peer
        })
        .await;
        assert!(outcome.is_ok(), "cut at {cut}: {outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_does_not_belong_into_a_handshake_is_ignored() {
    let (mut gateway, config) = gateway();
    let (outcome, _peer) = both(Client::connect(config), async {
        let mut peer = gateway.accept().await;
        peer.text("no JSON").await;
        peer.send(&json!({"type": "event", "event": "tick", "payload": {"ts": 1}, "seq": 1}))
            .await;
        peer.send(&json!({"type": "event", "event": "connect.challenge"}))
            .await;
        peer.answer("connect", &json!("before it was asked")).await;
        peer.ping(b"x").await;
        peer.send(&challenge()).await;
        assert!(matches!(peer.next().await, openclaw_websocket::Incoming::Pong(p) if p == "x"));
        peer.connect_request().await;
        peer.answer("other", &json!({})).await;
        peer.send(&challenge()).await;
        peer.answer("connect", &json!(hello())).await;
        peer
    })
    .await;
    outcome.unwrap();
}

/// The error of a client that the gateway refuses, its text, and whether it is final.
async fn refused(error: ErrorShape) -> (ConnectError, String, bool) {
    let (mut gateway, config) = gateway();
    let (outcome, _) = both(Client::connect(config), gateway.refuse(&error)).await;
    let error = outcome.unwrap_err();
    let (text, is_final) = (error.to_string(), error.is_final());
    (error, text, is_final)
}

#[tokio::test(start_paused = true)]
async fn refusals_say_what_can_be_done() {
    let with = |known: &KnownError, details: serde_json::Value| {
        let mut error = known.error();
        error.details = Some(details);
        error
    };
    let other = ErrorCode::Unavailable.error("storage is full");
    let token_wrong = errors::TOKEN_MISMATCH.with(&[("hint", "a hint")]);
    let cases = [
        (
            with(&errors::PAIRING_REQUIRED, json!({"requestId": "r-1"})),
            "request r-1",
            true,
        ),
        (
            errors::PAIRING_REQUIRED.error(),
            "waits for approval:",
            true,
        ),
        (
            errors::DEVICE_IDENTITY_REQUIRED.error(),
            "device identity",
            true,
        ),
        (
            with(&errors::PROTOCOL_MISMATCH, json!({"expectedProtocol": 4})),
            "protocol 4,",
            true,
        ),
        (errors::PROTOCOL_MISMATCH.error(), "another version", true),
        (
            token_wrong,
            "unauthorized: gateway token mismatch (a hint)",
            true,
        ),
        (errors::PASSWORD_MISSING.error(), "password missing", true),
        (
            ErrorCode::InvalidRequest.error("unauthorized"),
            "unauthorized",
            true,
        ),
        (
            errors::DEVICE_SIGNATURE_INVALID.error(),
            "refused the connection: device signature",
            true,
        ),
        (
            errors::DEVICE_NONCE_REQUIRED.error(),
            "device nonce required",
            false,
        ),
        (errors::DEVICE_SIGNATURE_EXPIRED.error(), "expired", false),
        (other, "refused the connection: storage is full", false),
    ];
    for (error, words, is_final) in cases {
        let (error, text, got_final) = refused(error).await;
        assert!(text.contains(words), "{text}");
        assert_eq!(got_final, is_final, "{error:?}");
    }
    let (error, ..) = refused(errors::TOKEN_MISMATCH.error()).await;
    assert!(
        matches!(error, ConnectError::Unauthorized { .. }),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_ends_in_the_handshake_is_told_by_its_end() {
    /// What the gateway does after the challenge.
    enum Then {
        Close(u16, &'static str),
        Leave,
        Mask,
    }
    let by_gateway = |code, reason: &str| Disconnect::ByGateway {
        code: Some(code),
        reason: reason.to_owned(),
    };
    let cases = [
        (
            Then::Close(1008, "why"),
            by_gateway(1008, "why"),
            "(1008: why)",
        ),
        (Then::Close(1012, ""), by_gateway(1012, ""), "(1012)"),
        (
            Then::Leave,
            Disconnect::Broken("connection ended without a close frame".to_owned()),
            "without a close frame",
        ),
        (
            Then::Mask,
            Disconnect::BadPeer("WebSocket protocol violated: server frame is masked".to_owned()),
            "masked",
        ),
    ];
    for (then, expected, words) in cases {
        let (mut gateway, config) = gateway();
        let (outcome, _peer) = both(Client::connect(config), async {
            let mut peer = gateway.accept().await;
            peer.send(&challenge()).await;
            peer.connect_request().await;
            match then {
                Then::Close(code, reason) => peer.close(code, reason).await,
                Then::Leave => peer.writer.shutdown().await.unwrap(),
                Then::Mask => {
                    let mut frame = Vec::new();
                    put_text_masked(&mut frame, b"{}", [1; 4]);
                    peer.bytes(&frame).await;
                }
            }
            peer
        })
        .await;
        let error = outcome.unwrap_err();
        let text = error.to_string();
        assert!(text.contains(words), "{text}");
        assert!(text.contains("ws://gw.example.com:18789"), "{text}");
        match error {
            ConnectError::Ended { cause, .. } => assert_eq!(cause, expected),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn hellos_that_cannot_be_read_are_errors() {
    for payload in [
        json!(null),
        json!({}),
        json!({"type": "hello-ok", "protocol": "3"}),
    ] {
        let (mut gateway, config) = gateway();
        let (outcome, _peer) = both(Client::connect(config), async {
            let mut peer = gateway.accept().await;
            peer.send(&challenge()).await;
            peer.connect_request().await;
            peer.answer("connect", &payload).await;
            peer
        })
        .await;
        let error = outcome.unwrap_err();
        assert!(matches!(error, ConnectError::BadHello { .. }), "{error:?}");
        assert!(!error.is_final());
    }
}

#[tokio::test(start_paused = true)]
async fn members_that_are_not_known_do_not_spoil_a_hello() {
    let (mut gateway, config) = gateway();
    let (outcome, _peer) = both(Client::connect(config), async {
        let mut peer = gateway.accept().await;
        peer.send(&challenge()).await;
        peer.connect_request().await;
        let mut payload = json!(hello());
        payload["later"] = json!(1);
        payload["server"]["later"] = json!(1);
        peer.answer("connect", &payload).await;
        peer
    })
    .await;
    assert_eq!(*outcome.unwrap().hello(), hello());
}

#[tokio::test(start_paused = true)]
async fn a_silent_gateway_is_given_up_wherever_it_falls_silent() {
    for stage in ["upgrade", "challenge", "hello"] {
        let (mut gateway, config) = gateway();
        let ((outcome, waited), _stream) = both(seconds(Client::connect(config)), async {
            if stage == "upgrade" {
                return (Some(gateway.dialled().await), None);
            }
            let mut peer = gateway.accept().await;
            if stage == "hello" {
                peer.send(&challenge()).await;
            }
            peer.connect_request().await;
            (None, Some(peer))
        })
        .await;
        let error = outcome.unwrap_err();
        assert!(
            matches!(error, ConnectError::Timeout { .. }),
            "{stage}: {error:?}"
        );
        assert_eq!(
            error.to_string(),
            "the gateway at ws://gw.example.com:18789 did not answer within 10 s"
        );
        assert_eq!(waited, CONNECT_TIMEOUT.as_secs_f64(), "{stage}");
    }
}

#[tokio::test(start_paused = true)]
async fn other_servers_and_empty_ports_are_told_apart() {
    let (mut gateway, config) = gateway();
    let (outcome, ()) = both(Client::connect(config.clone()), async {
        let mut stream = gateway.dialled().await;
        stream
            .write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
            .await
            .unwrap();
    })
    .await;
    let error = outcome.unwrap_err();
    assert_eq!(
        error.to_string(),
        "what answers at ws://gw.example.com:18789 is not a gateway: it answered HTTP 404 Not Found"
    );

    drop(gateway);
    let error = Client::connect(config).await.unwrap_err();
    assert!(
        matches!(error, ConnectError::Unreachable { .. }),
        "{error:?}"
    );
    let text = error.to_string();
    assert!(text.contains("ws://gw.example.com:18789"), "{text}");
    assert!(text.contains("openclaw gateway"), "{text}");
}
