//! Pairing over a real store in a temporary directory.

mod behind;
mod bounds;
mod flows;
mod laws;
mod machine;
mod tokens;
mod trouble;

use std::sync::{Arc, Mutex};

use openclaw_protocol::events::Event;
use openclaw_protocol::rt::SecretString;

use super::*;
use crate::clock::ManualClock;
use crate::hub::{Admitted, EventSink};
use crate::store::{Store, Table};

const START: u64 = 1_769_900_000_000;

/// A pairing on a store of its own, which outlives restarts.
struct Bench {
    pairing: Pairing,
    store: Store,
    clock: Arc<ManualClock>,
    told: Arc<Told>,
    dir: tempfile::TempDir,
}

/// Notes what operators are told, and whose connections are ended.
#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl EventSink for Told {
    fn emit(&self, event: Event) {
        let text = match event {
            Event::DevicePairRequested(request) => format!("requested {}", request.request_id),
            Event::DevicePairResolved(resolved) => {
                format!("{} {}", resolved.decision, resolved.request_id)
            }
            other => panic!("{other:?}"),
        };
        self.0.lock().unwrap().push(text);
    }
}

impl Admitted for Told {
    fn dismiss(&self, device_id: &str, role: Role, spare: Option<&str>) {
        let text = format!("dismissed {device_id} {role} but {spare:?}");
        self.0.lock().unwrap().push(text);
    }
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(START));
        let told = Arc::default();
        let (store, pairing) = open(&dir, &clock, &told);
        Self {
            pairing,
            store,
            clock,
            told,
            dir,
        }
    }

    /// What was told since the last call.
    fn told(&self) -> Vec<String> {
        std::mem::take(&mut self.told.0.lock().unwrap())
    }

    /// Everything closed and opened again.
    fn restart(self) -> Self {
        let Self {
            pairing,
            store,
            clock,
            told,
            dir,
        } = self;
        store.close();
        drop((pairing, store));
        let (store, pairing) = open(&dir, &clock, &told);
        Self {
            pairing,
            store,
            clock,
            told,
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

fn open(dir: &tempfile::TempDir, clock: &Arc<ManualClock>, told: &Arc<Told>) -> (Store, Pairing) {
    let store = Store::open(&dir.path().join("store")).unwrap();
    let key = TokenKey::load_or_create(dir.path()).unwrap();
    let clock = Arc::<ManualClock>::clone(clock);
    let pairing = Pairing::load(store.clone(), key, clock, Arc::<Told>::clone(told)).unwrap();
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
