//! Servers under load: the gateway and the floors, as child processes on their own core.

use std::ffi::OsStr;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::floor::Floor;
use crate::machine::{self, CpuMark};

/// The shared token of the gateways started here.
pub(crate) const TOKEN: &str = "the-token-of-the-benchmark";

/// A server that does not listen by then has failed. Debug builds on a busy machine take seconds.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// A gateway gives its clients five seconds; one that is watched by callgrind needs more.
const END_TIMEOUT: Duration = Duration::from_secs(60);

/// After a load, servers get this long to fall idle: schedstat is exact for threads that wait.
const SETTLE: Duration = Duration::from_millis(15);

/// A running server, ended when this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// From starting the process to the first connection that was taken.
    pub(crate) started_in: Duration,
}

impl Server {
    /// Starts the gateway with its state below `home`.
    pub(crate) fn gateway(binary: &Path, home: &Path) -> Result<Self> {
        let port = free_port()?;
        let mut command = Command::new(binary);
        command
            .args(["gateway", "--allow-unconfigured", "--port"])
            .arg(port.to_string())
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("HOME", home)
            .env("OPENCLAW_GATEWAY_TOKEN", TOKEN);
        Self::start(command, port)
    }

    /// Starts an echo server.
    pub(crate) fn floor(floor: Floor) -> Result<Self> {
        let port = free_port()?;
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["serve", floor.name(), "--port"])
            .arg(port.to_string());
        Self::start(command, port)
    }

    fn start(mut command: Command, port: u16) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        // Children inherit the core of the thread that starts them.
        machine::pin(machine::SERVER_CORE)?;
        let before = Instant::now();
        let child = command.spawn();
        if machine::cores() > 1 {
            machine::pin(machine::GENERATOR_CORE)?;
        }
        let name = command.get_program().to_owned();
        let child = child.with_context(|| format!("cannot start {}", name.display()))?;
        let mut server = Self {
            child,
            address,
            started_in: Duration::ZERO,
        };
        server.wait_until_it_listens(&name, before)?;
        Ok(server)
    }

    fn wait_until_it_listens(&mut self, name: &OsStr, before: Instant) -> Result<()> {
        while TcpStream::connect(self.address).is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended at once: {status}", name.display());
            }
            if before.elapsed() > START_TIMEOUT {
                bail!("{} does not listen on {}", name.display(), self.address);
            }
            // The generator has nothing else to do, and a pause would be part of the figure.
            std::thread::yield_now();
        }
        self.started_in = before.elapsed();
        Ok(())
    }

    /// Process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end and waits until it has: what it writes at its end is there then.
    pub(crate) async fn end(mut self) -> Result<()> {
        let process = Pid::from_child(&self.child);
        kill_process(process, Signal::TERM)?;
        let until = Instant::now() + END_TIMEOUT;
        while self.child.try_wait()?.is_none() {
            ensure!(Instant::now() < until, "the server does not end");
            tokio::time::sleep(SETTLE).await;
        }
        Ok(())
    }

    /// CPU time spent until now, once the server has fallen idle.
    pub(crate) async fn cpu(&self) -> Result<CpuMark> {
        tokio::time::sleep(SETTLE).await;
        CpuMark::take(self.pid())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; the load has failed then and says so.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nobody listens on. Somebody may take it before the server does; the start fails then, loudly.
fn free_port() -> Result<u16> {
    let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(probe.local_addr()?.port())
}
