//! The Swift package's text: snapshots of both profiles, and the call sites of existing app code.
//!
//! That the text compiles and that every example survives is shown by the package's own tests.

#![allow(clippy::expect_used)] // in a test a panic is the report

use std::fs;
use std::path::Path;

const COMPAT: &str = "swift/Sources/OpenClawProtocol/Generated/GatewayModels.swift";
const TYPED: &str = "swift/Sources/OpenClawGateway/Generated";

#[test]
fn both_profiles_of_the_fixture() {
    let outputs = fixture();
    let text = |path: &str| {
        outputs
            .get(path)
            .unwrap_or_else(|| panic!("{path} is emitted"))
    };
    insta::assert_snapshot!("compat", text(COMPAT));
    for (name, file) in [
        ("typed_primitives", "Types/Primitives.swift"),
        ("typed_types", "Types/Tea.swift"),
        ("typed_protocol", "Protocol.swift"),
        ("typed_methods", "Methods.swift"),
        ("typed_events", "Events.swift"),
        ("typed_calls", "Calls.swift"),
    ] {
        insta::assert_snapshot!(name, text(&format!("{TYPED}/{file}")));
    }
    insta::assert_snapshot!(
        "examples_compat",
        text("swift/Tests/OpenClawProtocolTests/Generated/Examples.swift")
    );
    insta::assert_snapshot!(
        "examples_typed",
        text("swift/Tests/OpenClawGatewayTests/Generated/Examples.swift")
    );
}

/// `app-models.txt` has a line for each struct that apps know, with the arguments of its initialiser. A
/// call that gives these arguments in this order must compile with our struct of the name.
#[test]
fn calls_of_existing_apps_compile() {
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schema");
    let (_, outputs) = codegen::generate(&schema).expect("the schema is right");
    let ours = initialisers(outputs.get(COMPAT).expect("the compat profile"));
    let mut compared = 0;
    let mut problems = Vec::new();
    for line in include_str!("swift/app-models.txt").lines() {
        let (name, arguments) = line.split_once('(').expect("Name(arguments)");
        let arguments = arguments.strip_suffix(')').expect("a closing parenthesis");
        // What the schema does not have yet, apps cannot be given.
        let Some((_, parameters)) = ours.iter().find(|(known, _)| known == name) else {
            continue;
        };
        compared += 1;
        let mut parameters = parameters.iter();
        for argument in arguments.split(", ").filter(|text| !text.is_empty()) {
            loop {
                match parameters.next() {
                    Some(parameter) if parameter.trim_end_matches(" = nil") == argument => break,
                    // An argument that the apps do not give.
                    Some(parameter) if parameter.ends_with(" = nil") => {}
                    other => {
                        problems.push(format!("{name}: apps give `{argument}`, we have {other:?}"));
                        break;
                    }
                }
            }
        }
        for parameter in parameters.filter(|text| !text.ends_with(" = nil")) {
            problems.push(format!("{name}: apps do not give `{parameter}`"));
        }
    }
    println!("{compared} of the structs that apps know");
    assert!(compared >= 93, "{compared}");
    assert!(
        problems.is_empty(),
        "add rows to expected.rs:\n{}",
        problems.join("\n")
    );
}

/// Struct names with the parameters of their initialisers.
fn initialisers(text: &str) -> Vec<(String, Vec<String>)> {
    let mut structs: Vec<(String, Vec<String>)> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("public struct ") {
            let name = rest.split(':').next().unwrap_or(rest);
            structs.push((name.to_owned(), Vec::new()));
        }
        match line.trim() {
            "public init(" => inside = true,
            ") {" => inside = false,
            parameter if inside => {
                let parameter = parameter.trim_end_matches(',').to_owned();
                structs.last_mut().expect("a struct").1.push(parameter);
            }
            _ => {}
        }
    }
    structs
}

/// The shared fixture with one more definition: reserved words, and `null` in each of its meanings.
fn fixture() -> codegen::Outputs {
    let dir = tempfile::tempdir().expect("a folder");
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    copy(&own.join("tests/fixture"), dir.path());
    copy(&own.join("../schema/meta"), &dir.path().join("meta"));
    let path = dir.path().join("groups/tea.json");
    let text = fs::read_to_string(&path).expect("a fixture file");
    let before = "    \"PokeParams\": {";
    assert!(text.contains(before), "{before} stands in the fixture");
    let text = text.replacen(before, &format!("{KETTLE}{before}"), 1);
    fs::write(&path, text).expect("written");
    match codegen::generate(dir.path()) {
        Ok((_, outputs)) => outputs,
        Err(errors) => panic!("{errors}"),
    }
}

/// As text, so that members keep this order.
const KETTLE: &str = r##"    "Kettle": {
      "description": "Where the water is.",
      "type": "object",
      "additionalProperties": false,
      "required": ["protocol", "degrees", "cup", "state", "type", "code"],
      "properties": {
        "protocol": { "description": "A reserved word.", "type": "string" },
        "default": { "description": "Another.", "type": "boolean" },
        "degrees": { "description": "Null while nobody measured.", "anyOf": [{ "$ref": "../primitives.json#/$defs/Uint" }, { "type": "null" }] },
        "lastDegrees": { "description": "Null and absence say the same.", "anyOf": [{ "$ref": "../primitives.json#/$defs/Uint" }, { "type": "null" }] },
        "cup": { "description": "Always typed.", "$ref": "#/$defs/Cup" },
        "spareCup": { "description": "Typed in one profile.", "$ref": "#/$defs/Cup" },
        "cups": { "description": "A list.", "type": "array", "items": { "$ref": "#/$defs/Cup" } },
        "state": { "description": "A set of one.", "type": "string", "enum": ["unknown"] },
        "type": { "description": "A name that Swift keeps.", "type": "string", "enum": ["kettle"] },
        "code": { "description": "Opens the lid.", "$ref": "../primitives.json#/$defs/SecretString" },
        "self": { "description": "A name that Swift cannot have.", "type": "string", "x-swift-name": "ownName" },
        "answer": { "description": "Open, and nobody's business.", "x-secret": true },
        "words": { "description": "A record of secrets.", "type": "object", "properties": {}, "additionalProperties": { "$ref": "../primitives.json#/$defs/SecretString" } },
        "labels": { "description": "A record.", "type": "object", "properties": {}, "additionalProperties": { "type": "string" } }
      },
      "examples": [
        { "protocol": "tea/1", "default": true, "degrees": null, "lastDegrees": null, "cup": { "state": "warm", "notes": { "by": "me", "for": "you" } },
          "spareCup": { "state": "cold-brew" }, "cups": [{ "state": "warm" }], "state": "unknown", "type": "kettle", "code": "1234", "self": "k", "answer": { "a": 1 }, "words": { "a": "b" }, "labels": { "a": "b" } }
      ],
      "x-counterExamples": [{ "why": "not a kettle", "value": [], "violations": "must be object" }]
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
