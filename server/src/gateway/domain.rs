//! The parts that do the gateway's work, each opened on what the store holds of it. Called by [`super::start`]; nothing
//! here touches a socket.

use std::sync::Arc;

use tokio::runtime::Handle;

use crate::agent::{Mcp, Models, Parts, Reach, Reached, Runs};
use crate::approvals::{Approvals, AskingGate, Machine};
use crate::clock::Clock;
use crate::config::{Config, Startup};
use crate::cron::{self, Cron, Jobs};
use crate::exec_rules::RulesFile;
use crate::health::Health;
use crate::heartbeat::{self, Heartbeats};
use crate::http::Taps;
use crate::hub::{Admitted, EventSink, Hub};
use crate::nodes::{self, Nodes};
use crate::outbox::{Outbox, OutboxParts, WebChat};
use crate::pairing::nodes::NodePairing;
use crate::pairing::{Pairing, TokenKey};
use crate::paths::{Environment, Paths};
use crate::sessions::{KeyRules, Sessions, SystemEvents};
use crate::skills::Skills;
use crate::store::{Store, StoreError};
use crate::voicewake::VoiceWake;

/// What every part stands on.
pub(super) struct Ground {
    pub(super) config: Arc<Config>,
    pub(super) startup: Startup,
    pub(super) environment: Environment,
    pub(super) paths: Paths,
    pub(super) clock: Arc<dyn Clock>,
    /// Runtime for what would hold up the sockets.
    pub(super) work: Handle,
    pub(super) store: Store,
    pub(super) hub: Arc<Hub>,
}

impl Ground {
    fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    /// Everybody who is connected.
    fn everybody(&self) -> Arc<dyn EventSink> {
        Arc::clone(&self.hub) as Arc<dyn EventSink>
    }

    /// The machine whose programs agents may run.
    fn machine(&self) -> Machine {
        let environment = &self.startup.loaded.environment;
        Machine {
            rules: RulesFile::of_home(&self.environment.home),
            home: self.environment.home.clone(),
            path: environment.get("PATH").unwrap_or_default().to_owned(),
            clock: self.clock(),
        }
    }
}

/// The opened parts.
pub(super) struct Domain {
    pub(super) sessions: Sessions,
    /// Texts that wait for a conversation's next run.
    pub(super) events: Arc<SystemEvents>,
    /// Listens to runs for the HTTP surfaces, on the way to everybody.
    pub(super) taps: Arc<Taps>,
    pub(super) pairing: Pairing,
    pub(super) node_pairing: NodePairing,
    pub(super) approvals: Approvals,
    pub(super) outbox: Outbox,
    pub(super) mcp: Mcp,
    pub(super) runs: Runs,
    pub(super) health: Arc<Health>,
    pub(super) nodes: Nodes,
    pub(super) voicewake: VoiceWake,
    pub(super) heartbeats: Heartbeats,
    pub(super) cron: Cron,
}

impl Domain {
    /// Opens them all; `key` is that of device tokens.
    ///
    /// # Errors
    /// What the store said.
    pub(super) async fn open(ground: &Ground, key: TokenKey) -> Result<Self, StoreError> {
        let Ground { config, store, .. } = ground;
        let rules = KeyRules::of(config);
        let sessions = Sessions::open(store.clone(), ground.paths.clone(), rules)?;
        let admitted = Arc::clone(&ground.hub) as Arc<dyn Admitted>;
        let pairing = Pairing::load(store.clone(), key, ground.clock(), admitted)?;
        let node_pairing = NodePairing::new(store.clone(), ground.clock(), ground.everybody());
        let events = Arc::new(sessions.events(ground.clock()));
        let taps = Arc::new(Taps::new(ground.everybody()));
        let approvals = Approvals::load(store.clone(), ground.clock(), ground.everybody())?;
        let outbox = outbox(ground, &sessions).await?;
        let mcp = Mcp::new(&config.mcp, &ground.startup.loaded.environment);
        let reach = Reach::default();
        let environment = &ground.startup.loaded.environment;
        let runs = Runs::open(Parts {
            outbox: outbox.clone(),
            sessions: sessions.clone(),
            models: Models::new(Arc::clone(config)).with_environment((**environment).clone()),
            config: Arc::clone(config),
            clock: ground.clock(),
            events: Arc::clone(&taps) as Arc<dyn EventSink>,
            waiting: Arc::clone(&events),
            work: ground.work.clone(),
            paths: ground.paths.clone(),
            environment: (**environment).clone(),
            exec: Arc::new(AskingGate::new(
                Arc::clone(config),
                ground.machine(),
                approvals.clone(),
            )),
            reach: reach.clone(),
            mcp: mcp.clone(),
            skills: Skills::new(
                config,
                ground.startup.loaded.parsed.as_ref(),
                &ground.paths.state_dir,
                environment,
            ),
        })
        .await?;
        let health = Arc::new(Health::new(
            Arc::clone(config),
            sessions.clone(),
            runs.clone(),
            Arc::clone(&ground.hub),
            Arc::clone(&events),
            ground.clock(),
        ));
        let nodes = Nodes::new(nodes_policy(config), ground.clock());
        let voicewake = VoiceWake::load(store.clone(), ground.clock(), ground.everybody())?;
        let heartbeats = Heartbeats::new(
            heartbeat::Parts {
                runs: runs.clone(),
                waiting: Arc::clone(&events),
                events: ground.everybody(),
                clock: ground.clock(),
            },
            heartbeat::all(config, &sessions.rules().default_agent),
        );
        let worker = Jobs {
            runs: runs.clone(),
            events: Arc::clone(&events),
            heartbeats: heartbeats.clone(),
        };
        let cron = cron(ground, worker).await?;
        reach.fill(Reached {
            cron: cron.clone(),
            nodes: nodes.clone(),
            pairing: pairing.clone(),
        });
        Ok(Self {
            sessions,
            events,
            taps,
            pairing,
            node_pairing,
            approvals,
            outbox,
            mcp,
            runs,
            health,
            nodes,
            voicewake,
            heartbeats,
            cron,
        })
    }
}

async fn outbox(ground: &Ground, sessions: &Sessions) -> Result<Outbox, StoreError> {
    let webchat = WebChat {
        sessions: sessions.clone(),
        events: ground.everybody(),
        clock: ground.clock(),
    };
    Outbox::open(OutboxParts {
        sessions: sessions.clone(),
        clock: ground.clock(),
        work: ground.work.clone(),
        channels: vec![Arc::new(webchat)],
    })
    .await
}

async fn cron(ground: &Ground, worker: Jobs) -> Result<Cron, StoreError> {
    let configured = &ground.config.cron;
    let shown = match configured.store.as_deref() {
        Some(path) => ground.environment.expand(path),
        None => ground.paths.cron_file(),
    };
    Cron::open(cron::Parts {
        store: ground.store.clone(),
        clock: ground.clock(),
        events: ground.everybody(),
        worker: Arc::new(worker),
        work: ground.work.clone(),
        enabled: configured.enabled && !ground.environment.is_on("SKIP_CRON"),
        store_path: shown.display().to_string(),
    })
    .await
}

fn nodes_policy(config: &Config) -> nodes::Policy {
    let nodes = &config.gateway.nodes;
    nodes::Policy::new(&nodes.allow_commands, &nodes.deny_commands)
}
