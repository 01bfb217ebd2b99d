//! The text of hello-ok (contract 4). What is the same for every connection is serialised once at start, so that a
//! connect costs little more than copying it.

use itoa::Buffer;
use openclaw_protocol::methods::Method;
use openclaw_protocol::protocol::{self, limits};
use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::types::{HelloAuth, HelloFeatures, Policy, SessionDefaults, StateVersion};
use serde::Serialize;

use crate::hub::Snapshot;
use crate::pairing::Grant;

/// What hello-ok tells about this gateway.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Version of the program (odd 52).
    pub version: String,
    /// Source commit it was built from, if known.
    pub commit: Option<String>,
    /// Name of the machine.
    pub host: String,
    /// The configuration file.
    pub config_path: String,
    /// The state directory.
    pub state_dir: String,
    /// Which conversation "main" means; absent when a name in it is empty.
    pub session_defaults: Option<SessionDefaults>,
    /// Methods that are not advertised because they cannot do anything yet.
    pub unfinished: &'static [Method],
}

/// hello-ok in pieces, between which a connection's own values go.
#[derive(Debug)]
pub struct HelloTemplate {
    /// After the request id, up to the connection id.
    to_conn_id: String,
    /// Up to the presence list.
    to_presence: String,
    /// After the uptime, up to the end of the snapshot.
    to_snapshot_end: String,
    /// From the policy to the end.
    to_end: String,
}

impl HelloTemplate {
    /// Serialises what does not change.
    #[must_use]
    pub fn new(facts: &Facts) -> Self {
        let names = |names: &[&str]| {
            names
                .iter()
                .copied()
                .filter_map(NonEmptyString::new)
                .collect()
        };
        let is_served = |name: &&str| {
            Method::from_name(name).is_none_or(|method| !facts.unfinished.contains(&method))
        };
        let served: Vec<&str> = protocol::FEATURE_METHODS
            .iter()
            .copied()
            .filter(is_served)
            .collect();
        let features = HelloFeatures::new(names(&served), names(&protocol::FEATURE_EVENTS));
        let policy = Policy::new(
            limits::MAX_PAYLOAD,
            limits::MAX_BUFFERED_BYTES,
            limits::TICK_INTERVAL_MS,
        );
        let commit = facts.commit.as_deref().filter(|commit| !commit.is_empty());
        let member = |name: &str, value: Option<&str>| {
            let value = value.filter(|value| !value.is_empty());
            value
                .map(|value| format!(r#""{name}":{},"#, json(value)))
                .unwrap_or_default()
        };
        let version = Some(facts.version.as_str()).filter(|version| !version.is_empty());
        let mut to_snapshot_end = String::new();
        for (name, value) in [
            ("configPath", &facts.config_path),
            ("stateDir", &facts.state_dir),
        ] {
            if !value.is_empty() {
                to_snapshot_end += &format!(r#","{name}":{}"#, json(value));
            }
        }
        if let Some(defaults) = &facts.session_defaults {
            to_snapshot_end += &format!(r#","sessionDefaults":{}"#, json(defaults));
        }
        to_snapshot_end.push('}');
        Self {
            to_conn_id: format!(
                r#","ok":true,"payload":{{"type":"hello-ok","protocol":{},"server":{{{}{}{}"connId":"#,
                protocol::VERSION,
                member("version", version.or(Some("unknown"))),
                member("commit", commit),
                member("host", Some(&facts.host)),
            ),
            to_presence: format!(
                r#"}},"features":{},"snapshot":{{"presence":"#,
                json(&features)
            ),
            to_snapshot_end,
            to_end: format!(r#","policy":{}}}}}"#, json(&policy)),
        }
    }

    /// The frame that answers request `id` of connection `conn_id`. `grant` is what a paired device gets.
    #[must_use]
    pub fn frame(
        &self,
        id: &str,
        conn_id: &str,
        snapshot: &Snapshot<'_>,
        uptime_ms: u64,
        grant: Option<&Grant>,
    ) -> Vec<u8> {
        /// Envelope, ids, numbers and a grant.
        const REST: usize = 512;
        let fixed = self.to_conn_id.len()
            + self.to_presence.len()
            + self.to_snapshot_end.len()
            + self.to_end.len();
        let mut text = String::with_capacity(
            fixed + snapshot.presence.len() + snapshot.health.len() + id.len() + REST,
        );
        let StateVersion { presence, health } = snapshot.version;
        let (mut a, mut b, mut c) = (Buffer::new(), Buffer::new(), Buffer::new());
        for piece in [
            r#"{"type":"res","id":"#,
            &json(id),
            &self.to_conn_id,
            &json(conn_id),
            &self.to_presence,
            snapshot.presence,
            r#","health":"#,
            snapshot.health,
            r#","stateVersion":{"presence":"#,
            a.format(*presence),
            r#","health":"#,
            b.format(*health),
            r#"},"uptimeMs":"#,
            c.format(uptime_ms),
            &self.to_snapshot_end,
        ] {
            text.push_str(piece);
        }
        if let Some(grant) = grant {
            text.push_str(r#","auth":"#);
            text.push_str(&json(&auth(grant)));
        }
        text.push_str(&self.to_end);
        text.into_bytes()
    }
}

fn auth(grant: &Grant) -> HelloAuth {
    let scopes = grant
        .scopes
        .iter()
        .map(String::as_str)
        .filter_map(NonEmptyString::new);
    let mut auth = HelloAuth::new(
        grant.token.clone(),
        NonEmptyString::or(grant.role.as_str(), "operator"),
        scopes.collect(),
    );
    auth.issued_at_ms = Some(grant.issued_at_ms);
    auth
}

/// Strings and structs of strings: nothing that cannot be written as JSON.
fn json(value: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}

#[cfg(test)]
mod tests {
    use openclaw_protocol::protocol::Role;
    use openclaw_protocol::rt::{self, SecretString};
    use openclaw_protocol::tables;
    use openclaw_protocol::types::SessionScope;
    use serde_json::{Value, json};

    use super::*;

    fn payload(facts: &Facts, snapshot: &Snapshot<'_>, grant: Option<&Grant>) -> Value {
        let frame = HelloTemplate::new(facts).frame("a\"1", "conn", snapshot, 12, grant);
        let text = String::from_utf8(frame).unwrap();
        assert!(rt::accepts(&tables::RESPONSE_FRAME, &text), "{text}");
        let frame: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&frame["type"], &frame["id"], &frame["ok"]),
            (&json!("res"), &json!("a\"1"), &json!(true))
        );
        let payload = frame["payload"].to_string();
        assert!(rt::accepts(&tables::HELLO_OK, &payload), "{payload}");
        frame["payload"].clone()
    }

    #[test]
    fn says_everything() {
        let text = |text: &str| NonEmptyString::or(text, "-");
        let mut defaults =
            SessionDefaults::new(text("main"), text("main"), text("agent:main:main"));
        defaults.scope = Some(SessionScope::PerSender);
        let facts = Facts {
            version: "1.2.3".into(),
            commit: Some("abc".into()),
            host: "box \"x\"".into(),
            config_path: "/c".into(),
            state_dir: "/s".into(),
            session_defaults: Some(defaults),
            unfinished: &[],
        };
        let version = StateVersion::new(3, 4);
        let snapshot = Snapshot {
            presence: r#"[{"ts":1}]"#,
            health: "{}",
            version: &version,
        };
        let grant = Grant {
            token: SecretString::new("t0ken"),
            role: Role::Node,
            scopes: vec!["x".into()],
            issued_at_ms: 5,
        };
        let payload = payload(&facts, &snapshot, Some(&grant));
        let expected = json!({
            "type": "hello-ok", "protocol": 3,
            "server": {"version": "1.2.3", "commit": "abc", "host": "box \"x\"", "connId": "conn"},
            "features": {"methods": protocol::FEATURE_METHODS, "events": protocol::FEATURE_EVENTS},
            "snapshot": {
                "presence": [{"ts": 1}], "health": {}, "stateVersion": {"presence": 3, "health": 4}, "uptimeMs": 12,
                "configPath": "/c", "stateDir": "/s",
                "sessionDefaults": {
                    "defaultAgentId": "main", "mainKey": "main", "mainSessionKey": "agent:main:main",
                    "scope": "per-sender",
                },
            },
            "auth": {"deviceToken": "t0ken", "role": "node", "scopes": ["x"], "issuedAtMs": 5},
            "policy": {"maxPayload": 524_288, "maxBufferedBytes": 1_572_864, "tickIntervalMs": 30_000},
        });
        assert_eq!(payload, expected);
    }

    #[test]
    fn leaves_out_what_is_not_known() {
        let version = StateVersion::new(1, 1);
        let snapshot = Snapshot {
            presence: "[]",
            health: "{}",
            version: &version,
        };
        let payload = payload(&Facts::default(), &snapshot, None);
        assert_eq!(
            payload["server"],
            json!({"version": "unknown", "connId": "conn"})
        );
        let members: Vec<_> = payload["snapshot"].as_object().unwrap().keys().collect();
        assert_eq!(members, ["health", "presence", "stateVersion", "uptimeMs"]);
        assert!(payload.get("auth").is_none());
    }
}
