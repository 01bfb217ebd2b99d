//! Where a heartbeat's answer goes. Channels that reach people outside the gateway plug in here.

use openclaw_protocol::rt::BoxFuture;

use super::Settings;

/// The target that takes nothing.
const NONE: &str = "none";

/// What became of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivered {
    /// It was sent.
    Sent {
        /// Through this channel.
        channel: String,
        /// To this address.
        to: String,
    },
    /// There is nowhere to send it; why, in a word for the event.
    Nowhere(&'static str),
    /// It should have been sent; what went wrong.
    Failed(String),
}

/// Takes answers. [`NoChannels`] is the gateway's until it has channels; tests have another.
pub trait Outlet: Send + Sync + 'static {
    /// Sends `text` where the settings and the agent's last conversation say.
    fn send(&self, settings: &Settings, text: String) -> BoxFuture<'static, Delivered>;
}

/// The outlet of a gateway without channels. An answer stays in the conversation, where web clients show it.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoChannels;

impl Outlet for NoChannels {
    fn send(&self, settings: &Settings, _: String) -> BoxFuture<'static, Delivered> {
        let why = if settings.target.eq_ignore_ascii_case(NONE) {
            "target-none"
        } else {
            "no-target"
        };
        Box::pin(std::future::ready(Delivered::Nowhere(why)))
    }
}
