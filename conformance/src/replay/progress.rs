//! What has arrived, and what has to have arrived before the next thing is done.
//!
//! In a recording whatever came before a client's step may be its cause, so a step waits for every frame that came before
//! it on any connection. Only events that come on their own time are not waited for, and of what a run says only that as
//! much text has come.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use crate::session::{Action, By, Session};
use crate::track::{Requests, Sorter, Track, is_speech, speech_text};

/// Where a frame belongs.
pub(super) type Place = (String, Track);

/// How much of a track.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Amount {
    /// Frames that are not speech.
    frames: usize,
    /// Bytes of text said.
    said: usize,
}

/// The frames that a session expects, by place.
pub(super) struct Expected {
    /// Step, place, what it adds. Floating events are not in it.
    arrivals: Vec<(usize, Place, Amount)>,
    /// Steps of the frames of a place that are not speech.
    frames: HashMap<Place, Vec<usize>>,
    /// Steps in which the gateway closes a connection.
    closes: Vec<(usize, String)>,
}

impl Expected {
    pub(super) fn of(session: &Session, requests: &Requests) -> Self {
        let mut out = Self {
            arrivals: Vec::new(),
            frames: HashMap::new(),
            closes: Vec::new(),
        };
        let mut sorters: BTreeMap<&str, Sorter<'_>> = BTreeMap::new();
        let mut left: BTreeSet<&str> = BTreeSet::new();
        for (i, step) in session.steps.iter().enumerate() {
            match &step.action {
                // What crossed the client's own close may come or not.
                Action::Receive { conn, .. } if left.contains(conn.as_str()) => {}
                Action::Receive { conn, frame } => {
                    let sorter = sorters
                        .entry(conn)
                        .or_insert_with(|| Sorter::new(requests, conn));
                    let track = sorter.track(frame);
                    if matches!(track, Track::Floating(_)) {
                        continue;
                    }
                    let place = (conn.clone(), track);
                    if !is_speech(frame) {
                        out.frames.entry(place.clone()).or_default().push(i);
                    }
                    // A chat delta adds nothing: the throttle decides which ones come.
                    let amount = amount(frame);
                    if amount != Amount::default() {
                        out.arrivals.push((i, place, amount));
                    }
                }
                Action::Close { conn, close } if close.by == By::Gateway => {
                    out.closes.push((i, conn.clone()));
                }
                Action::Close { conn, .. } => {
                    left.insert(conn);
                }
                _ => {}
            }
        }
        out
    }

    /// The step of the nth frame of a place that is not speech.
    pub(super) fn step(&self, place: &Place, nth: usize) -> Option<usize> {
        self.frames.get(place)?.get(nth).copied()
    }
}

fn amount(frame: &Value) -> Amount {
    match is_speech(frame) {
        // The throttle decides which deltas come; the assistant events tell how far the text is.
        true if crate::track::event_name(frame) == Some("chat") => Amount::default(),
        true => Amount {
            frames: 0,
            said: speech_text(frame).map_or(0, str::len),
        },
        false => Amount { frames: 1, said: 0 },
    }
}

/// What has arrived so far.
pub(super) struct Progress<'a> {
    sorters: BTreeMap<String, Sorter<'a>>,
    requests: &'a Requests,
    came: HashMap<Place, Amount>,
}

impl<'a> Progress<'a> {
    pub(super) fn new(requests: &'a Requests) -> Self {
        Self {
            sorters: BTreeMap::new(),
            requests,
            came: HashMap::new(),
        }
    }

    /// Notes a frame. Gives its place and how many of that place came before it, unless it is speech or floats.
    pub(super) fn note(&mut self, conn: &'a str, frame: &Value) -> Option<(Place, usize)> {
        let sorter = self
            .sorters
            .entry(conn.to_owned())
            .or_insert_with(|| Sorter::new(self.requests, conn));
        let track = sorter.track(frame);
        if matches!(track, Track::Floating(_)) {
            return None;
        }
        let place = (conn.to_owned(), track);
        let came = self.came.entry(place.clone()).or_default();
        let amount = amount(frame);
        came.said = came.said.max(amount.said);
        came.frames += amount.frames;
        (amount.frames > 0).then(|| (place, came.frames - 1))
    }

    /// The steps before `until` whose frames have not come; `closed` tells which connections have ended.
    pub(super) fn missing(
        &self,
        expected: &Expected,
        until: usize,
        closed: impl Fn(&str) -> bool,
    ) -> Vec<usize> {
        let mut wanted: HashMap<&Place, Amount> = HashMap::new();
        let mut missing = Vec::new();
        for (step, place, amount) in expected.arrivals.iter().filter(|(step, ..)| *step < until) {
            let total = wanted.entry(place).or_default();
            total.frames += amount.frames;
            total.said = total.said.max(amount.said);
            let came = self.came.get(place).copied().unwrap_or_default();
            if total.frames > came.frames || total.said > came.said {
                missing.push(*step);
            }
        }
        missing.extend(
            expected
                .closes
                .iter()
                .filter(|(step, conn)| *step < until && !closed(conn))
                .map(|(s, _)| *s),
        );
        missing.sort_unstable();
        missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{Close, Provenance, Setup, Step};
    use serde_json::json;

    fn session() -> Session {
        let receive = |frame: Value| Action::Receive {
            conn: "A".into(),
            frame,
        };
        let close = |conn: &str, by| Action::Close {
            conn: conn.into(),
            close: Close {
                by,
                code: 1000,
                reason: String::new(),
            },
        };
        let actions = vec![
            receive(challenge()),
            receive(json!({"type": "event", "event": "health", "seq": 1})),
            receive(assistant("echo")),
            receive(assistant("echo: hi")),
            receive(delta("echo: hi")),
            receive(res("A-1")),
            close("B", By::Gateway),
            close("A", By::Client),
            receive(res("late")),
        ];
        let step = |action| Step { t: 0, action };
        Session {
            name: "s".into(),
            description: String::new(),
            provenance: Provenance {
                release: String::new(),
                how: String::new(),
            },
            setup: Setup {
                fresh: true,
                token: "tok".into(),
                config: Value::Null,
                env: BTreeMap::new(),
            },
            steps: actions.into_iter().map(step).collect(),
        }
    }

    fn challenge() -> Value {
        json!({"type": "event", "event": "connect.challenge"})
    }

    fn res(id: &str) -> Value {
        json!({"type": "res", "id": id, "ok": true})
    }

    fn assistant(text: &str) -> Value {
        json!({"type": "event", "event": "agent", "seq": 1, "payload": {"runId": "r", "stream": "assistant", "data": {"text": text}}})
    }

    fn delta(text: &str) -> Value {
        json!({"type": "event", "event": "chat", "seq": 1, "payload": {"runId": "r", "state": "delta", "message": {"content": [{"text": text}]}}})
    }

    #[test]
    fn what_has_not_come() {
        let session = session();
        let requests = Requests::of(&session);
        let expected = Expected::of(&session, &requests);
        for (came, b_closed, until, missing) in [
            (vec![], false, 0, vec![]),
            (vec![], false, 2, vec![0]),
            (vec![challenge()], false, 2, vec![]),
            // As much text, in other pieces, and no delta.
            (vec![challenge(), assistant("echo: hi")], false, 5, vec![]),
            (vec![challenge(), assistant("echo: h")], false, 5, vec![3]),
            (vec![challenge(), delta("echo: hi")], false, 5, vec![2, 3]),
            // A floating event does not stand for another.
            (
                vec![json!({"type": "event", "event": "tick"})],
                false,
                1,
                vec![0],
            ),
            (
                vec![challenge(), assistant("echo: hi"), res("A-1")],
                false,
                9,
                vec![6],
            ),
            // What crossed the client's close is not waited for.
            (
                vec![challenge(), assistant("echo: hi"), res("A-1")],
                true,
                9,
                vec![],
            ),
        ] {
            let mut progress = Progress::new(&requests);
            for frame in &came {
                progress.note("A", frame);
            }
            let closed = |conn: &str| conn == "B" && b_closed;
            assert_eq!(
                progress.missing(&expected, until, closed),
                missing,
                "{came:?}"
            );
        }
    }

    #[test]
    fn frames_are_counted_by_place() {
        let session = session();
        let requests = Requests::of(&session);
        let expected = Expected::of(&session, &requests);
        let mut progress = Progress::new(&requests);
        assert_eq!(progress.note("A", &assistant("echo")), None);
        let (place, nth) = progress.note("A", &res("A-1")).unwrap();
        assert_eq!((nth, expected.step(&place, nth)), (0, Some(5)));
        let (place, nth) = progress.note("A", &res("A-1")).unwrap();
        assert_eq!((nth, expected.step(&place, nth)), (1, None));
    }
}
