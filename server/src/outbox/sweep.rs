//! Forgetting what is over for long enough.

use std::sync::Weak;
use std::time::Duration;

use openclaw_protocol::protocol::limits;
use tokio::time::{Instant, MissedTickBehavior};

use super::{Inner, Outbox, record};
use crate::store::StoreError;

/// Deliveries that are over and still known; the oldest go first.
pub(super) const MAX_KEPT: usize = limits::DEDUPE_MAX as usize;

impl Outbox {
    /// Forgets deliveries that are over for long enough.
    ///
    /// # Errors
    /// Whatever the store says.
    pub async fn sweep(&self) -> Result<(), StoreError> {
        let now = self.now();
        let sessions = &self.inner.parts.sessions;
        sessions
            .write(move |changes| {
                // Ids alone: the messages may be large.
                let mut over: Vec<(u64, bool, String)> = Vec::new();
                record::visit(&changes.writer().reader(), |record| {
                    if record.state.is_over() {
                        over.push((record.number, record.is_kept(now), record.parcel.id));
                    }
                })?;
                over.sort_by_key(|(number, ..)| *number);
                let surplus = over.len().saturating_sub(MAX_KEPT);
                for (index, (_, is_kept, id)) in over.iter().enumerate() {
                    if index < surplus || !is_kept {
                        record::delete(changes.writer(), id)?;
                    }
                }
                Ok(())
            })
            .await
    }
}

/// Sweeps for as long as there is an outbox.
pub(super) async fn regularly(inner: Weak<Inner>) {
    let period = Duration::from_millis(limits::DEDUPE_SWEEP_MS);
    let mut beat = tokio::time::interval_at(Instant::now() + period, period);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beat.tick().await;
        let Some(inner) = inner.upgrade() else { return };
        if let Err(error) = (Outbox { inner }).sweep().await {
            tracing::warn!(%error, "old deliveries could not be removed");
        }
    }
}
