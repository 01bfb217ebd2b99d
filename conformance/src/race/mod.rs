//! Values that the recorded gateway stores while it tells of something else, so that a client which asks right then may
//! get them or not: data (`races.json`). Each mark names one response, the members of it, and a later response of the same
//! method that shows what becomes of them.
//!
//! All members must be as they were recorded, or all as the later response shows them: nothing between, and no other value.
//! The rest of the frame is compared like any other. Made from the sessions as they are expected, used by [`crate::judge`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::compare::{Difference, What, short};
use crate::deviation::put;
use crate::session::{Action, Session};
use crate::track::Requests;

/// The marks could not be used.
#[derive(Debug, thiserror::Error)]
pub enum RaceError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file holds something else.
    #[error("{path}: {source}")]
    Parse {
        /// The file.
        path: String,
        /// Why.
        source: serde_json::Error,
    },
    /// A mark in a session that is not there.
    #[error("a race in {0:?}, which is no session")]
    NoSuchSession(String),
    /// A mark on what is not exactly one frame.
    #[error("the race in {session}: {found} responses {res:?}, where one is needed")]
    NotOneFrame {
        /// The session.
        session: String,
        /// Id of the response.
        res: String,
        /// How many there are.
        found: usize,
    },
    /// The other response tells nothing about what becomes of the values.
    #[error("the race in {session}: {later:?} is no later response of the same method")]
    NotLater {
        /// The session.
        session: String,
        /// Id of the other response.
        later: String,
    },
    /// Two marks on one response, or one without members.
    #[error("the race in {session}: {res:?} needs one mark with members, each named once")]
    Members {
        /// The session.
        session: String,
        /// Id of the response.
        res: String,
    },
    /// A member that has no place, or that the later response does not show or shows as it was before.
    #[error("the race in {session}: {pointer:?} does not become another value")]
    NoRace {
        /// The session.
        session: String,
        /// The JSON pointer.
        pointer: String,
    },
}

/// The marks as they are written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    races: Vec<Mark>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mark {
    session: String,
    /// Id of the response whose members race.
    res: String,
    /// Id of a response that shows what they become.
    later: String,
    /// JSON pointers into both.
    members: Vec<String>,
    #[allow(dead_code, reason = "for the reader of the data")]
    reason: String,
}

/// A response of a session in which values race.
#[derive(Debug, Clone, PartialEq)]
pub struct Race {
    /// Its step.
    step: usize,
    members: Vec<Member>,
}

#[derive(Debug, Clone, PartialEq)]
struct Member {
    pointer: String,
    /// As recorded; none where it is absent.
    early: Option<Value>,
    /// As the later response shows it.
    late: Value,
}

/// The races of all sessions.
#[derive(Debug, Clone, Default)]
pub struct Races(BTreeMap<String, Vec<Race>>);

impl Races {
    /// Reads the marks and finds what they are about in the sessions, in which deviations are applied already.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or holds something else, or when a mark fits nothing.
    pub fn load(path: &Path, sessions: &[Session]) -> Result<Self, RaceError> {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| RaceError::Read {
            path: shown.clone(),
            source,
        })?;
        let document = serde_json::from_str(&text).map_err(|source| RaceError::Parse {
            path: shown,
            source,
        })?;
        Self::of_document(document, sessions)
    }

    fn of_document(document: Document, sessions: &[Session]) -> Result<Self, RaceError> {
        let mut races = Self::default();
        for mark in document.races {
            let session = sessions
                .iter()
                .find(|session| session.name == mark.session)
                .ok_or_else(|| RaceError::NoSuchSession(mark.session.clone()))?;
            let race = mark.find(session)?;
            let of_session = races.0.entry(mark.session.clone()).or_default();
            if of_session.iter().any(|other| other.step == race.step) {
                return Err(mark.members());
            }
            of_session.push(race);
        }
        Ok(races)
    }

    /// Those of a session.
    pub fn of(&self, session: &str) -> &[Race] {
        self.0.get(session).map_or(&[], Vec::as_slice)
    }
}

impl Mark {
    fn members(&self) -> RaceError {
        RaceError::Members {
            session: self.session.clone(),
            res: self.res.clone(),
        }
    }

    fn find(&self, session: &Session) -> Result<Race, RaceError> {
        let requests = Requests::of(session);
        let (step, label, recorded) = self.response(session, &requests, &self.res)?;
        let (later_step, later_label, later) = self.response(session, &requests, &self.later)?;
        if later_step <= step || later_label != label {
            return Err(RaceError::NotLater {
                session: self.session.clone(),
                later: self.later.clone(),
            });
        }
        let named: BTreeSet<&String> = self.members.iter().collect();
        if named.is_empty() || named.len() < self.members.len() {
            return Err(self.members());
        }
        let members = self.members.iter().map(|pointer| {
            let early = recorded.pointer(pointer);
            let late = later.pointer(pointer).filter(|late| early != Some(late));
            let parent = pointer.rsplit_once('/').map(|(parent, _)| parent);
            let has_place = parent
                .and_then(|parent| recorded.pointer(parent))
                .is_some_and(Value::is_object);
            match late.filter(|_| has_place) {
                Some(late) => Ok(Member {
                    pointer: pointer.clone(),
                    early: early.cloned(),
                    late: late.clone(),
                }),
                None => Err(RaceError::NoRace {
                    session: self.session.clone(),
                    pointer: pointer.clone(),
                }),
            }
        });
        Ok(Race {
            step,
            members: members.collect::<Result<_, _>>()?,
        })
    }

    /// The one response with an id: its step, its method and the frame.
    fn response<'a>(
        &self,
        session: &'a Session,
        requests: &Requests,
        id: &str,
    ) -> Result<(usize, String, &'a Value), RaceError> {
        let mut found = session.steps.iter().enumerate().filter_map(|(step, s)| {
            let Action::Receive { conn, frame } = &s.action else {
                return None;
            };
            let is_it = frame.get("type").is_some_and(|kind| kind == "res")
                && frame.get("id").is_some_and(|i| i == id);
            is_it.then(|| (step, requests.describe(conn, frame), frame))
        });
        match (found.next(), found.count()) {
            (Some(one), 0) => Ok(one),
            (first, more) => Err(RaceError::NotOneFrame {
                session: self.session.clone(),
                res: id.to_owned(),
                found: usize::from(first.is_some()) + more,
            }),
        }
    }
}

impl Race {
    /// Judges the members of an actual frame, and gives the recorded one their values, so that the rest can be compared.
    /// Frames of other steps are left alone.
    pub(crate) fn judge(
        races: &[Self],
        step: usize,
        expected: &mut Value,
        actual: &Value,
    ) -> Vec<Difference> {
        let mut differences = Vec::new();
        for race in races.iter().filter(|race| race.step == step) {
            differences.extend(race.differences(actual));
            for Member { pointer, .. } in &race.members {
                // A member that is on neither side has nothing to be taken out of.
                let _ = put(expected, pointer, actual.pointer(pointer));
            }
        }
        differences
    }

    /// What is neither wholly as recorded nor wholly as it becomes: told of the members that are not as they become.
    fn differences(&self, actual: &Value) -> Vec<Difference> {
        let is_early = |member: &&Member| actual.pointer(&member.pointer) == member.early.as_ref();
        let is_late = |member: &&Member| actual.pointer(&member.pointer) == Some(&member.late);
        if self.members.iter().all(|member| is_early(&member)) {
            return Vec::new();
        }
        let others = self.members.iter().filter(|member| !is_late(member));
        let told = others.map(|member| {
            let shown = |value: Option<&Value>| value.map_or("nothing".to_owned(), short);
            Difference {
                pointer: member.pointer.clone(),
                what: What::Rule(format!(
                    "expected {} like the others that race, or {} with all of them, got {}",
                    short(&member.late),
                    shown(member.early.as_ref()),
                    shown(actual.pointer(&member.pointer))
                )),
            }
        });
        told.collect()
    }
}

#[cfg(test)]
mod tests;
