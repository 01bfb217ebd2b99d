//! Who decides whether a command of an agent is run.

use std::path::{Path, PathBuf};
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

    /// Blocks on disk.
    fn verdict(config: &Config, request: &ExecRequest) -> Verdict {
        let exec = &config.tools.exec;
        let is_listed = || is_listed(&request.command, &exec.safe_bins, &request.cwd);
        match exec.security {
            ExecSecurity::Full => Verdict::Run,
            ExecSecurity::Allowlist if is_listed() => Verdict::Run,
            ExecSecurity::Allowlist => Verdict::Refuse(
                "The command is not run: only plain calls of the programs in tools.exec.safeBins are allowed, without \
                 names of files."
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
        let config = Arc::clone(&self.config);
        async move {
            tokio::task::spawn_blocking(move || Self::verdict(&config, &request))
                .await
                .unwrap_or_else(|_| {
                    Verdict::Refuse("The command is not run: the gateway is ending.".to_owned())
                })
        }
        .boxed()
    }
}

/// Whether a command is a plain call of a listed program: words of harmless characters, so that a shell finds nothing in it
/// to do of its own (no second command, no variable, no pattern, no file to write to, no tricks with quotes), and no
/// argument that names a file: the list is of programs that are harmless with what they are told, not with any file of
/// this user.
fn is_listed(command: &str, programs: &[String], cwd: &Path) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || " _-./:,@%+".contains(c);
    let mut words = command.split(' ').filter(|word| !word.is_empty());
    let program = words.next();
    command.chars().all(is_plain)
        && program.is_some_and(|program| programs.iter().any(|listed| listed.trim() == program))
        && words.all(|word| !names_a_file(word, cwd))
}

/// Whether an argument has a path in it, is the name of something in the directory, by itself or right behind an option's
/// letter (`-fnotes`), or is an option that says where output goes (`-o`, `--output`).
fn names_a_file(word: &str, cwd: &Path) -> bool {
    let exists = |name: &str| !name.is_empty() && cwd.join(name).symlink_metadata().is_ok();
    let is_output = match word.strip_prefix('-') {
        Some(long) if long.starts_with('-') => long.starts_with("-o"),
        Some(letters) => letters.contains('o'),
        None => false,
    };
    let behind_letter = || {
        // Only ASCII is plain, so every index is one of a character.
        word.starts_with('-') && (2..word.len()).any(|i| word.get(i..).is_some_and(exists))
    };
    word.contains('/') || is_output || exists(word) || behind_letter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[tokio::test]
    async fn what_the_configuration_lets_run() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("notes"), "").unwrap();
        for (security, command, runs) in [
            (None, "date", false),
            (Some("deny"), "date", false),
            (Some("full"), "rm -rf x; y", true),
            (Some("allowlist"), "date", true),
            (Some("allowlist"), "  date -u  +%F ", true),
            (Some("allowlist"), "/usr/bin/wc a.txt", true),
            (Some("allowlist"), "/usr/bin/wc -l -", true),
            (Some("allowlist"), "/usr/bin/wc notes", false),
            (Some("allowlist"), "/usr/bin/wc -fnotes", false),
            (Some("allowlist"), "/usr/bin/wc -lfnotes", false),
            (Some("allowlist"), "/usr/bin/wc -f notes", false),
            (Some("allowlist"), "/usr/bin/wc .", false),
            (Some("allowlist"), "/usr/bin/wc ..", false),
            (
                Some("allowlist"),
                "/usr/bin/wc /home/u/.openclaw/openclaw.json",
                false,
            ),
            (Some("allowlist"), "/usr/bin/wc sub/none", false),
            (Some("allowlist"), "/usr/bin/wc -o x", false),
            (Some("allowlist"), "/usr/bin/wc -ro x", false),
            (Some("allowlist"), "/usr/bin/wc -ox", false),
            (Some("allowlist"), "/usr/bin/wc --output x", false),
            (Some("allowlist"), "/usr/bin/wc --out x", false),
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
                cwd: dir.path().into(),
            };
            let verdict = gate.decide(request).await;
            assert_eq!(verdict == Verdict::Run, runs, "{security:?} {command:?}");
        }
    }
}
