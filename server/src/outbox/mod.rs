//! The outbox: what the gateway sends to people (contract 6.4, 6.5; odds 12, 13; field pains P19, P20).
//!
//! A delivery is on disk before it is acknowledged, and its state is on disk before each attempt. After a crash what
//! waited is sent, and what was being sent is sent again only where the channel can tell that it has it already;
//! elsewhere it ends as unknown, never twice in silence. Deliveries to one address keep their order and hold up no others.
//!
//! [`requests`] answers `send` and `poll`, [`replies`] and [`letters`] send what runs say, [`delivery`] carries both to their end,
//! [`operators`] shows them and lets people step in, [`sweep`] forgets what is over.
//!
//! Called by `methods/messaging.rs` and `methods/outbox.rs`, and by `agent` for the replies of runs and for the agents' tool
//! `message`; built once by the gateway with the [`Channel`]s that there are.

pub mod channel;
mod delivery;
mod letters;
mod live;
mod operators;
mod record;
mod replies;
mod requests;
mod retry;
mod sweep;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod webchat;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::runtime::Handle;

use crate::clock::Clock;
use crate::sessions::Sessions;
use crate::store::StoreError;
use channel::Channel;
use live::Live;
use record::DeliveryKey;

pub use letters::{Letter, Pending, Posted};
pub use replies::{Order, Replied, ReplyError, Wish, Words};
pub use webchat::WebChat;

/// Deliveries that are not over, all channels together: each holds its parcel and a task.
const MAX_ACTIVE: usize = 512;

/// The outbox of a gateway. Clones share it.
#[derive(Clone)]
pub struct Outbox {
    inner: Arc<Inner>,
}

/// What the outbox needs of the rest of the gateway.
pub struct OutboxParts {
    /// The store, and transcripts that note what was sent.
    pub sessions: Sessions,
    /// Wall clock, for stamps.
    pub clock: Arc<dyn Clock>,
    /// Runtime that carries deliveries.
    pub work: Handle,
    /// The channels that there are.
    pub channels: Vec<Arc<dyn Channel>>,
}

struct Inner {
    parts: OutboxParts,
    active: Mutex<Active>,
}

/// Deliveries that are not over.
#[derive(Default)]
struct Active {
    deliveries: HashMap<DeliveryKey, Arc<Live>>,
    /// Whose turn it is at each address.
    lanes: HashMap<String, Weak<tokio::sync::Mutex<()>>>,
    /// Number of the newest delivery.
    number: u64,
}

impl Outbox {
    /// The outbox, taking up what a former process left. Sweeps for as long as there is a clone.
    ///
    /// # Errors
    /// Whatever the store says.
    pub async fn open(parts: OutboxParts) -> Result<Self, StoreError> {
        let mut left = parts.sessions.read(record::all)?;
        let number = left.last().map_or(0, |record| record.number);
        left.retain(|record| !record.state.is_over());
        let work = parts.work.clone();
        let outbox = Self {
            inner: Arc::new(Inner {
                parts,
                active: Mutex::new(Active {
                    number,
                    ..Active::default()
                }),
            }),
        };
        for record in left {
            outbox.take_up(record).await?;
        }
        work.spawn(sweep::regularly(Arc::downgrade(&outbox.inner)));
        Ok(outbox)
    }

    /// The channel of this name, in any case.
    fn channel(&self, name: &str) -> Option<Arc<dyn Channel>> {
        let name = name.trim().to_lowercase();
        let channels = &self.inner.parts.channels;
        channels
            .iter()
            .find(|channel| channel.name() == name)
            .cloned()
    }

    fn now(&self) -> u64 {
        self.inner.parts.clock.now_ms()
    }

    fn active(&self) -> MutexGuard<'_, Active> {
        self.inner
            .active
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
