//! Summing up the older part of a conversation: when it is time, and of what.

use serde_json::Value;

use super::super::backend::Turn;
use super::super::messages;
use super::super::models::Choice;
use super::{Stored, budget, fit};
use crate::sessions::message::role_of;

/// Bytes of a result that a summary is made from.
pub(super) const SUMMED_RESULT: usize = 512;

/// A summary to be made.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::agent) struct Plan {
    /// The conversation so far, as text.
    pub(in crate::agent) old: String,
    /// Messages that stay as they are.
    pub(in crate::agent) kept: usize,
}

impl Stored {
    /// What is to be summed up now, if the conversation has grown so large that it is time.
    pub(in crate::agent) fn plan(&self, choice: &Choice) -> Option<Plan> {
        let budget = budget(choice);
        let of = |message: &Value| {
            messages::turn(message, choice.images).map_or(0, |turn| fit::cost(&turn))
        };
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

fn told_for_summary(message: &Value) -> Option<String> {
    Some(match messages::turn(message, false)? {
        Turn::User { text, .. } => format!("User: {text}"),
        Turn::Assistant { text, calls, .. } => {
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
