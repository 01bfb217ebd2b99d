//! The configuration: `openclaw.json` (JSON5), its types and schema, and what a gateway starts with.
//!
//! `gateway` and `cli` call [`prepare`] once at start; commands that only need to find a gateway call [`load`]. What is
//! wrong with the file becomes an [`Issue`] and a default instead of a refusal, except where starting would leave the
//! gateway open or unreachable ([`StartError`]).

mod auth;
mod check;
mod document;
pub mod file;
mod guards;
mod load;
mod schema;
mod start;
mod substitute;
mod types;

pub use auth::GatewayAuth;
pub use load::{Issue, Loaded, Source, load, remember};
pub use schema::schema;
pub use start::{DEFAULT_PORT, Overrides, StartError, Startup, TOKEN_BYTES, prepare, resolve_port};
pub use types::*;
