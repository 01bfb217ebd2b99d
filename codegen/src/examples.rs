//! Examples and counter-examples of every definition, judged by the `jsonschema` crate.
//!
//! The texts of counter-examples are judged by the generated crate's own tests, where the tables are.

use jsonschema::Draft;
use openclaw_schema_runtime::Tree;
use serde_json::{Value, json};

use crate::model::{Model, Type, json_text};
use crate::source::{PROTOCOL, Place, SchemaErrors};

/// Name of the bundle while it is judged.
const BUNDLE: &str = "https://openclaw.invalid/bundle";

/// Validates examples against the bundle.
///
/// # Errors
/// An example that does not validate, a counter-example that does, a constrained definition without one
/// of each.
pub(crate) fn check(model: &Model, bundle: &Value) -> Result<(), SchemaErrors> {
    let mut errors = Vec::new();
    // One registry for all: a validator then compiles only what its definition reaches.
    let registry = jsonschema::Registry::new()
        .draft(Draft::Draft7)
        .add(BUNDLE, bundle)
        .and_then(|registry| registry.prepare());
    let registry = match registry {
        Ok(registry) => registry,
        Err(error) => {
            let place = Place::new(PROTOCOL);
            errors.push(place.error(error.to_string(), "mend the definition that it names"));
            return SchemaErrors::or_ok(errors);
        }
    };
    for definition in &model.definitions {
        let place = Place::new(&definition.file)
            .at("$defs")
            .at(&definition.name);
        let schema = json!({ "$ref": format!("{BUNDLE}#/definitions/{}", definition.name) });
        let built = jsonschema::options()
            .with_draft(Draft::Draft7)
            .with_registry(&registry)
            .build(&schema);
        let validator = match built {
            Ok(validator) => validator,
            Err(error) => {
                errors.push(place.error(error.to_string(), "mend the definition"));
                continue;
            }
        };
        for (i, example) in definition.examples.iter().enumerate() {
            if let Some(error) = validator.iter_errors(&example.to_value()).next() {
                errors.push(place.at("examples").at(i).error(
                    format!(
                        "does not validate: {error} (at `{}`)",
                        error.instance_path()
                    ),
                    "correct the example or the definition",
                ));
            }
        }
        for (i, counter) in definition.counter_examples.iter().enumerate() {
            if validator.is_valid(&counter.value.to_value()) {
                errors.push(place.at("x-counterExamples").at(i).error(
                    format!("validates, though it should not ({})", counter.why),
                    "correct the value or tighten the definition",
                ));
            }
        }
        if is_constrained(&definition.ty) {
            if definition.examples.is_empty() {
                errors.push(place.error(
                    "has no example",
                    "add \"examples\" with at least one valid value",
                ));
            }
            if definition.counter_examples.is_empty() {
                errors.push(place.error(
                    "has no counter-example",
                    "add \"x-counterExamples\" with at least one refused value and its text",
                ));
            }
        }
    }
    for group in &model.groups {
        for method in &group.methods {
            let Some(name) = &method.client_params else {
                continue;
            };
            let place = Place::new(&format!("groups/{}.json", group.name))
                .at("methods")
                .at(&method.name)
                .at("clientParams");
            let schema = json!({ "$ref": format!("{BUNDLE}#/definitions/{}", method.params) });
            let built = jsonschema::options()
                .with_draft(Draft::Draft7)
                .with_registry(&registry)
                .build(&schema);
            // What cannot be built is told where the definition stands.
            let Ok(validator) = built else { continue };
            let refused = |example: &&Tree| !validator.is_valid(&example.to_value());
            if let Some(example) = model.definition(name).examples.iter().find(refused) {
                errors.push(place.error(
                    format!("{} would not take {}", method.params, json_text(example)),
                    "what typed calls write, params must allow",
                ));
            }
        }
    }
    SchemaErrors::or_ok(errors)
}

/// Can any value be refused?
fn is_constrained(ty: &Type) -> bool {
    !matches!(ty, Type::Any { .. } | Type::Lenient(_) | Type::Ref(_))
}
