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
    HealthAgent, HealthSessionRow, HealthSessions, HealthSummary, StatusSummary,
};

use crate::agent::Runs;
use crate::clock::Clock;
use crate::config::{Agent, Config};
use crate::heartbeat::{self, Settings};
use crate::hub::Hub;
use crate::sessions::key::normalise_agent_id;
use crate::sessions::{Sessions, Summary, SystemEvents};
use crate::store::StoreError;

/// Makes summaries and tells the hub of them.
pub struct Health {
    config: Arc<Config>,
    sessions: Sessions,
    runs: Runs,
    hub: Arc<Hub>,
    events: Arc<SystemEvents>,
    clock: Arc<dyn Clock>,
    /// Heartbeats of the agents, in the order of [`Health::agents`].
    beats: Vec<Settings>,
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
        let beats = heartbeat::all(&config, &sessions.rules().default_agent);
        Self {
            beats,
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
            .zip(&self.beats)
            .map(|((id, agent), beat)| {
                let mut shown = HealthAgent::new(
                    id.clone(),
                    id == default_id,
                    beat.summary(),
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
            self.heartbeat_seconds(),
            default_id,
            agents,
            sessions,
        )
    }

    /// Interval of the default agent's heartbeats; 0 when it has none.
    fn heartbeat_seconds(&self) -> u64 {
        let default_id = &self.sessions.rules().default_agent;
        let own = self.beats.iter().find(|beat| beat.agent == *default_id);
        own.and_then(|beat| beat.interval)
            .map_or(0, |every| every.as_secs())
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
}

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
