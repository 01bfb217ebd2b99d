//! What runs need of the rest of the gateway, and what its configuration says about them.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use openclaw_protocol::protocol::{errors, limits};
use openclaw_protocol::types::{ErrorShape, SendPolicy, SessionsDefaults};
use tokio::runtime::Handle;

use super::models::{Choice, Models};
use super::requests::sessions_unreadable;
use super::tools::{ExecGate, Mcp, Reach};
use super::words::Thinking;
use crate::clock::Clock;
use crate::config::{Agent, Config, VerboseLevel};
use crate::hub::EventSink;
use crate::outbox::Outbox;
use crate::paths::{Environment, Paths};
use crate::sessions::key::normalise_agent_id;
use crate::sessions::{Entry, SessionKey, Sessions, SystemEvents, levels};
use crate::skills::Skills;

/// What runs need of the rest of the gateway.
pub struct Parts {
    /// Conversations.
    pub sessions: Sessions,
    /// What answers.
    pub models: Models,
    /// Configuration.
    pub config: Arc<Config>,
    /// Wall clock, for stamps.
    pub clock: Arc<dyn Clock>,
    /// Where events go.
    pub events: Arc<dyn EventSink>,
    /// Texts that wait for a conversation's next run.
    pub waiting: Arc<SystemEvents>,
    /// Runtime that carries runs.
    pub work: Handle,
    /// Where files are.
    pub paths: Paths,
    /// The environment by which configured paths are read.
    pub environment: Environment,
    /// Decides on commands of agents.
    pub exec: Arc<dyn ExecGate>,
    /// What takes messages of agents to people.
    pub outbox: Outbox,
    /// What tools reach beyond conversations.
    pub reach: Reach,
    /// Servers of tools.
    pub mcp: Mcp,
    /// What agents know how to do.
    pub skills: Skills,
}

impl Parts {
    /// The configured agent of this normalised id.
    pub(super) fn agent(&self, id: &str) -> Option<&Agent> {
        let mut listed = self.config.agents.list.iter();
        listed.find(|listed| normalise_agent_id(&listed.id) == id)
    }

    /// Whether there is an agent of this normalised id; the default one is there without configuration.
    pub(super) fn is_agent(&self, id: &str) -> bool {
        self.agent(id).is_some() || id == self.sessions.rules().default_agent
    }

    /// The directory that an agent (normalised id) works in.
    pub(super) fn workspace(&self, id: &str) -> PathBuf {
        let own = self.agent(id).and_then(|agent| agent.workspace.as_deref());
        let is_default = id == self.sessions.rules().default_agent;
        let shared = self.config.agents.defaults.workspace.as_deref();
        match own.or_else(|| shared.filter(|_| is_default)) {
            Some(configured) => self.environment.expand(configured),
            None if is_default => self.paths.default_workspace(),
            None => self.paths.state_dir.join(format!("workspace-{id}")),
        }
    }

    /// The directory that the default agent works in.
    #[must_use]
    pub fn default_workspace(&self) -> PathBuf {
        self.workspace(&self.sessions.rules().default_agent)
    }

    /// The directories that the configured agents work in, and that of the default one.
    #[must_use]
    pub fn workspaces(&self) -> Vec<PathBuf> {
        let listed = self.config.agents.list.iter();
        let ids = listed.map(|agent| normalise_agent_id(&agent.id));
        let default = self.sessions.rules().default_agent.clone();
        let all: BTreeSet<String> = ids.chain([default]).collect();
        all.iter().map(|id| self.workspace(id)).collect()
    }

    /// Longest run when the request does not say.
    pub(super) fn default_timeout(&self) -> Duration {
        let configured = self.config.agents.defaults.timeout_seconds;
        Duration::from_secs(configured.map_or(limits::AGENT_TIMEOUT_SECONDS, Into::into))
    }

    /// The thinking level of a session: its own, else the configured one, else `low` for models that can think.
    pub(super) fn thinking_level(&self, choice: &Choice, entry: Option<&Entry>) -> Thinking {
        let of_session = entry.and_then(|entry| entry.thinking_level.as_deref());
        let configured = self.config.agents.defaults.thinking_default;
        of_session
            .and_then(Thinking::parse)
            .or_else(|| configured.and_then(|level| Thinking::parse(level.as_str())))
            .unwrap_or(if choice.reasoning {
                Thinking::Low
            } else {
                Thinking::Off
            })
    }

    /// How much of tool use a session shows: its own level, else the configured one, else nothing. `full` is more than
    /// `on`, not less (odd 40).
    pub(super) fn verbose_level(&self, entry: Option<&Entry>) -> &'static str {
        let of_session = entry.and_then(|entry| entry.verbose_level.as_deref());
        let configured = self.config.agents.defaults.verbose_default;
        of_session
            .and_then(levels::verbose)
            .or_else(|| configured.map(VerboseLevel::as_str))
            .unwrap_or(VerboseLevel::Off.as_str())
    }

    /// Whether clients are shown what tools a run uses.
    pub(super) fn shows_tools(&self, entry: &Entry) -> bool {
        self.verbose_level(Some(entry)) != VerboseLevel::Off.as_str()
    }

    /// The model of a new session, as listings show it.
    pub fn session_defaults(&self) -> SessionsDefaults {
        let choice = self
            .models
            .choose(&self.sessions.rules().default_agent, None);
        SessionsDefaults::new(
            Some(choice.provider),
            Some(choice.model),
            Some(choice.context_tokens),
        )
    }

    /// Refuses sessions to which nothing may be sent.
    pub(super) fn check_send_policy(&self, session: &SessionKey) -> Result<(), ErrorShape> {
        let entry = self
            .sessions
            .entry(session)
            .map_err(|error| sessions_unreadable(&error))?;
        match entry.and_then(|entry| entry.send_policy).as_deref() {
            Some(policy) if policy == SendPolicy::Deny.as_str() => {
                Err(errors::SEND_BLOCKED.error())
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
impl Parts {
    /// Parts over the store in `dir`, by this configuration: one channel, no servers of tools, no skills, events to
    /// nobody. Tests put their own in place of what they look at.
    pub(crate) async fn of_test(
        dir: &std::path::Path,
        config: &Arc<Config>,
        clock: Arc<dyn Clock>,
        pigeon: &crate::outbox::testing::Pigeon,
    ) -> Self {
        struct Nobody;
        impl EventSink for Nobody {
            fn emit(&self, _: openclaw_protocol::events::Event) {}
        }
        let rules = crate::sessions::KeyRules::of(config);
        let sessions = crate::sessions::open_with(dir, rules);
        Self {
            outbox: crate::outbox::testing::outbox(&sessions, Arc::clone(&clock), pigeon).await,
            waiting: Arc::new(sessions.events(Arc::clone(&clock))),
            sessions,
            models: Models::new(Arc::clone(config)),
            config: Arc::clone(config),
            clock,
            events: Arc::new(Nobody),
            work: Handle::current(),
            paths: Paths {
                state_dir: dir.to_owned(),
                config_file: dir.join("openclaw.json"),
            },
            environment: Environment::new(dir, Vec::<(String, String)>::new()),
            exec: Arc::new(super::ConfigGate::new(Arc::clone(config))),
            reach: Reach::default(),
            mcp: Mcp::default(),
            skills: Skills::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::outbox::testing::Pigeon;
    use serde_json::json;

    async fn parts(dir: &std::path::Path, config: serde_json::Value) -> Parts {
        let config = Arc::new(serde_json::from_value(config).unwrap());
        let clock = Arc::new(ManualClock::new(0));
        Parts {
            paths: Paths {
                state_dir: "/state".into(),
                config_file: "/state/openclaw.json".into(),
            },
            environment: Environment::new("/home/ann", Vec::<(String, String)>::new()),
            ..Parts::of_test(dir, &config, clock, &Pigeon::new(false, [])).await
        }
    }

    #[tokio::test]
    async fn agents_and_their_places() {
        let list = json!([{"id": "Ops", "workspace": "~/ops"}, {"id": "aux"}]);
        for (config, agent, is, place) in [
            (json!({}), "main", true, "/state/workspace"),
            (json!({}), "ops", false, "/state/workspace-ops"),
            (
                json!({"agents": {"list": list}}),
                "ops",
                true,
                "/home/ann/ops",
            ),
            (
                json!({"agents": {"list": list}}),
                "main",
                false,
                "/state/workspace-main",
            ),
            (
                json!({"agents": {"list": list, "defaults": {"workspace": "/w"}}}),
                "aux",
                true,
                "/state/workspace-aux",
            ),
            (
                json!({"agents": {"defaults": {"workspace": "~/w"}}}),
                "main",
                true,
                "/home/ann/w",
            ),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let parts = parts(dir.path(), config).await;
            assert_eq!(
                (parts.is_agent(agent), parts.workspace(agent)),
                (is, place.into()),
                "{agent}"
            );
        }
    }

    #[tokio::test]
    async fn who_sees_tools() {
        for (session, configured, shown) in [
            (None, None, false),
            (Some("on"), None, true),
            (Some("full"), None, true),
            (Some("off"), Some("on"), false),
            (None, Some("on"), true),
            (None, Some("full"), true),
            (None, Some("off"), false),
        ] {
            let defaults = match configured {
                Some(level) => json!({"agents": {"defaults": {"verboseDefault": level}}}),
                None => json!({}),
            };
            let dir = tempfile::tempdir().unwrap();
            let parts = parts(dir.path(), defaults).await;
            let entry = Entry {
                verbose_level: session.map(str::to_owned),
                ..Entry::default()
            };
            assert_eq!(
                parts.shows_tools(&entry),
                shown,
                "{session:?} {configured:?}"
            );
        }
    }

    #[tokio::test]
    async fn levels_and_times() {
        let dir = tempfile::tempdir().unwrap();
        let defaults = json!({"agents": {"defaults": {"thinkingDefault": "medium", "verboseDefault": "on", "timeoutSeconds": 5}}});
        let parts = parts(dir.path(), defaults).await;
        let choice = parts.models.choose("main", None);
        let entry = |level: &str| Entry {
            thinking_level: Some(level.into()),
            ..Entry::default()
        };
        assert_eq!(parts.thinking_level(&choice, None), Thinking::Medium);
        assert_eq!(
            parts.thinking_level(&choice, Some(&entry("high"))),
            Thinking::High
        );
        assert_eq!(
            parts.thinking_level(&choice, Some(&entry("wild"))),
            Thinking::Medium
        );
        let verbose = |level: &str| {
            let entry = Entry {
                verbose_level: Some(level.into()),
                ..Entry::default()
            };
            parts.verbose_level(Some(&entry))
        };
        assert_eq!(
            (verbose("full"), verbose("wild"), parts.verbose_level(None)),
            ("full", "on", "on")
        );
        assert_eq!(parts.default_timeout(), Duration::from_secs(5));
        let defaults =
            SessionsDefaults::new(Some("echo".into()), Some("echo".into()), Some(200_000));
        assert_eq!(parts.session_defaults(), defaults);
    }
}
