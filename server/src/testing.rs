//! For the tests of whatever tells everybody something.

use openclaw_protocol::events::Event;
use serde_json::Value;

/// Panics at an event that the schema does not have.
pub(crate) fn assert_conforms(event: &Event) {
    let mut frame = event.frame_start();
    frame.push(b'}');
    let frame: Value = serde_json::from_slice(&frame).unwrap();
    Event::decode(event.kind(), &frame["payload"].to_string()).unwrap();
}
