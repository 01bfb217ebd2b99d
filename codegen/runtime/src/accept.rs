//! Whether a text fits a table, without building anything.
//!
//! Called by the decoder to choose among untagged alternatives, and by tests and
//! debug assertions on outgoing payloads.

use serde::de::IgnoredAny;

use crate::decode::decode;
use crate::node::Node;

/// Whether `json` is one JSON text that fits `node`.
///
/// Streams over the text and allocates nothing (but for the parser's scratch space
/// when strings contain escapes, and short lists of members that come before the tag of
/// a union). Duplicate keys are not searched for.
#[must_use]
pub fn accepts(node: &'static Node, json: &str) -> bool {
    decode::<IgnoredAny>(node, json).is_ok()
}
