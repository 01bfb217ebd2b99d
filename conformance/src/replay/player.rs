//! Plays a session step by step.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::link::{Incoming, Link};
use super::outgoing::{Today, outgoing};
use super::progress::{Expected, Progress};
use super::{Endpoint, Player};
use crate::binding::Binder;
use crate::compare::compare;
use crate::judge::{Heard, HeardConn, HeardFrame};
use crate::session::{Action, By, Close, Mark, NO_CLOSE_FRAME, Session};
use crate::track::{Requests, event_name, is_speech};
use crate::unserved::Offered;

/// Messages from all connections that wait to be looked at; readers wait when it is full.
const INBOX: usize = 1024;
/// A recorded gap of less is how long the recorded client took to react, not a pause that it made.
const LEAST_PAUSE_MS: u64 = 15;
/// A pause before a client opens a connection has no meaning for a gateway: it is the start-up of a program, or a fixed
/// sleep after the connection before.
const LONGEST_PAUSE_BEFORE_OPEN_MS: u64 = 300;
/// How long a presence event that was recorded is waited for before the next step. It need not come; when it comes, lists
/// that are sent later are those of the recording.
const PRESENCE_WAIT: Duration = Duration::from_millis(800);
/// How long a gateway may take to answer a close frame.
const CLOSE_WAIT: Duration = Duration::from_secs(3);
/// Longest wait once something differs: most of what follows will be missing for that reason.
const SHORT_PATIENCE: Duration = Duration::from_millis(1500);

/// The result of playing a session.
pub struct Played {
    /// What the gateway said.
    pub heard: Heard,
    /// Steps that were played; fewer than the session has when it stalled.
    pub reached: usize,
    /// Why it could not go on.
    pub stall: Option<Stall>,
}

/// Why a session could not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stall {
    /// The step that could not be played; the number of steps for the end.
    pub step: usize,
    /// What was in the way.
    pub message: String,
    /// Steps whose frames had not come.
    pub missing: Vec<usize>,
}

struct Stage<'a> {
    player: Player<'a>,
    session: &'a Session,
    endpoint: &'a Endpoint<'a>,
    requests: &'a Requests,
    expected: Expected,
    progress: Progress<'a>,
    binder: Binder,
    heard: Heard,
    links: HashMap<&'a str, Link>,
    /// Connections that the client has closed and whose end has not come yet.
    closing: BTreeSet<&'a str>,
    incoming: mpsc::Receiver<(String, Incoming)>,
    sender: mpsc::Sender<(String, Incoming)>,
    names: BTreeMap<String, &'a str>,
    started: Instant,
    recorded_epoch: Option<u64>,
    /// What hello-ok offered, by connection.
    offered: HashMap<&'a str, Offered>,
    /// Step of the last presence list that was waited for.
    presence_waited: Option<usize>,
    differs: bool,
}

/// Plays the client side of `session`. Every wait is bounded.
pub async fn play(player: Player<'_>, session: &Session, endpoint: &Endpoint<'_>) -> Played {
    let requests = Requests::of(session);
    let (sender, incoming) = mpsc::channel(INBOX);
    let opened = session.steps.iter().filter_map(|s| match &s.action {
        Action::Open { conn, .. } => Some((conn.clone(), conn.as_str())),
        _ => None,
    });
    let mut stage = Stage {
        player,
        session,
        endpoint,
        requests: &requests,
        expected: Expected::of(session, &requests),
        progress: Progress::new(&requests),
        binder: Binder::with_constants(player.constants.iter().map(String::as_str)),
        heard: Heard::default(),
        links: HashMap::new(),
        closing: BTreeSet::new(),
        incoming,
        sender,
        names: opened.collect(),
        started: Instant::now(),
        recorded_epoch: recorded_epoch(session),
        offered: HashMap::new(),
        presence_waited: None,
        differs: false,
    };
    let stall = stage.run().await.err();
    let reached = stall.as_ref().map_or(session.steps.len(), |s| s.step);
    Played {
        heard: stage.heard,
        reached,
        stall,
    }
}

/// When the recording began: the challenge carries the time.
fn recorded_epoch(session: &Session) -> Option<u64> {
    session.steps.iter().find_map(|s| match &s.action {
        Action::Receive { frame, .. } if event_name(frame) == Some("connect.challenge") => {
            frame.pointer("/payload/ts")?.as_u64()?.checked_sub(s.t)
        }
        _ => None,
    })
}

impl<'a> Stage<'a> {
    async fn run(&mut self) -> Result<(), Stall> {
        let session = self.session;
        for (i, step) in session.steps.iter().enumerate() {
            let acts = match &step.action {
                Action::Open { .. } | Action::Send { .. } | Action::Mark(Mark::Signal { .. }) => {
                    true
                }
                Action::Close { close, .. } => close.by == By::Client,
                Action::Receive { .. } | Action::Mark(Mark::Note(_)) => false,
            };
            if acts {
                self.wait_for(i).await?;
                self.wait_for_presence(i).await;
                self.pause_before(i).await;
                self.act(i).await?;
            }
        }
        self.wait_for(session.steps.len()).await
    }

    async fn act(&mut self, i: usize) -> Result<(), Stall> {
        let stall = |message: String| Stall {
            step: i,
            message,
            missing: Vec::new(),
        };
        let step = &self.session.steps[i];
        match &step.action {
            Action::Open { conn, headers } => {
                let own = |(k, v): (&String, &String)| (k.clone(), self.endpoint.names.to_own(v));
                let headers = headers.iter().map(own).collect();
                self.acted(conn);
                let link =
                    Link::open(conn, self.endpoint.addr, &headers, self.sender.clone()).await;
                self.links
                    .insert(conn, link.map_err(|e| stall(format!("{conn}: {e}")))?);
            }
            Action::Send {
                conn,
                text,
                binary,
                sign,
            } => {
                let moment = self.recorded_epoch.map(|epoch| epoch + step.t);
                let shift_ms = moment.map(|m| (self.player.now_ms)().wrapping_sub(m).cast_signed());
                let token = self
                    .endpoint
                    .token
                    .as_deref()
                    .map(|own| (self.session.setup.token.as_str(), own));
                let today = Today {
                    names: &self.endpoint.names,
                    binder: &self.binder,
                    keys: self.player.keys,
                    shift_ms,
                    token,
                };
                let text = outgoing(text, sign.as_ref(), &today);
                self.acted(conn);
                let gone = self
                    .heard
                    .conns
                    .get(conn)
                    .is_some_and(|c| c.close.is_some());
                let sent = match self.links.get(conn.as_str()) {
                    Some(link) if !gone => link.send(text, *binary).await,
                    _ => false,
                };
                if !sent {
                    return Err(stall(format!(
                        "{conn} has ended, nothing can be sent on it"
                    )));
                }
            }
            Action::Close { conn, close } => self.close(conn, close).await,
            Action::Mark(Mark::Signal { signal }) => {
                let send = self
                    .endpoint
                    .signal
                    .ok_or_else(|| stall("the gateway cannot be signalled".into()))?;
                send(signal).map_err(|e| stall(format!("{signal}: {e}")))?;
            }
            Action::Receive { .. } | Action::Mark(Mark::Note(_)) => {}
        }
        Ok(())
    }

    async fn close(&mut self, conn: &'a str, close: &Close) {
        let now = self.now();
        let heard = self.heard.conns.entry(conn.to_owned()).or_default();
        if heard.close.is_some() {
            return;
        }
        heard.close = Some((now, close.clone()));
        let Some(link) = self.links.get(conn) else {
            return;
        };
        link.close(close).await;
        if close.code == NO_CLOSE_FRAME {
            return;
        }
        self.closing.insert(conn);
        let until = Instant::now() + CLOSE_WAIT;
        while self.closing.contains(conn) {
            if !self.absorb_one(until).await {
                heard_mut(&mut self.heard, conn).close_unanswered = true;
                break;
            }
        }
        self.links.remove(conn);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn acted(&mut self, conn: &str) {
        let now = self.now();
        heard_mut(&mut self.heard, conn).acted_at = now;
    }

    /// Waits for everything that came before step `i` in the recording.
    async fn wait_for(&mut self, i: usize) -> Result<(), Stall> {
        let begun = Instant::now();
        // What took long in the recording may take as long again.
        let acted = |s: &crate::session::Step| {
            matches!(
                &s.action,
                Action::Open { .. } | Action::Send { .. } | Action::Mark(_)
            )
        };
        let since = self.session.steps[..i]
            .iter()
            .rfind(|s| acted(s))
            .map_or(0, |s| s.t);
        let until = self.session.steps[..i].last().map_or(0, |s| s.t);
        let recorded = Duration::from_millis(until.saturating_sub(since)).mul_f64(self.player.pace);
        loop {
            let closed = |conn: &str| {
                self.heard
                    .conns
                    .get(conn)
                    .is_some_and(|c| c.close.is_some())
            };
            let missing = self.progress.missing(&self.expected, i, closed);
            if missing.is_empty() {
                return Ok(());
            }
            let patience = if self.differs {
                SHORT_PATIENCE.min(self.player.patience)
            } else {
                self.player.patience
            };
            let hopeless = missing.iter().all(|step| {
                let action = &self.session.steps[*step].action;
                !matches!(action, Action::Close { .. }) && action.conn().is_some_and(closed)
            });
            let deadline = begun + recorded + patience;
            if hopeless || !self.absorb_one(deadline).await {
                let message = if hopeless {
                    "the connection has ended".to_owned()
                } else {
                    format!("waited {:.1} s", begun.elapsed().as_secs_f64())
                };
                return Err(Stall {
                    step: i,
                    message,
                    missing,
                });
            }
        }
    }

    /// Waits a little for the presence lists that came before step `i` in the recording.
    async fn wait_for_presence(&mut self, i: usize) {
        let until = Instant::now() + PRESENCE_WAIT;
        let expected = self.session.steps[..i]
            .iter()
            .enumerate()
            .rev()
            .find_map(|(i, s)| match &s.action {
                Action::Receive { conn, frame } if event_name(frame) == Some("presence") => {
                    Some((i, conn, frame))
                }
                _ => None,
            });
        let Some((step, conn, expected)) = expected else {
            return;
        };
        if self.presence_waited.replace(step) == Some(step) {
            return;
        }
        let arrived = |stage: &Self| {
            let conn = stage.heard.conns.get(conn);
            conn.is_none_or(|c| c.close.is_some())
                || conn.is_some_and(|c| {
                    c.frames.iter().any(|f| {
                        event_name(&f.frame) == Some("presence")
                            && compare(
                                stage.player.rules,
                                "event presence",
                                &mut stage.binder.clone(),
                                expected,
                                &f.frame,
                            )
                            .is_empty()
                    })
                })
        };
        while !arrived(self) {
            if !self.absorb_one(until).await {
                return;
            }
        }
    }

    /// Makes the pause that was made before step `i` in the recording.
    async fn pause_before(&mut self, i: usize) {
        let step = &self.session.steps[i];
        let floats = |action: &Action| match action {
            Action::Receive { frame, .. } => {
                event_name(frame).is_some_and(|name| crate::track::FLOATING.contains(&name))
            }
            _ => false,
        };
        let before = self.session.steps[..i]
            .iter()
            .rfind(|s| !floats(&s.action))
            .map_or(0, |s| s.t);
        let mut gap = step.t.saturating_sub(before);
        if matches!(step.action, Action::Open { .. }) {
            gap = gap.min(LONGEST_PAUSE_BEFORE_OPEN_MS);
        }
        let mut pause = Duration::from_millis(gap).mul_f64(self.player.pace);
        if gap < LEAST_PAUSE_MS {
            pause = Duration::ZERO;
        }
        if matches!(step.action, Action::Close { .. }) {
            pause = pause.max(self.player.settle);
        }
        let until = Instant::now() + pause;
        while self.absorb_one(until).await {}
    }

    /// Notes the next thing that comes in before `deadline`. False when nothing came.
    async fn absorb_one(&mut self, deadline: Instant) -> bool {
        let Ok(Some((name, incoming))) = timeout_at(deadline, self.incoming.recv()).await else {
            return false;
        };
        let now = self.now();
        let Some(conn) = self.names.get(&name).copied() else {
            return true;
        };
        let mut note = |heard: &mut Heard, close: Close| {
            // Whoever closed first is noted already.
            if !self.closing.remove(conn) {
                heard_mut(heard, conn).close.get_or_insert((now, close));
            }
        };
        match incoming {
            Incoming::Text(text) => {
                let text = self.endpoint.names.to_recorded(&text);
                let frame = serde_json::from_str(&text).unwrap_or(Value::String(text));
                self.heard_frame(conn, now, frame);
            }
            Incoming::Binary(len) => {
                self.heard_frame(
                    conn,
                    now,
                    Value::String(format!("a binary message of {len} bytes")),
                );
            }
            Incoming::Closed { code, reason } => {
                let close = Close {
                    by: By::Gateway,
                    code,
                    reason,
                };
                note(&mut self.heard, close.clone());
                if let Some(link) = self.links.get(conn) {
                    link.close(&close).await;
                }
            }
            Incoming::Lost => {
                note(
                    &mut self.heard,
                    Close {
                        by: By::Gateway,
                        code: NO_CLOSE_FRAME,
                        reason: String::new(),
                    },
                );
                self.links.remove(conn);
            }
        }
        true
    }

    fn heard_frame(&mut self, conn: &'a str, at: u64, frame: Value) {
        let offered = self.offered.entry(conn).or_default();
        offered.note(&frame);
        if let Some((place, nth)) = self.progress.note(conn, &frame) {
            let expected = self
                .expected
                .step(&place, nth)
                .map(|step| &self.session.steps[step].action);
            if let Some(Action::Receive {
                frame: expected, ..
            }) = expected
            {
                let label = self.requests.describe(conn, expected);
                if offered.unserved(&label, &frame).is_some() {
                    heard_mut(&mut self.heard, conn)
                        .frames
                        .push(HeardFrame { at, frame });
                    return;
                }
                let differences = compare(
                    self.player.rules,
                    &label,
                    &mut self.binder,
                    expected,
                    &frame,
                );
                self.differs |= !differences.is_empty();
            } else if !is_speech(&frame) {
                self.differs = true;
            }
        }
        heard_mut(&mut self.heard, conn)
            .frames
            .push(HeardFrame { at, frame });
    }
}

fn heard_mut<'h>(heard: &'h mut Heard, conn: &str) -> &'h mut HeardConn {
    heard.conns.entry(conn.to_owned()).or_default()
}
