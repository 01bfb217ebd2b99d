//! How often somebody was not let in, by reason, since the gateway started.
//!
//! Whoever refuses counts: `http` sockets and secrets, `connection` handshakes. `status` shows the counts to admins, and
//! `gateway` writes them into the log. The reasons are words of the schema, so there are only so many.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use openclaw_protocol::types::{RefusalReason, StatusRefusal, StatusRefusals};

use crate::limits::REFUSALS_REPORT;

/// Counts by reason.
#[derive(Debug, Default)]
pub struct Refusals {
    since_ms: u64,
    counts: Mutex<BTreeMap<RefusalReason, u64>>,
    /// When each reason last had a line of its own in the log, ms.
    told: Mutex<BTreeMap<RefusalReason, u64>>,
}

impl Refusals {
    /// Nobody was refused since `since_ms`, which is now.
    #[must_use]
    pub fn since(since_ms: u64) -> Self {
        Self {
            since_ms,
            counts: Mutex::default(),
            told: Mutex::default(),
        }
    }

    /// Somebody was refused.
    pub fn count(&self, reason: RefusalReason) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(reason).or_default() += 1;
    }

    /// May this refusal have a line of its own in the log? One a reason and [`REFUSALS_REPORT`] may: whoever is refused
    /// decides how often, and must not fill the disk. All are in the report of that time.
    pub fn is_worth_a_line(&self, reason: RefusalReason, now_ms: u64) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let last = told.get(&reason).copied();
        let pause_ms = u64::try_from(REFUSALS_REPORT.as_millis()).unwrap_or(u64::MAX);
        let is_due = last.is_none_or(|last| now_ms < last || now_ms - last >= pause_ms);
        if is_due {
            told.insert(reason, now_ms);
        }
        is_due
    }

    /// Every reason that there was.
    #[must_use]
    pub fn all(&self) -> BTreeMap<RefusalReason, u64> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.clone()
    }

    /// As `status` shows them: nothing while nobody was refused, so that its answer is then the original's.
    #[must_use]
    pub fn shown(&self) -> Option<StatusRefusals> {
        let counts = self.all().into_iter();
        let counts: Vec<_> = counts
            .map(|(reason, count)| StatusRefusal::new(reason, count))
            .collect();
        (!counts.is_empty()).then(|| StatusRefusals::new(self.since_ms, counts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_shown_while_nobody_was_refused() {
        let refusals = Refusals::since(7);
        assert_eq!(refusals.shown(), None);
        refusals.count(RefusalReason::NotJson);
        refusals.count(RefusalReason::NotJson);
        let expected = StatusRefusals::new(7, vec![StatusRefusal::new(RefusalReason::NotJson, 2)]);
        assert_eq!(refusals.shown(), Some(expected));
    }

    #[test]
    fn one_line_a_reason_and_minute() {
        let refusals = Refusals::default();
        for (reason, now_ms, expected) in [
            (RefusalReason::NotJson, 1_000, true),
            (RefusalReason::NotJson, 60_999, false),
            (RefusalReason::NoDevice, 60_999, true),
            (RefusalReason::NotJson, 61_000, true),
            (RefusalReason::NotJson, 61_001, false),
            // The clock was set back.
            (RefusalReason::NotJson, 500, true),
        ] {
            let found = refusals.is_worth_a_line(reason, now_ms);
            assert_eq!(found, expected, "{} {now_ms}", reason.as_str());
        }
    }
}
