//! Events that come on their own time: which must come at least, and what each that comes may hold.

use serde_json::{Value, json};

use super::{Finding, Heard, HeardConn, Judge, Problem};
use crate::binding::Binder;
use crate::compare::compare;
use crate::session::{Action, Session};
use crate::track::event_name;

/// A tick comes every 30 s (contract 1.3).
const TICK_MS: u64 = 30_000;
/// A health event comes at least every 60 s (contract 7.3).
const HEALTH_MS: u64 = 60_000;

impl HeardConn {
    /// How long the connection was open after hello-ok, ms. Shorter than recorded where the recorded programs took long
    /// to start: a replay does not wait for those.
    fn life(&self) -> u64 {
        let hello = self.frames.iter().find(|f| is_hello(&f.frame));
        let last = self.frames.last().map_or(0, |f| f.at).max(self.acted_at);
        let end = self.close.as_ref().map_or(last, |(at, _)| *at);
        hello.map_or(0, |hello| end.saturating_sub(hello.at))
    }
}

fn is_hello(frame: &Value) -> bool {
    frame
        .pointer("/payload/type")
        .is_some_and(|t| t == "hello-ok")
}

impl Judge<'_> {
    /// Judges the floating events of all connections. `binder` holds what the other frames bound.
    pub(super) fn floating(
        &self,
        session: &Session,
        heard: &Heard,
        reached: usize,
        binder: &Binder,
        findings: &mut Vec<Finding>,
    ) {
        let entries = presence_entries(session);
        let health: Vec<&Value> = events(session, None, "health")
            .map(|(_, frame)| frame)
            .collect();
        for conn in super::conns(session, reached) {
            let Some(heard) = heard.conns.get(&conn) else {
                continue;
            };
            let mut find = |step, heard, problem| {
                findings.push(Finding {
                    conn: Some(conn.clone()),
                    step,
                    heard,
                    problem,
                });
            };
            for (i, frame) in heard.frames.iter().map(|f| &f.frame).enumerate() {
                let problem = match event_name(frame) {
                    Some("health") => self.closest(&health, frame, binder),
                    Some("tick") => self.closest(&[&json!({"type": "event", "event": "tick", "payload": {"ts": 1_795_404_111_718_u64}, "seq": 1})], frame, binder),
                    Some("presence") if !self.shared_gateway => self.unknown_entry(&entries, frame, binder),
                    _ => None,
                };
                if let Some(problem) = problem {
                    find(None, Some(i), problem);
                }
            }
            let lasted = recorded_life(session, &conn, reached).min(heard.life());
            let recorded = |name| {
                events(session, Some(&conn), name)
                    .filter(|(i, _)| *i < reached)
                    .collect::<Vec<_>>()
            };
            let beats = lasted / HEALTH_MS + u64::from(!recorded("health").is_empty());
            for (name, wanted) in [("tick", lasted / TICK_MS), ("health", beats)] {
                let came = count(heard, name);
                if came < wanted {
                    find(
                        None,
                        None,
                        Problem::Law(format!(
                            "{came} {name} events in {lasted} ms, expected {wanted}"
                        )),
                    );
                }
            }
            let wanted = recorded("presence");
            let from = if self.laws.presence_coalesced {
                wanted.len().saturating_sub(1)
            } else {
                0
            };
            let mut after = 0;
            for (step, frame) in &wanted[from..] {
                match self.arrived(frame, &heard.frames[after..], binder) {
                    Some(at) => after += at + 1,
                    None => find(Some(*step), None, Problem::Missing((*frame).clone())),
                }
            }
        }
    }

    /// Position of the first frame that equals `expected`.
    pub(super) fn arrived(
        &self,
        expected: &Value,
        frames: &[super::HeardFrame],
        binder: &Binder,
    ) -> Option<usize> {
        let label = format!("event {}", event_name(expected).unwrap_or_default());
        frames.iter().position(|f| {
            event_name(&f.frame) == event_name(expected)
                && compare(self.rules, &label, &mut binder.clone(), expected, &f.frame).is_empty()
        })
    }

    /// How `frame` differs from the recorded event that is nearest to it.
    fn closest(&self, recorded: &[&Value], frame: &Value, binder: &Binder) -> Option<Problem> {
        let label = format!("event {}", event_name(frame).unwrap_or_default());
        let differences = recorded
            .iter()
            .map(|e| compare(self.rules, &label, &mut binder.clone(), e, frame));
        let fewest = differences.min_by_key(Vec::len)?;
        (!fewest.is_empty()).then_some(Problem::Differs(fewest))
    }

    /// A presence list that holds somebody who is nowhere in the session.
    fn unknown_entry(&self, known: &[Value], frame: &Value, binder: &Binder) -> Option<Problem> {
        let list = frame
            .pointer("/payload/presence")
            .and_then(Value::as_array)?;
        let wrap = |entry: &Value| json!({"payload": {"presence": [entry]}});
        let unknown = list.iter().find(|entry| {
            !known.iter().any(|k| {
                compare(
                    self.rules,
                    "event presence",
                    &mut binder.clone(),
                    &wrap(k),
                    &wrap(entry),
                )
                .is_empty()
            })
        })?;
        let message = format!("a presence entry that the session does not know: {unknown}");
        Some(Problem::Law(message))
    }
}

fn events<'a>(
    session: &'a Session,
    conn: Option<&'a str>,
    name: &'a str,
) -> impl Iterator<Item = (usize, &'a Value)> {
    session
        .steps
        .iter()
        .enumerate()
        .filter_map(move |(i, s)| match &s.action {
            Action::Receive { conn: c, frame } if conn.is_none_or(|conn| conn == c) => {
                (event_name(frame) == Some(name)).then_some((i, frame))
            }
            _ => None,
        })
}

fn count(heard: &HeardConn, name: &str) -> u64 {
    heard
        .frames
        .iter()
        .filter(|f| event_name(&f.frame) == Some(name))
        .count() as u64
}

/// Every presence entry that any frame of the session shows.
fn presence_entries(session: &Session) -> Vec<Value> {
    let lists = session.steps.iter().filter_map(|s| match &s.action {
        Action::Receive { frame, .. } => {
            let at = [
                "/payload/snapshot/presence",
                "/payload/presence",
                "/payload",
            ];
            at.iter()
                .find_map(|pointer| frame.pointer(pointer)?.as_array())
        }
        _ => None,
    });
    let entries = lists
        .flatten()
        .filter(|entry| entry.get("ts").is_some() && entry.get("text").is_some());
    entries.cloned().collect()
}

/// Recorded time from hello-ok to the end of a connection.
fn recorded_life(session: &Session, conn: &str, reached: usize) -> u64 {
    let hello = session.steps.iter().find_map(|s| match &s.action {
        Action::Receive { conn: c, frame } if c == conn => is_hello(frame).then_some(s.t),
        _ => None,
    });
    let end = session.steps[..reached]
        .iter()
        .rev()
        .find(|s| s.action.conn() == Some(conn))
        .map(|s| s.t);
    hello
        .zip(end)
        .map_or(0, |(hello, end)| end.saturating_sub(hello))
}
