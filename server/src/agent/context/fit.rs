//! Making turns fit: what providers insist on, and what is left out first.

use std::collections::VecDeque;

use super::super::backend::{Call, Thought, Turn};

/// What an image counts for, in bytes of text.
const IMAGE_COST: u64 = 4_000;
/// Replies back to which results of tools are told as they are.
const FRESH_REPLIES: usize = 3;
/// Bytes of an older result that are told.
pub(super) const OLD_RESULT: usize = 1_024;
/// What is told in place of an older result's pictures.
pub(super) const OLD_PICTURES: &str = "\n[The pictures of this old result are left out]";
/// What is told in place of a result that never came: the run was called off, or the gateway died.
pub(super) const NO_RESULT: &str = "There is no result: the run ended before the tool did.";

/// Makes every call have its result right behind it, and every result its call: providers refuse anything else. What was
/// sent to the conversation while a tool was at work stands before the call.
pub(super) fn complete(turns: Vec<Turn>) -> Vec<Turn> {
    let mut complete: Vec<Turn> = Vec::with_capacity(turns.len());
    let mut open: VecDeque<Call> = VecDeque::new();
    let close = |open: &mut VecDeque<Call>, complete: &mut Vec<Turn>| {
        complete.extend(open.drain(..).map(|call| Turn::Result {
            call_id: call.id,
            text: NO_RESULT.to_owned(),
            images: Vec::new(),
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
pub(super) fn prune(mut turns: Vec<Turn>, budget: u64) -> Vec<Turn> {
    if turns.iter().map(cost).sum::<u64>() <= budget / 2 {
        return turns;
    }
    let replies = turns.iter().enumerate().rev();
    let mut replies = replies.filter(|(_, turn)| matches!(turn, Turn::Assistant { .. }));
    let fresh = replies.nth(FRESH_REPLIES - 1).map_or(0, |(index, _)| index);
    for turn in &mut turns[..fresh] {
        let Turn::Result { text, images, .. } = turn else {
            continue;
        };
        if text.len() > OLD_RESULT {
            let left_out = text.len() - OLD_RESULT;
            text.truncate(text.floor_char_boundary(OLD_RESULT));
            text.push_str(&format!(
                "\n[{left_out} bytes of this old result are left out]"
            ));
        }
        if !images.is_empty() {
            images.clear();
            text.push_str(OLD_PICTURES);
        }
    }
    turns
}

/// The newest turns that fit, from a user's on; the last of those and what follows it in any case.
pub(super) fn newest(turns: Vec<Turn>, room: u64) -> Vec<Turn> {
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

pub(super) fn cost(turn: &Turn) -> u64 {
    match turn {
        Turn::User { text, images } | Turn::Result { text, images, .. } => {
            text.len() as u64 + images.len() as u64 * IMAGE_COST
        }
        Turn::Assistant {
            text,
            calls,
            thoughts,
        } => {
            let calls = calls
                .iter()
                .map(|call| call.name.len() + call.arguments.to_string().len());
            let thoughts = thoughts.iter().map(Thought::len);
            (text.len() + calls.sum::<usize>() + thoughts.sum::<usize>()) as u64
        }
    }
}
