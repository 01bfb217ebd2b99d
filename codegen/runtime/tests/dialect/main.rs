//! Compares the runtime with the `jsonschema` crate: a table of cases for every
//! keyword of the dialect, and random schemas with random documents.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot prepare its case fails"
)]

mod convert;
mod generate;
mod laws;
mod suite;

use openclaw_schema_runtime::{Node, Tree, accepts, decode, violations};

/// What each reader of the tables says about one text.
#[derive(Debug, PartialEq, Eq)]
struct Verdicts {
    decodes: bool,
    accepted: bool,
    no_violations: bool,
}

impl Verdicts {
    fn of(node: &'static Node, text: &str) -> Self {
        Self {
            decodes: decode::<serde_json::Value>(node, text).is_ok(),
            accepted: accepts(node, text),
            no_violations: Tree::parse(text).is_ok_and(|tree| violations(node, &tree).is_empty()),
        }
    }

    fn all(verdict: bool) -> Self {
        Self {
            decodes: verdict,
            accepted: verdict,
            no_violations: verdict,
        }
    }
}

/// The oracle's view: the schema as JSON Schema 2020-12.
fn oracle(schema: &serde_json::Value) -> jsonschema::Validator {
    jsonschema::draft202012::new(schema).unwrap()
}
