//! The requests of a script.

use openclaw_client::{CallError, Client};
use openclaw_tests::PATIENCE;
use serde_json::{Value, json};

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Chat,
    Agent,
    Send,
    Note,
}

/// A request of the script.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) kind: Kind,
    pub(super) session: String,
    /// Idempotency key; the id of a run.
    pub(super) key: String,
    /// Words that no other request has.
    pub(super) words: String,
    pub(super) uses_tool: bool,
    pub(super) acknowledged: bool,
}

impl Asked {
    /// Method and params.
    pub(super) fn request(&self) -> (&'static str, Value) {
        let Asked {
            session,
            key,
            words,
            ..
        } = self;
        let call = || {
            let arguments = json!({"command": format!("echo '{words}' >> ran")});
            format!("{words} [call exec {arguments}]")
        };
        let message = if self.uses_tool {
            call()
        } else {
            words.clone()
        };
        match self.kind {
            Kind::Chat => (
                "chat.send",
                json!({"sessionKey": session, "message": message, "idempotencyKey": key}),
            ),
            Kind::Agent => (
                "agent",
                json!({"sessionKey": session, "message": message, "idempotencyKey": key}),
            ),
            Kind::Send => (
                "send",
                json!({"to": session, "channel": "webchat", "message": message, "idempotencyKey": key}),
            ),
            Kind::Note => ("wake", json!({"text": message, "mode": "next-heartbeat"})),
        }
    }

    pub(super) fn is_run(&self) -> bool {
        matches!(self.kind, Kind::Chat | Kind::Agent)
    }
}

/// The payload of the first response.
pub(super) async fn call(
    client: &Client,
    method: &str,
    params: &Value,
) -> Result<Value, CallError> {
    let answer = client.request(method, params).await?;
    Ok(serde_json::from_str(answer.get()).expect("JSON"))
}

/// The end of a run.
pub(super) async fn wait(client: &Client, run: &str) -> Value {
    let timeout = u64::try_from(PATIENCE.as_millis()).expect("seconds");
    let params = json!({"runId": run, "timeoutMs": timeout});
    let ended = client
        .with_call_timeout(PATIENCE * 2)
        .request("agent.wait", &params)
        .await;
    serde_json::from_str(ended.expect("an answer").get()).expect("JSON")
}

pub(super) async fn history(client: &Client, session: &str) -> Vec<Value> {
    let params = json!({"sessionKey": session, "limit": 200});
    let history = call(client, "chat.history", &params)
        .await
        .expect("a history");
    history["messages"].as_array().cloned().expect("messages")
}
