//! The wire form of server-sent events.

use serde::Serialize;

/// A line that clients pass over; it keeps proxies from closing a silent stream.
pub(super) const PULSE: &str = ": still working\n\n";

/// What ends a stream of the OpenAI interfaces.
pub(super) const DONE: &str = "data: [DONE]\n\n";

/// An event without a name.
pub(super) fn data(value: &impl Serialize) -> String {
    format!("data: {}\n\n", text(value))
}

/// An event with a name.
pub(super) fn event(name: &str, value: &impl Serialize) -> String {
    format!("event: {name}\ndata: {}\n\n", text(value))
}

/// JSON has no raw line breaks, so it is one line.
fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| {
        tracing::error!(%error, "an event cannot be written");
        "null".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn events_are_one_line_of_data() {
        assert_eq!(data(&json!("a\nb")), "data: \"a\\nb\"\n\n");
        assert_eq!(
            event("x.y", &json!({"a": 1})),
            "event: x.y\ndata: {\"a\":1}\n\n"
        );
    }
}
