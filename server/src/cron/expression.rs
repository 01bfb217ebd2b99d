//! Cron expressions in time zones. Pure.
//!
//! `croner` reads an expression and finds the civil times that it names; which moments these are is settled here, since
//! its own search can answer with a moment of the past in the hour that clocks repeat. The rules are those of Vixie cron:
//!
//! | When clocks change | an expression for fixed times (`30 2 * * *`) | any other (`*/30 * * * *`) |
//! | --- | --- | --- |
//! | forward, over the time | runs when the gap is over | has no such time that day |
//! | back, so that it comes twice | runs the first time | runs both times |

use std::time::Duration;

use chrono::{DateTime, Utc};
use croner::parser::{CronParser, Seconds, Year};
use croner::{Cron as Pattern, JobType};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Longest expression. Lists of every minute and hour in words are shorter; beyond it somebody tries what happens.
pub(super) const MAX_EXPR_CHARS: usize = 256;

/// Changes of a zone's clocks that a search looks across: forty years of two a year, more than any expression that has
/// a next time at all has to wait (29 February on one weekday: at most 40 years).
const MAX_CHANGES: usize = 96;

/// Why an expression or its zone is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadExpression {
    /// Another number of fields than five or six.
    #[error("exactly five or six fields are needed")]
    Parts,
    /// A field that cannot be.
    #[error("{0}")]
    Pattern(String),
    /// No such time zone.
    #[error("no such time zone")]
    Zone,
}

/// An expression with its zone.
#[derive(Debug)]
pub(super) struct Expression {
    pattern: Pattern,
    zone: TimeZone,
    /// Names fixed times of a day.
    fixed: bool,
}

impl Expression {
    /// Reads an expression; a blank or absent zone is the machine's.
    pub(super) fn parse(expr: &str, tz: Option<&str>) -> Result<Self, BadExpression> {
        let zone = match tz.map(str::trim).filter(|tz| !tz.is_empty()) {
            Some(name) => TimeZone::get(name).map_err(|_| BadExpression::Zone)?,
            None => TimeZone::system(),
        };
        if expr.chars().count() > MAX_EXPR_CHARS {
            return Err(BadExpression::Pattern(format!(
                "an expression has at most {MAX_EXPR_CHARS} characters"
            )));
        }
        let is_nickname = expr.trim().starts_with('@');
        let parts = expr.split_whitespace().count();
        if !is_nickname && !(5..=6).contains(&parts) {
            return Err(BadExpression::Parts);
        }
        let parser = CronParser::builder()
            .seconds(Seconds::Optional)
            .year(Year::Disallowed)
            .build();
        let pattern = parser
            .parse(expr)
            .map_err(|error| BadExpression::Pattern(error.to_string()))?;
        Ok(Self {
            fixed: pattern.determine_job_type() == JobType::FixedTime,
            pattern,
            zone,
        })
    }

    /// The first moment after `after_ms` that the expression names; `None` when there is none within its reach.
    pub(super) fn next(&self, after_ms: u64) -> Option<u64> {
        // Expressions name whole seconds; the one that has begun is over.
        let mut start = i64::try_from(after_ms / 1000).ok()?.checked_add(1)?;
        let mut offset = self.offset(start)?;
        let mut from = start.checked_add(offset)?;
        if let Some(repeated) = self.repeated_until(start) {
            from = from.max(repeated);
        }
        for _ in 0..MAX_CHANGES {
            let civil = self.civil(from)?;
            let moment = civil - offset;
            let change = self.zone.following(moment_of(start)?).next();
            let Some((at, new_offset)) = change
                .map(|change| {
                    (
                        change.timestamp().as_second(),
                        i64::from(change.offset().seconds()),
                    )
                })
                .filter(|(at, _)| *at <= moment)
            else {
                return in_ms(moment);
            };
            // The clocks change before that moment.
            let (until, since) = (at + offset, at + new_offset);
            if self.fixed && until < since && civil < since {
                return in_ms(at);
            }
            from = if self.fixed { since.max(until) } else { since };
            (start, offset) = (at, new_offset);
        }
        None
    }

    /// First civil time (as seconds of a clock without zones) at or after `from` that the pattern names.
    fn civil(&self, from: i64) -> Option<i64> {
        let from: DateTime<Utc> = DateTime::from_timestamp(from, 0)?;
        let found = self.pattern.find_next_occurrence(&from, true).ok()?;
        Some(found.timestamp())
    }

    fn offset(&self, second: i64) -> Option<i64> {
        Some(i64::from(self.zone.to_offset(moment_of(second)?).seconds()))
    }

    /// If clocks were set back before `second`: the civil time up to which everything came for the second time. Fixed
    /// times among it have had their turn.
    fn repeated_until(&self, second: i64) -> Option<i64> {
        if !self.fixed {
            return None;
        }
        // A change at this very second counts as one before it.
        let later = moment_of(second.checked_add(1)?)?;
        let change = self.zone.preceding(later).next()?;
        let at = change.timestamp().as_second();
        let before = self.offset(at.checked_sub(1)?)?;
        (before > i64::from(change.offset().seconds())).then(|| at + before)
    }
}

fn moment_of(second: i64) -> Option<Timestamp> {
    Timestamp::from_second(second).ok()
}

fn in_ms(second: i64) -> Option<u64> {
    let time = u64::try_from(second).ok().map(Duration::from_secs)?;
    u64::try_from(time.as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(text: &str) -> u64 {
        let moment: Timestamp = text.parse().unwrap();
        u64::try_from(moment.as_millisecond()).unwrap()
    }

    /// The next moments of `expr` after `from`, as clocks in the zone show them.
    fn shown(expr: &str, tz: &str, from: &str, count: usize) -> Vec<String> {
        let expression = Expression::parse(expr, Some(tz)).unwrap();
        let zone = TimeZone::get(tz).unwrap();
        let mut after = ms(from);
        let mut shown = Vec::new();
        for _ in 0..count {
            let Some(next) = expression.next(after) else {
                break;
            };
            assert!(next > after, "{expr} in {tz}: {next} is not after {after}");
            after = next;
            let moment = Timestamp::from_millisecond(i64::try_from(next).unwrap()).unwrap();
            let text = moment
                .to_zoned_datetime(zone.clone())
                .strftime("%m-%d %H:%M:%S%:z");
            shown.push(text.to_string());
        }
        shown
    }

    #[test]
    fn ordinary_days() {
        let from = "2026-01-30T12:00:00.500Z";
        for (expr, expected) in [
            (
                "0 3 * * *",
                vec!["01-31 03:00:00+00:00", "02-01 03:00:00+00:00"],
            ),
            (
                "* * * * *",
                vec!["01-30 12:01:00+00:00", "01-30 12:02:00+00:00"],
            ),
            (
                "*/10 * * * * *",
                vec!["01-30 12:00:10+00:00", "01-30 12:00:20+00:00"],
            ),
            (
                "0 9 * * 1-5",
                vec!["02-02 09:00:00+00:00", "02-03 09:00:00+00:00"],
            ),
            (
                "0 0 L * *",
                vec!["01-31 00:00:00+00:00", "02-28 00:00:00+00:00"],
            ),
            // Day of month or day of week, as cron has always had it.
            (
                "0 0 13 * FRI",
                vec!["02-06 00:00:00+00:00", "02-13 00:00:00+00:00"],
            ),
            (
                "@hourly",
                vec!["01-30 13:00:00+00:00", "01-30 14:00:00+00:00"],
            ),
            (
                "0 0 29 2 *",
                vec!["02-29 00:00:00+00:00", "02-29 00:00:00+00:00"],
            ),
            ("0 0 31 2 *", vec![]),
        ] {
            assert_eq!(shown(expr, "UTC", from, 2), expected, "{expr}");
        }
        // A moment that the expression names is over when it is there.
        assert_eq!(
            shown("0 12 * * *", "UTC", "2026-01-30T12:00:00Z", 1),
            ["01-31 12:00:00+00:00"]
        );
        assert_eq!(
            shown("0 12 * * *", "UTC", "2026-01-30T11:59:59.999Z", 1),
            ["01-30 12:00:00+00:00"]
        );
        assert_eq!(
            shown("30 8 * * *", "Asia/Kolkata", from, 1),
            ["01-31 08:30:00+05:30"]
        );
    }

    #[test]
    fn clocks_go_forward() {
        // Oslo, 29 March 2026: 02:00+01:00 becomes 03:00+02:00.
        let from = "2026-03-28T12:00:00Z";
        let oslo = |expr: &str, count: usize| shown(expr, "Europe/Oslo", from, count);
        assert_eq!(
            oslo("30 2 * * *", 2),
            ["03-29 03:00:00+02:00", "03-30 02:30:00+02:00"],
            "runs when the gap is over"
        );
        assert_eq!(
            oslo("0 3 * * *", 2),
            ["03-29 03:00:00+02:00", "03-30 03:00:00+02:00"]
        );
        assert_eq!(oslo("0 4 * * *", 1), ["03-29 04:00:00+02:00"]);
        let half_hours = shown("*/30 * * * *", "Europe/Oslo", "2026-03-29T00:00:00Z", 3);
        assert_eq!(
            half_hours,
            [
                "03-29 01:30:00+01:00",
                "03-29 03:00:00+02:00",
                "03-29 03:30:00+02:00"
            ]
        );
        // Not a time of that day at all.
        let on_the_half = shown("30 * * * *", "Europe/Oslo", "2026-03-29T00:00:00Z", 2);
        assert_eq!(
            on_the_half,
            ["03-29 01:30:00+01:00", "03-29 03:30:00+02:00"]
        );
    }

    #[test]
    fn clocks_go_back() {
        // Oslo, 25 October 2026: 03:00+02:00 becomes 02:00+01:00.
        let from = "2026-10-24T12:00:00Z";
        let oslo = |expr: &str, from: &str, count: usize| shown(expr, "Europe/Oslo", from, count);
        assert_eq!(
            oslo("30 2 * * *", from, 2),
            ["10-25 02:30:00+02:00", "10-26 02:30:00+01:00"],
            "once"
        );
        // A gateway that starts between the two has missed nothing.
        assert_eq!(
            oslo("30 2 * * *", "2026-10-25T01:10:00Z", 1),
            ["10-26 02:30:00+01:00"]
        );
        assert_eq!(
            oslo("30 2 * * *", "2026-10-25T00:45:00Z", 1),
            ["10-26 02:30:00+01:00"]
        );
        assert_eq!(
            oslo("0 3 * * *", from, 2),
            ["10-25 03:00:00+01:00", "10-26 03:00:00+01:00"]
        );
        assert_eq!(
            oslo("*/30 * * * *", "2026-10-25T00:00:00Z", 4),
            [
                "10-25 02:30:00+02:00",
                "10-25 02:00:00+01:00",
                "10-25 02:30:00+01:00",
                "10-25 03:00:00+01:00"
            ],
            "both times"
        );
        // Half an hour, at Lord Howe: 5 April 2026, 02:00+11:00 becomes 01:30+10:30.
        assert_eq!(
            shown(
                "45 1 * * *",
                "Australia/Lord_Howe",
                "2026-04-04T10:00:00Z",
                2
            ),
            ["04-05 01:45:00+11:00", "04-06 01:45:00+10:30"]
        );
    }

    #[test]
    fn what_is_no_expression() {
        let check = |expr: &str, tz: Option<&str>, expected: Option<BadExpression>| {
            assert_eq!(
                Expression::parse(expr, tz).err(),
                expected,
                "{expr:?} {tz:?}"
            );
        };
        check("not cron", None, Some(BadExpression::Parts));
        check("0 3 * * * * 2026", None, Some(BadExpression::Parts));
        check("   ", None, Some(BadExpression::Parts));
        check("0 3 * * *", Some("Mars/Base"), Some(BadExpression::Zone));
        check(
            "0 3 * * *",
            Some("../etc/passwd"),
            Some(BadExpression::Zone),
        );
        check("0 3 * * *", Some("  "), None);
        check("0 3 * * *", Some("europe/oslo"), None);
        for bad in [
            "61 3 * * *",
            "0 25 * * *",
            "0 3 0 * *",
            "x 3 * * *",
            "@reboot",
            "@",
            "0 3 * * 1#9",
        ] {
            assert!(
                matches!(Expression::parse(bad, None), Err(BadExpression::Pattern(_))),
                "{bad}"
            );
        }
        let list = vec!["1"; MAX_EXPR_CHARS].join(",");
        let longest = |chars: usize| format!("{} 3 * * *", &list[..chars - " 3 * * *".len()]);
        check(&longest(MAX_EXPR_CHARS - 1), None, None);
        assert!(matches!(
            Expression::parse(&longest(MAX_EXPR_CHARS + 1), None),
            Err(BadExpression::Pattern(_))
        ));
    }

    proptest! {
        #[test]
        fn the_next_moment_is_named_by_the_expression_and_none_is_before_it(
            minute in 0_u32..60, hour in 0_u32..24, step in 1_u32..30,
            after in 1_700_000_000_u64..2_000_000_000,
            zone in prop::sample::select(vec!["UTC", "Europe/Oslo", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"]),
        ) {
            let after = after * 1000;
            for expr in [format!("{minute} {hour} * * *"), format!("*/{step} {hour} * * *"), format!("{minute} * * * *")] {
                let expression = Expression::parse(&expr, Some(zone)).unwrap();
                let next = expression.next(after).unwrap();
                prop_assert!(next > after && next.is_multiple_of(1000));
                prop_assert!(next - after <= 26 * 3_600_000, "{expr} in {zone}: {after} to {next}");
                // The same from any moment between.
                let middle = after + (next - after) / 2;
                prop_assert_eq!(expression.next(middle), Some(next));
                prop_assert_eq!(expression.next(next - 1), Some(next));
            }
        }

        #[test]
        fn no_text_panics(expr in ".{0,40}", tz in ".{0,12}", fields in "[-0-9*/,#LW?+@A-Za-z ]{0,40}") {
            for expr in [expr, fields] {
                for tz in [None, Some(tz.as_str())] {
                    if let Ok(expression) = Expression::parse(&expr, tz) {
                        let _ = expression.next(1_770_000_000_000);
                    }
                }
            }
        }
    }
}
