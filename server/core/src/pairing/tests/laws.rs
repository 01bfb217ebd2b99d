//! Laws over every interleaving: nobody ever gets a role or scope that was not granted, and of all tokens ever made for
//! a device and role only the latest opens anything, until it is revoked.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::FutureExt as _;
use proptest::prelude::*;

use super::*;

const SCOPES: [&str; 3] = ["a", "b", "c"];

#[derive(Debug, Clone)]
enum Move {
    Connect(Vec<Connect>),
    Approve(prop::sample::Index),
    Reject(prop::sample::Index),
    Rotate(u16, Role, Option<Vec<String>>),
    Revoke(u16, Role),
    Advance(u64),
    Flush,
    Restart,
}

/// Connects that are under way at the same time, some of them given up by the client.
#[derive(Debug, Clone)]
struct Connect {
    device: u16,
    role: Role,
    scopes: Vec<String>,
    local: bool,
    by_token: bool,
    abandoned: bool,
}

impl Connect {
    fn ask(&self) -> Ask {
        Ask {
            role: self.role,
            scopes: self.scopes.clone(),
            local: self.local,
            by_device_token: self.by_token,
            ..remote(self.device, &[])
        }
    }
}

/// What was granted and made so far.
#[derive(Debug, Default)]
struct Model {
    roles: BTreeMap<u16, BTreeSet<Role>>,
    scopes: BTreeMap<u16, BTreeSet<String>>,
    /// Every token seen of a device and role; the last is the live one.
    tokens: BTreeMap<(u16, Role), Vec<String>>,
    revoked: BTreeSet<(u16, Role)>,
}

impl Model {
    fn grant(&mut self, device: u16, role: Role, scopes: &[String]) {
        self.roles.entry(device).or_default().insert(role);
        self.scopes
            .entry(device)
            .or_default()
            .extend(scopes.iter().cloned());
    }

    fn granted(&self, device: u16, role: Role, scopes: &[String]) -> bool {
        let held = self.scopes.get(&device);
        self.roles
            .get(&device)
            .is_some_and(|roles| roles.contains(&role))
            && scopes
                .iter()
                .all(|scope| held.is_some_and(|held| held.contains(scope)))
    }

    fn token(&mut self, device: u16, grant: &Grant) {
        let tokens = self.tokens.entry((device, grant.role)).or_default();
        let text = grant.token.expose().to_owned();
        if tokens.last() != Some(&text) {
            assert!(!tokens.contains(&text), "a dead token came back");
            tokens.push(text);
        }
        self.revoked.remove(&(device, grant.role));
    }
}

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![3 => Just(Role::Operator), 1 => Just(Role::Node)]
}

fn scopes() -> impl Strategy<Value = Vec<String>> {
    prop::sample::subsequence(SCOPES.to_vec(), 0..=SCOPES.len()).prop_map(|scopes| texts(&scopes))
}

fn connect() -> impl Strategy<Value = Connect> {
    (
        0_u16..3,
        role(),
        scopes(),
        any::<bool>(),
        any::<bool>(),
        prop::bool::weighted(0.1),
    )
        .prop_map(
            |(device, role, scopes, local, by_token, abandoned)| Connect {
                device,
                role,
                scopes,
                local,
                by_token,
                abandoned,
            },
        )
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        8 => prop::collection::vec(connect(), 1..5).prop_map(Move::Connect),
        4 => any::<prop::sample::Index>().prop_map(Move::Approve),
        1 => any::<prop::sample::Index>().prop_map(Move::Reject),
        2 => (0_u16..3, role(), prop::option::of(scopes())).prop_map(|(d, r, s)| Move::Rotate(d, r, s)),
        2 => (0_u16..3, role()).prop_map(|(d, r)| Move::Revoke(d, r)),
        1 => prop_oneof![Just(1_u64), Just(PENDING_TTL_MS), Just(PENDING_TTL_MS + 1)].prop_map(Move::Advance),
        1 => Just(Move::Flush),
        1 => Just(Move::Restart),
    ];
    prop::collection::vec(one, 1..24)
}

/// The nth of the requests that an operator sees.
fn pick(bench: &Bench, index: &prop::sample::Index) -> Option<PendingPairing> {
    let open = bench.pairing.list().0;
    (!open.is_empty()).then(|| index.get(&open).clone())
}

/// Runs connects at once; then judges each by what is granted after all of them.
async fn connects(bench: &Bench, model: &mut Model, all: &[Connect]) {
    // With a token a connection gets here only if the token was accepted.
    let came: Vec<&Connect> = all
        .iter()
        .filter(|connect| {
            let token = model
                .tokens
                .get(&(connect.device, connect.role))
                .and_then(|tokens| tokens.last());
            let ask = connect.ask();
            !connect.by_token
                || token
                    .is_some_and(|token| bench.accepts(&ask, &SecretString::new(token.as_str())))
        })
        .collect();
    let outcomes = futures_util::future::join_all(came.iter().map(|connect| async {
        let ask = connect.ask();
        if connect.abandoned {
            let _ = bench.pairing.commit(ask).now_or_never();
            return None;
        }
        Some(bench.connect(&ask).await)
    }))
    .await;
    // What was abandoned still runs. A change that is refused waits for the device's turn, and so for all before it.
    for device in 0..3 {
        let refused = bench
            .pairing
            .rotate(
                remote(device, &[]).device.id(),
                Role::Node,
                Some(texts(&["never"])),
                Actor::default(),
            )
            .await;
        assert!(refused.is_err());
    }
    for connect in &came {
        if connect.local {
            model.grant(connect.device, connect.role, &connect.scopes);
        }
    }
    for (connect, outcome) in came.iter().zip(outcomes) {
        match outcome {
            None => {}
            Some(Outcome::Granted { grant, resolved }) => {
                assert!(
                    model.granted(connect.device, connect.role, &connect.scopes),
                    "{connect:?}"
                );
                assert!(
                    model.granted(connect.device, grant.role, &grant.scopes),
                    "{connect:?} {grant:?}"
                );
                assert_eq!(grant.role, connect.role);
                assert!(
                    connect
                        .scopes
                        .iter()
                        .all(|scope| grant.scopes.contains(scope))
                );
                assert!(
                    connect.local || resolved.is_empty(),
                    "only local connects approve anything"
                );
            }
            Some(Outcome::Waiting { request_id, .. }) => {
                assert!(!connect.local, "a local connect never waits");
                assert_eq!(request_id.len(), 36);
            }
            Some(Outcome::Unpaired) => panic!("nothing here was optional"),
        }
    }
}

/// After each move: what is listed is what was granted, and exactly the live tokens open.
async fn check(bench: &Bench, model: &mut Model) {
    let (pending, paired) = bench.pairing.list();
    assert!(pending.len() <= MAX_PENDING);
    for device in 0..3 {
        let ask = remote(device, &[]);
        let Some(record) = paired
            .iter()
            .find(|record| record.device_id == ask.device.id())
        else {
            assert!(!model.roles.contains_key(&device), "a grant was lost");
            continue;
        };
        assert_eq!(
            Some(record.roles.iter().copied().collect()),
            model.roles.get(&device).cloned()
        );
        assert_eq!(
            record.scopes.iter().cloned().collect::<BTreeSet<_>>(),
            model.scopes.get(&device).cloned().unwrap_or_default()
        );
        for token in &record.tokens {
            assert!(
                token
                    .scopes
                    .iter()
                    .all(|scope| record.scopes.contains(scope))
            );
            assert!(record.roles.contains(&token.role));
            // The live token, as any connect that it covers is given it.
            if token.revoked_at_ms.is_none() {
                let ask = Ask {
                    role: token.role,
                    ..ask.clone()
                };
                let Decision::Granted(grant) = bench.pairing.decide(&ask) else {
                    panic!("{token:?} does not open")
                };
                model.token(device, &grant);
            } else {
                model.revoked.insert((device, token.role));
            }
        }
    }
    for ((device, role), tokens) in &model.tokens {
        for (index, token) in tokens.iter().enumerate() {
            let live = index + 1 == tokens.len() && !model.revoked.contains(&(*device, *role));
            for other in [Role::Operator, Role::Node] {
                for stranger in 0..3 {
                    let ask = Ask {
                        role: other,
                        ..remote(stranger, &[])
                    };
                    let opens = bench.accepts(&ask, &SecretString::new(token.as_str()));
                    assert_eq!(
                        opens,
                        live && stranger == *device && other == *role,
                        "{device} {role} {index} by {stranger} {other}"
                    );
                }
            }
        }
    }
}

async fn play(moves: Vec<Move>) {
    let mut bench = Bench::new();
    let mut model = Model::default();
    for step in moves {
        match step {
            Move::Connect(all) => connects(&bench, &mut model, &all).await,
            Move::Approve(index) => {
                if let Some(request) = pick(&bench, &index) {
                    let device = (0..3)
                        .find(|n| remote(*n, &[]).device.id() == request.device_id)
                        .unwrap();
                    bench
                        .pairing
                        .approve(&request.request_id, Actor::default())
                        .await
                        .unwrap();
                    model.grant(device, request.role, &request.scopes);
                }
            }
            Move::Reject(index) => {
                if let Some(request) = pick(&bench, &index) {
                    bench.pairing.reject(&request.request_id).await.unwrap();
                }
            }
            Move::Rotate(device, role, scopes) => {
                let id = remote(device, &[]).device;
                let allowed = model.granted(device, role, scopes.as_deref().unwrap_or_default());
                let rotated = bench
                    .pairing
                    .rotate(id.id(), role, scopes, Actor::default())
                    .await;
                assert_eq!(rotated.is_ok(), allowed);
                if let Ok(grant) = rotated {
                    model.token(device, &grant);
                }
            }
            Move::Revoke(device, role) => {
                let id = remote(device, &[]).device;
                if bench
                    .pairing
                    .revoke(id.id(), role, Actor::default())
                    .await
                    .is_ok()
                {
                    model.revoked.insert((device, role));
                }
            }
            Move::Advance(ms) => {
                bench.clock.advance(ms);
            }
            Move::Flush => bench.pairing.flush().await.unwrap(),
            Move::Restart => bench = bench.restart(),
        }
        check(&bench, &mut model).await;
    }
}

proptest! {
    // Each case opens a store; a few dozen with some ten moves each reach every pair of moves.
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn nobody_gets_what_nobody_granted(moves in moves()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(play(moves));
    }
}
