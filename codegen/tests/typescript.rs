//! The TypeScript package's text: snapshots of the fixture.
//!
//! That the text compiles, and that examples and counter-examples are told apart, is shown by the package's
//! own tests.

#![allow(clippy::expect_used, clippy::panic)] // in a test a panic is the report

use std::fs;
use std::path::Path;

const PACKAGE: &str = "generated/typescript";
const EXAMPLES: &str = "client/typescript/tests/generated/examples.ts";

#[test]
fn the_package_of_the_fixture() {
    let outputs = fixture();
    let text = |path: &str| {
        outputs
            .get(path)
            .unwrap_or_else(|| panic!("{path} is emitted"))
    };
    for (name, file) in [
        ("primitives", "types/primitives.d.ts"),
        ("frames", "types/frames.d.ts"),
        ("types", "types/tea.d.ts"),
        ("types_index", "types.d.ts"),
        ("protocol_declarations", "protocol.d.ts"),
        ("protocol_values", "protocol.js"),
        ("methods_declarations", "methods.d.ts"),
        ("methods_values", "methods.js"),
        ("events_declarations", "events.d.ts"),
        ("events_values", "events.js"),
    ] {
        insta::assert_snapshot!(name, text(&format!("{PACKAGE}/{file}")));
    }
    insta::assert_snapshot!("examples", text(EXAMPLES));
}

/// The shared fixture with two more definitions, for what it lacks.
fn fixture() -> codegen::Outputs {
    let dir = tempfile::tempdir().expect("a folder");
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    copy(&own.join("tests/fixture"), dir.path());
    copy(&own.join("../schema/meta"), &dir.path().join("meta"));
    let path = dir.path().join("groups/tea.json");
    let text = fs::read_to_string(&path).expect("a fixture file");
    let before = "    \"PokeParams\": {";
    assert!(text.contains(before), "{before} stands in the fixture");
    let text = text.replacen(before, &format!("{MORE}{before}"), 1);
    fs::write(&path, text).expect("written");
    match codegen::generate(dir.path()) {
        Ok((_, outputs)) => outputs,
        Err(errors) => panic!("{errors}"),
    }
}

/// Every form of a type, and counter-examples of which a type checker sees some. As text, so that members
/// keep this order.
const MORE: &str = r##"    "Kettle": {
      "description": "Where the water is; */ is no end.",
      "type": "object",
      "additionalProperties": true,
      "required": ["degrees", "code", "2nd"],
      "properties": {
        "degrees": { "description": "Null while nobody measured.", "anyOf": [{ "$ref": "../primitives.json#/$defs/Uint" }, { "type": "null" }] },
        "lastDegrees": { "description": "Absent or null.", "anyOf": [{ "type": "number", "minimum": -1.5 }, { "type": "null" }] },
        "cups": { "description": "A list.", "type": "array", "items": { "$ref": "#/$defs/Cup" }, "minItems": 1 },
        "code": { "description": "Opens the lid.", "$ref": "../primitives.json#/$defs/SecretString" },
        "labels": { "description": "A record.", "type": "object", "additionalProperties": { "type": "string", "minLength": 1, "maxLength": 9 } },
        "extras": { "description": "A free record.", "type": "object", "additionalProperties": {} },
        "any": { "description": "Anything." },
        "2nd": { "description": "No identifier.", "type": "boolean" }
      },
      "examples": [{ "degrees": null, "code": "1234", "2nd": true, "labels": { "a-b": "c", "__proto__": "p" }, "more": [1, null] }],
      "x-counterExamples": [
        { "why": "not a kettle", "value": [], "violations": "must be object" },
        { "why": "bounds are not seen", "value": { "degrees": -1, "code": "", "2nd": true, "cups": [] }, "violations": "at /degrees: must be >= 0; at /cups: must NOT have fewer than 1 items" },
        { "why": "null is\n not absence", "value": { "degrees": 1, "code": null, "2nd": true }, "violations": "at /code: must be string" }
      ]
    },
    "Nothing": {
      "description": "An object of nothing.",
      "type": "object",
      "additionalProperties": false,
      "properties": {},
      "examples": [{}],
      "x-counterExamples": [{ "why": "a member", "value": { "a": 1 }, "violations": "at root: unexpected property 'a'" }]
    },
    "Drink": {
      "description": "A cup or nothing.",
      "oneOf": [{ "$ref": "#/$defs/Cup" }, { "$ref": "#/$defs/Nothing" }],
      "examples": [{}, { "state": "warm" }],
      "x-counterExamples": [
        { "why": "not an object", "value": 5, "violations": "must be object; must match exactly one schema in oneOf" },
        { "why": "not surely seen", "value": { "state": "warm", "lid": true }, "violations": "at root: unexpected property 'lid'; must match exactly one schema in oneOf" }
      ]
    },
"##;

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copied");
        }
    }
}
