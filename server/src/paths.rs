//! Where the gateway keeps things, resolved once at start from an explicit [`Environment`]. The command line builds
//! the environment from the process; nothing below it reads process variables.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// State directory under the home directory.
const STATE_DIR_NAME: &str = ".openclaw";
/// State directories of earlier names of the product, tried in this order when the present one does not exist.
const LEGACY_STATE_DIR_NAMES: [&str; 3] = [".clawdbot", ".moldbot", ".moltbot"];
/// Configuration file in the state directory.
const CONFIG_FILE_NAME: &str = "openclaw.json";
/// Configuration files of earlier names of the product, tried in this order.
const LEGACY_CONFIG_FILE_NAMES: [&str; 3] = ["clawdbot.json", "moldbot.json", "moltbot.json"];
/// Prefixes under which a variable of the gateway is looked up, the present one first (contract 11.2).
const VARIABLE_PREFIXES: [&str; 2] = ["OPENCLAW_", "CLAWDBOT_"];

/// The variables and the home directory that a process was started with.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// Variables by name.
    pub variables: BTreeMap<String, String>,
    /// The user's home directory.
    pub home: PathBuf,
}

impl Environment {
    /// The environment of this process. Variables that are not Unicode are left out; without a home directory the
    /// current directory stands in.
    #[must_use]
    pub fn of_process() -> Self {
        Self {
            variables: std::env::vars_os()
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                })
                .collect(),
            home: std::env::home_dir()
                .filter(|home| !home.as_os_str().is_empty())
                .unwrap_or_else(|| PathBuf::from(".")),
        }
    }

    /// An environment of the given variables, for tests and embedding.
    pub fn new<N: Into<String>, V: Into<String>>(
        home: impl Into<PathBuf>,
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        Self {
            variables: variables
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            home: home.into(),
        }
    }

    /// The trimmed value of `name`; blank counts as unset.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables
            .get(name)
            .map(|value| value.trim())
            .filter(|value| !value.is_empty())
    }

    /// The value of `OPENCLAW_<suffix>`, else of `CLAWDBOT_<suffix>` (contract 11.2), with the full name it was found
    /// under.
    #[must_use]
    pub fn own(&self, suffix: &str) -> Option<(String, &str)> {
        VARIABLE_PREFIXES.iter().find_map(|prefix| {
            let name = format!("{prefix}{suffix}");
            let value = self.get(&name)?;
            Some((name, value))
        })
    }

    /// Whether `OPENCLAW_<suffix>` (or its old name) is `1`, the form in which the product's switches are set.
    #[must_use]
    pub fn is_on(&self, suffix: &str) -> bool {
        self.own(suffix).is_some_and(|(_, value)| value == "1")
    }

    /// `path` with a leading `~` replaced by the home directory.
    #[must_use]
    pub fn expand(&self, path: &str) -> PathBuf {
        match path.trim() {
            "~" => self.home.clone(),
            path => match path.strip_prefix("~/") {
                Some(rest) => self.home.join(rest),
                None => PathBuf::from(path),
            },
        }
    }
}

impl std::fmt::Debug for Environment {
    /// Names only: values hold secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Environment")
            .field("home", &self.home)
            .field("variables", &self.variables.keys().collect::<Vec<_>>())
            .finish()
    }
}

/// Every place in the file system that the gateway itself decides on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// Directory of all mutable state; one gateway each (contract 11.6).
    pub state_dir: PathBuf,
    /// The configuration file, present or not.
    pub config_file: PathBuf,
}

impl Paths {
    /// Resolves both from the environment: explicit variables first, then the first existing of the present and the
    /// earlier names, then the present name.
    #[must_use]
    pub fn resolve(environment: &Environment) -> Self {
        let explicit_state_dir = environment
            .own("STATE_DIR")
            .map(|(_, value)| environment.expand(value));
        let state_dir = explicit_state_dir.unwrap_or_else(|| {
            let present = environment.home.join(STATE_DIR_NAME);
            first_existing(
                std::iter::once(present.clone()).chain(
                    LEGACY_STATE_DIR_NAMES
                        .iter()
                        .map(|name| environment.home.join(name)),
                ),
            )
            .unwrap_or(present)
        });
        let config_file = match environment.own("CONFIG_PATH") {
            Some((_, value)) => environment.expand(value),
            None => {
                let present = state_dir.join(CONFIG_FILE_NAME);
                first_existing(
                    std::iter::once(present.clone()).chain(
                        LEGACY_CONFIG_FILE_NAMES
                            .iter()
                            .map(|name| state_dir.join(name)),
                    ),
                )
                .unwrap_or(present)
            }
        };
        Self {
            state_dir: absolute(state_dir),
            config_file: absolute(config_file),
        }
    }

    /// Directory of the LMDB store.
    #[must_use]
    pub fn store_dir(&self) -> PathBuf {
        self.state_dir.join("store")
    }

    /// Copy of the last configuration that loaded well.
    #[must_use]
    pub fn last_good_config_file(&self) -> PathBuf {
        let mut name = self
            .config_file
            .file_name()
            .unwrap_or_else(|| CONFIG_FILE_NAME.as_ref())
            .to_os_string();
        name.push(".last-good");
        self.config_file.with_file_name(name)
    }

    /// The file whose lock makes this gateway the only one of its state directory.
    #[must_use]
    pub fn lock_file(&self) -> PathBuf {
        self.state_dir.join("gateway.lock")
    }

    /// Directory of client identities (device keys and tokens) that commands of this host use.
    #[must_use]
    pub fn identity_dir(&self) -> PathBuf {
        self.state_dir.join("identity")
    }

    /// Directory of an agent's sessions, as clients are shown it.
    #[must_use]
    pub fn sessions_dir(&self, agent_id: &str) -> PathBuf {
        self.state_dir
            .join("agents")
            .join(agent_id)
            .join("sessions")
    }

    /// Where jobs are stored, as clients are shown it: the name of the reference's file.
    #[must_use]
    pub fn cron_file(&self) -> PathBuf {
        self.state_dir.join("cron").join("jobs.json")
    }

    /// Workspace of the default agent when none is configured.
    #[must_use]
    pub fn default_workspace(&self) -> PathBuf {
        self.state_dir.join("workspace")
    }
}

/// Paths are shown to clients and outlive a change of the current directory.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

fn first_existing(mut candidates: impl Iterator<Item = PathBuf>) -> Option<PathBuf> {
    candidates.find(|candidate| Path::exists(candidate))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Creates `existing` (a trailing slash makes a directory) under a home and resolves with `variables`, in which
    /// `$HOME` stands for it; answers are relative to the home.
    fn check(existing: &[&str], variables: &[(&str, &str)], state_dir: &str, config_file: &str) {
        let home = tempfile::tempdir().unwrap();
        let text = home.path().to_str().unwrap();
        for name in existing {
            let path = home.path().join(name);
            if name.ends_with('/') {
                std::fs::create_dir_all(path).unwrap();
            } else {
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, "{}").unwrap();
            }
        }
        let environment = Environment::new(
            home.path(),
            variables
                .iter()
                .map(|(name, value)| (*name, value.replace("$HOME", text))),
        );
        let paths = Paths::resolve(&environment);
        assert_eq!(
            (paths.state_dir.as_path(), paths.config_file.as_path()),
            (
                home.path().join(state_dir).as_path(),
                home.path().join(config_file).as_path()
            ),
            "existing {existing:?}, variables {variables:?}"
        );
    }

    #[test]
    fn places_come_from_variables_then_from_what_exists() {
        check(&[], &[], ".openclaw", ".openclaw/openclaw.json");
        check(&[".clawdbot/"], &[], ".clawdbot", ".clawdbot/openclaw.json");
        check(
            &[".moltbot/moltbot.json"],
            &[],
            ".moltbot",
            ".moltbot/moltbot.json",
        );
        check(
            &[".clawdbot/", ".openclaw/"],
            &[],
            ".openclaw",
            ".openclaw/openclaw.json",
        );
        check(
            &[".openclaw/openclaw.json", ".openclaw/clawdbot.json"],
            &[],
            ".openclaw",
            ".openclaw/openclaw.json",
        );
        check(
            &[],
            &[
                ("OPENCLAW_STATE_DIR", "$HOME/a"),
                ("CLAWDBOT_STATE_DIR", "$HOME/b"),
            ],
            "a",
            "a/openclaw.json",
        );
        check(
            &["b/clawdbot.json"],
            &[("CLAWDBOT_STATE_DIR", "~/b")],
            "b",
            "b/clawdbot.json",
        );
        check(
            &[],
            &[("OPENCLAW_STATE_DIR", "  ")],
            ".openclaw",
            ".openclaw/openclaw.json",
        );
        check(
            &[],
            &[("OPENCLAW_CONFIG_PATH", "~/x/my.json")],
            ".openclaw",
            "x/my.json",
        );
        check(
            &[],
            &[
                ("CLAWDBOT_CONFIG_PATH", "$HOME/my.json"),
                ("OPENCLAW_STATE_DIR", "~"),
            ],
            "",
            "my.json",
        );
    }

    #[test]
    fn relative_paths_are_made_absolute() {
        let environment = Environment::new("/home/u", [("OPENCLAW_STATE_DIR", "rel/state")]);
        let paths = Paths::resolve(&environment);
        assert!(paths.state_dir.is_absolute() && paths.state_dir.ends_with("rel/state"));
        assert_eq!(paths.config_file, paths.state_dir.join("openclaw.json"));
    }

    #[test]
    fn the_last_good_copy_lies_beside_the_file_it_copies() {
        let paths = Paths {
            state_dir: "/s".into(),
            config_file: "/etc/openclaw/my.json".into(),
        };
        assert_eq!(
            paths.last_good_config_file(),
            Path::new("/etc/openclaw/my.json.last-good")
        );
    }

    #[test]
    fn variables_have_two_names_and_blank_is_unset() {
        let environment = Environment::new(
            "/home/u",
            [
                ("CLAWDBOT_GATEWAY_PORT", " 1 "),
                ("OPENCLAW_GATEWAY_TOKEN", ""),
                ("CLAWDBOT_GATEWAY_TOKEN", "old"),
                ("OPENCLAW_ALLOW_MULTI_GATEWAY", "1"),
                ("OPENCLAW_SKIP_CRON", "true"),
            ],
        );
        let own = |suffix| {
            environment
                .own(suffix)
                .map(|(name, value)| format!("{name}={value}"))
        };
        assert_eq!(
            own("GATEWAY_PORT").as_deref(),
            Some("CLAWDBOT_GATEWAY_PORT=1")
        );
        assert_eq!(
            own("GATEWAY_TOKEN").as_deref(),
            Some("CLAWDBOT_GATEWAY_TOKEN=old")
        );
        assert_eq!(own("GATEWAY_PASSWORD"), None);
        assert!(environment.is_on("ALLOW_MULTI_GATEWAY"));
        assert!(!environment.is_on("SKIP_CRON"));
    }

    #[test]
    fn debug_output_shows_no_values() {
        let environment = Environment::new("/home/u", [("OPENCLAW_GATEWAY_TOKEN", "s3cret")]);
        assert!(!format!("{environment:?}").contains("s3cret"));
    }
}
