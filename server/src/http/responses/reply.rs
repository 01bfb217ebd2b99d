//! The objects and events of a response (contract 10.7). Every event has a number, as clients of the official library
//! expect.

use serde_json::{Value, json};

use super::super::sse;
use super::super::turn::Reply;
use super::NO_WORDS;

/// A response that is being told.
#[derive(Debug)]
pub(super) struct Telling {
    id: String,
    message_id: String,
    model: String,
    created: u64,
    /// Number of the next event.
    number: u64,
    /// All words so far.
    text: String,
}

impl Telling {
    /// A response of `model` (as the client called it) at `created`, in seconds.
    pub(super) fn new(model: String, created: u64) -> Self {
        Self {
            id: format!("resp_{}", uuid::Uuid::new_v4()),
            message_id: format!("msg_{}", uuid::Uuid::new_v4()),
            model,
            created,
            number: 0,
            text: String::new(),
        }
    }

    /// The whole response of a run that ended well.
    pub(super) fn completed(&self, text: &str, reply: &Reply) -> Value {
        let message = self.message("completed", &[part(text)]);
        self.response("completed", &[message], reply)
    }

    /// The whole response of a run that failed.
    pub(super) fn failed(&self, message: &str) -> Value {
        let mut response = self.response("failed", &[], &Reply::default());
        response["error"] = json!({"code": "api_error", "message": message});
        response
    }

    /// The events before the first word.
    pub(super) fn opening(&mut self) -> String {
        let begun = self.response("in_progress", &[], &Reply::default());
        let item = self.message("in_progress", &[]);
        self.event("response.created", json!({"response": begun}))
            + &self.event("response.in_progress", json!({"response": begun}))
            + &self.event(
                "response.output_item.added",
                json!({"output_index": 0, "item": item}),
            )
            + &self.in_part("response.content_part.added", json!({"part": part("")}))
    }

    /// More words.
    pub(super) fn delta(&mut self, text: &str) -> String {
        self.text.push_str(text);
        self.in_part(
            "response.output_text.delta",
            json!({"delta": text, "logprobs": []}),
        )
    }

    /// The events of a good end.
    pub(super) fn closing(&mut self, reply: &Reply) -> String {
        let mut texts = String::new();
        if self.text.is_empty() {
            texts.push_str(&self.delta(NO_WORDS));
        }
        let text = std::mem::take(&mut self.text);
        let item = self.message("completed", &[part(&text)]);
        let whole = self.completed(&text, reply);
        texts.push_str(&self.in_part(
            "response.output_text.done",
            json!({"text": text, "logprobs": []}),
        ));
        texts.push_str(&self.in_part("response.content_part.done", json!({"part": part(&text)})));
        texts.push_str(&self.event(
            "response.output_item.done",
            json!({"output_index": 0, "item": item}),
        ));
        texts.push_str(&self.event("response.completed", json!({"response": whole})));
        texts
    }

    /// The event of a bad end.
    pub(super) fn failure(&mut self, message: &str) -> String {
        let whole = self.failed(message);
        self.event("response.failed", json!({"response": whole}))
    }

    fn response(&self, status: &str, output: &[Value], reply: &Reply) -> Value {
        json!({
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "status": status,
            "model": self.model,
            "output": output,
            "usage": {
                "input_tokens": reply.input_tokens,
                "output_tokens": reply.output_tokens,
                "total_tokens": reply.input_tokens + reply.output_tokens,
            },
        })
    }

    fn message(&self, status: &str, content: &[Value]) -> Value {
        json!({
            "type": "message",
            "id": self.message_id,
            "role": "assistant",
            "content": content,
            "status": status,
        })
    }

    fn in_part(&mut self, name: &str, mut members: Value) -> String {
        members["item_id"] = json!(self.message_id);
        members["output_index"] = json!(0);
        members["content_index"] = json!(0);
        self.event(name, members)
    }

    fn event(&mut self, name: &str, mut members: Value) -> String {
        members["type"] = json!(name);
        members["sequence_number"] = json!(self.number);
        self.number += 1;
        sse::event(name, &members)
    }
}

fn part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": []})
}
