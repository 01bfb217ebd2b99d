//! Files to model. Every mistake gets its own words: file, pointer, problem, advice.
//!
//! Split by what is read: `read::types` the dialect, `read::manifest` protocol and groups; `read::versions`
//! checks how they fit together over several protocol versions.

mod manifest;
mod types;
mod versions;

use std::collections::BTreeMap;

use openclaw_schema_runtime::Tree;

use crate::model::{Definition, Model, Type};
use crate::source::{PRIMITIVES, Place, SchemaError, SchemaErrors, Source, members};

/// Reads the whole schema.
///
/// # Errors
/// All mistakes found.
pub(crate) fn model(source: &Source) -> Result<Model, SchemaErrors> {
    let (model, errors) = read(source);
    SchemaErrors::or_ok(errors)?;
    Ok(model)
}

/// Reads a schema of another time: what today's rules would refuse in it was right then.
pub(crate) fn past_model(source: &Source) -> Model {
    read(source).0
}

fn read(source: &Source) -> (Model, Vec<SchemaError>) {
    let mut reader = Reader {
        errors: Vec::new(),
        names: BTreeMap::new(),
    };
    let mut order = vec![PRIMITIVES.to_owned()];
    order.extend(
        source
            .groups()
            .iter()
            .map(|group| format!("groups/{group}.json")),
    );
    for file in &order {
        reader.collect_names(file, &source.files[file]);
    }
    let mut definitions = Vec::new();
    for file in &order {
        definitions.extend(reader.definitions(file, &source.files[file]));
    }
    reader.check_cycles(&definitions);
    let model = reader.manifest(source, definitions);
    reader.versions(&model);
    (model, reader.errors)
}

/// State of one pass.
struct Reader {
    errors: Vec<SchemaError>,
    /// Definition name to file.
    names: BTreeMap<String, String>,
}

impl Reader {
    fn wrong(&mut self, place: &Place, problem: impl Into<String>, advice: impl Into<String>) {
        self.errors.push(place.error(problem, advice));
    }

    fn collect_names(&mut self, file: &str, tree: &Tree) {
        let place = Place::new(file).at("$defs");
        for (name, _) in members(tree.get("$defs")) {
            if let Some(first) = self.names.insert(name.clone(), file.to_owned()) {
                self.wrong(
                    &place.at(name),
                    format!("`{name}` is already defined in {first}"),
                    "definition names are unique over the whole schema: refer to the first one, or rename",
                );
            }
        }
    }

    fn definitions(&mut self, file: &str, tree: &Tree) -> Vec<Definition> {
        let place = Place::new(file).at("$defs");
        let mut out = Vec::new();
        for (name, schema) in members(tree.get("$defs")) {
            let place = place.at(name);
            if !is_type_name(name) {
                self.wrong(
                    &place,
                    format!("`{name}` is not a type name"),
                    "write PascalCase letters and digits, `SessionRow`",
                );
            }
            let ty = self.definition_type(file, &place, schema);
            out.push(Definition {
                name: name.clone(),
                file: file.to_owned(),
                description: self.description(&place, schema),
                ty,
                examples: self.examples(schema),
                counter_examples: self.counter_examples(&place, schema),
            });
        }
        out
    }

    /// A reference chain that ends in itself has no type (`A -> B -> A`, without an object between).
    fn check_cycles(&mut self, definitions: &[Definition]) {
        for definition in definitions {
            let mut seen = vec![definition.name.as_str()];
            let mut ty = &definition.ty;
            while let Type::Ref(next) = ty {
                if seen.contains(&next.as_str()) {
                    let place = Place::new(&definition.file)
                        .at("$defs")
                        .at(&definition.name);
                    self.wrong(
                        &place,
                        format!("refers to itself through {}", seen.join(" -> ")),
                        "write the type of one of them out",
                    );
                    return;
                }
                seen.push(next);
                match definitions.iter().find(|d| d.name == *next) {
                    Some(found) => ty = &found.ty,
                    None => break,
                }
            }
        }
    }
}

fn is_type_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.chars().all(|c| c.is_ascii_alphanumeric())
}
