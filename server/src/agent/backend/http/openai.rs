//! The wire form of OpenAI-compatible chat completions: what is sent, and how a streamed answer is read. Pure.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::{BackendError, Chunk, ModelRequest, StopReason, ToolSpec, Turn, Usage};
use super::calls::Calls;
use super::refusal::message_in;
use super::{Decode, garbage};
use crate::agent::attachments::Image;
use crate::agent::words::Thinking;

/// Data of the event that ends a stream.
const DONE: &str = "[DONE]";

/// Body of a call.
#[derive(Debug, Serialize)]
struct Call<'a> {
    model: &'a str,
    messages: Vec<Value>,
    stream: bool,
    stream_options: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_effort: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Value>,
}

/// The JSON text of a call.
pub(super) fn call(request: &ModelRequest) -> String {
    let system =
        (!request.system.is_empty()).then(|| json!({"role": "system", "content": request.system}));
    let call = Call {
        model: &request.model,
        messages: system.into_iter().chain(messages(&request.turns)).collect(),
        stream: true,
        stream_options: json!({"include_usage": true}),
        reasoning_effort: request
            .thinking
            .filter(|level| *level != Thinking::Off)
            .map(Thinking::as_str),
        tools: request.tools.iter().map(tool).collect(),
    };
    json!(call).to_string()
}

fn tool(spec: &ToolSpec) -> Value {
    json!({"type": "function", "function": {
        "name": spec.name, "description": spec.description, "parameters": spec.parameters,
    }})
}

/// The conversation. The API takes no pictures in the results of tools: they follow the last of a reply's results, as if
/// the user had sent them.
fn messages(turns: &[Turn]) -> Vec<Value> {
    let mut messages = Vec::with_capacity(turns.len());
    let mut shown = Vec::new();
    for turn in turns {
        if !matches!(turn, Turn::Result { .. }) {
            show(&mut messages, &mut shown);
        }
        messages.push(message(turn));
        shown.extend(pictures(turn));
    }
    show(&mut messages, &mut shown);
    messages
}

fn show(messages: &mut Vec<Value>, shown: &mut Vec<Value>) {
    if !shown.is_empty() {
        messages.push(json!({"role": "user", "content": std::mem::take(shown)}));
    }
}

/// The pictures of a result with a word about where they come from.
fn pictures(turn: &Turn) -> Vec<Value> {
    match turn {
        Turn::Result {
            call_id, images, ..
        } if !images.is_empty() => {
            let words = format!("[What the tool call {call_id} shows]");
            let words = std::iter::once(json!({"type": "text", "text": words}));
            words.chain(images.iter().map(picture)).collect()
        }
        _ => Vec::new(),
    }
}

fn picture(image: &Image) -> Value {
    let url = format!("data:{};base64,{}", image.mime, image.base64);
    json!({"type": "image_url", "image_url": {"url": url}})
}

fn message(turn: &Turn) -> Value {
    match turn {
        Turn::Assistant { text, calls, .. } if calls.is_empty() => {
            json!({"role": "assistant", "content": text})
        }
        Turn::Assistant { text, calls, .. } => {
            let calls = calls.iter().map(|call| {
                let arguments = match &call.arguments {
                    Value::String(text) => text.clone(),
                    object => object.to_string(),
                };
                json!({"id": call.id, "type": "function",
                    "function": {"name": call.name, "arguments": arguments}})
            });
            // Beside calls an empty text is no content: some servers refuse it.
            let content = (!text.is_empty()).then_some(text);
            json!({"role": "assistant", "content": content, "tool_calls": calls.collect::<Vec<_>>()})
        }
        Turn::Result { call_id, text, .. } => {
            json!({"role": "tool", "tool_call_id": call_id, "content": text})
        }
        Turn::User { text, images } if images.is_empty() => {
            json!({"role": "user", "content": text})
        }
        Turn::User { text, images } => {
            let words = (!text.is_empty()).then(|| json!({"type": "text", "text": text}));
            let images = images.iter().map(picture);
            json!({"role": "user", "content": words.into_iter().chain(images).collect::<Vec<_>>()})
        }
    }
}

/// One event of a streamed answer. Everything may be missing: servers differ.
#[derive(Debug, Deserialize)]
struct Event {
    #[serde(default)]
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<Counts>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Choice {
    #[serde(default)]
    delta: Option<Delta>,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Delta {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    tool_calls: Option<Vec<ToolCall>>,
}

#[derive(Debug, Deserialize)]
struct ToolCall {
    #[serde(default)]
    index: Option<u64>,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    function: Option<Function>,
}

#[derive(Debug, Deserialize)]
struct Function {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    arguments: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Counts {
    #[serde(default)]
    prompt_tokens: Option<u64>,
    #[serde(default)]
    completion_tokens: Option<u64>,
    #[serde(default)]
    prompt_tokens_details: Option<PromptDetails>,
}

#[derive(Debug, Deserialize)]
struct PromptDetails {
    #[serde(default)]
    cached_tokens: Option<u64>,
}

impl From<Counts> for Usage {
    fn from(counts: Counts) -> Self {
        let cached = counts
            .prompt_tokens_details
            .and_then(|details| details.cached_tokens)
            .unwrap_or(0);
        let prompt = counts.prompt_tokens.unwrap_or(0);
        Self {
            // Cached tokens are part of the prompt's count.
            input: prompt.saturating_sub(cached),
            output: counts.completion_tokens.unwrap_or(0),
            cache_read: cached.min(prompt),
            cache_write: 0,
        }
    }
}

/// Reads the events of one answer.
#[derive(Debug)]
pub(super) struct Decoder {
    provider: String,
    calls: Calls,
    finish: Option<StopReason>,
    done: bool,
}

impl Decoder {
    pub(super) fn new(provider: &str) -> Self {
        Self {
            provider: provider.to_owned(),
            calls: Calls::default(),
            finish: None,
            done: false,
        }
    }

    /// The calls and the end of a reply that is complete.
    fn finished(&mut self, reason: StopReason) -> Vec<Chunk> {
        self.done = true;
        self.calls.finish(reason)
    }
}

impl Decode for Decoder {
    fn is_done(&self) -> bool {
        self.done
    }

    fn event(&mut self, data: &str) -> Result<Vec<Chunk>, BackendError> {
        if data.trim() == DONE {
            // Some servers never give a reason; their own end mark is as good.
            return Ok(self.finished(self.finish.unwrap_or(StopReason::Stop)));
        }
        let event: Event = serde_json::from_str(data)
            .map_err(|_| garbage(&self.provider, "an event is not a completion chunk"))?;
        if let Some(error) = event.error.filter(|error| !error.is_null()) {
            let message = message_in(&json!({"error": error}))
                .unwrap_or_else(|| "no reason given".to_owned());
            return Err(BackendError::Reported { message });
        }
        let mut chunks = Vec::new();
        for choice in event.choices {
            let delta = choice.delta.unwrap_or_default();
            if let Some(text) = delta.content.filter(|text| !text.is_empty()) {
                chunks.push(Chunk::Delta(text));
            }
            for (position, call) in delta.tool_calls.into_iter().flatten().enumerate() {
                let (name, arguments) = call
                    .function
                    .map_or((None, None), |function| (function.name, function.arguments));
                self.calls.add(
                    call.index.unwrap_or(position as u64),
                    call.id,
                    name,
                    arguments.as_deref().unwrap_or_default(),
                )?;
            }
            if let Some(reason) = choice.finish_reason {
                self.finish = Some(finish(&reason)?);
            }
        }
        chunks.extend(event.usage.map(|counts| Chunk::Usage(counts.into())));
        Ok(chunks)
    }

    /// With a reason given before, the answer is whole even without an end mark.
    fn end(&mut self) -> Result<Vec<Chunk>, BackendError> {
        let reason = self.finish.ok_or(BackendError::CutOff)?;
        Ok(self.finished(reason))
    }
}

fn finish(reason: &str) -> Result<StopReason, BackendError> {
    match reason {
        "length" => Ok(StopReason::Length),
        "content_filter" => Err(BackendError::Reported {
            message: "the provider's content filter ended the reply".to_owned(),
        }),
        // `tool_calls` follows calls, which tell it themselves; unknown words must not lose a reply.
        _ => Ok(StopReason::Stop),
    }
}

#[cfg(test)]
mod tests;
