//! Checks every file against its meta-schema with the `jsonschema` crate.
//!
//! The specific messages come from `read`; this is the net below it, the same one that editors use, so
//! that a manifest key nobody reads cannot slip in.

use jsonschema::error::ValidationErrorKind;

use crate::source::{PRIMITIVES, PROTOCOL, Place, SchemaError, SchemaErrors, Source};

/// Validates protocol, primitives and groups against `meta/`.
///
/// # Errors
/// Each violation with file and pointer.
pub(crate) fn check(source: &Source) -> Result<(), SchemaErrors> {
    let mut errors = Vec::new();
    one(
        source,
        "protocol.schema.json",
        PROTOCOL,
        &source.protocol.to_value(),
        &mut errors,
    );
    for (file, tree) in &source.files {
        let meta = if file == PRIMITIVES {
            "dialect.schema.json"
        } else {
            "group.schema.json"
        };
        one(source, meta, file, &tree.to_value(), &mut errors);
    }
    SchemaErrors::or_ok(errors)
}

fn one(
    source: &Source,
    meta: &str,
    file: &str,
    value: &serde_json::Value,
    errors: &mut Vec<SchemaError>,
) {
    let place = Place::new(&format!("meta/{meta}"));
    let Some(schema) = source.meta.get(meta) else {
        errors.push(place.error("is missing", "restore the meta-schema"));
        return;
    };
    let mut options = jsonschema::options();
    let mut registry = jsonschema::Registry::new();
    for document in source.meta.values() {
        if let Some(id) = document.get("$id").and_then(|id| id.as_str()) {
            registry = match registry.add(id, document) {
                Ok(registry) => registry,
                Err(error) => {
                    errors
                        .push(place.error(error.to_string(), "give each meta-schema its own $id"));
                    return;
                }
            };
        }
    }
    let registry = match registry.prepare() {
        Ok(registry) => registry,
        Err(error) => {
            errors.push(place.error(error.to_string(), "mend the meta-schema"));
            return;
        }
    };
    options = options.with_registry(&registry);
    let validator = match options.build(schema) {
        Ok(validator) => validator,
        Err(error) => {
            errors.push(place.error(error.to_string(), "mend the meta-schema"));
            return;
        }
    };
    for error in validator.iter_errors(value) {
        errors.push(SchemaError {
            file: file.to_owned(),
            pointer: error.instance_path().to_string(),
            problem: error.to_string(),
            advice: advice(error.kind()),
        });
    }
}

fn advice(kind: &ValidationErrorKind) -> String {
    match kind {
        ValidationErrorKind::AdditionalProperties { .. }
        | ValidationErrorKind::UnevaluatedProperties { .. } => {
            "remove the key or correct its spelling; meta/ lists the keys that exist".into()
        }
        ValidationErrorKind::Required { property } => format!("add {property}"),
        _ => "see the meta-schema in meta/ for what is allowed here".into(),
    }
}
