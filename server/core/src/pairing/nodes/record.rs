//! What is stored about nodes that are paired by token: tables `PendingNodes` (by request id) and `PairedNodes` (by
//! [`node_key`]). Field names are those of the wire, but for the token, of which only a digest is kept.

use openclaw_protocol::rt::{NonEmptyString, SecretString};
use openclaw_protocol::types::{
    NodePairListed, NodePairPaired, NodePairPending, NodePairRequestParams,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;

use crate::hex::sha256_hex;

/// The key of a node in its table. Clients choose node ids, which may be longer than a key.
pub(super) fn node_key(node_id: &str) -> [u8; 32] {
    Sha256::digest(node_id.as_bytes()).into()
}

/// SHA-256 of a token in hex. A token is 128 random bits, so nothing slower is needed to hide it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct TokenDigest(String);

impl TokenDigest {
    pub(super) fn of(token: &SecretString) -> Self {
        Self(sha256_hex(token.expose()))
    }

    /// Takes the same time whatever is shown.
    pub(super) fn is_of(&self, shown: &SecretString) -> bool {
        Self::of(shown).0.as_bytes().ct_eq(self.0.as_bytes()).into()
    }
}

/// What is said of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct NodeProfile {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) display_name: Option<NonEmptyString>,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<NonEmptyString>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<NonEmptyString>,
    #[serde(skip_serializing_if = "Option::is_none")]
    core_version: Option<NonEmptyString>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ui_version: Option<NonEmptyString>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_family: Option<NonEmptyString>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model_identifier: Option<NonEmptyString>,
    #[serde(skip_serializing_if = "Option::is_none")]
    caps: Option<Vec<NonEmptyString>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    commands: Option<Vec<NonEmptyString>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_ip: Option<NonEmptyString>,
}

/// A node that waits for a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PendingNode {
    pub(super) request_id: NonEmptyString,
    pub(super) node_id: NonEmptyString,
    #[serde(flatten)]
    profile: NodeProfile,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    silent: Option<bool>,
    is_repair: bool,
    /// When it was asked for, ms; it waits from here.
    pub(super) ts: u64,
}

/// A paired node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PairedNode {
    pub(super) node_id: NonEmptyString,
    pub(super) token_digest: TokenDigest,
    #[serde(flatten)]
    pub(super) profile: NodeProfile,
    /// Programs that were found on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) bins: Option<Vec<NonEmptyString>>,
    created_at_ms: u64,
    pub(super) approved_at_ms: u64,
    /// When a node of this id last connected, ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) last_connected_at_ms: Option<u64>,
}

/// Adds what is said of a node to its record as clients see it. They see three forms of it, with the same members.
macro_rules! with_profile {
    ($shown:expr, $profile:expr) => {{
        let (mut shown, profile) = ($shown, $profile);
        shown.display_name = profile.display_name;
        shown.platform = profile.platform;
        shown.version = profile.version;
        shown.core_version = profile.core_version;
        shown.ui_version = profile.ui_version;
        shown.device_family = profile.device_family;
        shown.model_identifier = profile.model_identifier;
        shown.caps = profile.caps;
        shown.commands = profile.commands;
        shown.remote_ip = profile.remote_ip;
        shown
    }};
}

impl PendingNode {
    pub(super) fn new(
        request_id: NonEmptyString,
        node_id: NonEmptyString,
        params: NodePairRequestParams,
        is_repair: bool,
        ts: u64,
    ) -> Self {
        Self {
            request_id,
            node_id,
            profile: NodeProfile {
                display_name: params.display_name,
                platform: params.platform,
                version: params.version,
                core_version: params.core_version,
                ui_version: params.ui_version,
                device_family: params.device_family,
                model_identifier: params.model_identifier,
                caps: params.caps,
                commands: params.commands,
                remote_ip: params.remote_ip,
            },
            silent: params.silent,
            is_repair,
            ts,
        }
    }
}

impl PairedNode {
    /// The node of an approved request; `known` is what was paired under its id before. What was seen of it stays.
    pub(super) fn approved(
        request: PendingNode,
        known: Option<Self>,
        token_digest: TokenDigest,
        now_ms: u64,
    ) -> Self {
        let mut node = Self {
            node_id: request.node_id,
            token_digest,
            profile: request.profile,
            bins: None,
            created_at_ms: now_ms,
            approved_at_ms: now_ms,
            last_connected_at_ms: None,
        };
        if let Some(known) = known {
            node.bins = known.bins;
            node.created_at_ms = known.created_at_ms;
            node.last_connected_at_ms = known.last_connected_at_ms;
        }
        node
    }

    /// The node for who has its token.
    pub(super) fn with_token(self, token: SecretString) -> NodePairPaired {
        let shown =
            NodePairPaired::new(self.node_id, token, self.created_at_ms, self.approved_at_ms);
        let mut shown = with_profile!(shown, self.profile);
        shown.bins = self.bins;
        shown.last_connected_at_ms = self.last_connected_at_ms;
        shown
    }
}

impl From<PendingNode> for NodePairPending {
    fn from(request: PendingNode) -> Self {
        let shown = Self::new(
            request.request_id,
            request.node_id,
            request.is_repair,
            request.ts,
        );
        let mut shown = with_profile!(shown, request.profile);
        shown.silent = request.silent;
        shown
    }
}

impl From<PairedNode> for NodePairListed {
    fn from(node: PairedNode) -> Self {
        let shown = Self::new(node.node_id, node.created_at_ms, node.approved_at_ms);
        let mut shown = with_profile!(shown, node.profile);
        shown.bins = node.bins;
        shown.last_connected_at_ms = node.last_connected_at_ms;
        shown
    }
}
