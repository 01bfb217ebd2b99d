//! What a model is told of a conversation: as much of it as fits its window. The transcript itself stays whole.
//!
//! Three means, mildest first: results of tools that are long past are cut ([`fit::prune`]), older messages are replaced by a
//! summary that a model writes once ([`Stored::plan`]), and what still does not fit is left out, oldest first
//! ([`fit::newest`]). Called by [`super::converse`].

mod fit;
mod summary;
#[cfg(test)]
mod tests;

use serde_json::Value;
use serde_json::value::RawValue;

use super::backend::Turn;
use super::messages;
use super::models::Choice;
use crate::sessions::message::{self, role_of, text_of};
use crate::sessions::transcript;
use crate::store::{Reader, StoreError};

/// Most messages of a transcript that are read for a call. Long before this a summary takes their place.
const MAX_MESSAGES: usize = 2_000;
/// Most bytes of JSON that are read for it: bounds one call's memory, whatever the model's window.
const MAX_BYTES: usize = 8 * 1024 * 1024;
/// Bytes of text that are taken for a token, on the safe side for English.
const BYTES_PER_TOKEN: u64 = 3;
/// Tokens that are left for instructions, tools and reply; a quarter of a small window.
const RESERVE_TOKENS: u64 = 24_000;

/// The end of a transcript, from the last summary on.
#[derive(Debug, Default)]
pub(super) struct Stored {
    /// What was said before, in short.
    summary: Option<String>,
    /// The messages since, oldest first.
    messages: Vec<Value>,
}

impl Stored {
    /// Reads what a model is told of a transcript.
    pub(super) fn load(reader: &Reader<'_>, session_id: &str) -> Result<Self, StoreError> {
        let parse = |text: &RawValue| serde_json::from_str::<Value>(text.get()).ok();
        let mut messages = transcript::tail(reader, session_id, MAX_MESSAGES, MAX_BYTES, parse)?;
        let is_summary = |message: &Value| role_of(message) == message::COMPACTION;
        let Some(at) = messages.iter().rposition(is_summary) else {
            return Ok(Self {
                summary: None,
                messages,
            });
        };
        let summary = messages.remove(at);
        let kept = summary.get("kept").and_then(Value::as_u64).unwrap_or(0);
        messages.drain(..at.saturating_sub(usize::try_from(kept).unwrap_or(usize::MAX)));
        messages.retain(|message| !is_summary(message));
        Ok(Self {
            summary: Some(text_of(&summary)),
            messages,
        })
    }

    /// The turns that a model is told, begun by one of the user's.
    pub(super) fn turns(&self, choice: &Choice) -> Vec<Turn> {
        let budget = budget(choice);
        let last_words = self.messages.iter().rposition(|it| role_of(it) == "user");
        let told = self.messages.iter().enumerate();
        let turns = told.filter_map(|(index, message)| {
            let mut turn = messages::turn(message, choice.images)?;
            // Only what is being worked on is thought on.
            if let Turn::Assistant { thoughts, .. } = &mut turn
                && last_words.is_some_and(|last| last < index)
            {
                *thoughts = messages::thoughts(message, choice);
            }
            Some(turn)
        });
        let turns = fit::prune(fit::complete(turns.collect()), budget);
        let summary = self.summary.as_ref().map(|summary| Turn::User {
            text: format!("[What was said before, in short]\n{summary}"),
            images: Vec::new(),
        });
        let room = budget.saturating_sub(summary.as_ref().map_or(0, fit::cost));
        summary
            .into_iter()
            .chain(fit::newest(turns, room))
            .collect()
    }

    /// Tokens that the turns take which `choice` is told, by estimate.
    pub(super) fn tokens(&self, choice: &Choice) -> u64 {
        self.turns(choice).iter().map(fit::cost).sum::<u64>() / BYTES_PER_TOKEN
    }
}

/// Bytes of conversation that fit a model's window beside all else.
fn budget(choice: &Choice) -> u64 {
    let window = choice.context_tokens;
    (window - RESERVE_TOKENS.min(window / 4)).saturating_mul(BYTES_PER_TOKEN)
}
