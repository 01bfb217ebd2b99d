//! Who a member of the tailnet is (contract 2.7, step 1, odd 56).
//!
//! `tailscale serve` proxies to loopback and names the user in a header. Any process of this host could send that header,
//! so the daemon of Tailscale is asked who has the address that the request came from: `tailscale whois --json <address>`,
//! a child process. It never runs on the thread of the sockets, and what it said is kept for a while.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use openclaw_protocol::protocol::limits;
use serde::Deserialize;
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::locality::{PeerFacts, first_forwarded};
use crate::clock::Clock;

/// Addresses whose owner is remembered. A tailnet of one household or team has fewer devices.
pub const MAX_REMEMBERED: usize = 256;

/// Child processes at a time. Each takes some milliseconds; more would only compete.
pub const MAX_CHILDREN: usize = 4;

/// Longest answer of the program, in bytes. It describes one device and one user, a few KiB.
const MAX_ANSWER: u64 = 256 * 1024;

/// The program, when nothing else is configured.
pub const PROGRAM: &str = "tailscale";

/// What the headers of a request say about its user; to be proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// `Tailscale-User-Login`, trimmed.
    pub login: String,
    /// The first address of `X-Forwarded-For`.
    pub address: IpAddr,
}

impl Claim {
    /// The claim of a request, if it has the marks of one that `tailscale serve` passed on.
    #[must_use]
    pub fn of(facts: &PeerFacts) -> Option<Self> {
        let login = facts.tailscale_login.as_deref().map(str::trim)?;
        let is_passed_on = facts.peer.to_canonical().is_loopback()
            && !facts.by_socket
            && facts.forwarded_proto
            && facts.forwarded_host.is_some();
        let address = first_forwarded(facts.forwarded_for.as_deref()?)?;
        (is_passed_on && !login.is_empty()).then(|| Self {
            login: login.to_owned(),
            address,
        })
    }

    /// Is the owner of the address who the header said?
    #[must_use]
    pub fn is_proven_by(&self, owner: Option<&str>) -> bool {
        owner.is_some_and(|owner| owner.trim().to_lowercase() == self.login.to_lowercase())
    }
}

/// Asks the daemon of Tailscale, and remembers.
pub struct Whois {
    program: PathBuf,
    work: Handle,
    clock: Arc<dyn Clock>,
    time: Duration,
    children: Arc<Semaphore>,
    remembered: Mutex<HashMap<IpAddr, Remembered>>,
}

#[derive(Debug, Clone)]
struct Remembered {
    /// `None` after a failure.
    login: Option<String>,
    until_ms: u64,
}

/// Why nobody is known to have an address.
#[derive(Debug, thiserror::Error)]
enum WhoisError {
    #[error("cannot run it: {0}")]
    Run(#[from] io::Error),
    #[error("no answer in time")]
    Time(#[from] tokio::time::error::Elapsed),
    #[error("it ended with {0}")]
    Status(std::process::ExitStatus),
    #[error("its answer cannot be read: {0}")]
    Answer(#[from] serde_json::Error),
    #[error("its answer names no user")]
    Nobody,
}

/// The part of the program's answer that counts.
#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "UserProfile")]
    user: Option<User>,
}

#[derive(Deserialize)]
struct User {
    #[serde(rename = "LoginName", default)]
    login: String,
}

impl Whois {
    /// Runs `program` on `work`.
    #[must_use]
    pub fn new(program: PathBuf, work: Handle, clock: Arc<dyn Clock>) -> Self {
        Self {
            program,
            work,
            clock,
            time: Duration::from_millis(limits::WHOIS_MS),
            children: Arc::new(Semaphore::new(MAX_CHILDREN)),
            remembered: Mutex::default(),
        }
    }

    /// Login of whoever has `address` in the tailnet; `None` when that cannot be found out.
    pub async fn login(&self, address: IpAddr) -> Option<String> {
        if let Some(known) = self.known(address) {
            return known.login;
        }
        // Closed never.
        let _turn = self.children.acquire().await.ok()?;
        // Whoever waited for the same address has its answer now.
        if let Some(known) = self.known(address) {
            return known.login;
        }
        let asked = self
            .work
            .spawn(ask(self.program.clone(), address, self.time));
        let outcome = asked
            .await
            .unwrap_or_else(|error| Err(WhoisError::Run(io::Error::other(error))));
        let login = match outcome {
            Ok(login) => Some(login),
            Err(error) => {
                tracing::warn!(%address, %error, program = %self.program.display(), "tailscale does not say who this is");
                None
            }
        };
        self.remember(address, login.clone());
        login
    }

    fn known(&self, address: IpAddr) -> Option<Remembered> {
        let now_ms = self.clock.now_ms();
        let table = self.table();
        table
            .get(&address)
            .filter(|known| now_ms < known.until_ms)
            .cloned()
    }

    fn remember(&self, address: IpAddr, login: Option<String>) {
        let now_ms = self.clock.now_ms();
        let life = if login.is_some() {
            limits::WHOIS_TTL_MS
        } else {
            limits::WHOIS_FAILURE_TTL_MS
        };
        let mut table = self.table();
        if table.len() >= MAX_REMEMBERED && !table.contains_key(&address) {
            table.retain(|_, known| now_ms < known.until_ms);
        }
        if table.len() >= MAX_REMEMBERED && !table.contains_key(&address) {
            let first = table.iter().min_by_key(|(_, known)| known.until_ms);
            if let Some(first) = first.map(|(address, _)| *address) {
                table.remove(&first);
            }
        }
        let until_ms = now_ms.saturating_add(life);
        table.insert(address, Remembered { login, until_ms });
    }

    fn table(&self) -> MutexGuard<'_, HashMap<IpAddr, Remembered>> {
        self.remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Whois {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Whois")
            .field("program", &self.program)
            .finish_non_exhaustive()
    }
}

async fn ask(program: PathBuf, address: IpAddr, time: Duration) -> Result<String, WhoisError> {
    let exchange = async {
        let mut child = Command::new(program)
            .args(["whois", "--json"])
            .arg(address.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // The end of the wait is the end of the program.
            .kill_on_drop(true)
            .spawn()?;
        let mut text = Vec::new();
        if let Some(out) = child.stdout.take() {
            out.take(MAX_ANSWER).read_to_end(&mut text).await?;
        }
        // With its output closed a program that had more to say ends as well.
        let status = child.wait().await?;
        if !status.success() {
            return Err(WhoisError::Status(status));
        }
        let answer: Answer = serde_json::from_slice(&text)?;
        let login = answer.user.map(|user| user.login.trim().to_owned());
        login
            .filter(|login| !login.is_empty())
            .ok_or(WhoisError::Nobody)
    };
    timeout(time, exchange).await?
}

#[cfg(test)]
mod tests;
