//! Turns a folder of recordings (JSON lines: `t`, `dir`, `conn`, `data`) into session files. Run by
//! `openclaw-conformance import`.
//!
//! What a client sent is kept byte for byte. Of what the gateway sent, content of the product that nothing compares is
//! dropped or shortened, and the feature list that every hello-ok repeats goes into one shared file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::file::{self, Line, SHARED, Written};
use crate::keys::TestKeys;
use crate::session::{By, Close, Mark, Provenance, Setup};

/// The release that the recordings were made with.
const RELEASE: &str = "openclaw 2026.1.30";
/// Member of a hello-ok that is the same in all recordings.
const FEATURES: &str = "features";
/// Members that count the product's own prompt, tools and paths: nobody compares them.
const DROPPED: [&str; 1] = ["systemPromptReport"];
/// Lists of product content that are compared by the shape of their entries: a few entries show it.
const SHORTENED: [&str; 2] = ["models", "skills"];
/// How many entries of a shortened list are kept.
const KEPT_ENTRIES: usize = 3;

/// A recording could not be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file system said no.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line is not an entry of a recording.
    #[error("{path}:{line}: {source}")]
    Entry {
        /// The recording.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Why.
        source: serde_json::Error,
    },
    /// A line lacks what its `dir` needs.
    #[error("{path}:{line}: an entry with dir {dir:?} needs {needs}")]
    Incomplete {
        /// The recording.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Its `dir`.
        dir: String,
        /// What is missing.
        needs: &'static str,
    },
    /// `--only` named something that is not there.
    #[error("no recording matches {0:?}")]
    NoSuch(String),
    /// Two recordings differ in what is written once for all.
    #[error("{path}: its {name} differ from those of the other recordings")]
    Shared {
        /// The recording.
        path: PathBuf,
        /// The shared value.
        name: &'static str,
    },
}

#[derive(Deserialize)]
struct Entry {
    t: u64,
    dir: String,
    conn: Option<String>,
    #[serde(default, deserialize_with = "file::present")]
    data: Option<Box<RawValue>>,
    #[serde(default)]
    raw: bool,
    #[serde(default)]
    binary: bool,
    headers: Option<BTreeMap<String, String>>,
    code: Option<u16>,
    #[serde(default)]
    reason: String,
    by: Option<By>,
}

#[derive(Deserialize)]
struct Meta {
    name: String,
    description: String,
    #[serde(flatten)]
    setup: Setup,
}

/// A converted recording.
pub(crate) struct Imported {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) features: Option<String>,
}

/// Whether `name` is one of `patterns`: names, or a beginning followed by `*`. No pattern selects everything.
pub fn selected(name: &str, patterns: &[String]) -> bool {
    patterns.is_empty() || patterns.iter().any(|p| matches_pattern(name, p))
}

fn matches_pattern(name: &str, pattern: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    }
}

/// Converts the recordings of `from` that `only` selects (all if empty) to session files in `to`. Gives their names.
///
/// # Errors
///
/// When a file cannot be read or written, a recording is malformed, or `only` matches nothing.
pub fn import(
    from: &Path,
    to: &Path,
    only: &[String],
    keys: &TestKeys,
) -> Result<Vec<String>, ImportError> {
    let recordings = recordings(from)?;
    if let Some(unknown) = only
        .iter()
        .find(|p| !recordings.iter().any(|(n, _)| matches_pattern(n, p)))
    {
        return Err(ImportError::NoSuch(unknown.clone()));
    }
    let shared = to.join(SHARED);
    std::fs::create_dir_all(&shared).map_err(io(&shared))?;
    let features_path = shared.join(format!("{FEATURES}.json"));
    let mut features = std::fs::read_to_string(&features_path)
        .ok()
        .map(|t| t.trim_end().to_owned());
    let mut files = Vec::new();
    for (_, path) in recordings.iter().filter(|(n, _)| selected(n, only)) {
        let imported = convert(path, keys)?;
        match (&features, imported.features) {
            (Some(known), Some(own)) if *known != own => {
                return Err(ImportError::Shared {
                    path: path.clone(),
                    name: FEATURES,
                });
            }
            (None, Some(own)) => features = Some(own),
            _ => {}
        }
        files.push((imported.name, imported.text));
    }
    // Nothing is written before everything is understood.
    for (name, text) in &files {
        let target = to.join(format!("{name}.json"));
        std::fs::write(&target, text).map_err(io(&target))?;
    }
    if let Some(features) = features {
        std::fs::write(&features_path, features + "\n").map_err(io(&features_path))?;
    }
    Ok(files.into_iter().map(|(name, _)| name).collect())
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> ImportError {
    let path = path.to_owned();
    move |source| ImportError::Io { path, source }
}

fn recordings(folder: &Path) -> Result<Vec<(String, PathBuf)>, ImportError> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io(folder))? {
        let path = entry.map_err(io(folder))?.path();
        let name = path.file_stem().and_then(|s| s.to_str()).map(str::to_owned);
        if let (Some(name), true) = (name, path.extension().is_some_and(|e| e == "jsonl")) {
            found.push((name, path));
        }
    }
    found.sort();
    Ok(found)
}

/// Converts one recording.
pub(crate) fn convert(path: &Path, keys: &TestKeys) -> Result<Imported, ImportError> {
    let text = std::fs::read_to_string(path).map_err(io(path))?;
    let mut meta: Option<Meta> = None;
    let mut features = None;
    let mut lines = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let malformed = |source| ImportError::Entry {
            path: path.to_owned(),
            line: i + 1,
            source,
        };
        let entry: Entry = serde_json::from_str(line).map_err(malformed)?;
        let dir = entry.dir.clone();
        let incomplete = |needs| ImportError::Incomplete {
            path: path.to_owned(),
            line: i + 1,
            dir: dir.clone(),
            needs,
        };
        if dir == "meta" {
            let data = entry.data.ok_or_else(|| incomplete("data"))?;
            meta = Some(serde_json::from_str(data.get()).map_err(malformed)?);
            continue;
        }
        let mut out = Line::at(entry.t, entry.conn);
        match dir.as_str() {
            "open" => out.open = Some(entry.headers.ok_or_else(|| incomplete("headers"))?),
            "c2s" => {
                let data = entry.data.ok_or_else(|| incomplete("data"))?;
                out.binary = entry.binary;
                if entry.raw {
                    out.send_text = Some(serde_json::from_str(data.get()).map_err(malformed)?);
                } else {
                    out.sign = how_signed(data.get(), keys).map_err(malformed)?;
                    out.send = Some(data);
                }
            }
            "s2c" => {
                let data = entry.data.ok_or_else(|| incomplete("data"))?;
                let (frame, own) = reduce(data.get()).map_err(malformed)?;
                features = features.or(own);
                out.receive = Some(frame);
            }
            "close" => {
                out.close = Some(Close {
                    by: entry.by.ok_or_else(|| incomplete("by"))?,
                    code: entry.code.ok_or_else(|| incomplete("code"))?,
                    reason: entry.reason,
                });
            }
            "mark" => {
                let data = entry.data.ok_or_else(|| incomplete("data"))?;
                out.mark = Some(serde_json::from_str::<Mark>(data.get()).map_err(malformed)?);
            }
            _ => return Err(incomplete("to be one of meta, open, c2s, s2c, close, mark")),
        }
        lines.push(out);
    }
    let meta = meta.ok_or_else(|| ImportError::Incomplete {
        path: path.to_owned(),
        line: 1,
        dir: "meta".into(),
        needs: "to be the first line",
    })?;
    let text = file::to_text(&Written {
        name: &meta.name,
        description: &meta.description,
        provenance: &provenance(&meta.name),
        setup: &meta.setup,
        lines: &lines,
    })
    .map_err(|source| ImportError::Entry {
        path: path.to_owned(),
        line: 1,
        source,
    })?;
    Ok(Imported {
        name: meta.name,
        text,
        features,
    })
}

fn provenance(name: &str) -> Provenance {
    let client = if name.starts_with("real-") {
        "an unmodified client"
    } else {
        "a scripted client"
    };
    Provenance {
        release: RELEASE.into(),
        how: format!("{client}, frame by frame through a transparent proxy on loopback"),
    }
}

fn how_signed(frame: &str, keys: &TestKeys) -> serde_json::Result<Option<crate::keys::SignedWith>> {
    if !frame.contains("\"signature\"") {
        return Ok(None);
    }
    let frame: Value = serde_json::from_str(frame)?;
    Ok(frame
        .get("params")
        .and_then(|params| keys.how_signed(params)))
}

/// Takes out of a frame what is not compared, keeping the rest as it is. Gives the feature list if there was one.
fn reduce(frame: &str) -> serde_json::Result<(Box<RawValue>, Option<String>)> {
    let mut text = frame.to_owned();
    for name in DROPPED {
        while let Some((member, value)) = find_member(&text, name) {
            // With the comma before it, or the one after it when it is the first member.
            let start = if text[..member].ends_with(',') {
                member - 1
            } else {
                member
            };
            let end = if start == member && text[value.end..].starts_with(',') {
                value.end + 1
            } else {
                value.end
            };
            text.replace_range(start..end, "");
        }
    }
    for name in SHORTENED {
        if let Some((_, value)) = find_member(&text, name)
            && let Ok(entries) = serde_json::from_str::<Vec<&RawValue>>(&text[value.clone()])
        {
            let kept: Vec<&str> = entries.iter().take(KEPT_ENTRIES).map(|e| e.get()).collect();
            let kept = format!("[{}]", kept.join(","));
            text.replace_range(value, &kept);
        }
    }
    let mut features = None;
    if let Some((_, value)) = find_member(&text, FEATURES) {
        features = Some(text[value.clone()].to_owned());
        text.replace_range(value, &format!("{{\"$shared\":\"{FEATURES}\"}}"));
    }
    Ok((RawValue::from_string(text)?, features))
}

/// Where the first member `name` starts, and the span of its value. Texts of frames hold no such sequence inside a string:
/// there the quotes would be escaped.
fn find_member(text: &str, name: &str) -> Option<(usize, std::ops::Range<usize>)> {
    let key = format!("\"{name}\":");
    let member = text.find(&key)?;
    let start = member + key.len();
    let mut values = serde_json::Deserializer::from_str(&text[start..]).into_iter::<IgnoredAny>();
    values.next()?.ok()?;
    Some((member, start..start + values.byte_offset()))
}

#[cfg(test)]
mod tests;
