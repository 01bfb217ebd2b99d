//! The wall clock as a value. Everything that stamps or compares times takes a [`Clock`]; the daemon passes
//! [`SystemClock`], tests pass [`ManualClock`]. Waiting is tokio's business, not this module's.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Tells the time.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> u64;
}

/// The operating system's wall clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods)] // the one place that may read the wall clock
    fn now_ms(&self) -> u64 {
        // A clock set before 1970 counts as the epoch: stamps stay valid unsigned numbers.
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |elapsed| {
                u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
            })
    }
}

/// A clock that stands still until it is told otherwise.
#[derive(Debug, Default)]
pub struct ManualClock {
    now_ms: AtomicU64,
}

impl ManualClock {
    /// A clock that shows `now_ms`.
    #[must_use]
    pub fn new(now_ms: u64) -> Self {
        Self {
            now_ms: AtomicU64::new(now_ms),
        }
    }

    /// Shows `now_ms` from now on; may go backwards, as wall clocks do.
    pub fn set(&self, now_ms: u64) {
        self.now_ms.store(now_ms, Ordering::SeqCst);
    }

    /// Moves forward by `ms` and returns the new time.
    pub fn advance(&self, ms: u64) -> u64 {
        self.now_ms.fetch_add(ms, Ordering::SeqCst) + ms
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> u64 {
        self.now_ms.load(Ordering::SeqCst)
    }
}

/// A time in the form that JSON documents of the product use: `2026-01-30T12:00:00.000Z`. Times that no calendar of
/// four-digit years holds show as the last one that does.
#[must_use]
pub fn iso_8601(ms: u64) -> String {
    i64::try_from(ms)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .unwrap_or(jiff::Timestamp::MAX)
        .strftime("%Y-%m-%dT%H:%M:%S.%3fZ")
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_clock_moves_only_when_told() {
        let clock = ManualClock::new(1_000);
        assert_eq!(clock.now_ms(), 1_000);
        assert_eq!(clock.advance(500), 1_500);
        assert_eq!(clock.now_ms(), 1_500);
        clock.set(7);
        assert_eq!(clock.now_ms(), 7);
    }

    #[test]
    fn times_are_written_as_json_documents_have_them() {
        let check = |ms: u64, expected: &str| assert_eq!(iso_8601(ms), expected);
        check(0, "1970-01-01T00:00:00.000Z");
        check(1_769_774_400_007, "2026-01-30T12:00:00.007Z");
        check(951_782_399_999, "2000-02-28T23:59:59.999Z");
        check(u64::MAX, "9999-12-30T22:00:00.999Z");
    }

    #[test]
    fn the_system_clock_shows_a_time_after_this_was_written() {
        assert!(SystemClock.now_ms() > 1_700_000_000_000);
    }
}
