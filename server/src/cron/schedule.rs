//! When a job is due: once, at even distances, or by a cron expression. Pure; the time is passed in.

use openclaw_protocol::types::CronSchedule;

use super::expression::{BadExpression, Expression};

/// Latest time that the wire can carry, ms.
const MAX_MS: u64 = (1 << 53) - 1;

/// Whether the schedule can be kept.
///
/// # Errors
/// The expression or its zone is none.
pub(super) fn check(schedule: &CronSchedule) -> Result<(), BadExpression> {
    match schedule {
        CronSchedule::At { .. } | CronSchedule::Every { .. } => Ok(()),
        CronSchedule::Cron { expr, tz } => Expression::parse(expr, tz.as_deref()).map(drop),
    }
}

/// The first due time of a schedule that is set up at `now`. A moment that has passed is due at once.
pub(super) fn first(schedule: &CronSchedule, now: u64) -> Option<u64> {
    match schedule {
        CronSchedule::At { at_ms } => Some(*at_ms),
        CronSchedule::Every {
            anchor_ms: Some(anchor),
            ..
        } if now < *anchor => Some(*anchor),
        _ => after(schedule, now, now),
    }
}

/// The due time after `due`, which is being served at `now`: never one that has passed, so that times which were slept
/// through are one run.
pub(super) fn following(schedule: &CronSchedule, due: u64, now: u64) -> Option<u64> {
    match schedule {
        CronSchedule::At { .. } => None,
        _ => after(schedule, due, now.max(due)),
    }
}

/// The first due time after `now`; distances without an anchor are counted from `base`.
fn after(schedule: &CronSchedule, base: u64, now: u64) -> Option<u64> {
    let next = match schedule {
        CronSchedule::At { .. } => None,
        CronSchedule::Every {
            every_ms,
            anchor_ms,
        } => {
            let (anchor, every) = (anchor_ms.unwrap_or(base), (*every_ms).max(1));
            match now.checked_sub(anchor) {
                None => Some(anchor),
                Some(elapsed) => every
                    .checked_mul(elapsed / every + 1)
                    .and_then(|distance| anchor.checked_add(distance)),
            }
        }
        CronSchedule::Cron { expr, tz } => Expression::parse(expr, tz.as_deref())
            .ok()
            .and_then(|expression| expression.next(now)),
    };
    next.filter(|next| *next <= MAX_MS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn schedule(value: serde_json::Value) -> CronSchedule {
        serde_json::from_value(value).unwrap()
    }

    fn every(every_ms: u64, anchor_ms: Option<u64>) -> CronSchedule {
        CronSchedule::Every {
            every_ms,
            anchor_ms,
        }
    }

    #[test]
    fn first_times() {
        for (value, now, expected) in [
            (json!({"kind": "at", "atMs": 500}), 100, Some(500)),
            (json!({"kind": "at", "atMs": 500}), 900, Some(500)),
            (json!({"kind": "every", "everyMs": 50}), 100, Some(150)),
            (
                json!({"kind": "every", "everyMs": 50, "anchorMs": 500}),
                100,
                Some(500),
            ),
            (
                json!({"kind": "every", "everyMs": 50, "anchorMs": 500}),
                500,
                Some(550),
            ),
            (
                json!({"kind": "every", "everyMs": 50, "anchorMs": 0}),
                101,
                Some(150),
            ),
            (
                json!({"kind": "every", "everyMs": MAX_MS, "anchorMs": 0}),
                1,
                Some(MAX_MS),
            ),
            (json!({"kind": "every", "everyMs": MAX_MS}), 1, None),
            (
                json!({"kind": "cron", "expr": "0 0 31 2 *", "tz": "UTC"}),
                1,
                None,
            ),
            (
                json!({"kind": "cron", "expr": "* * * * *", "tz": "UTC"}),
                60_000,
                Some(120_000),
            ),
        ] {
            assert_eq!(
                first(&schedule(value.clone()), now),
                expected,
                "{value} at {now}"
            );
        }
    }

    #[test]
    fn following_times() {
        let check = |schedule: &CronSchedule, due: u64, now: u64, expected: Option<u64>| {
            assert_eq!(
                following(schedule, due, now),
                expected,
                "{schedule:?} {due} {now}"
            );
        };
        check(
            &schedule(json!({"kind": "at", "atMs": 500})),
            500,
            600,
            None,
        );
        // Without an anchor: from the due time, not from when somebody got round to it.
        check(&every(50, None), 100, 103, Some(150));
        check(&every(50, None), 100, 149, Some(150));
        check(&every(50, None), 100, 150, Some(200));
        check(&every(50, None), 100, 1_000_020, Some(1_000_050));
        check(&every(50, Some(20)), 120, 125, Some(170));
        // The wall clock was set back after the claim: the time that was served is not served again.
        check(&every(50, None), 100, 10, Some(150));
        check(&every(50, Some(0)), 100, 10, Some(150));
        let minutes = schedule(json!({"kind": "cron", "expr": "* * * * *", "tz": "UTC"}));
        check(&minutes, 120_000, 10, Some(180_000));
        check(&minutes, 120_000, 600_000, Some(660_000));
    }

    proptest! {
        #[test]
        fn due_times_rise_and_keep_their_distance(
            every_ms in 1_u64..10_000_000, anchor in prop::option::of(0_u64..4_000_000_000),
            start in 0_u64..4_000_000_000, late in prop::collection::vec(0_u64..30_000_000, 1..20),
        ) {
            let schedule = every(every_ms, anchor);
            let mut due = first(&schedule, start).unwrap();
            prop_assert!(due > start);
            for late in late {
                let now = due + late;
                let next = following(&schedule, due, now).unwrap();
                prop_assert!(next > now && next - now <= every_ms);
                prop_assert_eq!((next - due) % every_ms, 0);
                due = next;
            }
        }
    }
}
