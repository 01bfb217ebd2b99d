//! Against a scripted server on a real socket.

use std::sync::Mutex as StdMutex;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// Serves one answer to everybody; what it was asked is kept.
async fn server(answer: String) -> (u16, Arc<StdMutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(StdMutex::new(Vec::new()));
    let heard = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = vec![0; 4096];
            let mut length = 0;
            while !request[..length].ends_with(b"\r\n\r\n") {
                match socket.read(&mut request[length..]).await {
                    Ok(read) if read > 0 => length += read,
                    _ => break,
                }
            }
            let text = String::from_utf8_lossy(&request[..length]).to_lowercase();
            heard.lock().unwrap().push(text);
            let _ = socket.write_all(answer.as_bytes()).await;
        }
    });
    (port, asked)
}

fn response(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
}

fn quotas(providers: Value) -> Quotas {
    let config = json!({"models": {"providers": providers}});
    Quotas::new(&serde_json::from_value(config).unwrap())
}

#[test]
fn only_providers_with_credentials_are_asked() {
    let at = |provider: &str, more: Value| {
        let mut configured = json!({"baseUrl": "http://127.0.0.1:1/v1"});
        configured
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        quotas(json!({ provider: configured })).asked.len()
    };
    for (provider, more, asked) in [
        ("anthropic", json!({"auth": "oauth", "apiKey": "k"}), 1),
        ("anthropic", json!({"auth": "token", "apiKey": "k"}), 1),
        ("anthropic", json!({"apiKey": "k"}), 0),
        ("anthropic", json!({"auth": "oauth"}), 0),
        ("anthropic", json!({"auth": "oauth", "apiKey": " "}), 0),
        ("openai-codex", json!({"auth": "oauth", "apiKey": "k"}), 1),
        ("zai", json!({"apiKey": "k"}), 1),
        ("other", json!({"auth": "oauth", "apiKey": "k"}), 0),
    ] {
        assert_eq!(at(provider, more.clone()), asked, "{provider} {more}");
    }
    let nowhere = json!({"zai": {"baseUrl": "nowhere", "apiKey": "k"}});
    assert_eq!(quotas(nowhere).asked.len(), 0);
}

#[tokio::test]
async fn a_provider_is_asked_once_in_a_while() {
    let body = r#"{"five_hour":{"utilization":24}}"#;
    let (port, asked) = server(response("200 OK", body)).await;
    let base = format!("http://127.0.0.1:{port}/v1");
    let quotas = quotas(json!({"anthropic": {"baseUrl": base, "auth": "oauth", "apiKey": "key"}}));
    let expected = json!({"updatedAt": 5, "providers": [{
        "provider": "anthropic", "displayName": "Claude", "windows": [{"label": "5h", "usedPercent": 24.0}]
    }]});
    let later = 5 + limits::USAGE_STATUS_CACHE_MS;
    for now in [5, later - 1] {
        assert_eq!(json!(*quotas.status(now).await), expected, "{now}");
    }
    let count = || asked.lock().unwrap().len();
    assert_eq!(count(), 1);
    assert_eq!(quotas.status(later).await.updated_at, later);
    assert_eq!(count(), 2);
    let request = asked.lock().unwrap()[0].clone();
    for line in [
        "get /api/oauth/usage http/1.1",
        "authorization: bearer key",
        "anthropic-beta: oauth-2025-04-20",
    ] {
        assert!(request.contains(line), "{line} in {request}");
    }
}

#[tokio::test]
async fn why_a_provider_did_not_tell() {
    let filled = |length: usize| {
        let head = r#"{"data":{"limits":[]},"x":""#;
        format!("{head}{}\"}}", "x".repeat(length - head.len() - 2))
    };
    for (answer, error) in [
        (response("200 OK", &filled(MAX_ANSWER)), None),
        (
            response("200 OK", &filled(MAX_ANSWER + 1)),
            Some("the answer is larger than 65536 bytes"),
        ),
        (response("401 Unauthorized", "{}"), Some("HTTP 401")),
        (response("302 Found", ""), Some("HTTP 302")),
        (
            response("200 OK", "<html>"),
            Some("the answer cannot be understood"),
        ),
    ] {
        let (port, _) = server(answer).await;
        let base = format!("http://127.0.0.1:{port}");
        let quotas = quotas(json!({"zai": {"baseUrl": base, "apiKey": "k"}}));
        let status = quotas.status(5).await;
        assert_eq!(status.providers[0].error.as_deref(), error);
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_says_nothing_is_given_up() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let quotas = quotas(json!({"zai": {"baseUrl": base, "apiKey": "k"}}));
    let status = quotas.status(5).await;
    assert_eq!(status.providers[0].error.as_deref(), Some("Timeout"));
}
