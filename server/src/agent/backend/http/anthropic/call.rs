//! What is sent.

use serde_json::{Map, Value, json};

use crate::agent::attachments::Image;
use crate::agent::backend::{ModelRequest, Thought, ToolSpec, Turn};
use crate::agent::words::Thinking;

/// Longest reply when the configuration does not tell: the API wants a number, and every model takes this one.
pub(super) const DEFAULT_MAX_TOKENS: u64 = 4_096;
/// Least tokens of thought that the API takes.
const MIN_BUDGET: u64 = 1_024;

/// The JSON text of a call.
pub(in crate::agent::backend::http) fn call(request: &ModelRequest) -> String {
    let thinking = request.thinking.and_then(budget);
    let thinking = thinking.filter(|_| may_think(&request.turns));
    // Thought counts as reply: it comes on top of what the reply may have.
    let max_tokens = request.max_tokens.unwrap_or(DEFAULT_MAX_TOKENS) + thinking.unwrap_or(0);
    let mut call = json!({
        "model": request.model,
        "max_tokens": max_tokens,
        "stream": true,
        "messages": messages(&request.turns, thinking.is_some()),
    });
    if !request.system.is_empty() {
        // What stays the same from call to call is read from the cache.
        call["system"] = json!([{"type": "text", "text": request.system, "cache_control": {"type": "ephemeral"}}]);
    }
    if let Some(budget) = thinking {
        call["thinking"] = json!({"type": "enabled", "budget_tokens": budget});
    }
    if !request.tools.is_empty() {
        call["tools"] = request.tools.iter().map(tool).collect();
    }
    call.to_string()
}

/// Whether the API lets the model think now. It wants the whole answer to a user's words thought on or none of it: with
/// results of tools, the first reply to those words has to come with the thoughts that led to it. There are none where
/// another model began the answer.
fn may_think(turns: &[Turn]) -> bool {
    let is_user = |turn: &Turn| matches!(turn, Turn::User { .. });
    let answer = turns.iter().rposition(is_user).map_or(0, |last| last + 1);
    match turns.get(answer) {
        Some(Turn::Assistant { thoughts, .. }) => !thoughts.is_empty(),
        _ => true,
    }
}

/// Tokens of thought for a level; none for `off`.
fn budget(level: Thinking) -> Option<u64> {
    match level {
        Thinking::Off => None,
        Thinking::Minimal => Some(MIN_BUDGET),
        Thinking::Low => Some(2_048),
        Thinking::Medium => Some(8_192),
        Thinking::High | Thinking::XHigh => Some(16_384),
    }
}

fn tool(spec: &ToolSpec) -> Value {
    json!({"name": spec.name, "description": spec.description, "input_schema": spec.parameters})
}

/// The conversation in alternating messages, as the API wants it: neighbours of one role become one message.
fn messages(turns: &[Turn], with_thoughts: bool) -> Value {
    let mut messages: Vec<(&str, Vec<Value>)> = Vec::new();
    for turn in turns {
        let (role, blocks) = blocks(turn, with_thoughts);
        match messages.last_mut() {
            Some((last, parts)) if *last == role => parts.extend(blocks),
            _ => messages.push((role, blocks)),
        }
    }
    messages
        .into_iter()
        .filter(|(_, blocks)| !blocks.is_empty())
        .map(|(role, blocks)| json!({"role": role, "content": blocks}))
        .collect()
}

fn blocks(turn: &Turn, with_thoughts: bool) -> (&'static str, Vec<Value>) {
    // The API refuses texts of blanks.
    let words =
        |text: &str| (!text.trim().is_empty()).then(|| json!({"type": "text", "text": text}));
    match turn {
        Turn::User { text, images } => {
            let images = images.iter().map(image);
            ("user", images.chain(words(text)).collect())
        }
        Turn::Assistant {
            text,
            calls,
            thoughts,
        } => {
            let thoughts = thoughts.iter().filter(|_| with_thoughts).map(thought);
            let calls = calls.iter().map(|call| {
                let input = match &call.arguments {
                    object @ Value::Object(_) => object.clone(),
                    // Only objects are taken; the result tells the model what was wrong.
                    _ => Value::Object(Map::new()),
                };
                json!({"type": "tool_use", "id": call.id, "name": call.name, "input": input})
            });
            let blocks = thoughts.chain(words(text)).chain(calls);
            ("assistant", blocks.collect())
        }
        Turn::Result {
            call_id,
            text,
            images,
            is_error,
        } => {
            let content = words(text).into_iter().chain(images.iter().map(image));
            let content: Vec<Value> = content.collect();
            let block = json!({"type": "tool_result", "tool_use_id": call_id, "content": content, "is_error": is_error});
            ("user", vec![block])
        }
    }
}

/// A thought as it came; the API knows by its signature.
fn thought(thought: &Thought) -> Value {
    match thought {
        Thought::Open { text, signature } => {
            json!({"type": "thinking", "thinking": text, "signature": signature})
        }
        Thought::Sealed { data } => json!({"type": "redacted_thinking", "data": data}),
    }
}

fn image(image: &Image) -> Value {
    json!({"type": "image", "source": {"type": "base64", "media_type": image.mime, "data": image.base64}})
}
