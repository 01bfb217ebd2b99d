//! Looking into a stored message.

use serde_json::Value;

/// Role of a summary in a transcript. It is for models; clients see the messages that it sums up.
pub const COMPACTION: &str = "compaction";

/// The text of a message, its parts joined by line breaks; empty for one without text.
pub fn text_of(message: &Value) -> String {
    match message.get("content") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => {
            let texts: Vec<&str> = parts
                .iter()
                .filter(|part| part.get("type").and_then(Value::as_str) == Some("text"))
                .filter_map(|part| part.get("text").and_then(Value::as_str))
                .collect();
            texts.join("\n")
        }
        _ => String::new(),
    }
}

/// The role of a message.
pub fn role_of(message: &Value) -> &str {
    message
        .get("role")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn texts() {
        for (message, text) in [
            (json!({"content": "plain"}), "plain"),
            (
                json!({"content": [{"type": "text", "text": "a"}, {"type": "image"}, {"type": "text", "text": "b"}]}),
                "a\nb",
            ),
            (json!({"content": []}), ""),
            (json!({"content": 5}), ""),
            (json!({}), ""),
        ] {
            assert_eq!(text_of(&message), text, "{message}");
        }
        assert_eq!(
            (role_of(&json!({"role": "user"})), role_of(&json!({}))),
            ("user", "")
        );
    }
}
