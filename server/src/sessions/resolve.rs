//! `sessions.resolve`: one session, found by a name, a transcript's id or a label (contract 9.6).

use openclaw_protocol::protocol::errors;
use openclaw_protocol::types::{ErrorShape, SessionsListParams, SessionsResolveParams};

use super::listed::Listed;
use super::{Sessions, listing};
use crate::store::StoreError;
use crate::text::given;

/// Why no session was found.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The request asks for nothing, too much, or what is not there or not unique; in the words for the client.
    #[error("{}", .0.message.as_str())]
    Refused(ErrorShape),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Sessions {
    /// The canonical key of the session that is meant. Blanks count as absent. Reads every entry unless a key is given;
    /// callers on the I/O thread put it aside.
    ///
    /// # Errors
    /// See [`ResolveError`].
    pub fn resolve(&self, params: &SessionsResolveParams) -> Result<String, ResolveError> {
        let refused = |error| Err(ResolveError::Refused(error));
        match (
            given(params.key.as_deref()),
            given(params.session_id.as_deref()),
            given(params.label.as_deref()),
        ) {
            (None, None, None) => refused(errors::SESSION_NAME_REQUIRED.error()),
            (Some(raw), None, None) => {
                let key = self.key(&raw);
                match self.entry(&key)? {
                    Some(_) => Ok(key.canonical().to_owned()),
                    None => refused(errors::SESSION_NOT_FOUND.with(&[("name", &raw)])),
                }
            }
            (None, Some(id), None) => {
                let found =
                    self.matching(params, |key, entry| entry.session_id == id || key == id)?;
                one(found).or_else(|keys| match keys {
                    None => refused(errors::SESSION_NOT_FOUND.with(&[("name", &id)])),
                    Some(keys) => refused(
                        errors::SESSION_ID_AMBIGUOUS.with(&[("sessionId", &id), ("keys", &keys)]),
                    ),
                })
            }
            (None, None, Some(label)) => {
                let found = self.matching(params, |_, entry| {
                    entry.label.as_deref() == Some(label.as_str())
                })?;
                one(found).or_else(|keys| match keys {
                    None => refused(errors::SESSION_LABEL_NOT_FOUND.with(&[("label", &label)])),
                    Some(keys) => refused(
                        errors::SESSION_LABEL_AMBIGUOUS.with(&[("label", &label), ("keys", &keys)]),
                    ),
                })
            }
            _ => refused(errors::SESSION_NAME_TWICE.error()),
        }
    }

    /// Keys of the sessions that pass the filters and `is_meant`, newest first.
    fn matching(
        &self,
        params: &SessionsResolveParams,
        is_meant: impl Fn(&str, &Listed) -> bool,
    ) -> Result<Vec<String>, StoreError> {
        let filters = SessionsListParams {
            agent_id: params.agent_id.clone(),
            spawned_by: params.spawned_by.clone(),
            include_global: params.include_global,
            include_unknown: params.include_unknown,
            ..SessionsListParams::default()
        };
        let mut found = self.read(|reader| listing::find(reader, &filters))?;
        found.retain(|(key, entry)| is_meant(key, entry));
        found.sort_by_key(|(_, entry)| std::cmp::Reverse(entry.updated_at.unwrap_or(0)));
        Ok(found.into_iter().map(|(key, _)| key).collect())
    }
}

/// The only one; else none, or all of them in a line.
fn one(mut keys: Vec<String>) -> Result<String, Option<String>> {
    match (keys.pop(), keys.is_empty()) {
        (Some(only), true) => Ok(only),
        (None, _) => Err(None),
        (Some(last), false) => {
            keys.push(last);
            Err(Some(keys.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Entry, open_in};
    use serde_json::{Value, json};

    #[tokio::test]
    async fn names_ids_and_labels() {
        let dir = tempfile::tempdir().unwrap();
        let sessions = open_in(dir.path());
        for (raw, entry) in [
            (
                "main",
                json!({"sessionId": "m", "updatedAt": 1, "label": "Twice"}),
            ),
            (
                "lab",
                json!({"sessionId": "l", "updatedAt": 2, "label": "Lab"}),
            ),
            (
                "agent:ops:x",
                json!({"sessionId": "shared", "updatedAt": 3, "label": "Twice", "spawnedBy": "agent:main:lab"}),
            ),
            (
                "agent:ops:y",
                json!({"sessionId": "shared", "updatedAt": 4}),
            ),
            ("global", json!({"sessionId": "g", "updatedAt": 5})),
        ] {
            let key = sessions.key(raw);
            let entry: Entry = serde_json::from_value(entry).unwrap();
            sessions
                .write(move |changes| changes.put_entry(&key, &entry))
                .await
                .unwrap();
        }
        let check = |params: Value, found: Result<&str, &str>| {
            let case = params.to_string();
            let resolved = sessions.resolve(&serde_json::from_value(params).unwrap());
            let resolved = resolved.map_err(|error| error.to_string());
            assert_eq!(resolved.as_deref().map_err(String::as_str), found, "{case}");
        };
        check(json!({"key": "main"}), Ok("agent:main:main"));
        check(json!({"key": " agent:OPS:X "}), Ok("agent:ops:x"));
        check(json!({"key": "global"}), Ok("global"));
        check(
            json!({"key": "agent:main:none"}),
            Err("No session found: agent:main:none"),
        );
        check(json!({"sessionId": "l"}), Ok("agent:main:lab"));
        check(json!({"sessionId": "agent:main:lab"}), Ok("agent:main:lab"));
        check(json!({"sessionId": "nope"}), Err("No session found: nope"));
        check(json!({"sessionId": "g"}), Err("No session found: g"));
        check(
            json!({"sessionId": "g", "includeGlobal": true}),
            Ok("global"),
        );
        check(
            json!({"sessionId": "shared"}),
            Err("Multiple sessions found for sessionId: shared (agent:ops:y, agent:ops:x)"),
        );
        check(
            json!({"sessionId": "shared", "spawnedBy": "agent:main:lab"}),
            Ok("agent:ops:x"),
        );
        check(json!({"label": "Lab"}), Ok("agent:main:lab"));
        check(
            json!({"label": "lab"}),
            Err("No session found with label: lab"),
        );
        check(
            json!({"label": "Lab", "agentId": "ops"}),
            Err("No session found with label: Lab"),
        );
        check(
            json!({"label": "Twice"}),
            Err("Multiple sessions found with label: Twice (agent:ops:x, agent:main:main)"),
        );
        check(
            json!({"label": "Twice", "agentId": "ops"}),
            Ok("agent:ops:x"),
        );
        check(
            json!({}),
            Err("Either key, sessionId, or label is required"),
        );
        check(
            json!({"key": "  "}),
            Err("Either key, sessionId, or label is required"),
        );
        check(
            json!({"key": "main", "label": "Lab"}),
            Err("Provide either key, sessionId, or label (not multiple)"),
        );
    }
}
