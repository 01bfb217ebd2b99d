//! Model to files. One submodule for each output; none reads another's text.

mod asyncapi;
pub mod bundle;
mod components;
mod frames;
mod markdown;
mod names;
mod openrpc;
mod page;
mod rust;
mod swift;
mod typescript;

use serde_json::Value;

use crate::Outputs;
use crate::model::Model;
use crate::source::SchemaErrors;

/// Emits everything.
///
/// # Errors
/// Types that cannot be generated, with the definition that causes it.
pub fn all(model: &Model, bundle: &Value) -> Result<Outputs, SchemaErrors> {
    let mut outputs = Outputs::default();
    let bundle_text = format!("{bundle:#}\n");
    outputs.add("schema/dist/protocol.schema.json", bundle_text);
    rust::emit(model, &mut outputs)?;
    markdown::emit(model, &mut outputs);
    openrpc::emit(model, bundle, &mut outputs);
    asyncapi::emit(model, bundle, &mut outputs);
    page::emit(model, &mut outputs);
    swift::emit(model, &mut outputs);
    typescript::emit(model, &mut outputs);
    Ok(outputs)
}
