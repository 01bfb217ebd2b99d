//! A gateway as a child process: started in a process group of its own, waited for, signalled, and gone when dropped.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions};
use tokio::net::TcpStream;
use tokio::process::Child;
use tokio::time::Instant;

/// Between two looks whether it listens.
const START_POLL: Duration = Duration::from_millis(20);
/// After it listens and before the first client, as in the recordings: the first health refresh runs in it.
const SETTLE: Duration = Duration::from_millis(300);
/// From SIGTERM to SIGKILL. The recorded gateway gives up after five seconds (contract 7.5).
const STOP_TIMEOUT: Duration = Duration::from_secs(8);
/// Between two ports: the recorded gateway uses a few behind its own.
const PORT_STEP: u16 = 7;
/// Lines of output shown when a gateway does not start.
const SHOWN_LINES: usize = 12;

/// A command line is not usable.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// Nothing in it.
    #[error("the command to start a gateway is empty")]
    Empty,
    /// It does not say where the port goes.
    #[error("the command to start a gateway needs {{port}} where the port goes: {0}")]
    NoPort(String),
}

/// A gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No port, no output file, no such program.
    #[error("cannot start {command}: {source}")]
    Spawn {
        /// The command.
        command: String,
        /// Why.
        source: io::Error,
    },
    /// It ended before it listened.
    #[error("the gateway ended before it listened ({status}):\n{output}")]
    Ended {
        /// How it ended.
        status: String,
        /// The end of its output.
        output: String,
    },
    /// It did not listen in time.
    #[error("the gateway does not listen after {} s:\n{output}", waited.as_secs())]
    Timeout {
        /// How long it had.
        waited: Duration,
        /// The end of its output.
        output: String,
    },
}

/// How to start a gateway: a shell command with `{port}` in it.
#[derive(Debug, Clone)]
pub struct Command(String);

impl Command {
    /// Takes a command. A relative program path is taken from the current folder, since the gateway runs in its home.
    ///
    /// # Errors
    ///
    /// When it is empty or does not hold `{port}`.
    pub fn new(command: &str) -> Result<Self, CommandError> {
        let command = command.trim();
        let program = command
            .split_whitespace()
            .next()
            .ok_or(CommandError::Empty)?;
        if !command.contains("{port}") {
            return Err(CommandError::NoPort(command.to_owned()));
        }
        if program.contains('/')
            && !program.starts_with('/')
            && let Ok(absolute) = std::path::absolute(program)
        {
            let rest = &command[program.len()..];
            return Ok(Self(format!("'{}'{rest}", absolute.display())));
        }
        Ok(Self(command.to_owned()))
    }
}

/// A running gateway. Dropping it kills its process group.
pub struct Process {
    child: Child,
    group: Option<Pid>,
    addr: SocketAddr,
}

/// Ports for gateways under test: below the range that Linux gives to outgoing connections, since one of those may take a
/// port between its choice and its use.
const PORTS: Range<u16> = 20_000..32_000;
/// Counts the ports given out, so that sessions that start at the same time never get the same one.
static GIVEN: AtomicU16 = AtomicU16::new(0);

/// A port that is free at this moment and that no other session of this process gets soon.
///
/// # Errors
///
/// When there is none.
pub fn free_port() -> io::Result<u16> {
    let count = PORTS.end - PORTS.start;
    // Two runs at a time start at different places.
    let first = u16::try_from(std::process::id() % u32::from(count)).unwrap_or_default();
    let mut last = io::Error::other("no port is free");
    for _ in 0..count {
        let nth = first.wrapping_add(
            GIVEN
                .fetch_add(1, Ordering::Relaxed)
                .wrapping_mul(PORT_STEP),
        );
        let port = PORTS.start + nth % count;
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(_) => return Ok(port),
            Err(error) => last = error,
        }
    }
    Err(last)
}

impl Process {
    /// Starts a gateway on `port` in the folder `home` and waits until it listens, at most `patience`.
    ///
    /// # Errors
    ///
    /// When it cannot be started or does not listen in time.
    pub async fn start(
        command: &Command,
        port: u16,
        home: &Path,
        env: &BTreeMap<String, String>,
        output: &Path,
        patience: Duration,
    ) -> Result<Self, StartError> {
        // `exec`: signals must reach the gateway and not a shell around it.
        let line = format!("exec {}", command.0.replace("{port}", &port.to_string()));
        let failed = |source| StartError::Spawn {
            command: line.clone(),
            source,
        };
        let out = std::fs::File::create(output).map_err(failed)?;
        let err = out.try_clone().map_err(failed)?;
        let child = tokio::process::Command::new("/bin/sh")
            .args(["-c", &line])
            .current_dir(home)
            .env_clear()
            .envs(env)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut process = Self { child, group, addr };
        let deadline = Instant::now() + patience;
        while TcpStream::connect(addr).await.is_err() {
            process.must_run(output)?;
            if Instant::now() >= deadline {
                return Err(StartError::Timeout {
                    waited: patience,
                    output: last_lines(output),
                });
            }
            tokio::time::sleep(START_POLL).await;
        }
        tokio::time::sleep(SETTLE).await;
        // What listens may be somebody else, and the gateway have ended for that reason.
        process.must_run(output)?;
        Ok(process)
    }

    fn must_run(&mut self, output: &Path) -> Result<(), StartError> {
        match self.child.try_wait() {
            Ok(Some(status)) => Err(StartError::Ended {
                status: status.to_string(),
                output: last_lines(output),
            }),
            _ => Ok(()),
        }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its process id, as long as it runs.
    pub fn pid(&self) -> Option<Pid> {
        self.group
    }

    /// Ends it: SIGTERM, and SIGKILL to the whole group when that takes too long.
    pub async fn stop(mut self) {
        if let Some(pid) = self.group {
            // It may have ended by itself.
            let _ = rustix::process::kill_process(pid, Signal::TERM);
        }
        let _ = tokio::time::timeout(STOP_TIMEOUT, self.child.wait()).await;
        self.kill_group();
        let _ = self.child.wait().await;
    }

    fn kill_group(&mut self) {
        if let Some(group) = self.group.take() {
            // Nobody may be left in it.
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
            // Once it is gone nothing is written to its home any more, which is removed next. It was reaped already if it
            // ended in order.
            let _ = rustix::process::waitpid(Some(group), WaitOptions::empty());
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill_group();
    }
}

/// Sends the signal called `name` to a process.
///
/// # Errors
///
/// When the name is none of those that sessions use, or the process is gone.
pub fn signal(pid: Pid, name: &str) -> io::Result<()> {
    let signal = match name {
        "SIGTERM" => Signal::TERM,
        "SIGINT" => Signal::INT,
        "SIGUSR1" => Signal::USR1,
        "SIGHUP" => Signal::HUP,
        _ => {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("no signal {name} in any session"),
            ));
        }
    };
    Ok(rustix::process::kill_process(pid, signal)?)
}

/// The end of a log, indented.
pub fn last_lines(path: &Path) -> String {
    let text = std::fs::read(path)
        .map(|b| String::from_utf8_lossy(&b).into_owned())
        .unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(SHOWN_LINES);
    lines[from..]
        .iter()
        .map(|l| format!("    | {l}"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The `PATH` that a gateway gets.
pub fn search_path() -> String {
    std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands() {
        for (command, expected) in [
            ("", Err("the command to start a gateway is empty")),
            (
                "/bin/gateway",
                Err(
                    "the command to start a gateway needs {port} where the port goes: /bin/gateway",
                ),
            ),
            (
                "/bin/gateway --port {port}",
                Ok("/bin/gateway --port {port}"),
            ),
            (
                "openclaw gateway --port {port}",
                Ok("openclaw gateway --port {port}"),
            ),
        ] {
            let result = Command::new(command)
                .map(|c| c.0)
                .map_err(|e| e.to_string());
            assert_eq!(result.as_deref().map_err(String::as_str), expected);
        }
        let relative = Command::new("target/debug/openclaw --port {port}")
            .unwrap()
            .0;
        assert!(
            relative.starts_with("'/")
                && relative.ends_with("/target/debug/openclaw' --port {port}"),
            "{relative}"
        );
    }

    /// Starts `script`; a port that already listens stands for a gateway that does.
    async fn start(
        script: &str,
        listens: bool,
    ) -> Result<(tempfile::TempDir, Process), StartError> {
        let home = tempfile::tempdir().unwrap();
        let output = home.path().join("out");
        let env = BTreeMap::from([("PATH".to_owned(), search_path())]);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let listener = listens.then_some(listener);
        let command = Command::new(script).unwrap();
        let process = Process::start(
            &command,
            port,
            home.path(),
            &env,
            &output,
            Duration::from_secs(20),
        )
        .await;
        drop(listener);
        process.map(|process| (home, process))
    }

    #[test]
    fn ports_are_not_given_twice() {
        let ports: Vec<u16> = (0..50).map(|_| free_port().unwrap()).collect();
        let mut distinct = ports.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), ports.len());
    }

    #[tokio::test]
    async fn a_gateway_that_finds_its_port_taken_is_no_start() {
        let error = start("sh -c 'echo {port} is taken; exit 1'", true)
            .await
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("is taken"), "{error}");
    }

    #[tokio::test]
    async fn a_gateway_that_ends_at_once_shows_its_last_words() {
        let error = start("sh -c 'echo no luck on port {port}; exit 3'", false)
            .await
            .err()
            .unwrap()
            .to_string();
        assert!(
            error.contains("exit status: 3") && error.contains("| no luck on port"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_gateway_that_never_listens_is_given_up() {
        let home = tempfile::tempdir().unwrap();
        let env = BTreeMap::from([("PATH".to_owned(), search_path())]);
        let (port, output) = (free_port().unwrap(), home.path().join("out"));
        let command = Command::new("sh -c 'echo thinking {port}; exec sleep 1000'").unwrap();
        let started = Process::start(
            &command,
            port,
            home.path(),
            &env,
            &output,
            Duration::from_millis(300),
        )
        .await;
        let error = started.err().unwrap().to_string();
        assert!(
            error.contains("does not listen after 0 s") && error.contains("| thinking"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn nobody_of_the_group_is_left() {
        // A grandchild that would go on for ever and ignores SIGTERM.
        let script = "sh -c 'trap \"\" TERM; sleep 1000 & echo $! > grandchild; : {port}; wait'";
        let (home, process) = start(script, true).await.unwrap();
        let grandchild: i32 = std::fs::read_to_string(home.path().join("grandchild"))
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        drop(process);
        let pid = Pid::from_raw(grandchild).unwrap();
        let deadline = Instant::now() + Duration::from_secs(5);
        // A killed process answers until it is reaped.
        let zombie = || {
            std::fs::read_to_string(format!("/proc/{grandchild}/stat"))
                .is_ok_and(|s| s.contains(") Z "))
        };
        while rustix::process::test_kill_process(pid).is_ok() && !zombie() {
            assert!(Instant::now() < deadline, "the grandchild is still there");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
