//! The hours in which heartbeats run (`heartbeat.activeHours`). Pure; the time is passed in.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::config::ActiveHours;

/// Minutes of a day.
const DAY: u32 = 24 * 60;

/// Hours of a day in a zone.
#[derive(Debug, Clone)]
pub struct Hours {
    /// First minute of the day, and the first one after them; the end may be before the start.
    start: u32,
    end: u32,
    zone: TimeZone,
}

impl Hours {
    /// The configured hours; `user_zone` is `agents.defaults.userTimezone`. None, which means all day, where the
    /// configuration cannot be understood: heartbeats too many are seen and mended, missing ones are not.
    #[must_use]
    pub fn of(config: &ActiveHours, user_zone: Option<&str>) -> Option<Self> {
        let (start, end) = (minute(&config.start)?, minute(&config.end)?);
        let named = |name: Option<&str>| match name.map(str::trim).filter(|name| !name.is_empty()) {
            Some(name) => TimeZone::get(name).ok(),
            None => Some(TimeZone::system()),
        };
        let zone = match config.timezone.as_deref().map(str::trim) {
            None | Some("" | "user") => named(user_zone)?,
            Some("local") => TimeZone::system(),
            zone => named(zone)?,
        };
        (start != end).then_some(Self { start, end, zone })
    }

    /// Whether the moment is one of them.
    #[must_use]
    pub fn contain(&self, now_ms: u64) -> bool {
        let moment = i64::try_from(now_ms)
            .ok()
            .and_then(|ms| Timestamp::from_millisecond(ms).ok());
        let Some(moment) = moment else { return true };
        let time = moment.to_zoned_datetime(self.zone.clone()).time();
        let minute =
            u32::from(time.hour().unsigned_abs()) * 60 + u32::from(time.minute().unsigned_abs());
        if self.start < self.end {
            (self.start..self.end).contains(&minute)
        } else {
            minute >= self.start || minute < self.end
        }
    }
}

/// `HH:MM` as a minute of the day; `24:00` is its end.
fn minute(text: &str) -> Option<u32> {
    let (hour, minute) = text.trim().split_once(':')?;
    let number = |digits: &str| {
        let is_number = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| digits.parse::<u32>().ok()).flatten()
    };
    let (hour, minute) = (number(hour)?, number(minute)?);
    let of_day = hour * 60 + minute;
    (minute < 60 && of_day <= DAY).then_some(of_day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(start: &str, end: &str, zone: Option<&str>, user: Option<&str>) -> Option<Hours> {
        let config = ActiveHours {
            start: start.to_owned(),
            end: end.to_owned(),
            timezone: zone.map(str::to_owned),
        };
        Hours::of(&config, user)
    }

    #[test]
    fn hours_of_a_day() {
        let at = |text: &str| {
            let moment: Timestamp = format!("2026-01-30T{text}:00Z").parse().unwrap();
            u64::try_from(moment.as_millisecond()).unwrap()
        };
        for (start, end, zone, inside, outside) in [
            (
                "08:00",
                "22:00",
                "UTC",
                vec!["08:00", "21:59"],
                vec!["07:59", "22:00", "03:00"],
            ),
            (
                "22:00",
                "08:00",
                "UTC",
                vec!["22:00", "00:00", "07:59"],
                vec!["08:00", "21:59"],
            ),
            (
                "08:00",
                "24:00",
                "UTC",
                vec!["08:00", "23:59"],
                vec!["00:00", "07:59"],
            ),
            (
                "08:00",
                "22:00",
                "Asia/Kolkata",
                vec!["02:30", "16:29"],
                vec!["02:29", "16:30"],
            ),
        ] {
            let hours = hours(start, end, Some(zone), None).unwrap();
            for time in inside {
                assert!(hours.contain(at(time)), "{start}-{end} {zone} {time}");
            }
            for time in outside {
                assert!(!hours.contain(at(time)), "{start}-{end} {zone} {time}");
            }
        }
        let by_user = hours("08:00", "22:00", None, Some("Asia/Kolkata")).unwrap();
        assert!(by_user.contain(at("02:30")) && !by_user.contain(at("16:30")));
    }

    #[test]
    fn hours_that_cannot_be_understood_are_all_day() {
        for (start, end, zone) in [
            ("8", "22:00", None),
            ("8:00", "22:00", None),
            ("08:60", "22:00", None),
            ("08:00", "24:01", None),
            ("08:00", "08:00", None),
            ("08:00", "22:00", Some("Mars/Base")),
        ] {
            assert!(
                hours(start, end, zone, Some("UTC")).is_none(),
                "{start}-{end} {zone:?}"
            );
        }
    }
}
