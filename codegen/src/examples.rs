//! Examples and counter-examples of every definition, judged by the `jsonschema` crate.
//!
//! The texts of counter-examples are judged by the generated crate's own tests, where the tables are.

use serde_json::{Value, json};

use crate::model::{Model, Type};
use crate::source::{Place, SchemaErrors};

/// Validates examples against the bundle.
///
/// # Errors
/// An example that does not validate, a counter-example that does, a constrained definition without one
/// of each.
pub(crate) fn check(model: &Model, bundle: &Value) -> Result<(), SchemaErrors> {
    let mut errors = Vec::new();
    for definition in &model.definitions {
        let place = Place::new(&definition.file)
            .at("$defs")
            .at(&definition.name);
        let schema = json!({
            "$schema": "http://json-schema.org/draft-07/schema#",
            "$ref": format!("#/definitions/{}", definition.name),
            "definitions": bundle["definitions"],
        });
        let validator = match jsonschema::draft7::new(&schema) {
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
    SchemaErrors::or_ok(errors)
}

/// Can any value be refused?
fn is_constrained(ty: &Type) -> bool {
    !matches!(ty, Type::Any | Type::Lenient(_) | Type::Ref(_))
}
