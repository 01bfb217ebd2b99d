//! `/v1/responses` (contract 10.7): a turn of an agent in the form of OpenAI's responses.
//!
//! [`request`] reads what is asked, [`reply`] writes what came of it; [`answer`] is called by [`super::api`].

mod reply;
mod request;
#[cfg(test)]
mod tests;

use futures_util::stream::{self, StreamExt};
use hyper::{HeaderMap, StatusCode};
use serde_json::Value;

use super::Calls;
use super::answer::{self, Response};
use super::openai::{Address, NO_WORDS, failed, now_seconds};
use super::turn::{Piece, Turns};
use super::{api, sse};
use reply::Telling;

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
    let session_key = address.session_key("openresponses", asked.user.as_deref(), || {
        turns.runs.default_agent()
    });
    let mut telling = Telling::new(asked.model.clone(), now_seconds(turns));
    let is_stream = asked.is_stream;
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
            Ok(reply) => {
                let text = Some(reply.text.as_str()).filter(|text| !text.is_empty());
                let whole = telling.completed(text.unwrap_or(NO_WORDS), &reply);
                answer::json(StatusCode::OK, &whole)
            }
            Err(message) => failed(&telling.failed(&message)),
        };
    }
    let first = stream::iter([telling.opening()]);
    let rest = turn.pieces().map(move |piece| match piece {
        Piece::Pulse => sse::PULSE.to_owned(),
        Piece::Text(text) => telling.delta(&text),
        Piece::End(Ok(reply)) => telling.closing(&reply) + sse::DONE,
        Piece::End(Err(message)) => telling.failure(&message) + sse::DONE,
    });
    answer::events(first.chain(rest))
}
