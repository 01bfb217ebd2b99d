//! Where a heartbeat's answer goes.

use openclaw_protocol::types::OutboxOrigin;

use super::Settings;
use crate::agent::Done;
use crate::outbox::{Outbox, Replied, Reply, ReplyError, Wish};
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

/// Sends an answer where the settings and the agent's last message say. Elsewhere it stays in the conversation, where
/// web clients show it.
pub(super) async fn send(
    outbox: &Outbox,
    settings: &Settings,
    session: &SessionKey,
    done: &Done,
    text: &str,
) -> Result<Sent, ReplyError> {
    if settings.target.eq_ignore_ascii_case(NONE) {
        return Ok(Sent::Nowhere("target-none"));
    }
    let reply = Reply {
        origin: OutboxOrigin::Heartbeat,
        key: done.run_id.clone(),
        wish: Wish {
            channel: Some(settings.target.clone()),
            to: settings.to.clone(),
        },
        session,
        text: text.to_owned(),
        media: Vec::new(),
    };
    match outbox.reply(reply).await {
        Ok(Replied::Sent { channel, to, .. }) => Ok(Sent::To { channel, to }),
        Ok(Replied::Here) => Ok(Sent::Nowhere("no-target")),
        Err(error) if error.is_nowhere() => Ok(Sent::Nowhere("no-target")),
        Err(error) => Err(error),
    }
}
