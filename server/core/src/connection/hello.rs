//! The text of hello-ok (contract 4). What is the same for every connection is serialised once at start, so that a
//! connect costs little more than copying it.

use itoa::Buffer;
use openclaw_protocol::events::EventKind;
use openclaw_protocol::methods::Method;
use openclaw_protocol::protocol::{self, limits};
use openclaw_protocol::rt::{self, NonEmptyString};
use openclaw_protocol::tables;
use openclaw_protocol::types::{HelloAuth, HelloFeatures, Policy, SessionDefaults, StateVersion};
use serde::Serialize;

use super::caller::CallerInfo;
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

/// hello-ok for each protocol version that is served.
#[derive(Debug)]
pub struct HelloTemplate {
    newest: Pieces,
    /// From [`protocol::OLDEST_VERSION`] on.
    older: Vec<Pieces>,
}

/// hello-ok in pieces, between which a connection's own values go.
#[derive(Debug)]
struct Pieces {
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
        let older = protocol::OLDEST_VERSION..protocol::VERSION;
        Self {
            newest: Pieces::new(facts, protocol::VERSION),
            older: older.map(|version| Pieces::new(facts, version)).collect(),
        }
    }

    /// The frame that answers request `id` of `caller`. `grant` is what a paired device gets.
    #[must_use]
    pub fn frame(
        &self,
        caller: &CallerInfo,
        id: &str,
        snapshot: &Snapshot<'_>,
        uptime_ms: u64,
        grant: Option<&Grant>,
    ) -> Vec<u8> {
        let conn_id = &caller.conn_id;
        if caller.protocol == protocol::VERSION {
            return self.newest.frame(id, conn_id, snapshot, uptime_ms, grant);
        }
        let index = usize::try_from(caller.protocol.saturating_sub(protocol::OLDEST_VERSION));
        let pieces = index.ok().and_then(|index| self.older.get(index));
        let pieces = pieces.unwrap_or(&self.newest);
        let frame = pieces.frame(id, conn_id, snapshot, uptime_ms, grant);
        rt::response_at(&[&tables::HELLO_OK], caller.protocol, frame)
    }
}

impl Pieces {
    /// What a client of a protocol version is told.
    fn new(facts: &Facts, protocol_version: u64) -> Self {
        let is_known = |since: u64| since <= protocol_version;
        let has_method = |name: &str| {
            Method::from_name(name)
                .is_none_or(|m| is_known(m.spec().since) && !facts.unfinished.contains(&m))
        };
        let has_event =
            |name: &str| EventKind::from_name(name).is_none_or(|e| is_known(e.spec().since));
        let names = |names: &[&str], has: &dyn Fn(&str) -> bool| {
            let names = names.iter().copied().filter(|name| has(name));
            names.filter_map(NonEmptyString::new).collect()
        };
        let features = HelloFeatures::new(
            names(&protocol::FEATURE_METHODS, &has_method),
            names(&protocol::FEATURE_EVENTS, &has_event),
        );
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
                protocol_version,
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

    fn frame(
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
    use openclaw_protocol::rt::SecretString;
    use openclaw_protocol::types::SessionScope;
    use serde_json::{Value, json};

    use super::*;
    use crate::connection::Caller;

    fn payload(facts: &Facts, snapshot: &Snapshot<'_>, grant: Option<&Grant>) -> Value {
        let caller = Caller::of_test("conn", |_| ());
        let frame = HelloTemplate::new(facts).frame(&caller, "a\"1", snapshot, 12, grant);
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
            "features": {"methods": &protocol::FEATURE_METHODS[..], "events": protocol::FEATURE_EVENTS},
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
    fn an_older_version_is_told_of_what_it_has() {
        let version = StateVersion::new(1, 1);
        let snapshot = Snapshot {
            presence: "[]",
            health: "{}",
            version: &version,
        };
        // Everything of the schema is newer than this version.
        let before = Pieces::new(&Facts::default(), protocol::OLDEST_VERSION - 1);
        let text = String::from_utf8(before.frame("1", "conn", &snapshot, 0, None)).unwrap();
        let frame: Value = serde_json::from_str(&text).unwrap();
        let payload = &frame["payload"];
        assert_eq!(payload["protocol"], protocol::OLDEST_VERSION - 1);
        assert_eq!(payload["features"], json!({"methods": [], "events": []}));
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
