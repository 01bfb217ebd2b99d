//! Frames of the gateway against our tables: the envelope, then the payload by method or event.

use openclaw_protocol::events::EventKind;
use openclaw_protocol::methods::{AnswerSpec, Method};
use openclaw_protocol::rt::{Node, Tree, violations};
use serde_json::Value;

use crate::fault::Fault;
use crate::recorded::Sent;
use crate::subjects::ours;

/// What a frame is called in the list of differences.
pub(crate) fn label(sent: &Sent) -> String {
    let name = |key: &str| sent.frame[key].as_str().unwrap_or("?").to_owned();
    match (sent.frame["type"].as_str(), sent.methods.first()) {
        (Some("res"), Some(method)) => format!("res {}", method.name()),
        (Some("res"), None) => "res".to_owned(),
        _ => format!("event {}", name("event")),
    }
}

/// What our definitions hold against a frame. Where it may answer several requests: the least of it.
pub(crate) fn faults(sent: &Sent) -> Vec<Fault> {
    let frame = &sent.frame;
    if frame["type"] == "event" {
        let mut found = checked(ours("EventFrame").node, frame, "");
        match frame["event"].as_str().and_then(EventKind::from_name) {
            Some(kind) => found.extend(payload(kind.spec().payload, frame)),
            None => found.push(Fault::whole("event", "is not in the schema")),
        }
        return found;
    }
    let mut found = checked(ours("ResponseFrame").node, frame, "");
    let answers = sent.methods.iter().map(|method| answer(*method, frame));
    found.extend(answers.min_by_key(Vec::len).unwrap_or_default());
    found
}

fn answer(method: Method, frame: &Value) -> Vec<Fault> {
    let spec = method.spec();
    if frame["ok"] != true {
        return match (frame.get("payload"), spec.failure) {
            (None, _) => Vec::new(),
            (Some(_), Some(node)) => payload(node, frame),
            (Some(_), None) => vec![Fault::whole("failure", "no payload beside an error")],
        };
    }
    match spec.answer {
        AnswerSpec::Single { nullable, .. } if nullable && frame["payload"].is_null() => Vec::new(),
        AnswerSpec::Single { payload: node, .. } => payload(node, frame),
        AnswerSpec::Staged { first, last } => {
            let (first, last) = (payload(first, frame), payload(last, frame));
            if first.len() < last.len() {
                first
            } else {
                last
            }
        }
    }
}

fn payload(node: &'static Node, frame: &Value) -> Vec<Fault> {
    match frame.get("payload") {
        Some(payload) => checked(node, payload, "/payload"),
        None => vec![Fault::whole("required", "has no payload")],
    }
}

/// What a table holds against a value at a place.
pub(crate) fn checked(node: &'static Node, value: &Value, place: &str) -> Vec<Fault> {
    let tree = Tree::parse(&value.to_string()).expect("a value is JSON");
    let listed = violations(node, &tree).into_iter().map(Fault::from);
    let at = |fault: Fault| Fault {
        place: format!("{place}{}", fault.place),
        ..fault
    };
    listed.map(at).collect()
}
