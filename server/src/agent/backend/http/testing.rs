//! What the tests of the dialects have in common.

use std::fmt::Debug;

use serde_json::{Value, json};

use super::Decode;
use crate::agent::backend::{BackendError, Call, Chunk, ToolSpec, Turn};

/// Reads the events of one answer to its end and compares what came of it.
#[track_caller]
pub(super) fn read(
    mut decoder: impl Decode + Debug,
    events: &[&str],
    expected: Result<&[Chunk], &str>,
) {
    let mut chunks = Vec::new();
    let mut read = || {
        for event in events {
            chunks.extend(decoder.event(event)?);
        }
        if !decoder.is_done() {
            chunks.extend(decoder.end()?);
        }
        Ok(())
    };
    let result = read().map_err(|error: BackendError| error.to_string());
    match expected {
        Ok(expected) => assert_eq!(
            (result, chunks.as_slice()),
            (Ok(()), expected),
            "{events:?}"
        ),
        Err(text) => assert_eq!(result, Err(text.to_owned()), "{events:?}"),
    }
}

/// The user's words.
pub(super) fn user(text: &str) -> Turn {
    Turn::User {
        text: text.into(),
        images: vec![],
    }
}

/// A tool.
pub(super) fn read_tool() -> ToolSpec {
    ToolSpec {
        name: "read".into(),
        description: "Reads.".into(),
        parameters: json!({"type": "object"}),
    }
}

/// A call of it.
pub(super) fn call_of(id: &str, arguments: Value) -> Call {
    Call {
        id: id.into(),
        name: "read".into(),
        arguments,
    }
}

/// What it brought.
pub(super) fn result(id: &str, text: &str, is_error: bool) -> Turn {
    Turn::Result {
        call_id: id.into(),
        text: text.into(),
        images: Vec::new(),
        is_error,
    }
}
