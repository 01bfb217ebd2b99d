//! An entry as the protocol shows it: `entry` of `sessions.patch` and `sessions.reset`.

use openclaw_protocol::types::SessionEntry;
use serde_json::{Map, Value};

use super::Entry;

impl Entry {
    /// The entry in the protocol's shape. A member that another release stored in a shape of its own is left out.
    #[must_use]
    pub fn shown(&self) -> SessionEntry {
        let bare = SessionEntry::new(self.session_id.clone(), self.updated_at.unwrap_or(0));
        let told = Self {
            agent_calls_only: false,
            ..self.clone()
        };
        let Ok(Value::Object(mut members)) = serde_json::to_value(told) else {
            return bare;
        };
        members.insert("updatedAt".to_owned(), bare.updated_at.into());
        if let Ok(entry) = serde_json::from_value(Value::Object(members.clone())) {
            return entry;
        }
        let fits = |name: &str, value: &Value| {
            let mut alone = Map::new();
            alone.insert("sessionId".to_owned(), bare.session_id.clone().into());
            alone.insert("updatedAt".to_owned(), bare.updated_at.into());
            alone.insert(name.to_owned(), value.clone());
            serde_json::from_value::<SessionEntry>(Value::Object(alone)).is_ok()
        };
        members.retain(|name, value| fits(name, value));
        serde_json::from_value(Value::Object(members)).unwrap_or(bare)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_does_not_fit_is_left_out() {
        for (stored, shown) in [
            (
                json!({"sessionId": "s", "updatedAt": 5, "label": "L", "queueMode": "collect", "execAsk": "off"}),
                json!({"sessionId": "s", "updatedAt": 5, "label": "L", "queueMode": "collect", "execAsk": "off"}),
            ),
            (
                json!({"sessionId": "s", "updatedAt": 5, "agentCallsOnly": true}),
                json!({"sessionId": "s", "updatedAt": 5}),
            ),
            (
                json!({"sessionId": "s"}),
                json!({"sessionId": "s", "updatedAt": 0}),
            ),
            (
                json!({"sessionId": "s", "updatedAt": 5, "chatType": "room", "origin": {"chatType": "room"}, "compactionCount": "x", "label": "L"}),
                json!({"sessionId": "s", "updatedAt": 5, "label": "L"}),
            ),
        ] {
            let entry: Entry = serde_json::from_value(stored.clone()).unwrap();
            assert_eq!(json!(entry.shown()), shown, "{stored}");
        }
    }
}
