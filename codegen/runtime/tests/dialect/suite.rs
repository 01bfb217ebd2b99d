//! Runs `tests/suite/*.json`, in the shape of JSON-Schema-Test-Suite:
//! `[{description, schema, tests: [{description, data, valid}]}]`.
//!
//! Two additions: `text` in place of `data`, for what a parsed value cannot say
//! (`1.0`, escapes), and `oracle` with the reason where the `jsonschema` crate judges
//! otherwise, on purpose. A difference that is gone fails, like any other.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::{Verdicts, convert, oracle};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    description: String,
    schema: Value,
    tests: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    description: String,
    data: Option<Value>,
    text: Option<String>,
    valid: bool,
    /// Why the oracle's verdict is the opposite.
    oracle: Option<String>,
}

/// Fewest cases that a complete checkout holds; a suite that is not found must not pass.
const CASES: usize = 250;

#[test]
fn every_reader_agrees_with_the_suite_and_the_oracle() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite");
    let (mut failures, mut cases) = (Vec::new(), 0);
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let groups: Vec<Group> =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        for group in groups {
            let node = convert::table(&group.schema, &group.schema);
            let judge = oracle(&group.schema);
            for case in group.tests {
                cases += 1;
                if let Err(difference) = check(node, &judge, &case) {
                    failures.push(format!(
                        "{file}: {}: {}: {difference}",
                        group.description, case.description
                    ));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(cases >= CASES, "only {cases} cases found");
}

fn check(
    node: &'static openclaw_schema_runtime::Node,
    judge: &jsonschema::Validator,
    case: &Case,
) -> Result<(), String> {
    let text = match (&case.text, &case.data) {
        (Some(text), None) => text.clone(),
        (None, data) => data.as_ref().unwrap_or(&Value::Null).to_string(),
        (Some(_), Some(_)) => return Err("has both data and text".to_owned()),
    };
    let ours = Verdicts::of(node, &text);
    if ours != Verdicts::all(case.valid) {
        return Err(format!("{text} should be {}: {ours:?}", case.valid));
    }
    let parsed = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let theirs = judge.is_valid(&parsed);
    if (theirs == case.valid) == case.oracle.is_some() {
        return Err(format!("the oracle says {theirs} about {text}"));
    }
    Ok(())
}
