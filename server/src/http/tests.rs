use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

use openclaw_core::http::{Admission, Caps, Site, TurnedAway, Upgraded, serve};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::*;
use crate::connection::locality::Trust;
use crate::limits;
use crate::refusals::Refusals;

/// A site on loopback and a client socket connected to it; the server's side runs in a task.
async fn connect(site: &Arc<Site>) -> (TcpStream, tokio::task::JoinHandle<Option<Upgraded>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (stream, peer) = listener.accept().await.unwrap();
    let local = stream.local_addr().unwrap();
    let ends = Ends::Tcp { peer, local };
    let server = tokio::spawn(serve(stream.into(), ends, Arc::clone(site)));
    (client, server)
}

fn site() -> Arc<Site> {
    let site = Site::new(Arc::default(), Trust::default()).with_surfaces(Arc::new(Web::default()));
    site.set_ready();
    Arc::new(site)
}

/// Sends a request and nothing more. Returns the response, of an upgrade the one that was left to the connection.
async fn exchange(site: &Arc<Site>, request: &str) -> (String, Option<Upgraded>) {
    let (mut client, server) = connect(site).await;
    client.write_all(request.as_bytes()).await.unwrap();
    client.shutdown().await.unwrap();
    let upgraded = server.await.unwrap();
    let text = match &upgraded {
        Some(upgraded) => upgraded.response.clone(),
        None => {
            let mut text = Vec::new();
            client.read_to_end(&mut text).await.unwrap();
            text
        }
    };
    (String::from_utf8(text).unwrap(), upgraded)
}

const UPGRADE: &str = "Host: localhost\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[tokio::test]
async fn plain_requests() {
    let ready = site();
    let starting = Arc::new(Site::new(Arc::default(), Trust::default()));
    let stopping = site();
    stopping.set_stopping();
    for (site, request, status, body) in [
        (
            &ready,
            "GET /healthz",
            "200",
            r#"{"ok":true,"status":"live"}"#,
        ),
        (
            &starting,
            "GET /healthz",
            "200",
            r#"{"ok":true,"status":"live"}"#,
        ),
        (&ready, "HEAD /healthz", "200", ""),
        (
            &ready,
            "GET /readyz?verbose",
            "200",
            r#"{"ok":true,"status":"ready"}"#,
        ),
        (
            &starting,
            "GET /readyz",
            "503",
            r#"{"ok":false,"status":"not ready"}"#,
        ),
        (
            &stopping,
            "GET /readyz",
            "503",
            r#"{"ok":false,"status":"not ready"}"#,
        ),
        (&ready, "POST /readyz", "405", "Method Not Allowed"),
        (&ready, "POST /protocol", "405", "Method Not Allowed"),
        (&ready, "HEAD /protocol?q=chat", "200", ""),
        (&ready, "GET /protocol/", "404", "Not Found"),
        (&ready, "GET /", "404", "Not Found"),
        (&ready, "POST /v1/chat/completions", "404", "Not Found"),
    ] {
        let text = format!("{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let (response, upgraded) = exchange(site, &text).await;
        assert!(upgraded.is_none());
        assert!(
            response.starts_with(&format!("HTTP/1.1 {status} ")),
            "{request}: {response}"
        );
        let (head, found) = response.split_once("\r\n\r\n").unwrap();
        assert_eq!(found, body, "{request}");
        assert!(
            head.contains("x-content-type-options: nosniff"),
            "{request}: {head}"
        );
    }
}

#[tokio::test]
async fn the_page_is_served_whole_and_its_path_still_upgrades() {
    let site = site();
    for (request, body) in [
        ("GET /protocol", Document::Page.unpack().unwrap()),
        ("HEAD /protocol", Vec::new()),
    ] {
        let text = format!("{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let (response, _) = exchange(&site, &text).await;
        let (head, found) = response.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let length = format!("content-length: {}\r\n", Document::Page.length());
        assert!(head.contains(&length), "{request}: {head}");
        assert!(found.as_bytes() == body, "{request}");
    }
    let request = format!("GET /protocol HTTP/1.1\r\n{UPGRADE}\r\n");
    let (response, upgraded) = exchange(&site, &request).await;
    assert!(response.starts_with("HTTP/1.1 101 "), "{response}");
    assert!(upgraded.is_some());
}

#[tokio::test(start_paused = true)]
async fn clients_that_do_not_take_their_answers_are_let_go() {
    let (mut client, server) = connect(&site()).await;
    // More than the socket's buffers hold, in one go.
    let requests = "GET /protocol HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(200);
    client.write_all(requests.as_bytes()).await.unwrap();
    let ended = timeout(10 * limits::HTTP_TIME, server).await.unwrap();
    assert!(ended.unwrap().is_none());
}

#[tokio::test]
async fn any_path_upgrades_and_early_bytes_are_kept() {
    let site = site();
    let request = format!(
        "GET /some/path?x=1 HTTP/1.1\r\n{UPGRADE}Sec-WebSocket-Protocol: a, b\r\n\r\nearly"
    );
    let (response, upgraded) = exchange(&site, &request).await;
    assert!(response.starts_with("HTTP/1.1 101 "), "{response}");
    for header in [
        "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        "sec-websocket-protocol: a\r\n",
    ] {
        assert!(response.contains(header), "{response}");
    }
    assert!(!response.contains("extensions"), "{response}");
    let upgraded = upgraded.unwrap();
    assert_eq!(upgraded.early, "early");
    assert_eq!(upgraded.headers["host"], "localhost");
}

#[tokio::test]
async fn bad_upgrades_are_refused() {
    let stopping = site();
    stopping.set_stopping();
    let ready = site();
    let without = |line: &str| UPGRADE.replace(line, "");
    for (site, start, headers, status) in [
        (
            &ready,
            "GET / HTTP/1.1",
            without("Sec-WebSocket-Version: 13\r\n"),
            "426",
        ),
        (
            &ready,
            "GET / HTTP/1.1",
            UPGRADE.replace(": 13", ": 8"),
            "426",
        ),
        (
            &ready,
            "GET / HTTP/1.1",
            without("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"),
            "400",
        ),
        (&ready, "POST / HTTP/1.1", UPGRADE.to_owned(), "400"),
        (&stopping, "GET / HTTP/1.1", UPGRADE.to_owned(), "503"),
        // Not asked for in both headers: a plain request.
        (
            &ready,
            "GET / HTTP/1.1",
            without("Upgrade: websocket\r\n"),
            "404",
        ),
    ] {
        let (response, upgraded) = exchange(site, &format!("{start}\r\n{headers}\r\n")).await;
        assert!(
            response.starts_with(&format!("HTTP/1.1 {status} ")),
            "{headers}: {response}"
        );
        assert!(upgraded.is_none());
    }
}

#[tokio::test]
async fn a_full_lobby_turns_upgrades_away() {
    let site = site();
    let mut held: Vec<_> =
        std::iter::from_fn(|| site.admission.begin_handshake(None).ok()).collect();
    assert_eq!(held.len(), limits::MAX_HANDSHAKES);
    let request = format!("GET / HTTP/1.1\r\n{UPGRADE}\r\n");
    let (response, _) = exchange(&site, &request).await;
    assert!(response.starts_with("HTTP/1.1 503 "), "{response}");
    held.pop();
    let (response, upgraded) = exchange(&site, &request).await;
    assert!(response.starts_with("HTTP/1.1 101 "), "{response}");
    assert!(
        site.admission.begin_handshake(None).is_err(),
        "the upgrade holds the last place"
    );
    drop(upgraded);
    assert!(site.admission.begin_handshake(None).is_ok());
}

#[tokio::test(start_paused = true)]
async fn silent_clients_are_let_go() {
    let (mut client, server) = connect(&site()).await;
    client.write_all(b"GET / HT").await.unwrap();
    assert!(server.await.unwrap().is_none());
    let mut rest = Vec::new();
    // Whatever is said on the way out, the socket is closed.
    let _ = client.read_to_end(&mut rest).await;
}

#[tokio::test(start_paused = true)]
async fn idle_clients_are_let_go_between_requests() {
    let (mut client, server) = connect(&site()).await;
    client
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    assert!(server.await.unwrap().is_none());
    let mut rest = String::new();
    client.read_to_string(&mut rest).await.unwrap();
    assert!(rest.starts_with("HTTP/1.1 200 "), "{rest}");
}

#[tokio::test]
async fn clients_behind_a_proxy_are_counted_each_for_its_own_network() {
    let caps = Caps {
        total: 100,
        per_network: 2,
    };
    let refusals = Arc::<Refusals>::default();
    let admission = Arc::new(Admission::new(caps, Arc::clone(&refusals)));
    let trust = Trust::new(&["127.0.0.1".into()], &[], &[]);
    let site = Site::new(Arc::clone(&admission), trust);
    site.set_ready();
    let site = Arc::new(site);
    let mut held = Vec::new();
    for (client, status) in [
        ("192.0.2.1", "101"),
        ("10.9.9.9, 192.0.2.1", "101"),
        ("192.0.2.1", "503"),
        ("10.9.9.8, 192.0.2.1", "503"),
        ("192.0.2.2", "101"),
        ("127.0.0.1", "101"),
    ] {
        let request = format!("GET / HTTP/1.1\r\n{UPGRADE}X-Forwarded-For: {client}\r\n\r\n");
        let (response, upgraded) = exchange(&site, &request).await;
        assert!(
            response.starts_with(&format!("HTTP/1.1 {status} ")),
            "{client}: {response}"
        );
        held.extend(upgraded);
    }
    assert_eq!(
        refusals.all(),
        [(TurnedAway::NetworkFull.reason(), 2)].into()
    );
    held.clear();
    let request = format!("GET / HTTP/1.1\r\n{UPGRADE}X-Forwarded-For: 192.0.2.1\r\n\r\n");
    let (response, _) = exchange(&site, &request).await;
    assert!(
        response.starts_with("HTTP/1.1 101 "),
        "places come back: {response}"
    );
}

#[tokio::test]
async fn counters_are_not_for_strangers() {
    let site = site();
    site.admission.turn_away(TurnedAway::Full);
    for path in [
        "/healthz",
        "/healthz?verbose=1",
        "/readyz?counters",
        "/metrics",
    ] {
        let text = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let (response, _) = exchange(&site, &text).await;
        assert!(!response.contains("turned away"), "{path}: {response}");
    }
}
