//! The handlers: one file for each group of the schema, each implementing that group's generated trait, thin. What they
//! know is in the domain modules; what is checked before them is in `connection::dispatch`.

mod agent;
mod catalog;
mod chat;
mod cron;
mod device;
mod exec;
mod health;
mod messaging;
mod node;
mod node_pair;
mod outbox;
mod session_changes;
mod sessions;
mod skills;
mod system;
mod unfinished;
mod usage;
mod voice;

use std::sync::Arc;

use openclaw_protocol::protocol::{ErrorCode, errors};
use openclaw_protocol::types::ErrorShape;
use tokio::runtime::Handle;

use crate::agent::Runs;
use crate::approvals::Approvals;
use crate::clock::Clock;
use crate::cron::Cron;
use crate::exec_rules::RulesFile;
use crate::health::Health;
use crate::heartbeat::Heartbeats;
use crate::hub::Hub;
use crate::nodes::Nodes;
use crate::outbox::Outbox;
use crate::pairing::Pairing;
use crate::pairing::nodes::NodePairing;
use crate::refusals::Refusals;
use crate::sessions::{NotKept, SessionKey, Sessions, SystemEvents};
use crate::usage::{Costs, Quotas};
use crate::voicewake::VoiceWake;

pub use unfinished::UNFINISHED;

/// The parts that handlers reach for.
pub struct Methods {
    /// Who is connected.
    pub hub: Arc<Hub>,
    /// How the gateway is.
    pub health: Arc<Health>,
    /// Runs of agents.
    pub runs: Runs,
    /// Devices that may connect.
    pub pairing: Pairing,
    /// Nodes that are paired by token.
    pub node_pairing: NodePairing,
    /// Conversations.
    pub sessions: Sessions,
    /// Questions about commands.
    pub approvals: Approvals,
    /// Which programs may run on this machine.
    pub exec_rules: RulesFile,
    /// What is sent to people.
    pub outbox: Outbox,
    /// Texts that wait for a conversation's next run.
    pub events: Arc<SystemEvents>,
    /// Connections that offer commands.
    pub nodes: Nodes,
    /// The words that wake a listening device.
    pub voicewake: VoiceWake,
    /// What models used.
    pub costs: Arc<Costs>,
    /// What is left of providers' quotas.
    pub quotas: Quotas,
    /// Turns of agents that nobody asked for.
    pub heartbeats: Heartbeats,
    /// Jobs that run by the clock.
    pub cron: Cron,
    /// Who was not let in.
    pub refusals: Arc<Refusals>,
    /// Wall clock.
    pub clock: Arc<dyn Clock>,
    /// Runtime for what would hold up the sockets.
    pub work: Handle,
}

impl Methods {
    /// Keeps a text for a conversation's next run.
    ///
    /// # Errors
    /// `UNAVAILABLE` when it is not kept.
    async fn keep_event(&self, session: &SessionKey, text: &str) -> Result<(), ErrorShape> {
        let kept = self.events.push(session, text).await;
        kept.map_err(|error: NotKept| {
            tracing::error!(?error, "a system event is not kept");
            ErrorCode::Unavailable.error(error.to_string())
        })
    }

    /// Runs something that reads the disk or computes for long, away from the sockets.
    pub(crate) async fn aside<T: Send + 'static>(
        &self,
        task: impl FnOnce() -> Result<T, ErrorShape> + Send + 'static,
    ) -> Result<T, ErrorShape> {
        match self.work.spawn_blocking(task).await {
            Ok(outcome) => outcome,
            Err(error) => {
                tracing::error!(%error, "a handler's task did not end well");
                Err(errors::INTERNAL_ERROR.error())
            }
        }
    }
}

/// The answer where the store fails; what it said is for the log.
pub(crate) fn unreadable(error: &crate::store::StoreError) -> ErrorShape {
    tracing::error!(%error, "the store cannot be read");
    errors::INTERNAL_ERROR.error()
}
