//! Nodes as lists show them: those that are connected, and those that are paired as devices (contract 8.4).

use std::collections::BTreeMap;
use std::sync::Arc;

use openclaw_protocol::protocol::Role;
use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::types::{NodeDescribeResult, NodeRow};

use super::Node;
use crate::pairing::Device;

/// One row a node: connected ones first, then by name, then by id.
#[must_use]
pub fn rows(connected: &[Arc<Node>], paired: &[Device]) -> Vec<NodeRow> {
    let paired = paired
        .iter()
        .filter(|device| device.roles.contains(&Role::Node));
    let mut rows: BTreeMap<NonEmptyString, NodeRow> = paired
        .filter_map(|device| {
            let row = paired_row(device)?;
            Some((row.node_id.clone(), row))
        })
        .collect();
    for node in connected {
        let known = rows.remove(&node.node_id);
        rows.insert(node.node_id.clone(), connected_row(node, known));
    }
    let mut rows: Vec<NodeRow> = rows.into_values().collect();
    rows.sort_by_cached_key(|row| {
        let name = row.display_name.as_ref().unwrap_or(&row.node_id);
        (!row.connected, name.to_lowercase(), row.node_id.clone())
    });
    rows
}

/// A row with the time at which it was read.
#[must_use]
pub fn described(row: NodeRow, ts: u64) -> NodeDescribeResult {
    NodeDescribeResult {
        ts,
        node_id: row.node_id,
        display_name: row.display_name,
        platform: row.platform,
        version: row.version,
        core_version: row.core_version,
        ui_version: row.ui_version,
        device_family: row.device_family,
        model_identifier: row.model_identifier,
        remote_ip: row.remote_ip,
        caps: row.caps,
        commands: row.commands,
        path_env: row.path_env,
        permissions: row.permissions,
        connected_at_ms: row.connected_at_ms,
        paired: row.paired,
        connected: row.connected,
    }
}

fn paired_row(device: &Device) -> Option<NodeRow> {
    let given = |text: &Option<String>| text.as_deref().and_then(NonEmptyString::new);
    let id = NonEmptyString::new(device.device_id.as_str())?;
    let mut row = NodeRow::new(id, Vec::new(), Vec::new(), true, false);
    row.display_name = given(&device.profile.display_name);
    row.platform = given(&device.profile.platform);
    row.remote_ip = given(&device.profile.remote_ip);
    Some(row)
}

fn connected_row(node: &Node, known: Option<NodeRow>) -> NodeRow {
    let is_paired = known.is_some();
    let (id, caps, commands) = (&node.node_id, &node.caps, &node.commands);
    let mut row = NodeRow::new(id.clone(), caps.clone(), commands.clone(), is_paired, true);
    let known_name = known.as_ref().and_then(|known| known.display_name.clone());
    row.display_name = node.display_name.clone().or(known_name);
    row.platform = Some(node.platform.clone());
    row.version = Some(node.version.clone());
    row.device_family.clone_from(&node.device_family);
    row.model_identifier.clone_from(&node.model_identifier);
    row.remote_ip = node
        .remote_ip
        .clone()
        .or(known.and_then(|known| known.remote_ip));
    row.path_env.clone_from(&node.path_env);
    row.permissions.clone_from(&node.permissions);
    row.connected_at_ms = Some(node.connected_at_ms);
    row
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pairing::Profile;

    fn device(id: &str, name: Option<&str>, roles: &[Role]) -> Device {
        Device {
            device_id: id.to_owned(),
            public_key: "k".to_owned(),
            profile: Profile {
                display_name: name.map(str::to_owned),
                platform: Some("linux".to_owned()),
                ..Profile::default()
            },
            role: Role::Node,
            roles: roles.to_vec(),
            scopes: Vec::new(),
            tokens: Vec::new(),
            created_at_ms: 1,
            approved_at_ms: 1,
        }
    }

    fn node(id: &str, name: Option<&str>) -> Arc<Node> {
        let text = |text: &str| NonEmptyString::or(text, "-");
        Arc::new(Node {
            node_id: text(id),
            conn_id: "c".to_owned(),
            has_device: true,
            display_name: name.and_then(NonEmptyString::new),
            platform: text("iOS 18"),
            version: text("1"),
            device_family: None,
            model_identifier: None,
            remote_ip: None,
            caps: vec![text("canvas")],
            commands: vec![text("canvas.present")],
            permissions: None,
            path_env: None,
            connected_at_ms: 5,
        })
    }

    #[test]
    fn connected_and_paired_nodes_are_one_list() {
        let paired = [
            device("d1", Some("zebra"), &[Role::Node]),
            device("d2", None, &[Role::Node, Role::Operator]),
            device("d3", Some("Ape"), &[Role::Node]),
            device("d4", Some("no node"), &[Role::Operator]),
            device("d5", Some("kept"), &[Role::Node]),
        ];
        let connected = [
            node("d1", Some("Zebra now")),
            node("x", Some("ant")),
            node("d5", None),
        ];
        let rows = rows(&connected, &paired);
        let shown: Vec<_> = rows
            .iter()
            .map(|row| {
                (
                    row.node_id.as_str(),
                    row.display_name.as_deref(),
                    row.paired,
                    row.connected,
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                ("x", Some("ant"), false, true),
                ("d5", Some("kept"), true, true),
                ("d1", Some("Zebra now"), true, true),
                ("d3", Some("Ape"), true, false),
                ("d2", None, true, false),
            ]
        );
        assert_eq!(rows[0].connected_at_ms, Some(5));
        assert_eq!(rows[0].commands.len(), 1);
        assert_eq!(
            (rows[3].platform.as_deref(), rows[3].caps.len()),
            (Some("linux"), 0)
        );
        let described = described(rows[0].clone(), 9);
        assert_eq!((described.ts, &described.node_id), (9, &rows[0].node_id));
    }
}
