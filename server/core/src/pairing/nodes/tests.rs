//! The older node pairing over a real store.

use std::sync::Mutex;

use openclaw_protocol::rt;
use openclaw_protocol::tables;
use serde_json::{Value, json};

use super::*;
use crate::clock::ManualClock;

const START: u64 = 1_769_900_000_000;

/// Notes what is told.
#[derive(Default)]
struct Told(Mutex<Vec<Value>>);

impl EventSink for Told {
    fn emit(&self, event: Event) {
        let mut text = event.frame_start();
        text.push(b'}');
        self.0
            .lock()
            .unwrap()
            .push(serde_json::from_slice(&text).unwrap());
    }
}

struct Bench {
    nodes: NodePairing,
    clock: Arc<ManualClock>,
    told: Arc<Told>,
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self::open(
            tempfile::tempdir().unwrap(),
            Arc::new(ManualClock::new(START)),
        )
    }

    fn open(dir: tempfile::TempDir, clock: Arc<ManualClock>) -> Self {
        let store = Store::open(dir.path()).unwrap();
        let told = Arc::new(Told::default());
        let nodes = NodePairing::new(
            store,
            Arc::<ManualClock>::clone(&clock),
            Arc::<Told>::clone(&told),
        );
        Self {
            nodes,
            clock,
            told,
            dir,
        }
    }

    fn restart(self) -> Self {
        self.nodes.store.close();
        drop(self.nodes);
        Self::open(self.dir, self.clock)
    }

    /// Events since the last call, as `name request-or-node decision`.
    fn told(&self) -> Vec<String> {
        let words = |event: Value| {
            let payload = &event["payload"];
            format!(
                "{} {} {}",
                event["event"].as_str().unwrap(),
                payload["nodeId"].as_str().unwrap(),
                payload["decision"].as_str().unwrap_or("-")
            )
        };
        let mut told = self.told.0.lock().unwrap();
        told.drain(..).map(words).collect()
    }

    async fn ask(&self, params: Value) -> Result<(NodePairPending, bool), NodePairingError> {
        self.nodes
            .request(serde_json::from_value(params).unwrap())
            .await
    }

    async fn asked(&self, node: &str) -> String {
        let (request, _) = self.ask(json!({"nodeId": node})).await.unwrap();
        request.request_id.to_string()
    }

    fn shown(&self) -> Value {
        let (pending, paired) = self.nodes.list().unwrap();
        let list = json!({"pending": pending, "paired": paired});
        assert!(rt::accepts(
            &tables::NODE_PAIR_LIST_RESULT,
            &list.to_string()
        ));
        list
    }
}

fn secret(text: &str) -> SecretString {
    SecretString::new(text)
}

#[tokio::test]
async fn the_recorded_story() {
    let bench = Bench::new();
    let phone = json!({"nodeId": " legacy-1 ", "displayName": "Legacy One", "platform": "ios", "version": "1.0",
        "caps": ["canvas"], "commands": ["canvas.present"], "remoteIp": "198.51.100.7"});
    let (request, is_new) = bench.ask(phone.clone()).await.unwrap();
    assert!(is_new && !request.is_repair && request.silent.is_none());
    // A repeat changes nothing, and nobody is told.
    bench.clock.advance(1);
    let again = bench
        .ask(json!({"nodeId": "legacy-1", "displayName": "Other"}))
        .await
        .unwrap();
    assert_eq!(again, (request.clone(), false));
    assert_eq!(bench.told(), ["node.pair.requested legacy-1 -"]);
    assert_eq!(
        bench.shown(),
        json!({"pending": [{"requestId": request.request_id, "nodeId": "legacy-1", "displayName": "Legacy One",
            "platform": "ios", "version": "1.0", "caps": ["canvas"], "commands": ["canvas.present"],
            "remoteIp": "198.51.100.7", "isRepair": false, "ts": START}], "paired": []})
    );

    let bench = bench.restart();
    let node = bench.nodes.approve(&request.request_id).await.unwrap();
    let token = node.token.clone();
    assert_eq!(
        (
            token.expose().len(),
            node.created_at_ms,
            node.approved_at_ms
        ),
        (32, START + 1, START + 1)
    );
    assert_eq!(bench.told(), ["node.pair.resolved legacy-1 approved"]);
    let verified = bench.nodes.verify("legacy-1", &token).unwrap();
    assert_eq!(verified, Some(node));
    for (node, shown) in [
        ("legacy-1", "wrong"),
        ("legacy-1", &token.expose()[1..]),
        ("nobody", token.expose()),
        (" ", token.expose()),
    ] {
        assert_eq!(bench.nodes.verify(node, &secret(shown)).unwrap(), None);
    }

    let renamed = bench.nodes.rename(" legacy-1", " Renamed ").await.unwrap();
    assert_eq!(
        (renamed.0.as_str(), renamed.1.as_str()),
        ("legacy-1", "Renamed")
    );
    let silent = bench
        .ask(json!({"nodeId": "legacy-2", "silent": true}))
        .await
        .unwrap()
        .0;
    assert_eq!(silent.silent, Some(true));
    let rejected = bench.nodes.reject(&silent.request_id).await.unwrap();
    assert_eq!(rejected.as_str(), "legacy-2");
    assert_eq!(
        bench.told(),
        [
            "node.pair.requested legacy-2 -",
            "node.pair.resolved legacy-2 rejected"
        ]
    );
    let list = bench.restart().shown();
    assert_eq!(list["pending"], json!([]));
    assert_eq!(list["paired"][0]["displayName"], "Renamed");
}

#[tokio::test]
async fn what_is_not_there_is_refused() {
    let bench = Bench::new();
    let id = bench.asked("n").await;
    bench.nodes.approve(&id).await.unwrap();
    for id in [id.as_str(), "nothing", &"x".repeat(600)] {
        assert!(matches!(
            bench.nodes.approve(id).await,
            Err(NodePairingError::UnknownRequest)
        ));
        assert!(matches!(
            bench.nodes.reject(id).await,
            Err(NodePairingError::UnknownRequest)
        ));
    }
    assert!(matches!(
        bench.ask(json!({"nodeId": "  "})).await,
        Err(NodePairingError::NoNode)
    ));
    for node in ["nobody", " "] {
        assert!(matches!(
            bench.nodes.rename(node, "x").await,
            Err(NodePairingError::UnknownNode)
        ));
    }
    assert!(matches!(
        bench.nodes.rename("n", "  ").await,
        Err(NodePairingError::NoName)
    ));
}

#[tokio::test]
async fn another_approval_is_another_token_and_nothing_clear_is_on_disk() {
    let bench = Bench::new();
    let first = bench.nodes.approve(&bench.asked("n").await).await.unwrap();
    bench.clock.advance(5);
    let (request, _) = bench.ask(json!({"nodeId": "n"})).await.unwrap();
    assert!(request.is_repair);
    let second = bench.nodes.approve(&request.request_id).await.unwrap();
    assert_eq!(
        (second.created_at_ms, second.approved_at_ms),
        (START, START + 5)
    );
    assert!(bench.nodes.verify("n", &first.token).unwrap().is_none());
    assert!(bench.nodes.verify("n", &second.token).unwrap().is_some());
    let bench = bench.restart();
    for file in std::fs::read_dir(bench.dir.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let token = second.token.expose().as_bytes();
        assert!(!bytes.windows(token.len()).any(|window| window == token));
    }
}

#[tokio::test]
async fn what_is_seen_of_paired_nodes_is_kept() {
    let bench = Bench::new();
    bench.nodes.approve(&bench.asked("n").await).await.unwrap();
    let seen = |bench: &Bench| {
        let mut list = bench.shown();
        let node = list["paired"][0].take();
        json!([node["lastConnectedAtMs"], node["bins"]])
    };
    assert_eq!(seen(&bench), json!([null, null]));
    bench.clock.advance(5);
    bench.nodes.connected(" n ").await.unwrap();
    assert_eq!(seen(&bench), json!([START + 5, null]));
    let bins = ["jq".to_owned(), "gh".to_owned(), String::new()].into();
    bench.nodes.found("n", &bins).await.unwrap();
    let all = json!([START + 5, ["gh", "jq"]]);
    assert_eq!(seen(&bench), all);

    // Neither a restart, another name nor another approval loses it.
    let bench = bench.restart();
    bench.nodes.rename("n", "N").await.unwrap();
    assert_eq!(seen(&bench), all);
    let node = bench.nodes.approve(&bench.asked("n").await).await.unwrap();
    assert_eq!(seen(&bench), all);
    let verified = bench.nodes.verify("n", &node.token).unwrap().unwrap();
    assert_eq!(json!([verified.last_connected_at_ms, verified.bins]), all);

    bench.nodes.found("n", &BTreeSet::new()).await.unwrap();
    assert_eq!(seen(&bench), json!([START + 5, []]));
    // Nodes that are not in the list do not get into it.
    for stranger in ["other", " "] {
        bench.nodes.connected(stranger).await.unwrap();
        bench.nodes.found(stranger, &bins).await.unwrap();
    }
    assert_eq!(bench.shown()["paired"].as_array().unwrap().len(), 1);
    let long = ["x".repeat(MAX_NODE_BYTES)].into();
    assert!(matches!(
        bench.nodes.found("n", &long).await,
        Err(NodePairingError::TooLarge)
    ));
}

#[tokio::test]
async fn requests_expire() {
    let bench = Bench::new();
    let id = bench.asked("n").await;
    bench.clock.advance(limits::PAIRING_TTL_MS);
    assert_eq!(bench.asked("n").await, id, "a repeat does not prolong it");
    bench.clock.advance(1);
    assert_eq!(bench.shown()["pending"], json!([]));
    assert!(matches!(
        bench.nodes.approve(&id).await,
        Err(NodePairingError::UnknownRequest)
    ));
    assert_ne!(bench.asked("n").await, id);
    let stored = bench
        .nodes
        .store
        .read(|reader| reader.count(Table::PendingNodes, b""));
    assert_eq!(stored.unwrap(), 1, "the dead one made room");
}

#[tokio::test]
async fn requests_are_bounded() {
    let bench = Bench::new();
    let mut first = String::new();
    for n in 0..=MAX_PENDING_NODES {
        bench.clock.advance(1);
        let id = bench.asked(&n.to_string()).await;
        if n == 0 {
            first = id;
        }
        let open = bench.nodes.list().unwrap().0.len() as u64;
        assert_eq!(open, (n + 1).min(MAX_PENDING_NODES));
    }
    assert!(matches!(
        bench.nodes.approve(&first).await,
        Err(NodePairingError::UnknownRequest)
    ));
}

#[tokio::test]
async fn paired_nodes_are_bounded() {
    let bench = Bench::new();
    let id = bench.asked("0").await;
    bench.nodes.approve(&id).await.unwrap();
    let write = bench.nodes.store.write(|writer| {
        let first: Option<PairedNode> = writer.get(Table::PairedNodes, &node_key("0"))?;
        for n in 1..MAX_PAIRED_NODES {
            let key = node_key(&n.to_string());
            writer.put(Table::PairedNodes, &key, &first)?;
        }
        Ok::<_, StoreError>(())
    });
    write.await.unwrap();
    let id = bench.asked("one more").await;
    assert!(matches!(
        bench.nodes.approve(&id).await,
        Err(NodePairingError::TooManyNodes)
    ));
    // One that is in already may come again, and the request of the other still waits.
    let again = bench.asked("0").await;
    bench.nodes.approve(&again).await.unwrap();
    assert_eq!(bench.asked("one more").await, id);
}

#[tokio::test]
async fn records_are_bounded() {
    let bench = Bench::new();
    let with = |length: usize| json!({"nodeId": "n", "displayName": "x".repeat(length)});
    let (request, _) = bench.ask(with(1)).await.unwrap();
    let rest = serde_json::to_string(&request).unwrap().len() - 1;
    bench.nodes.reject(&request.request_id).await.unwrap();
    for (length, fits) in [
        (MAX_NODE_BYTES - rest, true),
        (MAX_NODE_BYTES - rest + 1, false),
    ] {
        let asked = bench.ask(with(length)).await;
        assert_eq!(asked.is_ok(), fits, "{length}");
        if let Ok((request, _)) = asked {
            bench.nodes.reject(&request.request_id).await.unwrap();
        }
    }
    let id = bench.asked("n").await;
    bench.nodes.approve(&id).await.unwrap();
    assert!(matches!(
        bench.nodes.rename("n", &"x".repeat(MAX_NODE_BYTES)).await,
        Err(NodePairingError::TooLarge)
    ));
}
