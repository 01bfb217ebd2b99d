//! A connected device that a tool talks to: which one is meant, what it is told, and what it answers.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use openclaw_protocol::protocol::limits;
use openclaw_protocol::rt::NonEmptyString;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::workspace::Workspace;
use super::{Output, pictures, shorten};
use crate::nodes::{Invocation, InvokeError, Node, Nodes};

/// Longest that a tool waits for a device, in ms. The asking run holds a place among those that may work at a time meanwhile.
pub(super) const MAX_WAIT_MS: u64 = 300_000;
/// Fewest letters of an id that stand for the whole.
const MIN_PREFIX: usize = 6;
/// Folder of the workspace that pictures and recordings are saved in.
const FOLDER: &str = "nodes";
/// Longest ending of such a file's name.
const MAX_EXTENSION: usize = 5;

/// A command with what it takes.
pub(super) struct Order {
    command: String,
    params: Map<String, Value>,
    wait_ms: u64,
}

impl Order {
    /// A command that takes nothing, with the usual time.
    pub(super) fn new(command: &str) -> Self {
        Self {
            command: command.to_owned(),
            params: Map::new(),
            wait_ms: limits::NODE_INVOKE_TIMEOUT_MS,
        }
    }

    /// Its name.
    pub(super) fn command(&self) -> &str {
        &self.command
    }

    /// The same with one more thing that it takes, if there is a value.
    pub(super) fn with(mut self, name: &str, value: Option<impl Serialize>) -> Self {
        if let Some(value) = value {
            self.params.insert(name.to_owned(), json!(value));
        }
        self
    }

    /// The same with all that it takes, if that is an object.
    pub(super) fn with_params(mut self, params: Option<Value>) -> Self {
        if let Some(Value::Object(params)) = params {
            self.params = params;
        }
        self
    }

    /// The same with so many milliseconds for the answer.
    pub(super) fn within(mut self, ms: u64) -> Self {
        self.wait_ms = ms.min(MAX_WAIT_MS);
        self
    }

    /// The same for something that takes so many milliseconds before there can be an answer.
    pub(super) fn after(self, ms: u64) -> Self {
        let wait_ms = self.wait_ms + ms;
        self.within(wait_ms)
    }
}

/// The device that is meant.
pub(super) struct Device<'a> {
    nodes: &'a Nodes,
    node: Arc<Node>,
}

impl<'a> Device<'a> {
    /// The device of that id, name, or beginning of an id; without either the only connected one that has the command.
    pub(super) fn find(
        nodes: &'a Nodes,
        wanted: Option<&str>,
        command: &str,
    ) -> Result<Self, Output> {
        let mut connected = nodes.connected();
        connected.sort_by(|one, other| one.node_id.cmp(&other.node_id));
        let wanted = wanted.map(str::trim).filter(|wanted| !wanted.is_empty());
        let fits = |node: &&Arc<Node>| match wanted {
            None => node.has(command),
            Some(wanted) => {
                let name = node.display_name.as_deref().unwrap_or_default();
                let is_start = wanted.len() >= MIN_PREFIX && node.node_id.starts_with(wanted);
                name.eq_ignore_ascii_case(wanted) || is_start || node.node_id.as_str() == wanted
            }
        };
        let exact = connected
            .iter()
            .find(|node| wanted == Some(node.node_id.as_str()));
        let mut fitting = connected.iter().filter(fits);
        let node = match (exact, fitting.next(), fitting.next()) {
            (Some(node), _, _) | (None, Some(node), None) => Arc::clone(node),
            (None, Some(_), Some(_)) => {
                let names: Vec<String> = connected.iter().filter(fits).map(known_as).collect();
                return Err(Output::bad(format!(
                    "More than one device is meant; name one: {}.",
                    shorten(&names.join(", "))
                )));
            }
            (None, None, _) => {
                return Err(Output::bad(match wanted {
                    None => format!("No connected device can do {}.", shorten(command)),
                    Some(wanted) => {
                        format!("No device \"{}\" is connected.", shorten(wanted))
                    }
                }));
            }
        };
        Ok(Self { nodes, node })
    }

    /// Does it have this command?
    pub(super) fn has(&self, command: &str) -> bool {
        self.node.has(command)
    }

    /// Gives an order and tells what it brought.
    pub(super) async fn tell(&self, order: Order) -> Result<Output, Output> {
        let brought = self.invoke(order).await?;
        Ok(match brought {
            Value::Null => Output::good("Done."),
            value => Output::json(&value),
        })
    }

    /// Gives an order for a picture or a recording, and saves what it brought in the workspace. A picture is shown.
    pub(super) async fn record(
        &self,
        order: Order,
        workspace: &Workspace,
        kind: &str,
    ) -> Result<Output, Output> {
        let mut brought = self.invoke(order).await?;
        let members = brought.as_object_mut();
        let data = members.and_then(|members| members.remove("base64"));
        let Some(Value::String(data)) = data else {
            return Err(Output::bad("The device sent no picture or recording."));
        };
        let bytes = STANDARD
            .decode(data.trim())
            .map_err(|_| Output::bad("What the device sent cannot be read."))?;
        let extension = extension(brought.get("format").and_then(Value::as_str));
        let id = uuid::Uuid::new_v4().simple().to_string();
        let path = format!("{FOLDER}/{kind}-{}.{extension}", &id[..8]);
        let (size, picture) = (bytes.len(), pictures::picture(&bytes));
        let (workspace, place) = (workspace.clone(), path.clone());
        let saved = tokio::task::spawn_blocking(move || {
            workspace.make()?;
            workspace.write(&place, &bytes)
        });
        match saved.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(Output::bad(format!("It could not be saved: {error}."))),
            Err(_) => return Err(Output::bad("It could not be saved.")),
        }
        brought["path"] = json!(path);
        brought["bytes"] = json!(size);
        Ok(Output::json(&brought).showing(picture))
    }

    async fn invoke(&self, order: Order) -> Result<Value, Output> {
        let ask = Invocation {
            node_id: self.node.node_id.to_string(),
            command: order.command,
            params: (!order.params.is_empty()).then_some(Value::Object(order.params)),
            timeout_ms: Some(order.wait_ms),
            idempotency_key: NonEmptyString::new(uuid::Uuid::new_v4().to_string()),
        };
        let answer = self.nodes.invoke(ask).await;
        let answer = answer.map_err(|error| self.refused(&error))?;
        Ok(answer.payload.unwrap_or_default())
    }

    fn refused(&self, error: &InvokeError) -> Output {
        let why = match error {
            InvokeError::Refused(Some(said)) => {
                let words = said.message.as_deref().or(said.code.as_deref());
                format!(
                    "it refused: {}",
                    shorten(words.unwrap_or("without a reason"))
                )
            }
            other => other.to_string(),
        };
        Output::bad(format!("{}: {why}.", known_as(&self.node)))
    }
}

/// How people and models know a device.
fn known_as(node: &Arc<Node>) -> String {
    let name = node.display_name.as_ref().unwrap_or(&node.node_id);
    shorten(name)
}

/// The ending of a file's name for what a device calls the format. The device is not trusted with more than that.
fn extension(format: Option<&str>) -> &str {
    let format = format.unwrap_or_default();
    let is_plain = format
        .chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    match format {
        "" => "bin",
        "jpeg" => "jpg",
        _ if is_plain && format.len() <= MAX_EXTENSION => format,
        _ => "bin",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_of_names() {
        for (format, ending) in [
            (None, "bin"),
            (Some(""), "bin"),
            (Some("jpeg"), "jpg"),
            (Some("mp4"), "mp4"),
            (Some("abcde"), "abcde"),
            (Some("abcdef"), "bin"),
            (Some("../x"), "bin"),
            (Some("JPG"), "bin"),
        ] {
            assert_eq!(extension(format), ending, "{format:?}");
        }
    }

    #[test]
    fn orders_wait_no_longer_than_a_tool_may() {
        let usual = limits::NODE_INVOKE_TIMEOUT_MS;
        for (order, waits) in [
            (Order::new("x"), usual),
            (Order::new("x").after(5), usual + 5),
            (Order::new("x").within(MAX_WAIT_MS), MAX_WAIT_MS),
            (Order::new("x").within(MAX_WAIT_MS + 1), MAX_WAIT_MS),
        ] {
            assert_eq!(order.wait_ms, waits);
        }
    }
}
