//! Who decides whether a command of an agent is run.

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::config::{Config, ExecSecurity};

/// A command that an agent wants to run on the gateway's host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecRequest {
    /// The agent (normalised id).
    pub agent: String,
    /// Canonical key of its conversation.
    pub session_key: String,
    /// The command, for a shell.
    pub command: String,
    /// Where it is run.
    pub cwd: PathBuf,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is run.
    Run,
    /// It is not; why, in words for the model.
    Refuse(String),
}

/// Decides on commands. Deciding may take as long as a person does; the run's own time limit goes on.
pub trait ExecGate: Send + Sync + 'static {
    /// Decides on one command.
    fn decide(&self, request: ExecRequest) -> BoxFuture<'_, Verdict>;
}

/// Decides by the configuration alone (`tools.exec`): nobody is asked.
pub struct ConfigGate {
    config: Arc<Config>,
}

impl ConfigGate {
    /// A gate that does as `config` says.
    #[must_use]
    pub fn new(config: Arc<Config>) -> Self {
        Self { config }
    }

    fn verdict(&self, command: &str) -> Verdict {
        let exec = &self.config.tools.exec;
        match exec.security {
            ExecSecurity::Full => Verdict::Run,
            ExecSecurity::Allowlist if is_listed(command, &exec.safe_bins) => Verdict::Run,
            ExecSecurity::Allowlist => Verdict::Refuse(
                "The command is not run: only plain calls of the programs in tools.exec.safeBins are allowed."
                    .to_owned(),
            ),
            ExecSecurity::Deny => {
                Verdict::Refuse("The command is not run: tools.exec.security is deny.".to_owned())
            }
        }
    }
}

impl ExecGate for ConfigGate {
    fn decide(&self, request: ExecRequest) -> BoxFuture<'_, Verdict> {
        std::future::ready(self.verdict(&request.command)).boxed()
    }
}

/// Whether a command is a plain call of a listed program: words of harmless characters, so that a shell finds nothing in it
/// to do of its own (no second command, no variable, no pattern, no file to write to, no tricks with quotes).
fn is_listed(command: &str, programs: &[String]) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || " _-./:,@%+".contains(c);
    let program = command.split(' ').find(|word| !word.is_empty());
    command.chars().all(is_plain)
        && program.is_some_and(|program| programs.iter().any(|listed| listed.trim() == program))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[tokio::test]
    async fn what_the_configuration_lets_run() {
        for (security, command, runs) in [
            (None, "date", false),
            (Some("deny"), "date", false),
            (Some("full"), "rm -rf x; y", true),
            (Some("allowlist"), "date", true),
            (Some("allowlist"), "  date -u  +%F ", true),
            (Some("allowlist"), "/usr/bin/wc a.txt", true),
            (Some("allowlist"), "wc a.txt", false),
            (Some("allowlist"), "datex", false),
            (Some("allowlist"), "date; rm x", false),
            (Some("allowlist"), "date\nrm x", false),
            (Some("allowlist"), "date > x", false),
            (Some("allowlist"), "date $(x)", false),
            (Some("allowlist"), "date `x`", false),
            (Some("allowlist"), "date & x", false),
            (Some("allowlist"), "date | x", false),
            (Some("allowlist"), "A=1 date", false),
            (Some("allowlist"), "'date'", false),
            (Some("allowlist"), "", false),
        ] {
            let exec = match security {
                Some(word) => json!({"security": word, "safeBins": ["date", "/usr/bin/wc"]}),
                None => json!({"safeBins": ["date"]}),
            };
            let config = serde_json::from_value(json!({"tools": {"exec": exec}})).unwrap();
            let gate = ConfigGate::new(Arc::new(config));
            let request = ExecRequest {
                agent: "main".into(),
                session_key: "agent:main:main".into(),
                command: command.into(),
                cwd: "/".into(),
            };
            let verdict = gate.decide(request).await;
            assert_eq!(verdict == Verdict::Run, runs, "{security:?} {command:?}");
        }
    }
}
