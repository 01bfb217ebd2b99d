//! The schema directory as ordered JSON trees, and the errors that name a place in it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use openclaw_schema_runtime::Tree;

/// One mistake in the schema: where, what, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaError {
    /// Path relative to the schema directory.
    pub file: String,
    /// JSON pointer inside the file; empty for the whole file.
    pub pointer: String,
    /// What is wrong.
    pub problem: String,
    /// What to write instead.
    pub advice: String,
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}#{}: {}\n    {}",
            self.file, self.pointer, self.problem, self.advice
        )
    }
}

impl std::error::Error for SchemaError {}

/// All mistakes of one pass, in file order.
#[derive(Debug)]
pub struct SchemaErrors(pub Vec<SchemaError>);

impl fmt::Display for SchemaErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} mistake(s) in the schema", self.0.len())?;
        for error in &self.0 {
            writeln!(f, "  {error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SchemaErrors {}

impl SchemaErrors {
    /// `Ok` when nothing was found.
    pub(crate) fn or_ok(errors: Vec<SchemaError>) -> Result<(), SchemaErrors> {
        if errors.is_empty() {
            Ok(())
        } else {
            Err(SchemaErrors(errors))
        }
    }
}

/// A place inside a schema file, extended while walking down.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) file: String,
    pub(crate) pointer: String,
}

impl Place {
    pub(crate) fn new(file: &str) -> Place {
        Place {
            file: file.to_owned(),
            pointer: String::new(),
        }
    }

    pub(crate) fn at(&self, key: impl fmt::Display) -> Place {
        let key = key.to_string().replace('~', "~0").replace('/', "~1");
        Place {
            file: self.file.clone(),
            pointer: format!("{}/{key}", self.pointer),
        }
    }

    pub(crate) fn error(
        &self,
        problem: impl Into<String>,
        advice: impl Into<String>,
    ) -> SchemaError {
        SchemaError {
            file: self.file.clone(),
            pointer: self.pointer.clone(),
            problem: problem.into(),
            advice: advice.into(),
        }
    }
}

/// Every schema file, parsed in order, duplicate keys refused.
pub struct Source {
    /// `protocol.json`.
    pub(crate) protocol: Tree,
    /// Files that define types, by path relative to the schema directory: primitives and groups.
    pub(crate) files: BTreeMap<String, Tree>,
    /// Meta-schemas by file name.
    pub(crate) meta: BTreeMap<String, serde_json::Value>,
}

/// The file that names all others.
pub(crate) const PROTOCOL: &str = "protocol.json";
/// The file of shared definitions.
pub(crate) const PRIMITIVES: &str = "primitives.json";

impl Source {
    /// Loads `protocol.json`, `primitives.json`, the groups that it lists and `meta/`.
    ///
    /// # Errors
    /// Unreadable files, JSON syntax, duplicate keys, a group file that is listed and missing or
    /// present and not listed.
    pub fn load(root: &Path) -> Result<Source, SchemaErrors> {
        let mut source = Source::load_types(root)?;
        let mut errors = Vec::new();
        for name in ["protocol", "group", "dialect"] {
            let file = format!("{name}.schema.json");
            match read_tree(root, &format!("meta/{file}")) {
                Ok(tree) => drop(source.meta.insert(file, tree.to_value())),
                Err(error) => errors.push(error),
            }
        }
        SchemaErrors::or_ok(errors)?;
        Ok(source)
    }

    /// As [`Source::load`] without `meta/`: enough to read the schema, not to check its files.
    ///
    /// # Errors
    /// As [`Source::load`].
    pub fn load_types(root: &Path) -> Result<Source, SchemaErrors> {
        let mut errors = Vec::new();
        let mut tree = |name: &str| match read_tree(root, name) {
            Ok(tree) => tree,
            Err(error) => {
                errors.push(error);
                Tree::Null
            }
        };
        let protocol = tree(PROTOCOL);
        let mut files = BTreeMap::new();
        files.insert(PRIMITIVES.to_owned(), tree(PRIMITIVES));
        let mut listed = Vec::new();
        for group in strings(&protocol, "groups") {
            let name = format!("groups/{group}.json");
            files.insert(name.clone(), tree(&name));
            listed.push(name);
        }
        for stray in stray_groups(root, &listed) {
            errors.push(Place::new(PROTOCOL).at("groups").error(
                format!("`groups/{stray}` is not listed"),
                "add its name to \"groups\", or delete the file",
            ));
        }
        SchemaErrors::or_ok(errors)?;
        Ok(Source {
            protocol,
            files,
            meta: BTreeMap::new(),
        })
    }

    /// Group names in manifest order.
    pub(crate) fn groups(&self) -> Vec<String> {
        strings(&self.protocol, "groups")
    }
}

fn stray_groups(root: &Path, listed: &[String]) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(root.join("groups")) else {
        return Vec::new();
    };
    let mut stray: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.ends_with(".json") && !listed.contains(&format!("groups/{name}")))
        .collect();
    stray.sort();
    stray
}

fn read_tree(root: &Path, name: &str) -> Result<Tree, SchemaError> {
    let place = Place::new(name);
    let text = std::fs::read_to_string(root.join(name))
        .map_err(|error| place.error(format!("cannot be read: {error}"), "create the file"))?;
    Tree::parse(&text).map_err(|error| {
        place.error(
            error.to_string(),
            "write valid JSON; a key may stand only once in an object",
        )
    })
}

/// Members of an object; none for anything else.
pub(crate) fn members(tree: Option<&Tree>) -> &[(String, Tree)] {
    match tree {
        Some(Tree::Object(members)) => members,
        _ => &[],
    }
}

/// The strings of an array member; empty when it is absent.
pub(crate) fn strings(tree: &Tree, key: &str) -> Vec<String> {
    match tree.get(key) {
        Some(Tree::Array(items)) => items
            .iter()
            .filter_map(|item| item.as_str().map(str::to_owned))
            .collect(),
        _ => Vec::new(),
    }
}
