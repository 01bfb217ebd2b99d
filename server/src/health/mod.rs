//! How the gateway is: the health summary of hello-ok, `health` and the `health` event, and the wider `status`
//! (contract 4.3, 7.4, 9.7).
//!
//! Everything shown is in memory or one read of the store, so a summary is made when it is asked for. Others are told
//! only what is new to them (odd 39): a summary that differs from the last in more than its time is published, an equal
//! one only at the regular beat.

mod status;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openclaw_protocol::protocol::limits;
use openclaw_protocol::types::{
    HealthAgent, HealthSessionRow, HealthSessions, HealthSummary, HeartbeatSummary, StatusSummary,
};

use crate::agent::Runs;
use crate::clock::Clock;
use crate::config::{Agent, Config, Heartbeat};
use crate::hub::{Hub, SystemEvents};
use crate::sessions::key::normalise_agent_id;
use crate::sessions::{Sessions, Summary};
use crate::store::StoreError;

/// What an agent is told on a heartbeat unless configured otherwise.
const HEARTBEAT_PROMPT: &str = "Read HEARTBEAT.md if it exists and follow it. Do not repeat what earlier turns settled. \
     If nothing needs attention, answer HEARTBEAT_OK.";
/// Where a heartbeat's answer goes unless configured otherwise: to the last channel used.
const HEARTBEAT_TARGET: &str = "last";
/// Interval shown for an agent without heartbeats.
const HEARTBEAT_OFF: &str = "disabled";

/// Makes summaries and tells the hub of them.
pub struct Health {
    config: Arc<Config>,
    sessions: Sessions,
    runs: Runs,
    hub: Arc<Hub>,
    events: Arc<SystemEvents>,
    clock: Arc<dyn Clock>,
    /// What everybody was told last, without its times.
    published: Mutex<Option<HealthSummary>>,
}

impl Health {
    /// The health of a gateway made of these parts.
    #[must_use]
    pub fn new(
        config: Arc<Config>,
        sessions: Sessions,
        runs: Runs,
        hub: Arc<Hub>,
        events: Arc<SystemEvents>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            config,
            sessions,
            runs,
            hub,
            events,
            clock,
            published: Mutex::new(None),
        }
    }

    /// The summary of this moment. Everybody is told if it says anything new.
    pub fn look(&self) -> HealthSummary {
        self.refresh(false)
    }

    /// Publishes a summary at once and then at every beat. Never returns.
    pub async fn run(&self) {
        let mut beat = tokio::time::interval(Duration::from_millis(limits::HEALTH_REFRESH_MS));
        loop {
            beat.tick().await;
            self.refresh(true);
        }
    }

    /// The wider look of `status`. Reads the store; callers on the I/O thread put it aside.
    ///
    /// # Errors
    /// Whatever the store says.
    pub fn status(&self) -> Result<StatusSummary, StoreError> {
        status::status(self)
    }

    fn refresh(&self, always: bool) -> HealthSummary {
        let summary = self.summary();
        let mut bare = summary.clone();
        forget_times(&mut bare);
        let mut published = self
            .published
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if always || published.as_ref() != Some(&bare) {
            *published = Some(bare);
            self.hub.publish_health(summary.clone());
        } else {
            self.hub.renew_health(summary.clone());
        }
        summary
    }

    fn summary(&self) -> HealthSummary {
        let started = self.clock.now_ms();
        let default_id = self.default_id();
        let agents: Vec<HealthAgent> = self
            .agents()
            .into_iter()
            .map(|(id, agent)| {
                let mut shown = HealthAgent::new(
                    id.clone(),
                    id == default_id,
                    self.heartbeat(agent),
                    self.of_agent(&id, started),
                );
                shown.name = agent.and_then(|agent| agent.name.clone());
                shown
            })
            .collect();
        let sessions = self.of_agent(&default_id, started);
        let duration = self.clock.now_ms().saturating_sub(started);
        // Channels come with a later part of the gateway; there are none to ask.
        HealthSummary::new(
            true,
            started,
            duration,
            BTreeMap::new(),
            Vec::new(),
            BTreeMap::new(),
            HEARTBEAT_SECONDS,
            default_id,
            agents,
            sessions,
        )
    }

    fn of_agent(&self, id: &str, now_ms: u64) -> HealthSessions {
        let limit = usize::try_from(limits::HEALTH_RECENT_SESSIONS).unwrap_or(usize::MAX);
        let Summary {
            path,
            count,
            recent,
        } = self.sessions.summary(id, limit);
        let rows = recent
            .into_iter()
            .map(|row| {
                let at = (row.updated_at > 0).then_some(row.updated_at);
                HealthSessionRow::new(row.key, at, at.map(|at| now_ms.saturating_sub(at)))
            })
            .collect();
        HealthSessions::new(path, count, rows)
    }

    /// The agents by id, as it stands in session keys; `main` where none is configured.
    fn agents(&self) -> Vec<(String, Option<&Agent>)> {
        let list = &self.config.agents.list;
        if list.is_empty() {
            return vec![(self.default_id(), None)];
        }
        let id = |agent: &Agent| normalise_agent_id(&agent.id);
        list.iter().map(|agent| (id(agent), Some(agent))).collect()
    }

    fn default_id(&self) -> String {
        self.sessions.rules().default_agent.clone()
    }

    /// What is configured. No interval is shown in ms, since nothing beats yet: clients would wait for it.
    fn heartbeat(&self, agent: Option<&Agent>) -> HeartbeatSummary {
        let own = agent.and_then(|agent| agent.heartbeat.as_ref());
        let Heartbeat {
            every,
            model,
            target,
            prompt,
            ack_max_chars,
            ..
        } = own.unwrap_or(&self.config.agents.defaults.heartbeat);
        let mut summary = HeartbeatSummary::new(
            every.is_some(),
            every.clone().unwrap_or_else(|| HEARTBEAT_OFF.to_owned()),
            None,
            prompt
                .clone()
                .unwrap_or_else(|| HEARTBEAT_PROMPT.to_owned()),
            target
                .clone()
                .unwrap_or_else(|| HEARTBEAT_TARGET.to_owned()),
            *ack_max_chars,
        );
        summary.model.clone_from(model);
        summary
    }
}

/// Heartbeats are off until the part that runs them exists.
const HEARTBEAT_SECONDS: u64 = 0;

/// Takes out what differs between two looks at the same state.
fn forget_times(summary: &mut HealthSummary) {
    summary.ts = 0;
    summary.duration_ms = 0;
    let agents = summary.agents.iter_mut().map(|agent| &mut agent.sessions);
    for sessions in agents.chain(std::iter::once(&mut summary.sessions)) {
        for row in &mut sessions.recent {
            row.age = None;
        }
    }
}
