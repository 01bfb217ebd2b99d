//! Devices, nodes and requests as rows of tables. `openclaw devices` and `openclaw pairing` print them.

use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::types::{
    DevicePairRequestedEvent, DevicePaired, DeviceTokenInfo, NodePairPending,
};

use crate::cli::print;

/// Characters of a device id in tables; `--json` has all of them. As many as tell devices apart.
const ID_CHARS: usize = 16;

/// The columns of [`device_row`] and [`node_row`].
pub(in crate::cli) const WAITING_HEAD: &[&str] =
    &["request", "kind", "name", "asks for", "scopes", "ip", "age"];

pub(in crate::cli) fn device_row(request: &DevicePairRequestedEvent, now_ms: u64) -> Vec<String> {
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

pub(in crate::cli) fn node_row(node: &NodePairPending, now_ms: u64) -> Vec<String> {
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

pub(in crate::cli) fn paired_row(device: &DevicePaired) -> Vec<String> {
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

pub(in crate::cli) fn name_of(name: &Option<NonEmptyString>, device_id: &str) -> String {
    name.as_ref()
        .map_or_else(|| short(device_id), NonEmptyString::to_string)
}

pub(in crate::cli) fn short(device_id: &str) -> String {
    device_id.chars().take(ID_CHARS).collect()
}

fn or_dash(text: Option<&NonEmptyString>) -> String {
    text.map_or_else(|| "-".to_owned(), NonEmptyString::to_string)
}

pub(in crate::cli) fn joined(texts: &[NonEmptyString]) -> String {
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
    use super::*;

    fn id(text: &str) -> NonEmptyString {
        NonEmptyString::or(text, "-")
    }

    #[test]
    fn rows_say_what_matters() {
        let mut device = DevicePaired::new(
            id(&"d".repeat(64)),
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
