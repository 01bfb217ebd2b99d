//! What the gateway has acknowledged, and what it must therefore know after a restart.

use std::collections::{BTreeMap, BTreeSet};

use openclaw_protocol::protocol::Scope;

/// Devices that play, and as many nodes.
pub(crate) const DEVICES: u8 = 3;
/// What devices ask for.
pub(crate) const ASKS: [&[Scope]; 3] = [
    &[Scope::Read],
    &[Scope::Read, Scope::Write],
    &[Scope::Admin],
];

/// A move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Move {
    /// A device connects from elsewhere with the shared secret.
    Connect(u8, usize),
    /// An operator lets a request of a device in.
    Approve(u8, usize),
    /// An operator refuses it.
    Reject(u8, usize),
    /// A device gets another token.
    Rotate(u8),
    /// A device's token is revoked.
    Revoke(u8),
    /// A node asks in the older way.
    NodeAsk(u8),
    /// It is let in.
    NodeApprove(u8),
    /// It is refused.
    NodeReject(u8),
}

/// What opens the door to a device or is shown by a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Token {
    /// This one.
    Live(String),
    /// One that nobody here has seen.
    #[default]
    Unseen,
    /// None: it was revoked.
    Revoked,
}

/// A device that may connect, or a paired node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Paired {
    /// Scopes granted; a node has none.
    pub(crate) scopes: BTreeSet<&'static str>,
    /// Its token.
    pub(crate) token: Token,
}

/// Everything of one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) devices: BTreeMap<u8, Paired>,
    /// Requests of devices: device and what it asks for.
    pub(crate) pending: BTreeMap<(u8, usize), String>,
    pub(crate) nodes: BTreeMap<u8, Paired>,
    pub(crate) pending_nodes: BTreeMap<u8, String>,
}

/// What lists show of a state; ids and tokens are left out, since of a move under way nobody knows them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Shown {
    /// Scopes, and whether the token is revoked.
    pub(crate) devices: BTreeMap<u8, (BTreeSet<String>, bool)>,
    pub(crate) pending: BTreeSet<(u8, BTreeSet<String>)>,
    pub(crate) nodes: BTreeSet<u8>,
    pub(crate) pending_nodes: BTreeSet<u8>,
}

/// The state as acknowledged, and the move whose answer did not come.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) state: State,
    /// Tokens that must never open anything again.
    pub(crate) dead: Vec<(u8, String)>,
    pub(crate) dead_of_nodes: Vec<(u8, String)>,
    under_way: Option<Move>,
}

fn names(ask: usize) -> BTreeSet<&'static str> {
    ASKS[ask].iter().map(|scope| scope.as_str()).collect()
}

impl State {
    /// What lists show of it.
    pub(crate) fn shown(&self) -> Shown {
        let texts =
            |scopes: &BTreeSet<&str>| scopes.iter().map(|&scope| scope.to_owned()).collect();
        Shown {
            devices: self
                .devices
                .iter()
                .map(|(n, device)| {
                    let revoked = device.token == Token::Revoked;
                    (*n, (texts(&device.scopes), revoked))
                })
                .collect(),
            pending: self
                .pending
                .keys()
                .map(|(n, ask)| (*n, texts(&names(*ask))))
                .collect(),
            nodes: self.nodes.keys().copied().collect(),
            pending_nodes: self.pending_nodes.keys().copied().collect(),
        }
    }

    /// May a device come in with what it asks for?
    pub(crate) fn grants(&self, n: u8, ask: usize) -> bool {
        let device = self.devices.get(&n);
        device.is_some_and(|device| names(ask).is_subset(&device.scopes))
    }

    /// Does the move make sense now? Those that do not are refused and change nothing.
    pub(crate) fn allows(&self, made: &Move) -> bool {
        match made {
            Move::Connect(..) | Move::NodeAsk(_) => true,
            Move::Approve(n, ask) | Move::Reject(n, ask) => self.pending.contains_key(&(*n, *ask)),
            Move::Rotate(n) | Move::Revoke(n) => self.devices.contains_key(n),
            Move::NodeApprove(n) | Move::NodeReject(n) => self.pending_nodes.contains_key(n),
        }
    }

    /// The state after a move that was carried out. `made` is the id or token that it brought.
    pub(crate) fn after(&self, step: &Move, made: Option<String>) -> State {
        let mut next = self.clone();
        let token = made.clone().map_or(Token::Unseen, Token::Live);
        match step {
            Move::Connect(n, ask) if self.grants(*n, *ask) => {
                next.devices.entry(*n).or_default().token = token;
            }
            Move::Connect(n, ask) => {
                next.pending.insert((*n, *ask), made.unwrap_or_default());
            }
            Move::Approve(n, ask) => {
                let device = next.devices.entry(*n).or_default();
                device.scopes.extend(names(*ask));
                device.token = Token::Unseen;
                // It answers whatever the device asked for that is granted now.
                let scopes = device.scopes.clone();
                next.pending
                    .retain(|(of, ask), _| of != n || !names(*ask).is_subset(&scopes));
            }
            Move::Reject(n, ask) => {
                next.pending.remove(&(*n, *ask));
            }
            Move::Rotate(n) => next.devices.entry(*n).or_default().token = token,
            Move::Revoke(n) => next.devices.entry(*n).or_default().token = Token::Revoked,
            Move::NodeAsk(n) => {
                next.pending_nodes.insert(*n, made.unwrap_or_default());
            }
            Move::NodeApprove(n) => {
                next.pending_nodes.remove(n);
                next.nodes.entry(*n).or_default().token = token;
            }
            Move::NodeReject(n) => {
                next.pending_nodes.remove(n);
            }
        }
        next
    }
}

impl Model {
    /// The move whose answer has not come.
    pub(crate) fn under_way(&self) -> Option<&Move> {
        self.under_way.as_ref()
    }

    /// A move begins.
    pub(crate) fn begin(&mut self, step: Move) {
        self.under_way = Some(step);
    }

    /// The move was acknowledged.
    pub(crate) fn acknowledge(&mut self, made: Option<String>) {
        if let Some(step) = self.under_way.take() {
            let next = self.state.after(&step, made);
            self.become_state(next);
        }
    }

    /// After a restart: whether the move under way happened, given what lists show.
    pub(crate) fn settle(&mut self, shown: &Shown) {
        let before = self.state.shown();
        let Some(step) = self.under_way.take() else {
            assert_eq!(*shown, before, "what was acknowledged");
            return;
        };
        // Where lists look the same either way, the tokens tell.
        if *shown == before {
            return;
        }
        let after = self.state.after(&step, None);
        assert_eq!(
            *shown,
            after.shown(),
            "{step:?} is half done; before it:\n{before:#?}"
        );
        self.become_state(after);
    }

    fn become_state(&mut self, next: State) {
        let died = |old: &BTreeMap<u8, Paired>, new: &BTreeMap<u8, Paired>| {
            let gone = old.iter().filter_map(|(n, paired)| match &paired.token {
                Token::Live(token) => {
                    let now = new.get(n).map(|paired| &paired.token);
                    let is_other = !matches!(now, Some(Token::Live(now)) if now == token);
                    is_other.then(|| (*n, token.clone()))
                }
                Token::Unseen | Token::Revoked => None,
            });
            gone.collect::<Vec<_>>()
        };
        self.dead.extend(died(&self.state.devices, &next.devices));
        self.dead_of_nodes
            .extend(died(&self.state.nodes, &next.nodes));
        self.state = next;
    }
}
