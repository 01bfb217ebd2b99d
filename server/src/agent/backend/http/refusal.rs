//! The words of a provider that refuses, in the places where servers put them.

use serde_json::Value;

use super::BackendError;

use crate::text::shortened;

/// Longest text of a provider's error that is passed on, in characters.
const MAX_MESSAGE: usize = 500;

/// The refusal that a status and a body mean.
pub(super) fn refusal(status: u16, body: &[u8], reason: &str) -> BackendError {
    let text = String::from_utf8_lossy(body);
    let message = serde_json::from_str::<Value>(&text)
        .ok()
        .as_ref()
        .and_then(message_in)
        .or_else(|| {
            // A page of a proxy tells nothing; a short line does.
            let line = text.trim();
            (!line.is_empty() && !line.starts_with(['<', '{', '[']))
                .then(|| shortened(line, MAX_MESSAGE))
        });
    BackendError::Refused {
        status,
        message: message.unwrap_or_else(|| reason.to_owned()),
    }
}

/// The message in an error body, in the places where servers put it.
pub(super) fn message_in(body: &Value) -> Option<String> {
    let error = body.get("error");
    let candidates = [
        error.and_then(|error| error.get("message")),
        error,
        body.get("message"),
        body.get("detail"),
    ];
    let message = candidates
        .into_iter()
        .flatten()
        .find_map(Value::as_str)?
        .trim();
    (!message.is_empty()).then(|| shortened(message, MAX_MESSAGE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals() {
        let long = "x".repeat(MAX_MESSAGE + 1);
        let cut = format!("HTTP 500: {}...", "x".repeat(MAX_MESSAGE));
        for (status, body, text) in [
            (
                400,
                r#"{"error":{"message":"mock error requested","code":"c"}}"#,
                "HTTP 400: mock error requested",
            ),
            (401, r#"{"message":"no key"}"#, "HTTP 401: no key"),
            (422, r#"{"detail":"bad model"}"#, "HTTP 422: bad model"),
            (429, r#"{"error":"slow down"}"#, "HTTP 429: slow down"),
            (500, "", "HTTP 500: Reason"),
            (502, "<html>bad gateway</html>", "HTTP 502: Reason"),
            (503, " try later \n", "HTTP 503: try later"),
            (500, r#"{"error":{"message":""}}"#, "HTTP 500: Reason"),
            (500, long.as_str(), cut.as_str()),
        ] {
            let refusal = refusal(status, body.as_bytes(), "Reason");
            assert_eq!(refusal.to_string(), text, "{body}");
        }
        assert_eq!(
            refusal(400, br#"{"error":{"message":"no"}}"#, "").transcript_text(),
            "400 no"
        );
    }
}
