//! Why connections ended, and how often. Why handshakes failed is counted in [`crate::refusals`].

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    /// The peer sent a close frame.
    ClosedByPeer,
    /// The stream ended or failed without one.
    Lost,
    /// The handshake failed.
    Refused,
    /// A message was larger than allowed.
    TooBig,
    /// The peer broke the rules of WebSocket.
    ProtocolError,
    /// A text was not UTF-8.
    NotUtf8,
    /// Too many messages were no requests.
    TooManyBadFrames,
    /// The peer took nothing of what waited for it.
    Stalled,
    /// The hub closed it: a reader too slow for an event, or the gateway stops.
    ClosedByHub,
}

impl Ending {
    /// The name under which it is counted.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ClosedByPeer => "closed by peer",
            Self::Lost => "lost",
            Self::Refused => "refused",
            Self::TooBig => "too big",
            Self::ProtocolError => "protocol error",
            Self::NotUtf8 => "not UTF-8",
            Self::TooManyBadFrames => "too many bad frames",
            Self::Stalled => "stalled",
            Self::ClosedByHub => "closed by the hub",
        }
    }
}

/// Counts endings and what led to them. The names are fixed, so the map is as small as the list of them.
#[derive(Debug, Default)]
pub struct Counters {
    counts: Mutex<BTreeMap<&'static str, u64>>,
}

impl Counters {
    /// Counts the end of a connection.
    pub fn ended(&self, ending: Ending) {
        self.count(ending.name());
    }

    /// Counts a message after hello-ok that was no request.
    pub fn bad_frame(&self) {
        self.count("bad frame");
    }

    /// Everything counted, by name.
    #[must_use]
    pub fn all(&self) -> BTreeMap<&'static str, u64> {
        self.counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn count(&self, name: &'static str) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(name).or_default() += 1;
    }
}
