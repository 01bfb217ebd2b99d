//! The home of a gateway under test: base configuration, workspace, environment, as the recorder made them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::session::Setup;

/// A home could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot prepare {path}: {source}")]
pub struct HomeError {
    path: PathBuf,
    source: std::io::Error,
}

/// A temporary home, removed when dropped.
pub struct Home {
    folder: TempDir,
    path: PathBuf,
}

/// The file that the `read` tool of a `[tool]` run opens.
const TOOL_INPUT: (&str, &str) = ("mock-tool-input.txt", "tool input line\n");

impl Home {
    /// Makes a home with the configuration of `setup` for a gateway on `port` and a model server on `model_port`.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn new(setup: &Setup, port: u16, model_port: u16) -> Result<Self, HomeError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| HomeError { path, source }
        };
        let temp = std::env::temp_dir();
        let folder = tempfile::Builder::new()
            .prefix("conformance-")
            .tempdir()
            .map_err(failed(&temp))?;
        // A gateway may resolve links; what it then says must still be recognised as its home.
        let path = folder
            .path()
            .canonicalize()
            .map_err(failed(folder.path()))?;
        let mut config = base_config(&path, port, model_port, &setup.token);
        if !setup.config.is_null() {
            merge(&mut config, &setup.config);
        }
        for (file, text) in [
            (
                path.join(".openclaw").join("openclaw.json"),
                format!("{config:#}\n"),
            ),
            (
                path.join("workspace").join(TOOL_INPUT.0),
                TOOL_INPUT.1.to_owned(),
            ),
        ] {
            let parent = file.parent().unwrap_or(&path);
            std::fs::create_dir_all(parent).map_err(failed(parent))?;
            std::fs::write(&file, text).map_err(failed(&file))?;
        }
        Ok(Self { folder, path })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where standard output and error of the gateway go.
    pub fn output(&self) -> PathBuf {
        self.path.join("gateway.out")
    }

    /// The environment of the gateway: nothing of ours but `PATH`.
    pub fn environment(&self, setup: &Setup, path: &str) -> BTreeMap<String, String> {
        let mut env: BTreeMap<String, String> = [
            ("PATH", path),
            ("HOME", &self.path.to_string_lossy()),
            ("TZ", "UTC"),
            ("LANG", "C.UTF-8"),
            ("OPENCLAW_GATEWAY_TOKEN", &setup.token),
            ("OPENCLAW_NO_RESPAWN", "1"),
            ("OPENCLAW_SKIP_CHANNELS", "1"),
            ("OPENCLAW_DISABLE_BONJOUR", "1"),
            ("OPENCLAW_SKIP_GMAIL_WATCHER", "1"),
            ("OPENCLAW_SKIP_BROWSER_CONTROL_SERVER", "1"),
        ]
        .into_iter()
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .collect();
        env.extend(setup.env.clone());
        env
    }

    /// Keeps the folder for a look at it. Gives its path.
    pub fn keep(self) -> PathBuf {
        self.folder.keep()
    }
}

/// The configuration that every recording was made with: one agent, a model server on loopback, no heartbeat, no channels.
pub fn base_config(home: &Path, port: u16, model_port: u16, token: &str) -> Value {
    let model = |id: &str, name: &str, window: u32| {
        json!({
            "id": id, "name": name, "api": "openai-completions", "reasoning": false, "input": ["text"],
            "cost": {"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0},
            "contextWindow": window, "maxTokens": 4096,
        })
    };
    json!({
        "logging": {"file": home.join("gateway.log")},
        "update": {"checkOnStart": false},
        "agents": {"defaults": {
            "workspace": home.join("workspace"), "skipBootstrap": true,
            "model": {"primary": "mock/echo-1"}, "heartbeat": {"every": "0m"},
        }},
        "models": {"mode": "replace", "providers": {"mock": {
            "baseUrl": format!("http://127.0.0.1:{model_port}/v1"), "apiKey": "mock-key", "api": "openai-completions",
            "models": [model("echo-1", "Echo 1", 128_000), model("echo-2", "Echo 2", 64_000)],
        }}},
        "gateway": {"mode": "local", "port": port, "auth": {"mode": "token", "token": token}},
    })
}

/// Puts `over` over `base`, objects member by member.
fn merge(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                merge(base.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup(config: Value) -> Setup {
        let env = BTreeMap::from([("LANG".to_owned(), "de".to_owned())]);
        Setup {
            fresh: true,
            token: "tok".into(),
            config,
            env,
        }
    }

    #[test]
    fn configurations_merge() {
        for (over, expected) in [
            (
                json!({"a": {"c": 3}}),
                json!({"a": {"b": 1, "c": 3}, "l": [1, 2]}),
            ),
            (json!({"l": [3]}), json!({"a": {"b": 1}, "l": [3]})),
            (
                json!({"a": 5, "n": {"x": 1}}),
                json!({"a": 5, "l": [1, 2], "n": {"x": 1}}),
            ),
            (json!({"a": null}), json!({"a": null, "l": [1, 2]})),
        ] {
            let mut base = json!({"a": {"b": 1}, "l": [1, 2]});
            merge(&mut base, &over);
            assert_eq!(base, expected);
        }
    }

    #[test]
    fn a_home_holds_configuration_and_workspace_and_goes_away() {
        let setup = setup(json!({"gateway": {"auth": {"mode": "password", "password": "pw"}}}));
        let home = Home::new(&setup, 4000, 4001).unwrap();
        let path = home.path().to_owned();
        let text = std::fs::read_to_string(path.join(".openclaw/openclaw.json")).unwrap();
        let config: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            config["gateway"]["auth"],
            json!({"mode": "password", "token": "tok", "password": "pw"})
        );
        assert_eq!(
            config["models"]["providers"]["mock"]["baseUrl"],
            "http://127.0.0.1:4001/v1"
        );
        assert!(path.join("workspace/mock-tool-input.txt").is_file());
        let env = home.environment(&setup, "/bin");
        assert_eq!((env["LANG"].as_str(), env["PATH"].as_str()), ("de", "/bin"));
        drop(home);
        assert!(!path.exists());
    }
}
