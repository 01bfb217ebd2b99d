//! A gateway that is killed while a tool is at work: the run has ended as an error, the conversation says what is missing in
//! a form that the providers take, and goes on.

use std::path::Path;
use std::time::Duration;

use openclaw_client::Client;
use openclaw_tests::model::{Dialect, Model};
use openclaw_tests::{Gateway, Home, PATIENCE};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::remote::operator;

/// Before each piece of the model's answers: long enough that no run ends between the mark and the kill.
const PACE: Duration = Duration::from_millis(150);
/// Between two looks whether the tool is at work.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

async fn call(client: &Client, method: &str, params: Value) -> Result<Value, String> {
    let answer = client.request(method, &params).await;
    let answer = answer.map_err(|error| error.to_string())?;
    Ok(serde_json::from_str(answer.get()).expect("JSON"))
}

async fn exists(path: &Path) {
    let looking = async {
        while !path.exists() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    let found = tokio::time::timeout(PATIENCE, looking).await;
    found.unwrap_or_else(|_| panic!("no {}", path.display()));
}

/// Kills the gateway while `tool` is at work, as seen by `mark`, and has a second turn after the restart. Returns the texts
/// of the results that the transcript has of the tool.
async fn check(dialect: Dialect, tool: &str, arguments: &Value, mark: &str) -> Vec<String> {
    let model = Model::start(PACE).await;
    let home = Home::new();
    let workspace = home.path().join("work");
    let config = json!({
        "gateway": {"mode": "local", "auth": {"token": "tok"}},
        "models": model.config(dialect),
        "agents": {"defaults": {"model": "mock/m", "workspace": workspace}},
        "tools": {"exec": {"security": "full", "ask": "off"}},
    });
    home.write_config(&config.to_string());
    let mut gateway = Gateway::start(&home, &[]).await;
    let client = Client::connect(operator(gateway.port, "tok"))
        .await
        .expect("an operator");
    let message = format!("go [call {tool} {arguments}]");
    let params = json!({"sessionKey": "main", "message": message, "idempotencyKey": "cut"});
    call(&client, "chat.send", params.clone())
        .await
        .expect("accepted");
    exists(&workspace.join(mark)).await;
    gateway.signal(Signal::KILL);
    gateway.ended().await;
    let calls = model.asked("go ");
    if tool == "exec" {
        let pid = std::fs::read_to_string(workspace.join(mark)).expect("the mark");
        let pid = Pid::from_raw(pid.trim().parse().expect("a number")).expect("a process");
        // What a killed gateway was running runs on.
        let _ = kill_process(pid, Signal::KILL);
    }

    let gateway = Gateway::start(&home, &[]).await;
    let client = Client::connect(operator(gateway.port, "tok"))
        .await
        .expect("an operator");
    let why = "gateway restarted during the run";
    let ended = call(
        &client,
        "agent.wait",
        json!({"runId": "cut", "timeoutMs": 0}),
    )
    .await
    .expect("an answer");
    assert_eq!(
        (&ended["status"], &ended["error"]),
        (&json!("error"), &json!(why))
    );
    let again = call(&client, "chat.send", params).await;
    assert!(
        again.as_ref().is_err_and(|error| error.contains(why)),
        "{again:?}"
    );
    let next = json!({"sessionKey": "main", "message": "and now?", "idempotencyKey": "next"});
    call(&client, "chat.send", next).await.expect("accepted");
    let ended = call(
        &client,
        "agent.wait",
        json!({"runId": "next", "timeoutMs": 20_000}),
    )
    .await
    .expect("an answer");
    assert_eq!(ended["status"], "ok", "{ended} {:?}", model.violations());
    assert_eq!(model.violations(), Vec::<String>::new());
    assert_eq!(
        (model.asked("go "), model.asked("and now?")),
        (calls, 1),
        "nothing is repeated"
    );

    let history = call(&client, "chat.history", json!({"sessionKey": "main"}))
        .await
        .expect("a history");
    let messages = history["messages"].as_array().expect("messages").clone();
    let shown = |message: &Value| {
        let role = message["role"].as_str().expect("a role").to_owned();
        let reason = message["stopReason"]
            .as_str()
            .map(|reason| format!(" {reason}"));
        role + &reason.unwrap_or_default()
    };
    let shown: Vec<String> = messages.iter().map(shown).collect();
    let expected = [
        "user",
        "assistant toolUse",
        "toolResult",
        "assistant error",
        "user",
        "assistant stop",
    ];
    assert_eq!(shown, expected, "{messages:#?}");
    assert_eq!(messages[3]["errorMessage"], why);
    let results = messages
        .iter()
        .filter(|message| message["role"] == "toolResult");
    results
        .map(|result| {
            result["content"][0]["text"]
                .as_str()
                .expect("a text")
                .to_owned()
        })
        .collect()
}

#[tokio::test]
async fn a_command_that_was_running() {
    for dialect in [Dialect::OpenAi, Dialect::Anthropic] {
        // Writes its number into the mark as a whole.
        let command = "echo $$ > .mark && mv .mark mark && exec sleep 30";
        let results = check(dialect, "exec", &json!({"command": command}), "mark").await;
        assert!(
            results[0].starts_with("There is no result: the gateway was stopped"),
            "{dialect:?}: {results:?}"
        );
    }
}

#[tokio::test]
async fn a_file_that_was_being_written() {
    for dialect in [Dialect::OpenAi, Dialect::Anthropic] {
        let results = check(
            dialect,
            "write",
            &json!({"path": "mark", "content": "words"}),
            "mark",
        )
        .await;
        // The file is there as a whole, whether or not its result was written in time.
        let result = &results[0];
        assert!(
            result.starts_with("There is no result: the gateway was stopped")
                || result.starts_with("Wrote 5 bytes"),
            "{dialect:?}: {result}"
        );
    }
}
