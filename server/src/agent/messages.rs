//! Messages in the shape of the reference's transcripts: made when something is said, read when a model is asked.

use serde_json::{Number, Value, json};

use super::attachments::Image;
use super::backend::{Call, StopReason, Thought, Turn, Usage};
use super::models::Choice;
use super::tools::Output;
use crate::sessions::message::{self, role_of, text_of};

/// Role of what tools brought, and type of a call among the parts of a reply.
const TOOL_RESULT: &str = "toolResult";
const TOOL_CALL: &str = "toolCall";
/// Type of a thought among them, with the members of the reference's transcripts.
const THINKING: &str = "thinking";

/// What a user said.
pub(super) fn user(text: &str, images: &[Image], timestamp: u64) -> Value {
    let words = (!text.is_empty()).then(|| text_part(text));
    let images = images
        .iter()
        .map(|image| json!({"type": "image", "data": image.base64, "mimeType": image.mime}));
    let content: Vec<Value> = words.into_iter().chain(images).collect();
    json!({"role": "user", "content": content, "timestamp": timestamp})
}

/// How a reply ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    /// As the model meant it.
    Whole(StopReason),
    /// With an error; the text that the transcript keeps.
    Broken(String),
}

/// What a model said.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Said<'a> {
    /// The words.
    pub(super) text: &'a str,
    /// The tools that it called.
    pub(super) calls: &'a [Call],
    /// What it thought before.
    pub(super) thoughts: &'a [Thought],
}

/// What a model said and which tools it called, or what it failed to say.
pub(super) fn assistant(
    said: Said<'_>,
    choice: &Choice,
    usage: &Usage,
    ended: &Ended,
    timestamp: u64,
) -> Value {
    let words = (!said.text.is_empty()).then(|| text_part(said.text));
    let calls = said.calls.iter().map(|call| {
        json!({"type": TOOL_CALL, "id": call.id, "name": call.name, "arguments": call.arguments})
    });
    let thoughts = said.thoughts.iter().map(|thought| match thought {
        Thought::Open { text, signature } => {
            json!({"type": THINKING, "thinking": text, "thinkingSignature": signature})
        }
        Thought::Sealed { data } => {
            json!({"type": THINKING, "thinking": "", "thinkingSignature": data, "redacted": true})
        }
    });
    let content: Vec<Value> = thoughts.chain(words).chain(calls).collect();
    let mut message = json!({
        "role": "assistant",
        "content": content,
        "api": choice.api,
        "provider": choice.provider,
        "model": choice.model,
        "usage": {
            "input": usage.input,
            "output": usage.output,
            "cacheRead": usage.cache_read,
            "cacheWrite": usage.cache_write,
            "totalTokens": usage.total(),
        },
        "timestamp": timestamp,
    });
    if let Some(price) = choice.price(usage) {
        message["usage"]["cost"] = json!({
            "input": number(price.input),
            "output": number(price.output),
            "cacheRead": number(price.cache_read),
            "cacheWrite": number(price.cache_write),
            "total": number(price.total()),
        });
    }
    match ended {
        Ended::Whole(reason) => message["stopReason"] = json!(reason.as_str()),
        Ended::Broken(error) => {
            message["stopReason"] = json!("error");
            message["errorMessage"] = json!(error);
        }
    }
    message
}

fn text_part(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

/// A price without a fraction is written as an integer, as JavaScript does.
fn number(price: f64) -> Value {
    #[allow(clippy::cast_possible_truncation)] // whole and small
    let whole = price as i64;
    #[allow(clippy::cast_precision_loss)]
    let is_whole = whole.unsigned_abs() < 1 << 52 && whole as f64 == price;
    if is_whole {
        json!(whole)
    } else {
        Number::from_f64(price).map_or(Value::Null, Value::Number)
    }
}

/// What a tool brought.
pub(super) fn tool_result(call: &Call, output: &Output, timestamp: u64) -> Value {
    json!({
        "role": TOOL_RESULT,
        "toolCallId": call.id,
        "toolName": call.name,
        "content": output.content(),
        "isError": output.is_error,
        "timestamp": timestamp,
    })
}

/// A summary of all that was said before the last `kept` messages. Clients are not shown it: for them the conversation is
/// whole.
pub(super) fn compaction(summary: &str, kept: usize, timestamp: u64) -> Value {
    json!({
        "role": message::COMPACTION,
        "content": [text_part(summary)],
        "kept": kept,
        "timestamp": timestamp,
    })
}

/// A message as a model is told it; none for what models are not told, such as a reply that never came.
pub(super) fn turn(message: &Value, with_images: bool) -> Option<Turn> {
    let text = text_of(message);
    let images = || {
        if with_images {
            images_of(message)
        } else {
            Vec::new()
        }
    };
    match role_of(message) {
        "user" => {
            let images = images();
            Some(Turn::User { text, images })
        }
        "assistant" => {
            let calls = calls_of(message);
            let is_silent = text.trim().is_empty() && calls.is_empty();
            (!is_silent).then_some(Turn::Assistant {
                text,
                calls,
                thoughts: Vec::new(),
            })
        }
        TOOL_RESULT => Some(Turn::Result {
            call_id: message.get("toolCallId")?.as_str()?.to_owned(),
            text,
            images: images(),
            is_error: message.get("isError").and_then(Value::as_bool) == Some(true),
        }),
        _ => None,
    }
}

/// What `choice` thought before a message, if the message is its own: others can do nothing with it.
pub(super) fn thoughts(message: &Value, choice: &Choice) -> Vec<Thought> {
    let is_own = message.get("provider") == Some(&json!(choice.provider))
        && message.get("model") == Some(&json!(choice.model));
    let thought = |part: &Value| {
        (member(part, "type")? == THINKING).then_some(())?;
        let signature = member(part, "thinkingSignature")?;
        Some(match part.get("redacted").and_then(Value::as_bool) {
            Some(true) => Thought::Sealed { data: signature },
            _ => Thought::Open {
                text: member(part, "thinking")?,
                signature,
            },
        })
    };
    let parts = parts_of(message).filter(|_| is_own);
    parts.filter_map(thought).collect()
}

fn parts_of(message: &Value) -> impl Iterator<Item = &Value> {
    let parts = message.get("content").and_then(Value::as_array);
    parts.into_iter().flatten()
}

fn member(part: &Value, name: &str) -> Option<String> {
    part.get(name).and_then(Value::as_str).map(str::to_owned)
}

fn images_of(message: &Value) -> Vec<Image> {
    let image = |part: &Value| {
        (member(part, "type")? == "image").then_some(())?;
        Some(Image {
            mime: member(part, "mimeType")?,
            base64: member(part, "data")?,
        })
    };
    parts_of(message).filter_map(image).collect()
}

fn calls_of(message: &Value) -> Vec<Call> {
    let call = |part: &Value| {
        (member(part, "type")? == TOOL_CALL).then_some(())?;
        Some(Call {
            id: member(part, "id")?,
            name: member(part, "name")?,
            arguments: part.get("arguments").cloned().unwrap_or_default(),
        })
    };
    parts_of(message).filter_map(call).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Cost;

    fn said(text: &str) -> Said<'_> {
        Said {
            text,
            ..Said::default()
        }
    }

    fn choice(input_price: f64) -> Choice {
        Choice {
            provider: "mock".into(),
            model: "echo-1".into(),
            api: "openai-completions",
            context_tokens: 1000,
            max_tokens: None,
            reasoning: false,
            images: false,
            cost: Some(Cost {
                input: input_price,
                ..Cost::default()
            }),
        }
    }

    #[test]
    fn shapes_of_the_recordings() {
        let usage = Usage {
            input: 10,
            output: 5,
            ..Usage::default()
        };
        let free = choice(0.0);
        let whole = json!({
            "role": "assistant", "content": [{"type": "text", "text": "echo: hello"}],
            "api": "openai-completions", "provider": "mock", "model": "echo-1",
            "usage": {"input": 10, "output": 5, "cacheRead": 0, "cacheWrite": 0, "totalTokens": 15,
                "cost": {"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0, "total": 0}},
            "stopReason": "stop", "timestamp": 7
        });
        assert_eq!(
            assistant(
                said("echo: hello"),
                &free,
                &usage,
                &Ended::Whole(StopReason::Stop),
                7
            ),
            whole
        );
        let broken = assistant(
            Said::default(),
            &free,
            &Usage::default(),
            &Ended::Broken("400 no".into()),
            7,
        );
        assert_eq!(
            (
                &broken["content"],
                &broken["stopReason"],
                &broken["errorMessage"]
            ),
            (&json!([]), &json!("error"), &json!("400 no"))
        );
        let paid = assistant(
            Said::default(),
            &choice(50_000.0),
            &usage,
            &Ended::Whole(StopReason::Length),
            7,
        );
        assert_eq!(
            (&paid["usage"]["cost"]["input"], &paid["stopReason"]),
            (&json!(0.5), &json!("length"))
        );
        let unknown = Choice {
            cost: None,
            ..choice(0.0)
        };
        let stop = Ended::Whole(StopReason::Stop);
        let unpriced = assistant(Said::default(), &unknown, &usage, &stop, 7);
        assert_eq!(unpriced["usage"].get("cost"), None);
        let image = Image {
            mime: "image/png".into(),
            base64: "AAAA".into(),
        };
        let seen = json!({"role": "user", "content": [{"type": "text", "text": "look"}, {"type": "image", "data": "AAAA", "mimeType": "image/png"}], "timestamp": 7});
        assert_eq!(user("look", &[image], 7), seen);
        assert_eq!(user("", &[], 7)["content"], json!([]));
    }

    #[test]
    fn what_models_are_told() {
        let free = choice(0.0);
        let call = Call {
            id: "c".into(),
            name: "read".into(),
            arguments: json!({"path": "a"}),
        };
        let image = Image {
            mime: "image/png".into(),
            base64: "AAAA".into(),
        };
        let thoughts = [
            Thought::Open {
                text: "so".into(),
                signature: "s".into(),
            },
            Thought::Sealed { data: "d".into() },
        ];
        let asking = assistant(
            Said {
                text: "hm",
                calls: std::slice::from_ref(&call),
                thoughts: &thoughts,
            },
            &free,
            &Usage::default(),
            &Ended::Whole(StopReason::ToolUse),
            7,
        );
        let parts = json!([
            {"type": "thinking", "thinking": "so", "thinkingSignature": "s"},
            {"type": "thinking", "thinking": "", "thinkingSignature": "d", "redacted": true},
            {"type": "text", "text": "hm"},
            {"type": "toolCall", "id": "c", "name": "read", "arguments": {"path": "a"}},
        ]);
        assert_eq!(
            (&asking["content"], &asking["stopReason"]),
            (&parts, &json!("toolUse"))
        );
        let output = Output {
            text: "line\n".into(),
            pictures: vec![],
            is_error: false,
        };
        let result = tool_result(&call, &output, 7);
        let recorded = json!({
            "role": "toolResult", "toolCallId": "c", "toolName": "read",
            "content": [{"type": "text", "text": "line\n"}], "isError": false, "timestamp": 7
        });
        assert_eq!(result, recorded);
        let shown = Output {
            pictures: vec![image.clone()],
            ..output
        };
        let shown = tool_result(&call, &shown, 7);
        assert_eq!(
            shown["content"][1],
            json!({"type": "image", "data": "AAAA", "mimeType": "image/png"})
        );
        let brought = |images: Vec<Image>| Turn::Result {
            call_id: "c".into(),
            text: "line\n".into(),
            images,
            is_error: false,
        };
        let pictures = |images: Vec<Image>| Turn::User {
            text: "look".into(),
            images,
        };
        let seen = user("look", std::slice::from_ref(&image), 7);
        let broken = Ended::Broken("no".into());
        for (message, with_images, told) in [
            (&seen, true, Some(pictures(vec![image.clone()]))),
            (&seen, false, Some(pictures(vec![]))),
            (
                &asking,
                false,
                Some(Turn::Assistant {
                    text: "hm".into(),
                    calls: vec![call],
                    thoughts: vec![],
                }),
            ),
            (&result, false, Some(brought(vec![]))),
            (&shown, true, Some(brought(vec![image]))),
            (&shown, false, Some(brought(vec![]))),
            (
                &assistant(said(" "), &free, &Usage::default(), &broken, 7),
                false,
                None,
            ),
            (&compaction("old", 3, 7), false, None),
        ] {
            assert_eq!(turn(message, with_images), told, "{message}");
        }
        assert_eq!(super::thoughts(&asking, &free), thoughts);
        let another = Choice {
            model: "echo-2".into(),
            ..free
        };
        assert_eq!(super::thoughts(&asking, &another), []);
    }
}
