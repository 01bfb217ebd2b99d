//! `node.json` in the state directory: what this node is called and which gateway it belongs to, so that it need not be
//! said at every start.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::file::{create, replace};

/// Version of the form; there is one.
const VERSION: u64 = 1;

/// What is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    /// Version of the form.
    pub version: u64,
    /// Names this installation; sent as `instanceId`. The gateway knows a node by its device.
    pub node_id: String,
    /// Its name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Its gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<Gateway>,
}

/// Where a gateway is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Gateway {
    /// Host name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether it speaks TLS.
    #[serde(default)]
    pub tls: bool,
    /// Fingerprint of the one certificate that is accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_fingerprint: Option<String>,
}

/// The file cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub struct SettingsError {
    /// The file.
    pub path: PathBuf,
    /// What the operating system says.
    pub source: io::Error,
}

impl Settings {
    /// Settings of a new node.
    #[must_use]
    pub fn new(node_id: String) -> Self {
        Self {
            version: VERSION,
            node_id,
            display_name: None,
            gateway: None,
        }
    }

    /// The file below a state directory.
    #[must_use]
    pub fn file(state_dir: &Path) -> PathBuf {
        state_dir.join("node.json")
    }

    /// Reads them; none when there is no such file or it holds no settings of ours, since a name is quickly made anew.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn load(path: &Path) -> Result<Option<Self>, SettingsError> {
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(serde_json::from_str(&text).ok().filter(|settings: &Self| {
                settings.version == VERSION && !settings.node_id.trim().is_empty()
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(SettingsError {
                path: path.to_path_buf(),
                source,
            }),
        }
    }

    /// Writes them.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), SettingsError> {
        let saved = serde_json::to_string_pretty(self)
            .map_err(io::Error::other)
            .and_then(|text| match path.exists() {
                true => replace(path, &(text + "\n")),
                false => create(path, &(text + "\n")),
            });
        saved.map_err(|source| SettingsError {
            path: path.to_path_buf(),
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = Settings::file(dir.path());
        assert_eq!(Settings::load(&path).unwrap(), None);
        let mut settings = Settings::new("n-1".to_owned());
        settings.save(&path).unwrap();
        settings.display_name = Some("Workshop".to_owned());
        settings.gateway = Some(Gateway {
            host: "gw.example".to_owned(),
            port: 18789,
            tls: true,
            tls_fingerprint: None,
        });
        settings.save(&path).unwrap();
        assert_eq!(Settings::load(&path).unwrap(), Some(settings));
        for text in [
            "",
            "{}",
            r#"{"version":2,"nodeId":"x"}"#,
            r#"{"version":1,"nodeId":" "}"#,
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(Settings::load(&path).unwrap(), None, "{text}");
        }
        assert!(Settings::load(dir.path()).is_err());
    }
}
