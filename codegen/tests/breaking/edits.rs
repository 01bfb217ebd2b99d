//! The schema of the tests, edited.

use std::fs;
use std::path::{Path, PathBuf};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// One edit of one file.
#[derive(Debug, Clone)]
pub(crate) struct Edit {
    file: String,
    pointer: String,
    /// What stands there; `None` removes it.
    value: Option<Value>,
}

impl<'de> Deserialize<'de> for Edit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let parts = Vec::<Value>::deserialize(deserializer)?;
        let text = |part: &Value| part.as_str().map(str::to_owned);
        match parts.as_slice() {
            [file, pointer, value @ ..] if value.len() <= 1 => Some(Edit {
                file: text(file).ok_or_else(|| D::Error::custom("a file"))?,
                pointer: text(pointer).ok_or_else(|| D::Error::custom("a pointer"))?,
                value: value.first().cloned(),
            }),
            _ => None,
        }
        .ok_or_else(|| D::Error::custom("an edit is a file, a pointer and perhaps a value"))
    }
}

/// Puts a value at a pointer of the shop's file.
pub(crate) fn set(pointer: &str, value: Value) -> Edit {
    set_in("groups/shop.json", pointer, value)
}

/// Puts a value at a pointer of a file. Its parent has to be there.
pub(crate) fn set_in(file: &str, pointer: &str, value: Value) -> Edit {
    Edit {
        file: file.to_owned(),
        pointer: pointer.to_owned(),
        value: Some(value),
    }
}

/// Removes what is at a pointer of the shop's file.
pub(crate) fn drop(pointer: &str) -> Edit {
    Edit {
        file: "groups/shop.json".to_owned(),
        pointer: pointer.to_owned(),
        value: None,
    }
}

/// A copy of `tests/evolution` as `schema/` of a project.
pub(crate) struct Schema {
    root: tempfile::TempDir,
}

impl Schema {
    pub(crate) fn new() -> Schema {
        let root = tempfile::tempdir().expect("a folder");
        let own = Path::new(env!("CARGO_MANIFEST_DIR"));
        copy(&own.join("tests/evolution"), &root.path().join("schema"));
        copy(
            &own.join("../schema/meta"),
            &root.path().join("schema/meta"),
        );
        Schema { root }
    }

    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.root.path().join("schema")
    }

    pub(crate) fn apply(&mut self, edits: &[Edit]) {
        for edit in edits {
            let path = self.folder().join(&edit.file);
            let text = fs::read_to_string(&path).expect("a schema file");
            let mut document: Value = serde_json::from_str(&text).expect("JSON");
            change(&mut document, edit);
            fs::write(&path, document.to_string()).expect("written");
        }
    }

    pub(crate) fn model(&self) -> codegen::model::Model {
        codegen::read_schema(&self.folder()).unwrap_or_else(|errors| panic!("{errors}"))
    }
}

fn change(document: &mut Value, edit: &Edit) {
    let (parent, key) = edit.pointer.rsplit_once('/').expect("a pointer");
    let parent = document
        .pointer_mut(parent)
        .unwrap_or_else(|| panic!("{} has a parent", edit.pointer));
    let key = key.replace("~1", "/");
    match (parent, &edit.value) {
        (Value::Object(members), Some(value)) => {
            members.insert(key, value.clone());
        }
        (Value::Object(members), None) => {
            assert!(members.remove(&key).is_some(), "{} exists", edit.pointer);
        }
        (Value::Array(items), Some(value)) => items.push(value.clone()),
        (Value::Array(items), None) => {
            items.remove(key.parse().expect("an index"));
        }
        _ => panic!("{} cannot be edited", edit.pointer),
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copied");
        }
    }
}
