//! Group `node`: which nodes there are, commands for them, and what they tell (contract 8.3 to 8.5).

mod event;

use std::sync::Arc;

use openclaw_protocol::protocol::errors;
use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::server::NodeMethods;
use openclaw_protocol::types::{
    ErrorShape, NodeDescribeParams, NodeDescribeResult, NodeEventParams, NodeInvokeParams,
    NodeInvokeResult, NodeInvokeResultParams, NodeInvokeResultResult, NodeListParams,
    NodeListResult, NodeRow, OkResult,
};
use serde_json::Value;

use super::Methods;
use crate::connection::Caller;
use crate::nodes::{self, Invocation, InvokeReply, Node, Nodes, node_id};
use crate::pairing::nodes::NodePairingError;

/// Operating system whose skills' programs are looked for on Macs, as skills name it.
const MAC_OS: &str = "darwin";

impl NodeMethods<Caller> for Methods {
    async fn node_list(&self, _: &Caller, _: NodeListParams) -> Result<NodeListResult, ErrorShape> {
        Ok(NodeListResult::new(self.clock.now_ms(), self.rows()))
    }

    async fn node_describe(
        &self,
        _: &Caller,
        params: NodeDescribeParams,
    ) -> Result<NodeDescribeResult, ErrorShape> {
        let wanted = params.node_id.trim();
        if wanted.is_empty() {
            return Err(errors::NODE_ID_REQUIRED.error());
        }
        let row = self.rows().into_iter().find(|row| &*row.node_id == wanted);
        let row = row.ok_or_else(|| errors::NODE_UNKNOWN.error())?;
        Ok(nodes::described(row, self.clock.now_ms()))
    }

    async fn node_invoke(
        &self,
        caller: &Caller,
        params: NodeInvokeParams,
    ) -> Result<NodeInvokeResult, ErrorShape> {
        let trimmed = |text: &str| NonEmptyString::new(text.trim());
        let (Some(node_id), Some(command)) = (trimmed(&params.node_id), trimmed(&params.command))
        else {
            return Err(errors::NODE_INVOKE_REQUIRED.error());
        };
        let ask = Invocation {
            node_id: node_id.to_string(),
            command: command.to_string(),
            params: params.params,
            timeout_ms: params.timeout_ms,
            idempotency_key: Some(params.idempotency_key),
        };
        let answer = self.nodes.invoke_for(&caller.scopes, ask).await;
        let answer = answer.map_err(|error| error.shape_for_invoke())?;
        let mut result = NodeInvokeResult::new(true, node_id, command, answer.payload_json);
        result.payload = answer.payload;
        Ok(result)
    }

    async fn node_invoke_result(
        &self,
        caller: &Caller,
        params: NodeInvokeResultParams,
    ) -> Result<NodeInvokeResultResult, ErrorShape> {
        if params.node_id != node_id(caller) {
            return Err(errors::NODE_ID_MISMATCH.error());
        }
        let id = params.id.to_string();
        let mut result = NodeInvokeResultResult::new(true);
        if !self.nodes.answer(&caller.conn_id, &id, reply(params)) {
            result.ignored = Some(true);
        }
        Ok(result)
    }

    async fn node_event(
        &self,
        caller: &Caller,
        params: NodeEventParams,
    ) -> Result<OkResult, ErrorShape> {
        self.node_says(caller, params).await?;
        Ok(OkResult::new(true))
    }
}

impl Methods {
    /// Notes that a node has connected, and asks a Mac which programs of our skills it has; the answer comes when it
    /// comes.
    pub(crate) fn meet_node(&self, node: &Arc<Node>) {
        let (nodes, node, skills) = (self.nodes.clone(), Arc::clone(node), self.skills.clone());
        let (work, list) = (self.work.clone(), self.node_pairing.clone());
        tokio::spawn(async move {
            noted(list.connected(&node.node_id).await);
            if !Nodes::wants_probe(&node) {
                return;
            }
            match work.spawn_blocking(move || skills.bins_on(MAC_OS)).await {
                Ok(wanted) => {
                    if let Some(bins) = nodes.probe(&node, &wanted).await {
                        noted(list.found(&node.node_id, &bins).await);
                    }
                }
                Err(error) => tracing::error!(%error, "skills could not be looked at"),
            }
        });
    }

    fn rows(&self) -> Vec<NodeRow> {
        let (_, paired) = self.pairing.list();
        nodes::rows(&self.nodes.connected(), &paired)
    }
}

/// What the list of nodes keeps of a connected one is for people to read: trouble with it stops nothing.
fn noted(result: Result<(), NodePairingError>) {
    if let Err(error) = result {
        tracing::warn!(%error, "what a node showed of itself could not be noted");
    }
}

/// What a node says, with what nodes write for nothing put right (contract 8.3): a text is a text, anything else there
/// is the value unless there is one.
fn reply(params: NodeInvokeResultParams) -> InvokeReply {
    let not_null = |value: Option<Value>| value.filter(|value| !value.is_null());
    let (payload_json, moved) = match not_null(params.payload_json) {
        Some(Value::String(text)) => (Some(text), None),
        other => (None, other),
    };
    InvokeReply {
        ok: params.ok,
        payload: not_null(params.payload).or(moved),
        payload_json,
        error: params.error,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_nodes_write_for_nothing() {
        for (given, payload, text) in [
            (json!({}), None, None),
            (
                json!({"payload": [1], "payloadJSON": null}),
                Some(json!([1])),
                None,
            ),
            (
                json!({"payload": null, "payloadJSON": {"a": 1}}),
                Some(json!({"a": 1})),
                None,
            ),
            (
                json!({"payload": 1, "payloadJSON": {"a": 1}}),
                Some(json!(1)),
                None,
            ),
            (json!({"payloadJSON": "{}"}), None, Some("{}")),
            (
                json!({"payload": 1, "payloadJSON": ""}),
                Some(json!(1)),
                Some(""),
            ),
        ] {
            let mut params = json!({"id": "i", "nodeId": "n", "ok": true});
            let members = params.as_object_mut().unwrap();
            members.extend(given.as_object().unwrap().clone());
            let reply = reply(serde_json::from_value(params).unwrap());
            assert_eq!(reply.payload, payload, "{given}");
            assert_eq!(reply.payload_json.as_deref(), text, "{given}");
        }
    }
}
