//! Schema to code.
//!
//! `schema/` is read ([`source`]), checked against its meta-schemas and the dialect ([`lint`]), turned
//! into one model ([`model`]) and emitted ([`emit`]). The result is a set of files ([`output`]) that is
//! either written or compared with what is committed. [`breaking`] compares two versions of the schema,
//! [`against`] finds the older one. Called by the `codegen` binary and by tests.

pub mod against;
pub mod breaking;
pub mod copies;
pub mod emit;
mod examples;
mod lint;
pub mod model;
mod output;
mod read;
mod recorded;
pub mod source;

pub use output::Outputs;

use std::path::Path;

/// Reads the schema directory, without judging examples and without the meta-schemas.
///
/// # Errors
/// The mistakes found in types and manifests.
pub fn read_schema(schema: &Path) -> Result<model::Model, source::SchemaErrors> {
    read::model(&source::Source::load_types(schema)?)
}

/// Reads the schema directory and produces every output file.
///
/// # Errors
/// The first mistakes found in the schema, each with file, JSON pointer and what to write instead.
pub fn generate(schema: &Path) -> Result<(model::Model, Outputs), source::SchemaErrors> {
    let source = source::Source::load(schema)?;
    // The reader's words are better than the meta-schemas', so it speaks first.
    let model = read::model(&source)?;
    lint::check(&source)?;
    let bundle = emit::bundle::bundle(&model);
    examples::check(&model, &bundle)?;
    let outputs = emit::all(&model, &bundle)?;
    Ok((model, outputs))
}
