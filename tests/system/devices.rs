//! Pairing from the command line: what waits is seen and decided, tokens are replaced and revoked, and connections end
//! with their tokens.

use openclaw_client::{Client, ConnectError, Disconnect, Notice};
use openclaw_protocol::protocol::{Scope, close};
use openclaw_tests::{Gateway, Home, PATIENCE};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::remote::{device, operator};

const SCOPES: &[Scope] = &[Scope::Read];

struct Bench {
    home: Home,
    gateway: Gateway,
}

impl Bench {
    async fn new() -> Bench {
        let home = Home::new();
        let gateway = Gateway::start(&home, &["--token", "tok"]).await;
        Bench { home, gateway }
    }

    /// Runs a command; its exit code, what it printed, what it complained of.
    async fn run(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let url = self.gateway.url();
        let mut all = arguments.to_vec();
        all.extend(["--url", &url, "--token", "tok"]);
        let ran = self.home.run(&all).await;
        (ran.code, ran.out, ran.err)
    }

    async fn done(&self, arguments: &[&str]) -> String {
        let (code, out, err) = self.run(arguments).await;
        assert_eq!(code, Some(0), "{arguments:?}: {err}");
        out
    }

    async fn json(&self, arguments: &[&str]) -> Value {
        let mut all = arguments.to_vec();
        all.push("--json");
        let out = self.done(&all).await;
        serde_json::from_str(&out).expect("JSON")
    }

    /// Asks for a device to be let in; the request.
    async fn ask(&self, n: u8, scopes: &[Scope]) -> String {
        match Client::connect(device(self.gateway.port, n, scopes, "tok")).await {
            Err(ConnectError::PairingRequired {
                request_id: Some(id),
            }) => id,
            other => panic!("{:?}", other.map(|_| "connected")),
        }
    }

    async fn connect(&self, n: u8, token: &str) -> Result<Client, ConnectError> {
        Client::connect(device(self.gateway.port, n, SCOPES, token)).await
    }
}

fn token_of(client: &Client) -> String {
    let hello = client.hello();
    let auth = hello.auth.as_ref().expect("a device token");
    auth.device_token.expose().to_owned()
}

#[tokio::test]
async fn devices_are_let_in_and_thrown_out_from_the_command_line() {
    let bench = Bench::new().await;
    let id = bench.ask(1, SCOPES).await;
    let list = bench.done(&["devices", "list"]).await;
    assert!(
        list.contains(&id) && list.contains("operator.read"),
        "{list}"
    );
    let said = bench.done(&["devices", "approve", &id]).await;
    assert!(said.contains("operator"), "{said}");
    let (code, _, err) = bench.run(&["devices", "approve", &id]).await;
    assert_eq!(code, Some(1));
    assert!(err.contains("unknown requestId"), "{err}");

    let client = bench.connect(1, "tok").await.expect("let in");
    let first = token_of(&client);
    let list = bench.json(&["devices", "list"]).await;
    assert_eq!(list["pending"], json!([]));
    let name = list["paired"]
        .as_array()
        .and_then(|paired| {
            paired
                .iter()
                .find(|device| device["scopes"] == json!(["operator.read"]))
        })
        .and_then(|device| device["deviceId"].as_str())
        .expect("the device")
        .to_owned();
    assert!(!list.to_string().contains(&first), "no token is shown");

    // A rotation by the start of the id, as a table shows it, ends what is open.
    let mut events = client.events();
    let rotated = bench
        .json(&[
            "devices",
            "rotate",
            "--device",
            &name[..16],
            "--role",
            "operator",
        ])
        .await;
    let second = rotated["token"].as_str().expect("a token").to_owned();
    let ended = timeout(PATIENCE, async {
        loop {
            match events.next().await {
                Some(Notice::Disconnected(cause)) => return cause,
                Some(_) => {}
                None => panic!("no word of the end"),
            }
        }
    });
    let expected = Disconnect::ByGateway {
        code: Some(close::DEVICE_TOKEN_REVOKED.code),
        reason: close::DEVICE_TOKEN_REVOKED.reason.to_owned(),
    };
    assert_eq!(ended.await.expect("it ends"), expected);
    assert!(bench.connect(1, &first).await.is_err());
    assert!(bench.connect(1, &second).await.is_ok());

    bench
        .done(&["devices", "revoke", "--device", &name, "--role", "operator"])
        .await;
    assert!(bench.connect(1, &second).await.is_err());
    let list = bench.done(&["devices", "list"]).await;
    assert!(list.contains("operator (revoked)"), "{list}");
    let (code, _, err) = bench
        .run(&["devices", "rotate", "--device", &name, "--role", "node"])
        .await;
    assert_eq!(code, Some(1));
    assert!(err.contains("unknown deviceId/role"), "{err}");
    // An operator who throws out its own device gets its answer first.
    let own = bench.home.state().join("identity/device.json");
    let own: Value =
        serde_json::from_str(&std::fs::read_to_string(own).expect("a file")).expect("JSON");
    let own = own["deviceId"].as_str().expect("an id").to_owned();
    let revoked = bench
        .json(&["devices", "revoke", "--device", &own, "--role", "operator"])
        .await;
    assert_eq!(revoked["deviceId"], own.as_str());
}

#[tokio::test]
async fn one_view_shows_devices_and_nodes_that_wait() {
    let bench = Bench::new().await;
    assert!(bench.done(&["pairing", "list"]).await.contains("Nothing"));
    let device = bench.ask(1, SCOPES).await;
    let refused = bench.ask(2, SCOPES).await;
    let node = |n: &str| {
        let params = json!({"nodeId": n, "displayName": format!("Node {n}")}).to_string();
        let call = ["call", "node.pair.request", "--params"].map(str::to_owned);
        let mut call = call.to_vec();
        call.push(params);
        call
    };
    let mut requests = Vec::new();
    for n in ["a", "b"] {
        let call = node(n);
        let call: Vec<&str> = call.iter().map(String::as_str).collect();
        let answer: Value = serde_json::from_str(&bench.done(&call).await).expect("JSON");
        requests.push(
            answer["request"]["requestId"]
                .as_str()
                .expect("an id")
                .to_owned(),
        );
    }
    let list = bench.done(&["pairing", "list"]).await;
    for id in [&device, &refused, &requests[0], &requests[1]] {
        assert!(list.contains(id.as_str()), "{list}");
    }
    let waiting = bench.json(&["pairing", "list"]).await;
    assert_eq!(waiting["devices"].as_array().map(Vec::len), Some(2));
    assert_eq!(waiting["nodes"].as_array().map(Vec::len), Some(2));

    bench.done(&["pairing", "approve", &device]).await;
    bench.done(&["pairing", "reject", &refused]).await;
    let paired = bench.json(&["pairing", "approve", &requests[0]]).await;
    let token = paired["node"]["token"]
        .as_str()
        .expect("a token")
        .to_owned();
    bench.done(&["pairing", "reject", &requests[1]]).await;
    let (code, _, err) = bench.run(&["pairing", "reject", "nothing"]).await;
    assert_eq!(code, Some(1));
    assert!(err.contains("unknown requestId"), "{err}");
    assert!(bench.done(&["pairing", "list"]).await.contains("Nothing"));

    assert!(bench.connect(1, "tok").await.is_ok());
    assert!(bench.connect(2, "tok").await.is_err());
    let verify = json!({"nodeId": "a", "token": token}).to_string();
    let verified = bench
        .done(&["call", "node.pair.verify", "--params", &verify])
        .await;
    assert!(verified.contains("\"ok\": true"), "{verified}");
    let client = Client::connect(operator(bench.gateway.port, "wrong")).await;
    assert!(client.is_err());
}
