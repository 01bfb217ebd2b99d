//! Reading `openclaw.json`: parse, substitute, check, and fall back where something is wrong. What is wrong is left out,
//! reported as an [`Issue`], and the rest counts; only what would open a door that way keeps the gateway from starting
//! ([`super::guards`]).

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use openclaw_schema_runtime::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::document::{self, Step, dotted, remove_all};
use super::substitute::{apply_env_block, is_variable_name, substitute};
use super::types::DEFAULT_MAIN_KEY;
use super::{Config, check, file, guards, schema};
use crate::paths::{Environment, Paths};

/// Something wrong with the configuration that the gateway works around.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Issue {
    /// Where: `agents.list.1.id`; empty for the file as a whole.
    pub path: String,
    /// What, without the value.
    pub message: String,
}

/// Where the configuration in force comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The file, less what `issues` name.
    File,
    /// The copy of the last file that loaded well, because the file cannot be read.
    LastGood,
    /// Defaults alone: there is no file, or neither it nor a copy can be read.
    Defaults,
}

/// A loaded configuration.
#[derive(Clone)]
pub struct Loaded {
    /// What is in force.
    pub config: Arc<Config>,
    /// Text of the file, whether or not it is in force; `None` when there is none or it cannot be read.
    pub raw: Option<String>,
    /// The file as a document, as written: before substitution and checks. `None` when it does not parse.
    pub parsed: Option<Value>,
    /// What is wrong.
    pub issues: Vec<Issue>,
    /// Whether there is a file.
    pub exists: bool,
    /// Path of the file.
    pub path: PathBuf,
    /// Where `config` comes from.
    pub source: Source,
    /// Why the file could not be used at all: line and column, or what the file system said.
    pub unusable: Option<String>,
    /// The environment with the variables that the configuration adds.
    pub environment: Arc<Environment>,
}

impl Loaded {
    /// Whether the gateway runs on something other than what the file says.
    #[must_use]
    pub fn is_safe_mode(&self) -> bool {
        self.unusable.is_some() || !self.issues.is_empty()
    }
}

impl std::fmt::Debug for Loaded {
    /// Without the text and the document: they hold secrets in the clear.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loaded")
            .field("path", &self.path)
            .field("exists", &self.exists)
            .field("source", &self.source)
            .field("issues", &self.issues)
            .field("unusable", &self.unusable)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// Loads the configuration. Changes nothing on disk and cannot fail: what cannot be used is in `issues`.
#[must_use]
pub fn load(paths: &Paths, environment: &Environment) -> Loaded {
    let path = &paths.config_file;
    let text = match read(path) {
        Ok(Some(text)) => text,
        Ok(None) => {
            return settle(
                path,
                None,
                Source::Defaults,
                Map::new().into(),
                true,
                environment,
            );
        }
        Err(reason) => return fall_back(paths, None, reason, environment),
    };
    match document::parse(&text) {
        Ok(document) => {
            // A text that is the copy passed every check when it was copied. Not checking it again keeps the schema
            // and its validator out of an ordinary start: some megabytes and milliseconds.
            let vetted = read(&paths.last_good_config_file())
                .is_ok_and(|copy| copy.as_deref() == Some(text.as_str()));
            settle(
                path,
                Some(text),
                Source::File,
                document,
                vetted,
                environment,
            )
        }
        Err(error) => {
            let reason = format!("is not valid JSON5: {error}");
            fall_back(paths, Some(text), reason, environment)
        }
    }
}

/// Writes the copy that a later start falls back on, if the file loaded without issues and the copy is not the same
/// already.
///
/// # Errors
/// What the file system says; the gateway can do without the copy.
pub fn remember(loaded: &Loaded, paths: &Paths) -> io::Result<()> {
    let copy = paths.last_good_config_file();
    match &loaded.raw {
        Some(raw) if loaded.source == Source::File && loaded.issues.is_empty() => {
            if fs::read_to_string(&copy).is_ok_and(|old| old == *raw) {
                return Ok(());
            }
            file::replace(&copy, raw)
        }
        _ => Ok(()),
    }
}

/// Largest file that is taken for a configuration: a thousand times what people write, and little to hold.
const MAX_FILE_BYTES: u64 = 8 << 20;

/// The text of a file, `None` when there is none.
fn read(path: &Path) -> Result<Option<String>, String> {
    let mut bytes = Vec::new();
    match File::open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)) {
        Ok(length) if length as u64 > MAX_FILE_BYTES => {
            Err(format!("is larger than {MAX_FILE_BYTES} bytes"))
        }
        Ok(_) => String::from_utf8(bytes)
            .map(Some)
            .map_err(|_| "is not UTF-8 text".to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("cannot be read: {error}")),
    }
}

/// Takes the last good copy, else the defaults, for a file that cannot be used.
fn fall_back(
    paths: &Paths,
    raw: Option<String>,
    reason: String,
    environment: &Environment,
) -> Loaded {
    let copy = paths.last_good_config_file();
    let document = read(&copy)
        .ok()
        .flatten()
        .and_then(|text| document::parse(&text).ok());
    let (source, document, instead) = match document {
        Some(mut document) => {
            guards::without_old_secrets(&mut document, raw.as_deref(), environment);
            let instead = format!("using {}", copy.display());
            (Source::LastGood, document, instead)
        }
        None => (
            Source::Defaults,
            Map::new().into(),
            "using defaults".to_owned(),
        ),
    };
    let mut loaded = settle(&paths.config_file, raw, source, document, true, environment);
    loaded.exists = true;
    loaded.parsed = None;
    loaded.issues.insert(
        0,
        Issue {
            path: String::new(),
            message: format!("{reason}; {instead}"),
        },
    );
    loaded.unusable = Some(reason);
    loaded
}

/// Turns a document into the configuration in force. A `vetted` one is checked only if something about it changed.
fn settle(
    path: &Path,
    raw: Option<String>,
    source: Source,
    parsed: Value,
    vetted: bool,
    environment: &Environment,
) -> Loaded {
    let mut issues = Vec::new();
    let mut environment = environment.clone();
    apply_env_block(&parsed, &mut environment);
    let mut document = parsed.clone();
    report_includes(&document, &mut Vec::new(), &mut issues);
    let missing = substitute(&mut document, &environment);
    let trusted = if vetted && missing.is_empty() && issues.is_empty() {
        Config::deserialize(&document).ok()
    } else {
        None
    };
    let mut config = trusted.unwrap_or_else(|| {
        issues.extend(guards::misspelt(&document));
        prune(&mut document, missing, &mut issues);
        decode(&document, &mut issues)
    });
    finish(&mut config, &environment);
    Loaded {
        config: Arc::new(config),
        exists: raw.is_some(),
        raw,
        parsed: (source == Source::File).then_some(parsed),
        issues,
        path: path.to_path_buf(),
        source,
        unusable: None,
        environment: Arc::new(environment),
    }
}

/// Decodes a document that passed the schema. The schema comes from the same types, so this does not fail; a test holds
/// the two together.
fn decode(document: &Value, issues: &mut Vec<Issue>) -> Config {
    Config::deserialize(document).unwrap_or_else(|error| {
        issues.push(Issue {
            path: String::new(),
            message: format!(
                "cannot be used, defaults apply: {:?} error",
                error.classify()
            ),
        });
        Config::default()
    })
}

/// Removes the values whose variables are `missing` and what the schema refuses, until nothing is left to refuse. What
/// lacks a required member goes as a whole.
fn prune(document: &mut Value, missing: Vec<(Vec<Step>, String)>, issues: &mut Vec<Issue>) {
    // Items of arrays go last and together: until then every index is the one that the user counts in the file.
    // Nothing the schema says depends on the number of items, so their removal brings no new offence.
    let mut items: Vec<Vec<Step>> = Vec::new();
    let mut bad: Vec<(Vec<Step>, String)> = missing
        .into_iter()
        .map(|(path, name)| {
            let reason = format!("names the environment variable {name}, which is not set");
            (path, reason)
        })
        .collect();
    let schema = schema::schema();
    loop {
        let mut members = Vec::new();
        for (path, reason) in bad {
            let place = dotted(&path);
            // One word about a value is enough: a number where a word is wanted fails as type and as choice.
            if !issues.iter().any(|issue| issue.path == place) {
                issues.push(Issue {
                    path: place,
                    message: format!("{reason}; the value is ignored"),
                });
            }
            match path.last() {
                Some(Step::Index(_)) => items.push(path),
                _ => members.push(path),
            }
        }
        remove_all(document, members);
        // What is about to go as an item, or lies in one, needs no further word.
        bad = check::offences(&schema, document)
            .into_iter()
            .filter(|offence| !items.iter().any(|item| offence.path.starts_with(item)))
            .map(|offence| (offence.path, offence.message))
            .collect();
        if bad.is_empty() {
            remove_all(document, items);
            return;
        }
    }
}

/// `$include` is a form of the original that this gateway does not read; silence would look like a lost setting.
fn report_includes(value: &Value, path: &mut Vec<Step>, issues: &mut Vec<Issue>) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                path.push(Step::Key(key.clone()));
                if key == "$include" {
                    issues.push(Issue {
                        path: dotted(path),
                        message: "is not supported; the files it names are not read".to_owned(),
                    });
                } else {
                    report_includes(member, path, issues);
                }
                path.pop();
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push(Step::Index(index));
                report_includes(item, path, issues);
                path.pop();
            }
        }
        _ => {}
    }
}

/// Brings values to the form in which the rest of the gateway expects them.
fn finish(config: &mut Config, environment: &Environment) {
    let main_key = config.session.main_key.trim().to_lowercase();
    config.session.main_key = if main_key.is_empty() {
        DEFAULT_MAIN_KEY.to_owned()
    } else {
        main_key
    };
    for provider in config.models.providers.values_mut() {
        // A key may be the bare name of a variable, set or not: `OPENAI_API_KEY`. Literal keys are never all capitals.
        if let Some(key) = &provider.api_key
            && is_variable_name(key.expose())
            && let Some(value) = environment.get(key.expose())
        {
            provider.api_key = Some(SecretString::new(value));
        }
    }
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
