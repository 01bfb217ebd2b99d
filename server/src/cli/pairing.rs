//! `openclaw pairing …`: one view of everything that waits for a decision, devices and, from the older pairing by token,
//! nodes.

use clap::Subcommand;
use openclaw_client::{Client, GatewayCalls};
use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::types::{
    DevicePairRequestedEvent, NodePairApproveParams, NodePairListParams, NodePairPending,
    NodePairRejectParams,
};
use serde::Serialize;

use super::client::Failure;
use super::connect::{PlainArgs, connect};
use super::devices::{self, RequestArgs, WAITING_HEAD, device_row, node_row};
use super::print;
use crate::clock::{Clock, SystemClock};
use crate::paths::Environment;

/// `openclaw pairing`.
#[derive(Debug, Subcommand)]
pub(super) enum PairingCommand {
    /// Show everything that waits for a decision
    List(PlainArgs),
    /// Let a waiting device or node in
    Approve(RequestArgs),
    /// Refuse a waiting device or node; it may ask again
    Reject(RequestArgs),
}

/// Everything that waits, of both kinds.
#[derive(Debug, Serialize)]
struct AllWaiting {
    devices: Vec<DevicePairRequestedEvent>,
    nodes: Vec<NodePairPending>,
}

/// Carries out `openclaw pairing`.
///
/// # Errors
/// See [`Failure`].
pub(super) async fn pairing(
    command: PairingCommand,
    environment: &Environment,
) -> Result<(), Failure> {
    let connection = match &command {
        PairingCommand::List(args) => &args.connect,
        PairingCommand::Approve(args) | PairingCommand::Reject(args) => &args.plain.connect,
    };
    let client = connect(connection, environment).await?;
    match command {
        PairingCommand::List(args) => {
            let waiting = AllWaiting {
                devices: devices::list(&client).await?.pending,
                nodes: nodes(&client).await?,
            };
            print::answer(&waiting, args.json, |waiting| {
                show(waiting, SystemClock.now_ms());
            });
        }
        PairingCommand::Approve(args) if is_node(&client, &args.request_id).await? => {
            let params = NodePairApproveParams::new(args.request_id);
            let approved = client.node_pair_approve(&params).await?;
            print::answer(&approved, args.plain.json, |approved| {
                print::line(&format!(
                    "Paired node {}; its token is shown this once, bring it to the node:",
                    approved.node.node_id
                ));
                print::line(approved.node.token.expose());
            });
        }
        PairingCommand::Approve(args) => devices::approve(&client, args).await?,
        PairingCommand::Reject(args) if is_node(&client, &args.request_id).await? => {
            let params = NodePairRejectParams::new(args.request_id);
            let rejected = client.node_pair_reject(&params).await?;
            print::answer(&rejected, args.plain.json, |rejected| {
                print::line(&format!("Refused node {}.", rejected.node_id));
            });
        }
        PairingCommand::Reject(args) => devices::reject(&client, args).await?,
    }
    client.close().await;
    Ok(())
}

/// Nodes that wait.
async fn nodes(client: &Client) -> Result<Vec<NodePairPending>, Failure> {
    let params = NodePairListParams::default();
    Ok(client.node_pair_list(&params).await?.pending)
}

/// Is it the request of a node? One that nobody knows counts as a device's, and the gateway says so.
async fn is_node(client: &Client, request_id: &NonEmptyString) -> Result<bool, Failure> {
    let nodes = nodes(client).await?;
    Ok(nodes.iter().any(|node| node.request_id == *request_id))
}

fn show(waiting: &AllWaiting, now_ms: u64) {
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
