//! Group `node-pair`: the older pairing of nodes by token, and `node.rename` (contract 3.5).

use openclaw_protocol::methods::Method;
use openclaw_protocol::protocol::{ErrorCode, errors};
use openclaw_protocol::server::NodePairMethods;
use openclaw_protocol::types::{
    ErrorShape, NodePairApproveParams, NodePairApproveResult, NodePairListParams,
    NodePairListResult, NodePairRejectParams, NodePairRejectResult, NodePairRequestParams,
    NodePairRequestResult, NodePairVerifyParams, NodePairVerifyResult, NodeRenameParams,
    NodeRenameResult,
};

use super::{Methods, unreadable};
use crate::connection::Caller;
use crate::pairing::nodes::NodePairingError;

impl NodePairMethods<Caller> for Methods {
    async fn node_pair_request(
        &self,
        _: &Caller,
        params: NodePairRequestParams,
    ) -> Result<NodePairRequestResult, ErrorShape> {
        let asked = self.node_pairing.request(params).await;
        let (request, is_new) = asked.map_err(|error| refusal(error, Method::NodePairRequest))?;
        Ok(NodePairRequestResult::new(request, is_new))
    }

    async fn node_pair_list(
        &self,
        _: &Caller,
        _: NodePairListParams,
    ) -> Result<NodePairListResult, ErrorShape> {
        let nodes = self.node_pairing.clone();
        self.aside(move || {
            let (pending, paired) = nodes.list().map_err(|error| unreadable(&error))?;
            Ok(NodePairListResult::new(pending, paired))
        })
        .await
    }

    async fn node_pair_approve(
        &self,
        _: &Caller,
        params: NodePairApproveParams,
    ) -> Result<NodePairApproveResult, ErrorShape> {
        let approved = self.node_pairing.approve(&params.request_id).await;
        let node = approved.map_err(|error| refusal(error, Method::NodePairApprove))?;
        Ok(NodePairApproveResult::new(params.request_id, node))
    }

    async fn node_pair_reject(
        &self,
        _: &Caller,
        params: NodePairRejectParams,
    ) -> Result<NodePairRejectResult, ErrorShape> {
        let rejected = self.node_pairing.reject(&params.request_id).await;
        let node_id = rejected.map_err(|error| refusal(error, Method::NodePairReject))?;
        Ok(NodePairRejectResult::new(params.request_id, node_id))
    }

    async fn node_pair_verify(
        &self,
        _: &Caller,
        params: NodePairVerifyParams,
    ) -> Result<NodePairVerifyResult, ErrorShape> {
        let node = self
            .node_pairing
            .verify(&params.node_id, &params.token)
            .map_err(|error| unreadable(&error))?;
        Ok(NodePairVerifyResult {
            ok: node.is_some(),
            node,
        })
    }

    async fn node_rename(
        &self,
        _: &Caller,
        params: NodeRenameParams,
    ) -> Result<NodeRenameResult, ErrorShape> {
        let renamed = self
            .node_pairing
            .rename(&params.node_id, &params.display_name)
            .await;
        let (node_id, name) = renamed.map_err(|error| refusal(error, Method::NodeRename))?;
        Ok(NodeRenameResult::new(node_id, name))
    }
}

fn refusal(error: NodePairingError, method: Method) -> ErrorShape {
    match error {
        NodePairingError::NoNode => errors::NODE_PAIR_ID_REQUIRED.error(),
        NodePairingError::NoName => errors::NODE_NAME_REQUIRED.error(),
        NodePairingError::UnknownRequest => errors::PAIRING_UNKNOWN_REQUEST.error(),
        NodePairingError::UnknownNode => errors::NODE_UNKNOWN.error(),
        NodePairingError::TooLarge => errors::INVALID_PARAMS
            .with(&[("method", method.name()), ("problems", &error.to_string())]),
        NodePairingError::TooManyNodes => ErrorCode::Unavailable.error(error.to_string()),
        NodePairingError::Store(_)
        | NodePairingError::Random(_)
        | NodePairingError::Interrupted => {
            tracing::error!(%error, "pairing of a node failed");
            errors::INTERNAL_ERROR.error()
        }
    }
}
