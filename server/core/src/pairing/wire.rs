//! Records as clients see them: members of `device.pair.*` (contract 3.1 and 3.3). Salts stay here.

use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::types::{
    DevicePairRequestedEvent, DevicePairResolvedEvent, DevicePaired, DeviceTokenInfo,
};

use super::{Device, DeviceToken, PendingPairing, Resolved};

/// Stands for a text that a record should have and has not.
const UNKNOWN: &str = "unknown";

fn text(text: &str) -> NonEmptyString {
    NonEmptyString::or(text, UNKNOWN)
}

fn some(text: &Option<String>) -> Option<NonEmptyString> {
    text.as_deref().and_then(NonEmptyString::new)
}

fn all(texts: &[String]) -> Vec<NonEmptyString> {
    texts
        .iter()
        .map(String::as_str)
        .filter_map(NonEmptyString::new)
        .collect()
}

impl From<&PendingPairing> for DevicePairRequestedEvent {
    fn from(request: &PendingPairing) -> Self {
        let role = text(request.role.as_str());
        let profile = &request.profile;
        Self {
            display_name: some(&profile.display_name),
            platform: some(&profile.platform),
            client_id: some(&profile.client_id),
            client_mode: some(&profile.client_mode),
            scopes: Some(all(&request.scopes)),
            remote_ip: some(&profile.remote_ip),
            ..Self::new(
                text(&request.request_id),
                text(&request.device_id),
                text(&request.public_key),
                role.clone(),
                vec![role],
                false,
                request.is_repair,
                request.ts,
            )
        }
    }
}

impl From<&Resolved> for DevicePairResolvedEvent {
    fn from(resolved: &Resolved) -> Self {
        Self::new(
            text(&resolved.request_id),
            text(&resolved.device_id),
            resolved.decision,
            resolved.ts,
        )
    }
}

impl From<&Device> for DevicePaired {
    fn from(device: &Device) -> Self {
        let roles = device.roles.iter().map(|role| text(role.as_str()));
        let profile = &device.profile;
        let tokens: Vec<_> = device.tokens.iter().map(DeviceTokenInfo::from).collect();
        Self {
            display_name: some(&profile.display_name),
            platform: some(&profile.platform),
            client_id: some(&profile.client_id),
            client_mode: some(&profile.client_mode),
            scopes: Some(all(&device.scopes)).filter(|scopes| !scopes.is_empty()),
            remote_ip: some(&profile.remote_ip),
            tokens: Some(tokens).filter(|tokens| !tokens.is_empty()),
            ..Self::new(
                text(&device.device_id),
                text(&device.public_key),
                text(device.role.as_str()),
                roles.collect(),
                device.created_at_ms,
                device.approved_at_ms,
            )
        }
    }
}

impl From<&DeviceToken> for DeviceTokenInfo {
    fn from(token: &DeviceToken) -> Self {
        Self {
            rotated_at_ms: token.rotated_at_ms,
            revoked_at_ms: token.revoked_at_ms,
            last_used_at_ms: token.last_used_at_ms,
            ..Self::new(
                text(token.role.as_str()),
                all(&token.scopes),
                token.created_at_ms,
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use openclaw_protocol::protocol::Role;
    use openclaw_protocol::types::PairDecision;
    use serde_json::{Value, json};

    use super::*;
    use crate::pairing::{Profile, Salt};

    fn device(tokens: Vec<DeviceToken>, scopes: &[&str]) -> Device {
        Device {
            device_id: "d".into(),
            public_key: "k".into(),
            profile: Profile {
                display_name: Some(String::new()),
                platform: Some("linux".into()),
                ..Profile::default()
            },
            role: Role::Node,
            roles: vec![Role::Operator, Role::Node],
            scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
            tokens,
            created_at_ms: 1,
            approved_at_ms: 2,
        }
    }

    fn check(value: &impl serde::Serialize, expected: Value) {
        assert_eq!(serde_json::to_value(value).unwrap(), expected);
    }

    #[test]
    fn devices_are_shown_without_what_makes_their_tokens() {
        check(
            &DevicePaired::from(&device(vec![], &[])),
            json!({"deviceId": "d", "publicKey": "k", "platform": "linux", "role": "node",
                "roles": ["operator", "node"], "createdAtMs": 1, "approvedAtMs": 2}),
        );
        let token = DeviceToken {
            role: Role::Node,
            salt: Salt::from_bytes([7; 16]),
            scopes: vec!["x".into()],
            created_at_ms: 1,
            rotated_at_ms: Some(2),
            revoked_at_ms: Some(3),
            last_used_at_ms: Some(4),
        };
        let shown = serde_json::to_value(DevicePaired::from(&device(vec![token], &["x"]))).unwrap();
        assert_eq!(shown["scopes"], json!(["x"]));
        assert_eq!(
            shown["tokens"],
            json!([{"role": "node", "scopes": ["x"], "createdAtMs": 1, "rotatedAtMs": 2, "revokedAtMs": 3,
                "lastUsedAtMs": 4}])
        );
    }

    #[test]
    fn requests_and_decisions_are_shown_whole() {
        let request = PendingPairing {
            request_id: "r".into(),
            device_id: "d".into(),
            public_key: "k".into(),
            profile: Profile {
                client_id: Some("cli".into()),
                client_mode: Some("cli".into()),
                remote_ip: Some("192.0.2.7".into()),
                ..Profile::default()
            },
            role: Role::Node,
            scopes: vec![],
            is_repair: true,
            ts: 5,
            seen_at_ms: 6,
        };
        check(
            &DevicePairRequestedEvent::from(&request),
            json!({"requestId": "r", "deviceId": "d", "publicKey": "k", "clientId": "cli", "clientMode": "cli",
                "role": "node", "roles": ["node"], "scopes": [], "remoteIp": "192.0.2.7", "silent": false,
                "isRepair": true, "ts": 5}),
        );
        let resolved = Resolved {
            request_id: "r".into(),
            device_id: "d".into(),
            decision: PairDecision::Rejected,
            ts: 5,
        };
        check(
            &DevicePairResolvedEvent::from(&resolved),
            json!({"requestId": "r", "deviceId": "d", "decision": "rejected", "ts": 5}),
        );
    }
}
