//! Mistakes that only a schema of several versions can have.

use std::fs;
use std::path::Path;

use super::copy;

#[test]
fn members_that_cannot_be_newer_are_named() {
    for (file, from, to, expected) in [
        (
            "groups/shop.json",
            r#""required": ["state", "item"]"#,
            r#""required": ["state", "item", "points"]"#,
            "`points` is required, but clients of version 3 do not have it",
        ),
        (
            "groups/frames.json",
            r#""ok": { "description": "Served.", "type": "boolean" }"#,
            r#""ok": { "description": "Served.", "type": "boolean" }, "late": { "description": "Late.", "type": "boolean", "x-since": 4 }"#,
            "`late` is newer than version 3, but is read before a version is agreed on",
        ),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        copy(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/evolution"),
            folder.path(),
        );
        let path = folder.path().join(file);
        let text = fs::read_to_string(&path).expect("a schema file");
        assert!(text.contains(from), "{from} stands in {file}");
        fs::write(&path, text.replace(from, to)).expect("written");
        match codegen::read_schema(folder.path()) {
            Ok(_) => panic!("{expected}: the edit is no mistake"),
            Err(errors) => assert!(errors.to_string().contains(expected), "{errors}"),
        }
    }
}
