//! The official client library against the OpenAI interfaces: `openai` from PyPI, in an environment of its own that is
//! kept between runs. Where Python or the package cannot be had, the test says so and passes.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use openclaw_tests::{Gateway, Home};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::timeout;

/// Version of the package; what the interfaces are compared with.
const PACKAGE: &str = "openai==3.57.0";

/// How long the package may take to come, and a script to run: it loads hundreds of modules.
const SLOW: Duration = Duration::from_secs(240);

const SCRIPT: &str = r#"
import json, sys
from openai import OpenAI, APIError, AuthenticationError, BadRequestError, InternalServerError

url, token = sys.argv[1:]
client = OpenAI(base_url=url, api_key=token)
ask = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello there"}]
out = {}

done = client.chat.completions.create(model="openclaw", messages=ask)
out["chat"] = [done.object, done.choices[0].message.content, done.choices[0].finish_reason, done.usage.total_tokens]

stream = client.chat.completions.create(model="openclaw", messages=ask, stream=True, stream_options={"include_usage": True})
chunks = list(stream)
said = [c for c in chunks if c.choices]
out["chat_stream"] = [
    said[0].choices[0].delta.role,
    "".join(c.choices[0].delta.content or "" for c in said),
    said[-1].choices[0].finish_reason,
    chunks[-1].usage.total_tokens,
]

done = client.responses.create(model="openclaw", input="hello there")
out["response"] = [done.status, done.output_text]

events = list(client.responses.create(model="openclaw", input="hello there", stream=True))
out["response_stream"] = [events[0].type, events[-1].type, events[-1].response.output_text]

with client.responses.stream(model="openclaw", input="hello there") as stream:
    for event in stream:
        pass
    out["response_helper"] = stream.get_final_response().output_text

def kind(call):
    try:
        call()
    except APIError as error:
        return [type(error).__name__, error.message]
    return None

stranger = OpenAI(base_url=url, api_key="wrong")
out["stranger"] = kind(lambda: stranger.chat.completions.create(model="openclaw", messages=ask))[0]
out["nobody"] = kind(lambda: client.chat.completions.create(model="openclaw", messages=[]))[0]
out["broken"] = kind(lambda: client.chat.completions.create(model="agent:broken", messages=ask))[0]
out["broken_stream"] = kind(lambda: list(client.chat.completions.create(model="agent:broken", messages=ask, stream=True)))[0]
out["broken_response"] = kind(lambda: client.responses.create(model="agent:broken", input="x"))[0]
failed = list(client.responses.create(model="agent:broken", input="x", stream=True))[-1]
out["broken_response_stream"] = [failed.type, failed.response.error.code]
print(json.dumps(out))
"#;

/// The Python of an environment with the package; none when it cannot be had.
async fn python() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(PACKAGE);
    let python = folder.join("bin/python");
    let ready = folder.join("ready");
    if ready.exists() {
        return Some(python);
    }
    let folder = folder.to_str()?;
    let program = python.to_str()?;
    for command in [
        &["python3", "-m", "venv", "--clear", folder][..],
        &[
            program,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            PACKAGE,
        ],
    ] {
        let mut child = Command::new(command[0]);
        child
            .args(&command[1..])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true);
        match timeout(SLOW, child.status()).await {
            Ok(Ok(status)) if status.success() => {}
            _ => return None,
        }
    }
    std::fs::write(ready, "").ok()?;
    Some(python)
}

#[tokio::test]
#[allow(clippy::print_stderr)] // whoever reads the log has to know what was not tested
async fn the_official_python_client() {
    let Some(python) = python().await else {
        eprintln!("skipped: {PACKAGE} cannot be installed here (python3 with venv, and PyPI)");
        return;
    };
    let home = Home::new();
    let config = json!({
        "gateway": {"mode": "local", "auth": {"token": "tok"}, "http": {"endpoints": {
            "chatCompletions": {"enabled": true}, "responses": {"enabled": true}}}},
        "models": {"providers": {"mock": {"baseUrl": "http://127.0.0.1:9/v1", "models": [{"id": "m"}]}}},
        "agents": {"list": [{"id": "main"}, {"id": "broken", "model": "mock/m"}]},
    });
    home.write_config(&config.to_string());
    let gateway = Gateway::start(&home, &[]).await;
    let url = format!("http://127.0.0.1:{}/v1", gateway.port);
    let mut script = Command::new(python);
    script
        .args(["-c", SCRIPT, &url, "tok"])
        .env_clear()
        .env("HOME", home.path())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = timeout(SLOW, script.output())
        .await
        .expect("the script ends")
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(
        found,
        json!({
            "chat": ["chat.completion", "echo: hello there", "stop", 0],
            "chat_stream": ["assistant", "echo: hello there", "stop", 0],
            "response": ["completed", "echo: hello there"],
            "response_stream": ["response.created", "response.completed", "echo: hello there"],
            "response_helper": "echo: hello there",
            "stranger": "AuthenticationError",
            "nobody": "BadRequestError",
            "broken": "InternalServerError",
            "broken_stream": "APIError",
            "broken_response": "InternalServerError",
            "broken_response_stream": ["response.failed", "api_error"],
        })
    );
}
