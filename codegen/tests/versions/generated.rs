//! The protocol of `tests/evolution`, as codegen writes it.

pub(crate) use openclaw_schema_runtime as rt;

pub(crate) mod call;
pub(crate) mod events;
pub(crate) mod methods;
pub(crate) mod protocol;
pub(crate) mod server;
pub(crate) mod tables;
pub(crate) mod types;
