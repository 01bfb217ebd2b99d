//! What the original gateway and its clients were recorded to say: `../shared/recordings` and `../shared/reference/examples`
//! beside the repository when they are there, and otherwise the sessions of this crate.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use openclaw_conformance::file;
use openclaw_conformance::session::{Action, expand_repeats};
use openclaw_protocol::methods::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::original::shared;

/// The file of examples that holds captured verdicts.
const SAMPLES: &str = "_validation-errors";

/// A frame of the gateway.
pub(crate) struct Sent {
    /// File it is from.
    pub(crate) source: String,
    /// What it may answer: more than one where a client used an id twice. Empty for events and answers to nothing known.
    pub(crate) methods: Vec<Method>,
    /// The frame.
    pub(crate) frame: Value,
}

/// A request of a client whose params are known to fit the original's definition, or not to.
pub(crate) struct Asked {
    /// File it is from.
    pub(crate) source: String,
    pub(crate) method: Method,
    /// Absent or null as `{}`, as the gateway reads it.
    pub(crate) params: Value,
    /// True: it was answered. False: it was refused with what a validator says.
    pub(crate) accepted: bool,
}

/// What a validator of the original was captured to say.
#[derive(Deserialize)]
pub(crate) struct Sample {
    pub(crate) definition: String,
    pub(crate) value: Value,
    pub(crate) valid: bool,
}

/// All that was recorded.
#[derive(Default)]
pub(crate) struct Recorded {
    pub(crate) sent: Vec<Sent>,
    pub(crate) asked: Vec<Asked>,
    pub(crate) samples: Vec<Sample>,
}

/// One frame on one connection.
struct Said {
    conn: String,
    by_gateway: bool,
    frame: Value,
}

impl Recorded {
    /// Reads what is there; true: all of it, not only the sessions of this crate.
    pub(crate) fn load() -> (Self, bool) {
        let mut recorded = Self::default();
        let (recordings, reference) = (shared("recordings"), shared("reference"));
        let (Some(recordings), Some(reference)) = (recordings, reference) else {
            recorded.read_sessions();
            return (recorded, false);
        };
        for path in files(&recordings, "jsonl") {
            let lines = read(&path);
            let said = lines.lines().filter_map(line).collect();
            recorded.conversation(&name(&path), said);
        }
        for path in files(&reference.join("examples"), "json") {
            if name(&path) == SAMPLES {
                let samples = serde_json::from_str(&read(&path));
                recorded.samples = samples.expect("captured verdicts");
                continue;
            }
            let document = serde_json::from_str(&read(&path)).expect("an example file is JSON");
            recorded.examples(&name(&path), document);
        }
        (recorded, true)
    }

    fn read_sessions(&mut self) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sessions");
        for session in file::load_all(&folder).expect("sessions") {
            let said = session.steps.iter().filter_map(|step| match &step.action {
                Action::Send { conn, text, .. } => Some(Said {
                    conn: conn.clone(),
                    by_gateway: false,
                    frame: serde_json::from_str(text).ok()?,
                }),
                Action::Receive { conn, frame } => Some(Said {
                    conn: conn.clone(),
                    by_gateway: true,
                    frame: frame.clone(),
                }),
                _ => None,
            });
            self.conversation(&session.name, said.collect());
        }
    }

    fn conversation(&mut self, source: &str, said: Vec<Said>) {
        let mut calls: BTreeMap<(String, String), Vec<(Method, Value)>> = BTreeMap::new();
        for Said {
            conn,
            by_gateway,
            frame,
        } in said
        {
            let id = frame["id"].as_str().unwrap_or_default().to_owned();
            let is_call = !by_gateway && !id.is_empty();
            let key = (conn, id);
            if !by_gateway {
                let method = frame["method"].as_str().and_then(Method::from_name);
                if let Some(method) = method.filter(|_| is_call) {
                    let call = (method, frame["params"].clone());
                    calls.entry(key).or_default().push(call);
                }
                continue;
            }
            let answers = frame["type"] == "res";
            let calls = calls.get(&key).filter(|_| answers);
            if let Some([(method, params)]) = calls.map(Vec::as_slice) {
                self.ask(source, *method, params.clone(), &frame);
            }
            let methods = calls.into_iter().flatten().map(|(method, _)| *method);
            self.sent.push(Sent {
                source: source.to_owned(),
                methods: methods.collect(),
                frame,
            });
        }
    }

    fn ask(&mut self, source: &str, method: Method, params: Value, answer: &Value) {
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        let refusal = message.strip_prefix(&format!("invalid {} params: ", method.name()));
        // Handlers use the same words for rules of their own.
        let by_definition = |text: &str| {
            ["at /", "at root", "must "]
                .iter()
                .any(|s| text.starts_with(s))
        };
        let refused = refusal.is_some_and(by_definition);
        let answered = answer["ok"] == true;
        if refused || answered {
            self.asked.push(Asked {
                source: source.to_owned(),
                method,
                params: if params.is_null() { json!({}) } else { params },
                accepted: answered,
            });
        }
    }

    /// A file of examples: `samples` of one method, events by name, or replies to texts.
    fn examples(&mut self, source: &str, mut document: Value) {
        drop_marks(&mut document);
        if let Some(method) = document["method"].as_str().and_then(Method::from_name) {
            for sample in document["samples"].as_array().into_iter().flatten() {
                self.sample(source, method, sample);
            }
            return;
        }
        let lists = document.as_object().into_iter().flat_map(|m| m.values());
        let events = lists.filter_map(Value::as_array).flatten();
        let replies = document.as_array().into_iter().flatten();
        let frames = events.chain(replies.map(|r| &r["reply"]));
        for frame in frames.filter(|frame| frame.get("type").is_some()) {
            self.sent.push(Sent {
                source: source.to_owned(),
                methods: Vec::new(),
                frame: frame.clone(),
            });
        }
    }

    fn sample(&mut self, source: &str, method: Method, sample: &Value) {
        let source = format!("{source}: {}", sample["label"].as_str().unwrap_or_default());
        let response = Some(&sample["response"]).filter(|r| r.get("ok").is_some());
        let staged = sample["frames"].as_array().into_iter().flatten();
        for (i, answer) in response.into_iter().chain(staged).enumerate() {
            // Samples of connect tell its params in short.
            let told = i == 0 && method != Method::Connect;
            let params = sample.get("params").filter(|_| told);
            if let Some(params) = params {
                self.ask(&source, method, params.clone(), answer);
            }
            let mut frame = answer.clone();
            frame["type"] = json!("res");
            frame["id"] = json!("1");
            self.sent.push(Sent {
                source: source.clone(),
                methods: vec![method],
                frame,
            });
        }
    }
}

/// A line of a recording that is a frame.
fn line(text: &str) -> Option<Said> {
    let mut line: Value = serde_json::from_str(text).expect("a line of a recording is JSON");
    let by_gateway = match line["dir"].as_str() {
        Some("s2c") => true,
        Some("c2s") => false,
        _ => return None,
    };
    if line["raw"] == true {
        return None;
    }
    let mut frame = line["data"].take();
    expand_repeats(&mut frame);
    Some(Said {
        conn: line["conn"].as_str().unwrap_or_default().to_owned(),
        by_gateway,
        frame,
    })
}

/// Examples are cut: a text such as `<37 more omitted>` stands for what is left out. Some say who got them.
fn drop_marks(value: &mut Value) {
    let is_mark = |item: &Value| {
        let text = item.as_str().unwrap_or_default();
        text.starts_with('<') && text.ends_with(" omitted>")
    };
    match value {
        Value::Array(items) => {
            items.retain(|item| !is_mark(item));
            items.iter_mut().for_each(drop_marks);
        }
        Value::Object(members) => {
            members.retain(|name, member| name != "_receivedBy" && !is_mark(member));
            members.values_mut().for_each(drop_marks);
        }
        _ => {}
    }
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder of recordings");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|e| e == ending))
        .collect();
    paths.sort();
    paths
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).expect("a recording")
}

fn name(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}
