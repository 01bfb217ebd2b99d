//! The objects of a chat completion, whole and in pieces.

use serde_json::{Value, json};

use super::super::turn::Reply;
use super::NO_WORDS;

/// What all objects of one completion say about it.
#[derive(Debug, Clone)]
pub(super) struct Names {
    id: String,
    model: String,
    created: u64,
}

impl Names {
    /// A completion of `model` (as the client called it) at `created`, in seconds.
    pub(super) fn new(model: String, created: u64) -> Self {
        Self {
            id: format!("chatcmpl_{}", uuid::Uuid::new_v4()),
            model,
            created,
        }
    }

    /// The completion as a whole.
    pub(super) fn completion(&self, reply: &Reply) -> Value {
        let text = Some(reply.text.as_str()).filter(|text| !text.is_empty());
        json!({
            "id": self.id,
            "object": "chat.completion",
            "created": self.created,
            "model": self.model,
            "choices": [{
                "index": 0,
                "message": {"role": "assistant", "content": text.unwrap_or(NO_WORDS)},
                "finish_reason": "stop",
            }],
            "usage": usage(reply),
        })
    }

    /// The first piece: who speaks.
    pub(super) fn opening(&self) -> Value {
        self.piece(&json!([{"index": 0, "delta": {"role": "assistant"}}]))
    }

    /// More words.
    pub(super) fn delta(&self, text: &str) -> Value {
        self.piece(&json!([{"index": 0, "delta": {"content": text}, "finish_reason": null}]))
    }

    /// The last piece of the words (odd 49).
    pub(super) fn closing(&self) -> Value {
        self.piece(&json!([{"index": 0, "delta": {}, "finish_reason": "stop"}]))
    }

    /// What it cost, for clients that asked.
    pub(super) fn usage(&self, reply: &Reply) -> Value {
        let mut piece = self.piece(&json!([]));
        piece["usage"] = usage(reply);
        piece
    }

    /// The last piece of a run that failed. Clients that show text show the error; those that know errors in streams find
    /// it as one.
    pub(super) fn failure(&self, message: &str) -> Value {
        let words = format!(
            "Error: {}",
            message.strip_prefix("Error: ").unwrap_or(message)
        );
        let mut piece = self
            .piece(&json!([{"index": 0, "delta": {"content": words}, "finish_reason": "stop"}]));
        piece["error"] = json!({"message": message, "type": "api_error"});
        piece
    }

    fn piece(&self, choices: &Value) -> Value {
        json!({
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
            "choices": choices,
        })
    }
}

fn usage(reply: &Reply) -> Value {
    json!({
        "prompt_tokens": reply.input_tokens,
        "completion_tokens": reply.output_tokens,
        "total_tokens": reply.input_tokens + reply.output_tokens,
    })
}
