//! Who has guessed wrong too often (field pain P12: a page in the user's browser tried hundreds of passwords a second).
//!
//! A few wrong secrets are free; after that every further one makes its sender wait, twice as long each time. What comes
//! meanwhile is refused without being compared, so that waiting out is the only way to another guess. Time is passed in.
//! The handshake asks [`Limiter::wait_ms`] before it compares a secret and tells what came of it. Native clients of this
//! host are not limited ([`super::locality`] gives them no [`Guesser`]): what runs here can read the configuration.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::net::Network;

/// Wrong secrets in a row that cost nothing: a client tries a stored token and the shared one, and a person may
/// mistype a password a few times.
pub const FREE_FAILURES: u32 = 10;

/// Wait after the first wrong secret beyond the free ones, ms. It doubles with each further one.
pub const FIRST_PAUSE_MS: u64 = 1_000;

/// Longest wait, ms. Less than 1500 guesses a day, and nobody who has found the right secret waits for long.
pub const LONGEST_PAUSE_MS: u64 = 60_000;

/// Wrong secrets are forgotten this long after the last one, ms. With the free ones this allows no more guesses than
/// waiting would.
pub const FORGET_AFTER_MS: u64 = 15 * 60_000;

/// Guessers remembered. About 100 bytes each; with more of them at a time, the one who has been quiet the longest is
/// forgotten.
pub const MAX_GUESSERS: usize = 4_096;

/// Against whom wrong secrets are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Guesser {
    /// Where the client is, as far as that can be believed.
    pub network: Network,
    /// A page of a foreign origin is behind it. Counted apart, so that such a page in somebody's browser cannot lock out
    /// the gateway's own page there.
    pub is_foreign_page: bool,
}

/// Wrong secrets by guesser.
#[derive(Debug, Default)]
pub struct Limiter {
    failures: Mutex<HashMap<Guesser, Failures>>,
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last_ms: u64,
}

impl Failures {
    fn pause_ms(&self) -> u64 {
        match self.count.checked_sub(FREE_FAILURES) {
            None | Some(0) => 0,
            Some(beyond) => FIRST_PAUSE_MS
                .saturating_mul(1_u64.checked_shl(beyond - 1).unwrap_or(u64::MAX))
                .min(LONGEST_PAUSE_MS),
        }
    }

    fn is_over(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.last_ms) >= FORGET_AFTER_MS
    }
}

impl Limiter {
    /// How long this guesser has to wait before another secret of theirs is looked at, ms; `None` when they need not.
    #[must_use]
    pub fn wait_ms(&self, guesser: Guesser, now_ms: u64) -> Option<u64> {
        let mut table = self.table();
        let failures = table.get_mut(&guesser)?;
        // After the wall clock was set back nobody waits for longer than their pause.
        failures.last_ms = failures.last_ms.min(now_ms);
        let waited = now_ms - failures.last_ms;
        failures
            .pause_ms()
            .checked_sub(waited)
            .filter(|left| *left > 0)
    }

    /// Counts a wrong secret.
    pub fn failed(&self, guesser: Guesser, now_ms: u64) {
        let mut table = self.table();
        if !table.contains_key(&guesser) {
            make_room(&mut table, now_ms);
        }
        let failures = table.entry(guesser).or_insert(Failures {
            count: 0,
            last_ms: now_ms,
        });
        if failures.is_over(now_ms) {
            failures.count = 0;
        }
        failures.count = failures.count.saturating_add(1);
        failures.last_ms = now_ms;
    }

    /// Forgets the wrong secrets of somebody who knew the shared one. Not of somebody who showed a device's own token:
    /// whoever holds one could go on guessing the shared secret for ever.
    pub fn knew(&self, guesser: Guesser) {
        self.table().remove(&guesser);
    }

    fn table(&self) -> MutexGuard<'_, HashMap<Guesser, Failures>> {
        // Nothing under this lock leaves a change half done.
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes room for one more.
fn make_room(table: &mut HashMap<Guesser, Failures>, now_ms: u64) {
    if table.len() < MAX_GUESSERS {
        return;
    }
    table.retain(|_, failures| !failures.is_over(now_ms));
    if table.len() < MAX_GUESSERS {
        return;
    }
    let quiet = table
        .iter()
        .min_by_key(|(_, failures)| failures.last_ms)
        .map(|(guesser, _)| *guesser);
    if let Some(quiet) = quiet {
        table.remove(&quiet);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    const NOW: u64 = 1_769_900_000_000;

    fn guesser(address: &str) -> Guesser {
        Guesser {
            network: Network::of(address.parse().unwrap()),
            is_foreign_page: false,
        }
    }

    fn numbered(n: u32) -> Guesser {
        Guesser {
            network: Network::of(IpAddr::V4(Ipv4Addr::from_bits(n))),
            is_foreign_page: false,
        }
    }

    fn fail(limiter: &Limiter, guesser: Guesser, times: u32, now_ms: u64) {
        for _ in 0..times {
            limiter.failed(guesser, now_ms);
        }
    }

    #[test]
    fn a_few_are_free_then_each_costs_twice_as_much() {
        let (limiter, who) = (Limiter::default(), guesser("192.0.2.1"));
        let mut now = NOW;
        for _ in 0..FREE_FAILURES {
            limiter.failed(who, now);
            assert_eq!(limiter.wait_ms(who, now), None);
        }
        for pause in [1, 2, 4, 8, 16, 32, 60, 60].map(|seconds| seconds * 1000) {
            limiter.failed(who, now);
            assert_eq!(limiter.wait_ms(who, now), Some(pause));
            assert_eq!(limiter.wait_ms(who, now + pause - 1), Some(1));
            now += pause;
            assert_eq!(limiter.wait_ms(who, now), None);
        }
        fail(&limiter, who, 200, now);
        assert_eq!(limiter.wait_ms(who, now), Some(LONGEST_PAUSE_MS));
        assert_eq!(
            limiter.wait_ms(guesser("192.0.2.2"), now),
            None,
            "a neighbour"
        );
    }

    #[test]
    fn who_is_one_guesser() {
        let limiter = Limiter::default();
        fail(&limiter, guesser("2001:db8:0:1::1"), FREE_FAILURES + 1, NOW);
        let page = Guesser {
            is_foreign_page: true,
            ..guesser("2001:db8:0:1::1")
        };
        for (who, waits) in [
            (guesser("2001:db8:0:1::ffff"), true),
            (guesser("2001:db8:0:2::1"), false),
            (page, false),
        ] {
            assert_eq!(limiter.wait_ms(who, NOW).is_some(), waits, "{who:?}");
        }
    }

    #[test]
    fn time_and_knowing_the_secret_make_it_forget() {
        let (limiter, who) = (Limiter::default(), guesser("192.0.2.1"));
        fail(&limiter, who, FREE_FAILURES + 1, NOW);
        limiter.knew(who);
        assert_eq!(limiter.wait_ms(who, NOW), None);
        assert!(limiter.table().is_empty());

        fail(&limiter, who, FREE_FAILURES + 5, NOW);
        limiter.failed(who, NOW + FORGET_AFTER_MS - 1);
        assert!(limiter.wait_ms(who, NOW + FORGET_AFTER_MS - 1).is_some());
        limiter.failed(who, NOW + 2 * FORGET_AFTER_MS);
        assert_eq!(
            limiter.wait_ms(who, NOW + 2 * FORGET_AFTER_MS),
            None,
            "counted anew"
        );
    }

    #[test]
    fn a_clock_that_is_set_back_makes_nobody_wait_for_longer() {
        let (limiter, who) = (Limiter::default(), guesser("192.0.2.1"));
        fail(&limiter, who, FREE_FAILURES + 1, NOW);
        let back = NOW - 3_600_000;
        assert_eq!(limiter.wait_ms(who, back), Some(FIRST_PAUSE_MS));
        assert_eq!(limiter.wait_ms(who, back + FIRST_PAUSE_MS), None);
    }

    #[test]
    fn the_table_is_bounded_and_the_quiet_go_first() {
        let limiter = Limiter::default();
        let max = u32::try_from(MAX_GUESSERS).unwrap();
        for n in 0..max {
            fail(&limiter, numbered(n), FREE_FAILURES + 1, NOW + u64::from(n));
        }
        let now = NOW + u64::from(max);
        // The first has guessed again since.
        limiter.failed(numbered(0), now);
        assert_eq!(limiter.table().len(), MAX_GUESSERS);
        limiter.failed(numbered(max), now);
        assert_eq!(limiter.table().len(), MAX_GUESSERS, "one more");
        assert!(limiter.wait_ms(numbered(0), now).is_some());
        assert!(
            !limiter.table().contains_key(&numbered(1)),
            "the quietest is gone"
        );
        // When the time of all is over they leave together.
        limiter.failed(numbered(max + 1), now + FORGET_AFTER_MS);
        assert_eq!(limiter.table().len(), 1);
    }

    proptest::proptest! {
        /// However the attempts are spread, a guesser who never waits in vain has no more secrets compared in a day than
        /// the longest pause allows, beside what is free and what the short pauses add.
        #[test]
        fn guesses_of_a_day_are_few(steps in proptest::collection::vec(1_u64..120_000, 1..3_000)) {
            const DAY_MS: u64 = 24 * 3_600_000;
            let (limiter, who) = (Limiter::default(), guesser("192.0.2.1"));
            let (mut now, mut compared) = (NOW, 0);
            for step in steps.iter().cycle().take(20_000) {
                now += step;
                if now > NOW + DAY_MS {
                    break;
                }
                if limiter.wait_ms(who, now).is_none() {
                    limiter.failed(who, now);
                    compared += 1;
                }
            }
            proptest::prop_assert!(compared <= DAY_MS / LONGEST_PAUSE_MS + u64::from(FREE_FAILURES) + 7);
        }
    }
}
