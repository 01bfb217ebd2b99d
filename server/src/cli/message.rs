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
    /// Print what is asked of the gateway as well, to stderr
    #[arg(long)]
    pub verbose: bool,
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
    /// Conversation whose history is to show what was sent
    #[arg(long)]
    pub session_key: Option<String>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub beyond: BeyondArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub place: WhereArgs,
}

/// Flags of the original for which the gateway's `send` has no member. They are known so that they are refused in words.
#[derive(Debug, Args)]
pub(super) struct BeyondArgs {
    /// Refused: the gateway's send cannot answer a message
    #[arg(long, value_name = "ID")]
    pub reply_to: Option<String>,
    /// Refused: the gateway's send knows no threads
    #[arg(long, value_name = "ID")]
    pub thread_id: Option<String>,
    /// Refused: the gateway's send cannot leave notifications out
    #[arg(long)]
    pub silent: bool,
    /// Refused: the gateway's send knows no buttons
    #[arg(long, value_name = "JSON")]
    pub buttons: Option<String>,
    /// Refused: the gateway's send knows no cards
    #[arg(long, value_name = "JSON")]
    pub card: Option<String>,
}

impl BeyondArgs {
    /// The flags that were given.
    fn given(&self) -> Vec<&'static str> {
        let flags = [
            ("--reply-to", self.reply_to.is_some()),
            ("--thread-id", self.thread_id.is_some()),
            ("--silent", self.silent),
            ("--buttons", self.buttons.is_some()),
            ("--card", self.card.is_some()),
        ];
        let given = flags.into_iter().filter(|(_, is_given)| *is_given);
        given.map(|(flag, _)| flag).collect()
    }
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
    /// Refused: the gateway's poll has a question and answers, and no words beside them
    #[arg(short, long)]
    pub message: Option<String>,
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

/// A flag whose wish the gateway's method has no member for. Nothing was sent.
fn beyond(flags: &[&str], method: Method) -> Result<(), Failure> {
    if flags.is_empty() {
        return Ok(());
    }
    Err(Failure::Flags(format!(
        "{}: the gateway's `{}` cannot carry this; leave it out",
        flags.join(", "),
        method.name()
    )))
}

/// Shows a request; whether it is to be made.
fn is_meant(place: &WhereArgs, method: Method, params: &impl Serialize) -> bool {
    let request = json!({"method": method.name(), "params": params});
    if place.dry_run {
        print::json(&request);
    } else if place.verbose {
        print::aside(&request.to_string());
    }
    !place.dry_run
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
    beyond(&args.beyond.given(), Method::Send)?;
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
        session_key: args.session_key,
        ..SendParams::new(place.target()?, message, place.key())
    };
    if !is_meant(&place, Method::Send, &params) {
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
    let words = args.message.as_ref().map(|_| "--message");
    beyond(words.as_slice(), Method::Poll)?;
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
    if !is_meant(&place, Method::Poll, &params) {
        return Ok(());
    }
    let client = connect(&place.connect, environment).await?;
    let sent = client.poll(&params).await?;
    place.show(&sent, &sent.channel, &sent.message_id);
    client.close().await;
    Ok(())
}
