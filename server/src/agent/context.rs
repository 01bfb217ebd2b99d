//! What a model is told of a conversation: as much of it as fits its window. The transcript itself stays whole.
//!
//! Three means, mildest first: results of tools that are long past are cut ([`prune`]), older messages are replaced by a
//! summary that a model writes once ([`plan`]), and what still does not fit is left out, oldest first.

use std::collections::VecDeque;

use serde_json::Value;
use serde_json::value::RawValue;

use super::backend::{Call, Turn};
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
/// What an image counts for, in bytes of text.
const IMAGE_COST: u64 = 4_000;
/// Tokens that are left for instructions, tools and reply; a quarter of a small window.
const RESERVE_TOKENS: u64 = 24_000;
/// Replies back to which results of tools are told as they are.
const FRESH_REPLIES: usize = 3;
/// Bytes of an older result that are told.
const OLD_RESULT: usize = 1_024;
/// Bytes of a result that a summary is made from.
const SUMMED_RESULT: usize = 512;
/// What is told in place of a result that never came: the run was called off, or the gateway died.
const NO_RESULT: &str = "There is no result: the run ended before the tool did.";

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
        let told = self.messages.iter();
        let turns = told.filter_map(|message| messages::turn(message, choice.images));
        let turns = prune(complete(turns.collect()), budget);
        let summary = self.summary.as_ref().map(|summary| Turn::User {
            text: format!("[What was said before, in short]\n{summary}"),
            images: Vec::new(),
        });
        let room = budget.saturating_sub(summary.as_ref().map_or(0, cost));
        summary.into_iter().chain(newest(turns, room)).collect()
    }

    /// Tokens that the turns take which `choice` is told, by estimate.
    pub(super) fn tokens(&self, choice: &Choice) -> u64 {
        self.turns(choice).iter().map(cost).sum::<u64>() / BYTES_PER_TOKEN
    }

    /// What is to be summed up now, if the conversation has grown so large that it is time.
    pub(super) fn plan(&self, choice: &Choice) -> Option<Plan> {
        let budget = budget(choice);
        let of =
            |message: &Value| messages::turn(message, choice.images).map_or(0, |turn| cost(&turn));
        let costs: Vec<u64> = self.messages.iter().map(of).collect();
        // Time is at three quarters; a quarter stays as it is.
        if costs.iter().sum::<u64>() <= budget / 4 * 3 {
            return None;
        }
        let (mut first, mut kept) = (self.messages.len(), 0);
        for (index, message) in self.messages.iter().enumerate().rev() {
            kept += costs[index];
            let has_one = first < self.messages.len();
            if kept > budget / 4 && has_one {
                break;
            }
            if role_of(message) == "user" {
                first = index;
            }
        }
        if first == 0 || first == self.messages.len() {
            return None;
        }
        let old = self.messages[..first].iter().filter_map(told_for_summary);
        let old = self
            .summary
            .iter()
            .map(|summary| format!("Before: {summary}"))
            .chain(old);
        let old = old.collect::<Vec<_>>().join("\n\n");
        let limit = usize::try_from(budget).unwrap_or(usize::MAX);
        let start = old.ceil_char_boundary(old.len().saturating_sub(limit));
        Some(Plan {
            old: old[start..].to_owned(),
            kept: self.messages.len() - first,
        })
    }
}

/// A summary to be made.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// The conversation so far, as text.
    pub(super) old: String,
    /// Messages that stay as they are.
    pub(super) kept: usize,
}

/// Bytes of conversation that fit a model's window beside all else.
fn budget(choice: &Choice) -> u64 {
    let window = choice.context_tokens;
    (window - RESERVE_TOKENS.min(window / 4)).saturating_mul(BYTES_PER_TOKEN)
}

fn told_for_summary(message: &Value) -> Option<String> {
    Some(match messages::turn(message, false)? {
        Turn::User { text, .. } => format!("User: {text}"),
        Turn::Assistant { text, calls } => {
            let used: Vec<&str> = calls.iter().map(|call| call.name.as_str()).collect();
            if used.is_empty() {
                format!("Assistant: {text}")
            } else {
                format!("Assistant: {text} [used {}]", used.join(", "))
            }
        }
        Turn::Result { text, .. } => {
            format!(
                "Result: {}",
                &text[..text.floor_char_boundary(SUMMED_RESULT)]
            )
        }
    })
}

/// Makes every call have its result right behind it, and every result its call: providers refuse anything else. What was
/// sent to the conversation while a tool was at work stands before the call.
fn complete(turns: Vec<Turn>) -> Vec<Turn> {
    let mut complete: Vec<Turn> = Vec::with_capacity(turns.len());
    let mut open: VecDeque<Call> = VecDeque::new();
    let close = |open: &mut VecDeque<Call>, complete: &mut Vec<Turn>| {
        complete.extend(open.drain(..).map(|call| Turn::Result {
            call_id: call.id,
            text: NO_RESULT.to_owned(),
            is_error: true,
        }));
    };
    for turn in turns {
        match &turn {
            Turn::Result { call_id, .. } => {
                let Some(at) = open.iter().position(|call| call.id == *call_id) else {
                    continue;
                };
                open.remove(at);
            }
            Turn::Assistant { calls, .. } if calls.is_empty() && !open.is_empty() => {
                let is_call = |turn: &Turn| matches!(turn, Turn::Assistant { calls, .. } if !calls.is_empty());
                let at = complete.iter().rposition(is_call);
                complete.insert(at.unwrap_or(complete.len()), turn);
                continue;
            }
            Turn::Assistant { calls, .. } => {
                close(&mut open, &mut complete);
                open.extend(calls.iter().cloned());
            }
            Turn::User { .. } => close(&mut open, &mut complete),
        }
        complete.push(turn);
    }
    close(&mut open, &mut complete);
    complete
}

/// Cuts the results of tools before the last replies when the conversation takes more than half of what fits.
fn prune(mut turns: Vec<Turn>, budget: u64) -> Vec<Turn> {
    if turns.iter().map(cost).sum::<u64>() <= budget / 2 {
        return turns;
    }
    let replies = turns.iter().enumerate().rev();
    let mut replies = replies.filter(|(_, turn)| matches!(turn, Turn::Assistant { .. }));
    let fresh = replies.nth(FRESH_REPLIES - 1).map_or(0, |(index, _)| index);
    for turn in &mut turns[..fresh] {
        if let Turn::Result { text, .. } = turn
            && text.len() > OLD_RESULT
        {
            let left_out = text.len() - OLD_RESULT;
            text.truncate(text.floor_char_boundary(OLD_RESULT));
            text.push_str(&format!(
                "\n[{left_out} bytes of this old result are left out]"
            ));
        }
    }
    turns
}

/// The newest turns that fit, from a user's on; the last of those and what follows it in any case.
fn newest(turns: Vec<Turn>, room: u64) -> Vec<Turn> {
    let is_user = |turn: &Turn| matches!(turn, Turn::User { .. });
    let (mut first, mut taken) = (turns.len(), 0);
    for (index, turn) in turns.iter().enumerate().rev() {
        taken += cost(turn);
        if taken > room && first < turns.len() {
            break;
        }
        if is_user(turn) {
            first = index;
        }
    }
    turns.into_iter().skip(first).collect()
}

fn cost(turn: &Turn) -> u64 {
    match turn {
        Turn::User { text, images } => text.len() as u64 + images.len() as u64 * IMAGE_COST,
        Turn::Assistant { text, calls } => {
            let calls = calls
                .iter()
                .map(|call| call.name.len() + call.arguments.to_string().len());
            (text.len() + calls.sum::<usize>()) as u64
        }
        Turn::Result { text, .. } => text.len() as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sessions::open_in;
    use serde_json::json;

    /// A model with room for `bytes` of conversation.
    fn choice(bytes: u64) -> Choice {
        Choice {
            provider: "mock".into(),
            model: "echo-1".into(),
            api: "openai-completions",
            // A quarter of a small window is reserve: three of four tokens, of three bytes each.
            context_tokens: bytes * 4 / 9,
            max_tokens: None,
            reasoning: false,
            images: false,
            cost: None,
        }
    }

    fn said(role: &str, text: &str) -> Value {
        json!({"role": role, "content": [{"type": "text", "text": text}]})
    }

    fn calling(id: &str) -> Value {
        json!({"role": "assistant", "content": [{"type": "toolCall", "id": id, "name": "r", "arguments": {}}]})
    }

    fn result(id: &str, text: &str) -> Value {
        json!({"role": "toolResult", "toolCallId": id, "content": [{"type": "text", "text": text}]})
    }

    async fn load(messages: Vec<Value>) -> Stored {
        let dir = tempfile::tempdir().unwrap();
        let sessions = open_in(dir.path());
        let write = sessions.write(move |changes| {
            for message in &messages {
                changes.append("s", message)?;
            }
            Ok(())
        });
        write.await.unwrap();
        sessions.read(|reader| Stored::load(reader, "s")).unwrap()
    }

    /// Turns in words: `u:text`, `a:text`, `call:id`, `id=text`.
    fn words(turns: &[Turn]) -> String {
        let word = |turn: &Turn| match turn {
            Turn::User { text, .. } => format!("u:{text}"),
            Turn::Assistant { text, calls } if calls.is_empty() => format!("a:{text}"),
            Turn::Assistant { calls, .. } => {
                let ids: Vec<&str> = calls.iter().map(|call| call.id.as_str()).collect();
                format!("call:{}", ids.join("+"))
            }
            Turn::Result { call_id, text, .. } => format!("{call_id}={text}"),
        };
        turns.iter().map(word).collect::<Vec<_>>().join(" | ")
    }

    async fn check(messages: Vec<Value>, bytes: u64, told: &str) {
        let stored = load(messages).await;
        assert_eq!(words(&stored.turns(&choice(bytes))), told, "{bytes}");
    }

    #[tokio::test]
    async fn what_fits_is_told_from_a_users_words_on() {
        let talk = || {
            vec![
                said("assistant", "greeting"),
                said("user", "one"),
                said("assistant", ""),
                said("user", "two"),
                said("assistant", "half"),
                said("user", "three"),
            ]
        };
        check(talk(), 9_000, "u:one | u:two | a:half | u:three").await;
        check(talk(), 18, "u:one | u:two | a:half | u:three").await;
        check(talk(), 12, "u:two | a:half | u:three").await;
        check(talk(), 9, "u:three").await;
        check(talk(), 0, "u:three").await;
        check(vec![], 9, "").await;
    }

    #[tokio::test]
    async fn calls_and_results_belong_together() {
        let all = 9_000;
        check(
            vec![
                said("user", "x"),
                calling("1"),
                result("1", "ok"),
                said("assistant", "y"),
            ],
            all,
            "u:x | call:1 | 1=ok | a:y",
        )
        .await;
        check(
            vec![said("user", "x"), calling("1"), said("user", "z")],
            all,
            &format!("u:x | call:1 | 1={NO_RESULT} | u:z"),
        )
        .await;
        check(
            vec![said("user", "x"), calling("1")],
            all,
            &format!("u:x | call:1 | 1={NO_RESULT}"),
        )
        .await;
        check(
            vec![
                said("user", "x"),
                result("1", "ok"),
                calling("2"),
                result("1", "no"),
                result("2", "ok"),
            ],
            all,
            "u:x | call:2 | 2=ok",
        )
        .await;
        check(
            vec![calling("1"), result("1", "ok"), said("user", "x")],
            all,
            "u:x",
        )
        .await;
        let sent = said("assistant", "sent");
        check(
            vec![
                said("user", "x"),
                calling("1"),
                sent.clone(),
                result("1", "ok"),
                sent,
            ],
            all,
            "u:x | a:sent | call:1 | 1=ok | a:sent",
        )
        .await;
        // What follows the user's last words is told even when it does not fit.
        check(
            vec![said("user", "x"), calling("1"), result("1", "long enough")],
            9,
            "u:x | call:1 | 1=long enough",
        )
        .await;
    }

    #[tokio::test]
    async fn old_results_are_cut_when_half_is_full() {
        let long = "r".repeat(OLD_RESULT + 5);
        let mut talk = vec![said("user", "x"), calling("1"), result("1", &long)];
        for id in ["2", "3", "4"] {
            talk.extend([calling(id), result(id, &long)]);
        }
        let cut = format!(
            "{}\n[5 bytes of this old result are left out]",
            "r".repeat(OLD_RESULT)
        );
        let told = |first: &str| {
            format!(
                "u:x | call:1 | 1={first} | call:2 | 2={long} | call:3 | 3={long} | call:4 | 4={long}"
            )
        };
        check(talk.clone(), 90_000, &told(&long)).await;
        check(talk, 4_500, &told(&cut)).await;
    }

    #[tokio::test]
    async fn a_summary_takes_the_place_of_what_it_sums_up() {
        let summary = |kept: u64| json!({"role": message::COMPACTION, "content": [{"type": "text", "text": "S"}], "kept": kept});
        let before = "u:[What was said before, in short]\nS";
        let talk = |summary: Value| {
            vec![
                said("user", "one"),
                said("assistant", "1"),
                said("user", "two"),
                summary,
                said("assistant", "2"),
            ]
        };
        check(talk(summary(1)), 9_000, &format!("{before} | u:two | a:2")).await;
        check(
            talk(summary(3)),
            9_000,
            &format!("{before} | u:one | a:1 | u:two | a:2"),
        )
        .await;
        check(
            talk(summary(99)),
            9_000,
            &format!("{before} | u:one | a:1 | u:two | a:2"),
        )
        .await;
        let twice = [talk(summary(3)), vec![said("user", "three"), summary(1)]].concat();
        check(twice, 9_000, &format!("{before} | u:three")).await;
    }

    #[tokio::test]
    async fn summing_up_begins_at_three_quarters_and_keeps_a_quarter() {
        let text = "0123456789";
        let talk = |count: usize| {
            let pair = |n: usize| {
                [
                    said("user", text),
                    said("assistant", &format!("reply {n:4}")),
                ]
            };
            (0..count).flat_map(pair).collect::<Vec<_>>()
        };
        let plan = |stored: Stored, bytes: u64| stored.plan(&choice(bytes)).map(|plan| plan.kept);
        assert_eq!(plan(load(talk(6)).await, 162), None, "120 of 162 bytes");
        assert_eq!(plan(load(talk(6)).await, 153), Some(2), "120 of 153 bytes");
        assert_eq!(
            plan(load(talk(1)).await, 9),
            None,
            "there is nothing before"
        );
        let long = vec![
            said("user", "one"),
            said("assistant", "1"),
            said("user", &text.repeat(20)),
            calling("c"),
        ];
        assert_eq!(
            plan(load(long).await, 153),
            Some(2),
            "the last words stay, however long"
        );
        let stored = load(vec![
            json!({"role": message::COMPACTION, "content": [{"type": "text", "text": "older"}], "kept": 0}),
            said("user", "one"),
            calling("1"),
            result("1", &"r".repeat(SUMMED_RESULT + 1)),
            said("assistant", "done"),
            said("user", "two"),
        ])
        .await;
        let plan = stored.plan(&choice(630)).unwrap();
        let old = format!(
            "Before: older\n\nUser: one\n\nAssistant:  [used r]\n\nResult: {}\n\nAssistant: done",
            "r".repeat(SUMMED_RESULT)
        );
        assert_eq!(plan, Plan { old, kept: 1 });
    }

    #[tokio::test]
    async fn the_number_of_messages_is_bounded() {
        let long = (0..=MAX_MESSAGES)
            .map(|n| said("user", &n.to_string()))
            .collect();
        let stored = load(long).await;
        assert_eq!(
            (stored.messages.len(), text_of(&stored.messages[0])),
            (MAX_MESSAGES, "1".to_owned())
        );
    }
}
