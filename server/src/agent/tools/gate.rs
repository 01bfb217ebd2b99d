//! Who decides whether a command of an agent is run.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::config::{Config, ExecAsk, ExecSecurity};
use crate::sessions::Entry;

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
    /// What its conversation says of commands.
    pub session: SessionExec,
}

/// What a conversation says of its commands (`sessions.patch`). It narrows what the configuration allows and never widens
/// it: the agent itself may be able to reach `sessions.patch`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionExec {
    /// Which commands are run.
    pub security: Option<ExecSecurity>,
    /// When a person is asked.
    pub ask: Option<ExecAsk>,
    /// Where they are run, if not on the gateway's host: a node by its name, or what else was said.
    pub elsewhere: Option<String>,
}

impl SessionExec {
    /// What the entry of a conversation says. Words that nobody knows count as the strictest.
    #[must_use]
    pub fn of(entry: &Entry) -> Self {
        let host = entry.exec_host.as_deref();
        let elsewhere = match host {
            None | Some("gateway") => None,
            Some("node") => Some(match &entry.exec_node {
                Some(node) => format!("node {node}"),
                None => "a node".to_owned(),
            }),
            Some(other) => Some(other.to_owned()),
        };
        Self {
            security: entry.exec_security.as_deref().map(|word| match word {
                "full" => ExecSecurity::Full,
                "allowlist" => ExecSecurity::Allowlist,
                _ => ExecSecurity::Deny,
            }),
            ask: entry.exec_ask.as_deref().map(|word| match word {
                "off" => ExecAsk::Off,
                "on-miss" => ExecAsk::OnMiss,
                _ => ExecAsk::Always,
            }),
            elsewhere,
        }
    }
}

/// What the configuration and the conversation say of a command together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ruling {
    /// Which commands are run.
    pub security: ExecSecurity,
    /// When a person is asked.
    pub ask: ExecAsk,
    /// The command is a plain call of a program in `tools.exec.safeBins`.
    pub is_harmless: bool,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecDecision {
    /// It is run.
    Run,
    /// It is not; why, in words for the model.
    Refuse(String),
}

/// Decides on commands. Deciding may take as long as a person does; the run's own time limit goes on.
pub trait ExecGate: Send + Sync + 'static {
    /// Decides on one command.
    fn decide(&self, request: ExecRequest) -> BoxFuture<'_, ExecDecision>;
}

/// Longest command that can be a plain call, in bytes: each of its words is looked for in the directory.
const MAX_PLAIN_BYTES: usize = 1024;

/// Why a command is not run about which nobody is asked.
pub const NOT_LISTED: &str = "The command is not run: only plain calls of programs that are allowed are, without names of files.";

/// Decides by the configuration (`tools.exec`) and the conversation alone: nobody is asked.
#[derive(Clone)]
pub struct ConfigGate {
    config: Arc<Config>,
}

impl ConfigGate {
    /// A gate that does as `config` says.
    #[must_use]
    pub fn new(config: Arc<Config>) -> Self {
        Self { config }
    }

    /// What holds for a command. Blocks on disk.
    ///
    /// # Errors
    /// It is not run, whatever anybody says; why, in words for the model.
    pub fn rule(&self, request: &ExecRequest) -> Result<Ruling, String> {
        let (exec, session) = (&self.config.tools.exec, &request.session);
        if let Some(elsewhere) = &session.elsewhere {
            return Err(format!(
                "The command is not run: commands of this conversation belong on {elsewhere} (execHost), and this tool runs them on the gateway's host only."
            ));
        }
        if exec.security == ExecSecurity::Deny {
            return Err("The command is not run: tools.exec.security is deny.".to_owned());
        }
        if session.security == Some(ExecSecurity::Deny) {
            return Err(
                "The command is not run: this conversation's execSecurity is deny.".to_owned(),
            );
        }
        Ok(Ruling {
            security: session
                .security
                .map_or(exec.security, |said| said.min(exec.security)),
            ask: session.ask.map_or(exec.ask, |said| said.max(exec.ask)),
            is_harmless: is_listed(&request.command, &exec.safe_bins, &request.cwd),
        })
    }
}

impl ExecGate for ConfigGate {
    fn decide(&self, request: ExecRequest) -> BoxFuture<'_, ExecDecision> {
        let gate = self.clone();
        let decided = tokio::task::spawn_blocking(move || match gate.rule(&request) {
            Err(why) => ExecDecision::Refuse(why),
            Ok(ruling) if ruling.security == ExecSecurity::Full || ruling.is_harmless => {
                ExecDecision::Run
            }
            Ok(_) => ExecDecision::Refuse(NOT_LISTED.to_owned()),
        });
        async move {
            decided.await.unwrap_or_else(|_| {
                ExecDecision::Refuse("The command is not run: the gateway is ending.".to_owned())
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
    command.len() <= MAX_PLAIN_BYTES
        && command.chars().all(is_plain)
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
                session: SessionExec::default(),
            };
            let decision = gate.decide(request).await;
            assert_eq!(
                decision == ExecDecision::Run,
                runs,
                "{security:?} {command:?}"
            );
        }
    }

    #[test]
    fn plain_calls_are_short() {
        let programs = ["date".to_owned()];
        for (bytes, is_plain) in [(MAX_PLAIN_BYTES, true), (MAX_PLAIN_BYTES + 1, false)] {
            let command = format!("date {}", "x".repeat(bytes - 5));
            let is_listed = is_listed(&command, &programs, Path::new("/"));
            assert_eq!(is_listed, is_plain, "{bytes}");
        }
    }

    #[tokio::test]
    async fn conversations_narrow_and_never_widen() {
        for (configured, said, rule) in [
            (("full", "off"), json!({}), Some(("full", "off"))),
            (
                ("full", "off"),
                json!({"execHost": "gateway"}),
                Some(("full", "off")),
            ),
            (
                ("full", "off"),
                json!({"execSecurity": "allowlist"}),
                Some(("allowlist", "off")),
            ),
            (("full", "off"), json!({"execSecurity": "deny"}), None),
            (("full", "off"), json!({"execSecurity": "odd"}), None),
            (
                ("full", "off"),
                json!({"execAsk": "always"}),
                Some(("full", "always")),
            ),
            (
                ("full", "off"),
                json!({"execAsk": "odd"}),
                Some(("full", "always")),
            ),
            (
                ("allowlist", "always"),
                json!({"execSecurity": "full", "execAsk": "off"}),
                Some(("allowlist", "always")),
            ),
            (("deny", "off"), json!({"execSecurity": "full"}), None),
            (
                ("full", "off"),
                json!({"execHost": "node", "execNode": "n1"}),
                None,
            ),
            (("full", "off"), json!({"execHost": "node"}), None),
            (("full", "off"), json!({"execHost": "sandbox"}), None),
            // Without a host the node is not asked for.
            (
                ("full", "off"),
                json!({"execNode": "n1"}),
                Some(("full", "off")),
            ),
        ] {
            let exec = json!({"security": configured.0, "ask": configured.1});
            let config = serde_json::from_value(json!({"tools": {"exec": exec}})).unwrap();
            let mut entry = serde_json::to_value(Entry::new(1)).unwrap();
            entry
                .as_object_mut()
                .unwrap()
                .extend(said.as_object().unwrap().clone());
            let request = ExecRequest {
                agent: "main".into(),
                session_key: "agent:main:main".into(),
                command: "date".into(),
                cwd: "/".into(),
                session: SessionExec::of(&serde_json::from_value(entry).unwrap()),
            };
            let ruling = ConfigGate::new(Arc::new(config)).rule(&request);
            let words = ruling.map(|ruling| (ruling.security.as_str(), ruling.ask.as_str()));
            assert_eq!(words.ok(), rule, "{configured:?} {said}");
        }
    }
}
