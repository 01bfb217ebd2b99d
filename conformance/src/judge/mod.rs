//! Compares what a gateway said in a replay with what the session expects. Pure: no sockets, no clock.
//!
//! Each connection's frames are sorted into tracks ([`crate::track`]); inside a track the nth expected frame meets the nth
//! actual one, and all meetings are compared in the order of the recording, so that ids are bound where they first appear.
//! Events that come on their own time are judged by [`floating`], what a run says by [`speech`], sequence numbers and the
//! like by [`laws`].

mod floating;
mod laws;
mod pairing;
mod speech;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::binding::Binder;
use crate::compare::{Difference, compare};
use crate::race::Race;
use crate::rules::Rules;
use crate::session::{Action, By, Close, Session};
use crate::track::{Requests, Sorter, Track};
use crate::unserved::Offered;

/// What a gateway said in one replay.
#[derive(Debug, Clone, Default)]
pub struct Heard {
    /// By name of the connection.
    pub conns: BTreeMap<String, HeardConn>,
}

/// What a gateway said on one connection.
#[derive(Debug, Clone, Default)]
pub struct HeardConn {
    /// In the order of arrival.
    pub frames: Vec<HeardFrame>,
    /// Last time that the client opened or sent, milliseconds since the replay began.
    pub acted_at: u64,
    /// How the connection ended and when; none while it is open.
    pub close: Option<(u64, Close)>,
    /// True: the client closed and the gateway did not answer the close frame.
    pub close_unanswered: bool,
}

impl HeardConn {
    /// What hello-ok offered.
    fn offered(&self) -> Offered {
        let mut offered = Offered::default();
        self.frames
            .iter()
            .for_each(|heard| offered.note(&heard.frame));
        offered
    }
}

/// A frame from the gateway.
#[derive(Debug, Clone)]
pub struct HeardFrame {
    /// Milliseconds since the replay began.
    pub at: u64,
    /// The frame with local paths and ports replaced by those of the recordings; a string when it was not JSON.
    pub frame: Value,
}

/// Where the expected behaviour as a whole is better than the recorded one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Laws {
    /// Nothing but the challenge comes before hello-ok. Otherwise a node may be asked something before.
    pub hello_first: bool,
    /// `seq` counts what is sent to this connection, without gaps. Otherwise it only never falls.
    pub seq_per_connection: bool,
    /// `presence` is broadcast on connect too and several changes may come as one event, so only the last recorded list
    /// has to arrive. Otherwise every recorded one.
    pub presence_coalesced: bool,
}

/// What a judgement needs beside the session and the replay.
#[derive(Clone, Copy)]
pub struct Judge<'a> {
    /// How each field is compared.
    pub rules: &'a Rules,
    /// Values that are the same in every run.
    pub constants: &'a [String],
    /// Improvements that hold everywhere.
    pub laws: Laws,
    /// True: the gateway had served others before; presence may show them.
    pub shared_gateway: bool,
    /// Checks a frame against the published schema.
    pub schema: Option<&'a SchemaCheck<'a>>,
    /// Responses of the session in which values race.
    pub races: &'a [Race],
}

/// Takes `event <name>` or `res <method>` and a frame, gives what is wrong with it.
pub type SchemaCheck<'a> = dyn Fn(&str, &Value) -> Vec<String> + Sync + 'a;

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The connection, if it is about one.
    pub conn: Option<String>,
    /// The step of the session that it is about.
    pub step: Option<usize>,
    /// The actual frame that it is about: its position on the connection.
    pub heard: Option<usize>,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq)]
pub enum Problem {
    /// A frame differs from the recorded one.
    Differs(Vec<Difference>),
    /// A recorded frame did not come.
    Missing(Value),
    /// A frame came that was not recorded.
    Unexpected(Value),
    /// The right frames in the wrong order.
    Order {
        /// Labels of the expected frames from the first that is out of place.
        expected: Vec<String>,
        /// Labels of the actual frames from there.
        actual: Vec<String>,
    },
    /// The connection ended in another way; `None` is an open connection.
    Closed {
        /// As recorded.
        expected: Option<Close>,
        /// As it was.
        actual: Option<Close>,
    },
    /// Something that holds for several frames does not.
    Law(String),
    /// A frame is not what the published schema says.
    Schema(Vec<String>),
}

/// A frame of the gateway, expected or actual, and where it stands: its step in the session, or its position on the
/// connection.
#[derive(Clone, Copy)]
struct At<'a> {
    index: usize,
    frame: &'a Value,
}

/// An expected and an actual frame that have to be equal. Owned: some fields are rewritten before they are compared.
struct Meeting {
    conn: String,
    step: usize,
    heard: usize,
    label: String,
    expected: Value,
    actual: Value,
}

impl Judge<'_> {
    /// Everything that is wrong in a replay. Steps from `reached` on were not played: nothing of them is expected.
    pub fn findings(&self, session: &Session, heard: &Heard, reached: usize) -> Vec<Finding> {
        let requests = Requests::of(session);
        let nothing = HeardConn::default();
        let mut findings = Vec::new();
        let mut meetings = Vec::new();
        for conn in conns(session, reached) {
            let heard_conn = heard.conns.get(&conn).unwrap_or(&nothing);
            let expected: Vec<At<'_>> = expected_frames(session, &conn, reached);
            let actual: Vec<At<'_>> = heard_conn
                .frames
                .iter()
                .enumerate()
                .map(|(index, f)| At {
                    index,
                    frame: &f.frame,
                })
                .collect();
            let mut out = Out {
                conn: &conn,
                findings: &mut findings,
                meetings: &mut meetings,
            };
            for (track, (expected, actual)) in tracks(&requests, &conn, &expected, &actual) {
                match &track {
                    Track::Floating(_) => {}
                    Track::Run { .. } => speech::pair(&requests, &expected, &actual, &mut out),
                    Track::Response(id) if requests.with_id(&conn, id).count() > 1 => {
                        self.pair_best(&requests, &expected, &actual, &mut out);
                    }
                    _ => pairing::pair(&requests, &expected, &actual, &mut out),
                }
            }
            self.closing(session, &conn, heard_conn, reached, &mut findings);
            laws::check(self.laws, &conn, &heard_conn.frames, &mut findings);
            self.schemas(&requests, &conn, &heard_conn.frames, &mut findings);
        }
        let mut binder = Binder::with_constants(self.constants.iter().map(String::as_str));
        meetings.sort_by_key(|m| m.step);
        for mut meeting in meetings {
            let offered = heard.conns.get(&meeting.conn).map(HeardConn::offered);
            let offered = offered.unwrap_or_default();
            if offered.unserved(&meeting.label, &meeting.actual).is_some() {
                continue;
            }
            let mut found = Race::judge(
                self.races,
                meeting.step,
                &mut meeting.expected,
                &meeting.actual,
            );
            found.extend(compare(
                self.rules,
                &meeting.label,
                &mut binder,
                &meeting.expected,
                &meeting.actual,
            ));
            // All pieces of what a run says meet one recorded frame; what is wrong with each is told once.
            let step = Some(meeting.step);
            let told = |f: &Finding| f.step == step && f.problem == Problem::Differs(found.clone());
            if !found.is_empty() && !findings.iter().any(told) {
                findings.push(Finding {
                    conn: Some(meeting.conn),
                    step,
                    heard: Some(meeting.heard),
                    problem: Problem::Differs(found),
                });
            }
        }
        self.floating(session, heard, reached, &binder, &mut findings);
        findings.retain(|f| !crossed_the_close(session, heard, f));
        findings.sort_by_key(|f| (f.step.unwrap_or(usize::MAX), f.heard));
        findings
    }

    /// Methods that the gateway said it does not serve yet, where an answer was expected.
    pub fn unserved(&self, session: &Session, heard: &Heard) -> BTreeSet<String> {
        let requests = Requests::of(session);
        let mut unserved = BTreeSet::new();
        for (conn, heard) in &heard.conns {
            let offered = heard.offered();
            for HeardFrame { frame, .. } in &heard.frames {
                let label = requests.describe(conn, frame);
                unserved.extend(offered.unserved(&label, frame).map(str::to_owned));
            }
        }
        unserved
    }

    /// Frames of several requests with one id may come in any order: the pairing with the fewest differences counts.
    fn pair_best(
        &self,
        requests: &Requests,
        expected: &[At<'_>],
        actual: &[At<'_>],
        out: &mut Out<'_>,
    ) {
        let mut free = actual.to_vec();
        let mut ordered = Vec::with_capacity(actual.len());
        for e in expected {
            let label = requests.describe(out.conn, e.frame);
            let differences = |a: &At<'_>| {
                let mut binder = Binder::default();
                compare(self.rules, &label, &mut binder, e.frame, a.frame).len()
            };
            let best = (0..free.len()).min_by_key(|i| differences(&free[*i]));
            ordered.extend(best.map(|i| free.remove(i)));
        }
        ordered.extend(free);
        pairing::pair(requests, expected, &ordered, out);
    }

    fn closing(
        &self,
        session: &Session,
        conn: &str,
        heard: &HeardConn,
        reached: usize,
        findings: &mut Vec<Finding>,
    ) {
        let recorded = session.steps[..reached]
            .iter()
            .enumerate()
            .find_map(|(i, s)| match &s.action {
                Action::Close { conn: c, close } if c == conn => Some((i, s.t, close)),
                _ => None,
            });
        let (step, expected) = (recorded.map(|r| r.0), recorded.map(|r| r.2.clone()));
        let actual = heard.close.as_ref().map(|(_, close)| close.clone());
        if expected != actual {
            let problem = Problem::Closed { expected, actual };
            findings.push(Finding {
                conn: Some(conn.to_owned()),
                step,
                heard: None,
                problem,
            });
            return;
        }
        if heard.close_unanswered {
            let (conn, problem) = (
                Some(conn.to_owned()),
                Problem::Law("no answer to the close frame".into()),
            );
            findings.push(Finding {
                conn,
                step,
                heard: None,
                problem,
            });
        }
        let (Some((step, t, close)), Some((at, _))) = (recorded, &heard.close) else {
            return;
        };
        let waited = laws::recorded_wait(session, conn, step, t);
        if close.by == By::Gateway {
            let actual = at.saturating_sub(heard.acted_at);
            if let Some(message) = laws::late_or_early(waited, actual) {
                let (conn, problem) = (Some(conn.to_owned()), Problem::Law(message));
                findings.push(Finding {
                    conn,
                    step: Some(step),
                    heard: None,
                    problem,
                });
            }
        }
    }

    fn schemas(
        &self,
        requests: &Requests,
        conn: &str,
        frames: &[HeardFrame],
        findings: &mut Vec<Finding>,
    ) {
        let Some(schema) = self.schema else { return };
        for (heard, frame) in frames.iter().enumerate() {
            let wrong = schema(&requests.describe(conn, &frame.frame), &frame.frame);
            if !wrong.is_empty() {
                findings.push(Finding {
                    conn: Some(conn.to_owned()),
                    step: None,
                    heard: Some(heard),
                    problem: Problem::Schema(wrong),
                });
            }
        }
    }
}

/// Whether a finding is about a frame that crossed the client's own close: such a frame may come or not.
fn crossed_the_close(session: &Session, heard: &Heard, finding: &Finding) -> bool {
    let Some(conn) = &finding.conn else {
        return false;
    };
    match (&finding.problem, finding.step, finding.heard) {
        (Problem::Missing(_), Some(step), _) => session.steps[..step]
            .iter()
            .any(|s| matches!(&s.action, Action::Close { conn: c, .. } if c == conn)),
        (Problem::Unexpected(_), _, Some(frame)) => heard.conns.get(conn).is_some_and(|c| {
            let closed = c.close.as_ref().filter(|(_, close)| close.by == By::Client);
            closed.is_some_and(|(at, _)| c.frames[frame].at >= *at)
        }),
        _ => false,
    }
}

/// Where a pairing puts its results.
struct Out<'a> {
    conn: &'a str,
    findings: &'a mut Vec<Finding>,
    meetings: &'a mut Vec<Meeting>,
}

impl Out<'_> {
    fn meet(&mut self, label: String, step: usize, heard: usize, expected: Value, actual: Value) {
        let conn = self.conn.to_owned();
        self.meetings.push(Meeting {
            conn,
            step,
            heard,
            label,
            expected,
            actual,
        });
    }

    fn find(&mut self, step: Option<usize>, heard: Option<usize>, problem: Problem) {
        self.findings.push(Finding {
            conn: Some(self.conn.to_owned()),
            step,
            heard,
            problem,
        });
    }
}

/// Names of the connections that were opened before `reached`, in order of opening.
fn conns(session: &Session, reached: usize) -> Vec<String> {
    let opened = session.steps[..reached]
        .iter()
        .filter_map(|s| match &s.action {
            Action::Open { conn, .. } => Some(conn.clone()),
            _ => None,
        });
    opened.collect()
}

fn expected_frames<'a>(session: &'a Session, conn: &str, reached: usize) -> Vec<At<'a>> {
    let frames = session.steps[..reached]
        .iter()
        .enumerate()
        .filter_map(|(index, s)| match &s.action {
            Action::Receive { conn: c, frame } if c == conn => Some(At { index, frame }),
            _ => None,
        });
    frames.collect()
}

/// Expected and actual frames of each track.
fn tracks<'a>(
    requests: &Requests,
    conn: &str,
    expected: &[At<'a>],
    actual: &[At<'a>],
) -> BTreeMap<Track, (Vec<At<'a>>, Vec<At<'a>>)> {
    let mut out: BTreeMap<Track, (Vec<At<'a>>, Vec<At<'a>>)> = BTreeMap::new();
    let mut sorter = Sorter::new(requests, conn);
    for at in expected {
        out.entry(sorter.track(at.frame)).or_default().0.push(*at);
    }
    let mut sorter = Sorter::new(requests, conn);
    for at in actual {
        out.entry(sorter.track(at.frame)).or_default().1.push(*at);
    }
    out
}
