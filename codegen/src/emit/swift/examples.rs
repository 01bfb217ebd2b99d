//! The schema's examples as Swift tests: each is decoded, encoded and compared.

use super::writer::{Writer, raw};
use super::{HEAD, canonical, compat, types};
use crate::model::{Model, json_text};

/// Statements of one function; the compiler's time grows faster than a function's length.
const PER_FUNCTION: usize = 60;

/// Examples for the typed profile: definitions, then events.
pub(super) fn typed(model: &Model) -> String {
    let mut rows = Vec::new();
    for definition in &model.definitions {
        let swift = types::reference(model, definition);
        for example in &definition.examples {
            let expected = canonical::typed(model, &definition.ty, example);
            rows.push(format!(
                "roundTrip({swift}.self, {:?}, {}, {})",
                definition.name,
                raw(&json_text(example)),
                raw(&json_text(&expected)),
            ));
        }
    }
    for event in model.events() {
        let definition = model.definition(&event.payload);
        for example in &definition.examples {
            let frame = |payload: String| {
                format!(
                    "{{\"type\":\"event\",\"event\":\"{}\",\"payload\":{payload},\"seq\":1}}",
                    event.name
                )
            };
            let expected = canonical::typed(model, &definition.ty, example);
            rows.push(format!(
                "event({:?}, {}, {})",
                event.name,
                raw(&frame(json_text(example))),
                raw(&frame(json_text(&expected))),
            ));
        }
    }
    file("OpenClawGateway", &rows)
}

/// Examples for the compat profile.
pub(super) fn compat(model: &Model) -> String {
    let mut rows = Vec::new();
    for (definition, object) in compat::structs(model) {
        for example in &definition.examples {
            if let Some(expected) = canonical::compat(model, definition, object, example) {
                let name = &definition.name;
                let (example, expected) = (json_text(example), json_text(&expected));
                let (example, expected) = (raw(&example), raw(&expected));
                rows.push(format!(
                    "roundTrip({name}.self, {name:?}, {example}, {expected})"
                ));
            }
        }
    }
    file("OpenClawProtocol", &rows)
}

fn file(module: &str, rows: &[String]) -> String {
    let mut w = Writer::new(HEAD);
    w.gap();
    w.line(format!("import {module}"));
    w.gap();
    w.block("extension ExampleChecks", |w| {
        w.doc("Number of examples.");
        w.line(format!("static let count = {}", rows.len()));
        w.gap();
        let parts: Vec<&[String]> = rows.chunks(PER_FUNCTION).collect();
        w.doc("Checks every example.");
        w.block("mutating func all()", |w| {
            for part in 0..parts.len() {
                w.line(format!("part{part}()"));
            }
        });
        for (i, part) in parts.iter().enumerate() {
            w.gap();
            w.block(format!("private mutating func part{i}()"), |w| {
                for row in *part {
                    w.line(row);
                }
            });
        }
    });
    w.finish()
}
