//! Every kind of mistake in the schema gets an error with file, pointer and advice.
//!
//! A case is the fixture with one edit; the whole message is a snapshot, because people will read it.

#![allow(clippy::expect_used, clippy::panic)] // helpers of tests

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

/// One edit of the fixture.
enum Edit {
    /// Put this value at the pointer (the parent must exist).
    Set(&'static str, Value),
    /// Remove the member at the pointer.
    Drop(&'static str),
    /// Replace a piece of the text.
    Text(&'static str, &'static str),
    /// Delete the file.
    Delete,
}
use Edit::{Delete, Drop, Set, Text};

const TEA: &str = "groups/tea.json";
const PROTOCOL: &str = "protocol.json";
const PRIMITIVES: &str = "primitives.json";

#[test]
fn mistakes_are_named() {
    let string = || json!({"type": "string", "description": "x"});
    let cases: Vec<(&str, &str, Edit)> = vec![
        (
            "json_syntax",
            TEA,
            Text("\"group\": \"tea\",", "\"group\": \"tea\""),
        ),
        (
            "duplicate_key",
            TEA,
            Text(
                "\"group\": \"tea\",",
                "\"group\": \"tea\", \"group\": \"tea\",",
            ),
        ),
        (
            "oldest_above_version",
            PROTOCOL,
            Set("/oldestVersion", json!(4)),
        ),
        (
            "method_above_version",
            TEA,
            Set("/methods/tea.pour/since", json!(4)),
        ),
        (
            "member_above_version",
            TEA,
            Set("/$defs/Cup/properties/notes/x-since", json!(4)),
        ),
        (
            "newer_member_lenient",
            TEA,
            Set("/$defs/PokeParams/x-lenient/hard/x-since", json!(3)),
        ),
        ("missing_group_file", TEA, Delete),
        (
            "unlisted_group_file",
            PROTOCOL,
            Set("/groups", json!(["frames"])),
        ),
        (
            "unknown_keyword",
            TEA,
            Set("/$defs/Cup/minProperties", json!(1)),
        ),
        (
            "keyword_of_json_schema",
            TEA,
            Set("/$defs/Cup/allOf", json!([])),
        ),
        (
            "const_keyword",
            TEA,
            Set(
                "/$defs/Cup/properties/notes",
                json!({"const": "x", "description": "x"}),
            ),
        ),
        (
            "keyword_of_other_type",
            TEA,
            Set("/$defs/Cup/minLength", json!(1)),
        ),
        (
            "keyword_beside_ref",
            TEA,
            Set("/$defs/Cup/properties/state/minLength", json!(1)),
        ),
        (
            "dangling_ref",
            TEA,
            Set("/$defs/Cup/properties/state/$ref", json!("#/$defs/CupStat")),
        ),
        (
            "ref_without_name",
            TEA,
            Set(
                "/$defs/Cup/properties/state/$ref",
                json!("#/definitions/Cup"),
            ),
        ),
        (
            "ref_to_wrong_file",
            TEA,
            Set(
                "/$defs/Cup/properties/state/$ref",
                json!("frames.json#/$defs/CupState"),
            ),
        ),
        (
            "ref_cycle",
            TEA,
            Set(
                "/$defs/CupState",
                json!({"$ref": "#/$defs/CupState", "description": "x"}),
            ),
        ),
        (
            "duplicate_definition",
            TEA,
            Set(
                "/$defs/Uint",
                json!({"type": "boolean", "description": "x", "examples": [true], "x-counterExamples": [{"why": "x", "value": 1, "violations": "must be boolean"}]}),
            ),
        ),
        (
            "definition_name",
            TEA,
            Set("/$defs/lower_case", json!({"description": "x"})),
        ),
        ("no_description", TEA, Drop("/$defs/Cup/description")),
        (
            "no_description_of_member",
            TEA,
            Drop("/$defs/Cup/properties/notes/description"),
        ),
        (
            "open_or_closed",
            TEA,
            Drop("/$defs/Cup/additionalProperties"),
        ),
        (
            "inline_object",
            TEA,
            Set(
                "/$defs/Cup/properties/notes",
                json!({"type": "object", "additionalProperties": false, "properties": {"a": string()}, "description": "x"}),
            ),
        ),
        (
            "inline_set",
            TEA,
            Set(
                "/$defs/Cup/properties/notes",
                json!({"type": "string", "enum": ["a", "b"], "description": "x"}),
            ),
        ),
        (
            "enum_twice",
            TEA,
            Set("/$defs/CupState/enum", json!(["warm", "warm"])),
        ),
        ("unbounded_integer", PRIMITIVES, Drop("/$defs/Uint/maximum")),
        (
            "unsafe_integer",
            PRIMITIVES,
            Set("/$defs/Uint/maximum", json!(9_007_199_254_740_992_u64)),
        ),
        (
            "bounds_swapped",
            PRIMITIVES,
            Text("\"maximum\": 9007199254740991", "\"maximum\": -3"),
        ),
        (
            "array_without_items",
            TEA,
            Drop("/$defs/PourParams/properties/tags/items"),
        ),
        (
            "required_but_unknown",
            TEA,
            Set("/$defs/Cup/required", json!(["state", "colour"])),
        ),
        (
            "colliding_members",
            TEA,
            Set("/$defs/Cup/properties/STATE", string()),
        ),
        (
            "any_of_without_null",
            TEA,
            Set(
                "/$defs/PourParams/properties/sugar/anyOf",
                json!([{"type": "string"}, {"type": "boolean"}]),
            ),
        ),
        (
            "patch_without_null",
            TEA,
            Set("/$defs/PourParams/properties/tags/x-patch", json!(true)),
        ),
        (
            "variant_without_tag",
            TEA,
            Set("/$defs/Vessel/oneOf/1/properties/kind", string()),
        ),
        (
            "variant_open",
            TEA,
            Set("/$defs/Vessel/oneOf/1/additionalProperties", json!(true)),
        ),
        (
            "null_alone",
            TEA,
            Set(
                "/$defs/Cup/properties/notes",
                json!({"type": "null", "description": "x"}),
            ),
        ),
        (
            "type_list",
            TEA,
            Set(
                "/$defs/Cup/properties/notes",
                json!({"type": "text", "description": "x"}),
            ),
        ),
        (
            "keyword_beside_lenient",
            TEA,
            Set("/$defs/PokeParams/type", json!("object")),
        ),
        (
            "example_invalid",
            TEA,
            Set("/$defs/Cup/examples/0/state", json!("lukewarm")),
        ),
        (
            "counter_example_valid",
            TEA,
            Set(
                "/$defs/Cup/x-counterExamples/0/value",
                json!({"state": "warm"}),
            ),
        ),
        (
            "counter_example_incomplete",
            TEA,
            Drop("/$defs/Cup/x-counterExamples/0/why"),
        ),
        ("no_example", TEA, Drop("/$defs/Cup/examples")),
        (
            "no_counter_example",
            TEA,
            Drop("/$defs/Cup/x-counterExamples"),
        ),
        (
            "scope_unknown",
            TEA,
            Set("/methods/tea.pour/scopes", json!(["operator.reed"])),
        ),
        (
            "role_unknown",
            TEA,
            Set("/methods/tea.pour/role", json!("guest")),
        ),
        (
            "error_code_unknown",
            TEA,
            Set("/methods/tea.pour/errors", json!(["UNAVAILABEL"])),
        ),
        (
            "event_unknown",
            TEA,
            Set("/methods/tea.pour/emits", json!(["tea.cold"])),
        ),
        ("params_missing", TEA, Drop("/methods/tea.pour/params")),
        (
            "params_inline",
            TEA,
            Set("/methods/tea.pour/params", json!({"type": "string"})),
        ),
        ("result_missing", TEA, Drop("/methods/tea.pour/result")),
        (
            "three_stages",
            TEA,
            Set(
                "/methods/tea.pour/result/stages/2",
                json!({"name": "x", "payload": {"$ref": "#/$defs/Cup"}}),
            ),
        ),
        (
            "stages_alike",
            TEA,
            Drop("/methods/tea.pour/result/stages/0/when"),
        ),
        ("effect_missing", TEA, Drop("/methods/tea.pour/effect")),
        ("since_missing", TEA, Drop("/methods/tea.pour/since")),
        ("summary_missing", TEA, Drop("/methods/tea.pour/summary")),
        (
            "idempotency_pointer",
            TEA,
            Set("/methods/tea.pour/idempotency/key", json!("/key")),
        ),
        (
            "method_twice",
            "groups/frames.json",
            Set(
                "/methods/tea.pour",
                json!({"summary": "x", "since": 3, "params": {"$ref": "tea.json#/$defs/PourParams"}, "result": {"$ref": "tea.json#/$defs/Cup"}, "role": "operator", "scopes": [], "effect": "read", "errors": [], "emits": []}),
            ),
        ),
        (
            "method_key_unknown",
            TEA,
            Set("/methods/tea.pour/colour", json!("green")),
        ),
        ("delivery_missing", TEA, Drop("/events/tea.ready/delivery")),
        (
            "drop_rule_unknown",
            TEA,
            Set("/events/tea.ready/dropIfSlow/equals", json!("hot")),
        ),
        (
            "extension_listed",
            TEA,
            Set("/methods/tea.pour/extension", json!(true)),
        ),
        (
            "event_not_listed",
            PROTOCOL,
            Set("/features/events", json!([])),
        ),
        (
            "audience_scope_unknown",
            TEA,
            Set(
                "/events/tea.ready/audience/scopes",
                json!(["operator.approval"]),
            ),
        ),
        (
            "stages_of_one_word",
            TEA,
            Set(
                "/methods/tea.pour/result/stages/1/payload",
                json!({"$ref": "#/$defs/PourAccepted"}),
            ),
        ),
        (
            "stages_of_another_word",
            TEA,
            Set(
                "/methods/tea.pour/result/stages/0/when/status",
                json!("begun"),
            ),
        ),
        (
            "client_params_refused",
            TEA,
            Set(
                "/methods/tea.pour/clientParams",
                json!({"$ref": "#/$defs/Cup"}),
            ),
        ),
        (
            "swift_name_missing",
            TEA,
            Set("/$defs/Cup/properties/self", string()),
        ),
        (
            "swift_name_wrong",
            TEA,
            Set(
                "/$defs/Cup/properties/self",
                json!({"type": "string", "description": "x", "x-swift-name": "Self"}),
            ),
        ),
        (
            "swift_name_taken",
            TEA,
            Set(
                "/$defs/Cup/properties/self",
                json!({"type": "string", "description": "x", "x-swift-name": "notes"}),
            ),
        ),
        (
            "swift_name_of_no_member",
            TEA,
            Set("/$defs/Cup/x-swift-name", json!("cup")),
        ),
        (
            "error_text_code",
            PROTOCOL,
            Set("/errors/missingScope/code", json!("NOPE")),
        ),
        (
            "default_scope_unknown",
            PROTOCOL,
            Set("/roles/node/defaultScopes", json!(["operator.everything"])),
        ),
    ];
    for (name, file, edit) in cases {
        let message = message(file, &edit);
        insta::assert_snapshot!(name, message);
    }
}

#[test]
fn the_fixture_itself_is_right_and_twice_the_same() {
    let dir = tempfile::tempdir().expect("a folder");
    fixture(dir.path());
    let texts = || match codegen::generate(dir.path()) {
        Ok((_, outputs)) => outputs
            .iter()
            .map(|(p, t)| (p.to_owned(), t.to_owned()))
            .collect::<Vec<_>>(),
        Err(error) => panic!("{error}"),
    };
    let first = texts();
    assert_eq!(first, texts());
    let types = first
        .iter()
        .find(|(path, _)| path.ends_with("types.rs"))
        .expect("types");
    insta::assert_snapshot!("fixture_types", types.1);
    let tables = first
        .iter()
        .find(|(path, _)| path.ends_with("tables.rs"))
        .expect("tables");
    insta::assert_snapshot!("fixture_tables", tables.1);
}

#[test]
fn stale_output_is_named_with_the_command() {
    let schema = tempfile::tempdir().expect("a folder");
    fixture(schema.path());
    let project = tempfile::tempdir().expect("a folder");
    let (_, outputs) = codegen::generate(schema.path()).expect("the fixture is right");
    outputs.write(project.path()).expect("written");
    outputs.check(project.path()).expect("fresh");
    // One changed byte of meaning in the schema makes the output stale.
    let path = schema.path().join(PRIMITIVES);
    let text = fs::read_to_string(&path)
        .expect("read")
        .replace("\"minimum\": 0", "\"minimum\": -5");
    fs::write(
        &path,
        text.replace(
            "\"value\": -1, \"violations\": \"must be >= 0\"",
            "\"value\": -6, \"violations\": \"must be >= -5\"",
        ),
    )
    .expect("written");
    let (_, changed) = codegen::generate(schema.path()).expect("still right");
    let error = changed
        .check(project.path())
        .expect_err("stale")
        .to_string();
    assert!(
        error.contains("generated/src/tables.rs is stale"),
        "{error}"
    );
    assert!(error.contains("cargo run -p codegen"), "{error}");
    // A file that is no longer generated is stale too.
    fs::write(project.path().join("generated/src/old.rs"), "// old").expect("written");
    let error = outputs
        .check(project.path())
        .expect_err("stale")
        .to_string();
    assert!(
        error.contains("generated/src/old.rs is no longer generated"),
        "{error}"
    );
}

fn message(file: &str, edit: &Edit) -> String {
    let dir = tempfile::tempdir().expect("a folder");
    fixture(dir.path());
    let path = dir.path().join(file);
    let text = fs::read_to_string(&path).expect("a fixture file");
    match edit {
        Delete => fs::remove_file(&path).expect("deleted"),
        Text(from, to) => {
            assert!(text.contains(from), "{from} stands in {file}");
            fs::write(&path, text.replacen(from, to, 1)).expect("written");
        }
        Set(pointer, value) => change(&path, &text, pointer, Some(value)),
        Drop(pointer) => change(&path, &text, pointer, None),
    }
    match codegen::generate(dir.path()) {
        Ok(_) => panic!("{file}: the edit is no mistake"),
        Err(errors) => errors.to_string(),
    }
}

fn change(path: &Path, text: &str, pointer: &str, value: Option<&Value>) {
    let mut document: Value = serde_json::from_str(text).expect("JSON");
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    let parent = document
        .pointer_mut(parent)
        .unwrap_or_else(|| panic!("{pointer} has a parent"));
    match (parent, value) {
        (Value::Object(members), Some(value)) => {
            members.insert(key.to_owned(), value.clone());
        }
        (Value::Object(members), None) => {
            members
                .remove(key)
                .unwrap_or_else(|| panic!("{pointer} exists"));
        }
        (Value::Array(items), Some(value)) => items.push(value.clone()),
        _ => panic!("{pointer} cannot be edited"),
    }
    fs::write(path, document.to_string()).expect("written");
}

fn fixture(target: &Path) {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    copy(&own.join("tests/fixture"), target);
    copy(&own.join("../schema/meta"), &target.join("meta"));
}

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
