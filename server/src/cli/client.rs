//! The commands that talk to a gateway: `call`, `health`, `status`, `agent`.
//!
//! Each connects, asks, prints and ends. Exit codes: 0 done, 1 the gateway refused or cannot be reached or the run
//! failed, 2 the command line is wrong (clap's own).

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use openclaw_client::{CallError, Client, GatewayCalls};
use openclaw_protocol::types::{
    HealthParams, HealthSummary, IgnoredParams, StatusRefusals, StatusSummary,
};
use serde_json::value::RawValue;

use super::connect::{ConnectArgs, ConnectFailure, PlainArgs, connect};
use super::nodes::NoSuchNode;
use super::print;
use crate::paths::Environment;

/// `openclaw gateway call` and `openclaw call`.
#[derive(Debug, Args)]
pub(super) struct CallArgs {
    /// Method name, as `health` or `chat.history`
    pub method: String,
    /// Params as JSON
    #[arg(long, default_value = "{}")]
    pub params: String,
    /// Wait for the final answer of a method that answers twice
    #[arg(long)]
    pub expect_final: bool,
    /// Print the payload only, as JSON (it is JSON anyway; kept for scripts)
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub connect: ConnectArgs,
}

/// `openclaw health`.
#[derive(Debug, Args)]
pub(super) struct HealthArgs {
    /// Ask the channels themselves instead of showing the last summary
    #[arg(long)]
    pub probe: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub plain: PlainArgs,
}

/// Why a command failed, in words for its user.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectFailure),
    /// The call failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The params are no JSON.
    #[error("--params is not JSON: {0}. Write for example --params '{{\"limit\":5}}'")]
    Params(serde_json::Error),
    /// Which node is meant cannot be told.
    #[error(transparent)]
    Node(#[from] NoSuchNode),
    /// The command is empty.
    #[error("--command is empty: name a command, as --command system.which")]
    EmptyCommand,
    /// The name is empty.
    #[error("--name is empty: give the node a name")]
    EmptyName,
    /// Several devices begin with these characters.
    #[error(
        "several devices have an id that begins with {0}: give more of it (openclaw devices list --json)"
    )]
    ManyDevices(String),
    /// The message is empty.
    #[error("--message is empty: say something to the agent")]
    EmptyMessage,
    /// The flags make no sense together, or name nothing.
    #[error("{0}")]
    Flags(String),
    /// The run ended with an error.
    #[error("{0}")]
    Run(String),
    /// A command about approvals.
    #[error(transparent)]
    Approvals(#[from] super::approvals::ApprovalsFailure),
    /// The node host.
    #[error(transparent)]
    NodeHost(#[from] super::node::NodeFailure),
}

impl Failure {
    /// As [`Failure::Flags`].
    pub(super) fn flags(text: &str) -> Self {
        Self::Flags(text.to_owned())
    }
}

/// Runs a command to its end and turns what went wrong into words and an exit code.
pub(super) async fn finish(outcome: impl Future<Output = Result<(), Failure>>) -> ExitCode {
    match outcome.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            print::complain(&failure.to_string());
            ExitCode::FAILURE
        }
    }
}

/// Calls any method and prints its payload as JSON.
///
/// # Errors
/// See [`Failure`].
pub(super) async fn call(args: CallArgs, environment: &Environment) -> Result<(), Failure> {
    let params: Box<RawValue> = serde_json::from_str(&args.params).map_err(Failure::Params)?;
    let client = connect(&args.connect, environment).await?;
    let client = client.with_final_timeout(Duration::from_millis(args.connect.timeout));
    let payload = if args.expect_final {
        let stages = client.request_staged(&args.method, &params).await?;
        if is_accepted(&stages.first) {
            stages.last.await?
        } else {
            stages.first
        }
    } else {
        client.request(&args.method, &params).await?
    };
    print::json(&payload_value(&payload));
    client.close().await;
    Ok(())
}

/// The two-stage rule: a first payload with `status: "accepted"` is followed by another.
fn is_accepted(payload: &RawValue) -> bool {
    payload_value(payload)
        .get("status")
        .and_then(|status| status.as_str())
        .is_some_and(|status| {
            status == openclaw_protocol::types::AgentAcceptedStatus::Accepted.as_str()
        })
}

fn payload_value(payload: &RawValue) -> serde_json::Value {
    serde_json::from_str(payload.get()).unwrap_or(serde_json::Value::Null)
}

/// Asks how the gateway is.
///
/// # Errors
/// See [`Failure`].
pub(super) async fn health(args: HealthArgs, environment: &Environment) -> Result<(), Failure> {
    let client = connect(&args.plain.connect, environment).await?;
    let params = HealthParams {
        probe: args.probe.then_some(true),
    };
    let health = client.health(&params).await?;
    if args.plain.json {
        print::json(&health);
    } else {
        show_health(&client, &health);
    }
    client.close().await;
    Ok(())
}

fn show_health(client: &Client, health: &HealthSummary) {
    let hello = client.hello();
    print::line(&format!(
        "Gateway: ok, version {}, up {}",
        &*hello.server.version,
        print::age(hello.snapshot.uptime_ms)
    ));
    if health.channel_order.is_empty() {
        print::line("Channels: none");
    }
    for channel in &health.channel_order {
        let label = health.channel_labels.get(channel).unwrap_or(channel);
        print::line(&format!("Channel: {label}"));
    }
    for agent in &health.agents {
        let default = if agent.is_default { " (default)" } else { "" };
        print::line(&format!(
            "Agent {}{default}: {} conversations, heartbeat {}",
            &*agent.agent_id,
            agent.sessions.count,
            if health.heartbeat_seconds > 0 {
                agent.heartbeat.every.as_str()
            } else {
                "off"
            }
        ));
    }
}

/// Shows conversations and what waits.
///
/// # Errors
/// See [`Failure`].
pub(super) async fn status(args: PlainArgs, environment: &Environment) -> Result<(), Failure> {
    let client = connect(&args.connect, environment).await?;
    let status = client.status(&IgnoredParams::default()).await?;
    if args.json {
        print::json(&status);
    } else {
        show_status(&client, &status);
    }
    client.close().await;
    Ok(())
}

fn refused(refusals: &StatusRefusals) -> String {
    let counts = refusals.counts.iter();
    let counts: Vec<String> = counts
        .map(|refusal| format!("{} ({})", refusal.reason, refusal.count))
        .collect();
    if counts.is_empty() {
        return "Refused since the start: nobody".to_owned();
    }
    format!("Refused since the start: {}", counts.join(", "))
}

fn show_status(client: &Client, status: &StatusSummary) {
    let hello = client.hello();
    print::line(&format!(
        "Gateway: version {}, up {}, protocol {}",
        &*hello.server.version,
        print::age(hello.snapshot.uptime_ms),
        hello.protocol
    ));
    if let Some(path) = &hello.snapshot.config_path {
        print::line(&format!("Config: {}", &**path));
    }
    for text in &status.channel_summary {
        print::line(text);
    }
    for text in &status.queued_system_events {
        print::line(&format!("Waiting for the agent: {text}"));
    }
    if let Some(refusals) = &status.refusals {
        print::line(&refused(refusals));
    }
    print::line(&format!("Conversations: {}", status.sessions.count));
    let rows: Vec<Vec<String>> = status
        .sessions
        .recent
        .iter()
        .map(|row| {
            vec![
                row.key.to_string(),
                row.age.map_or_else(|| "-".to_owned(), print::age),
                row.model.clone().unwrap_or_else(|| "-".to_owned()),
                row.total_tokens.to_string(),
            ]
        })
        .collect();
    if !rows.is_empty() {
        print::table(&["key", "age", "model", "tokens"], &rows);
    }
}
