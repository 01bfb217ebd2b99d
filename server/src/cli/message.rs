//! `openclaw message send` and `openclaw message poll`: words and questions to people, through a channel and without an
//! agent.

use clap::{Args, Subcommand};
use openclaw_client::GatewayCalls;
use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::types::{PollParams, SendParams};

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
    /// Address, as the channel writes them
    #[arg(short, long)]
    pub target: NonEmptyString,
    /// Channel (default: the gateway's)
    #[arg(long)]
    pub channel: Option<String>,
    /// Account that sends (default: the channel's)
    #[arg(long)]
    pub account: Option<String>,
    /// Key of a retry: the same key gives the first delivery's outcome
    #[arg(long)]
    pub idempotency_key: Option<String>,
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
    #[arg(short, long)]
    pub message: NonEmptyString,
    /// Address of a picture or file to send along; may be given several times
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
    pub poll_question: NonEmptyString,
    /// An answer; to be given 2 to 12 times
    #[arg(long, required = true)]
    pub poll_option: Vec<NonEmptyString>,
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
    fn key(&self) -> NonEmptyString {
        let given = self.idempotency_key.clone().and_then(NonEmptyString::new);
        given.unwrap_or_else(|| NonEmptyString::or(uuid::Uuid::new_v4().to_string(), "message"))
    }

    fn show(&self, answer: &impl serde::Serialize, channel: &str, message_id: &str) {
        if self.json {
            print::json(answer);
        } else {
            print::line(&format!("Sent through {channel}: message {message_id}"));
        }
    }
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
    let client = connect(&place.connect, environment).await?;
    let params = SendParams {
        media_urls: (!args.media.is_empty()).then_some(args.media),
        gif_playback: args.gif_playback.then_some(true),
        channel: place.channel.clone(),
        account_id: place.account.clone(),
        ..SendParams::new(place.target.clone(), args.message, place.key())
    };
    let sent = client.send(&params).await?;
    place.show(&sent, &sent.channel, &sent.message_id);
    client.close().await;
    Ok(())
}

async fn poll(args: PollArgs, environment: &Environment) -> Result<(), Failure> {
    let place = args.place;
    let client = connect(&place.connect, environment).await?;
    let selections = args.poll_multi.then_some(args.poll_option.len() as u64);
    let params = PollParams {
        max_selections: selections,
        duration_hours: args.poll_duration_hours,
        channel: place.channel.clone(),
        account_id: place.account.clone(),
        ..PollParams::new(
            place.target.clone(),
            args.poll_question,
            args.poll_option,
            place.key(),
        )
    };
    let sent = client.poll(&params).await?;
    place.show(&sent, &sent.channel, &sent.message_id);
    client.close().await;
    Ok(())
}
