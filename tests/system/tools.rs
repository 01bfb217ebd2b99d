//! Tools of a running gateway: one is used over HTTP, one is that of an MCP server, whose program ends with the gateway.

use openclaw_tests::{Gateway, Home, PATIENCE};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// An MCP server that says what it is called with, never ends by itself, and holds a FIFO open as long as it lives.
const SERVER: &str = r#"
exec 3>life
sleep 1000 &
reply() { printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$id" "$1"; }
while read -r line; do
  id=${line#*\"id\":}; id=${id%%[,\}]*}
  case $line in
    *'"method":"initialize"'*)
      reply '{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"s","version":"1"}}';;
    *'"method":"tools/list"'*) reply '{"tools":[{"name":"look","inputSchema":{"type":"object"}}]}';;
    *'"method":"tools/call"'*) reply '{"content":[{"type":"text","text":"seen"}]}';;
  esac
done
sleep 1000
"#;

/// Uses a tool: the status of the answer, and its body.
async fn invoke(port: u16, body: &Value) -> (u16, Value) {
    let body = body.to_string();
    let request = format!(
        "POST /tools/invoke HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer tok\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let exchange = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port))
            .await
            .expect("a connection");
        let sent = stream.write_all(request.as_bytes()).await;
        sent.expect("the request is taken");
        let mut answer = String::new();
        let read = stream.read_to_string(&mut answer).await;
        read.expect("an answer");
        answer
    };
    let answer = timeout(PATIENCE, exchange)
        .await
        .expect("an answer in time");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let code = head[9..12].parse().expect("a status");
    (code, serde_json::from_str(body).expect("JSON"))
}

#[tokio::test]
async fn tools_over_http_and_of_servers() {
    let home = Home::new();
    let life = home.path().join("life");
    rustix::fs::mkfifoat(rustix::fs::CWD, &life, rustix::fs::Mode::RWXU).expect("a FIFO");
    let living = tokio::task::spawn_blocking(move || std::fs::read(life));
    let config = json!({
        "gateway": {"mode": "local", "auth": {"token": "tok"}},
        "mcp": {"servers": {"hub": {"command": "sh", "args": ["-c", SERVER]}}},
    });
    home.write_config(&config.to_string());
    let mut gateway = Gateway::start(&home, &[]).await;
    let job = json!({"name": "tea", "schedule": {"kind": "every", "everyMs": 3_600_000},
        "payload": {"kind": "systemEvent", "text": "make tea"}});
    let (code, added) = invoke(
        gateway.port,
        &json!({"tool": "cron", "action": "add", "args": {"job": job}}),
    )
    .await;
    assert_eq!(
        (code, &added["result"]["details"]["name"]),
        (200, &json!("tea")),
        "{added}"
    );
    let (code, nodes) = invoke(gateway.port, &json!({"tool": "nodes", "action": "list"})).await;
    assert_eq!(
        (code, &nodes["result"]["details"]),
        (200, &json!([])),
        "{nodes}"
    );
    let (code, seen) = invoke(gateway.port, &json!({"tool": "mcp__hub__look"})).await;
    let text = json!([{"type": "text", "text": "seen"}]);
    assert_eq!((code, &seen["result"]["content"]), (200, &text), "{seen}");
    let (code, refused) = invoke(
        gateway.port,
        &json!({"tool": "exec", "args": {"command": "true"}}),
    )
    .await;
    assert_eq!(
        (code, &refused["error"]["type"]),
        (404, &json!("not_found")),
        "{refused}"
    );
    gateway.signal(Signal::TERM);
    let ended = timeout(PATIENCE, living)
        .await
        .expect("it ends with the gateway");
    assert_eq!(ended.expect("no panic").expect("the FIFO is read"), b"");
    assert!(gateway.ended().await.success());
}
