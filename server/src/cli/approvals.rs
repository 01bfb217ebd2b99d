//! `openclaw approvals`: which programs may run here, on the gateway or on a node, and the questions that wait.

use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use openclaw_client::{Client, Events, GatewayCalls, Notice};
use openclaw_protocol::events::Event;
use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::types::{
    ExecApprovalDecision, ExecApprovalRequestedEvent, ExecApprovalResolveParams,
    ExecApprovalsEntry, ExecApprovalsFile, ExecApprovalsGetParams, ExecApprovalsNodeGetParams,
    ExecApprovalsNodeResult, ExecApprovalsNodeSetParams, ExecApprovalsSetParams,
    ExecApprovalsSnapshot, IgnoredParams,
};

use super::client::Failure;
use super::connect::{PlainArgs, connect};
use super::print;
use crate::clock::{Clock, SystemClock};
use crate::exec_rules::{DEFAULT_AGENT, RulesError, RulesFile, SetRefusal};
use crate::paths::Environment;

/// `openclaw approvals …`.
#[derive(Debug, Subcommand)]
pub(super) enum ApprovalsCommand {
    /// Show which programs may run
    Get(TargetArgs),
    /// Replace the rules
    Set {
        /// File with the new rules, JSON
        #[arg(long, conflicts_with = "stdin", required_unless_present = "stdin")]
        file: Option<PathBuf>,
        /// Read the new rules from standard input
        #[arg(long)]
        stdin: bool,
        #[command(flatten)]
        target: TargetArgs,
    },
    /// Change the list of programs that are allowed
    Allowlist {
        #[command(subcommand)]
        command: AllowlistCommand,
    },
    /// Show the questions that wait for a decision
    Pending(PlainArgs),
    /// Decide a question
    Resolve {
        /// Its id
        id: String,
        /// What is decided
        #[arg(value_enum)]
        decision: Decision,
        #[command(flatten)]
        args: PlainArgs,
    },
}

/// `openclaw approvals allowlist …`.
#[derive(Debug, Subcommand)]
pub(super) enum AllowlistCommand {
    /// Allow a program
    Add(EntryArgs),
    /// Allow it no longer
    Remove(EntryArgs),
}

/// An entry of the allowlist.
#[derive(Debug, Args)]
pub(super) struct EntryArgs {
    /// Path of the program, or a pattern of paths
    pattern: String,
    /// Agent whose list it is; * for all
    #[arg(long, default_value = DEFAULT_AGENT)]
    agent: String,
    #[command(flatten)]
    target: TargetArgs,
}

/// Whose rules.
#[derive(Debug, Args)]
pub(super) struct TargetArgs {
    /// Those of the gateway's machine (default: of this one, read from its file)
    #[arg(long, conflicts_with = "node")]
    gateway: bool,
    /// Those of a node, by its id
    #[arg(long)]
    node: Option<String>,
    #[command(flatten)]
    #[allow(missing_docs)]
    plain: PlainArgs,
}

/// What may be decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Decision {
    /// Yes, this time
    AllowOnce,
    /// Yes, from now on
    AllowAlways,
    /// No
    Deny,
}

impl Decision {
    fn word(self) -> ExecApprovalDecision {
        match self {
            Self::AllowOnce => ExecApprovalDecision::AllowOnce,
            Self::AllowAlways => ExecApprovalDecision::AllowAlways,
            Self::Deny => ExecApprovalDecision::Deny,
        }
    }
}

/// Why it failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApprovalsFailure {
    /// The rules of this machine.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// Somebody else changed them meanwhile.
    #[error("the rules changed meanwhile; try again")]
    Changed,
    /// The new rules cannot be read.
    #[error("cannot read the new rules: {0}")]
    Read(std::io::Error),
    /// The new rules are none.
    #[error(
        "the new rules are not valid: {0}. Write for example {{\"version\":1,\"defaults\":{{\"security\":\"allowlist\"}}}}"
    )]
    Invalid(serde_json::Error),
    /// What the node answered is no rules.
    #[error("the node answered something else than its rules: {0}")]
    Node(serde_json::Error),
    /// An id, node or pattern is empty.
    #[error("{0} is empty")]
    Empty(&'static str),
}

/// Carries one of them out.
///
/// # Errors
/// See [`Failure`].
pub(super) async fn run(
    command: ApprovalsCommand,
    environment: &Environment,
) -> Result<(), Failure> {
    match command {
        ApprovalsCommand::Get(target) => {
            let place = Place::open(&target, environment).await?;
            let shown = place.get().await?;
            show(&shown, target.plain.json);
            place.close().await;
        }
        ApprovalsCommand::Set {
            file,
            stdin,
            target,
        } => {
            let rules = read_rules(file.filter(|_| !stdin))?;
            change(&target, environment, |_| rules).await?;
        }
        ApprovalsCommand::Allowlist { command } => {
            let (entry, adds) = match command {
                AllowlistCommand::Add(entry) => (entry, true),
                AllowlistCommand::Remove(entry) => (entry, false),
            };
            let pattern = entry.pattern.trim().to_owned();
            if pattern.is_empty() {
                return Err(ApprovalsFailure::Empty("the pattern").into());
            }
            change(&entry.target, environment, |mut rules| {
                edit(&mut rules, &entry.agent, &pattern, adds);
                rules
            })
            .await?;
        }
        ApprovalsCommand::Pending(args) => {
            let client = connect(&args.connect, environment).await?;
            let mut events = client.events();
            let pending = waiting(&client, &mut events).await?;
            show_pending(&pending, args.json);
            client.close().await;
        }
        ApprovalsCommand::Resolve { id, decision, args } => {
            let id = NonEmptyString::new(id).ok_or(ApprovalsFailure::Empty("the id"))?;
            let word = NonEmptyString::or(decision.word().as_str(), "deny");
            let client = connect(&args.connect, environment).await?;
            let answer = client
                .exec_approval_resolve(&ExecApprovalResolveParams::new(id.clone(), word))
                .await?;
            match args.json {
                true => print::json(&answer),
                false => print::line(&format!("{}: {}", &*id, decision.word())),
            }
            client.close().await;
        }
    }
    Ok(())
}

/// Questions that wait: the gateway tells of them right after hello-ok, so all are there once it answers a call.
async fn waiting(
    client: &Client,
    events: &mut Events,
) -> Result<Vec<ExecApprovalRequestedEvent>, Failure> {
    client.system_presence(&IgnoredParams::default()).await?;
    let mut pending = Vec::new();
    while let Ok(Some(notice)) = tokio::time::timeout(Duration::ZERO, events.next()).await {
        if let Notice::Event(event) = notice
            && let Some(Event::ExecApprovalRequested(asked)) = &event.event
        {
            pending.push(asked.clone());
        }
    }
    Ok(pending)
}

fn show_pending(pending: &[ExecApprovalRequestedEvent], json: bool) {
    if json {
        return print::json(&pending);
    }
    if pending.is_empty() {
        return print::line("No question waits.");
    }
    let now_ms = SystemClock.now_ms();
    let rows: Vec<Vec<String>> = pending
        .iter()
        .map(|asked| {
            let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
            vec![
                asked.id.to_string(),
                print::age(asked.expires_at_ms.saturating_sub(now_ms)),
                or_dash(&asked.request.agent_id),
                or_dash(&asked.request.host),
                asked.request.command.to_string(),
            ]
        })
        .collect();
    print::table(&["id", "time left", "agent", "host", "command"], &rows);
}

fn show(shown: &ExecApprovalsSnapshot, json: bool) {
    if json {
        return print::json(shown);
    }
    let defaults = &shown.file.defaults;
    let or = |word: &Option<String>, or: &str| word.clone().unwrap_or_else(|| or.to_owned());
    print::line(&format!("Rules: {}", &*shown.path));
    print::line(&format!(
        "Defaults: security {}, ask {}",
        or(&defaults.security, "not set"),
        or(&defaults.ask, "not set")
    ));
    let rows: Vec<Vec<String>> = shown
        .file
        .agents
        .iter()
        .flat_map(|(agent, rules)| {
            let used = |entry: &ExecApprovalsEntry| {
                entry
                    .last_used_command
                    .clone()
                    .unwrap_or_else(|| "-".to_owned())
            };
            let entries = rules.allowlist.iter().flatten();
            entries
                .map(|entry| vec![agent.clone(), entry.pattern.clone(), used(entry)])
                .collect::<Vec<_>>()
        })
        .collect();
    match rows.is_empty() {
        true => print::line("Allowed programs: none"),
        false => print::table(&["agent", "pattern", "last command"], &rows),
    }
}

fn read_rules(file: Option<PathBuf>) -> Result<ExecApprovalsFile, ApprovalsFailure> {
    let text = match file {
        Some(file) => std::fs::read_to_string(file),
        None => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map(|_| text)
        }
    };
    serde_json::from_str(&text.map_err(ApprovalsFailure::Read)?).map_err(ApprovalsFailure::Invalid)
}

/// Reads the rules, changes them, writes them back on the condition that nobody else did.
async fn change(
    target: &TargetArgs,
    environment: &Environment,
    change: impl FnOnce(ExecApprovalsFile) -> ExecApprovalsFile,
) -> Result<(), Failure> {
    let place = Place::open(target, environment).await?;
    let shown = place.get().await?;
    let mut rules = ExecApprovalsFile::new(shown.file.version);
    rules.defaults = Some(shown.file.defaults);
    rules.agents = Some(shown.file.agents);
    let shown = place.set(change(rules), shown.hash).await?;
    show(&shown, target.plain.json);
    place.close().await;
    Ok(())
}

fn edit(rules: &mut ExecApprovalsFile, agent: &str, pattern: &str, adds: bool) {
    let agents = rules.agents.get_or_insert_default();
    let list = agents
        .entry(agent.to_owned())
        .or_default()
        .allowlist
        .get_or_insert_default();
    let is_it = |entry: &ExecApprovalsEntry| entry.pattern.trim() == pattern;
    if !adds {
        list.retain(|entry| !is_it(entry));
    } else if !list.iter().any(is_it) {
        list.push(ExecApprovalsEntry::new(pattern.to_owned()));
    }
}

/// Where rules are.
enum Place {
    Here(RulesFile),
    Gateway(Client),
    Node(Client, NonEmptyString),
}

impl Place {
    async fn open(target: &TargetArgs, environment: &Environment) -> Result<Self, Failure> {
        if let Some(node) = &target.node {
            let node = NonEmptyString::new(node.trim()).ok_or(ApprovalsFailure::Empty("--node"))?;
            return Ok(Self::Node(
                connect(&target.plain.connect, environment).await?,
                node,
            ));
        }
        if target.gateway || target.plain.connect.url.is_some() {
            return Ok(Self::Gateway(
                connect(&target.plain.connect, environment).await?,
            ));
        }
        Ok(Self::Here(RulesFile::of_home(&environment.home)))
    }

    async fn get(&self) -> Result<ExecApprovalsSnapshot, Failure> {
        match self {
            Self::Here(file) => Ok(file.get().map_err(ApprovalsFailure::Rules)?),
            Self::Gateway(client) => Ok(client
                .exec_approvals_get(&ExecApprovalsGetParams::default())
                .await?),
            Self::Node(client, node) => {
                let params = ExecApprovalsNodeGetParams::new(node.clone());
                Ok(of_node(&client.exec_approvals_node_get(&params).await?)?)
            }
        }
    }

    async fn set(
        &self,
        rules: ExecApprovalsFile,
        hash: NonEmptyString,
    ) -> Result<ExecApprovalsSnapshot, Failure> {
        match self {
            Self::Here(file) => {
                Ok(file
                    .set(rules, Some(&hash))
                    .map_err(|refusal| match refusal {
                        SetRefusal::Rules(error) => ApprovalsFailure::Rules(error),
                        SetRefusal::Changed | SetRefusal::HashRequired => ApprovalsFailure::Changed,
                    })?)
            }
            Self::Gateway(client) => {
                let mut params = ExecApprovalsSetParams::new(rules);
                params.base_hash = Some(hash);
                Ok(client.exec_approvals_set(&params).await?)
            }
            Self::Node(client, node) => {
                let mut params = ExecApprovalsNodeSetParams::new(node.clone(), rules);
                params.base_hash = Some(hash);
                Ok(of_node(&client.exec_approvals_node_set(&params).await?)?)
            }
        }
    }

    async fn close(&self) {
        if let Self::Gateway(client) | Self::Node(client, _) = self {
            client.close().await;
        }
    }
}

fn of_node(answer: &ExecApprovalsNodeResult) -> Result<ExecApprovalsSnapshot, ApprovalsFailure> {
    serde_json::from_value(answer.clone()).map_err(ApprovalsFailure::Node)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_added_once_and_removed() {
        let mut rules = ExecApprovalsFile::new(1);
        let check = |rules: &ExecApprovalsFile, expected: &[&str]| {
            let list = rules.agents.as_ref().unwrap()["main"]
                .allowlist
                .as_ref()
                .unwrap();
            let patterns: Vec<&str> = list.iter().map(|entry| entry.pattern.as_str()).collect();
            assert_eq!(patterns, expected);
        };
        for (pattern, adds, expected) in [
            ("/bin/ls", true, &["/bin/ls"][..]),
            ("/bin/ls", true, &["/bin/ls"]),
            ("/bin/*", true, &["/bin/ls", "/bin/*"]),
            ("/bin/ls", false, &["/bin/*"]),
            ("/none", false, &["/bin/*"]),
        ] {
            edit(&mut rules, "main", pattern, adds);
            check(&rules, expected);
        }
    }
}
