//! `usage.cost`: the ledger, day by day (methods.md, Usage).

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use openclaw_protocol::protocol::limits;
use openclaw_protocol::types::{UsageCostParams, UsageCostResult, UsageDay, UsageTotals};
use serde_json::Value;

use super::ledger::{self, Spent};
use crate::agent::{Models, Price};
use crate::sessions::Sessions;
use crate::store::StoreError;

/// Answers `usage.cost`, and keeps the last answer for a moment.
pub struct Costs {
    sessions: Sessions,
    zone: TimeZone,
    /// Read and made under its lock, so that many who ask at once cost one look.
    last: Mutex<Option<UsageCostResult>>,
}

impl Costs {
    /// The costs of what is said in `sessions`, by the days of `zone`.
    #[must_use]
    pub fn new(sessions: Sessions, zone: TimeZone) -> Self {
        Self {
            sessions,
            zone,
            last: Mutex::new(None),
        }
    }

    /// Tokens and cost of the last days of all agents, at `now_ms`. Replies whose price was not known when they were stored
    /// are counted at the price that `models` has for them now. Reads the store; callers on the I/O thread put it aside.
    ///
    /// # Errors
    /// Whatever the store says.
    pub fn of(
        &self,
        params: &UsageCostParams,
        models: &Models,
        now_ms: u64,
    ) -> Result<UsageCostResult, StoreError> {
        let days = days(params);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_fresh = |known: &&UsageCostResult| {
            let age = now_ms.checked_sub(known.updated_at);
            known.days == days && age.is_some_and(|age| age < limits::USAGE_COST_CACHE_MS)
        };
        if let Some(known) = last.as_ref().filter(is_fresh) {
            return Ok(known.clone());
        }
        let fresh = self.count(days, models, now_ms)?;
        *last = Some(fresh.clone());
        Ok(fresh)
    }

    fn count(
        &self,
        days: u64,
        models: &Models,
        now_ms: u64,
    ) -> Result<UsageCostResult, StoreError> {
        let mut daily: BTreeMap<String, UsageTotals> = BTreeMap::new();
        self.sessions.read(|reader| {
            ledger::visit(reader, self.since(days, now_ms), |at, spent| {
                let day = daily.entry(self.day(at)).or_insert_with(nothing);
                add(day, &counted(&spent, models));
            })
        })?;
        let mut totals = nothing();
        daily.values().for_each(|day| add(&mut totals, day));
        let daily = daily.into_iter().map(|(date, day)| dated(date, &day));
        Ok(UsageCostResult::new(now_ms, days, daily.collect(), totals))
    }

    /// The present time of day, `days` - 1 days ago.
    fn since(&self, days: u64, now_ms: u64) -> u64 {
        let back = i64::try_from(days - 1).unwrap_or(i64::MAX);
        let since = moment(now_ms)
            .to_zoned_datetime(self.zone.clone())
            .checked_sub(back.days());
        since.map_or(0, |since| {
            u64::try_from(since.timestamp().as_millisecond()).unwrap_or(0)
        })
    }

    fn day(&self, at_ms: u64) -> String {
        let civil = self.zone.to_datetime(moment(at_ms));
        civil.date().to_string()
    }
}

/// Times beyond what calendars know are taken for their end.
fn moment(ms: u64) -> Timestamp {
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX)
}

/// How many days are asked for: a number or one as text, rounded down, within bounds; anything else counts as absent.
fn days(params: &UsageCostParams) -> u64 {
    let asked = match params.days.as_ref() {
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        _ => None,
    };
    let Some(asked) = asked.filter(|asked: &f64| asked.is_finite()) else {
        return limits::USAGE_DAYS_DEFAULT;
    };
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // saturates
    let whole = asked.floor() as u64;
    whole.clamp(1, limits::USAGE_DAYS_MAX)
}

fn counted(spent: &Spent, models: &Models) -> UsageTotals {
    let price = models.cost_of(&spent.provider, &spent.model);
    let later = price.map_or(0.0, |price| {
        Price::of(&spent.unpriced_tokens, &price).total()
    });
    UsageTotals::new(
        spent.tokens.input,
        spent.tokens.output,
        spent.tokens.cache_read,
        spent.tokens.cache_write,
        spent.total,
        spent.cost + later,
        if price.is_some() { 0 } else { spent.unpriced },
    )
}

fn nothing() -> UsageTotals {
    UsageTotals::new(0, 0, 0, 0, 0, 0.0, 0)
}

fn add(sum: &mut UsageTotals, more: &UsageTotals) {
    for (sum, more) in [
        (&mut sum.input, more.input),
        (&mut sum.output, more.output),
        (&mut sum.cache_read, more.cache_read),
        (&mut sum.cache_write, more.cache_write),
        (&mut sum.total_tokens, more.total_tokens),
        (&mut sum.missing_cost_entries, more.missing_cost_entries),
    ] {
        *sum = sum.saturating_add(more);
    }
    sum.total_cost += more.total_cost;
}

fn dated(date: String, day: &UsageTotals) -> UsageDay {
    UsageDay::new(
        date,
        day.input,
        day.output,
        day.cache_read,
        day.cache_write,
        day.total_tokens,
        day.total_cost,
        day.missing_cost_entries,
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::sessions::open_in;
    use serde_json::json;

    /// 2026-03-29 12:00 in Berlin, hours after its clocks went forward.
    const NOON: u64 = 1_774_778_400_000;
    const HOUR: u64 = 3_600_000;
    const DAY: u64 = 24 * HOUR;

    fn params(days: Value) -> UsageCostParams {
        UsageCostParams { days: Some(days) }
    }

    #[test]
    fn days_that_are_asked_for() {
        let most = limits::USAGE_DAYS_MAX;
        for (asked, expected) in [
            (json!(7), 7),
            (json!(7.9), 7),
            (json!("7"), 7),
            (json!(" 7.5 "), 7),
            (json!(0), 1),
            (json!(-3), 1),
            (json!(most), most),
            (json!(most + 1), most),
            (json!(1e300), most),
            (json!("many"), limits::USAGE_DAYS_DEFAULT),
            (json!("inf"), limits::USAGE_DAYS_DEFAULT),
            (json!([7]), limits::USAGE_DAYS_DEFAULT),
            (Value::Null, limits::USAGE_DAYS_DEFAULT),
        ] {
            assert_eq!(days(&params(asked.clone())), expected, "{asked}");
        }
        assert_eq!(
            days(&UsageCostParams::default()),
            limits::USAGE_DAYS_DEFAULT
        );
    }

    struct World {
        _dir: tempfile::TempDir,
        sessions: Sessions,
        costs: Costs,
        models: Models,
    }

    fn world() -> World {
        let dir = tempfile::tempdir().unwrap();
        let sessions = open_in(dir.path());
        let config = json!({"models": {"providers": {"p": {"baseUrl": "http://p", "models": [
            {"id": "priced", "cost": {"input": 1_000_000, "output": 0}}, {"id": "unknown"}
        ]}}}});
        World {
            costs: Costs::new(sessions.clone(), TimeZone::get("Europe/Berlin").unwrap()),
            models: Models::new(Arc::new(serde_json::from_value(config).unwrap())),
            sessions,
            _dir: dir,
        }
    }

    impl World {
        async fn say(&self, model: &str, at: u64, cost: Option<f64>) {
            let mut message = json!({"role": "assistant", "provider": "p", "model": model, "timestamp": at, "usage": {
                "input": 2, "output": 1, "cacheRead": 0, "cacheWrite": 0, "totalTokens": 3
            }});
            if let Some(cost) = cost {
                message["usage"]["cost"] = json!({"total": cost});
            }
            let said = self
                .sessions
                .write(move |changes| changes.append("s", &message));
            said.await.unwrap();
        }

        /// `date tokens cost missing` of each day, and of all.
        fn shown(&self, days: u64, now: u64) -> (Vec<String>, String) {
            let found = self.costs.of(&params(json!(days)), &self.models, now);
            let UsageCostResult { daily, totals, .. } = found.unwrap();
            let daily = daily.iter().map(|day| {
                format!(
                    "{} {} {} {}",
                    day.date, day.total_tokens, day.total_cost, day.missing_cost_entries
                )
            });
            let UsageTotals {
                total_tokens,
                total_cost,
                missing_cost_entries,
                ..
            } = totals;
            (
                daily.collect(),
                format!("{total_tokens} {total_cost} {missing_cost_entries}"),
            )
        }
    }

    #[tokio::test]
    async fn days_are_those_of_the_zone() {
        let world = world();
        // Half an hour before and after Berlin's midnight, while UTC still has the day before.
        for at in [NOON - 11 * HOUR - HOUR / 2, NOON - 10 * HOUR - HOUR / 2] {
            world.say("unknown", at, Some(0.5)).await;
        }
        let both = ["2026-03-28 3 0.5 0", "2026-03-29 3 0.5 0"].map(str::to_owned);
        assert_eq!(world.shown(2, NOON), (both.to_vec(), "6 1 0".to_owned()));
    }

    #[tokio::test]
    async fn a_span_begins_at_the_time_of_day() {
        let world = world();
        // A day and an hour short: the day when clocks go forward has 23 hours.
        let start = NOON - DAY + HOUR;
        for at in [start - 1, start, NOON] {
            world.say("unknown", at, Some(1.0)).await;
        }
        for (days, tokens) in [(1, "3 1 0"), (2, "6 2 0"), (3, "9 3 0")] {
            assert_eq!(world.shown(days, NOON).1, tokens, "{days}");
        }
    }

    #[tokio::test]
    async fn unknown_prices_are_looked_up_or_told() {
        let world = world();
        for (model, cost) in [
            ("priced", None),
            ("priced", Some(0.0)),
            ("unknown", None),
            ("gone", None),
        ] {
            world.say(model, NOON, cost).await;
        }
        assert_eq!(world.shown(1, NOON).1, "12 2 2");
    }

    #[tokio::test]
    async fn an_answer_is_kept_for_a_moment() {
        let world = world();
        let of_now = |now| world.shown(1, now).1;
        assert_eq!(of_now(NOON), "0 0 0");
        world.say("unknown", NOON, Some(1.0)).await;
        let later = NOON + limits::USAGE_COST_CACHE_MS;
        assert_eq!(of_now(later - 1), "0 0 0");
        assert_eq!(
            world.shown(2, later - 1).1,
            "3 1 0",
            "another span is another answer"
        );
        assert_eq!(of_now(later), "3 1 0");
    }
}
