//! `openclaw outbox list|show|retry|cancel`: what is on its way to people, and what became of it.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use openclaw_client::{CallError, GatewayCalls};
use openclaw_protocol::protocol::{errors, limits};
use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::types::{
    OutboxCancelParams, OutboxDelivery, OutboxGetParams, OutboxGetResult, OutboxListParams,
    OutboxListResult, OutboxRetryParams, OutboxState,
};

use super::client::Failure;
use super::connect::{PlainArgs, connect};
use super::print;
use crate::clock::iso_8601;
use crate::paths::Environment;
use crate::text::first_chars;

/// Characters of an id in tables: as many as tell a thousand deliveries apart. `--json` has all of them.
const ID_CHARS: usize = 12;

/// Characters of a message or problem in tables.
const WORDS_CHARS: usize = 48;

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum OutboxCommand {
    /// List messages, the newest first
    List(ListArgs),
    /// Show a message and what became of it
    Show(OneArgs),
    /// Try a message again that waits, has failed, or may have failed
    Retry(RetryArgs),
    /// Call off a message that waits
    Cancel(OneArgs),
}

/// `openclaw outbox list`.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Only those in this state
    #[arg(long, value_parser = states())]
    pub state: Option<OutboxState>,
    /// Only those through this channel
    #[arg(long)]
    pub channel: Option<String>,
    /// Show at most so many
    #[arg(long, default_value_t = limits::OUTBOX_LIST_DEFAULT, value_parser = clap::value_parser!(u64).range(1..=limits::OUTBOX_LIST_MAX))]
    pub limit: u64,
    /// Only those before this number, which the page before names
    #[arg(long, value_name = "NUMBER")]
    pub before: Option<u64>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub plain: PlainArgs,
}

/// A command about one message.
#[derive(Debug, Args)]
pub(super) struct OneArgs {
    /// The message's id, all of it or so much of its start that only one has it
    pub id: String,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub plain: PlainArgs,
}

/// `openclaw outbox retry`.
#[derive(Debug, Args)]
pub(super) struct RetryArgs {
    /// Also when nobody knows whether it has arrived: then it may arrive twice
    #[arg(long)]
    pub may_duplicate: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub one: OneArgs,
}

impl OneArgs {
    fn id(&self) -> Result<NonEmptyString, Failure> {
        NonEmptyString::new(self.id.trim()).ok_or_else(|| {
            Failure::flags("no id: copy one from openclaw outbox list, or its beginning")
        })
    }
}

/// The words for states.
fn states() -> impl TypedValueParser<Value = OutboxState> {
    let words = [
        OutboxState::Queued,
        OutboxState::Sending,
        OutboxState::Sent,
        OutboxState::Failed,
        OutboxState::Unknown,
        OutboxState::Cancelled,
    ]
    .map(OutboxState::as_str);
    PossibleValuesParser::new(words).try_map(|word| word.parse::<OutboxState>())
}

/// Carries one of them out.
///
/// # Errors
/// See [`Failure`].
pub(super) async fn outbox(
    command: OutboxCommand,
    environment: &Environment,
) -> Result<(), Failure> {
    match command {
        OutboxCommand::List(args) => list(args, environment).await,
        OutboxCommand::Show(args) => show(args, environment).await,
        OutboxCommand::Retry(args) => retry(args, environment).await,
        OutboxCommand::Cancel(args) => cancel(args, environment).await,
    }
}

async fn list(args: ListArgs, environment: &Environment) -> Result<(), Failure> {
    let client = connect(&args.plain.connect, environment).await?;
    let params = OutboxListParams {
        limit: Some(args.limit),
        before: args.before,
        state: args.state,
        channel: args.channel,
    };
    let listed = client.outbox_list(&params).await?;
    print::answer(&listed, args.plain.json, show_list);
    client.close().await;
    Ok(())
}

fn show_list(listed: &OutboxListResult) {
    if listed.deliveries.is_empty() {
        print::line("No messages.");
        return;
    }
    let rows: Vec<Vec<String>> = listed
        .deliveries
        .iter()
        .map(|delivery| {
            let words = delivery.problem.as_ref().unwrap_or(&delivery.preview);
            vec![
                short(delivery),
                delivery.state.to_string(),
                delivery.origin.to_string(),
                delivery.channel.clone(),
                delivery.to.clone(),
                print::age(listed.ts.saturating_sub(delivery.changed_at_ms)),
                delivery.attempts.to_string(),
                first_chars(words, WORDS_CHARS).to_owned(),
            ]
        })
        .collect();
    let head = [
        "id",
        "state",
        "from",
        "channel",
        "to",
        "age",
        "tries",
        "problem or words",
    ];
    print::table(&head, &rows);
    if let Some(before) = listed.next_before {
        print::line(&format!("There are more: --before {before}"));
    }
}

async fn show(args: OneArgs, environment: &Environment) -> Result<(), Failure> {
    let params = OutboxGetParams::new(args.id()?);
    let client = connect(&args.plain.connect, environment).await?;
    let found = client.outbox_get(&params).await?;
    print::answer(&found, args.plain.json, show_one);
    client.close().await;
    Ok(())
}

fn show_one(found: &OutboxGetResult) {
    let OutboxGetResult { delivery, .. } = found;
    let fact = |name: &str, value: &str| print::line(&format!("{name:<9} {value}"));
    fact("id", &delivery.id);
    fact("state", delivery.state.as_str());
    if let Some(problem) = &delivery.problem {
        fact("problem", problem);
    }
    fact("from", delivery.origin.as_str());
    fact("channel", &delivery.channel);
    fact("to", &delivery.to);
    for (name, value) in [
        ("account", &delivery.account_id),
        ("noted in", &delivery.session_key),
        ("message", &delivery.message_id),
    ] {
        if let Some(value) = value {
            fact(name, value);
        }
    }
    fact("tries", &delivery.attempts.to_string());
    fact("accepted", &iso_8601(delivery.queued_at_ms));
    fact("changed", &iso_8601(delivery.changed_at_ms));
    print::line("");
    for line in found.text.lines() {
        print::line(line);
    }
    for url in found.media_urls.iter().flatten() {
        print::line(url);
    }
    for option in found.options.iter().flatten() {
        print::line(&format!("- {option}"));
    }
}

async fn retry(args: RetryArgs, environment: &Environment) -> Result<(), Failure> {
    let params = OutboxRetryParams {
        may_duplicate: args.may_duplicate.then_some(true),
        ..OutboxRetryParams::new(args.one.id()?)
    };
    let client = connect(&args.one.plain.connect, environment).await?;
    let retried = client.outbox_retry(&params).await;
    let delivery = retried.map_err(|error| match error {
        CallError::Refused { error, .. } if *error == errors::OUTBOX_MAY_DUPLICATE.error() => {
            Failure::flags(
                "the message may have arrived: add --may-duplicate if a second copy does no harm",
            )
        }
        other => other.into(),
    })?;
    tell(&delivery, args.one.plain.json, "Tried again");
    client.close().await;
    Ok(())
}

async fn cancel(args: OneArgs, environment: &Environment) -> Result<(), Failure> {
    let params = OutboxCancelParams::new(args.id()?);
    let client = connect(&args.plain.connect, environment).await?;
    let delivery = client.outbox_cancel(&params).await?;
    tell(&delivery, args.plain.json, "Cancelled");
    client.close().await;
    Ok(())
}

fn tell(delivery: &OutboxDelivery, as_json: bool, what: &str) {
    if as_json {
        print::json(delivery);
    } else {
        let (id, to, channel) = (short(delivery), &delivery.to, &delivery.channel);
        print::line(&format!("{what}: {id} to {to} through {channel}"));
    }
}

fn short(delivery: &OutboxDelivery) -> String {
    delivery.id.chars().take(ID_CHARS).collect()
}
