//! When a parcel is tried again. Pure.

use std::time::Duration;

use super::channel::Fault;

/// Attempts of one delivery. With the pauses between them the last one is a good two minutes after the first: whoever
/// called still waits, and what takes longer is no hiccup.
pub(super) const MAX_ATTEMPTS: u32 = 8;

/// Pause after the first attempt. It doubles with each further one.
pub(super) const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Longest pause that a service can ask for. Beyond it the delivery fails and says so: a message that comes an hour late
/// is worse than none.
pub(super) const MAX_HINT: Duration = Duration::from_secs(15 * 60);

/// What follows on an attempt that brought no receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// Another one after this pause.
    Again(Duration),
    /// None; the delivery has failed.
    Fail(String),
    /// None; nobody can say whether it arrived.
    Unknown(String),
}

/// What follows on attempt number `attempts` of a channel that does or does not deduplicate.
pub(super) fn next(fault: Fault, attempts: u32, deduplicates: bool) -> Next {
    let (problem, hint) = match fault {
        Fault::Refused(problem) => return Next::Fail(problem),
        Fault::Unknown(problem) if !deduplicates => return Next::Unknown(problem),
        Fault::Unknown(problem) => (problem, None),
        Fault::Later {
            problem,
            retry_after,
        } => (problem, retry_after),
    };
    if attempts >= MAX_ATTEMPTS {
        return Next::Fail(format!("{problem} (tried {attempts} times)"));
    }
    let own = FIRST_PAUSE * 2_u32.saturating_pow(attempts.saturating_sub(1));
    match hint {
        Some(hint) if hint > MAX_HINT => Next::Fail(format!(
            "{problem} (the service asks to wait for {} s)",
            hint.as_secs()
        )),
        // Never sooner than the service wants, nor than our own patience.
        Some(hint) => Next::Again(hint.max(own)),
        None => Next::Again(own),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_on_a_fault() {
        let later = |hint: Option<u64>| Fault::Later {
            problem: "busy".into(),
            retry_after: hint.map(Duration::from_secs),
        };
        let again = |seconds| Next::Again(Duration::from_secs(seconds));
        let fail = |text: &str| Next::Fail(text.into());
        for (fault, attempts, deduplicates, expected) in [
            (later(None), 1, false, again(1)),
            (later(None), 2, false, again(2)),
            (later(None), 7, false, again(64)),
            (later(None), 8, false, fail("busy (tried 8 times)")),
            (later(Some(30)), 1, false, again(30)),
            (later(Some(30)), 7, false, again(64)),
            (later(Some(900)), 1, false, again(900)),
            (
                later(Some(901)),
                1,
                false,
                fail("busy (the service asks to wait for 901 s)"),
            ),
            (later(Some(30)), 8, false, fail("busy (tried 8 times)")),
            (Fault::Refused("no".into()), 1, true, fail("no")),
            (
                Fault::Unknown("cut".into()),
                1,
                false,
                Next::Unknown("cut".into()),
            ),
            (Fault::Unknown("cut".into()), 1, true, again(1)),
            (
                Fault::Unknown("cut".into()),
                8,
                true,
                fail("cut (tried 8 times)"),
            ),
        ] {
            assert_eq!(
                next(fault.clone(), attempts, deduplicates),
                expected,
                "{fault:?} {attempts}"
            );
        }
    }
}
