//! `openclaw devices …`: devices that may connect, those that want to, and their tokens.
//!
//! Commands and flags are those of the original, as far as recordings show them.

mod rows;

use clap::{Args, Subcommand};
use openclaw_client::{Client, GatewayCalls};
use openclaw_protocol::rt::{NonEmptyString, SecretString};
use openclaw_protocol::types::{
    DevicePairApproveParams, DevicePairListParams, DevicePairListResult, DevicePairRejectParams,
    DeviceTokenRevokeParams, DeviceTokenRotateParams,
};

pub(super) use rows::{WAITING_HEAD, device_row, node_row};

use super::client::Failure;
use super::connect::{ConnectArgs, PlainArgs, connect};
use super::print;
use crate::clock::{Clock, SystemClock};
use crate::paths::Environment;
use rows::{joined, name_of, paired_row, short};

/// `openclaw devices`.
#[derive(Debug, Subcommand)]
pub(super) enum DevicesCommand {
    /// Show devices that wait and devices that may connect
    List(PlainArgs),
    /// Let a waiting device in, with what it asked for
    Approve(RequestArgs),
    /// Refuse a waiting device; it may ask again
    Reject(RequestArgs),
    /// Give a device a new token for a role; the old one and its connections end
    Rotate(RotateArgs),
    /// Make a device's token for a role useless and end its connections
    Revoke(RevokeArgs),
}

/// Flags of decisions.
#[derive(Debug, Args)]
pub(super) struct RequestArgs {
    /// The request, as the list shows it
    pub request_id: NonEmptyString,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub plain: PlainArgs,
}

/// Flags of `devices rotate`.
#[derive(Debug, Args)]
pub(super) struct RotateArgs {
    /// The device's id, all of it or so much of its start that only one device has it
    #[arg(long)]
    pub device: NonEmptyString,
    /// Role that the token opens
    #[arg(long)]
    pub role: NonEmptyString,
    /// Scopes that the new token opens (default: those of the old one)
    #[arg(long, num_args = 1..)]
    pub scope: Vec<NonEmptyString>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub plain: PlainArgs,
}

/// Flags of `devices revoke`.
#[derive(Debug, Args)]
pub(super) struct RevokeArgs {
    /// The device's id, all of it or so much of its start that only one device has it
    #[arg(long)]
    pub device: NonEmptyString,
    /// Role that the token opens
    #[arg(long)]
    pub role: NonEmptyString,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub plain: PlainArgs,
}

/// Length of a whole device id: SHA-256 in hex.
const DEVICE_ID_CHARS: usize = 64;

/// Carries out `openclaw devices`.
///
/// # Errors
/// See [`Failure`].
pub(super) async fn devices(
    command: DevicesCommand,
    environment: &Environment,
) -> Result<(), Failure> {
    let client = connect(command.connection(), environment).await?;
    match command {
        DevicesCommand::List(args) => {
            let list = list(&client).await?;
            print::answer(&list, args.json, |list| show(list, SystemClock.now_ms()));
        }
        DevicesCommand::Approve(args) => approve(&client, args).await?,
        DevicesCommand::Reject(args) => reject(&client, args).await?,
        DevicesCommand::Rotate(args) => {
            let device = whole_id(&client, args.device).await?;
            let mut params = DeviceTokenRotateParams::new(device, args.role);
            params.scopes = Some(args.scope).filter(|scopes| !scopes.is_empty());
            let rotated = client.device_token_rotate(&params).await?;
            print::answer(&rotated, args.plain.json, |rotated| {
                print::line(&format!(
                    "New {} token of {} for {}; it is shown this once, bring it to the device:",
                    rotated.role,
                    short(&rotated.device_id),
                    joined(&rotated.scopes)
                ));
                print::line(SecretString::expose(&rotated.token));
            });
        }
        DevicesCommand::Revoke(args) => {
            let device = whole_id(&client, args.device).await?;
            let params = DeviceTokenRevokeParams::new(device, args.role);
            let revoked = client.device_token_revoke(&params).await?;
            print::answer(&revoked, args.plain.json, |revoked| {
                print::line(&format!(
                    "Revoked the {} token of {}. With the gateway's shared secret the device can still connect.",
                    revoked.role,
                    short(&revoked.device_id)
                ));
            });
        }
    }
    client.close().await;
    Ok(())
}

impl DevicesCommand {
    fn connection(&self) -> &ConnectArgs {
        match self {
            Self::List(args) => &args.connect,
            Self::Approve(args) | Self::Reject(args) => &args.plain.connect,
            Self::Rotate(args) => &args.plain.connect,
            Self::Revoke(args) => &args.plain.connect,
        }
    }
}

/// Devices that wait, and those that are paired.
pub(super) async fn list(client: &Client) -> Result<DevicePairListResult, Failure> {
    let params = DevicePairListParams::default();
    Ok(client.device_pair_list(&params).await?)
}

/// Lets a device in that waits.
pub(super) async fn approve(client: &Client, args: RequestArgs) -> Result<(), Failure> {
    let params = DevicePairApproveParams::new(args.request_id);
    let approved = client.device_pair_approve(&params).await?;
    print::answer(&approved, args.plain.json, |approved| {
        let device = &approved.device;
        print::line(&format!(
            "Paired {} as {} for {}. It gets its token when it connects.",
            name_of(&device.display_name, &device.device_id),
            joined(&device.roles),
            joined(device.scopes.as_deref().unwrap_or_default())
        ));
    });
    Ok(())
}

/// Refuses a device that waits.
pub(super) async fn reject(client: &Client, args: RequestArgs) -> Result<(), Failure> {
    let params = DevicePairRejectParams::new(args.request_id);
    let rejected = client.device_pair_reject(&params).await?;
    print::answer(&rejected, args.plain.json, |rejected| {
        print::line(&format!("Refused {}.", short(&rejected.device_id)));
    });
    Ok(())
}

/// A device's id from its start, so that what a table shows can be used. A whole one is asked for as it is.
async fn whole_id(client: &Client, given: NonEmptyString) -> Result<NonEmptyString, Failure> {
    if given.len() >= DEVICE_ID_CHARS {
        return Ok(given);
    }
    let devices = list(client).await?.paired;
    let ids = devices.iter().map(|device| &device.device_id);
    one_of(ids, &given)
}

fn one_of<'a>(
    ids: impl Iterator<Item = &'a NonEmptyString>,
    given: &NonEmptyString,
) -> Result<NonEmptyString, Failure> {
    let mut fitting = ids.filter(|id| id.starts_with(given.as_str()));
    match (fitting.next(), fitting.next()) {
        (Some(id), None) => Ok(id.clone()),
        (Some(_), Some(_)) => Err(Failure::ManyDevices(given.to_string())),
        // The gateway's own words for a device that it does not know.
        (None, _) => Ok(given.clone()),
    }
}

fn show(list: &DevicePairListResult, now_ms: u64) {
    if list.pending.is_empty() && list.paired.is_empty() {
        print::line("No devices.");
        return;
    }
    if !list.pending.is_empty() {
        print::line(&format!("Waiting ({}):", list.pending.len()));
        let rows: Vec<_> = list
            .pending
            .iter()
            .map(|request| device_row(request, now_ms))
            .collect();
        print::table(WAITING_HEAD, &rows);
        print::line("Let one in: openclaw devices approve <request>");
    }
    if !list.paired.is_empty() {
        print::line(&format!("Paired ({}):", list.paired.len()));
        let rows: Vec<_> = list.paired.iter().map(paired_row).collect();
        print::table(
            &["device", "name", "roles", "scopes", "tokens", "ip"],
            &rows,
        );
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(subcommand)]
        command: DevicesCommand,
    }

    fn id(text: &str) -> NonEmptyString {
        NonEmptyString::or(text, "-")
    }

    #[test]
    fn recorded_command_lines_are_understood() {
        let recorded = [
            &["devices", "list"][..],
            &["devices", "list", "--json"],
            &["devices", "approve", "71cb3d28-ff88-49cf-a371-7d89cc24014e"],
            &[
                "devices", "rotate", "--device", "e51c", "--role", "operator", "--scope", "a",
            ],
            &[
                "devices", "revoke", "--device", "e51c", "--role", "operator",
            ],
        ];
        for line in recorded {
            assert!(Line::try_parse_from(line).is_ok(), "{line:?}");
        }
        let rotate = |scopes: &[&str]| {
            let line = [
                &["devices", "rotate", "--device", "d", "--role", "node"],
                scopes,
            ]
            .concat();
            match Line::try_parse_from(line).unwrap().command {
                DevicesCommand::Rotate(args) => args.scope,
                other => panic!("{other:?}"),
            }
        };
        assert!(rotate(&[]).is_empty());
        for scopes in [
            &["--scope", "a", "b"][..],
            &["--scope", "a", "--scope", "b"],
        ] {
            assert_eq!(rotate(scopes), [id("a"), id("b")]);
        }
        for wrong in [
            &["devices", "approve"][..],
            &["devices", "approve", ""],
            &["devices", "rotate", "--role", "node"],
            &["devices", "revoke", "--device", "d"],
        ] {
            assert!(Line::try_parse_from(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_device_is_named_by_the_start_of_its_id() {
        let ids = [id("abc1"), id("abd2")];
        let found = |given: &str| one_of(ids.iter(), &id(given));
        assert_eq!(found("abc").unwrap(), "abc1");
        assert_eq!(found("abd2").unwrap(), "abd2");
        assert_eq!(found("zz").unwrap(), "zz");
        let many = found("ab").unwrap_err().to_string();
        assert!(many.contains("ab"), "{many}");
    }
}
