//! What whole-system tests stand on: a gateway process of its own in a home of its own, and the `openclaw` command
//! beside it; [`model`] is a model that answers it. Used by the test binaries of this crate only.

#![allow(clippy::expect_used, clippy::panic)] // everything here is part of a test

pub mod model;

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How long anything may take that needs a process: generous, because two test processes may share one core.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Between two looks at something that has no event to wait for (a port that opens).
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// The `openclaw` binary that `cargo build -p openclaw-gateway` made, beside this test binary.
pub fn binary() -> PathBuf {
    let mut path = std::env::current_exe().expect("a test binary");
    path.pop();
    if path.ends_with("deps") {
        path.pop();
    }
    let path = path.join("openclaw");
    assert!(
        path.exists(),
        "{} is missing: run `cargo build -p openclaw-gateway` first, as tests/run does",
        path.display()
    );
    path
}

/// A home directory that no other test sees.
pub struct Home {
    dir: TempDir,
}

impl Home {
    /// An empty one.
    pub fn new() -> Home {
        Home {
            dir: TempDir::new().expect("a temporary folder"),
        }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The state directory that a gateway makes in it.
    pub fn state(&self) -> PathBuf {
        self.path().join(".openclaw")
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.state().join("openclaw.json")
    }

    /// Writes the configuration.
    pub fn write_config(&self, text: &str) {
        std::fs::create_dir_all(self.state()).expect("the state directory");
        std::fs::write(self.config(), text).expect("the configuration");
    }

    /// The command with this home and nothing else from our environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.path())
            .env("PATH", "/usr/bin:/bin")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Runs the command to its end.
    pub async fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, &[]).await
    }

    /// Runs the command to its end with variables.
    pub async fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
        let mut command = self.command(arguments);
        command.envs(variables.iter().copied());
        let output = timeout(PATIENCE, command.output())
            .await
            .unwrap_or_else(|_| panic!("{arguments:?} did not end"))
            .expect("the command runs");
        Ran::from(output)
    }
}

impl Default for Home {
    fn default() -> Self {
        Home::new()
    }
}

/// How a command ended.
#[derive(Debug)]
pub struct Ran {
    /// Exit code; `None` after a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        Ran {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// A running gateway.
pub struct Gateway {
    /// Its port on loopback.
    pub port: u16,
    child: Child,
}

impl Gateway {
    /// Starts one in a home and waits until it answers.
    pub async fn start(home: &Home, arguments: &[&str]) -> Gateway {
        Gateway::start_with(home, arguments, &[]).await
    }

    /// The same with variables.
    pub async fn start_with(
        home: &Home,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Gateway {
        Gateway::start_at(home, free_port(), arguments, variables).await
    }

    /// The same at a port, that of a gateway which was there before.
    pub async fn start_at(
        home: &Home,
        port: u16,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Gateway {
        let text = port.to_string();
        let mut all = vec!["gateway", "--port", &text];
        all.extend_from_slice(arguments);
        let mut command = home.command(&all);
        command
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let child = command.spawn().expect("the gateway starts");
        let mut gateway = Gateway { port, child };
        gateway.wait_until_listening().await;
        gateway
    }

    async fn wait_until_listening(&mut self) {
        let address = ("127.0.0.1", self.port);
        let listening = async {
            loop {
                if TcpStream::connect(address).await.is_ok() {
                    return;
                }
                if let Some(status) = self.child.try_wait().expect("the gateway's status") {
                    let mut text = String::new();
                    if let Some(err) = self.child.stderr.as_mut() {
                        let _ = err.read_to_string(&mut text).await;
                    }
                    panic!("the gateway ended ({status}) before it listened:\n{text}");
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        timeout(PATIENCE, listening)
            .await
            .expect("the gateway listens");
    }

    /// WebSocket URL.
    pub fn url(&self) -> String {
        format!("ws://127.0.0.1:{}", self.port)
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok());
        let pid = id.and_then(Pid::from_raw).expect("a running process");
        kill_process(pid, signal).expect("the signal is sent");
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> ExitStatus {
        timeout(PATIENCE, self.child.wait())
            .await
            .expect("the gateway ends")
            .expect("its status")
    }

    /// Everything it wrote, after its end.
    pub async fn output(&mut self) -> String {
        let (mut out, mut err) = (String::new(), String::new());
        if let Some(stream) = self.child.stdout.as_mut() {
            let _ = stream.read_to_string(&mut out).await;
        }
        if let Some(stream) = self.child.stderr.as_mut() {
            let _ = stream.read_to_string(&mut err).await;
        }
        out + &err
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}
