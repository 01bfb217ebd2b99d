//! The gateway serves its own protocol, and the command line writes the same bytes.

use std::path::Path;

use openclaw_tests::{Gateway, Home, PATIENCE};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Path on the gateway, `--format`, file, start of the media type.
const DOCUMENTS: [(&str, &str, &str, &str); 4] = [
    ("/protocol", "html", "protocol.html", "text/html"),
    (
        "/protocol/schema.json",
        "schema",
        "protocol.schema.json",
        "application/schema+json",
    ),
    (
        "/protocol/openrpc.json",
        "openrpc",
        "openrpc.json",
        "application/json",
    ),
    (
        "/protocol/asyncapi.json",
        "asyncapi",
        "asyncapi.json",
        "application/vnd.aai.asyncapi+json",
    ),
];

/// One request on a connection of its own: head and body of the answer.
async fn ask(port: u16, start: &str, headers: &str) -> (String, Vec<u8>) {
    let exchange = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port))
            .await
            .expect("the gateway is there");
        let request =
            format!("{start} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n");
        stream
            .write_all(request.as_bytes())
            .await
            .expect("the request is taken");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("an answer");
        answer
    };
    let answer = timeout(PATIENCE, exchange)
        .await
        .expect("an answer in time");
    let end = answer
        .windows(4)
        .position(|bytes| bytes == b"\r\n\r\n")
        .expect("a head");
    let head = String::from_utf8(answer[..end].to_vec()).expect("text");
    (head, answer[end + 4..].to_vec())
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(": ")?;
        found.eq_ignore_ascii_case(name).then_some(value)
    })
}

#[tokio::test]
async fn documents_are_served_to_everyone_and_exported_alike() {
    let home = Home::new();
    let gateway = Gateway::start(&home, &[]).await;
    let folder = home.path().join("exported/here");
    let out = folder.to_str().expect("a plain path");
    let ran = home.run(&["protocol", "export", "--out", out]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    for (path, format, file, media_type) in DOCUMENTS {
        let (head, body) = ask(gateway.port, &format!("GET {path}"), "").await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{path}: {head}");
        let sent = header(&head, "content-type").unwrap_or_default();
        assert!(sent.starts_with(media_type), "{path}: {sent}");
        assert!(body == std::fs::read(folder.join(file)).expect("exported"));
        assert!(ran.out.contains(file), "{file} is named: {}", ran.out);
        let one = home
            .run(&["protocol", "export", "--format", format, "--out", "-"])
            .await;
        assert_eq!(one.code, Some(0), "{}", one.err);
        assert!(one.out.as_bytes() == body, "{format} on standard output");

        let tag = header(&head, "etag").expect("a tag").to_owned();
        let again = format!("If-None-Match: {tag}\r\n");
        let (head, body) = ask(gateway.port, &format!("GET {path}"), &again).await;
        assert!(head.starts_with("HTTP/1.1 304 "), "{path}: {head}");
        assert!(body.is_empty());
        let (head, packed) = ask(
            gateway.port,
            &format!("GET {path}"),
            "Accept-Encoding: gzip\r\n",
        )
        .await;
        assert_eq!(header(&head, "content-encoding"), Some("gzip"), "{path}");
        assert!(packed.starts_with(&[0x1f, 0x8b]), "{path} is gzip");
        let (head, body) = ask(gateway.port, &format!("HEAD {path}"), "").await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{path}: {head}");
        assert!(body.is_empty());
    }
    // The path upgrades like any other.
    let token = std::fs::read_to_string(home.config()).expect("the configuration");
    let token: serde_json::Value = serde_json::from_str(&token).expect("JSON");
    let token = token["gateway"]["auth"]["token"].as_str().expect("a token");
    let url = format!("{}/protocol", gateway.url());
    let ran = home.run(&["health", "--url", &url, "--token", token]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.err);
}

#[tokio::test]
async fn the_command_explains_itself_and_its_mistakes() {
    let home = Home::new();
    let ran = home.run(&["protocol"]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    for (path, _, file, _) in DOCUMENTS {
        assert!(
            ran.out.contains(path) && ran.out.contains(file),
            "{}",
            ran.out
        );
    }
    let taken = home.path().join("taken");
    std::fs::write(&taken, "a file").expect("written");
    let taken = taken.to_str().expect("a plain path");
    for (arguments, code, word) in [
        (&["--out", "-"][..], 2, "--format"),
        (&["--format", "yaml"], 2, "yaml"),
        (&["--out", taken], 1, "cannot use"),
        // Nobody may make files there, root included.
        (&["--out", "/proc/openclaw"], 1, "/proc/openclaw"),
    ] {
        let mut all = vec!["protocol", "export"];
        all.extend_from_slice(arguments);
        let ran = home.run(&all).await;
        assert_eq!(ran.code, Some(code), "{arguments:?}: {}", ran.err);
        assert!(ran.err.contains(word), "{arguments:?}: {}", ran.err);
    }
    assert!(
        !Path::new("protocol.html").exists(),
        "a mistake writes nothing"
    );
}
