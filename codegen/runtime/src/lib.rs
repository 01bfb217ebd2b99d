//! What generated code stands on.
//!
//! The generator turns each type of the schema into a Rust type and a static
//! [`Node`] table. This crate reads both: [`decode`] fills the type and enforces the
//! table in one pass over the text, [`violations`] lists what is wrong with a text
//! that was refused. The rest is what generated types and dispatch share:
//! string types, lenient members, two-stage answers and response frames.

mod accept;
mod answer;
mod decode;
pub mod lenient;
mod node;
mod older;
pub mod patch;
mod props;
mod request;
mod secret_value;
mod strings;
mod text;
mod tree;
mod usual;
mod violation;

pub use accept::accepts;
pub use answer::{Answer, BoxFuture, Failure, NoPayload, Staged, error_frame, ok_frame};
pub use decode::{Checked, decode};
pub use node::{Extra, MAX_REQUIRED, Newer, Node, Obj, UNBOUNDED, Variant};
pub use older::{leave_out_newer, payload_at, response_at};
pub use props::{Prop, Props};
pub use request::{ParamsOf, Problem, Request, read_request, read_request_at};
pub use secret_value::SecretValue;
pub use strings::{EmptyString, NonEmptyString, SecretString};
pub use text::{answer, answer_failing, answer_staged, fill, frame_start};
pub use tree::{Tree, TreeError};
pub use violation::{
    MAX_VIOLATION_BYTES, MAX_VIOLATIONS, Violation, describe, violations, violations_at,
};
