//! `exec`: a shell command in the workspace, in a process group of its own that never outlives the call.

use std::collections::VecDeque;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::FusedFuture;
use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::time::Instant;

use super::gate::{ExecDecision, ExecRequest, SessionExec};
use super::{MAX_OUTPUT, Output, Progress, Toolbox, arguments};
use crate::child::{Group, plain_variables};
use crate::paths::Environment;

/// Least time between two reports of what a command has printed so far.
const REPORT_SPACING: Duration = Duration::from_millis(500);
/// How long output is read after the command itself has ended: what it left behind may hold the pipe open for ever.
const LAST_WORDS: Duration = Duration::from_millis(200);

#[derive(Deserialize)]
struct Exec {
    command: String,
    /// Seconds.
    #[serde(default)]
    timeout: Option<u64>,
}

impl Toolbox {
    /// What the conversation says of commands.
    pub(super) fn session_exec(&self) -> Result<SessionExec, Output> {
        let entry = self.runs.parts().sessions.entry(&self.session);
        match entry {
            Ok(entry) => Ok(entry.as_ref().map(SessionExec::of).unwrap_or_default()),
            Err(error) => {
                tracing::error!(%error, "a command's conversation cannot be read");
                Err(Output::bad(
                    "The command is not run: its conversation cannot be read.",
                ))
            }
        }
    }
}

/// Runs a command if the gate lets it.
pub(super) async fn call(tools: &Toolbox, arguments: &Value, progress: Progress<'_>) -> Output {
    let Exec { command, timeout } = match arguments::read(arguments) {
        Ok(exec) => exec,
        Err(output) => return output,
    };
    let parts = tools.runs.parts();
    let cwd = match tools.workspace.make() {
        Ok(cwd) => cwd,
        Err(error) => return Output::bad(format!("The workspace cannot be used: {error}.")),
    };
    let session = match tools.session_exec() {
        Ok(session) => session,
        Err(output) => return output,
    };
    let request = ExecRequest {
        agent: tools.session.agent().to_owned(),
        session_key: tools.session.canonical().to_owned(),
        command: command.clone(),
        cwd: cwd.to_owned(),
        session,
    };
    if let ExecDecision::Refuse(why) = parts.exec.decide(request).await {
        return Output::bad(why);
    }
    let longest = parts.config.tools.exec.timeout_sec.get();
    let seconds = timeout.map_or(longest, |asked| asked.clamp(1, longest));
    let time_up = async move {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        seconds
    };
    run(&command, cwd, &parts.environment, time_up, progress).await
}

/// Runs `command` until it ends or `time_up` says after how many seconds it is enough.
async fn run(
    command: &str,
    cwd: &Path,
    environment: &Environment,
    time_up: impl Future<Output = u64>,
    progress: Progress<'_>,
) -> Output {
    let child = Command::new("/bin/sh")
        .arg("-c")
        .arg(command)
        .current_dir(cwd)
        .env_clear()
        .envs(plain_variables(environment))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => return Output::bad(format!("The command could not be started: {error}.")),
    };
    let group = Group::of(&child);
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Output::bad("The command's output cannot be read.");
    };
    let mut printed = Printed::default();
    let ended = {
        let reading = read(stdout, stderr, &mut printed, progress).fuse();
        tokio::pin!(reading, time_up);
        let ended = loop {
            tokio::select! {
                ended = child.wait() => break Ok(ended),
                () = &mut reading, if !reading.is_terminated() => {}
                seconds = &mut time_up => break Err(seconds),
            }
        };
        if ended.is_ok() && !reading.is_terminated() {
            // The pipe may hold more than was read yet.
            let _ = tokio::time::timeout(LAST_WORDS, reading).await;
        }
        ended
    };
    // Whatever the command left behind ends here, and the command itself if its time is up.
    drop(group);
    match ended {
        Ok(Ok(status)) => finished(&printed, status),
        Ok(Err(error)) => Output::bad(format!("The command's end could not be seen: {error}.")),
        Err(seconds) => Output::bad(printed.told(&format!("[ended after {seconds} s]"))),
    }
}

fn finished(printed: &Printed, status: ExitStatus) -> Output {
    if status.success() {
        return Output::good(printed.told(""));
    }
    let note = match status.code() {
        Some(code) => format!("[exit code {code}]"),
        None => format!("[{status}]"),
    };
    Output::bad(printed.told(&note))
}

/// Reads both streams to their ends, in the order in which they come.
async fn read(
    mut stdout: impl AsyncRead + Unpin,
    mut stderr: impl AsyncRead + Unpin,
    printed: &mut Printed,
    progress: Progress<'_>,
) {
    let (mut out, mut err) = ([0; 8 * 1024], [0; 8 * 1024]);
    let (mut out_open, mut err_open) = (true, true);
    let mut reported = Instant::now();
    while out_open || err_open {
        let (bytes, open) = tokio::select! {
            count = stdout.read(&mut out), if out_open => (&out[..count.unwrap_or(0)], &mut out_open),
            count = stderr.read(&mut err), if err_open => (&err[..count.unwrap_or(0)], &mut err_open),
        };
        *open = !bytes.is_empty();
        printed.add(bytes);
        if !bytes.is_empty() && reported.elapsed() >= REPORT_SPACING {
            reported = Instant::now();
            progress(&printed.told(""));
        }
    }
}

/// The end of what was printed, in as much memory as is told.
#[derive(Debug, Default)]
struct Printed {
    kept: VecDeque<u8>,
    dropped: u64,
}

impl Printed {
    fn add(&mut self, bytes: &[u8]) {
        self.kept.extend(bytes);
        let surplus = self.kept.len().saturating_sub(MAX_OUTPUT);
        self.kept.drain(..surplus);
        self.dropped += surplus as u64;
    }

    /// What the model is told: how much is missing, the text, a note on how it ended.
    fn told(&self, note: &str) -> String {
        let (front, back) = self.kept.as_slices();
        let text = String::from_utf8_lossy(&[front, back].concat()).into_owned();
        let mut told = String::new();
        if self.dropped > 0 {
            told.push_str(&format!(
                "[{} bytes before this are left out]\n",
                self.dropped
            ));
        }
        told.push_str(&text);
        if !note.is_empty() {
            if !told.is_empty() && !told.ends_with('\n') {
                told.push('\n');
            }
            told.push_str(note);
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use tokio::io::AsyncWriteExt;

    fn environment() -> Environment {
        let path = std::env::var("PATH").unwrap();
        Environment::new(
            "/",
            [
                ("PATH", path),
                ("OPENCLAW_GATEWAY_TOKEN", "secret".to_owned()),
            ],
        )
    }

    async fn sh(command: &str) -> Output {
        let dir = tempfile::tempdir().unwrap();
        let never = std::future::pending();
        run(command, dir.path(), &environment(), never, &|_| {}).await
    }

    #[tokio::test]
    async fn what_commands_bring() {
        for (command, told) in [
            ("echo hi", Output::good("hi\n")),
            ("true", Output::good("")),
            ("printf bad >&2; exit 3", Output::bad("bad\n[exit code 3]")),
            (
                "echo ${OPENCLAW_GATEWAY_TOKEN-none}",
                Output::good("none\n"),
            ),
            ("cat", Output::good("")),
            ("kill -9 $$", Output::bad("[signal: 9 (SIGKILL)]")),
            ("printf '\\377'", Output::good("\u{fffd}")),
        ] {
            assert_eq!(sh(command).await, told, "{command}");
        }
    }

    #[tokio::test]
    async fn output_is_bounded_at_its_start() {
        let exact = sh(&format!("head -c {MAX_OUTPUT} /dev/zero | tr '\\0' x")).await;
        assert_eq!(exact, Output::good("x".repeat(MAX_OUTPUT)));
        let more = sh(&format!(
            "echo first; head -c {MAX_OUTPUT} /dev/zero | tr '\\0' x"
        ))
        .await;
        let told = format!(
            "[6 bytes before this are left out]\n{}",
            "x".repeat(MAX_OUTPUT)
        );
        assert_eq!(more, Output::good(told));
    }

    /// Runs a command whose grandchild holds a FIFO open; that the reader of it comes to an end proves that it is dead. Another
    /// FIFO tells when it lives.
    async fn dies(drop_it: bool) {
        let dir = tempfile::tempdir().unwrap();
        let fifo = |name: &str| {
            let path = dir.path().join(name);
            rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RWXU).unwrap();
            tokio::task::spawn_blocking(move || std::fs::read(path).unwrap())
        };
        let (life, ready) = (fifo("life"), fifo("ready"));
        let command = "(exec 3>life; echo up >ready; exec sleep 1000) & echo started; exec 1>&- 2>&-; sleep 1000";
        let environment = environment();
        let (up, lives) = tokio::sync::oneshot::channel();
        tokio::spawn(async move { up.send(ready.await.unwrap()) });
        if drop_it {
            let never = std::future::pending();
            let work = run(command, dir.path(), &environment, never, &|_| {});
            tokio::select! {
                output = work => panic!("{output:?}"),
                up = lives => assert_eq!(up.unwrap(), b"up\n"),
            }
        } else {
            let time_up = async { lives.await.map_or(0, |_| 7) };
            let output = run(command, dir.path(), &environment, time_up, &|_| {}).await;
            assert!(
                output.is_error && output.text.ends_with("[ended after 7 s]"),
                "{output:?}"
            );
        }
        assert_eq!(life.await.unwrap(), b"");
    }

    #[tokio::test]
    async fn nothing_outlives_its_time_or_its_call() {
        dies(false).await;
        dies(true).await;
    }

    #[tokio::test]
    async fn what_a_command_leaves_behind_ends_with_it() {
        let started = std::time::Instant::now();
        let output = sh("sleep 1000 & echo done").await;
        assert_eq!(output, Output::good("done\n"));
        assert!(started.elapsed() < Duration::from_secs(60));
    }

    #[tokio::test(start_paused = true)]
    async fn reports_come_with_pauses() {
        let (mut ours, stdout) = tokio::io::duplex(64);
        let reports = Mutex::new(Vec::new());
        let report = |text: &str| reports.lock().unwrap().push(text.to_owned());
        let mut printed = Printed::default();
        let writing = async {
            for text in ["a", "b", "c"] {
                tokio::time::sleep(REPORT_SPACING * 2 / 3).await;
                ours.write_all(text.as_bytes()).await.unwrap();
            }
            drop(ours);
        };
        let reading = read(stdout, tokio::io::empty(), &mut printed, &report);
        tokio::join!(writing, reading);
        assert_eq!(*reports.lock().unwrap(), ["ab"]);
        assert_eq!(printed.told(""), "abc");
    }
}
