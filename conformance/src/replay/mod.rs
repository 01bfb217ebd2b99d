//! Plays the client side of a session against a running gateway and notes what the gateway says. Judges nothing: that is
//! [`crate::judge`].

mod link;
mod outgoing;
mod player;
mod progress;

use std::net::SocketAddr;
use std::time::Duration;

pub use outgoing::Names;
pub use player::{Played, Stall, play};

use crate::keys::TestKeys;
use crate::rules::Rules;

/// A gateway to play against.
pub struct Endpoint<'a> {
    /// Where it listens.
    pub addr: SocketAddr,
    /// Its own names for what the recordings name otherwise.
    pub names: Names,
    /// The shared secret that it knows, where it is another than the recorded one.
    pub token: Option<String>,
    /// Sends a signal by its name; none when the gateway is not ours to signal.
    pub signal: Option<&'a SendSignal<'a>>,
}

/// Sends the signal of this name.
pub type SendSignal<'a> = dyn Fn(&str) -> std::io::Result<()> + Sync + 'a;

/// How a session is played.
#[derive(Clone, Copy)]
pub struct Player<'a> {
    /// For signing and for values that are the same in every run.
    pub keys: &'a TestKeys,
    /// For binding ids.
    pub rules: &'a Rules,
    /// Values that are the same in every run.
    pub constants: &'a [String],
    /// Recorded pauses are multiplied by this: 1 outside tests.
    pub pace: f64,
    /// Shortest time before a client closes: what is on the way by then is judged.
    pub settle: Duration,
    /// Longest wait for a frame, beyond the time that it took in the recording.
    pub patience: Duration,
    /// The time of day, milliseconds since the epoch.
    pub now_ms: fn() -> u64,
}
