//! Messages in the shape of the reference's transcripts: made when something is said, read when a model is asked.

use std::collections::VecDeque;

use serde_json::value::RawValue;
use serde_json::{Number, Value, json};

use super::attachments::Image;
use super::backend::{StopReason, Turn, Usage};
use super::models::Choice;
use crate::sessions::message::{role_of, text_of};
use crate::sessions::transcript;
use crate::store::{Reader, StoreError};

/// Most messages of a transcript that a model is told.
const MAX_CONTEXT_MESSAGES: usize = 500;
/// Most bytes of JSON that are read for it: bounds one call's memory, whatever the model's window.
const MAX_CONTEXT_BYTES: usize = 8 * 1024 * 1024;
/// Bytes of text that are taken for a token, on the safe side for English: the rest of the window is for the reply.
const BYTES_PER_TOKEN: u64 = 3;
/// What an image counts for, in bytes of text.
const IMAGE_COST: u64 = 4_000;

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

/// What a model said, or failed to say.
pub(super) fn assistant(
    text: &str,
    choice: &Choice,
    usage: &Usage,
    ended: &Ended,
    timestamp: u64,
) -> Value {
    let content: Vec<Value> = (!text.is_empty())
        .then(|| text_part(text))
        .into_iter()
        .collect();
    let price = choice.price(usage);
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
            "cost": {
                "input": number(price.input),
                "output": number(price.output),
                "cacheRead": number(price.cache_read),
                "cacheWrite": number(price.cache_write),
                "total": number(price.total()),
            },
        },
        "timestamp": timestamp,
    });
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

/// The conversation so far, as far as it fits `choice`'s context window, oldest turn first. Begins with a user's turn.
pub(super) fn turns(
    reader: &Reader<'_>,
    session_id: &str,
    choice: &Choice,
) -> Result<Vec<Turn>, StoreError> {
    let parse = |text: &RawValue| serde_json::from_str::<Value>(text.get()).ok();
    let stored = transcript::tail(
        reader,
        session_id,
        MAX_CONTEXT_MESSAGES,
        MAX_CONTEXT_BYTES,
        parse,
    )?;
    let budget = choice.context_tokens.saturating_mul(BYTES_PER_TOKEN);
    let (mut turns, mut cost) = (VecDeque::new(), 0);
    for message in stored.iter().rev() {
        let Some(turn) = turn(message, choice.images) else {
            continue;
        };
        cost += cost_of(&turn);
        if cost > budget && !turns.is_empty() {
            break;
        }
        turns.push_front(turn);
    }
    while matches!(turns.front(), Some(Turn::Assistant { .. })) {
        turns.pop_front();
    }
    Ok(turns.into())
}

/// A message as a model is told it; none for what models are not told, such as a reply that never came.
fn turn(message: &Value, with_images: bool) -> Option<Turn> {
    let text = text_of(message);
    match role_of(message) {
        "user" => {
            let images = if with_images {
                images_of(message)
            } else {
                Vec::new()
            };
            Some(Turn::User { text, images })
        }
        "assistant" if !text.trim().is_empty() => Some(Turn::Assistant { text }),
        _ => None,
    }
}

fn images_of(message: &Value) -> Vec<Image> {
    let parts = message
        .get("content")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let image = |part: &Value| {
        let member = |name: &str| part.get(name).and_then(Value::as_str).map(str::to_owned);
        (member("type")? == "image").then_some(())?;
        Some(Image {
            mime: member("mimeType")?,
            base64: member("data")?,
        })
    };
    parts.filter_map(image).collect()
}

fn cost_of(turn: &Turn) -> u64 {
    match turn {
        Turn::User { text, images } => text.len() as u64 + images.len() as u64 * IMAGE_COST,
        Turn::Assistant { text } => text.len() as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Cost;
    use crate::sessions::open_in;

    fn choice(context_tokens: u64, images: bool, input_price: f64) -> Choice {
        Choice {
            provider: "mock".into(),
            model: "echo-1".into(),
            api: "openai-completions",
            context_tokens,
            reasoning: false,
            images,
            cost: Cost {
                input: input_price,
                ..Cost::default()
            },
        }
    }

    #[test]
    fn shapes_of_the_recordings() {
        let usage = Usage {
            input: 10,
            output: 5,
            ..Usage::default()
        };
        let free = choice(1000, false, 0.0);
        let whole = json!({
            "role": "assistant", "content": [{"type": "text", "text": "echo: hello"}],
            "api": "openai-completions", "provider": "mock", "model": "echo-1",
            "usage": {"input": 10, "output": 5, "cacheRead": 0, "cacheWrite": 0, "totalTokens": 15,
                "cost": {"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0, "total": 0}},
            "stopReason": "stop", "timestamp": 7
        });
        assert_eq!(
            assistant(
                "echo: hello",
                &free,
                &usage,
                &Ended::Whole(StopReason::Stop),
                7
            ),
            whole
        );
        let broken = assistant(
            "",
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
            "",
            &choice(1000, false, 50_000.0),
            &usage,
            &Ended::Whole(StopReason::Length),
            7,
        );
        assert_eq!(
            (&paid["usage"]["cost"]["input"], &paid["stopReason"]),
            (&json!(0.5), &json!("length"))
        );
        let image = Image {
            mime: "image/png".into(),
            base64: "AAAA".into(),
        };
        let seen = json!({"role": "user", "content": [{"type": "text", "text": "look"}, {"type": "image", "data": "AAAA", "mimeType": "image/png"}], "timestamp": 7});
        assert_eq!(user("look", &[image], 7), seen);
        assert_eq!(user("", &[], 7)["content"], json!([]));
    }

    async fn told(messages: Vec<Value>, choice: &Choice) -> Vec<Turn> {
        let dir = tempfile::tempdir().unwrap();
        let sessions = open_in(dir.path());
        let write = sessions.write(move |changes| {
            for message in &messages {
                changes.append("s", message)?;
            }
            Ok(())
        });
        write.await.unwrap();
        sessions.read(|reader| turns(reader, "s", choice)).unwrap()
    }

    fn said(text: &str) -> Turn {
        Turn::User {
            text: text.into(),
            images: vec![],
        }
    }

    #[tokio::test]
    async fn what_a_model_is_told() {
        let reply = |text: &str, ended| {
            assistant(text, &choice(1, false, 0.0), &Usage::default(), &ended, 0)
        };
        let whole = || Ended::Whole(StopReason::Stop);
        let image = Image {
            mime: "image/png".into(),
            base64: "AAAA".into(),
        };
        let talk = vec![
            reply("greeting", whole()),
            user("one", std::slice::from_ref(&image), 0),
            reply("", Ended::Broken("400 no".into())),
            json!({"role": "toolResult", "content": [{"type": "text", "text": "x"}]}),
            user("two", &[], 0),
            reply("half", Ended::Broken("cut".into())),
            user("three", &[], 0),
        ];
        let half = || Turn::Assistant {
            text: "half".into(),
        };
        let blind = told(talk.clone(), &choice(1000, false, 0.0)).await;
        assert_eq!(blind, [said("one"), said("two"), half(), said("three")]);
        let seeing = told(talk.clone(), &choice(100_000, true, 0.0)).await;
        assert_eq!(
            seeing[0],
            Turn::User {
                text: "one".into(),
                images: vec![image]
            }
        );
        // 3 bytes a token: "three" and "half" take 9, "two" would take 3 more.
        assert_eq!(
            told(talk.clone(), &choice(4, false, 0.0)).await,
            [said("two"), half(), said("three")]
        );
        assert_eq!(
            told(talk.clone(), &choice(3, false, 0.0)).await,
            [said("three")]
        );
        assert_eq!(told(talk, &choice(0, false, 0.0)).await, [said("three")]);
        assert_eq!(told(vec![], &choice(9, false, 0.0)).await, []);
    }

    #[tokio::test]
    async fn the_number_of_messages_is_bounded() {
        let long: Vec<Value> = (0..=MAX_CONTEXT_MESSAGES)
            .map(|n| user(&n.to_string(), &[], 0))
            .collect();
        let told = told(long, &choice(1_000_000, false, 0.0)).await;
        assert_eq!((told.len(), &told[0]), (MAX_CONTEXT_MESSAGES, &said("1")));
    }
}
