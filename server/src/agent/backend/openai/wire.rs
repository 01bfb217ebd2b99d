//! The wire form of OpenAI-compatible chat completions: what is sent, and how a streamed answer is read. Pure.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::{BackendError, Chunk, ModelRequest, StopReason, Turn, Usage};
use crate::agent::words::Thinking;

/// Longest text of a provider's error that is passed on, in characters.
const MAX_MESSAGE: usize = 500;
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
}

/// The JSON text of a call.
pub(super) fn call(request: &ModelRequest) -> String {
    let system =
        (!request.system.is_empty()).then(|| json!({"role": "system", "content": request.system}));
    let call = Call {
        model: &request.model,
        messages: system
            .into_iter()
            .chain(request.turns.iter().map(message))
            .collect(),
        stream: true,
        stream_options: json!({"include_usage": true}),
        reasoning_effort: request
            .thinking
            .filter(|level| *level != Thinking::Off)
            .map(Thinking::as_str),
    };
    json!(call).to_string()
}

fn message(turn: &Turn) -> Value {
    match turn {
        Turn::Assistant { text } => json!({"role": "assistant", "content": text}),
        Turn::User { text, images } if images.is_empty() => {
            json!({"role": "user", "content": text})
        }
        Turn::User { text, images } => {
            let words = (!text.is_empty()).then(|| json!({"type": "text", "text": text}));
            let images = images.iter().map(|image| {
                json!({"type": "image_url", "image_url": {"url": format!("data:{};base64,{}", image.mime, image.base64)}})
            });
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
    function: Option<Function>,
}

#[derive(Debug, Deserialize)]
struct Function {
    #[serde(default)]
    name: Option<String>,
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
    finish: Option<StopReason>,
    done: bool,
}

impl Decoder {
    pub(super) fn new(provider: &str) -> Self {
        Self {
            provider: provider.to_owned(),
            finish: None,
            done: false,
        }
    }

    /// Whether the answer is complete.
    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// The chunks that an event's data means.
    pub(super) fn event(&mut self, data: &str) -> Result<Vec<Chunk>, BackendError> {
        if data.trim() == DONE {
            self.done = true;
            // Some servers never give a reason; their own end mark is as good.
            return Ok(vec![Chunk::Done(self.finish.unwrap_or(StopReason::Stop))]);
        }
        let event: Event = serde_json::from_str(data)
            .map_err(|_| self.garbage("an event is not a completion chunk"))?;
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
            let named = |call: ToolCall| call.function?.name.filter(|name| !name.is_empty());
            let calls = delta.tool_calls.into_iter().flatten().filter_map(named);
            chunks.extend(calls.map(|name| Chunk::ToolCall { name }));
            if let Some(reason) = choice.finish_reason {
                self.finish = Some(finish(&reason)?);
            }
        }
        chunks.extend(event.usage.map(|counts| Chunk::Usage(counts.into())));
        Ok(chunks)
    }

    /// The connection has ended: with a reason given before, the answer is whole even without an end mark.
    pub(super) fn end(&mut self) -> Result<Chunk, BackendError> {
        self.done = true;
        self.finish.map(Chunk::Done).ok_or(BackendError::CutOff)
    }

    /// What arrived cannot be read.
    pub(super) fn garbage(&self, what: &str) -> BackendError {
        BackendError::Garbage {
            provider: self.provider.clone(),
            what: what.to_owned(),
        }
    }
}

fn finish(reason: &str) -> Result<StopReason, BackendError> {
    match reason {
        "length" => Ok(StopReason::Length),
        "content_filter" => Err(BackendError::Reported {
            message: "the provider's content filter ended the reply".to_owned(),
        }),
        // `tool_calls` follows calls, which are an error of their own; unknown words must not lose a reply.
        _ => Ok(StopReason::Stop),
    }
}

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
            (!line.is_empty() && !line.starts_with(['<', '{', '['])).then(|| shorten(line))
        });
    BackendError::Refused {
        status,
        message: message.unwrap_or_else(|| reason.to_owned()),
    }
}

/// The message in an error body, in the places where servers put it.
fn message_in(body: &Value) -> Option<String> {
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
    (!message.is_empty()).then(|| shorten(message))
}

fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(MAX_MESSAGE).collect();
    if short.len() < text.len() {
        short.push_str("...");
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::attachments::Image;

    #[test]
    fn calls() {
        let image = Image {
            mime: "image/png".into(),
            base64: "AAAA".into(),
        };
        let request = ModelRequest {
            model: "m".into(),
            system: "be kind".into(),
            turns: vec![
                Turn::User {
                    text: "a".into(),
                    images: vec![],
                },
                Turn::Assistant { text: "b".into() },
                Turn::User {
                    text: String::new(),
                    images: vec![image],
                },
            ],
            thinking: Some(Thinking::High),
        };
        let sent: Value = serde_json::from_str(&call(&request)).unwrap();
        let expected = json!({
            "model": "m", "stream": true, "stream_options": {"include_usage": true}, "reasoning_effort": "high",
            "messages": [
                {"role": "system", "content": "be kind"},
                {"role": "user", "content": "a"},
                {"role": "assistant", "content": "b"},
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]}
            ]
        });
        assert_eq!(sent, expected);
        for thinking in [None, Some(Thinking::Off)] {
            let quiet = ModelRequest {
                thinking,
                system: String::new(),
                ..request.clone()
            };
            let sent: Value = serde_json::from_str(&call(&quiet)).unwrap();
            assert_eq!(
                (
                    sent.get("reasoning_effort"),
                    sent["messages"].as_array().unwrap().len()
                ),
                (None, 3)
            );
        }
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
                chunks.push(decoder.end()?);
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

    fn text(text: &str) -> Chunk {
        Chunk::Delta(text.to_owned())
    }

    #[test]
    fn streams() {
        const DONE: &str = "[DONE]";
        let hello = r#"{"choices":[{"index":0,"delta":{"content":"hello"},"finish_reason":null}]}"#;
        let stop = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
        let usage = r#"{"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":4}}}"#;
        let counted = Chunk::Usage(Usage {
            input: 6,
            output: 5,
            cache_read: 4,
            cache_write: 0,
        });
        let done = Chunk::Done(StopReason::Stop);
        check(
            &[hello, stop, usage, DONE],
            Ok(&[text("hello"), counted.clone(), done.clone()]),
        );
        check(
            &[hello, stop, usage],
            Ok(&[text("hello"), counted, done.clone()]),
        );
        check(&[hello, DONE], Ok(&[text("hello"), done.clone()]));
        check(
            &[hello],
            Err("model stream ended before the reply was complete"),
        );
        check(&[], Err("model stream ended before the reply was complete"));
        let length = r#"{"choices":[{"delta":null,"finish_reason":"length"}],"usage":null}"#;
        check(
            &[hello, length, DONE],
            Ok(&[text("hello"), Chunk::Done(StopReason::Length)]),
        );
        check(
            &[r#"{"choices":[{"finish_reason":"content_filter"}]}"#],
            Err("model error: the provider's content filter ended the reply"),
        );
        check(
            &[r#"{"error":{"message":"overloaded"}}"#],
            Err("model error: overloaded"),
        );
        check(
            &[r#"{"error":"overloaded"}"#],
            Err("model error: overloaded"),
        );
        check(
            &[r#"{"error":{"code":5}}"#],
            Err("model error: no reason given"),
        );
        check(
            &[hello, "{"],
            Err(
                "model provider \"p\" sent an answer that is not understood: an event is not a completion chunk",
            ),
        );
        check(
            &["5"],
            Err(
                "model provider \"p\" sent an answer that is not understood: an event is not a completion chunk",
            ),
        );
        let call = r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"read","arguments":""}}]}}]}"#;
        let arguments = r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]},"finish_reason":"tool_calls"}]}"#;
        check(
            &[call, arguments, DONE],
            Ok(&[
                Chunk::ToolCall {
                    name: "read".into(),
                },
                done,
            ]),
        );
    }

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
