//! The doors of a running gateway: guessing is slowed down, devices may be made compulsory, the Unix socket needs no
//! token, members of the tailnet neither.

use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use openclaw_client::{Client, ClientConfig, GatewayCalls as _};
use openclaw_core::connection::limiter::{FREE_FAILURES, LONGEST_PAUSE_MS};
use openclaw_protocol::protocol::Scope;
use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::types::{
    ClientId, ClientMode, ConnectClient, IgnoredParams, StatusRefusals,
};
use openclaw_tests::{Gateway, Home, PATIENCE, free_port};
use openclaw_websocket::{Incoming, MessageReader, encode};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

const TOKEN: &str = "the-right-token-of-this-gateway";

/// Wrong tokens sent from one place: far more than are free, few enough for a second or two.
const ATTEMPTS: u32 = 150;

const LARGEST: usize = 1024 * 1024;

/// Upgrades with these headers and answers the challenge with a connect of these `auth`: the gateway's answer.
async fn connect(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    headers: &str,
    auth: Value,
) -> Value {
    let exchange = async {
        let request = format!(
            "GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
        );
        stream
            .write_all(request.as_bytes())
            .await
            .expect("the request is taken");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("an answer"));
        }
        let head = String::from_utf8_lossy(&head);
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        let frame = json!({"type": "req", "id": "c", "method": "connect", "params": {
            "minProtocol": 3, "maxProtocol": 3, "auth": auth,
            "client": {"id": "test", "version": "1", "platform": "linux", "mode": "test"},
        }});
        let mut bytes = Vec::new();
        encode::put_text_masked(&mut bytes, frame.to_string().as_bytes(), [1, 2, 3, 4]);
        stream.write_all(&bytes).await.expect("the frame is taken");
        let mut reader = MessageReader::client(stream, LARGEST);
        loop {
            match reader.next().await.expect("a message") {
                Incoming::Text(text) => {
                    let frame: Value = serde_json::from_str(&text).expect("JSON");
                    if frame["id"] == "c" {
                        return frame;
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    };
    timeout(PATIENCE, exchange)
        .await
        .expect("an answer in time")
}

async fn by_port(port: u16, headers: &str, auth: Value) -> Value {
    let stream = TcpStream::connect(("127.0.0.1", port))
        .await
        .expect("the gateway is there");
    connect(
        stream,
        &format!("Host: 127.0.0.1:{port}\r\n{headers}"),
        auth,
    )
    .await
}

fn message(answer: &Value) -> &str {
    answer["error"]["message"].as_str().unwrap_or("accepted")
}

/// What `status` says of refusals to an operator with this scope alone.
async fn refusals_for(gateway: &Gateway, scope: Scope) -> Option<StatusRefusals> {
    let text = |text: &str| NonEmptyString::or(text, "-");
    let me = ConnectClient::new(ClientId::Test, text("1"), text("linux"), ClientMode::Test);
    let mut config = ClientConfig::new(&gateway.url(), me).expect("a URL");
    config.token = Some(TOKEN.into());
    config.scopes = vec![scope];
    let client = Client::connect(config).await.expect("a connection");
    let status = client.status(&IgnoredParams::default()).await;
    status.expect("an answer").refusals
}

#[tokio::test]
async fn guessing_is_slowed_down_while_this_host_gets_in() {
    let home = Home::new();
    home.write_config(&format!(
        "{{ gateway: {{ mode: 'local', auth: {{ token: '{TOKEN}' }}, trustedProxies: ['127.0.0.1'] }} }}"
    ));
    let mut gateway = Gateway::start(&home, &[]).await;
    let port = gateway.port.to_string();
    let here = [("OPENCLAW_GATEWAY_PORT", port.as_str())];
    for (name, headers) in [
        (
            "a page in a browser of this host",
            "Origin: http://evil.example\r\n",
        ),
        (
            "a client behind a trusted proxy",
            "X-Forwarded-For: 127.0.0.1, 203.0.113.9\r\n",
        ),
    ] {
        let start = Instant::now();
        let mut compared = Vec::new();
        let guessing = async {
            for n in 0..ATTEMPTS {
                let answer = by_port(
                    gateway.port,
                    headers,
                    json!({"token": format!("guess-{n}")}),
                )
                .await;
                match message(&answer) {
                    text if text.contains("gateway token mismatch") => {
                        compared.push(start.elapsed())
                    }
                    text if text.contains("too many failed attempts") => {
                        assert_eq!(answer["error"]["code"], "UNAVAILABLE");
                        let wait = answer["error"]["retryAfterMs"].as_u64().expect("when");
                        assert!(wait <= LONGEST_PAUSE_MS, "{answer}");
                    }
                    text => panic!("{text}"),
                }
            }
        };
        let (health, ()) = tokio::join!(home.run_with(&["health"], &here), guessing);
        assert_eq!(
            health.code,
            Some(0),
            "this host gets in meanwhile: {}",
            health.err
        );
        let all = start.elapsed().as_secs_f64();
        let free = FREE_FAILURES as usize;
        let before = compared[free - 1].as_secs_f64();
        let after = compared.len() - free;
        println!(
            "{name}: {ATTEMPTS} attempts in {all:.2} s; compared {:.0} a second before the limiter set in, {:.1} after",
            free as f64 / before,
            after as f64 / (all - before),
        );
        // The pauses of 1, 2, 4 … s bound what can have been compared in the time it took.
        let pauses = (all + 1.0).log2().ceil() as usize;
        assert!(
            after <= 1 + pauses,
            "{after} compared in {all} s after the free ones"
        );

        let right = by_port(gateway.port, headers, json!({"token": TOKEN})).await;
        assert!(
            message(&right).contains("too many failed attempts"),
            "not even looked at: {right}"
        );
    }
    let right = by_port(gateway.port, "", json!({"token": TOKEN})).await;
    assert_eq!(message(&right), "accepted", "a native client of this host");

    // Counted by reason: admins can read it, others cannot.
    let shown = home.run_with(&["status", "--json"], &here).await;
    let shown: Value = serde_json::from_str(&shown.out).expect("JSON");
    for reason in ["unauthorized", "too-many-attempts"] {
        let counts = shown["refusals"]["counts"].as_array().expect("counts");
        let mut counts = counts.iter();
        let count = counts.find(|count| count["reason"] == reason);
        let count = count.and_then(|count| count["count"].as_u64());
        assert!(
            count.is_some_and(|count| count >= u64::from(FREE_FAILURES)),
            "{reason}: {shown}"
        );
    }
    assert_eq!(refusals_for(&gateway, Scope::Read).await, None);
    assert!(refusals_for(&gateway, Scope::Admin).await.is_some());

    // In the log neither a line for each nor a secret.
    gateway.signal(Signal::TERM);
    gateway.ended().await;
    let log = gateway.output().await;
    for reason in ["unauthorized (", "too-many-attempts ("] {
        assert!(log.contains(reason), "{reason}: {log}");
    }
    assert!(log.lines().count() < ATTEMPTS as usize, "{log}");
    assert!(!log.contains(TOKEN) && !log.contains("guess-"), "{log}");
}

#[tokio::test]
async fn strict_devices_have_to_be_shown() {
    let home = Home::new();
    home.write_config(&format!(
        "{{ gateway: {{ mode: 'local', auth: {{ token: '{TOKEN}', strictDevices: true }}, socket: 'gateway.sock' }} }}"
    ));
    let gateway = Gateway::start(&home, &[]).await;
    let answer = by_port(gateway.port, "", json!({"token": TOKEN})).await;
    assert_eq!(message(&answer), "device identity required");
    let socket = UnixStream::connect(home.state().join("gateway.sock"))
        .await
        .expect("the socket");
    let answer = connect(socket, "Host: localhost\r\n", json!({})).await;
    assert_eq!(message(&answer), "device identity required");
    let port = gateway.port.to_string();
    let ran = home
        .run_with(&["health"], &[("OPENCLAW_GATEWAY_PORT", &port)])
        .await;
    assert_eq!(ran.code, Some(0), "{}", ran.err);
}

#[tokio::test]
async fn the_unix_socket_needs_no_token() {
    let home = Home::new();
    home.write_config(&format!(
        "{{ gateway: {{ mode: 'local', auth: {{ token: '{TOKEN}' }}, socket: 'run/gateway.sock' }} }}"
    ));
    let path = home.state().join("run/gateway.sock");
    let mut gateway = Gateway::start(&home, &[]).await;
    let mode = std::fs::metadata(&path)
        .expect("the socket")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    for (headers, expected) in [
        ("", "accepted"),
        ("X-Forwarded-For: 127.0.0.1\r\n", "device identity required"),
        ("Origin: http://localhost\r\n", "device identity required"),
    ] {
        let socket = UnixStream::connect(&path).await.expect("the socket");
        let answer = connect(socket, &format!("Host: localhost\r\n{headers}"), json!({})).await;
        assert_eq!(message(&answer), expected, "{headers}");
    }

    // The commands take it first: nobody is at this port.
    let nobody = free_port().to_string();
    let elsewhere = [("OPENCLAW_GATEWAY_PORT", nobody.as_str())];
    let ran = home.run_with(&["health"], &elsewhere).await;
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let url = format!("ws://127.0.0.1:{nobody}");
    let ran = home.run(&["health", "--url", &url]).await;
    assert_eq!(ran.code, Some(1), "a URL that is given counts: {}", ran.out);

    // What a killed gateway leaves behind is taken over; a gateway that stops takes it away.
    gateway.signal(Signal::KILL);
    gateway.ended().await;
    assert!(path.exists());
    let mut gateway = Gateway::start(&home, &[]).await;
    let ran = home.run_with(&["health"], &elsewhere).await;
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.ended().await.code(), Some(0));
    assert!(!path.exists());
}

#[tokio::test]
async fn members_of_the_tailnet_are_asked_for() {
    let home = Home::new();
    home.write_config(&format!(
        "{{ gateway: {{ mode: 'local', auth: {{ token: '{TOKEN}', allowTailscale: true }}, \
         http: {{ endpoints: {{ chatCompletions: {{ enabled: true }} }} }} }} }}"
    ));
    let program = home.path().join("whois");
    let script = "#!/bin/sh\n[ \"$*\" = 'whois --json 100.64.0.7' ] || exit 1\n\
                  echo '{\"UserProfile\":{\"LoginName\":\"alice@example.com\"}}'\n";
    std::fs::write(&program, script).expect("the program");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).expect("its mode");
    let command = program.to_str().expect("a plain path");
    let gateway = Gateway::start_with(&home, &[], &[("OPENCLAW_TAILSCALE_COMMAND", command)]).await;
    let served = |login: &str, address: &str| {
        format!(
            "X-Forwarded-For: {address}\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: box.tail1.ts.net\r\n\
             Tailscale-User-Login: {login}\r\n"
        )
    };
    let mismatch = "unauthorized: gateway token mismatch (provide gateway auth token)";
    let asked = async |headers: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", gateway.port))
            .await
            .expect("the port");
        let request = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: box.tail1.ts.net\r\nContent-Length: 2\r\n{headers}\r\n{{}}"
        );
        stream
            .write_all(request.as_bytes())
            .await
            .expect("the request is taken");
        let mut line = vec![0; 12];
        let read = timeout(PATIENCE, stream.read_exact(&mut line)).await;
        read.expect("in time").expect("an answer");
        String::from_utf8_lossy(&line).into_owned()
    };
    for (headers, is_member) in [
        (served("Alice@example.com", "100.64.0.7"), true),
        (served("mallory@example.com", "100.64.0.7"), false),
        (served("alice@example.com", "100.64.0.8"), false),
        (
            served("alice@example.com", "100.64.0.7") + "Origin: https://evil.example\r\n",
            false,
        ),
        (String::new(), false),
    ] {
        // A member comes in, and is told that it said nothing.
        let expected = if is_member { "400" } else { "401" };
        assert_eq!(asked(&headers).await, format!("HTTP/1.1 {expected}"));
        // On the WebSocket members are known by a device; without one the token has to be right.
        for (token, expected) in [("none", mismatch), (TOKEN, "accepted")] {
            let answer = by_port(gateway.port, &headers, json!({ "token": token })).await;
            assert_eq!(message(&answer), expected, "{headers}");
        }
    }
}

#[tokio::test]
async fn places_for_connections_are_bounded() {
    let home = Home::new();
    home.write_config(&format!(
        "{{ gateway: {{ mode: 'local', auth: {{ token: '{TOKEN}' }}, connections: {{ max: 3 }} }} }}"
    ));
    let gateway = Gateway::start(&home, &[]).await;
    let ask = async |text: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", gateway.port))
            .await
            .expect("the port");
        stream
            .write_all(text.as_bytes())
            .await
            .expect("the request is taken");
        let mut line = vec![0; 12];
        let read = timeout(PATIENCE, stream.read_exact(&mut line))
            .await
            .expect("in time");
        (
            read.map(|_| String::from_utf8_lossy(&line).into_owned())
                .unwrap_or_default(),
            stream,
        )
    };
    let request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut held = Vec::new();
    for _ in 0..3 {
        // The place of the connection that found the gateway listening may still be on its way back.
        let mut asked = ask(request).await;
        while held.is_empty() && asked.0 != "HTTP/1.1 200" {
            asked = ask(request).await;
        }
        assert_eq!(asked.0, "HTTP/1.1 200");
        held.push(asked.1);
    }
    assert_eq!(ask("").await.0, "HTTP/1.1 503");
    held.pop();
    let again = async {
        while ask(request).await.0 != "HTTP/1.1 200" {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, again).await.expect("a place comes back");
}

#[tokio::test]
async fn a_gateway_named_by_hand_is_shown_nothing_of_the_own_one() {
    let (home, far) = (Home::new(), Home::new());
    let own = Gateway::start(&home, &[]).await;
    let stranger = Gateway::start(&far, &["--token", TOKEN]).await;
    let port = own.port.to_string();
    let here = [("OPENCLAW_GATEWAY_PORT", port.as_str())];
    // This device has a token of its own gateway's then.
    let ran = home.run_with(&["health"], &here).await;
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let tokens = home.state().join("identity/device-auth.json");
    let before = std::fs::read_to_string(&tokens).expect("a device token");

    let url = stranger.url();
    let env = [
        ("OPENCLAW_GATEWAY_TOKEN", "a-token-of-the-own-gateway"),
        ("OPENCLAW_GATEWAY_PASSWORD", "a-password-of-the-own-gateway"),
    ];
    let ran = home.run_with(&["health", "--url", &url], &env).await;
    assert_eq!(ran.code, Some(1), "{}", ran.out);
    assert!(
        ran.err.contains("gateway token missing") && ran.err.contains("--token"),
        "{}",
        ran.err
    );
    // What it gives does not take the place of what the own one has given.
    let ran = home.run(&["health", "--url", &url, "--token", TOKEN]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let after = std::fs::read_to_string(&tokens).expect("a device token");
    assert_eq!(before, after);
}
