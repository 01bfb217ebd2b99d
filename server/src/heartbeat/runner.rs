//! Heartbeats of all agents: when one is to run, what it does and what came of it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use openclaw_protocol::events::Event;
use openclaw_protocol::protocol::limits;
use openclaw_protocol::types::{HeartbeatEvent, HeartbeatIndicator, HeartbeatStatus};
use tokio::sync::Notify;

use super::answer::{self, Sent};
use super::file;
use super::remark::{Remark, remark};
use super::settings::Settings;
use crate::agent::{Done, Errand, Runs};
use crate::clock::Clock;
use crate::hub::EventSink;
use crate::sessions::{SessionKey, SystemEvents};
use crate::text::first_chars;

/// Longest sleep; timers stand still while the machine sleeps and do not follow a clock that is set.
const LOOK_AGAIN: Duration = Duration::from_secs(15);

/// Time between a request and its heartbeat, in ms, so that a burst of news is one turn.
const GATHER_MS: u64 = 250;

/// Time until a heartbeat that met a busy conversation tries again, in ms.
const RETRY_MS: u64 = 1_000;

/// Time in which the same answer is not sent again, in ms: a day. An open window is news once.
const SAME_NEWS_MS: u64 = 24 * 3_600_000;

/// Reason of the heartbeats that the interval brings.
const INTERVAL: &str = "interval";

/// What heartbeats need of the rest of the gateway.
pub struct Parts {
    /// Runs of agents.
    pub runs: Runs,
    /// Texts that wait for a conversation's next run.
    pub waiting: Arc<SystemEvents>,
    /// Where events go.
    pub events: Arc<dyn EventSink>,
    /// Wall clock.
    pub clock: Arc<dyn Clock>,
}

/// The heartbeats of a gateway. Clones share them.
#[derive(Clone)]
pub struct Heartbeats {
    inner: Arc<Inner>,
}

struct Inner {
    parts: Parts,
    agents: BTreeMap<String, Agent>,
    /// `set-heartbeats`; on again after a restart.
    switched_on: AtomicBool,
    last: Mutex<Option<HeartbeatEvent>>,
}

struct Agent {
    settings: Settings,
    plan: Mutex<Plan>,
    /// The plan has changed.
    changed: Notify,
    /// What was sent last, and when.
    sent: Mutex<Option<(String, u64)>>,
}

/// When an agent's heartbeat is to run.
#[derive(Debug, Default)]
struct Plan {
    /// By the interval.
    next_at: Option<u64>,
    /// By request: when, and why. One at a time: the turn sees all that waits.
    wanted: Option<(u64, String)>,
}

/// What became of a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Beat {
    /// The agent had its turn.
    Ran,
    /// Its conversation is busy; it has not had its turn.
    Busy,
    /// It was left out; why, in a word.
    Skipped(String),
    /// Its turn failed.
    Failed(String),
}

impl Heartbeats {
    /// Heartbeats of the agents with these settings; the first of each when its interval is over.
    #[must_use]
    pub fn new(parts: Parts, settings: Vec<Settings>) -> Self {
        let now = parts.clock.now_ms();
        let agent = |settings: Settings| Agent {
            plan: Mutex::new(Plan {
                next_at: settings.interval.map(|every| later(now, every)),
                wanted: None,
            }),
            settings,
            changed: Notify::new(),
            sent: Mutex::new(None),
        };
        let agents = settings
            .into_iter()
            .map(|settings| (settings.agent.clone(), agent(settings)))
            .collect();
        Self {
            inner: Arc::new(Inner {
                parts,
                agents,
                switched_on: AtomicBool::new(true),
                last: Mutex::new(None),
            }),
        }
    }

    /// Outcome of the last heartbeat.
    #[must_use]
    pub fn last(&self) -> Option<HeartbeatEvent> {
        self.last_mut().clone()
    }

    /// Switches all heartbeats on or off until the gateway stops.
    pub fn set_enabled(&self, enabled: bool) {
        self.inner.switched_on.store(enabled, Ordering::SeqCst);
    }

    /// Asks for a heartbeat of an agent soon; does not wait for it. `reason` is for its event.
    pub fn request(&self, agent: &str, reason: &str) {
        let Some(agent) = self.inner.agents.get(agent) else {
            return;
        };
        let at = self.now().saturating_add(GATHER_MS);
        let mut plan = agent.plan();
        if plan.wanted.as_ref().is_none_or(|(wanted, _)| *wanted > at) {
            plan.wanted = Some((at, reason.to_owned()));
        }
        drop(plan);
        agent.changed.notify_one();
    }

    /// Runs all agents' heartbeats by the clock. Never returns while there are agents.
    pub async fn run(&self) {
        join_all(self.inner.agents.keys().map(|agent| self.run_agent(agent))).await;
    }

    async fn run_agent(&self, agent: &str) {
        let Some(state) = self.inner.agents.get(agent) else {
            return;
        };
        loop {
            let changed = state.changed.notified();
            let pause = self.run_due(agent).await;
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = changed => {}
            }
        }
    }

    /// Runs the agent's heartbeat if it is time, and returns how long there is nothing to do.
    pub(super) async fn run_due(&self, agent: &str) -> Duration {
        let Some(state) = self.inner.agents.get(agent) else {
            return LOOK_AGAIN;
        };
        let due = state.plan().take_due(self.now());
        if let Some((reason, by_interval)) = due {
            let beat = self.beat(agent, &reason).await;
            let now = self.now();
            let mut plan = state.plan();
            if by_interval || beat == Beat::Ran {
                let every = state.settings.interval;
                plan.next_at = every.map(|every| later(now, every));
            }
            if beat == Beat::Busy && plan.wanted.is_none() {
                plan.wanted = Some((now.saturating_add(RETRY_MS), reason));
            }
        }
        state.plan().pause(self.now())
    }

    /// Runs a heartbeat of an agent now, if it may, and waits for its end.
    pub async fn beat(&self, agent: &str, reason: &str) -> Beat {
        let skipped = |why: &str| Beat::Skipped(why.to_owned());
        let Some(state) = self.inner.agents.get(agent) else {
            return skipped("disabled");
        };
        let settings = &state.settings;
        let started = self.now();
        if !self.inner.switched_on.load(Ordering::SeqCst) || settings.interval.is_none() {
            return skipped("disabled");
        }
        if settings
            .hours
            .as_ref()
            .is_some_and(|hours| !hours.contain(started))
        {
            return skipped("quiet-hours");
        }
        let runs = &self.inner.parts.runs;
        if settings.model.is_none() && runs.models().choose(agent, None).is_echo() {
            // The built-in echo would only repeat the question.
            return skipped("no-model");
        }
        let session = self.session(settings);
        if runs.is_busy(&session) {
            return Beat::Busy;
        }
        let has_news = self.inner.parts.waiting.has(&session);
        if !has_news && file::says_nothing(runs.workspace(agent)).await {
            let event = self.event(HeartbeatStatus::Skipped, started);
            self.tell(because(event, "empty-heartbeat-file"));
            return skipped("empty-heartbeat-file");
        }
        let used_at = self.updated_at(&session);
        let errand = Errand {
            session: session.clone(),
            text: settings.prompt.clone(),
            fresh: false,
            model: settings.model.clone(),
            thinking: None,
            timeout: None,
            quiet: true,
            delivery: answer::delivery(settings, &session, state.known(started)),
        };
        match runs.errand(errand).await {
            Ok(done) => {
                self.conclude(state, reason, started, &session, used_at, &done)
                    .await
            }
            Err(error) => {
                let error = error.to_string();
                let mut event = because(self.event(HeartbeatStatus::Failed, started), &error);
                event.indicator_type = Some(HeartbeatIndicator::Error);
                self.tell(event);
                Beat::Failed(error)
            }
        }
    }

    /// What follows from an answer.
    async fn conclude(
        &self,
        agent: &Agent,
        reason: &str,
        started: u64,
        session: &SessionKey,
        used_at: Option<u64>,
        done: &Done,
    ) -> Beat {
        let text = match remark(&done.text, agent.settings.ack_max_chars) {
            Remark::Say(text) => text,
            quiet => {
                self.leave_unused(session, used_at, done.ended_at).await;
                let status = if quiet == Remark::Empty {
                    HeartbeatStatus::OkEmpty
                } else {
                    HeartbeatStatus::OkToken
                };
                let mut event = because(self.event(status, started), reason);
                event.silent = Some(true);
                event.indicator_type = Some(HeartbeatIndicator::Ok);
                self.tell(event);
                return Beat::Ran;
            }
        };
        let mut event = self.event(HeartbeatStatus::Skipped, started);
        event.preview =
            Some(first_chars(&text, limits::HEARTBEAT_PREVIEW_CHARS as usize).to_owned());
        event.has_media = Some(false);
        match answer::sent(&agent.settings, done.delivery.as_ref()).await {
            Ok(Sent::Nowhere(why)) => {
                self.tell(because(event, why));
                Beat::Ran
            }
            Ok(Sent::To { channel, to }) => {
                *agent.sent.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some((text, self.now()));
                event.status = HeartbeatStatus::Sent;
                event.channel = Some(channel);
                event.to = Some(to);
                event.indicator_type = Some(HeartbeatIndicator::Alert);
                self.tell(event);
                Beat::Ran
            }
            Err(error) => {
                let why = error.to_string();
                event.status = HeartbeatStatus::Failed;
                event.indicator_type = Some(HeartbeatIndicator::Error);
                self.tell(because(event, &why));
                Beat::Failed(why)
            }
        }
    }

    /// The conversation of an agent's heartbeats.
    fn session(&self, settings: &Settings) -> SessionKey {
        let rules = self.inner.parts.runs.parts().sessions.rules();
        match settings.session.as_deref() {
            None | Some("main") => rules.main(&settings.agent),
            Some(key) if key.starts_with("agent:") || key == "global" => rules.canonicalise(key),
            Some(key) => rules.canonicalise(&format!("agent:{}:{key}", settings.agent)),
        }
    }

    fn updated_at(&self, session: &SessionKey) -> Option<u64> {
        let entry = self.inner.parts.runs.parts().sessions.entry(session);
        entry.ok().flatten()?.updated_at
    }

    /// Puts back when the conversation was last used: a heartbeat that found nothing is no use of it.
    async fn leave_unused(&self, session: &SessionKey, used_at: Option<u64>, ended_at: u64) {
        let Some(used_at) = used_at else { return };
        let key = session.clone();
        let written = self
            .inner
            .parts
            .runs
            .parts()
            .sessions
            .write(move |changes| {
                match changes.entry(&key)? {
                    // Nobody else has used it since.
                    Some(mut entry) if entry.updated_at == Some(ended_at) => {
                        entry.updated_at = Some(used_at);
                        changes.put_entry(&key, &entry)
                    }
                    _ => Ok(()),
                }
            });
        if let Err(error) = written.await {
            tracing::warn!(%error, "a heartbeat could not be taken back");
        }
    }

    fn event(&self, status: HeartbeatStatus, started: u64) -> HeartbeatEvent {
        let now = self.now();
        let mut event = HeartbeatEvent::new(now, status);
        event.duration_ms = Some(now.saturating_sub(started));
        event
    }

    fn tell(&self, event: HeartbeatEvent) {
        *self.last_mut() = Some(event.clone());
        self.inner.parts.events.emit(Event::Heartbeat(event));
    }

    fn last_mut(&self) -> MutexGuard<'_, Option<HeartbeatEvent>> {
        self.inner
            .last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        self.inner.parts.clock.now_ms()
    }
}

impl Agent {
    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The news that people have.
    fn known(&self, now: u64) -> Option<String> {
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let news = sent.as_ref();
        let news = news.filter(|(_, at)| now.saturating_sub(*at) < SAME_NEWS_MS);
        news.map(|(text, _)| text.clone())
    }
}

impl Plan {
    /// What is due: why, and whether the interval brought it. A request is used up by it.
    fn take_due(&mut self, now: u64) -> Option<(String, bool)> {
        if let Some((_, reason)) = self.wanted.take_if(|(at, _)| *at <= now) {
            return Some((reason, false));
        }
        let next = self.next_at.filter(|next| *next <= now);
        next.map(|_| (INTERVAL.to_owned(), true))
    }

    fn pause(&self, now: u64) -> Duration {
        let wanted = self.wanted.as_ref().map(|(at, _)| *at);
        let next = wanted.into_iter().chain(self.next_at).min();
        next.map_or(LOOK_AGAIN, |next| {
            Duration::from_millis(next.saturating_sub(now)).min(LOOK_AGAIN)
        })
    }
}

fn later(now: u64, by: Duration) -> u64 {
    now.saturating_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX))
}

fn because(mut event: HeartbeatEvent, why: &str) -> HeartbeatEvent {
    event.reason = Some(why.to_owned());
    event
}
