//! A bundle, read back: the schema as it was when somebody recorded it.
//!
//! The members of the bundle are sorted into the files that they came from, and the reader of schema
//! files does the rest. So there is one reader, and what it learns to see `breaking` sees as well.
//! Called by `against`.

use std::collections::BTreeMap;

use openclaw_schema_runtime::Tree;

use crate::source::{PRIMITIVES, PROTOCOL, Place, SchemaError, Source, members};

/// Keys of the bundle that are keys of `protocol.json` under another name.
const MANIFEST: &[(&str, &str)] = &[
    ("title", "name"),
    ("description", "description"),
    ("x-protocol", "version"),
    ("x-oldest-protocol", "oldestVersion"),
    ("x-roles", "roles"),
    ("x-scopes", "scopes"),
    ("x-unlisted", "unlisted"),
    ("x-error-codes", "errorCodes"),
    ("x-closes", "closes"),
    ("x-limits", "limits"),
    ("x-errors", "errors"),
    ("x-texts", "texts"),
    ("x-features", "features"),
];

/// Keys of a method or event whose value is the name of a definition.
const NAMES: &[&str] = &["params", "clientParams", "result", "failure", "payload"];

/// What starts a reference inside the bundle.
const REFERENCE: &str = "#/definitions/";

/// The schema files that a bundle was made of.
///
/// # Errors
/// The text is no JSON, or no bundle.
pub(crate) fn source(text: &str) -> Result<Source, SchemaError> {
    let place = Place::new(PROTOCOL);
    let bundle = Tree::parse(text).map_err(|error| {
        place.error(
            format!("the bundle cannot be read: {error}"),
            "give a file that `cargo run -p codegen -- release` wrote",
        )
    })?;
    if bundle.get("definitions").is_none() || bundle.get("x-roles").is_none() {
        return Err(place.error(
            "the file is no bundle with definitions and x-roles",
            "give a file that `cargo run -p codegen -- release` wrote",
        ));
    }
    let homes: BTreeMap<&str, String> = members(bundle.get("definitions"))
        .iter()
        .map(|(name, schema)| {
            let file = schema.get("x-file").and_then(Tree::as_str);
            (name.as_str(), file.unwrap_or(PRIMITIVES).to_owned())
        })
        .collect();
    let groups = members(bundle.get("x-groups"));
    let mut files: BTreeMap<String, Tree> = groups
        .iter()
        .map(|(group, about)| {
            let file = group_file(group);
            let tree = group_tree(&bundle, &homes, &file, group, about);
            (file, tree)
        })
        .collect();
    let shared = Tree::Object(vec![definitions(&bundle, &homes, PRIMITIVES)]);
    files.insert(PRIMITIVES.to_owned(), shared);
    let mut protocol: Vec<(String, Tree)> = MANIFEST
        .iter()
        .filter_map(|(key, name)| Some(((*name).to_owned(), bundle.get(key)?.clone())))
        .collect();
    let names = groups.iter().map(|(group, _)| string(group)).collect();
    protocol.push(("groups".to_owned(), Tree::Array(names)));
    Ok(Source {
        protocol: Tree::Object(protocol),
        files,
        meta: BTreeMap::new(),
    })
}

fn group_tree(
    bundle: &Tree,
    homes: &BTreeMap<&str, String>,
    file: &str,
    group: &str,
    about: &Tree,
) -> Tree {
    let entries = |section: &str| {
        let own = members(bundle.get(section))
            .iter()
            .filter(|(_, entry)| entry.get("group").and_then(Tree::as_str) == Some(group));
        Tree::Object(
            own.map(|(name, item)| (name.clone(), entry(homes, file, item)))
                .collect(),
        )
    };
    let mut out = vec![
        ("group".to_owned(), string(group)),
        ("methods".to_owned(), entries("x-methods")),
        ("events".to_owned(), entries("x-events")),
        definitions(bundle, homes, file),
    ];
    if let Some(description) = about.get("description") {
        out.push(("description".to_owned(), description.clone()));
    }
    Tree::Object(out)
}

/// A method or event with references in place of names, and stages as the group file has them.
fn entry(homes: &BTreeMap<&str, String>, file: &str, item: &Tree) -> Tree {
    let failure = item.get("failure").map(|name| target(homes, file, name));
    let staged = item.get("stages").and_then(Tree::as_array);
    let mut out = Vec::new();
    for (key, value) in members(Some(item)) {
        match key.as_str() {
            "group" | "stages" | "when" => {}
            // Of a staged method, it is the last stage's.
            "failure" if staged.is_some() => {}
            name if NAMES.contains(&name) => out.push((key.clone(), target(homes, file, value))),
            _ => out.push((key.clone(), value.clone())),
        }
    }
    if let Some([first, last]) = staged {
        let stage = |payload: &Tree, mark: (&str, Tree)| {
            vec![
                ("payload".to_owned(), target(homes, file, payload)),
                (mark.0.to_owned(), mark.1),
            ]
        };
        let when = item.get("when").cloned().unwrap_or(Tree::Null);
        let first = stage(first, ("when", when));
        let mut last = stage(last, ("final", Tree::Bool(true)));
        if let Some(failure) = failure {
            last.push(("failure".to_owned(), failure));
        }
        let stages = Tree::Array(vec![Tree::Object(first), Tree::Object(last)]);
        let result = Tree::Object(vec![("stages".to_owned(), stages)]);
        out.push(("result".to_owned(), result));
    }
    Tree::Object(out)
}

/// `$defs` of one file.
fn definitions(bundle: &Tree, homes: &BTreeMap<&str, String>, file: &str) -> (String, Tree) {
    let own = members(bundle.get("definitions"))
        .iter()
        .filter(|(name, _)| homes.get(name.as_str()).is_some_and(|home| home == file));
    let own = own.map(|(name, schema)| (name.clone(), relocated(homes, file, schema)));
    ("$defs".to_owned(), Tree::Object(own.collect()))
}

/// The same type with references as the file has them.
fn relocated(homes: &BTreeMap<&str, String>, file: &str, schema: &Tree) -> Tree {
    match schema {
        Tree::Array(items) => {
            Tree::Array(items.iter().map(|i| relocated(homes, file, i)).collect())
        }
        Tree::Object(keys) => Tree::Object(
            keys.iter()
                .filter(|(key, _)| key != "x-file")
                .map(|(key, value)| match (key.as_str(), value) {
                    ("$ref", Tree::String(text)) => {
                        let name = text.strip_prefix(REFERENCE).unwrap_or(text);
                        (key.clone(), string(&path(homes, file, name)))
                    }
                    _ => (key.clone(), relocated(homes, file, value)),
                })
                .collect(),
        ),
        scalar => scalar.clone(),
    }
}

fn target(homes: &BTreeMap<&str, String>, file: &str, name: &Tree) -> Tree {
    let path = path(homes, file, name.as_str().unwrap_or_default());
    Tree::Object(vec![("$ref".to_owned(), string(&path))])
}

/// How `file` refers to a definition.
fn path(homes: &BTreeMap<&str, String>, file: &str, name: &str) -> String {
    match homes.get(name) {
        Some(home) if home != file => {
            let up = "../".repeat(file.matches('/').count());
            format!("{up}{home}#/$defs/{name}")
        }
        _ => format!("#/$defs/{name}"),
    }
}

fn group_file(group: &str) -> String {
    format!("groups/{group}.json")
}

fn string(text: &str) -> Tree {
    Tree::String(text.to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::Value;

    use super::*;
    use crate::emit::bundle::bundle;
    use crate::read;

    /// A bundle sorts the members of objects, and with them their order in `required`.
    fn sort_required(value: &mut Value) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(sort_required),
            Value::Object(members) => {
                members.values_mut().for_each(sort_required);
                if let Some(Value::Array(names)) = members.get_mut("required") {
                    names.sort_by_key(ToString::to_string);
                }
            }
            _ => {}
        }
    }

    #[test]
    fn a_bundle_read_back_is_the_same_bundle() {
        let own = Path::new(env!("CARGO_MANIFEST_DIR"));
        for schema in ["../schema", "tests/fixture", "tests/evolution"] {
            let files = Source::load_types(&own.join(schema)).unwrap();
            let mut written = bundle(&read::model(&files).unwrap());
            let read = read::model(&source(&written.to_string()).unwrap());
            let mut again = bundle(&read.unwrap());
            sort_required(&mut written);
            sort_required(&mut again);
            let (written, again) = (format!("{written:#}"), format!("{again:#}"));
            let differs = written.lines().zip(again.lines()).find(|(a, b)| a != b);
            assert_eq!(differs, None, "{schema}");
            assert_eq!(again.len(), written.len(), "{schema}");
        }
    }

    #[test]
    fn what_is_no_bundle_is_named() {
        for (text, expected) in [
            ("{", "the bundle cannot be read: EOF"),
            ("{\"definitions\": {}}", "the file is no bundle"),
        ] {
            let error = source(text).err().unwrap().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
