//! Session files: `sessions/<name>.json`, one step a line, and `sessions/shared/<name>.json` for a value that nearly every
//! session repeats. Written by the importer, read by everything else. Format: `conformance/README.md`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::keys::SignedWith;
use crate::session::{self, Action, Close, Mark, Provenance, Session, Setup, Step};

/// Folder of shared values inside the folder of sessions.
pub const SHARED: &str = "shared";

/// A session file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file system said no.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The text is not a session.
    #[error("{path} is not a session: {source}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// A step is none of the known kinds, or says too much.
    #[error(
        "{path}: step {step} must have exactly one of open, send, send_text, receive, close, mark"
    )]
    Step {
        /// The file.
        path: PathBuf,
        /// Position, from 1.
        step: usize,
    },
    /// A `{"$shared": name}` without a file of that name.
    #[error("{path}: no shared value {name:?}")]
    Shared {
        /// The file.
        path: PathBuf,
        /// The name it uses.
        name: String,
    },
}

#[derive(Deserialize)]
struct Document {
    name: String,
    description: String,
    provenance: Provenance,
    setup: Setup,
    steps: Vec<Line>,
}

/// One line of a session file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Line {
    pub(crate) t: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) conn: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) open: Option<BTreeMap<String, String>>,
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) send: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) send_text: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) binary: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sign: Option<SignedWith>,
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) receive: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) close: Option<Close>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mark: Option<Mark>,
}

/// A member that is there, `null` included: a client may send `null`.
pub(crate) fn present<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(from).map(Some)
}

impl Line {
    pub(crate) fn at(t: u64, conn: Option<String>) -> Self {
        Self {
            t,
            conn,
            open: None,
            send: None,
            send_text: None,
            binary: false,
            sign: None,
            receive: None,
            close: None,
            mark: None,
        }
    }
}

/// What the importer writes.
pub(crate) struct Written<'a> {
    pub(crate) name: &'a str,
    pub(crate) description: &'a str,
    pub(crate) provenance: &'a Provenance,
    pub(crate) setup: &'a Setup,
    pub(crate) lines: &'a [Line],
}

/// The text of a session file: one line for each step, so that a change in one frame is a change in one line.
pub(crate) fn to_text(written: &Written<'_>) -> Result<String, serde_json::Error> {
    let mut out = String::from("{\n");
    for (key, value) in [
        ("name", serde_json::to_string(written.name)?),
        ("description", serde_json::to_string(written.description)?),
        ("provenance", serde_json::to_string(written.provenance)?),
        ("setup", serde_json::to_string(written.setup)?),
    ] {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "  \"{key}\": {value},");
    }
    out.push_str("  \"steps\": [\n");
    for (i, line) in written.lines.iter().enumerate() {
        out.push_str("    ");
        out.push_str(&serde_json::to_string(line)?);
        out.push_str(if i + 1 == written.lines.len() {
            "\n"
        } else {
            ",\n"
        });
    }
    out.push_str("  ]\n}\n");
    Ok(out)
}

/// Reads every session of a folder, sorted by name.
///
/// # Errors
///
/// When a file cannot be read or is not a session.
pub fn load_all(folder: &Path) -> Result<Vec<Session>, FileError> {
    let shared = load_shared(&folder.join(SHARED))?;
    let mut sessions = Vec::new();
    for path in json_files(folder)? {
        sessions.push(load(&path, &shared)?);
    }
    Ok(sessions)
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> FileError {
    let path = path.to_owned();
    move |source| FileError::Io { path, source }
}

fn json_files(folder: &Path) -> Result<Vec<PathBuf>, FileError> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io(folder))? {
        let path = entry.map_err(io(folder))?.path();
        if path.is_file() && path.extension().is_some_and(|e| e == "json") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn load_shared(folder: &Path) -> Result<BTreeMap<String, Value>, FileError> {
    let mut shared = BTreeMap::new();
    if !folder.is_dir() {
        return Ok(shared);
    }
    for path in json_files(folder)? {
        let text = std::fs::read_to_string(&path).map_err(io(&path))?;
        let value = serde_json::from_str(&text).map_err(|source| FileError::Parse {
            path: path.clone(),
            source,
        })?;
        if let Some(name) = path.file_stem().and_then(|s| s.to_str()) {
            shared.insert(name.to_owned(), value);
        }
    }
    Ok(shared)
}

fn load(path: &Path, shared: &BTreeMap<String, Value>) -> Result<Session, FileError> {
    let parse = |source| FileError::Parse {
        path: path.to_owned(),
        source,
    };
    let text = std::fs::read_to_string(path).map_err(io(path))?;
    let document: Document = serde_json::from_str(&text).map_err(parse)?;
    let mut steps = Vec::with_capacity(document.steps.len());
    for (i, line) in document.steps.into_iter().enumerate() {
        let t = line.t;
        let mut action = action(line, parse)?.ok_or_else(|| FileError::Step {
            path: path.to_owned(),
            step: i + 1,
        })?;
        if let Action::Receive { frame, .. } = &mut action {
            session::expand_repeats(frame);
            fill_shared(frame, shared).map_err(|name| FileError::Shared {
                path: path.to_owned(),
                name,
            })?;
        }
        steps.push(Step { t, action });
    }
    Ok(Session {
        name: document.name,
        description: document.description,
        provenance: document.provenance,
        setup: document.setup,
        steps,
    })
}

fn action(
    line: Line,
    parse: impl Fn(serde_json::Error) -> FileError,
) -> Result<Option<Action>, FileError> {
    let Line {
        conn,
        open,
        send,
        send_text,
        binary,
        sign,
        receive,
        close,
        mark,
        ..
    } = line;
    Ok(match (conn, open, send, send_text, receive, close, mark) {
        (Some(conn), Some(headers), None, None, None, None, None) => {
            Some(Action::Open { conn, headers })
        }
        (Some(conn), None, Some(raw), None, None, None, None) => {
            let text = session::expand_repeats_in_text(raw.get());
            Some(Action::Send {
                conn,
                text,
                binary,
                sign,
            })
        }
        (Some(conn), None, None, Some(text), None, None, None) => Some(Action::Send {
            conn,
            text,
            binary,
            sign: None,
        }),
        (Some(conn), None, None, None, Some(raw), None, None) => {
            let frame = serde_json::from_str(raw.get()).map_err(parse)?;
            Some(Action::Receive { conn, frame })
        }
        (Some(conn), None, None, None, None, Some(close), None) => {
            Some(Action::Close { conn, close })
        }
        (None, None, None, None, None, None, Some(mark)) => Some(Action::Mark(mark)),
        _ => None,
    })
}

/// Puts shared values in; gives the name of the first that is missing.
fn fill_shared(value: &mut Value, shared: &BTreeMap<String, Value>) -> Result<(), String> {
    match value {
        Value::Object(map) => {
            if let (1, Some(Value::String(name))) = (map.len(), map.get("$shared")) {
                *value = shared.get(name).cloned().ok_or_else(|| name.clone())?;
                return Ok(());
            }
            map.values_mut().try_for_each(|v| fill_shared(v, shared))
        }
        Value::Array(items) => items.iter_mut().try_for_each(|v| fill_shared(v, shared)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str, steps: &str) {
        let text = format!(
            r#"{{"name":"{name}","description":"d","provenance":{{"release":"r","how":"h"}},
                "setup":{{"fresh":true,"token":"tok"}},"steps":[{steps}]}}"#
        );
        std::fs::write(folder.join(format!("{name}.json")), text).unwrap();
    }

    fn load_one(steps: &str) -> Result<Session, FileError> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(SHARED)).unwrap();
        std::fs::write(folder.path().join(SHARED).join("features.json"), r#"["a"]"#).unwrap();
        write(folder.path(), "one", steps);
        load_all(folder.path()).map(|mut all| all.remove(0))
    }

    #[test]
    fn the_text_that_a_client_sent_is_kept_as_it_is() {
        let session = load_one(
            r#"{"t":1,"conn":"A","send":{"type":"req","id":"1","b":1,"a":{"$repeat":"x","count":3}}},
               {"t":2,"conn":"A","send_text":"not json","binary":true},
               {"t":3,"conn":"A","send":null}"#,
        )
        .unwrap();
        let texts: Vec<(&str, bool)> = session
            .steps
            .iter()
            .filter_map(|s| match &s.action {
                Action::Send { text, binary, .. } => Some((text.as_str(), *binary)),
                _ => None,
            })
            .collect();
        assert_eq!(
            texts,
            [
                (r#"{"type":"req","id":"1","b":1,"a":"xxx"}"#, false),
                ("not json", true),
                ("null", false)
            ]
        );
    }

    #[test]
    fn shared_values_are_filled_in() {
        let session =
            load_one(r#"{"t":1,"conn":"A","receive":{"f":{"$shared":"features"}}}"#).unwrap();
        let Action::Receive { frame, .. } = &session.steps[0].action else {
            panic!("a frame")
        };
        assert_eq!(frame, &serde_json::json!({"f": ["a"]}));
    }

    #[test]
    fn mistakes_in_a_file_are_named() {
        for (steps, expected) in [
            (r#"{"t":1,"conn":"A"}"#, "step 1 must have exactly one of"),
            (
                r#"{"t":1,"mark":{},"conn":"A"}"#,
                "step 1 must have exactly one of",
            ),
            (
                r#"{"t":1,"conn":"A","receive":{"$shared":"nothing"}}"#,
                "no shared value \"nothing\"",
            ),
            (
                r#"{"t":1,"conn":"A","recieve":{}}"#,
                "unknown field `recieve`",
            ),
        ] {
            let error = load_one(steps).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
