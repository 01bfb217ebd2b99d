//! Reading the body of a request: JSON, up to a limit.

use std::num::NonZeroU64;

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Why there is no body. The texts are for the client.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BodyError {
    /// More than the limit.
    #[error("payload too large")]
    TooLarge,
    /// The connection broke.
    #[error("the request's body did not arrive")]
    Broken,
    /// Not JSON, or not what is asked for.
    #[error("{0}")]
    Json(String),
}

/// A configured limit as a length in memory.
pub(super) fn bytes(limit: NonZeroU64) -> usize {
    usize::try_from(limit.get()).unwrap_or(usize::MAX)
}

/// A body that has to be an object, as a `T`.
///
/// # Errors
/// What is wrong with it, for the client.
pub(super) fn object<T: DeserializeOwned>(body: Value) -> Result<T, String> {
    // An array would be taken for the members in their order.
    if !body.is_object() {
        return Err("the body must be a JSON object".to_owned());
    }
    serde_json::from_value(body).map_err(|error| error.to_string())
}

/// The body as JSON; an empty one is `{}` (contract 10.2).
pub(super) async fn read<B>(body: B, limit: usize) -> Result<Value, BodyError>
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    // Who says beforehand that it is too much need not send it.
    if body.size_hint().lower() > limit as u64 {
        return Err(BodyError::TooLarge);
    }
    let collected = Limited::new(body, limit).collect().await;
    let bytes = collected
        .map_err(|error| match error.is::<LengthLimitError>() {
            true => BodyError::TooLarge,
            false => BodyError::Broken,
        })?
        .to_bytes();
    let text: &[u8] = if bytes.trim_ascii().is_empty() {
        b"{}"
    } else {
        &bytes
    };
    serde_json::from_slice(text).map_err(|error| BodyError::Json(error.to_string()))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::Full;
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn bodies() {
        for (text, expected) in [
            ("", Ok(json!({}))),
            (" \n", Ok(json!({}))),
            (r#"{"a":1}"#, Ok(json!({"a": 1}))),
            ("[12345678]", Ok(json!([12_345_678]))),
            ("[123456789]", Err("payload too large")),
            ("{", Err("EOF while parsing an object at line 1 column 1")),
        ] {
            let body = Full::new(Bytes::from_static(text.as_bytes()));
            let found = read(body, 10).await;
            assert_eq!(
                found.map_err(|error| error.to_string()),
                expected.map_err(str::to_owned),
                "{text:?}"
            );
        }
    }
}
