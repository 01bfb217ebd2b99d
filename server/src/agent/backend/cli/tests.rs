//! The backend with small shell scripts in place of the programs.

use futures_util::FutureExt;

use super::*;
use crate::agent::backend::StopReason;

fn program(script: &str, more: serde_json::Value) -> Program {
    let mut configured = serde_json::json!({"command": "/bin/sh", "args": ["-c", script]});
    configured
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let configured: CliBackend = serde_json::from_value(configured).unwrap();
    Program::of("scripted", Some(&configured)).unwrap()
}

fn model(program: Program, dir: &Path) -> CliModel {
    let path = std::env::var("PATH").unwrap();
    let variables = [
        ("PATH", path.as_str()),
        ("OPENCLAW_GATEWAY_TOKEN", "secret"),
        ("KEY", "k"),
        ("KEPT", "yes"),
    ];
    let environment = Arc::new(Environment::new("/", variables));
    CliModel::new(
        "scripted",
        program,
        environment,
        &dir.join("workspace"),
        Arc::default(),
    )
}

fn request(words: &[&str]) -> ModelRequest {
    let turn = |(index, text): (usize, &&str)| {
        let text = (*text).to_owned();
        if index % 2 == 0 {
            Turn::User {
                text,
                images: vec![],
            }
        } else {
            Turn::Assistant {
                text,
                calls: vec![],
                thoughts: vec![],
            }
        }
    };
    ModelRequest {
        model: "m".into(),
        system: "Be kind.".into(),
        turns: words.iter().enumerate().map(turn).collect(),
        thinking: None,
        tools: Vec::new().into(),
        max_tokens: None,
    }
}

/// Text and end of a reply.
async fn reply(mut stream: ReplyStream) -> Result<String, String> {
    let mut text = String::new();
    while let Some(chunk) = stream.next().await {
        match chunk {
            Ok(Chunk::Delta(delta)) => text.push_str(&delta),
            Ok(Chunk::Done(StopReason::Stop)) => return Ok(text),
            Ok(other) => panic!("{other:?}"),
            Err(error) => return Err(error.to_string()),
        }
    }
    Err("no end".to_owned())
}

async fn check(script: &str, more: serde_json::Value, expected: Result<&str, &str>) {
    let dir = tempfile::tempdir().unwrap();
    let model = model(program(script, more), dir.path());
    let told = reply(model.stream(request(&["hi"]))).await;
    assert_eq!(
        told,
        expected.map(str::to_owned).map_err(str::to_owned),
        "{script}"
    );
}

#[tokio::test]
async fn programs_are_told_and_answer() {
    let none = || serde_json::json!({});
    check("cat", none(), Ok("Be kind.\n\nhi")).await;
    check("basename $PWD", none(), Ok("workspace\n")).await;
    check(
        "echo $0 $1",
        serde_json::json!({"modelArg": "--model"}),
        Ok("--model m\n"),
    )
    .await;
    check(
        "echo \"$0\"",
        serde_json::json!({"input": "arg"}),
        Ok("Be kind.\n\nhi\n"),
    )
    .await;
    check(
        "echo ${OPENCLAW_GATEWAY_TOKEN-none} ${KEY-none} $KEPT $MORE",
        serde_json::json!({"clearEnv": ["KEY"], "env": {"MORE": "more"}}),
        Ok("none none yes more\n"),
    )
    .await;
    check("exit 0", none(), Ok("")).await;
    check(
        "echo half; echo why >&2; echo no login >&2; exit 3",
        none(),
        Err("model error: the program ended with exit status: 3: no login"),
    )
    .await;
    check(
        "exec 2>&-; kill -9 $$",
        none(),
        Err("model error: the program ended with signal: 9 (SIGKILL)"),
    )
    .await;
    check(
        "echo '{\"type\":\"result\",\"result\":\"yes\"}'; sleep 1000",
        serde_json::json!({"output": "jsonl"}),
        Ok("yes"),
    )
    .await;
}

#[tokio::test]
async fn a_program_that_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let configured =
        serde_json::from_value(serde_json::json!({"command": "/no/such/program"})).unwrap();
    let model = model(Program::of("x", Some(&configured)).unwrap(), dir.path());
    let told = reply(model.stream(request(&["hi"]))).await.unwrap_err();
    assert!(
        told.starts_with("model provider \"scripted\" could not be reached: "),
        "{told}"
    );
}

#[tokio::test(start_paused = true)]
async fn silence_ends_and_so_does_the_program() {
    let dir = tempfile::tempdir().unwrap();
    let alive = dir.path().join("alive");
    rustix::fs::mkfifoat(rustix::fs::CWD, &alive, rustix::fs::Mode::RWXU).unwrap();
    // As long as this is under way tokio's clock stands still.
    let alive = tokio::task::spawn_blocking(move || std::fs::read(alive).unwrap());
    let script = "(exec 3>../alive; echo up; exec sleep 1000)";
    let model = model(program(script, serde_json::json!({})), dir.path());
    let mut stream = model.stream(request(&["hi"]));
    assert_eq!(stream.next().await, Some(Ok(Chunk::Delta("up\n".into()))));
    let next = stream.next();
    tokio::pin!(next);
    assert!(next.as_mut().now_or_never().is_none());
    tokio::time::advance(SILENCE).await;
    let stalled = BackendError::Stalled {
        seconds: SILENCE.as_secs(),
    };
    assert_eq!(next.await, Some(Err(stalled)));
    drop(stream);
    assert_eq!(alive.await.unwrap(), b"");
}

#[tokio::test]
async fn one_call_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let model = model(program("cat", serde_json::json!({})), dir.path());
    let held = Arc::clone(&model.turn).lock_owned().await;
    let mut second = model.stream(request(&["hi"]));
    assert!(second.next().now_or_never().is_none());
    drop(held);
    assert_eq!(reply(second).await, Ok("Be kind.\n\nhi".to_owned()));
}

#[tokio::test]
async fn output_is_bounded() {
    let line = format!("head -c {} /dev/zero | tr '\\0' x", MAX_LINE + 1);
    let too_large = format!("model reply is larger than {MAX_LINE} bytes");
    check(&line, serde_json::json!({}), Err(&too_large)).await;
    let exact = format!("head -c {} /dev/zero | tr '\\0' x", MAX_LINE);
    check(&exact, serde_json::json!({}), Ok(&"x".repeat(MAX_LINE))).await;
}

#[test]
fn conversations_are_told_whole() {
    let told = "Be kind.\n\nThe conversation so far:\n\nUser: one\n\nAssistant: two\n\nThe user says now:\n\nthree";
    assert_eq!(prompt(&request(&["one", "two", "three"])), told);
    assert_eq!(prompt(&request(&[])), "Be kind.");
}

#[test]
fn built_in_programs_can_be_changed_in_part() {
    let claude = Program::of("claude-cli", None).unwrap();
    assert_eq!(
        (claude.command.as_str(), claude.output),
        ("claude", CliOutput::Jsonl)
    );
    let configured = serde_json::from_value(serde_json::json!({"command": "/opt/claude"})).unwrap();
    let changed = Program::of("claude-cli", Some(&configured)).unwrap();
    assert_eq!(
        (changed.command.as_str(), &changed.args),
        ("/opt/claude", &claude.args)
    );
    assert_eq!(Program::of("codex-cli", None).unwrap().args[0], "exec");
    assert_eq!(Program::of("other", None), None);
    assert_eq!(Program::of("other", Some(&CliBackend::default())), None);
}
