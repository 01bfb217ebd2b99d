//! `/v1/chat/completions` (contract 10.6, odd 49): a turn of an agent in the form of OpenAI's chat completions.
//!
//! [`request`] reads what is asked, [`reply`] writes what came of it; [`answer`] is called by [`super::api`].

mod address;
mod reply;
mod request;
#[cfg(test)]
mod tests;

use futures_util::stream::{self, StreamExt};
use hyper::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::Calls;
use super::answer::{self, Response};
use super::turn::{Piece, Turns};
use super::{api, sse};

pub(super) use address::Address;
pub(super) use request::{Role, Said, picture, prompt};

/// The reply where an agent said nothing.
pub(super) const NO_WORDS: &str = "No response from OpenClaw.";

/// Tells clients that retry by themselves not to: a run that failed has done what it did.
const DO_NOT_RETRY: (&str, &str) = ("x-should-retry", "false");

/// Answers a request whose sender may ask.
pub(super) async fn answer(
    turns: &Turns,
    headers: &HeaderMap,
    asked: Value,
    calls: &Calls,
) -> Response {
    let asked = match request::Asked::read(asked) {
        Ok(asked) => asked,
        Err(problem) => return api::invalid(&problem),
    };
    let address = Address::of(headers, &asked.model);
    let session_key = address.session_key("openai", asked.user.as_deref(), || {
        turns.runs.default_agent()
    });
    let names = reply::Names::new(asked.model.clone(), now_seconds(turns));
    let (is_stream, with_usage) = (asked.is_stream, asked.with_usage);
    let order = match asked.order(address.agent, session_key) {
        Ok(order) => order,
        Err(problem) => return api::invalid(&problem),
    };
    let turn = match turns.begin(order, calls).await {
        Ok(turn) => turn,
        Err(error) => return api::refused(&error),
    };
    if !is_stream {
        return match turn.ended().await {
            Ok(reply) => answer::json(StatusCode::OK, &names.completion(&reply)),
            Err(message) => failed(&json!({"error": {"message": message, "type": "api_error"}})),
        };
    }
    let first = stream::iter([sse::data(&names.opening())]);
    let mut is_silent = true;
    let rest = turn.pieces().map(move |piece| match piece {
        Piece::Pulse => sse::PULSE.to_owned(),
        Piece::Text(text) => {
            is_silent = false;
            sse::data(&names.delta(&text))
        }
        Piece::End(Ok(reply)) => {
            let mut texts = String::new();
            if is_silent {
                texts.push_str(&sse::data(&names.delta(NO_WORDS)));
            }
            texts.push_str(&sse::data(&names.closing()));
            if with_usage {
                texts.push_str(&sse::data(&names.usage(&reply)));
            }
            texts.push_str(sse::DONE);
            texts
        }
        Piece::End(Err(message)) => sse::data(&names.failure(&message)) + sse::DONE,
    });
    answer::events(first.chain(rest))
}

/// The answer to a request whose run failed.
pub(super) fn failed(value: &Value) -> Response {
    let mut response = answer::json(StatusCode::INTERNAL_SERVER_ERROR, value);
    let (name, value) = DO_NOT_RETRY;
    response.headers_mut().insert(
        hyper::header::HeaderName::from_static(name),
        hyper::header::HeaderValue::from_static(value),
    );
    response
}

/// The wall clock as these interfaces show it.
pub(super) fn now_seconds(turns: &Turns) -> u64 {
    turns.runs.parts().clock.now_ms() / 1000
}
