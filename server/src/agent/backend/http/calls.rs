//! Calls of tools as they come in pieces: put together, bounded, given out when the reply is complete.

use std::collections::BTreeMap;

use super::super::{BackendError, Call, Chunk, MAX_ARGUMENTS, MAX_CALLS, StopReason};

/// The calls of one reply, by the number that the provider gives each.
#[derive(Debug, Default)]
pub(super) struct Calls {
    by_number: BTreeMap<u64, Partial>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Partial {
    id: String,
    name: String,
    arguments: String,
}

impl Calls {
    /// Takes a piece of call `number`. Id and name come once, the arguments in as many pieces as the provider likes.
    pub(super) fn add(
        &mut self,
        number: u64,
        id: Option<String>,
        name: Option<String>,
        arguments: &str,
    ) -> Result<(), BackendError> {
        self.bytes += arguments.len();
        if self.bytes > MAX_ARGUMENTS {
            return Err(BackendError::TooLarge {
                limit: MAX_ARGUMENTS,
            });
        }
        if !self.by_number.contains_key(&number) && self.by_number.len() >= MAX_CALLS {
            return Err(BackendError::TooManyCalls { limit: MAX_CALLS });
        }
        let call = self.by_number.entry(number).or_default();
        // Some servers repeat both in every piece.
        if let Some(id) = id.filter(|id| !id.is_empty()) {
            call.id = id;
        }
        if let Some(name) = name.filter(|name| !name.is_empty()) {
            call.name = name;
        }
        call.arguments.push_str(arguments);
        Ok(())
    }

    /// The chunks that end a reply: its calls, if it has any, and why it ended.
    pub(super) fn finish(&mut self, reason: StopReason) -> Vec<Chunk> {
        let calls = std::mem::take(&mut self.by_number);
        let mut chunks: Vec<Chunk> = calls
            .into_iter()
            .map(|(number, call)| {
                // Servers without ids need none back, but transcripts and clients do.
                let id = if call.id.is_empty() {
                    format!("call_{number}")
                } else {
                    call.id
                };
                Chunk::Call(Call::read(id, call.name, call.arguments))
            })
            .collect();
        // A reply that was cut by its length has a last call that is not whole; the model is told so by its arguments.
        let reason = if chunks.is_empty() {
            reason
        } else {
            StopReason::ToolUse
        };
        chunks.push(Chunk::Done(reason));
        chunks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pieces_become_calls_in_order() {
        let mut calls = Calls::default();
        let some = |text: &str| Some(text.to_owned());
        calls.add(1, some("b"), some("write"), "{\"x\"").unwrap();
        calls.add(0, None, some("read"), "").unwrap();
        calls.add(1, some(""), None, ":1}").unwrap();
        let call = |id: &str, name: &str, arguments| {
            Chunk::Call(Call {
                id: id.into(),
                name: name.into(),
                arguments,
            })
        };
        assert_eq!(
            calls.finish(StopReason::Stop),
            [
                call("call_0", "read", json!({})),
                call("b", "write", json!({"x": 1})),
                Chunk::Done(StopReason::ToolUse)
            ]
        );
        assert_eq!(
            calls.finish(StopReason::Length),
            [Chunk::Done(StopReason::Length)]
        );
    }

    #[test]
    fn bounds_at_n_and_one_more() {
        let mut calls = Calls::default();
        for number in 0..MAX_CALLS as u64 {
            calls.add(number, None, None, "").unwrap();
        }
        let too_many = BackendError::TooManyCalls { limit: MAX_CALLS };
        assert_eq!(calls.add(99, None, None, ""), Err(too_many));
        calls
            .add(0, None, None, &"x".repeat(MAX_ARGUMENTS))
            .unwrap();
        let too_large = BackendError::TooLarge {
            limit: MAX_ARGUMENTS,
        };
        assert_eq!(calls.add(1, None, None, "x"), Err(too_large));
    }
}
