//! `openclaw agent --message …`: one turn of an agent, its words printed as they come.

use std::time::Duration;

use clap::Args;
use openclaw_client::{CallError, Events, GatewayCalls, Notice, Staging};
use openclaw_protocol::events::Event;
use openclaw_protocol::protocol::limits;
use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::types::{AgentFailure, AgentFinal, AgentParams, AgentStream};

use super::client::Failure;
use super::connect::{ConnectArgs, connect};
use super::print;
use crate::paths::Environment;

/// Time that a run may take beyond its own limit before the command gives up on it.
const GRACE: Duration = Duration::from_secs(30);

/// `openclaw agent`.
#[derive(Debug, Args)]
pub(super) struct AgentArgs {
    /// What to say
    #[arg(short, long)]
    pub message: String,
    /// Agent to ask (default: the configured one)
    #[arg(long)]
    pub agent: Option<String>,
    /// Conversation to go on with (default: the agent's main one)
    #[arg(long)]
    pub session_key: Option<String>,
    /// Conversation by its id
    #[arg(long)]
    pub session_id: Option<String>,
    /// Send the reply to people as well: to --reply-to, or to where the conversation's last message came from
    #[arg(long)]
    pub deliver: bool,
    /// Address of the other side, as the channel writes them
    #[arg(short, long)]
    pub to: Option<String>,
    /// Channel of the conversation, or last
    #[arg(long)]
    pub channel: Option<String>,
    /// Address of a delivered reply, if not --to
    #[arg(long)]
    pub reply_to: Option<String>,
    /// Channel of a delivered reply, if not --channel
    #[arg(long)]
    pub reply_channel: Option<String>,
    /// Account that sends a delivered reply (default: the channel's)
    #[arg(long)]
    pub reply_account: Option<String>,
    /// How long to think: off, minimal, low, medium, high, xhigh
    #[arg(long)]
    pub thinking: Option<String>,
    /// Time limit of the run, in seconds
    #[arg(long = "run-timeout", default_value_t = limits::AGENT_TIMEOUT_SECONDS, value_parser = clap::value_parser!(u64).range(1..))]
    pub run_timeout: u64,
    /// Key of a retry: the same key gives the first run's outcome
    #[arg(long)]
    pub idempotency_key: Option<String>,
    /// Print the final answer as JSON instead of the text as it comes
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub connect: ConnectArgs,
}

/// Runs one turn.
///
/// # Errors
/// See [`Failure`].
pub(super) async fn agent(args: AgentArgs, environment: &Environment) -> Result<(), Failure> {
    let message = NonEmptyString::new(args.message).ok_or(Failure::EmptyMessage)?;
    let key = args
        .idempotency_key
        .and_then(NonEmptyString::new)
        .unwrap_or_else(|| NonEmptyString::or(uuid::Uuid::new_v4().to_string(), "run"));
    let client = connect(&args.connect, environment).await?;
    let client = client.with_final_timeout(Duration::from_secs(args.run_timeout) + GRACE);
    let mut params = AgentParams::new(message, key.clone());
    params.agent_id = args.agent.and_then(NonEmptyString::new);
    params.session_id = args.session_id;
    params.thinking = args.thinking;
    params.deliver = args.deliver.then_some(true);
    params.to = args.to;
    params.channel = args.channel;
    params.reply_to = args.reply_to;
    params.reply_channel = args.reply_channel;
    params.reply_account_id = args.reply_account;
    params.timeout = Some(args.run_timeout);
    // Without any choice the gateway could not tell which conversation is meant.
    params.session_key = args.session_key.or_else(|| {
        let unchosen = params.agent_id.is_none() && params.session_id.is_none();
        let hello = client.hello();
        let defaults = hello.snapshot.session_defaults.as_ref();
        unchosen
            .then(|| defaults.map_or_else(|| "main".to_owned(), |d| d.main_session_key.to_string()))
    });
    let mut events = client.events();
    let outcome = match client.agent(&params).await? {
        Staging::Ended(outcome) => Ok(outcome),
        Staging::Running { last, .. } if args.json => last.await,
        Staging::Running { last, .. } => stream(&mut events, &key, last).await,
    };
    let outcome = outcome.map_err(in_words)?;
    if args.json {
        print::json(&outcome);
    }
    client.close().await;
    Ok(())
}

/// Prints the run's words until its final answer is there, then what they left out.
async fn stream(
    events: &mut Events,
    run: &NonEmptyString,
    last: impl Future<Output = Result<AgentFinal, CallError>>,
) -> Result<AgentFinal, CallError> {
    let mut printed = String::new();
    let mut last = std::pin::pin!(last);
    let outcome = loop {
        tokio::select! {
            biased;
            notice = events.next() => match notice {
                Some(Notice::Event(event)) => {
                    if let Some(Event::Agent(agent)) = &event.event
                        && agent.run_id == *run
                        && agent.stream == AgentStream::Assistant
                        && let Some(text) = &agent.data.text
                    {
                        show(&mut printed, text);
                    }
                }
                Some(_) => {}
                None => break last.await,
            },
            outcome = &mut last => break outcome,
        }
    };
    if let Ok(outcome) = &outcome {
        let text: Vec<&str> = outcome
            .result
            .payloads
            .iter()
            .map(|p| p.text.as_str())
            .collect();
        show(&mut printed, &text.join("\n\n"));
    }
    if !printed.is_empty() && !printed.ends_with('\n') {
        print::piece("\n");
    }
    outcome
}

/// Prints what is new of a text that grows. A text that does not go on from what was printed starts a new line.
fn show(printed: &mut String, text: &str) {
    match text.strip_prefix(printed.as_str()) {
        Some(new) => print::piece(new),
        None if printed.trim_end() == text.trim_end() => return,
        None => print::piece(&format!("\n{text}")),
    }
    text.clone_into(printed);
}

fn in_words(error: CallError) -> Failure {
    if let CallError::Refused {
        payload: Some(payload),
        ..
    } = &error
        && let Ok(failure) = serde_json::from_str::<AgentFailure>(payload.get())
    {
        return Failure::Run(format!("the run failed: {}", failure.summary));
    }
    Failure::Call(error)
}
