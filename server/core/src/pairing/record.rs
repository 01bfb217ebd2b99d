//! What is stored about devices: the records of tables `Devices` (by device id) and `PendingPairings` (by request id),
//! contract 3.1.
//!
//! Written and read by this folder only. Field names are those of the wire, but for tokens: what a client holds is not
//! stored, only what it takes to derive it again (see `token`).

use openclaw_protocol::protocol::Role;
use serde::{Deserialize, Serialize};

use super::token::Salt;

/// Characters kept of each text that a client says about itself. Such texts are for people to read; cut at record
/// time they cannot make the index of devices large.
pub const MAX_PROFILE_CHARS: usize = 256;

/// Scopes that a device may hold or ask for. The protocol defines five and clients may invent others (odd 38), which
/// mean nothing; without a bound they would grow the record for ever.
pub const MAX_SCOPES: usize = 64;

/// Bytes of all scopes of a device together, for the same reason.
pub const MAX_SCOPE_BYTES: usize = 4096;

/// What a client says about itself when it connects. Absent values never erase known ones (odd 50).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    /// `client.displayName`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// `client.platform`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// `client.id`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// `client.mode`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_mode: Option<String>,
    /// The address that may be reported of the connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_ip: Option<String>,
}

impl Profile {
    /// The profile as it is kept: every text cut to [`MAX_PROFILE_CHARS`].
    #[must_use]
    pub fn bounded(self) -> Self {
        let cut = |text: Option<String>| {
            text.map(|text| match text.char_indices().nth(MAX_PROFILE_CHARS) {
                Some((end, _)) => text[..end].to_owned(),
                None => text,
            })
        };
        Self {
            display_name: cut(self.display_name),
            platform: cut(self.platform),
            client_id: cut(self.client_id),
            client_mode: cut(self.client_mode),
            remote_ip: cut(self.remote_ip),
        }
    }

    /// Takes over what `newer` says; whether that changed anything.
    pub(super) fn update(&mut self, newer: &Self) -> bool {
        let mut changed = false;
        for (known, said) in [
            (&mut self.display_name, &newer.display_name),
            (&mut self.platform, &newer.platform),
            (&mut self.client_id, &newer.client_id),
            (&mut self.client_mode, &newer.client_mode),
            (&mut self.remote_ip, &newer.remote_ip),
        ] {
            if said.is_some() && known != said {
                known.clone_from(said);
                changed = true;
            }
        }
        changed
    }
}

/// A paired device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Device {
    /// Hex SHA-256 of the raw key; the key of the table.
    pub device_id: String,
    /// base64url of the raw key.
    pub public_key: String,
    /// What it last said about itself.
    #[serde(flatten)]
    pub profile: Profile,
    /// Role of its latest connection.
    #[serde(with = "role_text")]
    pub role: Role,
    /// Every role it was granted.
    #[serde(with = "role_list")]
    pub roles: Vec<Role>,
    /// Every scope it was granted; only grows.
    pub scopes: Vec<String>,
    /// At most one a role, sorted by role.
    pub tokens: Vec<DeviceToken>,
    /// First approval, ms.
    pub created_at_ms: u64,
    /// Latest approval, ms.
    pub approved_at_ms: u64,
}

impl Device {
    /// The token of `role`, revoked or not.
    #[must_use]
    pub fn token(&self, role: Role) -> Option<&DeviceToken> {
        self.tokens.iter().find(|token| token.role == role)
    }

    /// Is everything asked for granted (3.2, steps 2 and 3)? Scopes are compared literally: admin covers no other.
    #[must_use]
    pub fn grants(&self, role: Role, scopes: &[String]) -> bool {
        self.roles.contains(&role) && covers(&self.scopes, scopes)
    }
}

/// What is known about a token that a device holds for a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceToken {
    /// The only role it opens.
    #[serde(with = "role_text")]
    pub role: Role,
    /// Makes it differ from the device's earlier tokens of this role.
    pub salt: Salt,
    /// Scopes it opens, sorted.
    pub scopes: Vec<String>,
    /// When the role got its first token, ms.
    pub created_at_ms: u64,
    /// When this one replaced another, ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotated_at_ms: Option<u64>,
    /// When it was revoked, ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at_ms: Option<u64>,
    /// Latest connect that it opened, ms. Written behind: up to [`super::FLUSH_DELAY`] may be missing after a crash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at_ms: Option<u64>,
}

impl DeviceToken {
    /// When it came to be, ms.
    #[must_use]
    pub fn issued_at_ms(&self) -> u64 {
        self.rotated_at_ms.unwrap_or(self.created_at_ms)
    }

    /// Does it open a connection with these scopes?
    #[must_use]
    pub fn opens(&self, scopes: &[String]) -> bool {
        self.revoked_at_ms.is_none() && covers(&self.scopes, scopes)
    }
}

/// A pairing request that waits for an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PendingPairing {
    /// A uuid; the key of the table. Stands for these very terms: other terms get another request.
    pub request_id: String,
    /// Who asks.
    pub device_id: String,
    /// Its key.
    pub public_key: String,
    /// What it says about itself.
    #[serde(flatten)]
    pub profile: Profile,
    /// Role asked for.
    #[serde(with = "role_text")]
    pub role: Role,
    /// Scopes asked for, in the order sent.
    pub scopes: Vec<String>,
    /// The device was paired already when it asked.
    pub is_repair: bool,
    /// When it first asked, ms.
    pub ts: u64,
    /// When it last asked, ms; the request lives from here (see [`super::PENDING_TTL_MS`]).
    pub seen_at_ms: u64,
}

/// Is every one of `wanted` among `held`?
pub(super) fn covers(held: &[String], wanted: &[String]) -> bool {
    wanted.iter().all(|scope| held.contains(scope))
}

/// A role as on the wire.
mod role_text {
    use super::Role;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(role: &Role, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(role.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Role, D::Error> {
        let text = String::deserialize(deserializer)?;
        Role::from_wire(&text).ok_or_else(|| D::Error::custom("unknown role"))
    }
}

/// Roles as on the wire. Roles that this program does not know are dropped: what they allowed is not granted then.
mod role_list {
    use super::Role;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        roles: &[Role],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(roles.iter().map(|role| role.as_str()))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Role>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        Ok(texts
            .iter()
            .filter_map(|text| Role::from_wire(text))
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_keep_what_newer_ones_leave_out() {
        let mut known = Profile {
            display_name: Some("Phone".into()),
            platform: Some("ios".into()),
            ..Profile::default()
        };
        assert!(!known.update(&Profile::default()));
        assert!(!known.update(&known.clone()));
        let newer = Profile {
            platform: Some("ios 18".into()),
            remote_ip: Some("192.0.2.7".into()),
            ..Profile::default()
        };
        assert!(known.update(&newer));
        assert_eq!(
            known,
            Profile {
                display_name: Some("Phone".into()),
                ..newer
            }
        );
    }

    #[test]
    fn profiles_are_cut_at_characters() {
        for (chars, kept) in [
            (MAX_PROFILE_CHARS, MAX_PROFILE_CHARS),
            (MAX_PROFILE_CHARS + 1, MAX_PROFILE_CHARS),
        ] {
            let text = Some("ä".repeat(chars));
            let profile = Profile {
                display_name: text.clone(),
                platform: text.clone(),
                client_id: text.clone(),
                client_mode: text.clone(),
                remote_ip: text,
            };
            let expected = Some("ä".repeat(kept));
            let bounded = profile.bounded();
            for text in [
                bounded.display_name,
                bounded.platform,
                bounded.client_id,
                bounded.client_mode,
                bounded.remote_ip,
            ] {
                assert_eq!(text, expected);
            }
        }
    }

    #[test]
    fn records_round_trip_as_json() {
        let device = Device {
            device_id: "d".into(),
            public_key: "k".into(),
            profile: Profile {
                platform: Some("linux".into()),
                ..Profile::default()
            },
            role: Role::Node,
            roles: vec![Role::Operator, Role::Node],
            scopes: vec!["operator.read".into()],
            tokens: vec![DeviceToken {
                role: Role::Node,
                salt: Salt::from_bytes([7; 16]),
                scopes: vec![],
                created_at_ms: 1,
                rotated_at_ms: None,
                revoked_at_ms: Some(2),
                last_used_at_ms: None,
            }],
            created_at_ms: 1,
            approved_at_ms: 1,
        };
        let text = serde_json::to_string(&device).unwrap();
        assert_eq!(
            text,
            concat!(
                r#"{"deviceId":"d","publicKey":"k","platform":"linux","role":"node","roles":["operator","node"],"#,
                r#""scopes":["operator.read"],"tokens":[{"role":"node","salt":"07070707070707070707070707070707","#,
                r#""scopes":[],"createdAtMs":1,"revokedAtMs":2}],"createdAtMs":1,"approvedAtMs":1}"#
            )
        );
        assert_eq!(serde_json::from_str::<Device>(&text).unwrap(), device);
        let future = text.replace(r#"["operator","node"]"#, r#"["operator","robot"]"#);
        let known = serde_json::from_str::<Device>(&future).unwrap();
        assert_eq!(known.roles, [Role::Operator]);
    }
}
