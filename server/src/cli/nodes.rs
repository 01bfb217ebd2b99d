//! `openclaw nodes …`: which nodes there are, and commands for them.
//!
//! A node is named by its id, its name, its address, or a beginning of its id that no other has.

use std::time::Duration;

use clap::{Args, Subcommand};
use openclaw_client::GatewayCalls;
use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::types::{
    NodeDescribeParams, NodeDescribeResult, NodeInvokeParams, NodeListParams, NodeRenameParams,
    NodeRow,
};

use super::client::Failure;
use super::connect::{ConnectArgs, PlainArgs, connect};
use super::print;
use crate::paths::Environment;

/// How long a node may take when `--invoke-timeout` does not say, in ms: half of what the gateway would wait.
const INVOKE_TIMEOUT_MS: u64 = 15_000;

/// Shortest beginning of an id that names a node.
const MIN_PREFIX: usize = 6;

/// Columns of the table.
const HEAD: [&str; 6] = ["name", "id", "platform", "state", "address", "commands"];

/// Characters of an id in the table; enough to name the node by.
const SHOWN_ID: usize = 12;

/// `openclaw nodes`.
#[derive(Debug, Subcommand)]
pub(super) enum NodesCommand {
    /// Show nodes that are connected or paired
    #[command(visible_alias = "list")]
    Status(ListArgs),
    /// Show one node
    Describe(DescribeArgs),
    /// Run a command on a node and print what came of it
    Invoke(InvokeArgs),
    /// Give a node that is paired by token another name
    Rename(RenameArgs),
}

/// `openclaw nodes status`, `openclaw nodes list`.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Leave out nodes that are not connected
    #[arg(long)]
    pub connected: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub plain: PlainArgs,
}

/// `openclaw nodes describe`.
#[derive(Debug, Args)]
pub(super) struct DescribeArgs {
    /// Id, name or address of the node
    #[arg(long)]
    pub node: String,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub plain: PlainArgs,
}

/// `openclaw nodes invoke`.
#[derive(Debug, Args)]
pub(super) struct InvokeArgs {
    /// Id, name or address of the node
    #[arg(long)]
    pub node: String,
    /// Command, as `system.which`
    #[arg(long)]
    pub command: String,
    /// What the command takes, as JSON
    #[arg(long, default_value = "{}")]
    pub params: String,
    /// How long the node may take, in ms
    #[arg(long, default_value_t = INVOKE_TIMEOUT_MS)]
    pub invoke_timeout: u64,
    /// Key by which the node may recognise a retry
    #[arg(long)]
    pub idempotency_key: Option<String>,
    /// Print the whole answer as JSON instead of the payload
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub connect: ConnectArgs,
}

/// `openclaw nodes rename`.
#[derive(Debug, Args)]
pub(super) struct RenameArgs {
    /// Id, name or address of the node
    #[arg(long)]
    pub node: String,
    /// Its new name
    #[arg(long)]
    pub name: String,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub plain: PlainArgs,
}

/// Which node is meant cannot be told. The texts are for the person at the terminal.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoSuchNode {
    /// None fits.
    #[error("no node is called {wanted:?}; known are: {known}")]
    Unknown {
        /// What was given.
        wanted: String,
        /// Names of those there are.
        known: String,
    },
    /// Several fit.
    #[error("{wanted:?} fits several nodes: {matches}. Use an id")]
    Ambiguous {
        /// What was given.
        wanted: String,
        /// Ids of those that fit.
        matches: String,
    },
}

/// Carries out a command.
///
/// # Errors
/// See [`Failure`].
pub(super) async fn nodes(command: NodesCommand, environment: &Environment) -> Result<(), Failure> {
    match command {
        NodesCommand::Status(args) => list(args, environment).await,
        NodesCommand::Describe(args) => describe(args, environment).await,
        NodesCommand::Invoke(args) => invoke(args, environment).await,
        NodesCommand::Rename(args) => rename(args, environment).await,
    }
}

async fn list(args: ListArgs, environment: &Environment) -> Result<(), Failure> {
    let client = connect(&args.plain.connect, environment).await?;
    let mut list = client.node_list(&NodeListParams::new()).await?;
    if args.connected {
        list.nodes.retain(|node| node.connected);
    }
    if args.plain.json {
        print::json(&list);
    } else if list.nodes.is_empty() {
        print::line("No nodes. A device becomes one by connecting to this gateway as a node.");
    } else {
        let rows: Vec<Vec<String>> = list.nodes.iter().map(row).collect();
        print::table(&HEAD, &rows);
    }
    client.close().await;
    Ok(())
}

async fn describe(args: DescribeArgs, environment: &Environment) -> Result<(), Failure> {
    let client = connect(&args.plain.connect, environment).await?;
    let list = client.node_list(&NodeListParams::new()).await?;
    let node_id = find(&list.nodes, &args.node)?;
    let node = client
        .node_describe(&NodeDescribeParams::new(node_id))
        .await?;
    if args.plain.json {
        print::json(&node);
    } else {
        for (name, value) in members(&node) {
            print::line(&format!("{name}: {value}"));
        }
    }
    client.close().await;
    Ok(())
}

async fn invoke(args: InvokeArgs, environment: &Environment) -> Result<(), Failure> {
    let params = serde_json::from_str(&args.params).map_err(Failure::Params)?;
    let command = NonEmptyString::new(args.command.trim()).ok_or(Failure::EmptyCommand)?;
    let client = connect(&args.connect, environment).await?;
    let list = client.node_list(&NodeListParams::new()).await?;
    let node_id = find(&list.nodes, &args.node)?;
    let key = args.idempotency_key.and_then(NonEmptyString::new);
    let key = key.unwrap_or_else(|| NonEmptyString::or(uuid::Uuid::new_v4().to_string(), "invoke"));
    let mut ask = NodeInvokeParams::new(node_id, command, key);
    ask.params = Some(params);
    ask.timeout_ms = Some(args.invoke_timeout);
    // The gateway tells when the node's time is over; it must be there to be heard.
    let patience = args.connect.timeout.saturating_add(args.invoke_timeout);
    let client = client.with_call_timeout(Duration::from_millis(patience));
    let result = client.node_invoke(&ask).await?;
    if args.json {
        print::json(&result);
    } else {
        print::json(&result.payload);
    }
    client.close().await;
    Ok(())
}

async fn rename(args: RenameArgs, environment: &Environment) -> Result<(), Failure> {
    let name = NonEmptyString::new(args.name.trim()).ok_or(Failure::EmptyName)?;
    let client = connect(&args.plain.connect, environment).await?;
    let list = client.node_list(&NodeListParams::new()).await?;
    // A node that is paired by token alone is in no list; its id is taken as it is.
    let node_id = match find(&list.nodes, &args.node) {
        Err(NoSuchNode::Unknown { wanted, known }) => {
            NonEmptyString::new(wanted.trim()).ok_or(NoSuchNode::Unknown { wanted, known })?
        }
        found => found?,
    };
    let renamed = client
        .node_rename(&NodeRenameParams::new(node_id, name))
        .await?;
    if args.plain.json {
        print::json(&renamed);
    } else {
        print::line(&format!(
            "{} is now called {}",
            &*renamed.node_id, &*renamed.display_name
        ));
    }
    client.close().await;
    Ok(())
}

/// The node that is meant: by id, then address, then name without regard to case and blanks, then the beginning of an id.
fn find(nodes: &[NodeRow], wanted: &str) -> Result<NonEmptyString, NoSuchNode> {
    let word = wanted.trim();
    let plain = |text: &str| {
        text.split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .to_lowercase()
    };
    let is_called = |node: &NodeRow| {
        let name = node.display_name.as_deref().unwrap_or_default();
        !word.is_empty() && plain(name) == plain(word)
    };
    let begins = |node: &NodeRow| word.len() >= MIN_PREFIX && node.node_id.starts_with(word);
    let ways: [&dyn Fn(&NodeRow) -> bool; 4] = [
        &|node| &*node.node_id == word,
        &|node| node.remote_ip.as_deref() == Some(word),
        &is_called,
        &begins,
    ];
    for fits in ways {
        let mut found: Vec<&NodeRow> = nodes.iter().filter(|node| fits(node)).collect();
        // Of several with one name, a connected one is meant rather than one that is away.
        if found.iter().filter(|node| node.connected).count() == 1 {
            found.retain(|node| node.connected);
        }
        match found.as_slice() {
            [] => {}
            [node] => return Ok(node.node_id.clone()),
            several => {
                let ids: Vec<&str> = several.iter().map(|node| &*node.node_id).collect();
                return Err(NoSuchNode::Ambiguous {
                    wanted: wanted.to_owned(),
                    matches: ids.join(", "),
                });
            }
        }
    }
    let known: Vec<&str> = nodes.iter().map(name).collect();
    Err(NoSuchNode::Unknown {
        wanted: wanted.to_owned(),
        known: if known.is_empty() {
            "none".to_owned()
        } else {
            known.join(", ")
        },
    })
}

fn name(node: &NodeRow) -> &str {
    node.display_name.as_deref().unwrap_or(&node.node_id)
}

fn row(node: &NodeRow) -> Vec<String> {
    let or_dash = |text: Option<&str>| text.unwrap_or("-").to_owned();
    vec![
        name(node).to_owned(),
        node.node_id.chars().take(SHOWN_ID).collect(),
        or_dash(node.platform.as_deref()),
        state(node.paired, node.connected).to_owned(),
        or_dash(node.remote_ip.as_deref()),
        node.commands.len().to_string(),
    ]
}

fn state(paired: bool, connected: bool) -> &'static str {
    match (paired, connected) {
        (true, true) => "connected",
        (false, true) => "connected, not paired",
        (_, false) => "away",
    }
}

/// What is known of a node, line by line.
fn members(node: &NodeDescribeResult) -> Vec<(&'static str, String)> {
    let list = |list: &[NonEmptyString]| {
        let words: Vec<&str> = list.iter().map(NonEmptyString::as_str).collect();
        words.join(", ")
    };
    let age = |at: u64| print::age(node.ts.saturating_sub(at));
    let permissions = node.permissions.as_ref().map(|permissions| {
        let shown = permissions
            .iter()
            .map(|(name, granted)| format!("{name} {}", if *granted { "yes" } else { "no" }));
        shown.collect::<Vec<_>>().join(", ")
    });
    let given = |text: &Option<NonEmptyString>| text.as_deref().map(str::to_owned);
    [
        ("Name", given(&node.display_name)),
        ("Id", Some(node.node_id.to_string())),
        ("State", Some(state(node.paired, node.connected).to_owned())),
        ("Connected for", node.connected_at_ms.map(age)),
        ("Platform", given(&node.platform)),
        ("Version", given(&node.version)),
        ("Device", given(&node.device_family)),
        ("Model", given(&node.model_identifier)),
        ("Address", given(&node.remote_ip)),
        ("Capabilities", Some(list(&node.caps))),
        ("Commands", Some(list(&node.commands))),
        ("Permissions", permissions),
        ("PATH", node.path_env.clone()),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value.filter(|value| !value.is_empty())?)))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: &str, name: &str, address: Option<&str>, connected: bool) -> NodeRow {
        let text = |text: &str| NonEmptyString::or(text, "-");
        let mut row = NodeRow::new(text(id), Vec::new(), Vec::new(), true, connected);
        row.display_name = NonEmptyString::new(name);
        row.remote_ip = address.and_then(NonEmptyString::new);
        row
    }

    #[test]
    fn nodes_are_found_by_what_people_write() {
        let nodes = [
            node("abcdef01", "Real node", Some("192.0.2.7"), true),
            node("abcdef02", "Phone", None, true),
            node("abcdef03", "phone", None, false),
            node("x", "Twin", None, false),
            node("y", "Twin", None, false),
        ];
        for (wanted, expected) in [
            ("abcdef01", Ok("abcdef01")),
            (" real  NODE ", Ok("abcdef01")),
            ("192.0.2.7", Ok("abcdef01")),
            ("Phone", Ok("abcdef02")),
            (
                "abcdef0",
                Err("\"abcdef0\" fits several nodes: abcdef01, abcdef02, abcdef03. Use an id"),
            ),
            (
                "abcde",
                Err("no node is called \"abcde\"; known are: Real node, Phone, phone, Twin, Twin"),
            ),
            ("Twin", Err("\"Twin\" fits several nodes: x, y. Use an id")),
            (
                " ",
                Err("no node is called \" \"; known are: Real node, Phone, phone, Twin, Twin"),
            ),
        ] {
            let found = find(&nodes, wanted).map_err(|error| error.to_string());
            let found = found
                .as_ref()
                .map(NonEmptyString::as_str)
                .map_err(String::as_str);
            assert_eq!(found, expected, "{wanted}");
        }
        assert_eq!(find(&nodes[..2], "abcdef02").unwrap().as_str(), "abcdef02");
        let none = find(&[], "x").unwrap_err().to_string();
        assert_eq!(none, "no node is called \"x\"; known are: none");
    }

    #[test]
    fn a_node_is_shown_without_what_is_not_known() {
        let text = |text: &str| NonEmptyString::or(text, "-");
        let caps = vec![text("browser"), text("system")];
        let mut node = NodeDescribeResult::new(9_000, text("n"), caps, Vec::new(), true, true);
        node.connected_at_ms = Some(4_000);
        let shown: Vec<String> = members(&node)
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(
            shown,
            [
                "Id=n",
                "State=connected",
                "Connected for=5 s",
                "Capabilities=browser, system"
            ]
        );
    }
}
