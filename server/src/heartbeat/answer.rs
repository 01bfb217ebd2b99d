//! Where a heartbeat's answer goes.

use openclaw_protocol::types::OutboxOrigin;

use super::Settings;
use crate::agent::Delivery;
use crate::outbox::{Order, Pending, Replied, ReplyError, Wish};
use crate::sessions::SessionKey;

/// The target that takes nothing.
const NONE: &str = "none";

/// What became of an answer.
pub(super) enum Sent {
    /// Its channel has it.
    To { channel: String, to: String },
    /// There is nowhere to send it; why, in a word for the event.
    Nowhere(&'static str),
}

/// Sends an answer where the settings and the agent's last message say, unless these words are `known`; none if it goes
/// nowhere. Elsewhere it stays in the conversation, where web clients show it.
pub(super) fn delivery(
    settings: &Settings,
    session: &SessionKey,
    known: Option<String>,
) -> Option<Delivery> {
    if settings.target.eq_ignore_ascii_case(NONE) {
        return None;
    }
    Some(Delivery {
        order: Order {
            origin: OutboxOrigin::Heartbeat,
            key: uuid::Uuid::new_v4().to_string(),
            wish: Wish {
                channel: Some(settings.target.clone()),
                to: settings.to.clone(),
                account_id: None,
            },
            session: session.canonical().to_owned(),
            // Chat clients were spared the words of the run.
            stands_in: None,
        },
        is_whole: false,
        ack_max_chars: Some(settings.ack_max_chars),
        known,
    })
}

/// What became of an answer that has words. Without a delivery it went nowhere: because of the settings, or because its words
/// are known.
pub(super) async fn sent(
    settings: &Settings,
    delivery: Option<&Pending>,
) -> Result<Sent, ReplyError> {
    let Some(delivery) = delivery else {
        let is_off = settings.target.eq_ignore_ascii_case(NONE);
        return Ok(Sent::Nowhere(if is_off {
            "target-none"
        } else {
            "duplicate"
        }));
    };
    match delivery.outcome().await {
        Ok(Replied::Sent { channel, to, .. }) => Ok(Sent::To { channel, to }),
        Ok(Replied::Here) => Ok(Sent::Nowhere("no-target")),
        Err(error) if error.is_nowhere() => Ok(Sent::Nowhere("no-target")),
        Err(error) => Err(error),
    }
}
