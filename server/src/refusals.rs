//! How often somebody was not let in, by reason, since the gateway started.
//!
//! Whoever refuses counts: `http` sockets and secrets, `connection` handshakes. `status` shows the counts to admins, and
//! `gateway` writes them into the log. The reasons are words of the schema, so there are only so many.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use openclaw_protocol::types::{RefusalReason, StatusRefusal, StatusRefusals};

/// Counts by reason.
#[derive(Debug, Default)]
pub struct Refusals {
    since_ms: u64,
    counts: Mutex<BTreeMap<RefusalReason, u64>>,
}

impl Refusals {
    /// Nobody was refused since `since_ms`, which is now.
    #[must_use]
    pub fn since(since_ms: u64) -> Self {
        Self {
            since_ms,
            counts: Mutex::default(),
        }
    }

    /// Somebody was refused.
    pub fn count(&self, reason: RefusalReason) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(reason).or_default() += 1;
    }

    /// Every reason that there was.
    #[must_use]
    pub fn all(&self) -> BTreeMap<RefusalReason, u64> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.clone()
    }

    /// As `status` shows them.
    #[must_use]
    pub fn shown(&self) -> StatusRefusals {
        let counts = self.all().into_iter();
        let counts = counts.map(|(reason, count)| StatusRefusal::new(reason, count));
        StatusRefusals::new(self.since_ms, counts.collect())
    }
}
