//! Programs that are run for an agent: in a process group of their own, of which nothing is left when its owner goes.

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Child;

use crate::paths::Environment;

/// Variables that a program gets. The others may be secrets of the gateway.
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
pub(super) fn plain_variables(
    environment: &Environment,
) -> impl Iterator<Item = (&'static str, &str)> {
    VARIABLES
        .iter()
        .filter_map(|name| Some((*name, environment.variables.get(*name)?.as_str())))
}

/// The process group of a child that was started as the leader of a new one. Dropping it kills whatever is left in it.
#[derive(Debug)]
pub(super) struct Group(Option<Pid>);

impl Group {
    /// The group that `child` leads.
    pub(super) fn of(child: &Child) -> Self {
        let pid = child.id().and_then(|id| i32::try_from(id).ok());
        Self(pid.and_then(Pid::from_raw))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Fails when nobody is left, as is usual.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}
