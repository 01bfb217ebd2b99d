//! Writing behind: what connects of paired devices change (profiles, times of use, requests asked for again) reaches the
//! disk later and together, so that such a connect costs no commit.

use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::service::Inner;
use super::{Device, FLUSH_DELAY, Pairing, PairingError, PendingPairing};
use crate::store::{StoreError, Table, Writer};

/// Records of one write behind: keeps the writer thread from being held for longer than a few milliseconds.
const FLUSH_BATCH: usize = 256;

impl Pairing {
    /// Writes profiles and times of use behind, [`FLUSH_DELAY`] after the first change of each round. Never returns;
    /// the gateway drops it when it stops and calls [`Self::flush`] once more.
    pub async fn write_behind(&self) {
        loop {
            self.inner.dirty.notified().await;
            tokio::time::sleep(FLUSH_DELAY).await;
            if let Err(error) = self.flush().await {
                tracing::warn!(%error, "what devices said about themselves could not be written, trying again");
                self.inner.dirty.notify_one();
            }
        }
    }

    /// Writes what is to be written behind.
    ///
    /// # Errors
    /// The store failed; what was not written stays marked.
    pub async fn flush(&self) -> Result<(), PairingError> {
        self.run(Inner::flush).await
    }
}

impl Inner {
    async fn flush(self: Arc<Self>) -> Result<(), PairingError> {
        loop {
            let (touches, requests) = self.book().take_dirty(FLUSH_BATCH);
            if touches.is_empty() && requests.is_empty() {
                return Ok(());
            }
            let kept = (touches.clone(), requests.clone());
            let written = self.store.write(move |writer| {
                for touch in &touches {
                    let key = touch.device_id.as_bytes();
                    // Merged into what is stored now: grants may have changed since the touch.
                    if let Some(known) = stored::<Device>(writer, Table::Devices, key)? {
                        let mut device = known.clone();
                        touch.merge_into(&mut device);
                        if device != known {
                            writer.put(Table::Devices, key, &device)?;
                        }
                    }
                }
                for request in &requests {
                    let (table, key) = (Table::PendingPairings, request.request_id.as_bytes());
                    if stored::<PendingPairing>(writer, table, key)?.is_some() {
                        writer.put(table, key, request)?;
                    }
                }
                Ok::<_, StoreError>(())
            });
            if let Err(error) = written.await {
                self.book().put_back(&kept.0, &kept.1);
                return Err(error.into());
            }
        }
    }
}

/// A record that is there and readable. A damaged one must not keep the others from being written.
fn stored<V: DeserializeOwned>(
    writer: &Writer<'_>,
    table: Table,
    key: &[u8],
) -> Result<Option<V>, StoreError> {
    match writer.get(table, key) {
        Err(StoreError::Damaged { .. }) => Ok(None),
        found => found,
    }
}
