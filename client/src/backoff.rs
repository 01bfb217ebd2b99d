//! How long to wait before the next attempt to reconnect.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Delays that double from the first to the longest and are shortened at random, so that the
/// clients of a restarted gateway do not come back in one instant.
#[derive(Debug, Clone)]
pub struct Backoff {
    /// Delay before the first attempt.
    pub first: Duration,
    /// No delay is longer.
    pub longest: Duration,
    /// Largest part of a delay that chance may take away, from 0 to 1.
    pub jitter: f64,
    /// Where chance comes from.
    pub chance: Chance,
}

impl Backoff {
    /// The delay before attempt `attempt`, counted from 0 at each loss of the connection.
    #[must_use]
    pub fn delay(&self, attempt: u32) -> Duration {
        let factor = 2_u32.checked_pow(attempt).unwrap_or(u32::MAX);
        let delay = self.first.saturating_mul(factor).min(self.longest);
        delay.mul_f64(1.0 - self.jitter.clamp(0.0, 1.0) * self.chance.next())
    }
}

impl Default for Backoff {
    /// From one second to half a minute, as the original client, less up to a half.
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            longest: Duration::from_secs(30),
            jitter: 0.5,
            chance: Chance::random(),
        }
    }
}

/// A source of numbers from 0 up to, but not including, 1. Cheap to clone.
#[derive(Clone)]
pub struct Chance(Arc<dyn Fn() -> f64 + Send + Sync>);

impl Chance {
    /// The operating system's random numbers; 0 while it has none.
    #[must_use]
    pub fn random() -> Self {
        Self::from_fn(|| {
            let random = getrandom::u32().unwrap_or(0);
            f64::from(random) / (f64::from(u32::MAX) + 1.0)
        })
    }

    /// Numbers of the caller's making.
    pub fn from_fn(next: impl Fn() -> f64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(next))
    }

    fn next(&self) -> f64 {
        (self.0)().clamp(0.0, 1.0)
    }
}

impl fmt::Debug for Chance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Chance")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest_less_their_jitter() {
        let seconds = |jitter, chance: f64| -> Vec<f64> {
            let backoff = Backoff {
                jitter,
                chance: Chance::from_fn(move || chance),
                ..Backoff::default()
            };
            [0, 1, 2, 3, 4, 5, 31, 32, u32::MAX]
                .map(|attempt| backoff.delay(attempt).as_secs_f64())
                .to_vec()
        };
        let full = [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0, 30.0];
        assert_eq!(seconds(0.0, 0.9), full);
        assert_eq!(seconds(0.5, 0.0), full);
        assert_eq!(seconds(0.5, 0.5), full.map(|s| s * 0.75));
        assert_eq!(seconds(5.0, 2.0), [0.0; 9]);
    }

    #[test]
    fn chance_stays_below_one() {
        let chance = Chance::random();
        assert!((0..1000).all(|_| (0.0..1.0).contains(&chance.next())));
    }
}
