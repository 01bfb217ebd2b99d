//! The channel of conversations over this protocol: what is sent becomes a message of the conversation, and a `chat` event
//! tells it to whoever watches.

use std::sync::Arc;

use openclaw_protocol::protocol::texts;
use openclaw_protocol::rt::BoxFuture;
use serde_json::json;

use super::channel::{Channel, Content, Fault, Parcel, Receipt};
use crate::clock::Clock;
use crate::hub::EventSink;
use crate::sessions::{Entry, Sessions, injected};
use crate::store::Table;

/// Name on the wire.
pub(super) const NAME: &str = texts::WEBCHAT_CHANNEL;
/// What the keys of its own records begin with.
const DELIVERED: &[u8] = b"webchat:";

/// The channel.
pub struct WebChat {
    /// Conversations.
    pub sessions: Sessions,
    /// Where events go.
    pub events: Arc<dyn EventSink>,
    /// Wall clock.
    pub clock: Arc<dyn Clock>,
}

/// The record that says that a parcel is in its conversation.
pub(super) fn mark(id: &str) -> Vec<u8> {
    [DELIVERED, id.as_bytes()].concat()
}

impl Channel for WebChat {
    fn name(&self) -> &'static str {
        NAME
    }

    fn has_polls(&self) -> bool {
        false
    }

    /// Message and mark are one change.
    fn deduplicates(&self) -> bool {
        true
    }

    fn resolve(&self, to: &str) -> Result<String, String> {
        Ok(self.sessions.key(to).canonical().to_owned())
    }

    fn send(&self, parcel: Parcel) -> BoxFuture<'static, Result<Receipt, Fault>> {
        let (sessions, events, now) = (
            self.sessions.clone(),
            Arc::clone(&self.events),
            self.clock.now_ms(),
        );
        Box::pin(async move {
            let Content::Message { text, media, .. } = parcel.content else {
                return Err(Fault::Refused("webchat has no polls".to_owned()));
            };
            let lines: Vec<String> = std::iter::once(text).chain(media).collect();
            let message_id: String = parcel.id.chars().take(injected::ID_CHARS).collect();
            let session = sessions.key(&parcel.to);
            let message = injected::message(&lines.join("\n"), now);
            let (key, stored, mark) = (session.clone(), json!(message), mark(&parcel.id));
            let written = sessions.write(move |changes| {
                if changes.writer().get::<u64>(Table::Outbox, &mark)?.is_some() {
                    return Ok(());
                }
                let mut entry = changes.entry(&key)?.unwrap_or_else(|| Entry::new(now));
                entry.touch(now);
                changes.append(&entry.session_id, &stored)?;
                changes.put_entry(&key, &entry)?;
                changes.writer().put(Table::Outbox, &mark, &now)
            });
            written.await.map_err(|error| {
                tracing::error!(%error, "a message could not be put into its conversation");
                Fault::Later {
                    problem: "the conversation could not be saved".to_owned(),
                    retry_after: None,
                }
            })?;
            events.emit(injected::event(&message_id, session.canonical(), message));
            Ok(Receipt {
                message_id,
                chat_id: Some(parcel.to),
                ..Receipt::default()
            })
        })
    }
}
