//! One program, run in a process group of its own: its output up to a limit, its time up to another.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::time::timeout;

use crate::child::Group;

/// Time between the request to end and the kill.
const KILL_GRACE: Duration = Duration::from_secs(2);

/// How long the output of a program that has ended is read on: what it left in the background may hold the pipe open.
const DRAIN: Duration = Duration::from_secs(1);

/// Bytes read at a time.
const CHUNK: usize = 8 * 1024;

/// What is to be run.
#[derive(Debug, Clone)]
pub(super) struct Spec {
    /// The file.
    pub(super) program: PathBuf,
    /// What it is told to be called, and its arguments.
    pub(super) argv: Vec<String>,
    /// Directory.
    pub(super) cwd: PathBuf,
    /// All of its variables.
    pub(super) variables: BTreeMap<String, String>,
    /// Its time.
    pub(super) time: Duration,
    /// Bytes of output that are kept, both streams together.
    pub(super) output_bytes: usize,
}

/// How it ended.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Ended {
    /// Its exit code; none when it was killed or did not begin.
    pub(super) exit_code: Option<i64>,
    /// Whether its time was over.
    pub(super) timed_out: bool,
    /// What it printed.
    pub(super) stdout: String,
    /// What it complained of.
    pub(super) stderr: String,
    /// Whether there was more.
    pub(super) is_cut: bool,
    /// Why it did not begin.
    pub(super) error: Option<String>,
}

/// Runs it to its end. Dropping the future kills the whole group.
pub(super) async fn run(spec: &Spec) -> Ended {
    let mut command = Command::new(&spec.program);
    if let Some((name, arguments)) = spec.argv.split_first() {
        command.arg0(name).args(arguments);
    }
    command
        .current_dir(&spec.cwd)
        .env_clear()
        .envs(&spec.variables)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            return Ended {
                error: Some(format!("cannot run {}: {error}", spec.program.display())),
                ..Ended::default()
            };
        }
    };
    let mut group = Group::of(&child);
    let output = Output::new(spec.output_bytes);
    let mut readers = tokio::task::JoinSet::new();
    if let Some(stream) = child.stdout.take() {
        readers.spawn(collect(stream, output.clone(), |kept| &mut kept.stdout));
    }
    if let Some(stream) = child.stderr.take() {
        readers.spawn(collect(stream, output.clone(), |kept| &mut kept.stderr));
    }
    let (status, timed_out) = match timeout(spec.time, child.wait()).await {
        Ok(status) => (status, false),
        Err(_) => (group.end(&mut child, KILL_GRACE).await, true),
    };
    group.release();
    // Readers that are not done by then are dropped with the set.
    let _ = timeout(DRAIN, async {
        while readers.join_next().await.is_some() {}
    })
    .await;
    let kept = std::mem::take(&mut *output.kept());
    Ended {
        exit_code: status
            .as_ref()
            .ok()
            .filter(|_| !timed_out)
            .and_then(|status| status.code())
            .map(i64::from),
        timed_out,
        stdout: text(kept.stdout),
        stderr: text(kept.stderr),
        is_cut: kept.is_cut,
        error: status.err().map(|error| error.to_string()),
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// What was kept of both streams.
#[derive(Clone)]
struct Output {
    kept: Arc<Mutex<Kept>>,
    limit: usize,
}

#[derive(Default)]
struct Kept {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    is_cut: bool,
}

impl Output {
    fn new(limit: usize) -> Self {
        Self {
            kept: Arc::default(),
            limit,
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a stream to its end, also what is not kept: a program must not wait for us.
async fn collect(
    mut stream: impl AsyncRead + Unpin,
    output: Output,
    of: fn(&mut Kept) -> &mut Vec<u8>,
) {
    let mut chunk = [0; CHUNK];
    while let Ok(read @ 1..) = stream.read(&mut chunk).await {
        let mut kept = output.kept();
        let room = output.limit - (kept.stdout.len() + kept.stderr.len()).min(output.limit);
        let taken = read.min(room);
        of(&mut kept).extend_from_slice(&chunk[..taken]);
        kept.is_cut |= taken < read;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{Pid, Signal, kill_process_group};
    use std::time::Instant;

    fn spec(script: &str) -> Spec {
        Spec {
            program: "/bin/sh".into(),
            argv: ["sh", "-c", script].map(str::to_owned).to_vec(),
            cwd: "/".into(),
            variables: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
            time: Duration::from_secs(20),
            output_bytes: 1000,
        }
    }

    #[tokio::test]
    async fn ends() {
        let ended = run(&spec("echo out; echo err >&2; exit 3")).await;
        let expected = Ended {
            exit_code: Some(3),
            stdout: "out\n".to_owned(),
            stderr: "err\n".to_owned(),
            ..Ended::default()
        };
        assert_eq!(ended, expected);
        assert_eq!(run(&spec("kill -9 $$")).await.exit_code, None);
        assert_eq!(
            run(&spec("pwd; echo $HOME")).await.stdout,
            "/\n\n",
            "no other variables"
        );
        let missing = Spec {
            program: "/none/such".into(),
            ..spec("")
        };
        let ended = run(&missing).await;
        assert!(ended.error.unwrap().contains("/none/such") && ended.exit_code.is_none());
    }

    #[tokio::test]
    async fn output_is_cut_at_the_limit() {
        for (bytes, is_cut) in [(1000, false), (1001, true), (100_000, true)] {
            let ended = run(&spec(&format!("head -c {bytes} /dev/zero | tr '\\0' x"))).await;
            assert_eq!(
                (ended.stdout.len(), ended.is_cut),
                (1000, is_cut),
                "{bytes}"
            );
            assert_eq!(ended.exit_code, Some(0));
        }
    }

    #[tokio::test]
    async fn the_clock_ends_the_whole_group() {
        let begun = Instant::now();
        let slow = Spec {
            time: Duration::from_millis(300),
            ..spec("echo $$; trap '' TERM; sleep 60 & sleep 60")
        };
        let ended = run(&slow).await;
        assert!(ended.timed_out && ended.exit_code.is_none());
        assert!(begun.elapsed() < Duration::from_secs(20));
        let group: i32 = ended.stdout.trim().parse().unwrap();
        // Killed processes that nobody has reaped yet still count; they are gone soon.
        let gone = async {
            while kill_process_group(Pid::from_raw(group).unwrap(), Signal::CONT).is_ok()
                && !is_dead(group)
            {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(20), gone).await.unwrap();
    }

    /// Has the group no process but dead ones?
    fn is_dead(group: i32) -> bool {
        std::fs::read_dir("/proc").unwrap().flatten().all(|entry| {
            let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            let fields: Vec<&str> = stat
                .rsplit(')')
                .next()
                .unwrap_or("")
                .split_whitespace()
                .collect();
            fields.get(2).is_none_or(|of| *of != group.to_string()) || fields[0] == "Z"
        })
    }

    #[tokio::test]
    async fn what_runs_in_the_background_is_not_waited_for() {
        let begun = Instant::now();
        let ended = run(&spec("sleep 5 & echo done")).await;
        assert_eq!(
            (ended.stdout.as_str(), ended.exit_code),
            ("done\n", Some(0))
        );
        assert!(begun.elapsed() < Duration::from_secs(4));
    }
}
