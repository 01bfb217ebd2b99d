//! What is known of a connected node.

use std::collections::{BTreeMap, BTreeSet};

use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::types::ConnectParams;

use super::policy::{Platform, Policy};
use crate::connection::Caller;

/// What a connect says about the node beside its client: what it can do.
#[derive(Debug, Clone, Default)]
pub struct Offer {
    /// Groups of commands.
    pub caps: Vec<NonEmptyString>,
    /// Commands, as declared.
    pub commands: Vec<NonEmptyString>,
    /// What its operating system grants it, by name.
    pub permissions: Option<BTreeMap<String, bool>>,
    /// The PATH that its commands run with.
    pub path_env: Option<String>,
}

impl Offer {
    /// Takes the members out of a connect.
    #[must_use]
    pub fn take(params: &mut ConnectParams) -> Self {
        Self {
            caps: params.caps.take().unwrap_or_default(),
            commands: params.commands.take().unwrap_or_default(),
            permissions: params.permissions.take(),
            path_env: params.path_env.take(),
        }
    }
}

/// A connected node. Never changes while it is connected.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Id of its device; of a node without a device the id of its program (contract 8.1).
    pub node_id: NonEmptyString,
    /// Its connection.
    pub conn_id: String,
    /// Whether the id is that of a verified device.
    pub has_device: bool,
    /// Its name for people.
    pub display_name: Option<NonEmptyString>,
    /// Operating system, in its own words.
    pub platform: NonEmptyString,
    /// Version of its program.
    pub version: NonEmptyString,
    /// Kind of device.
    pub device_family: Option<NonEmptyString>,
    /// Model of the device.
    pub model_identifier: Option<NonEmptyString>,
    /// Its address, unless it is local.
    pub remote_ip: Option<NonEmptyString>,
    /// Groups of commands, sorted, each once.
    pub caps: Vec<NonEmptyString>,
    /// Commands that it offers and may have, sorted, each once.
    pub commands: Vec<NonEmptyString>,
    /// What its operating system grants it, by name.
    pub permissions: Option<BTreeMap<String, bool>>,
    /// The PATH that its commands run with.
    pub path_env: Option<String>,
    /// When it connected, ms.
    pub connected_at_ms: u64,
}

/// The id under which a caller of role `node` is known.
#[must_use]
pub fn node_id(caller: &Caller) -> NonEmptyString {
    let device = caller.device_id.as_deref().and_then(NonEmptyString::new);
    device.unwrap_or_else(|| NonEmptyString::or(caller.client.id.to_string(), "node"))
}

impl Node {
    pub(super) fn new(caller: &Caller, offer: Offer, policy: &Policy, now_ms: u64) -> Self {
        let client = &caller.client;
        let platform = Platform::of(&client.platform, client.device_family.as_deref());
        let caps: BTreeSet<_> = offer.caps.into_iter().collect();
        Self {
            node_id: node_id(caller),
            conn_id: caller.conn_id.clone(),
            has_device: caller.device_id.is_some(),
            display_name: client.display_name.clone(),
            platform: client.platform.clone(),
            version: client.version.clone(),
            device_family: client.device_family.clone(),
            model_identifier: client.model_identifier.clone(),
            remote_ip: caller.remote_ip.as_deref().and_then(NonEmptyString::new),
            caps: caps.into_iter().collect(),
            commands: policy.filter(platform, &offer.commands),
            permissions: offer.permissions,
            path_env: offer.path_env,
            connected_at_ms: now_ms,
        }
    }

    /// Kind of its operating system.
    #[must_use]
    pub fn kind(&self) -> Platform {
        Platform::of(&self.platform, self.device_family.as_deref())
    }

    /// Does it offer this command?
    #[must_use]
    pub fn has(&self, command: &str) -> bool {
        self.commands.iter().any(|known| known.as_str() == command)
    }

    /// Is it a phone or a tablet (`talk.mode`, contract 8.6)? By its platform alone.
    #[must_use]
    pub fn is_mobile(&self) -> bool {
        let platform = self.platform.trim().to_lowercase();
        ["ios", "ipados", "android"]
            .iter()
            .any(|start| platform.starts_with(start))
    }
}
