//! `openclaw devices …`, for devices and their tokens, and `openclaw pairing …`, one view of everything that waits for a
//! decision: devices and, from the older pairing by token, nodes.
//!
//! Commands and flags of `devices` are those of the original, as far as recordings show them.

use clap::{Args, Subcommand};
use openclaw_client::{Client, GatewayCalls};
use openclaw_protocol::rt::{NonEmptyString, SecretString};
use openclaw_protocol::types::{
    DevicePairApproveParams, DevicePairListParams, DevicePairListResult, DevicePairRejectParams,
    DevicePairRequestedEvent, DevicePaired, DeviceTokenInfo, DeviceTokenRevokeParams,
    DeviceTokenRotateParams, NodePairApproveParams, NodePairListParams, NodePairListResult,
    NodePairPending, NodePairRejectParams,
};
use serde::Serialize;

use super::client::Failure;
use super::connect::{ConnectArgs, connect};
use super::print;
use crate::clock::{Clock, SystemClock};
use crate::paths::Environment;

/// Characters of a device id in tables; `--json` has all of them. As many as tell devices apart.
const ID_CHARS: usize = 16;

/// `openclaw devices`.
#[derive(Debug, Subcommand)]
pub(super) enum DevicesCommand {
    /// Show devices that wait and devices that may connect
    List(ListArgs),
    /// Let a waiting device in, with what it asked for
    Approve(RequestArgs),
    /// Refuse a waiting device; it may ask again
    Reject(RequestArgs),
    /// Give a device a new token for a role; the old one and its connections end
    Rotate(RotateArgs),
    /// Make a device's token for a role useless and end its connections
    Revoke(RevokeArgs),
}

/// `openclaw pairing`.
#[derive(Debug, Subcommand)]
pub(super) enum PairingCommand {
    /// Show everything that waits for a decision
    List(ListArgs),
    /// Let a waiting device or node in
    Approve(RequestArgs),
    /// Refuse a waiting device or node; it may ask again
    Reject(RequestArgs),
}

/// Flags of lists.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub connect: ConnectArgs,
}

/// Flags of decisions.
#[derive(Debug, Args)]
pub(super) struct RequestArgs {
    /// The request, as the list shows it
    pub request_id: NonEmptyString,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub connect: ConnectArgs,
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
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub connect: ConnectArgs,
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
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub connect: ConnectArgs,
}

/// Everything that waits, of both kinds.
#[derive(Debug, Serialize)]
struct AllWaiting {
    devices: Vec<DevicePairRequestedEvent>,
    nodes: Vec<NodePairPending>,
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
    match command {
        DevicesCommand::List(args) => {
            let client = connect(&args.connect, environment).await?;
            let list = device_list(&client).await?;
            if args.json {
                print::json(&list);
            } else {
                show_devices(&list, SystemClock.now_ms());
            }
            client.close().await;
        }
        DevicesCommand::Approve(args) => {
            let client = connect(&args.connect, environment).await?;
            approve_device(&client, args.request_id, args.json).await?;
            client.close().await;
        }
        DevicesCommand::Reject(args) => {
            let client = connect(&args.connect, environment).await?;
            reject_device(&client, args.request_id, args.json).await?;
            client.close().await;
        }
        DevicesCommand::Rotate(args) => {
            let client = connect(&args.connect, environment).await?;
            let device = whole_id(&client, args.device).await?;
            let mut params = DeviceTokenRotateParams::new(device, args.role);
            params.scopes = Some(args.scope).filter(|scopes| !scopes.is_empty());
            let rotated = client.device_token_rotate(&params).await?;
            if args.json {
                print::json(&rotated);
            } else {
                print::line(&format!(
                    "New {} token of {} for {}; it is shown this once, bring it to the device:",
                    rotated.role,
                    short(&rotated.device_id),
                    joined(&rotated.scopes)
                ));
                print::line(SecretString::expose(&rotated.token));
            }
            client.close().await;
        }
        DevicesCommand::Revoke(args) => {
            let client = connect(&args.connect, environment).await?;
            let device = whole_id(&client, args.device).await?;
            let params = DeviceTokenRevokeParams::new(device, args.role);
            let revoked = client.device_token_revoke(&params).await?;
            if args.json {
                print::json(&revoked);
            } else {
                print::line(&format!(
                    "Revoked the {} token of {}. With the gateway's shared secret the device can still connect.",
                    revoked.role,
                    short(&revoked.device_id)
                ));
            }
            client.close().await;
        }
    }
    Ok(())
}

/// Carries out `openclaw pairing`.
///
/// # Errors
/// See [`Failure`].
pub(super) async fn pairing(
    command: PairingCommand,
    environment: &Environment,
) -> Result<(), Failure> {
    match command {
        PairingCommand::List(args) => {
            let client = connect(&args.connect, environment).await?;
            let waiting = all_waiting(&client).await?;
            if args.json {
                print::json(&waiting);
            } else {
                show_waiting(&waiting, SystemClock.now_ms());
            }
            client.close().await;
        }
        PairingCommand::Approve(args) => {
            let client = connect(&args.connect, environment).await?;
            if is_node(&client, &args.request_id).await? {
                let params = NodePairApproveParams::new(args.request_id);
                let approved = client.node_pair_approve(&params).await?;
                if args.json {
                    print::json(&approved);
                } else {
                    print::line(&format!(
                        "Paired node {}; its token is shown this once, bring it to the node:",
                        approved.node.node_id
                    ));
                    print::line(approved.node.token.expose());
                }
            } else {
                approve_device(&client, args.request_id, args.json).await?;
            }
            client.close().await;
        }
        PairingCommand::Reject(args) => {
            let client = connect(&args.connect, environment).await?;
            if is_node(&client, &args.request_id).await? {
                let params = NodePairRejectParams::new(args.request_id);
                let rejected = client.node_pair_reject(&params).await?;
                if args.json {
                    print::json(&rejected);
                } else {
                    print::line(&format!("Refused node {}.", rejected.node_id));
                }
            } else {
                reject_device(&client, args.request_id, args.json).await?;
            }
            client.close().await;
        }
    }
    Ok(())
}

async fn device_list(client: &Client) -> Result<DevicePairListResult, Failure> {
    let params = DevicePairListParams::default();
    Ok(client.device_pair_list(&params).await?)
}

async fn node_list(client: &Client) -> Result<NodePairListResult, Failure> {
    let params = NodePairListParams::default();
    Ok(client.node_pair_list(&params).await?)
}

async fn all_waiting(client: &Client) -> Result<AllWaiting, Failure> {
    Ok(AllWaiting {
        devices: device_list(client).await?.pending,
        nodes: node_list(client).await?.pending,
    })
}

/// Is it the request of a node? One that nobody knows counts as a device's, and the gateway says so.
async fn is_node(client: &Client, request_id: &NonEmptyString) -> Result<bool, Failure> {
    let nodes = node_list(client).await?.pending;
    Ok(nodes.iter().any(|node| node.request_id == *request_id))
}

async fn approve_device(
    client: &Client,
    request_id: NonEmptyString,
    json: bool,
) -> Result<(), Failure> {
    let params = DevicePairApproveParams::new(request_id);
    let approved = client.device_pair_approve(&params).await?;
    if json {
        print::json(&approved);
    } else {
        let device = &approved.device;
        print::line(&format!(
            "Paired {} as {} for {}. It gets its token when it connects.",
            name_of(&device.display_name, &device.device_id),
            joined(&device.roles),
            joined(device.scopes.as_deref().unwrap_or_default())
        ));
    }
    Ok(())
}

async fn reject_device(
    client: &Client,
    request_id: NonEmptyString,
    json: bool,
) -> Result<(), Failure> {
    let params = DevicePairRejectParams::new(request_id);
    let rejected = client.device_pair_reject(&params).await?;
    if json {
        print::json(&rejected);
    } else {
        print::line(&format!("Refused {}.", short(&rejected.device_id)));
    }
    Ok(())
}

/// A device's id from its start, so that what a table shows can be used. A whole one is asked for as it is.
async fn whole_id(client: &Client, given: NonEmptyString) -> Result<NonEmptyString, Failure> {
    if given.len() >= DEVICE_ID_CHARS {
        return Ok(given);
    }
    let devices = device_list(client).await?.paired;
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

fn show_devices(list: &DevicePairListResult, now_ms: u64) {
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

fn show_waiting(waiting: &AllWaiting, now_ms: u64) {
    let rows: Vec<_> = waiting
        .devices
        .iter()
        .map(|request| device_row(request, now_ms))
        .chain(waiting.nodes.iter().map(|node| node_row(node, now_ms)))
        .collect();
    if rows.is_empty() {
        print::line("Nothing waits.");
        return;
    }
    print::table(WAITING_HEAD, &rows);
    print::line("Let one in: openclaw pairing approve <request>");
}

const WAITING_HEAD: &[&str] = &["request", "kind", "name", "asks for", "scopes", "ip", "age"];

fn device_row(request: &DevicePairRequestedEvent, now_ms: u64) -> Vec<String> {
    let kind = if request.is_repair {
        "device, paired"
    } else {
        "device"
    };
    vec![
        request.request_id.to_string(),
        kind.to_owned(),
        name_of(&request.display_name, &request.device_id),
        request.role.to_string(),
        joined(request.scopes.as_deref().unwrap_or_default()),
        or_dash(request.remote_ip.as_ref()),
        print::age(now_ms.saturating_sub(request.ts)),
    ]
}

fn node_row(node: &NodePairPending, now_ms: u64) -> Vec<String> {
    let kind = if node.is_repair {
        "node, paired"
    } else {
        "node"
    };
    vec![
        node.request_id.to_string(),
        kind.to_owned(),
        node.display_name
            .as_ref()
            .unwrap_or(&node.node_id)
            .to_string(),
        "a token".to_owned(),
        "-".to_owned(),
        or_dash(node.remote_ip.as_ref()),
        print::age(now_ms.saturating_sub(node.ts)),
    ]
}

fn paired_row(device: &DevicePaired) -> Vec<String> {
    let tokens: Vec<String> = device.tokens.iter().flatten().map(token_words).collect();
    vec![
        short(&device.device_id),
        or_dash(device.display_name.as_ref().or(device.client_id.as_ref())),
        joined(&device.roles),
        joined(device.scopes.as_deref().unwrap_or_default()),
        if tokens.is_empty() {
            "-".to_owned()
        } else {
            tokens.join(", ")
        },
        or_dash(device.remote_ip.as_ref()),
    ]
}

fn token_words(token: &DeviceTokenInfo) -> String {
    let state = if token.revoked_at_ms.is_some() {
        " (revoked)"
    } else {
        ""
    };
    format!("{}{state}", token.role)
}

fn name_of(name: &Option<NonEmptyString>, device_id: &str) -> String {
    name.as_ref()
        .map_or_else(|| short(device_id), NonEmptyString::to_string)
}

fn short(device_id: &str) -> String {
    device_id.chars().take(ID_CHARS).collect()
}

fn or_dash(text: Option<&NonEmptyString>) -> String {
    text.map_or_else(|| "-".to_owned(), NonEmptyString::to_string)
}

fn joined(texts: &[NonEmptyString]) -> String {
    if texts.is_empty() {
        return "no scopes".to_owned();
    }
    texts
        .iter()
        .map(NonEmptyString::as_str)
        .collect::<Vec<_>>()
        .join(",")
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

    #[test]
    fn rows_say_what_matters() {
        let mut device = DevicePaired::new(
            id(&"d".repeat(DEVICE_ID_CHARS)),
            id("k"),
            id("node"),
            vec![id("node"), id("operator")],
            1,
            1,
        );
        let mut token = DeviceTokenInfo::new(id("node"), vec![], 1);
        token.revoked_at_ms = Some(2);
        device.tokens = Some(vec![token, DeviceTokenInfo::new(id("operator"), vec![], 1)]);
        assert_eq!(
            paired_row(&device),
            [
                "d".repeat(ID_CHARS).as_str(),
                "-",
                "node,operator",
                "no scopes",
                "node (revoked), operator",
                "-"
            ]
        );
        let node = NodePairPending::new(id("r"), id("n"), true, 1_000);
        assert_eq!(
            node_row(&node, 61_000),
            ["r", "node, paired", "n", "a token", "-", "-", "1 min"]
        );
    }
}
