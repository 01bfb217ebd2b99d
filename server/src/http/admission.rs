//! Who gets a place: bounds on connections in total, and on those that have not been accepted yet (odd 65).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::limits::{MAX_CONNECTIONS, MAX_HANDSHAKES, MAX_HANDSHAKES_PER_ADDRESS};

/// Counts places. A place is given back when its guard is dropped.
#[derive(Debug, Default)]
pub struct Admission {
    connections: AtomicUsize,
    turned_away: AtomicUsize,
    handshakes: Mutex<Handshakes>,
}

#[derive(Debug, Default)]
struct Handshakes {
    total: usize,
    /// Of addresses beyond this host; an address without any is not in the map.
    of_address: HashMap<IpAddr, usize>,
}

/// The place of an open socket.
#[derive(Debug)]
pub struct Place(Arc<Admission>);

/// The place of a WebSocket that has not been accepted yet.
#[derive(Debug)]
pub struct HandshakePlace {
    admission: Arc<Admission>,
    address: Option<IpAddr>,
}

impl Admission {
    /// A place for a socket, unless there are [`MAX_CONNECTIONS`].
    #[must_use]
    pub fn enter(self: &Arc<Self>) -> Option<Place> {
        let taken = self.connections.fetch_add(1, Ordering::Relaxed);
        let place = Place(Arc::clone(self));
        if taken < MAX_CONNECTIONS {
            return Some(place);
        }
        self.turned_away.fetch_add(1, Ordering::Relaxed);
        None
    }

    /// A place for a handshake of `address`, unless there are [`MAX_HANDSHAKES`], or [`MAX_HANDSHAKES_PER_ADDRESS`]
    /// from there. All clients on this host share an address, so the second bound does not count for it.
    #[must_use]
    pub fn begin_handshake(self: &Arc<Self>, address: IpAddr) -> Option<HandshakePlace> {
        let address = Some(address.to_canonical()).filter(|address| !address.is_loopback());
        let mut handshakes = self.handshakes();
        let of_address = address.map_or(0, |address| {
            handshakes.of_address.get(&address).copied().unwrap_or(0)
        });
        if handshakes.total >= MAX_HANDSHAKES || of_address >= MAX_HANDSHAKES_PER_ADDRESS {
            self.turned_away.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        handshakes.total += 1;
        if let Some(address) = address {
            handshakes.of_address.insert(address, of_address + 1);
        }
        Some(HandshakePlace {
            admission: Arc::clone(self),
            address,
        })
    }

    /// Sockets open now.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Sockets and handshakes that found no place since the start.
    #[must_use]
    pub fn turned_away(&self) -> usize {
        self.turned_away.load(Ordering::Relaxed)
    }

    fn handshakes(&self) -> MutexGuard<'_, Handshakes> {
        self.handshakes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for HandshakePlace {
    fn drop(&mut self) {
        let mut handshakes = self.admission.handshakes();
        handshakes.total -= 1;
        if let Some(address) = self.address
            && let Some(count) = handshakes.of_address.get_mut(&address)
        {
            *count -= 1;
            if *count == 0 {
                handshakes.of_address.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn connections_are_bounded_and_places_come_back() {
        let admission = Arc::new(Admission::default());
        let mut places: Vec<_> = (0..MAX_CONNECTIONS)
            .map(|_| admission.enter().unwrap())
            .collect();
        assert!(admission.enter().is_none(), "one too many");
        assert_eq!(
            (admission.connections(), admission.turned_away()),
            (MAX_CONNECTIONS, 1)
        );
        places.pop();
        assert!(admission.enter().is_some());
    }

    #[test]
    fn handshakes_are_bounded_in_total() {
        let admission = Arc::new(Admission::default());
        let mut places: Vec<_> = (0..MAX_HANDSHAKES)
            .map(|_| admission.begin_handshake(address("127.0.0.1")).unwrap())
            .collect();
        for late in ["127.0.0.1", "::1", "192.0.2.1"] {
            assert!(admission.begin_handshake(address(late)).is_none(), "{late}");
        }
        places.pop();
        assert!(admission.begin_handshake(address("192.0.2.1")).is_some());
    }

    #[test]
    fn handshakes_are_bounded_for_each_address_beyond_this_host() {
        let admission = Arc::new(Admission::default());
        let mut places: Vec<_> = (0..MAX_HANDSHAKES_PER_ADDRESS)
            .map(|_| admission.begin_handshake(address("192.0.2.1")).unwrap())
            .collect();
        assert!(admission.begin_handshake(address("192.0.2.1")).is_none());
        assert!(
            admission
                .begin_handshake(address("::ffff:192.0.2.1"))
                .is_none(),
            "the same address in the other family"
        );
        let other = admission.begin_handshake(address("192.0.2.2"));
        assert!(other.is_some());
        places.pop();
        assert!(admission.begin_handshake(address("192.0.2.1")).is_some());
        drop((places, other));
        assert!(
            admission.handshakes().of_address.is_empty(),
            "no trace is left"
        );
    }
}
