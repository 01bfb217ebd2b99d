//! Identity of values that differ on every run: a recorded id stands for one actual id and the other way round, for the
//! whole session. Used by the judge to compare and by the replayer to put actual ids into what a client sends.

use std::collections::HashMap;

/// What looks like an id in a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdKind {
    /// `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` in lower-case hex.
    Uuid,
    /// 32 lower-case hex digits: tokens.
    Hex32,
    /// 64 lower-case hex digits: device ids and hashes.
    Hex64,
}

/// A part of a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Compared as it is.
    Literal(&'a str),
    /// Compared by identity.
    Id(IdKind, &'a str),
    /// An ISO 8601 time, compared by form.
    Time(&'a str),
}

/// Splits a string into ids, times and what is between them.
pub fn pieces(text: &str) -> Vec<Piece<'_>> {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let (mut literal, mut at) = (0, 0);
    while at < bytes.len() {
        let starts_word = at == 0 || !bytes[at - 1].is_ascii_alphanumeric();
        let found = if starts_word {
            id_or_time(bytes, at)
        } else {
            None
        };
        let Some((kind, len)) = found else {
            at += 1;
            continue;
        };
        if literal < at {
            out.push(Piece::Literal(&text[literal..at]));
        }
        let part = &text[at..at + len];
        out.push(kind.map_or(Piece::Time(part), |kind| Piece::Id(kind, part)));
        at += len;
        literal = at;
    }
    if literal < text.len() {
        out.push(Piece::Literal(&text[literal..]));
    }
    out
}

/// What starts at `at`, and its length. `None` as kind is a time.
fn id_or_time(bytes: &[u8], at: usize) -> Option<(Option<IdKind>, usize)> {
    let rest = &bytes[at..];
    let ends = |len: usize| rest.get(len).is_none_or(|b| !b.is_ascii_alphanumeric());
    let hex = |b: &u8| b.is_ascii_digit() || (b'a'..=b'f').contains(b);
    if rest.len() >= 36 && ends(36) {
        let dash = |i: usize| matches!(i, 8 | 13 | 18 | 23);
        if rest[..36]
            .iter()
            .enumerate()
            .all(|(i, b)| if dash(i) { *b == b'-' } else { hex(b) })
        {
            return Some((Some(IdKind::Uuid), 36));
        }
    }
    for (kind, len) in [(IdKind::Hex64, 64), (IdKind::Hex32, 32)] {
        if rest.len() >= len && ends(len) && rest[..len].iter().all(hex) {
            return Some((Some(kind), len));
        }
    }
    let date = |i: usize, b: u8| match i {
        4 | 7 => b == b'-',
        10 => b == b'T',
        _ => b.is_ascii_digit(),
    };
    if rest.len() > 11 && rest[..11].iter().enumerate().all(|(i, b)| date(i, *b)) {
        let tail = rest[11..]
            .iter()
            .take_while(|b| b.is_ascii_digit() || matches!(b, b':' | b'.'))
            .count();
        let zulu = usize::from(rest.get(11 + tail) == Some(&b'Z'));
        return Some((None, 11 + tail + zulu));
    }
    None
}

/// Two recorded values met one actual value, or the other way round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// What the comparison at hand says is wrong.
    pub message: String,
}

/// Which recorded value stands for which actual value.
#[derive(Debug, Clone, Default)]
pub struct Binder {
    by_recorded: HashMap<String, (String, String)>,
    by_actual: HashMap<String, String>,
    moments: HashMap<(String, i64), i64>,
    named: HashMap<String, u32>,
}

impl Binder {
    /// Binds values that are the same in every run to themselves.
    pub fn with_constants<'a>(constants: impl IntoIterator<Item = &'a str>) -> Self {
        let mut binder = Self::default();
        for value in constants {
            // A constant bound twice is bound to itself again.
            let _ = binder.bind("constant", value, value);
        }
        binder
    }

    /// Says that `actual` is what the recording calls `recorded`. `name` is the field that holds it: `sessionId#1` is the
    /// first session id of the session in messages.
    ///
    /// # Errors
    ///
    /// When one of them is bound to something else.
    pub fn bind(&mut self, name: &str, recorded: &str, actual: &str) -> Result<(), Conflict> {
        if let Some((label, bound)) = self.by_recorded.get(recorded) {
            if bound == actual {
                return Ok(());
            }
            return Err(Conflict {
                message: format!("{label} was {bound} so far, here it is {actual}"),
            });
        }
        if let Some(other) = self.by_actual.get(actual) {
            let label = self
                .by_recorded
                .get(other)
                .map_or("another value", |(label, _)| label);
            return Err(Conflict {
                message: format!("{actual} is already {label}; a new value is expected here"),
            });
        }
        let count = self.named.entry(name.to_owned()).or_default();
        *count += 1;
        let label = format!("{name}#{count}");
        self.by_recorded
            .insert(recorded.to_owned(), (label, actual.to_owned()));
        self.by_actual
            .insert(actual.to_owned(), recorded.to_owned());
        Ok(())
    }

    /// Says that the moment `recorded` of field `name` happened at `actual` this time: the same moment wherever that field
    /// holds it.
    ///
    /// # Errors
    ///
    /// When it happened at another time before.
    pub fn bind_moment(&mut self, name: &str, recorded: i64, actual: i64) -> Result<(), Conflict> {
        let before = *self
            .moments
            .entry((name.to_owned(), recorded))
            .or_insert(actual);
        if before == actual {
            return Ok(());
        }
        Err(Conflict {
            message: format!("{name} of the same event was {before} before, here it is {actual}"),
        })
    }

    /// Pairs of recorded and actual value that differ.
    pub fn substitutions(&self) -> impl Iterator<Item = (&str, &str)> {
        let pairs = self
            .by_recorded
            .iter()
            .map(|(recorded, (_, actual))| (recorded.as_str(), actual.as_str()));
        pairs.filter(|(recorded, actual)| recorded != actual)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "9c13e1d6-02aa-45e5-a0e1-ecff6807c2c5";
    const HEX: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn strings_split_into_ids_and_the_rest() {
        use IdKind::{Hex32, Hex64, Uuid};
        use Piece::{Id, Literal, Time};
        let hex64 = format!("{HEX}{HEX}");
        let voice = format!("voice-{UUID}");
        let sentence = format!("unknown job {UUID}, token {HEX}.");
        let glued = format!("x{HEX}");
        for (text, expected) in [
            ("", vec![]),
            ("plain words", vec![Literal("plain words")]),
            (UUID, vec![Id(Uuid, UUID)]),
            (HEX, vec![Id(Hex32, HEX)]),
            (&hex64, vec![Id(Hex64, &hex64)]),
            (&voice, vec![Literal("voice-"), Id(Uuid, UUID)]),
            (
                &sentence,
                vec![
                    Literal("unknown job "),
                    Id(Uuid, UUID),
                    Literal(", token "),
                    Id(Hex32, HEX),
                    Literal("."),
                ],
            ),
            (&glued, vec![Literal(&glued)]),
            (
                "at 2026-01-30T10:00:00.5Z!",
                vec![Literal("at "), Time("2026-01-30T10:00:00.5Z"), Literal("!")],
            ),
            ("2026-01-30", vec![Literal("2026-01-30")]),
            ("ünï", vec![Literal("ünï")]),
        ] {
            assert_eq!(pieces(text), expected, "{text}");
        }
    }

    #[test]
    fn a_binding_is_one_to_one() {
        for (pairs, expected) in [
            (&[("r1", "a1"), ("r2", "a2"), ("r1", "a1")][..], None),
            (
                &[("r1", "a1"), ("r1", "a2")][..],
                Some("id#1 was a1 so far, here it is a2"),
            ),
            (
                &[("r1", "a1"), ("r2", "a1")][..],
                Some("a1 is already id#1; a new value is expected here"),
            ),
            (
                &[("r1", "k")][..],
                Some("k is already constant#1; a new value is expected here"),
            ),
        ] {
            let mut binder = Binder::with_constants(["k"]);
            let conflict = pairs
                .iter()
                .find_map(|(r, a)| binder.bind("id", r, a).err());
            assert_eq!(conflict.map(|c| c.message).as_deref(), expected);
        }
    }

    #[test]
    fn a_moment_is_the_same_wherever_its_field_shows_it() {
        let mut binder = Binder::default();
        assert!(binder.bind_moment("acceptedAt", 1, 10).is_ok());
        assert!(binder.bind_moment("startedAt", 1, 11).is_ok());
        assert!(binder.bind_moment("acceptedAt", 2, 10).is_ok());
        assert!(binder.bind_moment("acceptedAt", 1, 12).is_err());
    }

    #[test]
    fn only_what_differs_is_substituted() {
        let mut binder = Binder::with_constants(["k"]);
        binder.bind("id", "r", "a").unwrap();
        assert_eq!(binder.substitutions().collect::<Vec<_>>(), [("r", "a")]);
    }
}
