//! Protocols that tests of the emitted documents read. Each test binary includes this as a module of its own.

#![allow(dead_code)] // one of the binaries edits the fixture, the other does not

use std::fs;
use std::path::Path;

use codegen::Outputs;
use codegen::model::Model;

/// The real protocol and the fixture, which has forms that the real one may lack.
pub(crate) fn protocols() -> [(Model, Outputs); 2] {
    let dir = tempfile::tempdir().expect("a folder");
    fixture(dir.path());
    [
        real(),
        codegen::generate(dir.path()).expect("the fixture is right"),
    ]
}

/// The protocol of this project.
pub(crate) fn real() -> (Model, Outputs) {
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schema");
    codegen::generate(&schema).expect("the schema is right")
}

/// Copies the fixture and the real meta-schemas into a folder.
pub(crate) fn fixture(target: &Path) {
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
