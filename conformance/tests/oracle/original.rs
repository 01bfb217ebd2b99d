//! The original gateway's own definitions, judged by the `jsonschema` crate. They are not part of this repository: they
//! are read from a folder beside it when that is there.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jsonschema::Validator;
use serde_json::Value;

use crate::differences::Step;
use crate::fault::Fault;

/// Definitions that the recorded release checks frames against.
const DEFINITIONS: &str = "openclaw-2026.1.30.runtime-schemas.json";
/// Its methods, with the names of those definitions.
const METHODS: &str = "methods.json";

/// The original's judges.
pub(crate) struct Original {
    definitions: BTreeMap<String, (Value, Validator)>,
    /// Definition of each method's params; none where it has none.
    pub(crate) params: BTreeMap<String, Option<String>>,
}

/// `../shared/<name>` beside the repository, if it is there.
pub(crate) fn shared(name: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    Some(folder.join(name)).filter(|folder| folder.is_dir())
}

impl Original {
    /// Reads the definitions; none when they are not here.
    pub(crate) fn load() -> Option<Self> {
        let folder = shared("reference")?;
        let read = |name: &str| -> Value {
            let text = std::fs::read_to_string(folder.join(name)).expect("a file of the reference");
            serde_json::from_str(&text).expect("a file of the reference is JSON")
        };
        let Value::Object(definitions) = read(DEFINITIONS) else {
            panic!("{DEFINITIONS} is a map of definitions");
        };
        let judge = |(name, schema): (String, Value)| {
            let validator = jsonschema::draft7::new(&schema).expect("a definition is a schema");
            (name, (schema, validator))
        };
        let methods = read(METHODS);
        let params = methods["methods"].as_array().expect("methods").iter();
        Some(Self {
            definitions: definitions.into_iter().map(judge).collect(),
            params: params
                .map(|method| {
                    let name = |key: &str| method[key].as_str().map(str::to_owned);
                    (name("name").expect("a name"), name("paramsRuntimeDef"))
                })
                .collect(),
        })
    }

    /// The names of all definitions.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.definitions.keys().map(String::as_str)
    }

    /// The schema of a definition.
    pub(crate) fn schema(&self, definition: &str) -> &Value {
        &self.definition(definition).0
    }

    fn definition(&self, name: &str) -> &(Value, Validator) {
        let found = self.definitions.get(name);
        found.unwrap_or_else(|| panic!("the original has no definition {name}"))
    }

    /// Whether the original accepts a document, after its own mending where it has one.
    pub(crate) fn accepts(&self, definition: &str, steps: &[Step], document: &Value) -> bool {
        let validator = &self.definition(definition).1;
        validator.is_valid(&prepared(steps, document))
    }

    /// What the original holds against a document.
    pub(crate) fn faults(&self, definition: &str, steps: &[Step], document: &Value) -> Vec<Fault> {
        let document = prepared(steps, document);
        let errors = self.definition(definition).1.iter_errors(&document);
        errors
            .map(|error| Fault {
                place: error.instance_path().to_string(),
                keyword: error.kind().keyword().to_owned(),
                message: error.to_string(),
            })
            .collect()
    }
}

fn prepared<'a>(steps: &[Step], document: &'a Value) -> Cow<'a, Value> {
    if steps.contains(&Step::MendedByOriginal) {
        Cow::Owned(mended(document))
    } else {
        Cow::Borrowed(document)
    }
}

/// What the original does with the params of `node.invoke.result` before it checks them: `payloadJSON` that is no text
/// counts as `payload` or, when null, as absent; so does an `error` that is null.
fn mended(document: &Value) -> Value {
    let mut document = document.clone();
    if let Value::Object(members) = &mut document {
        if members.get("payloadJSON").is_some_and(|p| !p.is_string()) {
            let payload = members.remove("payloadJSON").unwrap_or_default();
            if !payload.is_null() {
                members.entry("payload").or_insert(payload);
            }
        }
        if members.get("error").is_some_and(Value::is_null) {
            members.remove("error");
        }
    }
    document
}
