//! Programs that are run for an agent or a node: in a process group of their own, of which nothing is left when its owner
//! goes.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Child;
use tokio::time::timeout;

use crate::paths::Environment;

/// Variables that a program of an agent gets. The others may be secrets of the gateway.
const VARIABLES: [&str; 12] = [
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "LOGNAME",
    "PATH",
    "SHELL",
    "TERM",
    "TMPDIR",
    "TZ",
    "USER",
    "XDG_RUNTIME_DIR",
];

/// The harmless variables that there are.
pub(crate) fn plain_variables(
    environment: &Environment,
) -> impl Iterator<Item = (&'static str, &str)> {
    VARIABLES
        .iter()
        .filter_map(|name| Some((*name, environment.variables.get(*name)?.as_str())))
}

/// The process group of a child that was started as the leader of a new one. Dropping it kills whatever is left in it,
/// unless it was released.
#[derive(Debug)]
pub(crate) struct Group(Option<Pid>);

impl Group {
    /// The group that `child` leads.
    pub(crate) fn of(child: &Child) -> Self {
        let pid = child.id().and_then(|id| i32::try_from(id).ok());
        Self(pid.and_then(Pid::from_raw))
    }

    /// Asks the whole group to end, kills what is left of it after `grace`, and waits for its leader.
    ///
    /// # Errors
    /// The leader cannot be waited for.
    pub(crate) async fn end(&self, child: &mut Child, grace: Duration) -> io::Result<ExitStatus> {
        self.signal(Signal::TERM);
        let ended = timeout(grace, child.wait()).await;
        self.signal(Signal::KILL);
        match ended {
            Ok(status) => status,
            Err(_) => child.wait().await,
        }
    }

    /// Its leader has ended by itself: what it left in the background stays.
    pub(crate) fn release(&mut self) {
        self.0 = None;
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.0 {
            // Fails when nobody is left, as is usual.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}
