//! Providers that failed lately: others are asked before them for a while.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long a provider that failed is asked last, at first and at most; doubled with every failure in a row.
pub(super) const COOL_DOWN: (Duration, Duration) =
    (Duration::from_secs(60), Duration::from_secs(3600));

/// A provider that failed.
#[derive(Debug, Clone, Copy)]
struct Cooling {
    until: Instant,
    /// Failures in a row.
    failures: u32,
}

/// Who failed, and until when it is asked last. As many as the caller names: only configured providers.
#[derive(Debug, Default)]
pub(super) struct CoolDown(Mutex<HashMap<String, Cooling>>);

impl CoolDown {
    /// Whether others are asked before this provider at `now`.
    pub(super) fn is_cooling(&self, provider: &str, now: Instant) -> bool {
        let cooling = self.all();
        cooling
            .get(provider)
            .is_some_and(|cooling| cooling.until > now)
    }

    /// It has answered.
    pub(super) fn succeeded(&self, provider: &str) {
        self.all().remove(provider);
    }

    /// It has failed, at `now`.
    pub(super) fn failed(&self, provider: &str, now: Instant) {
        let mut cooling = self.all();
        let failures = cooling.get(provider).map_or(0, |cooling| cooling.failures);
        let (first, most) = COOL_DOWN;
        let time = first.saturating_mul(1 << failures.min(16)).min(most);
        let entry = Cooling {
            until: now + time,
            failures: failures.saturating_add(1),
        };
        cooling.insert(provider.to_owned(), entry);
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Cooling>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
