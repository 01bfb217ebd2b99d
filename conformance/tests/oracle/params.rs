//! Params: the same document to both judges.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use serde_json::Value;

use crate::differences::{Differences, Side};
use crate::documents;
use crate::mutations::{mutated, mutation};
use crate::original::Original;
use crate::subjects::Subject;

/// The most changes that are made to one document. More of them hide one another.
const CHANGES: usize = 3;

/// How many documents got which verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdicts {
    /// Accepted by both.
    pub(crate) accepted: u64,
    /// Refused by both.
    pub(crate) refused: u64,
    /// Accepted by one side only, as listed.
    pub(crate) listed: u64,
}

/// What both sides say to a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Accepted,
    Refused,
    Listed,
}

/// A runner of so many cases, with numbers that differ at every start, or are the same at every start.
pub(crate) fn runner(cases: u32, repeatable: bool) -> TestRunner {
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    if repeatable {
        let numbers = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
        return TestRunner::new_with_rng(config, numbers);
    }
    TestRunner::new(config)
}

/// Documents around a definition: our examples and what the original's definition accepts, changed in up to [`CHANGES`]
/// places.
pub(crate) fn around(subject: &Subject, original: &Original) -> BoxedStrategy<Value> {
    let theirs = documents::of(original.schema(&subject.definition));
    let valid = prop_oneof![prop::sample::select(subject.examples()), theirs];
    let changes = prop::collection::vec(mutation(), 0..=CHANGES);
    (valid, changes)
        .prop_map(|(document, changes)| changes.iter().fold(document, |d, m| mutated(&d, m)))
        .boxed()
}

/// Asks both sides about a text.
///
/// # Errors
/// A difference that is in no row: the document and what the refusing side says.
pub(crate) fn judge(
    subject: &Subject,
    original: &Original,
    differences: &Differences,
    text: &str,
) -> Result<Verdict, String> {
    let document: Value = serde_json::from_str(text).map_err(|e| format!("{text}: {e}"))?;
    let definition = subject.definition.as_str();
    let ours = subject.faults(text);
    let accepted = original.accepts(definition, &subject.steps, &document);
    let (side, faults) = match (ours.is_empty(), accepted) {
        (true, true) => return Ok(Verdict::Accepted),
        (false, false) => return Ok(Verdict::Refused),
        (false, true) => (Side::Ours, ours),
        (true, false) => {
            let theirs = original.faults(definition, &subject.steps, &document);
            (Side::Original, theirs)
        }
    };
    if differences.explain_params(definition, side, &faults) {
        return Ok(Verdict::Listed);
    }
    let said: Vec<String> = faults.iter().map(ToString::to_string).collect();
    Err(format!(
        "{definition}: only refused by {side:?}\n  document: {text}\n  it says: {}",
        said.join("\n           ")
    ))
}

/// Compares so many random documents.
///
/// # Errors
/// The smallest document found with an unlisted difference.
pub(crate) fn compare(
    subject: &Subject,
    original: &Original,
    differences: &Differences,
    cases: u32,
) -> Result<Verdicts, String> {
    let counted = Cell::new(Verdicts::default());
    let outcome = runner(cases, false).run(&around(subject, original), |document| {
        let verdict = judge(subject, original, differences, &document.to_string())
            .map_err(TestCaseError::fail)?;
        let mut count = counted.get();
        match verdict {
            Verdict::Accepted => count.accepted += 1,
            Verdict::Refused => count.refused += 1,
            Verdict::Listed => count.listed += 1,
        }
        counted.set(count);
        Ok(())
    });
    outcome.map_err(|e| e.to_string())?;
    Ok(counted.get())
}
