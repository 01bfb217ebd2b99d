//! Where the older schema comes from: recorded bundles and git revisions.

use std::path::Path;
use std::process::Command;

use codegen::against;
use codegen::breaking::compare;
use serde_json::json;

use crate::edits::{Schema, set};

/// The schema as a git repository, its bundle written.
fn project() -> Schema {
    let schema = Schema::new();
    write(&schema);
    git(schema.root(), &["init", "-q"]);
    git(schema.root(), &["add", "schema"]);
    let author = ["-c", "user.name=t", "-c", "user.email=t@localhost"];
    let commit = ["commit", "-q", "-m", "first"];
    git(schema.root(), &[&author[..], &commit[..]].concat());
    schema
}

fn write(schema: &Schema) {
    let (_, outputs) = codegen::generate(&schema.folder()).expect("the schema is right");
    let bundle = "schema/dist/protocol.schema.json";
    std::fs::create_dir_all(schema.folder().join("dist")).expect("a folder");
    std::fs::write(
        schema.root().join(bundle),
        outputs.get(bundle).expect("a bundle"),
    )
    .expect("written");
}

fn git(root: &Path, arguments: &[&str]) {
    let status = Command::new("git")
        .arg("-C")
        .arg(root)
        .args(arguments)
        .status()
        .expect("git starts");
    assert!(status.success(), "git {arguments:?}");
}

fn rules(schema: &Schema, against: &str) -> Vec<&'static str> {
    let old = against::model(schema.root(), against).expect("an older schema");
    let report = compare(&old, &schema.model());
    report.0.iter().map(|finding| finding.rule.name).collect()
}

#[test]
fn a_commit_and_a_recorded_bundle_tell_the_same() {
    let mut schema = project();
    assert!(
        against::newest(schema.root())
            .expect("a folder or none")
            .is_none()
    );
    let recorded = against::release(schema.root()).expect("recorded");
    assert_eq!(recorded, "schema/dist/released/4.1.json");
    let recorded = schema.root().join(recorded).to_string_lossy().into_owned();
    assert!(rules(&schema, "HEAD").is_empty() && rules(&schema, &recorded).is_empty());

    schema.apply(&[set("/$defs/ListParams/properties/limit/maximum", json!(50))]);
    assert_eq!(rules(&schema, "HEAD"), ["BOUND_NARROWED"]);
    assert_eq!(rules(&schema, &recorded), ["BOUND_NARROWED"]);
}

#[test]
fn releases_are_numbered_and_differ() {
    let mut schema = project();
    against::release(schema.root()).expect("recorded");
    let error = against::release(schema.root()).expect_err("the same again");
    assert!(
        error.to_string().contains("4.1.json is the same already"),
        "{error}"
    );

    schema.apply(&[set("/$defs/Message/description", json!("Some words."))]);
    let error = against::release(schema.root()).expect_err("a stale bundle");
    assert!(
        error
            .to_string()
            .contains("run `cargo run -p codegen` first"),
        "{error}"
    );
    write(&schema);
    assert_eq!(
        against::release(schema.root()).expect("recorded"),
        "schema/dist/released/4.2.json"
    );
    let folder = schema.folder().join("dist/released");
    std::fs::copy(folder.join("4.2.json"), folder.join("4.10.json")).expect("copied");
    let newest = against::newest(schema.root())
        .expect("readable")
        .expect("one");
    assert_eq!(newest.0, (4, 10), "numbers are compared as numbers");
    std::fs::write(folder.join("notes.txt"), "").expect("written");
    let error = against::newest(schema.root()).expect_err("a stray file");
    assert!(
        error
            .to_string()
            .contains("notes.txt is no recorded bundle"),
        "{error}"
    );
}

#[test]
fn what_is_nothing_of_the_kind_is_named() {
    let schema = project();
    let bundle = schema.root().join("schema/protocol.json");
    for (against, expected) in [
        (
            "no-such-thing",
            "`no-such-thing` is no file, and git cannot give schema/",
        ),
        (
            "--output=x",
            "`--output=x` is neither a file nor a git revision",
        ),
        (&bundle.to_string_lossy(), "the file is no bundle"),
    ] {
        let error = match against::model(schema.root(), against) {
            Ok(_) => panic!("{against} is no schema"),
            Err(error) => format!("{error:#}"),
        };
        assert!(error.contains(expected), "{error}");
    }
}
