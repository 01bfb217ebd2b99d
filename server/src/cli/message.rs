//! `openclaw message send` and `openclaw message poll`: words and questions to people, through a channel and without an
//! agent. Commands and flags are those of the original, as far as the gateway's `send` and `poll` can do what they say.

use clap::{Args, Subcommand};
use openclaw_client::GatewayCalls;
use openclaw_protocol::methods::Method;
use openclaw_protocol::protocol::limits;
use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::types::{PollParams, SendParams};
use serde::Serialize;
use serde_json::json;

use super::client::Failure;
use super::connect::{ConnectArgs, connect};
use super::print;
use crate::paths::Environment;

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum MessageCommand {
    /// Send a message
    Send(SendArgs),
    /// Send a poll
    Poll(PollArgs),
}

/// To whom, and through what.
#[derive(Debug, Args)]
pub(super) struct WhereArgs {
    /// Address, as the channel writes them; for webchat the key of a conversation
    #[arg(short, long)]
    pub target: String,
    /// Channel, as webchat (default: the gateway's)
    #[arg(long)]
    pub channel: Option<String>,
    /// Account that sends (default: the channel's)
    #[arg(long)]
    pub account: Option<String>,
    /// Key of a retry: the same key gives the first delivery's outcome
    #[arg(long)]
    pub idempotency_key: Option<String>,
    /// Print what would be asked of the gateway, and send nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print the answer as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub connect: ConnectArgs,
}

/// `openclaw message send`.
#[derive(Debug, Args)]
pub(super) struct SendArgs {
    /// The words
    #[arg(short, long, required_unless_present = "media")]
    pub message: Option<String>,
    /// Address (https://…) of a picture or file to send along; may be given several times
    #[arg(long)]
    pub media: Vec<String>,
    /// Show a video as a moving picture
    #[arg(long)]
    pub gif_playback: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub place: WhereArgs,
}

/// `openclaw message poll`.
#[derive(Debug, Args)]
pub(super) struct PollArgs {
    /// The question
    #[arg(long)]
    pub poll_question: String,
    /// An answer; to be given 2 to 12 times
    #[arg(long, required = true)]
    pub poll_option: Vec<String>,
    /// Lets a person choose all of them
    #[arg(long)]
    pub poll_multi: bool,
    /// How long it is open, in hours
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub poll_duration_hours: Option<u64>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub place: WhereArgs,
}

impl WhereArgs {
    fn target(&self) -> Result<NonEmptyString, Failure> {
        filled(&self.target, "--target is empty: say to whom")
    }

    fn key(&self) -> NonEmptyString {
        let given = self.idempotency_key.clone().and_then(NonEmptyString::new);
        given.unwrap_or_else(|| NonEmptyString::or(uuid::Uuid::new_v4().to_string(), "message"))
    }

    fn show(&self, answer: &impl Serialize, channel: &str, message_id: &str) {
        if self.json {
            print::json(answer);
        } else {
            print::line(&format!("Sent through {channel}: message {message_id}"));
        }
    }
}

/// A text that is not blank.
fn filled(text: &str, complaint: &str) -> Result<NonEmptyString, Failure> {
    let given = NonEmptyString::new(text).filter(|text| !text.trim().is_empty());
    given.ok_or_else(|| Failure::flags(complaint))
}

/// Shows a request instead of making it.
fn rehearse(method: Method, params: &impl Serialize) {
    print::json(&json!({"method": method.name(), "params": params}));
}

/// Carries one of them out.
///
/// # Errors
/// See [`Failure`].
pub(super) async fn message(
    command: MessageCommand,
    environment: &Environment,
) -> Result<(), Failure> {
    match command {
        MessageCommand::Send(args) => send(args, environment).await,
        MessageCommand::Poll(args) => poll(args, environment).await,
    }
}

async fn send(args: SendArgs, environment: &Environment) -> Result<(), Failure> {
    let place = args.place;
    let Some(message) = &args.message else {
        return Err(Failure::flags(
            "--media alone cannot be sent: say something with it (--message)",
        ));
    };
    let message = filled(message, "--message is empty: say something")?;
    if let Some(path) = args.media.iter().find(|media| !media.contains("://")) {
        return Err(Failure::Flags(format!(
            "--media {path}: give an address (https://…); files of this machine are not uploaded"
        )));
    }
    let params = SendParams {
        media_urls: (!args.media.is_empty()).then_some(args.media),
        gif_playback: args.gif_playback.then_some(true),
        channel: place.channel.clone(),
        account_id: place.account.clone(),
        ..SendParams::new(place.target()?, message, place.key())
    };
    if place.dry_run {
        rehearse(Method::Send, &params);
        return Ok(());
    }
    let client = connect(&place.connect, environment).await?;
    let sent = client.send(&params).await?;
    place.show(&sent, &sent.channel, &sent.message_id);
    client.close().await;
    Ok(())
}

async fn poll(args: PollArgs, environment: &Environment) -> Result<(), Failure> {
    let place = args.place;
    let question = filled(
        &args.poll_question,
        "--poll-question is empty: ask something",
    )?;
    let count = args.poll_option.len() as u64;
    if !(limits::POLL_OPTIONS_MIN..=limits::POLL_OPTIONS_MAX).contains(&count) {
        return Err(Failure::Flags(format!(
            "a poll has {} to {} answers, and --poll-option was given {count} times",
            limits::POLL_OPTIONS_MIN,
            limits::POLL_OPTIONS_MAX
        )));
    }
    let options = args.poll_option.iter();
    let options = options.map(|option| filled(option, "--poll-option is empty: name an answer"));
    let params = PollParams {
        max_selections: args.poll_multi.then_some(count),
        duration_hours: args.poll_duration_hours,
        channel: place.channel.clone(),
        account_id: place.account.clone(),
        ..PollParams::new(
            place.target()?,
            question,
            options.collect::<Result<_, _>>()?,
            place.key(),
        )
    };
    if place.dry_run {
        rehearse(Method::Poll, &params);
        return Ok(());
    }
    let client = connect(&place.connect, environment).await?;
    let sent = client.poll(&params).await?;
    place.show(&sent, &sent.channel, &sent.message_id);
    client.close().await;
    Ok(())
}
