//! The wire form of Anthropic messages: what is sent, and how a streamed answer is read. Pure.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::{BackendError, Chunk, ModelRequest, StopReason, ToolSpec, Turn, Usage};
use super::calls::Calls;
use super::refusal::message_in;
use super::{Decode, garbage};
use crate::agent::attachments::Image;
use crate::agent::words::Thinking;

/// Version of the API, which every call must name.
pub(super) const VERSION: &str = "2023-06-01";
/// Longest reply when the configuration does not tell: the API wants a number, and every model takes this one.
const DEFAULT_MAX_TOKENS: u64 = 4_096;
/// Least tokens of thought that the API takes.
const MIN_BUDGET: u64 = 1_024;

/// The JSON text of a call.
pub(super) fn call(request: &ModelRequest) -> String {
    // After a tool's result thought would have to begin with the signed thought before it, which is not kept.
    let mid_turn = matches!(request.turns.last(), Some(Turn::Result { .. }));
    let thinking = request.thinking.filter(|_| !mid_turn).and_then(budget);
    // Thought counts as reply: it comes on top of what the reply may have.
    let max_tokens = request.max_tokens.unwrap_or(DEFAULT_MAX_TOKENS) + thinking.unwrap_or(0);
    let mut call = json!({
        "model": request.model,
        "max_tokens": max_tokens,
        "stream": true,
        "messages": messages(&request.turns),
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
fn messages(turns: &[Turn]) -> Value {
    let mut messages: Vec<(&str, Vec<Value>)> = Vec::new();
    for turn in turns {
        let (role, blocks) = blocks(turn);
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

fn blocks(turn: &Turn) -> (&'static str, Vec<Value>) {
    // The API refuses texts of blanks.
    let words =
        |text: &str| (!text.trim().is_empty()).then(|| json!({"type": "text", "text": text}));
    match turn {
        Turn::User { text, images } => {
            let images = images.iter().map(image);
            ("user", images.chain(words(text)).collect())
        }
        Turn::Assistant { text, calls } => {
            let calls = calls.iter().map(|call| {
                let input = match &call.arguments {
                    object @ Value::Object(_) => object.clone(),
                    // Only objects are taken; the result tells the model what was wrong.
                    _ => Value::Object(Map::new()),
                };
                json!({"type": "tool_use", "id": call.id, "name": call.name, "input": input})
            });
            ("assistant", words(text).into_iter().chain(calls).collect())
        }
        Turn::Result {
            call_id,
            text,
            is_error,
        } => {
            let content: Vec<Value> = words(text).into_iter().collect();
            let block = json!({"type": "tool_result", "tool_use_id": call_id, "content": content, "is_error": is_error});
            ("user", vec![block])
        }
    }
}

fn image(image: &Image) -> Value {
    json!({"type": "image", "source": {"type": "base64", "media_type": image.mime, "data": image.base64}})
}

/// One event of a streamed answer. Events of other types, and unknown ones, are passed over.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event {
    MessageStart {
        message: Start,
    },
    ContentBlockStart {
        index: u64,
        content_block: Block,
    },
    ContentBlockDelta {
        index: u64,
        delta: Delta,
    },
    MessageDelta {
        delta: Ending,
        #[serde(default)]
        usage: Option<Counts>,
    },
    MessageStop,
    Error {
        #[serde(default)]
        error: Value,
    },
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
struct Start {
    #[serde(default)]
    usage: Option<Counts>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block {
    Text {
        #[serde(default)]
        text: String,
    },
    ToolUse {
        id: String,
        name: String,
    },
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type")]
enum Delta {
    #[serde(rename = "text_delta")]
    Text { text: String },
    #[serde(rename = "input_json_delta")]
    InputJson { partial_json: String },
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
struct Ending {
    #[serde(default)]
    stop_reason: Option<String>,
}

/// Counts so far; absent ones stay as they were.
#[derive(Debug, Deserialize)]
struct Counts {
    #[serde(default)]
    input_tokens: Option<u64>,
    #[serde(default)]
    output_tokens: Option<u64>,
    #[serde(default)]
    cache_read_input_tokens: Option<u64>,
    #[serde(default)]
    cache_creation_input_tokens: Option<u64>,
}

/// Reads the events of one answer.
#[derive(Debug)]
pub(super) struct Decoder {
    provider: String,
    calls: Calls,
    usage: Usage,
    finish: Option<StopReason>,
    done: bool,
}

impl Decoder {
    pub(super) fn new(provider: &str) -> Self {
        Self {
            provider: provider.to_owned(),
            calls: Calls::default(),
            usage: Usage::default(),
            finish: None,
            done: false,
        }
    }

    fn count(&mut self, counts: Option<Counts>) -> Vec<Chunk> {
        let Some(counts) = counts else {
            return Vec::new();
        };
        for (count, told) in [
            (&mut self.usage.input, counts.input_tokens),
            (&mut self.usage.output, counts.output_tokens),
            (&mut self.usage.cache_read, counts.cache_read_input_tokens),
            (
                &mut self.usage.cache_write,
                counts.cache_creation_input_tokens,
            ),
        ] {
            *count = told.unwrap_or(*count);
        }
        vec![Chunk::Usage(self.usage)]
    }
}

impl Decode for Decoder {
    fn is_done(&self) -> bool {
        self.done
    }

    fn event(&mut self, data: &str) -> Result<Vec<Chunk>, BackendError> {
        let event: Event = serde_json::from_str(data)
            .map_err(|_| garbage(&self.provider, "an event is not one of a message"))?;
        Ok(match event {
            Event::MessageStart { message } => self.count(message.usage),
            Event::ContentBlockStart {
                index,
                content_block: Block::ToolUse { id, name },
            } => {
                self.calls.add(index, Some(id), Some(name), "")?;
                Vec::new()
            }
            Event::ContentBlockStart {
                content_block: Block::Text { text },
                ..
            }
            | Event::ContentBlockDelta {
                delta: Delta::Text { text },
                ..
            } if !text.is_empty() => vec![Chunk::Delta(text)],
            Event::ContentBlockDelta {
                index,
                delta: Delta::InputJson { partial_json },
            } => {
                self.calls.add(index, None, None, &partial_json)?;
                Vec::new()
            }
            Event::MessageDelta { delta, usage } => {
                if let Some(reason) = delta.stop_reason {
                    self.finish = Some(finish(&reason)?);
                }
                self.count(usage)
            }
            Event::MessageStop => {
                self.done = true;
                self.calls.finish(self.finish.unwrap_or(StopReason::Stop))
            }
            Event::Error { error } => {
                let message = message_in(&json!({"error": error}))
                    .unwrap_or_else(|| "no reason given".to_owned());
                return Err(BackendError::Reported { message });
            }
            Event::ContentBlockStart { .. } | Event::ContentBlockDelta { .. } | Event::Other => {
                Vec::new()
            }
        })
    }

    /// With a reason given before, the answer is whole even without an end mark.
    fn end(&mut self) -> Result<Vec<Chunk>, BackendError> {
        let reason = self.finish.ok_or(BackendError::CutOff)?;
        self.done = true;
        Ok(self.calls.finish(reason))
    }
}

fn finish(reason: &str) -> Result<StopReason, BackendError> {
    match reason {
        "max_tokens" | "model_context_window_exceeded" => Ok(StopReason::Length),
        "refusal" => Err(BackendError::Reported {
            message: "the model declined to answer".to_owned(),
        }),
        // `tool_use` follows calls, which tell it themselves; unknown words must not lose a reply.
        _ => Ok(StopReason::Stop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::backend::Call;

    fn user(text: &str) -> Turn {
        Turn::User {
            text: text.into(),
            images: vec![],
        }
    }

    #[test]
    fn calls() {
        let picture = Image {
            mime: "image/png".into(),
            base64: "AAAA".into(),
        };
        let result = |id: &str, text: &str, is_error| Turn::Result {
            call_id: id.into(),
            text: text.into(),
            is_error,
        };
        let call = |id: &str, arguments| Call {
            id: id.into(),
            name: "read".into(),
            arguments,
        };
        let request = ModelRequest {
            model: "m".into(),
            system: "be kind".into(),
            turns: vec![
                user("a"),
                user(" "),
                Turn::User {
                    text: "look".into(),
                    images: vec![picture],
                },
                Turn::Assistant {
                    text: "b".into(),
                    calls: vec![call("1", json!({"path": "a"})), call("2", json!("{pa"))],
                },
                result("1", "line", false),
                result("2", "", true),
                user("c"),
            ],
            thinking: Some(Thinking::Low),
            tools: vec![ToolSpec {
                name: "read",
                description: "Reads.",
                parameters: json!({"type": "object"}),
            }]
            .into(),
            max_tokens: Some(100),
        };
        let sent: Value = serde_json::from_str(&super::call(&request)).unwrap();
        let expected = json!({
            "model": "m", "max_tokens": 2148, "stream": true,
            "system": [{"type": "text", "text": "be kind", "cache_control": {"type": "ephemeral"}}],
            "thinking": {"type": "enabled", "budget_tokens": 2048},
            "tools": [{"name": "read", "description": "Reads.", "input_schema": {"type": "object"}}],
            "messages": [
                {"role": "user", "content": [
                    {"type": "text", "text": "a"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                    {"type": "text", "text": "look"},
                ]},
                {"role": "assistant", "content": [
                    {"type": "text", "text": "b"},
                    {"type": "tool_use", "id": "1", "name": "read", "input": {"path": "a"}},
                    {"type": "tool_use", "id": "2", "name": "read", "input": {}},
                ]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "1", "content": [{"type": "text", "text": "line"}], "is_error": false},
                    {"type": "tool_result", "tool_use_id": "2", "content": [], "is_error": true},
                    {"type": "text", "text": "c"},
                ]},
            ]
        });
        assert_eq!(sent, expected);
        let plain = ModelRequest {
            system: String::new(),
            tools: Vec::new().into(),
            thinking: Some(Thinking::Off),
            max_tokens: None,
            turns: vec![user("a")],
            ..request.clone()
        };
        let after_a_tool = ModelRequest {
            turns: request.turns[..5].to_vec(),
            ..request
        };
        let sent: Value = serde_json::from_str(&super::call(&after_a_tool)).unwrap();
        assert_eq!(
            (sent.get("thinking"), &sent["max_tokens"]),
            (None, &json!(100))
        );
        let sent: Value = serde_json::from_str(&super::call(&plain)).unwrap();
        let expected = json!({
            "model": "m", "max_tokens": DEFAULT_MAX_TOKENS, "stream": true,
            "messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]
        });
        assert_eq!(sent, expected);
    }

    #[track_caller]
    fn check(events: &[&str], expected: Result<&[Chunk], &str>) {
        let mut decoder = Decoder::new("p");
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

    #[test]
    fn streams() {
        let start = r#"{"type":"message_start","message":{"id":"m","usage":{"input_tokens":7,"cache_read_input_tokens":3,"output_tokens":1}}}"#;
        let hello = r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hello"}}"#;
        let ending = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":5}}"#;
        let stop = r#"{"type":"message_stop"}"#;
        let text = || Chunk::Delta("hello".into());
        let counted = |output| {
            Chunk::Usage(Usage {
                input: 7,
                output,
                cache_read: 3,
                cache_write: 0,
            })
        };
        let done = || Chunk::Done(StopReason::Stop);
        check(
            &[
                start,
                r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
                r#"{"type":"ping"}"#,
                hello,
                r#"{"type":"content_block_stop","index":0}"#,
                ending,
                stop,
            ],
            Ok(&[counted(1), text(), counted(5), done()]),
        );
        check(
            &[start, hello, ending],
            Ok(&[counted(1), text(), counted(5), done()]),
        );
        check(&[hello, stop], Ok(&[text(), done()]));
        let cut = "model stream ended before the reply was complete";
        check(&[hello], Err(cut));
        check(&[], Err(cut));
        check(
            &[
                r#"{"type":"message_delta","delta":{"stop_reason":"max_tokens"}}"#,
                stop,
            ],
            Ok(&[Chunk::Done(StopReason::Length)]),
        );
        check(
            &[r#"{"type":"message_delta","delta":{"stop_reason":"refusal"}}"#],
            Err("model error: the model declined to answer"),
        );
        check(
            &[r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#],
            Err("model error: Overloaded"),
        );
        let garbage = "model provider \"p\" sent an answer that is not understood: an event is not one of a message";
        check(&[hello, "{"], Err(garbage));
        check(&["5"], Err(garbage));
        check(
            &[r#"{"type":"content_block_delta","index":0}"#],
            Err(garbage),
        );
        check(
            &[
                r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":""}}"#,
                r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}"#,
                r#"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"c","name":"read","input":{}}}"#,
                r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"path\":"}}"#,
                r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"\"a\"}"}}"#,
                r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"}}"#,
                stop,
            ],
            Ok(&[
                Chunk::Call(Call {
                    id: "c".into(),
                    name: "read".into(),
                    arguments: json!({"path": "a"}),
                }),
                Chunk::Done(StopReason::ToolUse),
            ]),
        );
    }
}
