//! Checks frames of a gateway against the published schema (`schema/dist/protocol.schema.json`): the frame itself, then its
//! payload by the method that was called or by the name of the event.

use std::collections::BTreeMap;
use std::path::Path;

use jsonschema::Validator;
use serde_json::{Map, Value, json};

/// How many violations of one frame are told.
const TOLD: usize = 5;

/// The published schema could not be used.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not JSON.
    #[error("{path}: {source}")]
    Parse {
        /// The file.
        path: String,
        /// Why.
        source: serde_json::Error,
    },
    /// A definition that a method, an event or a frame needs is missing or is no schema.
    #[error("the published schema: definition {name}: {message}")]
    Definition {
        /// Its name.
        name: String,
        /// What is wrong.
        message: String,
    },
}

/// Validators of all frames.
pub struct FrameSchemas {
    definitions: BTreeMap<String, Validator>,
    methods: BTreeMap<String, Results>,
    events: BTreeMap<String, String>,
}

/// Names of the definitions that a method's payloads follow.
#[derive(Default)]
struct Results {
    ok: Vec<String>,
    failure: Option<String>,
    nullable: bool,
}

impl FrameSchemas {
    /// Reads the published schema.
    ///
    /// # Errors
    ///
    /// When it cannot be read or is not what codegen publishes.
    pub fn load(path: &Path) -> Result<Self, SchemaError> {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| SchemaError::Read {
            path: shown.clone(),
            source,
        })?;
        let bundle: Value = serde_json::from_str(&text).map_err(|source| SchemaError::Parse {
            path: shown,
            source,
        })?;
        Self::new(&bundle)
    }

    /// From the published document.
    ///
    /// # Errors
    ///
    /// When a definition is missing or is no schema.
    pub fn new(bundle: &Value) -> Result<Self, SchemaError> {
        let name = |value: &Value| value.as_str().map(str::to_owned);
        let members = |key: &str| {
            bundle
                .get(key)
                .and_then(Value::as_object)
                .cloned()
                .unwrap_or_default()
        };
        let results = |entry: &Value| Results {
            ok: match entry.get("stages").and_then(Value::as_array) {
                Some(stages) => stages.iter().filter_map(name).collect(),
                None => entry.get("result").and_then(name).into_iter().collect(),
            },
            failure: entry.get("failure").and_then(name),
            nullable: entry.get("nullableResult").is_some_and(|n| n == true),
        };
        let methods: BTreeMap<String, Results> = members("x-methods")
            .into_iter()
            .map(|(method, entry)| (method, results(&entry)))
            .collect();
        let payload =
            |(event, entry): (String, Value)| Some((event, entry.get("payload").and_then(name)?));
        let events: BTreeMap<String, String> = members("x-events")
            .into_iter()
            .filter_map(payload)
            .collect();
        let used = methods
            .values()
            .flat_map(|r| r.ok.iter().chain(&r.failure))
            .chain(events.values());
        let frames = ["ResponseFrame".to_owned(), "EventFrame".to_owned()];
        let definitions = members("definitions");
        let mut validators = BTreeMap::new();
        for name in used.chain(&frames) {
            if !validators.contains_key(name) {
                validators.insert(name.clone(), validator(name, &definitions)?);
            }
        }
        Ok(Self {
            definitions: validators,
            methods,
            events,
        })
    }

    /// What is wrong with a frame. `label` is `event <name>` or `res <method>`.
    pub fn errors(&self, label: &str, frame: &Value) -> Vec<String> {
        let mut errors = Vec::new();
        let payload = frame.get("payload");
        if let Some(event) = label.strip_prefix("event ") {
            self.check("EventFrame", frame, "", &mut errors);
            if let (Some(definition), Some(payload)) = (self.events.get(event), payload) {
                self.check(definition, payload, "/payload", &mut errors);
            }
            return errors;
        }
        self.check("ResponseFrame", frame, "", &mut errors);
        let method = label
            .strip_prefix("res ")
            .and_then(|method| self.methods.get(method));
        let (Some(results), Some(payload)) = (method, payload) else {
            return errors;
        };
        let ok = frame.get("ok").is_some_and(|ok| ok == true);
        if ok && payload.is_null() && results.nullable {
            return errors;
        }
        let candidates: Vec<&String> = if ok {
            results.ok.iter().collect()
        } else {
            results.failure.iter().collect()
        };
        let mut fewest: Option<Vec<String>> = None;
        for definition in candidates {
            let mut own = Vec::new();
            self.check(definition, payload, "/payload", &mut own);
            if fewest.as_ref().is_none_or(|f| own.len() < f.len()) {
                fewest = Some(own);
            }
        }
        errors.extend(fewest.unwrap_or_default());
        errors
    }

    fn check(&self, definition: &str, value: &Value, at: &str, errors: &mut Vec<String>) {
        let Some(validator) = self.definitions.get(definition) else {
            return;
        };
        let told = validator.iter_errors(value).take(TOLD);
        errors.extend(told.map(|e| format!("{definition} {at}{}: {e}", e.instance_path())));
    }
}

fn validator(name: &str, definitions: &Map<String, Value>) -> Result<Validator, SchemaError> {
    let failed = |message: String| SchemaError::Definition {
        name: name.to_owned(),
        message,
    };
    if !definitions.contains_key(name) {
        return Err(failed("missing".into()));
    }
    let schema = json!({"$ref": format!("#/definitions/{name}"), "definitions": definitions});
    jsonschema::draft7::new(&schema).map_err(|e| failed(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schemas() -> FrameSchemas {
        let object = |members: Value, required: Value| json!({"type": "object", "properties": members, "required": required, "additionalProperties": false});
        FrameSchemas::new(&json!({
            "definitions": {
                "ResponseFrame": object(json!({"type": {}, "id": {"type": "string"}, "ok": {"type": "boolean"}, "payload": {}, "error": {"type": "object"}}), json!(["id", "ok"])),
                "EventFrame": object(json!({"type": {}, "event": {"type": "string"}, "payload": {}, "seq": {"type": "integer"}}), json!(["event"])),
                "One": object(json!({"n": {"type": "integer"}}), json!(["n"])),
                "First": object(json!({"first": {}}), json!(["first"])),
                "Last": object(json!({"last": {}}), json!(["last"])),
                "Broken": object(json!({"why": {}}), json!(["why"])),
            },
            "x-methods": {
                "one": {"params": "One", "result": "One", "nullableResult": true},
                "two": {"params": "One", "stages": ["First", "Last"], "failure": "Broken"},
            },
            "x-events": {"tick": {"payload": "One"}},
        }))
        .unwrap()
    }

    #[test]
    fn frames_and_payloads_are_checked() {
        for (label, frame, expected) in [
            (
                "res one",
                json!({"id": "1", "ok": true, "payload": {"n": 1}}),
                None,
            ),
            (
                "res one",
                json!({"id": "1", "ok": true, "payload": null}),
                None,
            ),
            (
                "res one",
                json!({"id": "1", "ok": true, "payload": {"n": "x"}}),
                Some("One /payload/n:"),
            ),
            (
                "res one",
                json!({"id": 7, "ok": false, "error": {}}),
                Some("ResponseFrame /id:"),
            ),
            (
                "res two",
                json!({"id": "1", "ok": true, "payload": {"first": 1}}),
                None,
            ),
            (
                "res two",
                json!({"id": "1", "ok": true, "payload": {"last": 1}}),
                None,
            ),
            (
                "res two",
                json!({"id": "1", "ok": true, "payload": {}}),
                Some("First /payload:"),
            ),
            (
                "res two",
                json!({"id": "1", "ok": false, "payload": {"why": 1}, "error": {}}),
                None,
            ),
            (
                "res two",
                json!({"id": "1", "ok": false, "payload": {}, "error": {}}),
                Some("Broken /payload:"),
            ),
            (
                "res later.method",
                json!({"id": "1", "ok": true, "payload": 5}),
                None,
            ),
            (
                "event tick",
                json!({"event": "tick", "payload": {"n": 1}, "seq": 1}),
                None,
            ),
            (
                "event tick",
                json!({"event": "tick", "payload": {}, "seq": 1}),
                Some("One /payload:"),
            ),
            (
                "event tick",
                json!({"event": "tick", "x": 1}),
                Some("EventFrame :"),
            ),
        ] {
            let errors = schemas().errors(label, &frame);
            match expected {
                None => assert!(errors.is_empty(), "{label} {frame}: {errors:?}"),
                Some(start) => assert!(
                    errors.first().is_some_and(|e| e.starts_with(start)),
                    "{label} {frame}: {errors:?}"
                ),
            }
        }
    }

    #[test]
    fn a_missing_definition_is_named() {
        let error = FrameSchemas::new(&json!({"definitions": {}}))
            .err()
            .unwrap()
            .to_string();
        assert_eq!(
            error,
            "the published schema: definition ResponseFrame: missing"
        );
    }

    #[test]
    fn the_published_schema_is_usable() {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../schema/dist/protocol.schema.json");
        if path.is_file() {
            let schemas = FrameSchemas::load(&path).unwrap();
            assert!(schemas.methods.contains_key("health") && schemas.events.contains_key("tick"));
        }
    }
}
