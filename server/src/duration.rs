//! Lengths of time as people write them: `30m`, `1.5h`, `250ms`. Used by the configuration of heartbeats and by the
//! command line.

use std::time::Duration;

/// A unit of time, for texts that name none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Milliseconds.
    Millis,
    /// Minutes.
    Minutes,
}

/// Longest length that is understood. A century is a mistake of the writer, and larger numbers are no times at all.
const MAX: Duration = Duration::from_secs(100 * 366 * 24 * 3600);

/// The length that `text` names: digits, with a fraction or without, and one of `ms`, `s`, `m`, `h`, `d`; without a unit
/// in `unit`. `None` for anything else, and beyond a century.
#[must_use]
pub fn parse(text: &str, unit: Unit) -> Option<Duration> {
    let text = text.trim().to_ascii_lowercase();
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, name) = text.split_at(digits);
    let is_number = number.starts_with(|c: char| c.is_ascii_digit())
        && number.ends_with(|c: char| c.is_ascii_digit())
        && number.matches('.').count() <= 1;
    if !is_number {
        return None;
    }
    let millis = match (name, unit) {
        ("ms", _) | ("", Unit::Millis) => 1.0,
        ("s", _) => 1e3,
        ("m", _) | ("", Unit::Minutes) => 6e4,
        ("h", _) => 3.6e6,
        ("d", _) => 8.64e7,
        _ => return None,
    };
    let seconds = number.parse::<f64>().ok()? * millis / 1e3;
    let length = Duration::try_from_secs_f64(seconds).ok()?;
    // Whole milliseconds: what the wire carries.
    let length = Duration::from_millis(u64::try_from(length.as_millis()).ok()?);
    (length <= MAX).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        let check = |text: &str, unit: Unit, ms: Option<u64>| {
            assert_eq!(parse(text, unit), ms.map(Duration::from_millis), "{text:?}");
        };
        for (text, ms) in [
            ("30m", Some(1_800_000)),
            (" 1H ", Some(3_600_000)),
            ("1.5h", Some(5_400_000)),
            ("250ms", Some(250)),
            ("2d", Some(172_800_000)),
            ("10s", Some(10_000)),
            ("5", Some(300_000)),
            ("0m", Some(0)),
            ("0", Some(0)),
            ("36600d", Some(3_162_240_000_000)),
            ("36601d", None),
            ("", None),
            ("m", None),
            (".5h", None),
            ("1.h", None),
            ("1.2.3h", None),
            ("-1m", None),
            ("1 h", None),
            ("1w", None),
            ("1h30m", None),
            ("99999999999999999999999999d", None),
        ] {
            check(text, Unit::Minutes, ms);
        }
        check("5", Unit::Millis, Some(5));
        check("5m", Unit::Millis, Some(300_000));
    }
}
