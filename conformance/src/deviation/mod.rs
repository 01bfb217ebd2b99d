//! Where a gateway is expected to do better than the recorded one: data (`deviations.json`), applied to a session before it
//! is played. Each entry names the oddities ("odds") that ask for it: rows of section 13 of the wire contract. Where that has
//! no row, the recorded behaviour is what is expected.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::judge::Laws;
use crate::session::{Action, Close, Session, Step};
use crate::track::event_name;

/// Number of the last row of section 13 of the wire contract.
const CONTRACT_ODDS: u32 = 68;

/// The deviations could not be used.
#[derive(Debug, thiserror::Error)]
pub enum DeviationError {
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
    /// An entry that names no oddity.
    #[error("the deviation for {0} has no odd number")]
    NoOdd(String),
    /// An oddity that the contract does not describe.
    #[error("the deviation for {session}: the wire contract has no odd {odd}")]
    NoSuchOdd {
        /// The session.
        session: String,
        /// The number.
        odd: u32,
    },
    /// An entry for a session that is not there.
    #[error("a deviation for {0:?}, which is no session")]
    NoSuchSession(String),
    /// An edit that finds nothing to edit.
    #[error("the deviation for {session}: edit {edit} fits no frame")]
    FitsNothing {
        /// The session.
        session: String,
        /// Position of the edit, from 1.
        edit: usize,
    },
    /// An edit that would put a value where there is no place for it.
    #[error("the deviation for {session}: edit {edit}: no place {pointer:?} in the frame")]
    NoPlace {
        /// The session.
        session: String,
        /// Position of the edit, from 1.
        edit: usize,
        /// The JSON pointer.
        pointer: String,
    },
}

/// All deviations.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deviations {
    everywhere: Vec<Everywhere>,
    sessions: Vec<Deviation>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Everywhere {
    odd: u32,
    law: Law,
    #[allow(dead_code, reason = "for the reader of the data")]
    reason: String,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Law {
    HelloFirst,
    SeqPerConnection,
    PresenceCoalesced,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Deviation {
    session: String,
    odd: Vec<u32>,
    #[allow(dead_code, reason = "for the reader of the data")]
    reason: String,
    edits: Vec<Edit>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase", deny_unknown_fields)]
enum Edit {
    /// Puts a value into frames.
    Set {
        frames: Select,
        at: String,
        value: Value,
    },
    /// Takes a member out of frames.
    Unset { frames: Select, at: String },
    /// Takes frames out of the session.
    Drop { frames: Select },
    /// Puts a frame behind the last one that fits, on its connection.
    Insert {
        after: Select,
        frame: Source,
        #[serde(default)]
        set: BTreeMap<String, Value>,
        /// When it comes, if later than what it is put behind.
        t: Option<u64>,
    },
    /// Changes how a connection ends, and when.
    Close {
        conn: String,
        close: Close,
        t: Option<u64>,
    },
}

/// Where an inserted frame comes from.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Source {
    /// A frame of another session as it was recorded.
    Like { like: Like },
    /// Written out.
    Frame(Value),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Like {
    session: String,
    frame: Select,
}

/// Which frames. Every member that is given must fit.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Select {
    /// Connection.
    conn: Option<String>,
    /// Id of a response.
    res: Option<String>,
    /// Name of an event.
    event: Option<String>,
    /// Name of a message that a client sent: `sent` frames only serve as a place to insert behind.
    sent: Option<String>,
    /// Values at JSON pointers.
    at: BTreeMap<String, Value>,
}

impl Select {
    fn fits(&self, action: &Action) -> bool {
        let conn_fits = self
            .conn
            .as_deref()
            .is_none_or(|conn| action.conn() == Some(conn));
        match action {
            _ if !conn_fits => false,
            Action::Receive { frame, .. } if self.sent.is_none() => {
                let is_res = frame.get("type").is_some_and(|t| t == "res");
                self.res
                    .as_deref()
                    .is_none_or(|id| is_res && frame.get("id").is_some_and(|i| i == id))
                    && self
                        .event
                        .as_deref()
                        .is_none_or(|event| event_name(frame) == Some(event))
                    && self
                        .at
                        .iter()
                        .all(|(pointer, value)| frame.pointer(pointer) == Some(value))
            }
            Action::Send { text, .. } => self.sent.as_deref().is_some_and(|id| {
                serde_json::from_str::<Value>(text)
                    .is_ok_and(|f| f.get("id").is_some_and(|i| i == id))
            }),
            _ => false,
        }
    }
}

impl Deviations {
    /// Reads them.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, holds something else, or gives a deviation a number that stands for nothing.
    pub fn load(path: &Path) -> Result<Self, DeviationError> {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| DeviationError::Read {
            path: shown.clone(),
            source,
        })?;
        let deviations: Self =
            serde_json::from_str(&text).map_err(|source| DeviationError::Parse {
                path: shown,
                source,
            })?;
        deviations.check_odds()?;
        Ok(deviations)
    }

    /// Every deviation has a number, and every number a row of the contract.
    fn check_odds(&self) -> Result<(), DeviationError> {
        for Deviation { session, odd, .. } in &self.sessions {
            if odd.is_empty() {
                return Err(DeviationError::NoOdd(session.clone()));
            }
            odd.iter().try_for_each(|odd| check_odd(session, *odd))?;
        }
        let mut laws = self.everywhere.iter();
        laws.try_for_each(|law| check_odd("every session", law.odd))
    }

    /// No deviation at all: what the recorded gateway does.
    pub fn none() -> Self {
        Self {
            everywhere: Vec::new(),
            sessions: Vec::new(),
        }
    }

    /// The improvements that hold in every session.
    pub fn laws(&self) -> Laws {
        let mut laws = Laws::default();
        for everywhere in &self.everywhere {
            match everywhere.law {
                Law::HelloFirst => laws.hello_first = true,
                Law::SeqPerConnection => laws.seq_per_connection = true,
                Law::PresenceCoalesced => laws.presence_coalesced = true,
            }
        }
        laws
    }

    /// Edits the sessions. Gives the odds of each edited one.
    ///
    /// # Errors
    ///
    /// When an entry fits no session, or one of its edits no frame.
    pub fn apply(
        &self,
        sessions: &mut [Session],
    ) -> Result<BTreeMap<String, Vec<u32>>, DeviationError> {
        let recorded = sessions.to_vec();
        let mut odds: BTreeMap<String, Vec<u32>> = BTreeMap::new();
        for deviation in &self.sessions {
            let session = sessions
                .iter_mut()
                .find(|s| s.name == deviation.session)
                .ok_or_else(|| DeviationError::NoSuchSession(deviation.session.clone()))?;
            for (i, edit) in deviation.edits.iter().enumerate() {
                edit.apply(session, &recorded, i + 1)?;
            }
            odds.entry(session.name.clone())
                .or_default()
                .extend(&deviation.odd);
        }
        Ok(odds)
    }
}

fn check_odd(session: &str, odd: u32) -> Result<(), DeviationError> {
    if (1..=CONTRACT_ODDS).contains(&odd) {
        return Ok(());
    }
    Err(DeviationError::NoSuchOdd {
        session: session.to_owned(),
        odd,
    })
}

impl Edit {
    fn apply(
        &self,
        session: &mut Session,
        recorded: &[Session],
        edit: usize,
    ) -> Result<(), DeviationError> {
        let nothing = DeviationError::FitsNothing {
            session: session.name.clone(),
            edit,
        };
        let no_place = |pointer: &str| DeviationError::NoPlace {
            session: session.name.clone(),
            edit,
            pointer: pointer.to_owned(),
        };
        match self {
            Self::Set { frames, at, value } => {
                let mut fitting = fitting(&mut session.steps, frames).peekable();
                fitting.peek().is_some().then_some(()).ok_or(nothing)?;
                for frame in fitting {
                    put(frame, at, Some(value)).ok_or_else(|| no_place(at))?;
                }
            }
            Self::Unset { frames, at } => {
                let mut fitting = fitting(&mut session.steps, frames).peekable();
                fitting.peek().is_some().then_some(()).ok_or(nothing)?;
                for frame in fitting {
                    put(frame, at, None).ok_or_else(|| no_place(at))?;
                }
            }
            Self::Drop { frames } => {
                let before = session.steps.len();
                session.steps.retain(|s| !frames.fits(&s.action));
                (session.steps.len() < before)
                    .then_some(())
                    .ok_or(nothing)?;
            }
            Self::Insert {
                after,
                frame,
                set,
                t,
            } => {
                let place = session.steps.iter().rposition(|s| after.fits(&s.action));
                let (Some(place), Some(mut frame)) = (place, frame.frame(recorded)) else {
                    return Err(nothing);
                };
                for (pointer, value) in set {
                    put(&mut frame, pointer, Some(value)).ok_or_else(|| no_place(pointer))?;
                }
                let at = &session.steps[place];
                let conn = at.action.conn().unwrap_or_default().to_owned();
                let step = Step {
                    t: t.unwrap_or(at.t),
                    action: Action::Receive { conn, frame },
                };
                let later = session.steps[place + 1..]
                    .iter()
                    .take_while(|s| t.is_some_and(|t| s.t <= t))
                    .count();
                session.steps.insert(place + 1 + later, step);
            }
            Self::Close { conn, close, t } => {
                let closes =
                    |s: &Step| matches!(&s.action, Action::Close { conn: c, .. } if c == conn);
                let place = session.steps.iter().position(closes).ok_or(nothing)?;
                let mut step = session.steps.remove(place);
                step.t = t.unwrap_or(step.t);
                step.action = Action::Close {
                    conn: conn.clone(),
                    close: close.clone(),
                };
                let place = session
                    .steps
                    .iter()
                    .rposition(|s| s.t <= step.t)
                    .map_or(0, |i| i + 1);
                session.steps.insert(place, step);
            }
        }
        Ok(())
    }
}

impl Source {
    fn frame(&self, recorded: &[Session]) -> Option<Value> {
        match self {
            Self::Frame(frame) => Some(frame.clone()),
            Self::Like { like } => {
                let session = recorded.iter().find(|s| s.name == like.session)?;
                session.steps.iter().find_map(|s| match &s.action {
                    Action::Receive { frame, .. } if like.frame.fits(&s.action) => {
                        Some(frame.clone())
                    }
                    _ => None,
                })
            }
        }
    }
}

fn fitting<'a>(steps: &'a mut [Step], select: &'a Select) -> impl Iterator<Item = &'a mut Value> {
    steps
        .iter_mut()
        .filter(|s| select.fits(&s.action))
        .filter_map(|s| match &mut s.action {
            Action::Receive { frame, .. } => Some(frame),
            _ => None,
        })
}

/// Sets (or, without a value, removes) the member at `pointer`. None when what should hold it is not there.
pub(crate) fn put(frame: &mut Value, pointer: &str, value: Option<&Value>) -> Option<()> {
    let (parent, key) = pointer.rsplit_once('/')?;
    match (frame.pointer_mut(parent)?, value) {
        (Value::Object(map), Some(value)) => {
            map.insert(key.to_owned(), value.clone());
        }
        (Value::Object(map), None) => {
            map.remove(key)?;
        }
        (Value::Array(items), Some(value)) => {
            *items.get_mut(key.parse::<usize>().ok()?)? = value.clone()
        }
        (Value::Array(items), None) => {
            let at = key.parse::<usize>().ok().filter(|at| *at < items.len())?;
            items.remove(at);
        }
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests;
