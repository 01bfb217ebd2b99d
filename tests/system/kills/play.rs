//! Carries moves out against a gateway, and looks at it after a restart.

use std::collections::BTreeSet;

use openclaw_client::{CallError, Client, ConnectError, DeviceIdentity, GatewayCalls};
use openclaw_protocol::protocol::Role;
use openclaw_protocol::rt::{NonEmptyString, SecretString};
use openclaw_protocol::types::{
    DevicePairApproveParams, DevicePairListParams, DevicePairRejectParams, DeviceTokenRevokeParams,
    DeviceTokenRotateParams, NodePairApproveParams, NodePairListParams, NodePairRejectParams,
    NodePairRequestParams, NodePairVerifyParams,
};

use super::Dice;
use super::model::{ASKS, DEVICES, Model, Move, Shown, Token};
use crate::remote::{device, operator};

/// Dead tokens of each kind that are tried after a restart: those before them were tried when they were the latest.
const DEAD: usize = 2;

/// An operator on the gateway's host, and the devices elsewhere.
pub(crate) struct Player {
    port: u16,
    operator: Client,
}

fn text(text: &str) -> NonEmptyString {
    NonEmptyString::or(text, "-")
}

fn id_of(n: u8) -> String {
    DeviceIdentity::from_seed(&[n + 1; 32])
        .device_id()
        .to_owned()
}

fn number_of(id: &str) -> u8 {
    (0..DEVICES)
        .find(|n| id_of(*n) == id)
        .expect("a device of this test")
}

fn role() -> NonEmptyString {
    text(Role::Operator.as_str())
}

/// What came of a call: something, a refusal, or nothing because the gateway is gone.
enum Came<T> {
    Answer(T),
    Refused(String),
    Nothing,
}

fn came<T>(outcome: Result<T, CallError>) -> Came<T> {
    match outcome {
        Ok(answer) => Came::Answer(answer),
        Err(CallError::Refused { error, .. }) => Came::Refused(error.message.to_string()),
        Err(CallError::NotConnected | CallError::Disconnected(_)) => Came::Nothing,
        Err(error) => panic!("{error}"),
    }
}

impl Player {
    pub(crate) async fn new(port: u16) -> Player {
        let operator = Client::connect(operator(port, "tok"))
            .await
            .expect("an operator");
        Player { port, operator }
    }

    /// Makes one move. False when the gateway is gone.
    pub(crate) async fn play(&mut self, model: &mut Model, dice: &mut Dice) -> bool {
        let n = dice.throw(u64::from(DEVICES)) as u8;
        let ask = dice.throw(ASKS.len() as u64) as usize;
        let step = match dice.throw(12) {
            0..=1 => Move::Connect(n, ask),
            2..=4 => Move::Approve(n, ask),
            5 => Move::Reject(n, ask),
            6 => Move::Rotate(n),
            7 => Move::Revoke(n),
            8 => Move::NodeAsk(n),
            9..=10 => Move::NodeApprove(n),
            _ => Move::NodeReject(n),
        };
        if !model.state.allows(&step) {
            return true;
        }
        model.begin(step.clone());
        match self.carry_out(model, &step).await {
            Came::Answer(made) => model.acknowledge(made),
            Came::Refused(why) => panic!("{step:?}: {why}\n{:#?}", model.state),
            Came::Nothing => return false,
        }
        true
    }

    /// The id or token that the move brought.
    async fn carry_out(&self, model: &Model, step: &Move) -> Came<Option<String>> {
        let gateway = &self.operator;
        let request = |n: &u8, ask: &usize| text(&model.state.pending[&(*n, *ask)]);
        match step {
            Move::Connect(n, ask) => self.connect(model, *n, *ask).await,
            Move::Approve(n, ask) => {
                let params = DevicePairApproveParams::new(request(n, ask));
                came(gateway.device_pair_approve(&params).await.map(|_| None))
            }
            Move::Reject(n, ask) => {
                let params = DevicePairRejectParams::new(request(n, ask));
                came(gateway.device_pair_reject(&params).await.map(|_| None))
            }
            Move::Rotate(n) => {
                let params = DeviceTokenRotateParams::new(text(&id_of(*n)), role());
                let rotated = gateway.device_token_rotate(&params).await;
                came(rotated.map(|made| Some(made.token.expose().to_owned())))
            }
            Move::Revoke(n) => {
                let params = DeviceTokenRevokeParams::new(text(&id_of(*n)), role());
                came(gateway.device_token_revoke(&params).await.map(|_| None))
            }
            Move::NodeAsk(n) => {
                let params = NodePairRequestParams::new(text(&format!("node {n}")));
                let asked = gateway.node_pair_request(&params).await;
                came(asked.map(|asked| Some(asked.request.request_id.to_string())))
            }
            Move::NodeApprove(n) => {
                let params = NodePairApproveParams::new(text(&model.state.pending_nodes[n]));
                let approved = gateway.node_pair_approve(&params).await;
                came(approved.map(|made| Some(made.node.token.expose().to_owned())))
            }
            Move::NodeReject(n) => {
                let params = NodePairRejectParams::new(text(&model.state.pending_nodes[n]));
                came(gateway.node_pair_reject(&params).await.map(|_| None))
            }
        }
    }

    async fn connect(&self, model: &Model, n: u8, ask: usize) -> Came<Option<String>> {
        match Client::connect(device(self.port, n, ASKS[ask], "tok")).await {
            Ok(client) => {
                assert!(model.state.grants(n, ask), "device {n} got in with {ask}");
                Came::Answer(Some(token_of(&client)))
            }
            Err(ConnectError::PairingRequired {
                request_id: Some(id),
            }) => {
                assert!(!model.state.grants(n, ask), "device {n} did not get in");
                if let Some(known) = model.state.pending.get(&(n, ask)) {
                    assert_eq!(*known, id, "a request that waits is the same");
                }
                Came::Answer(Some(id))
            }
            Err(error) if error.is_final() => Came::Refused(error.to_string()),
            Err(_) => Came::Nothing,
        }
    }

    /// After a restart: takes in what the gateway knows, and checks it against what it had acknowledged.
    pub(crate) async fn settle(&mut self, model: &mut Model) {
        let listed = DevicePairListParams::default();
        let devices = self
            .operator
            .device_pair_list(&listed)
            .await
            .expect("a list");
        let listed = NodePairListParams::default();
        let nodes = self.operator.node_pair_list(&listed).await.expect("a list");
        let scopes = |scopes: &Option<Vec<NonEmptyString>>| -> BTreeSet<String> {
            scopes.iter().flatten().map(ToString::to_string).collect()
        };
        let node_number = |id: &NonEmptyString| -> u8 {
            id.trim_start_matches("node ")
                .parse()
                .expect("a node of this test")
        };
        let mut shown = Shown::default();
        for paired in &devices.paired {
            let tokens = paired.tokens.as_deref().unwrap_or_default();
            assert_eq!(tokens.len(), 1, "one role, one token");
            shown.devices.insert(
                number_of(&paired.device_id),
                (scopes(&paired.scopes), tokens[0].revoked_at_ms.is_some()),
            );
        }
        for request in &devices.pending {
            let asked = (number_of(&request.device_id), scopes(&request.scopes));
            assert!(shown.pending.insert(asked), "asked for twice");
        }
        shown.nodes = nodes
            .paired
            .iter()
            .map(|node| node_number(&node.node_id))
            .collect();
        shown.pending_nodes = nodes
            .pending
            .iter()
            .map(|node| node_number(&node.node_id))
            .collect();
        let doubtful = model.under_way().cloned();
        model.settle(&shown);

        // Ids of requests that nobody has seen yet.
        for request in &devices.pending {
            let n = number_of(&request.device_id);
            let asked = scopes(&request.scopes);
            let known = model.state.pending.iter_mut().find(|((of, ask), _)| {
                *of == n
                    && ASKS[*ask]
                        .iter()
                        .map(|scope| scope.as_str())
                        .eq(asked.iter().map(String::as_str))
            });
            let (_, known) = known.expect("shown above");
            check_id(known, &request.request_id);
        }
        for request in &nodes.pending {
            let known = model
                .state
                .pending_nodes
                .get_mut(&node_number(&request.node_id));
            check_id(known.expect("shown above"), &request.request_id);
        }
        self.try_tokens(model, doubtful).await;
    }

    /// Every token opens what it should, and dead ones open nothing. Of what a move under way was about it is learnt
    /// which token is alive.
    async fn try_tokens(&self, model: &mut Model, doubtful: Option<Move>) {
        let (device_in_doubt, node_in_doubt) = match doubtful {
            Some(
                Move::Connect(n, _)
                | Move::Approve(n, _)
                | Move::Reject(n, _)
                | Move::Rotate(n)
                | Move::Revoke(n),
            ) => (Some(n), None),
            Some(Move::NodeAsk(n) | Move::NodeApprove(n) | Move::NodeReject(n)) => (None, Some(n)),
            None => (None, None),
        };
        for (n, paired) in &mut model.state.devices {
            if let Token::Live(token) = &paired.token {
                let opens = self.opens(*n, token).await;
                assert!(
                    opens || Some(*n) == device_in_doubt,
                    "the token of device {n} is lost"
                );
                if !opens {
                    model.dead.push((*n, token.clone()));
                    paired.token = Token::Unseen;
                }
            }
        }
        for (n, paired) in &mut model.state.nodes {
            if let Token::Live(token) = &paired.token {
                let opens = self.verifies(*n, token).await;
                assert!(
                    opens || Some(*n) == node_in_doubt,
                    "the token of node {n} is lost"
                );
                if !opens {
                    model.dead_of_nodes.push((*n, token.clone()));
                    paired.token = Token::Unseen;
                }
            }
        }
        for (n, token) in model.dead.iter().rev().take(DEAD) {
            assert!(
                !self.opens(*n, token).await,
                "a dead token of device {n} opens"
            );
        }
        for (n, token) in model.dead_of_nodes.iter().rev().take(DEAD) {
            assert!(
                !self.verifies(*n, token).await,
                "a dead token of node {n} is right"
            );
        }
    }

    /// Does a device come in with this token and nothing else?
    async fn opens(&self, n: u8, token: &str) -> bool {
        // Without scopes an operator would ask for all of them; a scope that every pairing here grants may be missing
        // from a token that was made for another, so each is tried.
        for ask in ASKS {
            let config = device(self.port, n, ask, token);
            match Client::connect(config).await {
                Ok(_) => return true,
                Err(ConnectError::Unauthorized { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        false
    }

    async fn verifies(&self, n: u8, token: &str) -> bool {
        let params =
            NodePairVerifyParams::new(text(&format!("node {n}")), SecretString::new(token));
        let verified = self
            .operator
            .node_pair_verify(&params)
            .await
            .expect("an answer");
        assert_eq!(verified.ok, verified.node.is_some());
        verified.ok
    }
}

/// An id that was acknowledged stays; one that nobody saw is learnt.
fn check_id(known: &mut String, id: &NonEmptyString) {
    if known.is_empty() {
        *known = id.to_string();
    }
    assert_eq!(*known, id.as_str());
}

fn token_of(client: &Client) -> String {
    let hello = client.hello();
    let auth = hello.auth.as_ref().expect("a device token");
    auth.device_token.expose().to_owned()
}
