//! Who gets a place: bounds on connections and on those that have not been accepted yet, in total and for each network
//! (odd 65).
//!
//! `gateway` asks for a place when it accepts a socket, `http` for another when the socket upgrades, and for one in the
//! client's network when a trusted proxy stands between. This host's own sockets, and those of proxies, count in the
//! totals only.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openclaw_protocol::types::RefusalReason;

use crate::limits::{
    MAX_CONNECTIONS, MAX_CONNECTIONS_PER_NETWORK, MAX_HANDSHAKES, MAX_HANDSHAKES_PER_NETWORK,
};
use crate::net::Network;
use crate::refusals::Refusals;

/// How many may be connected (`gateway.connections`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// Sockets.
    pub total: usize,
    /// Sockets of one network.
    pub per_network: usize,
}

impl Default for Caps {
    fn default() -> Self {
        Self {
            total: MAX_CONNECTIONS,
            per_network: MAX_CONNECTIONS_PER_NETWORK,
        }
    }
}

/// Why somebody got no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnedAway {
    /// Too many sockets.
    Full,
    /// Too many of one network.
    NetworkFull,
    /// Too many handshakes.
    HandshakesFull,
    /// Too many of one network.
    NetworkHandshakesFull,
    /// The Unix socket was opened by another user of this host.
    OtherUser,
}

impl TurnedAway {
    /// The word under which it is counted.
    #[must_use]
    pub fn reason(self) -> RefusalReason {
        match self {
            Self::Full => RefusalReason::ConnectionsFull,
            Self::NetworkFull => RefusalReason::AddressConnectionsFull,
            Self::HandshakesFull => RefusalReason::HandshakesFull,
            Self::NetworkHandshakesFull => RefusalReason::AddressHandshakesFull,
            Self::OtherUser => RefusalReason::OtherUser,
        }
    }
}

/// Counts places. A place is given back when its guard is dropped.
#[derive(Debug, Default)]
pub struct Admission {
    caps: Caps,
    connections: AtomicUsize,
    handshakes: AtomicUsize,
    refusals: Arc<Refusals>,
    /// Of networks beyond this host; one without any place is not in the map.
    of_network: Mutex<HashMap<Network, Held>>,
}

/// Places of one network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Held {
    connections: usize,
    handshakes: usize,
}

/// Which of the places of a network.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Connection,
    Handshake,
}

impl Held {
    fn of(&mut self, kind: Kind) -> &mut usize {
        match kind {
            Kind::Connection => &mut self.connections,
            Kind::Handshake => &mut self.handshakes,
        }
    }
}

/// The place of an open socket.
#[derive(Debug)]
pub struct Place {
    admission: Arc<Admission>,
    _in_network: Option<NetworkPlace>,
}

/// The place of a WebSocket that has not been accepted yet.
#[derive(Debug)]
pub struct HandshakePlace {
    admission: Arc<Admission>,
    _in_network: Option<NetworkPlace>,
}

/// A place among those of one network.
#[derive(Debug)]
pub struct NetworkPlace {
    admission: Arc<Admission>,
    network: Network,
    kind: Kind,
}

impl Admission {
    /// No places taken yet, and these to have. `refusals` counts those who get none.
    #[must_use]
    pub fn new(caps: Caps, refusals: Arc<Refusals>) -> Self {
        Self {
            caps,
            refusals,
            ..Self::default()
        }
    }

    /// A place for a socket from `network`; `None` stands for this host and for proxies.
    ///
    /// # Errors
    /// [`TurnedAway`], counted.
    pub fn enter(self: &Arc<Self>, network: Option<Network>) -> Result<Place, TurnedAway> {
        let in_network = network
            .map(|network| self.enter_network(network))
            .transpose()?;
        let taken = self.connections.fetch_add(1, Ordering::Relaxed);
        // Made in any case: dropping it gives back what was taken.
        let place = Place {
            admission: Arc::clone(self),
            _in_network: in_network,
        };
        if taken < self.caps.total {
            return Ok(place);
        }
        Err(self.turn_away(TurnedAway::Full))
    }

    /// A place in `network` for a connection that has a place as one of a proxy's.
    ///
    /// # Errors
    /// [`TurnedAway::NetworkFull`], counted.
    pub fn enter_network(self: &Arc<Self>, network: Network) -> Result<NetworkPlace, TurnedAway> {
        let cap = self.caps.per_network;
        self.take(network, Kind::Connection, cap)
            .ok_or_else(|| self.turn_away(TurnedAway::NetworkFull))
    }

    /// A place for a handshake from `network`.
    ///
    /// # Errors
    /// [`TurnedAway`], counted.
    pub fn begin_handshake(
        self: &Arc<Self>,
        network: Option<Network>,
    ) -> Result<HandshakePlace, TurnedAway> {
        let in_network = match network {
            None => None,
            Some(network) => Some(
                self.take(network, Kind::Handshake, MAX_HANDSHAKES_PER_NETWORK)
                    .ok_or_else(|| self.turn_away(TurnedAway::NetworkHandshakesFull))?,
            ),
        };
        let taken = self.handshakes.fetch_add(1, Ordering::Relaxed);
        let place = HandshakePlace {
            admission: Arc::clone(self),
            _in_network: in_network,
        };
        if taken < MAX_HANDSHAKES {
            return Ok(place);
        }
        Err(self.turn_away(TurnedAway::HandshakesFull))
    }

    /// Counts somebody who gets no place, and says so again.
    pub fn turn_away(&self, why: TurnedAway) -> TurnedAway {
        self.refusals.count(why.reason());
        why
    }

    /// Sockets open now.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    fn take(self: &Arc<Self>, network: Network, kind: Kind, cap: usize) -> Option<NetworkPlace> {
        let mut networks = self.networks();
        let held = networks.entry(network).or_default();
        if *held.of(kind) >= cap {
            if *held == Held::default() {
                networks.remove(&network);
            }
            return None;
        }
        *held.of(kind) += 1;
        Some(NetworkPlace {
            admission: Arc::clone(self),
            network,
            kind,
        })
    }

    fn networks(&self) -> MutexGuard<'_, HashMap<Network, Held>> {
        // Nothing under this lock leaves a change half done.
        self.of_network
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.admission.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for HandshakePlace {
    fn drop(&mut self) {
        self.admission.handshakes.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for NetworkPlace {
    fn drop(&mut self) {
        let mut networks = self.admission.networks();
        if let Some(held) = networks.get_mut(&self.network) {
            *held.of(self.kind) -= 1;
            if *held == Held::default() {
                networks.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn network(text: &str) -> Option<Network> {
        Some(Network::of(text.parse().unwrap()))
    }

    const CAPS: Caps = Caps {
        total: 6,
        per_network: 4,
    };

    #[test]
    fn the_defaults_are_the_named_limits() {
        let admission = Arc::new(Admission::default());
        let places: Vec<_> = (0..MAX_CONNECTIONS)
            .map(|_| admission.enter(None).unwrap())
            .collect();
        assert_eq!(admission.enter(None).err(), Some(TurnedAway::Full));
        drop(places);
        let places: Vec<_> = (0..MAX_CONNECTIONS_PER_NETWORK)
            .map(|_| admission.enter(network("192.0.2.1")).unwrap())
            .collect();
        assert_eq!(
            admission.enter(network("192.0.2.1")).err(),
            Some(TurnedAway::NetworkFull)
        );
        drop(places);
        assert_eq!(admission.connections(), 0);
    }

    #[test]
    fn connections_are_bounded_and_places_come_back() {
        let admission = Arc::new(Admission::new(CAPS, Arc::default()));
        let mut places: Vec<_> = (0..CAPS.total)
            .map(|_| admission.enter(None).unwrap())
            .collect();
        for late in [None, network("192.0.2.1")] {
            assert_eq!(
                admission.enter(late).err(),
                Some(TurnedAway::Full),
                "{late:?}"
            );
        }
        assert_eq!(admission.connections(), CAPS.total);
        assert!(
            admission.networks().is_empty(),
            "no trace of who was turned away"
        );
        places.pop();
        assert!(admission.enter(None).is_ok());
        assert_eq!(
            admission.refusals.all(),
            BTreeMap::from([(RefusalReason::ConnectionsFull, 2)])
        );
    }

    #[test]
    fn connections_are_bounded_for_each_network_with_or_without_a_proxy() {
        let admission = Arc::new(Admission::new(CAPS, Arc::default()));
        let who = Network::of("192.0.2.1".parse().unwrap());
        let direct: Vec<_> = (1..CAPS.per_network)
            .map(|_| admission.enter(Some(who)).unwrap())
            .collect();
        let proxied = admission.enter_network(who).unwrap();
        assert_eq!(
            admission.enter(Some(who)).err(),
            Some(TurnedAway::NetworkFull)
        );
        assert_eq!(
            admission.enter_network(who).err(),
            Some(TurnedAway::NetworkFull)
        );
        assert!(admission.enter(network("192.0.2.2")).is_ok(), "a neighbour");
        assert!(admission.enter(None).is_ok(), "this host");
        drop(proxied);
        assert!(admission.enter(Some(who)).is_ok());
        drop(direct);
        assert!(admission.networks().is_empty(), "no trace is left");
    }

    #[test]
    fn handshakes_are_bounded_in_total() {
        let admission = Arc::new(Admission::default());
        let mut places: Vec<_> = (0..MAX_HANDSHAKES)
            .map(|_| admission.begin_handshake(None).unwrap())
            .collect();
        for late in [None, network("192.0.2.1")] {
            assert_eq!(
                admission.begin_handshake(late).err(),
                Some(TurnedAway::HandshakesFull),
                "{late:?}"
            );
        }
        places.pop();
        assert!(admission.begin_handshake(network("192.0.2.1")).is_ok());
    }

    #[test]
    fn handshakes_are_bounded_for_each_network() {
        let admission = Arc::new(Admission::default());
        let mut places: Vec<_> = (0..MAX_HANDSHAKES_PER_NETWORK)
            .map(|_| admission.begin_handshake(network("2001:db8::1")).unwrap())
            .collect();
        for same in ["2001:db8::1", "2001:db8::2"] {
            assert_eq!(
                admission.begin_handshake(network(same)).err(),
                Some(TurnedAway::NetworkHandshakesFull),
                "{same}"
            );
        }
        let other = admission.begin_handshake(network("192.0.2.2"));
        assert!(other.is_ok());
        places.pop();
        assert!(admission.begin_handshake(network("2001:db8::1")).is_ok());
        drop((places, other));
        assert!(admission.networks().is_empty(), "no trace is left");
    }
}
