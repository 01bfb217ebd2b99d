//! A headless node: runs commands of this machine for a gateway, which may be elsewhere. Called by `openclaw node run`.
//!
//! `serve` connects and stays connected, `commands` carries out what is asked, `run` judges and runs programs,
//! `process` is one of them, `speaker` tells the gateway. What may run is `exec_rules`' business. It is a client of the
//! gateway like any other: nothing here knows the server's parts.

mod commands;
mod process;
mod run;
mod serve;
mod settings;
mod speaker;
mod variables;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use openclaw_protocol::protocol::{ErrorCode, texts};

pub use serve::{NodeHostError, Notice, serve};
pub use settings::{Gateway, Settings, SettingsError};

use crate::clock::Clock;
use crate::exec_rules::{RulesError, RulesFile};

/// Capabilities that the node declares.
pub const CAPS: &[&str] = &[texts::NODE_CAP_SYSTEM];

/// Commands that it carries out, in the order in which the original declares them.
pub const COMMANDS: &[&str] = &[
    texts::NODE_COMMAND_RUN,
    texts::NODE_COMMAND_WHICH,
    texts::NODE_COMMAND_EXEC_APPROVALS_GET,
    texts::NODE_COMMAND_EXEC_APPROVALS_SET,
    texts::NODE_COMMAND_NOTIFY,
];

/// Commands under way at a time. More than an agent has use for; each may be a process.
pub const MAX_COMMANDS: usize = 32;

/// Names of one `system.which`.
pub const MAX_BINS: usize = 512;

/// Bytes of a program's output that are kept, both streams together: what the original keeps, and what a frame has
/// room for.
pub const OUTPUT_BYTES: usize = 200_000;

/// Longest time of a program, and its time when the asker does not say: half an hour, as agents' commands have.
pub const RUN_TIME: Duration = Duration::from_secs(1800);

/// Time of the program that shows a notification.
const NOTIFY_TIME: Duration = Duration::from_secs(10);

/// What commands need to know of this machine. Clones share it.
#[derive(Clone)]
pub struct Host {
    rules: RulesFile,
    home: PathBuf,
    variables: Arc<BTreeMap<String, String>>,
    clock: Arc<dyn Clock>,
}

impl Host {
    /// The machine as a process with these variables and this home sees it.
    #[must_use]
    pub fn new(home: &Path, variables: &BTreeMap<String, String>, clock: Arc<dyn Clock>) -> Self {
        Self {
            rules: RulesFile::of_home(home),
            home: home.to_path_buf(),
            variables: Arc::new(variables::own(variables)),
            clock,
        }
    }

    /// Where programs are looked for, as the gateway is told.
    #[must_use]
    pub fn path_env(&self) -> &str {
        variables::path_of(&self.variables)
    }

    /// The directory in which a program runs: as asked for, relative to the home.
    fn directory(&self, asked: Option<&str>) -> PathBuf {
        asked.map_or_else(|| self.home.clone(), |asked| self.home.join(asked))
    }
}

/// Why a command was not carried out, for the gateway and whoever asked.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Failure {
    code: String,
    message: String,
}

impl Failure {
    fn new(code: ErrorCode, message: &str) -> Self {
        Self {
            code: code.as_str().to_owned(),
            message: message.to_owned(),
        }
    }

    fn unavailable(message: &str) -> Self {
        Self::new(ErrorCode::Unavailable, message)
    }

    /// In the words of the original, which begin with the code.
    fn invalid(message: &str) -> Self {
        Self::new(ErrorCode::InvalidRequest, message)
    }

    fn broken(error: &RulesError) -> Self {
        tracing::error!(%error, "exec approvals");
        Self::unavailable("the exec approvals of this node cannot be read or kept")
    }
}

/// Does what blocks away from the connection.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Failure::unavailable("the node host is ending"))
}
