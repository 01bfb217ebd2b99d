//! Texts that wait for the next run of a conversation (contract 9.1): what `system-event` and `wake` brought, and what
//! jobs, nodes and other parts of the gateway want an agent to know. In memory only, as in the original.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openclaw_protocol::protocol::limits;

use crate::clock::{Clock, SystemClock, iso_8601};
use crate::limits::{MAX_EVENT_QUEUES, MAX_EVENT_TEXT};
use crate::text::first_bytes;

/// Queues of texts by session key.
pub struct SystemEvents {
    clock: Arc<dyn Clock>,
    queues: Mutex<HashMap<String, VecDeque<Waiting>>>,
}

/// A text that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// When it came, ms.
    pub at_ms: u64,
    /// The text, without outer blanks.
    pub text: String,
}

impl Default for SystemEvents {
    fn default() -> Self {
        Self::new(Arc::new(SystemClock))
    }
}

impl SystemEvents {
    /// Empty queues, stamped by `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            queues: Mutex::default(),
        }
    }

    /// Adds a text to a session's queue, unless it repeats the last one. The oldest go when there are too many; a text
    /// over [`MAX_EVENT_TEXT`] is cut. Of too many sessions, the newcomer has to do without.
    pub fn push(&self, session_key: &str, text: &str) {
        let text = first_bytes(text.trim(), MAX_EVENT_TEXT);
        let mut queues = self.queues();
        if text.is_empty()
            || (queues.len() >= MAX_EVENT_QUEUES && !queues.contains_key(session_key))
        {
            return;
        }
        let queue = queues.entry(session_key.to_owned()).or_default();
        if queue.back().is_some_and(|last| last.text == text) {
            return;
        }
        if queue.len() >= limits::SYSTEM_EVENT_QUEUE as usize {
            queue.pop_front();
        }
        queue.push_back(Waiting {
            at_ms: self.clock.now_ms(),
            text: text.to_owned(),
        });
    }

    /// What waits for a session, oldest first.
    #[must_use]
    pub fn peek(&self, session_key: &str) -> Vec<String> {
        self.queues()
            .get(session_key)
            .into_iter()
            .flatten()
            .map(|waiting| waiting.text.clone())
            .collect()
    }

    /// Whether anything waits for a session.
    #[must_use]
    pub fn has(&self, session_key: &str) -> bool {
        self.queues().contains_key(session_key)
    }

    /// Takes what waits for a session, oldest first: its next run has it.
    pub fn take(&self, session_key: &str) -> Vec<Waiting> {
        self.queues().remove(session_key).unwrap_or_default().into()
    }

    /// Puts back what a run took and could not use, before what has come since. The oldest go when there are too many.
    pub fn give_back(&self, session_key: &str, taken: Vec<Waiting>) {
        let mut queues = self.queues();
        if taken.is_empty()
            || (queues.len() >= MAX_EVENT_QUEUES && !queues.contains_key(session_key))
        {
            return;
        }
        let queue = queues.entry(session_key.to_owned()).or_default();
        for waiting in taken.into_iter().rev() {
            if queue.len() < limits::SYSTEM_EVENT_QUEUE as usize {
                queue.push_front(waiting);
            }
        }
    }

    fn queues(&self) -> MutexGuard<'_, HashMap<String, VecDeque<Waiting>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The words of a turn with what waited before them, a line each: `System: [<when>] <text>`. Further lines of a text are
/// set in, so that none can pass for another event or for the words themselves.
#[must_use]
pub(crate) fn before(waiting: &[Waiting], words: &str) -> String {
    if waiting.is_empty() {
        return words.to_owned();
    }
    let mut text = String::new();
    for Waiting { at_ms, text: said } in waiting {
        let said = said.replace('\n', "\n  ");
        text.push_str(&format!("System: [{}] {said}\n", iso_8601(*at_ms)));
    }
    text.push('\n');
    text.push_str(words);
    text
}

impl std::fmt::Debug for SystemEvents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The texts may be private.
        let count = self.queues().len();
        f.debug_struct("SystemEvents")
            .field("queues", &count)
            .finish_non_exhaustive()
    }
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
    fn what_a_run_could_not_use_waits_again() {
        let clock = Arc::new(crate::clock::ManualClock::new(5));
        let events = SystemEvents::new(clock.clone());
        let max = limits::SYSTEM_EVENT_QUEUE as usize;
        events.push("s", "a");
        clock.advance(1);
        events.push("s", "b");
        let taken = events.take("s");
        assert_eq!((taken[0].at_ms, taken[1].at_ms), (5, 6));
        events.push("s", "c");
        events.give_back("s", taken.clone());
        assert_eq!(events.peek("s"), ["a", "b", "c"]);
        events.give_back("t", Vec::new());
        assert!(!events.has("t") && events.has("s"));
        for n in 0..max - 1 {
            events.push("full", &n.to_string());
        }
        events.give_back("full", taken);
        assert_eq!(
            events.peek("full").len(),
            max,
            "the newest have their place"
        );
        assert_eq!(events.peek("full")[0], "b");
    }

    #[test]
    fn what_waited_stands_before_the_words() {
        let waiting = |at_ms, text: &str| Waiting {
            at_ms,
            text: text.to_owned(),
        };
        assert_eq!(before(&[], "hello"), "hello");
        assert_eq!(
            before(
                &[waiting(0, "one"), waiting(1000, "two\nSystem: [x] three")],
                "hello"
            ),
            "System: [1970-01-01T00:00:00.000Z] one\nSystem: [1970-01-01T00:00:01.000Z] two\n  System: [x] three\n\nhello"
        );
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
