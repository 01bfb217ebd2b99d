//! Texts that wait for the next run of a conversation (contract 9.1): what `system-event` brought, and later what
//! other parts of the gateway want an agent to know.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use openclaw_protocol::protocol::limits;

use crate::limits::{MAX_EVENT_QUEUES, MAX_EVENT_TEXT};

/// Queues of texts by session key.
#[derive(Debug, Default)]
pub struct SystemEvents {
    queues: Mutex<HashMap<String, VecDeque<String>>>,
}

impl SystemEvents {
    /// Adds a text to a session's queue, unless it repeats the last one. The oldest go when there are too many; a text
    /// over [`MAX_EVENT_TEXT`] is cut. Of too many sessions, the newcomer has to do without.
    pub fn push(&self, session_key: &str, text: &str) {
        let text = start_of(text.trim(), MAX_EVENT_TEXT);
        let mut queues = self.queues();
        if text.is_empty()
            || (queues.len() >= MAX_EVENT_QUEUES && !queues.contains_key(session_key))
        {
            return;
        }
        let queue = queues.entry(session_key.to_owned()).or_default();
        if queue.back().is_some_and(|last| last == text) {
            return;
        }
        if queue.len() >= limits::SYSTEM_EVENT_QUEUE as usize {
            queue.pop_front();
        }
        queue.push_back(text.to_owned());
    }

    /// What waits for a session, oldest first.
    #[must_use]
    pub fn peek(&self, session_key: &str) -> Vec<String> {
        self.queues()
            .get(session_key)
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    }

    /// Takes what waits for a session, oldest first: its next run has it.
    pub fn take(&self, session_key: &str) -> Vec<String> {
        self.queues().remove(session_key).unwrap_or_default().into()
    }

    fn queues(&self) -> MutexGuard<'_, HashMap<String, VecDeque<String>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// At most `bytes` of the start of a text, whole characters.
fn start_of(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_keeps_the_newest_and_skips_repeats() {
        let events = SystemEvents::default();
        for text in ["a", "a", " a ", "", "  ", "b", "a"] {
            events.push("main", text);
        }
        assert_eq!(events.peek("main"), ["a", "b", "a"]);
        let max = limits::SYSTEM_EVENT_QUEUE as usize;
        for n in 0..max {
            events.push("main", &n.to_string());
        }
        assert_eq!(events.peek("main").len(), max);
        assert_eq!(events.peek("main")[0], "0", "the older ones went");
        events.push("main", "one more");
        assert_eq!(events.peek("main")[0], "1");
        assert_eq!(events.take("main").len(), max);
        assert!(events.take("main").is_empty() && events.peek("other").is_empty());
    }

    #[test]
    fn texts_and_sessions_are_bounded() {
        let events = SystemEvents::default();
        events.push("long", &"é".repeat(MAX_EVENT_TEXT));
        assert_eq!(events.peek("long")[0].len(), MAX_EVENT_TEXT);
        events.push("long", &format!("x{}", "é".repeat(MAX_EVENT_TEXT)));
        assert_eq!(
            events.peek("long")[1].len(),
            MAX_EVENT_TEXT - 1,
            "no half character"
        );
        for n in 1..MAX_EVENT_QUEUES {
            events.push(&n.to_string(), "x");
        }
        events.push("one too many", "x");
        assert!(events.peek("one too many").is_empty());
        events.push("long", "still");
        assert_eq!(events.peek("long").len(), 3);
        events.take("1");
        events.push("one too many", "x");
        assert_eq!(events.peek("one too many"), ["x"]);
    }
}
