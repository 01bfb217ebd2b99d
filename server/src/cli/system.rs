//! `openclaw system …`: texts for the agent, heartbeats, who is here.

use clap::{Args, Subcommand};
use openclaw_client::GatewayCalls;
use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::types::{
    HeartbeatEvent, IgnoredParams, PresenceEntry, SetHeartbeatsParams, WakeMode, WakeParams,
};

use super::client::Failure;
use super::connect::{PlainArgs, connect};
use super::print;
use crate::clock::{Clock, SystemClock, iso_8601};
use crate::paths::Environment;

#[derive(Debug, Subcommand)]
pub(super) enum SystemCommand {
    /// Note a text for the main conversation
    Event(EventArgs),
    /// Show or switch heartbeats
    Heartbeat {
        #[command(subcommand)]
        #[allow(missing_docs)]
        command: HeartbeatCommand,
    },
    /// Show who is here
    Presence(PlainArgs),
}

#[derive(Debug, Subcommand)]
pub(super) enum HeartbeatCommand {
    /// Show what came of the last one
    Last(PlainArgs),
    /// Let heartbeats run
    Enable(PlainArgs),
    /// Stop heartbeats until the gateway starts again
    Disable(PlainArgs),
}

/// `openclaw system event`.
#[derive(Debug, Args)]
pub(super) struct EventArgs {
    /// The text
    #[arg(long)]
    pub text: NonEmptyString,
    /// When the agent sees it: now, or at the next-heartbeat
    #[arg(long, default_value_t = WakeMode::NextHeartbeat)]
    pub mode: WakeMode,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub plain: PlainArgs,
}

/// Carries a command out.
///
/// # Errors
/// See [`Failure`].
pub(super) async fn system(
    command: SystemCommand,
    environment: &Environment,
) -> Result<(), Failure> {
    match command {
        SystemCommand::Event(args) => {
            let client = connect(&args.plain.connect, environment).await?;
            let result = client.wake(&WakeParams::new(args.mode, args.text)).await?;
            client.close().await;
            if args.plain.json {
                print::json(&result);
            } else if result.ok {
                print::line("ok");
            } else {
                return Err(Failure::flags("the text is blank"));
            }
            Ok(())
        }
        SystemCommand::Heartbeat { command } => match command {
            HeartbeatCommand::Last(args) => last(args, environment).await,
            HeartbeatCommand::Enable(args) => switch(args, true, environment).await,
            HeartbeatCommand::Disable(args) => switch(args, false, environment).await,
        },
        SystemCommand::Presence(args) => presence(args, environment).await,
    }
}

async fn last(args: PlainArgs, environment: &Environment) -> Result<(), Failure> {
    let client = connect(&args.connect, environment).await?;
    let last = client.last_heartbeat(&IgnoredParams::default()).await?;
    client.close().await;
    match last {
        _ if args.json => print::json(&last),
        Some(last) => print::line(&in_words(&last)),
        None => print::line("There was none since the gateway started."),
    }
    Ok(())
}

async fn switch(args: PlainArgs, enabled: bool, environment: &Environment) -> Result<(), Failure> {
    let client = connect(&args.connect, environment).await?;
    let params = SetHeartbeatsParams {
        enabled: Some(enabled),
    };
    let result = client.set_heartbeats(&params).await?;
    client.close().await;
    if args.json {
        print::json(&result);
    } else {
        print::line(&format!(
            "Heartbeats: {}",
            if result.enabled { "on" } else { "off" }
        ));
    }
    Ok(())
}

async fn presence(args: PlainArgs, environment: &Environment) -> Result<(), Failure> {
    let client = connect(&args.connect, environment).await?;
    let list = client.system_presence(&IgnoredParams::default()).await?;
    client.close().await;
    if args.json {
        print::json(&list);
    } else {
        let now = SystemClock.now_ms();
        let rows: Vec<_> = list.0.iter().map(|entry| row(entry, now)).collect();
        print::table(&["host", "mode", "version", "reason", "seen"], &rows);
    }
    Ok(())
}

fn row(entry: &PresenceEntry, now: u64) -> Vec<String> {
    let shown = |text: &Option<NonEmptyString>| {
        text.as_ref()
            .map_or_else(|| "-".to_owned(), NonEmptyString::to_string)
    };
    // A text that is about nobody stands for itself.
    let host = match (&entry.host, &entry.text) {
        (None, Some(text)) => text.clone(),
        (host, _) => shown(host),
    };
    vec![
        host,
        shown(&entry.mode),
        shown(&entry.version),
        shown(&entry.reason),
        format!("{} ago", print::age(now.saturating_sub(entry.ts))),
    ]
}

/// A heartbeat's outcome in a line.
fn in_words(event: &HeartbeatEvent) -> String {
    let mut words = format!("{}: {}", iso_8601(event.ts), event.status.as_str());
    if let Some(reason) = &event.reason {
        words.push_str(&format!(" ({reason})"));
    }
    if let Some(ms) = event.duration_ms {
        words.push_str(&format!(", {ms} ms"));
    }
    if let Some(preview) = event
        .preview
        .as_deref()
        .and_then(|text| text.lines().next())
    {
        words.push_str(&format!(": {preview}"));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn outcomes_in_words() {
        for (event, words) in [
            (
                json!({"ts": 0, "status": "ok-token"}),
                "1970-01-01T00:00:00.000Z: ok-token",
            ),
            (
                json!({"ts": 0, "status": "skipped", "reason": "no-target", "durationMs": 7, "preview": "a\nb"}),
                "1970-01-01T00:00:00.000Z: skipped (no-target), 7 ms: a",
            ),
        ] {
            assert_eq!(in_words(&serde_json::from_value(event).unwrap()), words);
        }
    }

    #[test]
    fn who_is_here() {
        let check = |entry: serde_json::Value, expected: [&str; 5]| {
            assert_eq!(
                row(&serde_json::from_value(entry).unwrap(), 61_000),
                expected
            );
        };
        check(
            json!({"ts": 1000, "host": "a", "mode": "ui", "version": "1", "reason": "connect", "text": "Node: a"}),
            ["a", "ui", "1", "connect", "1 min ago"],
        );
        check(
            json!({"ts": 61_000, "text": "plain words"}),
            ["plain words", "-", "-", "-", "0 s ago"],
        );
    }
}
