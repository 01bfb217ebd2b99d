//! Pairing over a real store in a temporary directory.

mod behind;
mod bounds;
mod flows;
mod laws;

use std::sync::Arc;

use openclaw_protocol::rt::SecretString;

use super::*;
use crate::clock::ManualClock;
use crate::store::{Store, Table};

const START: u64 = 1_769_900_000_000;

/// A pairing on a store of its own, which outlives restarts.
struct Bench {
    pairing: Pairing,
    store: Store,
    clock: Arc<ManualClock>,
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(START));
        let (store, pairing) = open(&dir, &clock);
        Self {
            pairing,
            store,
            clock,
            dir,
        }
    }

    /// Everything closed and opened again.
    fn restart(self) -> Self {
        let Self {
            pairing,
            store,
            clock,
            dir,
        } = self;
        store.close();
        drop((pairing, store));
        let (store, pairing) = open(&dir, &clock);
        Self {
            pairing,
            store,
            clock,
            dir,
        }
    }

    /// As the connection does it: from memory if possible, otherwise by a commit.
    async fn connect(&self, ask: &Ask) -> Outcome {
        match self.pairing.decide(ask) {
            Decision::Granted(grant) => Outcome::Granted {
                grant,
                resolved: Vec::new(),
            },
            Decision::Unpaired => Outcome::Unpaired,
            Decision::Waiting { request_id } => Outcome::Waiting {
                request_id,
                requested: None,
            },
            Decision::Undecided => self.pairing.commit(ask.clone()).await.unwrap(),
        }
    }

    async fn grant(&self, ask: &Ask) -> Grant {
        match self.connect(ask).await {
            Outcome::Granted { grant, .. } => grant,
            other => panic!("{other:?}"),
        }
    }

    async fn wait(&self, ask: &Ask) -> (String, Option<Box<PendingPairing>>) {
        match self.connect(ask).await {
            Outcome::Waiting {
                request_id,
                requested,
            } => (request_id, requested),
            other => panic!("{other:?}"),
        }
    }

    fn accepts(&self, ask: &Ask, token: &SecretString) -> bool {
        self.pairing
            .accepts(&ask.device, ask.role, &ask.scopes, token.expose())
    }

    fn stored(&self, device: &VerifiedDevice) -> Option<Device> {
        self.store
            .read(|reader| reader.get(Table::Devices, device.id().as_bytes()))
            .unwrap()
    }
}

fn open(dir: &tempfile::TempDir, clock: &Arc<ManualClock>) -> (Store, Pairing) {
    let store = Store::open(&dir.path().join("store")).unwrap();
    let key = TokenKey::load_or_create(dir.path()).unwrap();
    let pairing = Pairing::load(store.clone(), key, Arc::<ManualClock>::clone(clock)).unwrap();
    (store, pairing)
}

fn texts(scopes: &[&str]) -> Vec<String> {
    scopes.iter().map(|&scope| scope.to_owned()).collect()
}

/// Device number `n` asking, as operator, from another host.
fn remote(n: u16, scopes: &[&str]) -> Ask {
    let mut key = [0xa5; 32];
    key[..2].copy_from_slice(&n.to_be_bytes());
    Ask {
        device: VerifiedDevice::of_key(key),
        role: Role::Operator,
        scopes: texts(scopes),
        local: false,
        optional: false,
        by_device_token: false,
        profile: Profile {
            display_name: Some(format!("Device {n}")),
            platform: Some("linux".into()),
            ..Profile::default()
        },
    }
}

/// The same from this host.
fn local(n: u16, scopes: &[&str]) -> Ask {
    Ask {
        local: true,
        ..remote(n, scopes)
    }
}
