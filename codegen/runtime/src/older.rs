//! What clients of an older protocol version get: payloads without the members that are newer.
//!
//! Called by generated code and by the hub for connections that negotiated an older version, and for no
//! other: everything here parses and writes texts again.

use std::ops::Range;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::accept::accepts;
use crate::node::{Extra, Node, Obj, variant};
use crate::tree::Tree;

/// Takes the members out of `value` that are newer than `version`. `value` fits `node`; what does not is
/// left as it is.
pub fn leave_out_newer(node: &'static Node, version: u64, value: &mut Tree) {
    match (node, value) {
        (Node::Nullable(inner), value) => leave_out_newer(inner, version, value),
        (Node::Arr { items, .. }, Tree::Array(array)) => {
            for item in array {
                leave_out_newer(items, version, item);
            }
        }
        (Node::Obj(object), Tree::Object(members)) => from_object(object, version, members),
        (Node::Tagged { tag, variants }, value) => {
            let name = value.get(tag).and_then(Tree::as_str);
            if let Some((_, node)) = name.and_then(|name| variant(variants, name)) {
                leave_out_newer(node, version, value);
            }
        }
        (Node::OneOf(alternatives), value) => {
            if let Some(node) = fitting(alternatives, value) {
                leave_out_newer(node, version, value);
            }
        }
        _ => {}
    }
}

fn from_object(object: &'static Obj, version: u64, members: &mut Vec<(String, Tree)>) {
    members.retain(|(key, _)| !object.is_newer(key, version));
    for (key, value) in members {
        match (object.props.position(key, 0), &object.extra) {
            (Some(at), _) => leave_out_newer(object.props[at].node, version, value),
            (None, Extra::Each(node)) => leave_out_newer(node, version, value),
            (None, Extra::Any | Extra::Closed) => {}
        }
    }
}

/// The first alternative that a value fits.
fn fitting(alternatives: &[&'static Node], value: &Tree) -> Option<&'static Node> {
    let text = serde_json::to_string(value).ok()?;
    let mut alternatives = alternatives.iter().copied();
    alternatives.find(|node| accepts(node, &text))
}

/// The JSON text of a payload without the members that are newer than `version`. `nodes` are the types that
/// the payload may have; one that has none of them, or that is no JSON, stays as it is.
#[must_use]
pub fn payload_at(nodes: &[&'static Node], version: u64, payload: &str) -> String {
    let node = nodes.iter().copied().find(|node| accepts(node, payload));
    let (Some(node), Ok(mut tree)) = (node, Tree::parse(payload)) else {
        return payload.to_owned();
    };
    leave_out_newer(node, version, &mut tree);
    serde_json::to_string(&tree).unwrap_or_else(|_| payload.to_owned())
}

/// A response frame with its payload as [`payload_at`] makes it. A frame without payload stays as it is.
#[must_use]
pub fn response_at(nodes: &[&'static Node], version: u64, frame: Vec<u8>) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(&frame) else {
        return frame;
    };
    let Some(range) = payload_range(text) else {
        return frame;
    };
    let payload = payload_at(nodes, version, &text[range.clone()]);
    [&text[..range.start], &payload, &text[range.end..]]
        .concat()
        .into_bytes()
}

/// Where the payload of a frame stands.
fn payload_range(frame: &str) -> Option<Range<usize>> {
    #[derive(Deserialize)]
    struct Frame<'a> {
        #[serde(borrow)]
        payload: Option<&'a RawValue>,
    }
    let payload = serde_json::from_str::<Frame<'_>>(frame)
        .ok()?
        .payload?
        .get();
    // It is borrowed from the frame, so it stands in it.
    let start = (payload.as_ptr() as usize).checked_sub(frame.as_ptr() as usize)?;
    let range = start..start + payload.len();
    frame.get(range.clone()).is_some().then_some(range)
}

#[cfg(test)]
mod tests;
