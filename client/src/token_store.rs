//! The device tokens that gateways have issued to this device (contract 2.4).
//!
//! One small JSON file, shared with the original client and read anew for every connect, because
//! another process of the same device may have written it.

use std::io;
use std::path::{Path, PathBuf};

use openclaw_protocol::rt::SecretString;
use serde_json::{Map, Value, json};

use crate::files;

/// Where the file is, below the state folder.
pub const TOKENS_FILE: &str = "identity/device-auth.json";

/// The one version of the file there is.
const FILE_VERSION: u64 = 1;

/// The file of device tokens. Its methods block on disk.
///
/// The file belongs to one device: tokens of another are not seen, and are dropped by the next
/// write. A file that cannot be parsed counts as empty, since a lost token costs one connect with
/// the shared secret and a gateway issues a new one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenStore {
    path: PathBuf,
}

/// The file cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("device tokens {}: {source}", path.display())]
pub struct TokenStoreError {
    /// The file.
    pub path: PathBuf,
    /// What the operating system says.
    pub source: io::Error,
}

impl TokenStore {
    /// The store in the file at `path`, which need not exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The token of the device for a role.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn get(
        &self,
        device_id: &str,
        role: &str,
    ) -> Result<Option<SecretString>, TokenStoreError> {
        let tokens = self.read(device_id)?;
        let token = tokens.get(role).and_then(|entry| entry["token"].as_str());
        Ok(token.filter(|t| !t.is_empty()).map(SecretString::from))
    }

    /// Stores the token of the device for a role, with the scopes it stands for.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn put(
        &self,
        device_id: &str,
        role: &str,
        token: &SecretString,
        scopes: &[String],
        now_ms: u64,
    ) -> Result<(), TokenStoreError> {
        let mut scopes = scopes.to_vec();
        scopes.sort();
        scopes.dedup();
        let mut tokens = self.read(device_id)?;
        let entry = json!({
            "token": token.expose(), "role": role, "scopes": scopes, "updatedAtMs": now_ms,
        });
        if let Some(Value::Object(old)) = tokens.get_mut(role)
            && let Value::Object(new) = entry
        {
            // Members that a newer client may have added are kept.
            old.extend(new);
        } else {
            tokens.insert(role.to_owned(), entry);
        }
        self.write(device_id, tokens)
    }

    /// Forgets the token of the device for a role, if it is `token`: one that another process has
    /// replaced meanwhile stays.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn forget(
        &self,
        device_id: &str,
        role: &str,
        token: &SecretString,
    ) -> Result<(), TokenStoreError> {
        let mut tokens = self.read(device_id)?;
        let stored = tokens.get(role).and_then(|entry| entry["token"].as_str());
        if stored.is_some_and(|stored| SecretString::from(stored) == *token) {
            tokens.remove(role);
            self.write(device_id, tokens)?;
        }
        Ok(())
    }

    fn read(&self, device_id: &str) -> Result<Map<String, Value>, TokenStoreError> {
        let text = match std::fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Map::new()),
            Err(source) => return Err(self.error(source)),
        };
        let mut file: Value = serde_json::from_str(&text).unwrap_or_default();
        if file["version"] != FILE_VERSION || file["deviceId"] != device_id {
            return Ok(Map::new());
        }
        Ok(match file["tokens"].take() {
            Value::Object(tokens) => tokens,
            _ => Map::new(),
        })
    }

    fn write(&self, device_id: &str, tokens: Map<String, Value>) -> Result<(), TokenStoreError> {
        let file = json!({ "version": FILE_VERSION, "deviceId": device_id, "tokens": tokens });
        files::replace(&self.path, &format!("{file:#}\n")).map_err(|e| self.error(e))
    }

    fn error(&self, source: io::Error) -> TokenStoreError {
        TokenStoreError {
            path: self.path.clone(),
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, TokenStore) {
        let dir = tempfile::tempdir().unwrap();
        let store = TokenStore::new(dir.path().join(TOKENS_FILE));
        (dir, store)
    }

    fn write(store: &TokenStore, text: &str) {
        files::replace(store.path(), text).unwrap();
    }

    fn json_of(store: &TokenStore) -> Value {
        serde_json::from_str(&std::fs::read_to_string(store.path()).unwrap()).unwrap()
    }

    fn token(store: &TokenStore, device: &str, role: &str) -> Option<String> {
        let token = store.get(device, role).unwrap();
        token.map(|t| t.expose().to_owned())
    }

    #[test]
    fn tokens_are_kept_by_device_and_role() {
        let (_dir, store) = store();
        assert_eq!(token(&store, "d", "operator"), None);
        let scopes = ["b", "a", "b"].map(str::to_owned);
        store
            .put("d", "operator", &"t1".into(), &scopes, 7)
            .unwrap();
        store.put("d", "node", &"t2".into(), &[], 8).unwrap();
        assert_eq!(token(&store, "d", "operator").as_deref(), Some("t1"));
        assert_eq!(token(&store, "d", "node").as_deref(), Some("t2"));
        assert_eq!(token(&store, "other", "node"), None);
        assert_eq!(
            json_of(&store),
            json!({"version": 1, "deviceId": "d", "tokens": {
                "operator": {"token": "t1", "role": "operator", "scopes": ["a", "b"], "updatedAtMs": 7},
                "node": {"token": "t2", "role": "node", "scopes": [], "updatedAtMs": 8},
            }})
        );
        store.put("other", "node", &"t3".into(), &[], 9).unwrap();
        assert_eq!(token(&store, "d", "operator"), None);
        assert_eq!(token(&store, "other", "node").as_deref(), Some("t3"));
    }

    #[test]
    fn only_the_refused_token_is_forgotten() {
        let (_dir, store) = store();
        store.put("d", "operator", &"new".into(), &[], 1).unwrap();
        store.forget("d", "operator", &"old".into()).unwrap();
        store.forget("d", "node", &"new".into()).unwrap();
        assert_eq!(token(&store, "d", "operator").as_deref(), Some("new"));
        store.forget("d", "operator", &"new".into()).unwrap();
        assert_eq!(token(&store, "d", "operator"), None);
    }

    #[test]
    fn members_that_we_do_not_know_survive() {
        let (_dir, store) = store();
        let entry = json!({"token": "t", "role": "node", "scopes": [], "later": 1});
        let file = json!({"version": 1, "deviceId": "d", "tokens": {"node": entry}});
        write(&store, &file.to_string());
        store.put("d", "node", &"t2".into(), &[], 2).unwrap();
        assert_eq!(json_of(&store)["tokens"]["node"]["later"], 1);
    }

    #[test]
    fn what_is_not_ours_counts_as_empty() {
        let cases = [
            "",
            "[]",
            r#"{"version":2,"deviceId":"d","tokens":{"node":{"token":"t"}}}"#,
            r#"{"version":1,"tokens":{"node":{"token":"t"}}}"#,
            r#"{"version":1,"deviceId":"d","tokens":[]}"#,
            r#"{"version":1,"deviceId":"d","tokens":{"node":"t"}}"#,
            r#"{"version":1,"deviceId":"d","tokens":{"node":{"token":5}}}"#,
            r#"{"version":1,"deviceId":"d","tokens":{"node":{"token":""}}}"#,
        ];
        let (_dir, store) = store();
        for text in cases {
            write(&store, text);
            assert_eq!(token(&store, "d", "node"), None, "{text}");
            store.put("d", "node", &"t".into(), &[], 1).unwrap();
            assert_eq!(token(&store, "d", "node").as_deref(), Some("t"), "{text}");
        }
    }

    #[test]
    fn an_unreadable_file_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let store = TokenStore::new(dir.path());
        let error = store.get("d", "node").unwrap_err();
        assert!(
            error
                .to_string()
                .contains(&dir.path().display().to_string())
        );
    }
}
