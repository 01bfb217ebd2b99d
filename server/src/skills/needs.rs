//! What a skill needs, and what of that is missing on this machine.

use std::path::Path;

use openclaw_protocol::types::{SkillConfigCheck, SkillRequirements};
use serde_json::Value;

use super::head::Metadata;
use crate::config::SkillEntry;
use crate::exec_rules::find_program;
use crate::paths::Environment;

/// This machine, as skills ask about it.
pub(super) struct Machine<'a> {
    /// Operating system, by Node's name.
    pub(super) os: &'a str,
    /// Variables and home directory.
    pub(super) environment: &'a Environment,
    /// The configuration as it is written.
    pub(super) document: &'a Value,
}

impl Machine<'_> {
    /// Whether there is a program of this name. Blocks on disk.
    pub(super) fn has(&self, bin: &str) -> bool {
        let path = self.environment.get("PATH").unwrap_or_default();
        let is_name = !bin.contains(['/', '\\']);
        is_name && find_program(bin, Path::new("/"), path).is_some()
    }

    /// Whether skills for these operating systems are for this one.
    pub(super) fn is_one_of(&self, systems: &[String]) -> bool {
        systems.is_empty() || systems.iter().any(|os| os == self.os)
    }
}

/// The name by which skills call the operating system that this program runs on.
pub(super) fn own_os() -> &'static str {
    match std::env::consts::OS {
        "macos" => "darwin",
        "windows" => "win32",
        other => other,
    }
}

/// All that a skill needs.
pub(super) fn requirements(metadata: &Metadata) -> SkillRequirements {
    let needs = &metadata.requires;
    SkillRequirements::new(
        needs.bins.clone(),
        needs.any_bins.clone(),
        needs.env.clone(),
        needs.config.clone(),
        metadata.os.clone(),
    )
}

/// What of it is missing; nothing for a skill that is used whatever is missing.
pub(super) fn missing(
    metadata: &Metadata,
    entry: Option<&SkillEntry>,
    machine: &Machine<'_>,
) -> SkillRequirements {
    let mut missing = requirements(metadata);
    if metadata.always {
        return SkillRequirements::new(vec![], vec![], vec![], vec![], vec![]);
    }
    missing.bins.retain(|bin| !machine.has(bin));
    if missing.any_bins.iter().any(|bin| machine.has(bin)) {
        missing.any_bins.clear();
    }
    let is_set = |name: &str| {
        let of_entry = entry.is_some_and(|entry| {
            let is_primary = metadata.primary_env.as_deref() == Some(name);
            let key = entry.api_key.as_ref().filter(|_| is_primary);
            let set = [entry.env.get(name), key].into_iter().flatten();
            set.into_iter()
                .any(|value| !value.expose().trim().is_empty())
        });
        of_entry || machine.environment.get(name).is_some()
    };
    missing.env.retain(|name| !is_set(name));
    missing
        .config
        .retain(|path| !is_on(at(machine.document, path)));
    if machine.is_one_of(&missing.os) {
        missing.os.clear();
    }
    missing
}

/// Whether nothing is missing.
pub(super) fn is_complete(missing: &SkillRequirements) -> bool {
    let SkillRequirements {
        bins,
        any_bins,
        env,
        config,
        os,
    } = missing;
    [bins, any_bins, env, config, os]
        .into_iter()
        .all(Vec::is_empty)
}

/// The needs of the configuration, one by one. Of what is set only switches and numbers are shown: a text may be a secret.
pub(super) fn config_checks(metadata: &Metadata, document: &Value) -> Vec<SkillConfigCheck> {
    let check = |path: &String| {
        let value = at(document, path);
        let mut check = SkillConfigCheck::new(path.clone(), is_on(value));
        check.value = value
            .filter(|value| value.is_boolean() || value.is_number())
            .cloned();
        check
    };
    metadata.requires.config.iter().map(check).collect()
}

fn at<'a>(document: &'a Value, path: &str) -> Option<&'a Value> {
    let mut steps = path.split('.').filter(|step| !step.is_empty());
    steps.try_fold(document, |at, step| at.get(step))
}

/// Whether a setting will do: anything but nothing, `false`, 0 and a blank text.
fn is_on(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => false,
        Some(Value::Bool(switch)) => *switch,
        Some(Value::Number(number)) => number.as_f64() != Some(0.0),
        Some(Value::String(text)) => !text.trim().is_empty(),
        Some(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        for (name, mode) in [("there", 0o755), ("plain", 0o644)] {
            let file = dir.path().join(name);
            std::fs::write(&file, "").unwrap();
            std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        let path = dir.path().to_str().unwrap();
        let environment =
            Environment::new("/home/ann", [("PATH", path), ("SET", "1"), ("BLANK", " ")]);
        let document = json!({"a": {"on": true, "off": false, "text": "t", "blank": " ", "zero": 0, "map": {}}});
        let machine = Machine {
            os: "linux",
            environment: &environment,
            document: &document,
        };
        let entry: SkillEntry =
            serde_json::from_value(json!({"apiKey": "k", "env": {"OWN": "1", "EMPTY": ""}}))
                .unwrap();
        let inside = format!("{path}/there");
        for (metadata, expected) in [
            (json!({}), json!({})),
            (
                json!({"requires": {"bins": ["there", "gone", "plain", inside]}}),
                json!({"bins": ["gone", "plain", inside]}),
            ),
            (
                json!({"requires": {"anyBins": ["gone", "there"]}}),
                json!({}),
            ),
            (
                json!({"requires": {"anyBins": ["gone", "plain"]}}),
                json!({"anyBins": ["gone", "plain"]}),
            ),
            (
                json!({"requires": {"env": ["SET", "BLANK", "OWN", "EMPTY", "KEY"]}}),
                json!({"env": ["BLANK", "EMPTY", "KEY"]}),
            ),
            (
                json!({"primaryEnv": "KEY", "requires": {"env": ["KEY"]}}),
                json!({}),
            ),
            (
                json!({"requires": {"config": ["a.on", "a.off", "a.text", "a.blank", "a.zero", "a.map", "a.gone.more", ""]}}),
                json!({"config": ["a.off", "a.blank", "a.zero", "a.gone.more"]}),
            ),
            (json!({"os": ["darwin", "linux"]}), json!({})),
            (
                json!({"os": ["darwin", "win32"]}),
                json!({"os": ["darwin", "win32"]}),
            ),
            (
                json!({"always": true, "os": ["darwin"], "requires": {"bins": ["gone"]}}),
                json!({}),
            ),
        ] {
            let read: Metadata = serde_json::from_value(metadata.clone()).unwrap();
            let found = missing(&read, Some(&entry), &machine);
            assert_eq!(is_complete(&found), expected == json!({}), "{metadata}");
            let mut whole = json!({"bins": [], "anyBins": [], "env": [], "config": [], "os": []});
            let given = expected.as_object().unwrap().clone();
            whole.as_object_mut().unwrap().extend(given);
            assert_eq!(json!(found), whole, "{metadata}");
        }
    }

    #[test]
    fn no_text_of_the_configuration_is_shown() {
        let document = json!({"token": "secret", "on": true, "n": 5, "map": {"token": "secret"}});
        let metadata = json!({"requires": {"config": ["token", "on", "n", "map", "gone"]}});
        let metadata: Metadata = serde_json::from_value(metadata).unwrap();
        let expected = json!([
            {"path": "token", "satisfied": true},
            {"path": "on", "value": true, "satisfied": true},
            {"path": "n", "value": 5, "satisfied": true},
            {"path": "map", "satisfied": true},
            {"path": "gone", "satisfied": false},
        ]);
        assert_eq!(json!(config_checks(&metadata, &document)), expected);
    }
}
