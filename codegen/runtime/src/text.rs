//! Texts of frames that generated code writes, on top of the response frames of `answer`.

use serde::Serialize;

use crate::answer::{Answer, Failure, Staged, error_frame, ok_frame};

/// Room for the head of an event and a small payload, so that most events allocate once.
const EVENT_CAPACITY: usize = 512;

/// Fills the placeholders of a fixed text: `fill("no {x}", &[("x", "tea")])` is `no tea`.
/// Values are not searched for further placeholders.
pub fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(template.len() + 32);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let value = after.split_once('}').and_then(|(name, tail)| {
            let (_, value) = values.iter().find(|(known, _)| *known == name)?;
            Some((*value, tail))
        });
        match value {
            Some((value, tail)) => {
                out.push_str(value);
                rest = tail;
            }
            None => {
                out.push('{');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

/// The text of an event frame up to the end of its payload; `head` is everything before it.
pub fn frame_start(head: &str, payload: &impl Serialize) -> Vec<u8> {
    let mut text = Vec::with_capacity(EVENT_CAPACITY);
    text.extend_from_slice(head.as_bytes());
    let start = text.len();
    if serde_json::to_writer(&mut text, payload).is_err() {
        // Only a defect of ours gets here; a client ignores an event without content.
        text.truncate(start);
        text.extend_from_slice(b"null");
    }
    text
}

/// The answer of a method with one response.
pub fn answer<T: Serialize, E: Serialize>(id: &str, outcome: Result<T, E>) -> Answer {
    Answer::One(match outcome {
        Ok(payload) => ok_frame(id, &payload),
        Err(error) => error_frame(id, &error, None::<&()>),
    })
}

/// The answer of a method whose errors may carry a payload.
pub fn answer_failing<T: Serialize, E: Serialize, X: Serialize>(
    id: &str,
    outcome: Result<T, Failure<E, X>>,
) -> Answer {
    Answer::One(last_frame(id, outcome))
}

/// The answer of a method with a result in two stages.
pub fn answer_staged<A, F, E, X>(id: String, outcome: Result<Staged<A, F, E, X>, E>) -> Answer
where
    A: Serialize + 'static,
    F: Serialize + Send + 'static,
    E: Serialize + Send + 'static,
    X: Serialize + Send + 'static,
{
    match outcome {
        Err(error) => Answer::One(error_frame(&id, &error, None::<&()>)),
        Ok(Staged::First(first)) => Answer::One(ok_frame(&id, &first)),
        Ok(Staged::Final(outcome)) => Answer::One(last_frame(&id, outcome)),
        Ok(Staged::Both { first, then }) => Answer::Two {
            first: ok_frame(&id, &first),
            then: Box::pin(async move { last_frame(&id, then.await) }),
        },
    }
}

fn last_frame<T: Serialize, E: Serialize, X: Serialize>(
    id: &str,
    outcome: Result<T, Failure<E, X>>,
) -> Vec<u8> {
    match outcome {
        Ok(payload) => ok_frame(id, &payload),
        Err(Failure { error, payload }) => error_frame(id, &error, payload.as_ref()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders() {
        for (template, values, expected) in [
            ("plain", &[][..], "plain"),
            ("no {x}, no {y}", &[("x", "a"), ("y", "b")], "no a, no b"),
            ("{unknown} stays", &[("x", "a")], "{unknown} stays"),
            ("{x}", &[("x", "{x}")], "{x}"),
            ("open {", &[("x", "a")], "open {"),
        ] {
            assert_eq!(fill(template, values), expected, "{template}");
        }
    }

    #[test]
    fn event_head_and_payload() {
        let text = frame_start("{\"payload\":", &serde_json::json!({"a": 1}));
        assert_eq!(text, b"{\"payload\":{\"a\":1}");
    }
}
