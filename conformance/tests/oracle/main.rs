//! Is the schema compatible with the original gateway (release 2026.1.30)?
//!
//! Params: the same documents to our tables and to the original's own definitions, which the `jsonschema` crate judges.
//! Results and events: what the original was recorded to send, against our tables, and our examples against its
//! definitions. Intended differences stand in `conformance/oracle/differences.json`; any other fails, and so does one that
//! does not occur. The original's definitions and recordings are read from `../shared` beside the repository; without
//! them the verdicts in `conformance/oracle/vectors.json` and the sessions of this crate are used.
#![allow(clippy::expect_used, reason = "a test")]

mod differences;
mod documents;
mod fault;
mod frames;
#[path = "../../../generated/tests/support/mod.rs"]
mod mutations;
mod original;
mod params;
mod recorded;
mod subjects;
mod vectors;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use differences::{Check, Differences, FrameRow, Side, Step, explain_frame};
use fault::Fault;
use openclaw_protocol::call::Call;
use openclaw_protocol::events::EventKind;
use openclaw_protocol::examples::ALL;
use openclaw_protocol::methods::Method;
use openclaw_protocol::rt::accepts;
use original::Original;
use params::{Verdict, Verdicts};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use recorded::Recorded;
use serde_json::{Value, json};
use subjects::{Subject, ours, params_of_methods};

/// Random documents of one definition.
const CASES: u32 = 1_500;
/// Random documents of a method that takes anything.
const UNCHECKED_CASES: u32 = 200;
/// The largest file of vectors: it is read by people's tools as well.
const VECTOR_BYTES: usize = 1_000_000;
/// Set, and the original here: the vectors are written anew.
const WRITE: &str = "OPENCLAW_WRITE_VECTORS";

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("oracle")
        .join(name)
}

fn listed() -> Differences {
    Differences::load(&data("differences.json")).expect("the list of differences")
}

/// Every method of the original is compared, by the definition that the original uses for it.
#[test]
fn no_method_is_left_out() {
    let differences = listed();
    let mut compared: BTreeMap<&str, Option<String>> = BTreeMap::new();
    for (method, definition) in params_of_methods() {
        let mut unchecked = differences.unchecked.iter();
        let is_unchecked = unchecked.any(|u| u.method == method.name());
        compared.insert(method.name(), Some(definition).filter(|_| !is_unchecked));
    }
    for adapted in &differences.adapted {
        let definition = Some(adapted.definition.clone());
        let method = Method::from_name(&adapted.method).expect("a method");
        compared.insert(method.name(), definition);
    }
    let with = compared.values().flatten().count();
    let without = differences.unchecked.len();
    println!("{with} methods are compared, {without} have no definition in the original");
    assert_eq!(with + without, params_of_methods().len());
    if let Some(original) = Original::load() {
        let theirs = original.params.iter();
        let theirs: BTreeMap<&str, Option<String>> =
            theirs.map(|(m, d)| (m.as_str(), d.clone())).collect();
        assert_eq!(compared, theirs);
    }
}

#[test]
fn params_get_the_verdict_of_the_original() {
    let Some(original) = Original::load() else {
        println!("the original's definitions are not here: only the vectors are tested");
        return;
    };
    let differences = listed();
    let mut unlisted = Vec::new();
    let mut total = Verdicts::default();
    for row in &differences.params {
        let subject = subject(&differences, &row.example.of);
        let before = row.pattern.occurred();
        let verdict = params::judge(&subject, &original, &differences, &row.example.text);
        assert_eq!(verdict, Ok(Verdict::Listed), "{}", row.pattern);
        assert!(
            row.pattern.occurred() > before,
            "{} is not what its example shows",
            row.pattern
        );
    }
    for subject in Subject::all(&differences) {
        match params::compare(&subject, &original, &differences, CASES) {
            Ok(count) => {
                println!("{:28} {count:?}", subject.definition);
                total.accepted += count.accepted;
                total.refused += count.refused;
                total.listed += count.listed;
            }
            Err(difference) => unlisted.push(difference),
        }
    }
    println!("{total:?}");
    for row in &differences.params {
        let (definition, side) = (&row.definition, row.refuses);
        let count = row.pattern.occurred();
        println!(
            "{count:6} times only refused by {side:?}: {definition} {}",
            row.pattern
        );
    }
    let count = unlisted.len();
    println!("{count} definitions with unlisted differences");
    assert!(unlisted.is_empty(), "{}", unlisted.join("\n"));
}

fn subject(differences: &Differences, definition: &str) -> Subject {
    let all = Subject::all(differences).into_iter();
    let mut named = all.filter(|subject| subject.definition == definition);
    named
        .next()
        .unwrap_or_else(|| panic!("no params {definition}"))
}

/// What is listed holds for our side wherever the tests run.
#[test]
fn listed_documents_get_our_listed_verdict() {
    let differences = listed();
    for row in &differences.params {
        let faults = subject(&differences, &row.example.of).faults(&row.example.text);
        assert_eq!(
            faults.is_empty(),
            row.refuses == Side::Original,
            "{}: {} {faults:?}",
            row.example.of,
            row.example.text
        );
    }
}

/// The steps beside the definitions are needed: without them the verdicts differ.
#[test]
fn adapted_definitions_differ_without_their_step() {
    let differences = listed();
    let original = Original::load();
    for adapted in &differences.adapted {
        let method = Method::from_name(&adapted.method).expect("a method");
        let document: Value = serde_json::from_str(&adapted.example).expect("JSON");
        let wire = Call::decode(method, &adapted.example).is_ok();
        let about = format!("{} {}: {}", adapted.method, adapted.example, adapted.reason);
        assert!(wire, "{about}: the wire takes it");
        if let Some(original) = &original {
            assert!(
                !original.accepts(&adapted.definition, &[], &document),
                "{about}"
            );
        }
        let with_step = subject(&differences, &adapted.definition).faults(&adapted.example);
        let mended = adapted.steps.contains(&Step::MendedByOriginal);
        assert_eq!(with_step.is_empty(), mended, "{about}: {with_step:?}");
    }
}

/// Where the original has no definition it refuses nothing by shape, and neither do we.
#[test]
fn params_without_a_definition_take_anything() {
    let starts = vec![
        json!({}),
        json!([]),
        json!("x"),
        json!(null),
        json!({"a": {"b": [1]}}),
    ];
    for unchecked in &listed().unchecked {
        let method = Method::from_name(&unchecked.method).expect("a method");
        let definition = params_of_methods().into_iter().find(|(m, _)| *m == method);
        let definition = definition.expect("params of a method").1;
        let ignores = definition == "IgnoredParams";
        assert_eq!(
            ignores,
            unchecked.params == Check::Ignored,
            "{}",
            unchecked.method
        );
        let mut documents = starts.clone();
        let examples = ours(&definition).valid.iter();
        documents.extend(examples.map(|text| serde_json::from_str::<Value>(text).expect("JSON")));
        let changes = prop::collection::vec(mutations::mutation(), 0..4);
        let strategy = (prop::sample::select(documents), changes);
        let outcome = params::runner(UNCHECKED_CASES, false).run(&strategy, |(start, changes)| {
            let text = changes
                .iter()
                .fold(start, |d, m| mutations::mutated(&d, m))
                .to_string();
            prop_assert!(accepts(method.spec().params, &text), "{text}");
            Call::decode(method, &text)
                .map(|_| ())
                .map_err(|e| TestCaseError::fail(format!("{text}: {e}")))
        });
        outcome.unwrap_or_else(|e| panic!("{}: {e}", unchecked.method));
    }
}

#[test]
fn vectors_get_the_verdict_of_the_original() {
    let differences = listed();
    let subjects = Subject::all(&differences);
    let original = Original::load();
    let path = data("vectors.json");
    if let (Some(original), Some(_)) = (&original, std::env::var_os(WRITE)) {
        let text = vectors::write(&subjects, original, &differences).expect("no difference");
        std::fs::write(&path, text).expect("a file to write");
    }
    let size = std::fs::metadata(&path).expect("vectors").len();
    assert!(size < VECTOR_BYTES as u64, "{size} bytes of vectors");
    let vectors = vectors::load(&path).expect("vectors");
    let named: Vec<&String> = vectors.definitions.keys().collect();
    let compared: Vec<&String> = subjects.iter().map(|s| &s.definition).collect();
    assert_eq!(named, compared, "write the vectors anew");
    let mut count = Verdicts::default();
    for subject in &subjects {
        let judged = &vectors.definitions[&subject.definition];
        assert!(!judged.accepted.is_empty() && !judged.refused.is_empty());
        let sides = [(true, &judged.accepted), (false, &judged.refused)];
        for (accepted, document) in sides.iter().flat_map(|(a, d)| d.iter().map(|d| (*a, d))) {
            let faults = subject.faults(&document.to_string());
            let name = &subject.definition;
            assert_eq!(faults.is_empty(), accepted, "{name} {document} {faults:?}");
            if let Some(original) = &original {
                let theirs = original.accepts(name, &subject.steps, document);
                assert_eq!(theirs, accepted, "stale: {name} {document}");
            }
        }
        count.accepted += judged.accepted.len() as u64;
        count.refused += judged.refused.len() as u64;
    }
    println!("vectors: {count:?}, {size} bytes");
}

/// What the original sent is what we say that a gateway sends.
#[test]
fn recorded_frames_fit_our_definitions() {
    let differences = listed();
    let (recorded, all) = Recorded::load();
    let mut unlisted = Vec::new();
    let (mut ok, mut errors, mut events, mut excepted) = (0, 0, 0, 0);
    let mut seen = BTreeSet::new();
    for sent in &recorded.sent {
        match (sent.frame["type"] == "event", sent.frame["ok"] == true) {
            (true, _) => events += 1,
            (_, true) => ok += 1,
            _ => errors += 1,
        }
        let faults = frames::faults(sent);
        let what = frames::label(sent);
        if sent.frame["ok"] != false {
            seen.insert(what.clone());
        }
        if faults.is_empty() {
            continue;
        }
        excepted += 1;
        if !explain_frame(&differences.frames, &what, &faults) {
            unlisted.push(format!("{} {what}: {}", sent.source, shown(&faults)));
        }
    }
    println!(
        "{ok} results, {errors} errors, {events} events, of these {excepted} with something listed"
    );
    let named = |kind: &str, name: &str| seen.contains(&format!("{kind} {name}"));
    let silent = Method::ALL.iter().filter(|m| !m.spec().extension);
    let silent = silent.map(|m| m.name());
    let silent: Vec<&str> = silent.filter(|name| !named("res", name)).collect();
    let unheard = EventKind::ALL.iter().map(|e| e.name());
    let unheard: Vec<&str> = unheard.filter(|name| !named("event", name)).collect();
    println!("no result was recorded of {silent:?}, and no event {unheard:?}");
    let rows = told(&differences.frames, all && unlisted.is_empty());
    println!("{rows}");
    assert!(ok > 100 && errors > 50 && events > 100);
    assert!(unlisted.is_empty(), "{}", unlisted.join("\n"));
}

/// Requests that the original answered are taken, and those that it refused by its definition are refused.
#[test]
fn recorded_requests_get_the_verdict_of_the_original() {
    let (recorded, _) = Recorded::load();
    let (mut taken, mut refused) = (0, 0);
    let mut wrong = Vec::new();
    for asked in &recorded.asked {
        let text = asked.params.to_string();
        let decoded = Call::decode(asked.method, &text);
        // Params that are mended first are refused by their handler.
        let mends = matches!(asked.method, Method::CronAdd | Method::CronUpdate);
        if decoded.is_ok() != asked.accepted && !(mends && decoded.is_ok()) {
            let (source, method) = (&asked.source, asked.method.name());
            wrong.push(format!("{source}: {method} {text} {:?}", decoded.err()));
        }
        *(if asked.accepted {
            &mut taken
        } else {
            &mut refused
        }) += 1;
    }
    println!("{taken} requests taken, {refused} refused");
    assert!(taken > 100 && refused > 10);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The judge that stands for the original's validator says what that validator was captured to say.
#[test]
fn captured_verdicts_are_those_of_the_judge() {
    let Some(original) = Original::load() else {
        println!("the original's definitions are not here");
        return;
    };
    let differences = listed();
    let subjects = Subject::all(&differences);
    let samples = Recorded::load().0.samples;
    for sample in &samples {
        let (name, text) = (&sample.definition, sample.value.to_string());
        let accepted = original.accepts(name, &[], &sample.value);
        assert_eq!(accepted, sample.valid, "{name} {text}");
        if let Some(subject) = subjects.iter().find(|s| s.definition == *name) {
            let ours = params::judge(subject, &original, &differences, &text);
            ours.unwrap_or_else(|difference| panic!("{difference}"));
        }
    }
    println!("{} captured verdicts", samples.len());
    assert!(samples.len() > 20);
}

/// What our examples say that a gateway sends, the original's own definitions accept.
#[test]
fn our_examples_fit_the_original_definitions() {
    let Some(original) = Original::load() else {
        println!("the original's definitions are not here");
        return;
    };
    let differences = listed();
    let names: Vec<&str> = original.names().collect();
    let mut unlisted = Vec::new();
    let mut count = 0;
    for examples in ALL
        .iter()
        .filter(|e| names.contains(&e.definition) && !e.definition.ends_with("Params"))
    {
        for text in examples.valid {
            let document: Value = serde_json::from_str(text).expect("JSON");
            let name = examples.definition;
            count += 1;
            let faults = original.faults(name, &[], &document);
            if !explain_frame(&differences.sent, name, &faults) {
                unlisted.push(format!("{name} {text}: {}", shown(&faults)));
            }
        }
    }
    println!("{count} examples of definitions that both sides have");
    println!("{}", told(&differences.sent, unlisted.is_empty()));
    assert!(unlisted.is_empty(), "{}", unlisted.join("\n"));
}

fn shown(faults: &[Fault]) -> String {
    let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
    faults.join("; ")
}

/// How often each row occurred. Panics when one did not although all that was recorded is here.
fn told(rows: &[FrameRow], all: bool) -> String {
    let line = |row: &FrameRow| {
        let count = row.pattern.occurred();
        assert!(count > 0 || !all, "never: {} {}", row.what, row.pattern);
        format!("{count:6} times {} {}", row.what, row.pattern)
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}
