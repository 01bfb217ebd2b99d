use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer as _, SigningKey};
use openclaw_protocol::protocol::{Role, limits};
use openclaw_protocol::types::RefusalReason;
use openclaw_websocket::OpCode;

use super::*;
use crate::hex::sha256_hex;
use crate::pairing::Actor;

/// A connect of a device that the gateway has never seen, signed without the nonce (contract 2.5, v1).
fn connect_of_device(seed: u8) -> Value {
    let key = SigningKey::from_bytes(&[seed; 32]);
    let public = key.verifying_key().to_bytes();
    let id = sha256_hex(public);
    let payload = format!("v1|{id}|test|test|operator||{NOW}|tok");
    let mut frame = connect();
    frame["params"]["device"] = json!({
        "id": id,
        "publicKey": URL_SAFE_NO_PAD.encode(public),
        "signature": URL_SAFE_NO_PAD.encode(key.sign(payload.as_bytes()).to_bytes()),
        "signedAt": NOW,
    });
    frame
}

#[tokio::test]
async fn hello_comes_first_then_the_newcomers_own_events() {
    let bench = Bench::new();
    let mut client = bench.open().await;
    client.send(&connect()).await;
    let hello = client.next().await;
    assert_eq!((&hello["id"], &hello["ok"]), (&json!("c"), &json!(true)));
    assert_eq!(
        hello["payload"]["snapshot"]["presence"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let presence = client.next().await;
    assert_eq!(
        (&presence["event"], &presence["seq"]),
        (&json!("presence"), &json!(1))
    );
    assert_eq!(
        presence["payload"]["presence"],
        hello["payload"]["snapshot"]["presence"]
    );
    assert_eq!(
        client.call("1", "health", json!({})).await["payload"],
        "well"
    );
    client.ended().await;
    assert_eq!(bench.count("lost"), 1);
    assert_eq!(bench.admission.connections(), 0, "the place is given back");
}

#[tokio::test]
async fn what_follows_a_connect_waits_for_it() {
    for (device, early) in [(false, false), (true, false), (false, true), (true, true)] {
        let bench = Bench::new();
        let connect = if device {
            connect_of_device(1)
        } else {
            connect()
        };
        // Larger than what strangers may send: it is judged after hello-ok.
        let second = request(
            "1",
            "agent.identity.get",
            json!({"agentId": "x".repeat(70_000)}),
        );
        let mut bytes = frame_of(&connect.to_string());
        bytes.extend(frame_of(&second.to_string()));
        bytes.extend(frame_of(&connect.to_string()));
        let mut client = if early {
            bench.open_with(bytes).await
        } else {
            let mut client = bench.open_with(Vec::new()).await;
            client.send_bytes(&bytes).await;
            client
        };
        let mut frames = Vec::new();
        while frames.len() < 5 {
            frames.push(client.next().await);
        }
        let kind = |frame: &Value| {
            frame["event"]
                .as_str()
                .or(frame["id"].as_str())
                .unwrap()
                .to_owned()
        };
        let kinds: Vec<_> = frames.iter().map(kind).collect();
        assert_eq!(
            kinds,
            ["connect.challenge", "c", "presence", "1", "c"],
            "device {device}, early {early}"
        );
        assert_eq!(frames[1]["payload"]["auth"].is_object(), device);
        assert_eq!(
            frames[4]["error"]["message"],
            "connect is only valid as the first request"
        );
    }
}

#[tokio::test]
async fn bad_first_messages_close_the_connection() {
    let wrong = |change: fn(&mut Value)| {
        let mut frame = connect();
        change(&mut frame);
        frame.to_string()
    };
    for (text, message, close) in [
        ("nope".into(), None, "close 1000 "),
        ("7".into(), None, "close 1008 invalid request frame"),
        (
            wrong(|frame| frame["extra"] = json!(1)),
            None,
            "close 1008 invalid request frame",
        ),
        (
            request("c", "health", json!({})).to_string(),
            Some("invalid handshake: first request must be connect"),
            "close 1008 invalid handshake: first request must be connect",
        ),
        (
            wrong(|frame| frame["params"]["maxProtocol"] = json!(2)),
            Some("protocol mismatch"),
            "close 1002 protocol mismatch",
        ),
        (
            wrong(|frame| frame["params"]["auth"]["token"] = json!("no")),
            Some("unauthorized: gateway token mismatch (provide gateway auth token)"),
            "close 1008 unauthorized: gateway token mismatch (provide gateway auth token)",
        ),
    ] {
        let bench = Bench::new();
        let mut client = bench.open().await;
        client.send_text(&text).await;
        if let Some(message) = message {
            let answer = client.next().await;
            assert_eq!(
                (&answer["id"], &answer["error"]["message"]),
                (&json!("c"), &json!(message)),
                "{text}"
            );
        }
        assert_eq!(client.next().await, close, "{text}");
        assert_eq!(client.next().await, "end", "{text}");
        client.ended().await;
        assert_eq!(bench.count("refused"), 1, "{text}");
        let causes: u64 = bench.shared.refusals.all().values().sum();
        assert_eq!(causes, 1, "{text}");
    }
}

#[tokio::test]
async fn binary_messages_are_texts_that_do_not_say_so() {
    let bench = Bench::new();
    let binary = |bytes: &[u8]| {
        let mut frame = Vec::new();
        encode::put_frame(&mut frame, true, OpCode::Binary, bytes, Some(MASK));
        frame
    };
    let mut client = bench.open().await;
    client
        .send_bytes(&binary(connect().to_string().as_bytes()))
        .await;
    assert_eq!(client.next().await["payload"]["type"], "hello-ok");
    let mut client = bench.open().await;
    client.send_bytes(&binary(&[0xff, 0xfe])).await;
    assert_eq!(client.next().await, "close 1000 ");
}

#[tokio::test(start_paused = true)]
async fn silence_ends_a_handshake() {
    let bench = Bench::new();
    let mut client = bench.open().await;
    let start = Instant::now();
    assert_eq!(client.next().await, "close 1000 ");
    let took = start.elapsed();
    let limit = Duration::from_millis(limits::HANDSHAKE_TIMEOUT_MS);
    assert!(
        took >= limit && took < limit + Duration::from_millis(50),
        "{took:?}"
    );
    client.ended().await;
    assert_eq!(
        bench.shared.refusals.all(),
        [(RefusalReason::TimedOut, 1)].into()
    );
}

#[tokio::test(start_paused = true)]
async fn an_accepted_connection_may_be_silent() {
    let bench = Bench::new();
    let mut client = bench.connect().await;
    tokio::time::sleep(Duration::from_millis(10 * limits::HANDSHAKE_TIMEOUT_MS)).await;
    assert_eq!(
        client.call("1", "health", json!({})).await["payload"],
        "well"
    );
}

#[tokio::test]
async fn the_place_among_strangers_ends_with_the_handshake() {
    let bench = Bench::new();
    let _client = bench.connect().await;
    let mut places = Vec::new();
    while let Ok(place) = bench.admission.begin_handshake(None) {
        places.push(place);
    }
    assert_eq!(places.len(), crate::limits::MAX_HANDSHAKES);
}

#[tokio::test]
async fn presence_follows_connections() {
    let bench = Bench::new();
    let client = bench.connect().await;
    let present = || {
        bench
            .shared
            .hub
            .presence()
            .iter()
            .filter_map(|entry| entry.reason.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(present(), ["connect"]);
    client.ended().await;
    assert_eq!(present(), ["disconnect"]);
}

#[tokio::test]
async fn a_node_is_greeted_after_hello_and_asked_on_the_newest_connection() {
    let bench = Bench::new();
    let hub = Arc::clone(&bench.shared.hub);
    tokio::spawn(async move { hub.run_flusher().await });
    let mut connect = connect();
    connect["params"]["role"] = json!("node");
    connect["params"]["commands"] = json!([" system.run ", "made.up"]);
    let mut first = bench.open().await;
    first.send(&connect).await;
    assert_eq!(first.next().await["ok"], true);
    assert_eq!(first.next().await["event"], "presence");
    let greeting = first.next().await;
    assert_eq!(greeting["payload"]["triggers"], json!(["greets test"]));
    assert!(greeting.get("seq").is_none());
    let node = bench.shared.nodes.get("test").unwrap();
    assert_eq!(node.commands, [NonEmptyString::or("system.run", "-")]);
    let mut second = bench.open().await;
    second.send(&connect).await;
    assert_eq!(second.next().await["ok"], true);
    first.ended().await;
    let node = bench.shared.nodes.get("test").unwrap();
    let (nodes, asked) = (bench.shared.nodes.clone(), node.conn_id.clone());
    let ask = tokio::spawn(async move {
        let ask = nodes::Invocation::new("test", "system.run");
        nodes.invoke(ask).await
    });
    let request = loop {
        let frame = second.next().await;
        if frame["event"] == "node.invoke.request" {
            break frame;
        }
    };
    let id = request["payload"]["id"].as_str().unwrap();
    let reply = nodes::InvokeReply {
        ok: true,
        payload: Some(json!(1)),
        payload_json: None,
        error: None,
    };
    assert!(bench.shared.nodes.answer(&asked, id, reply));
    assert_eq!(ask.await.unwrap().unwrap().payload, Some(json!(1)));
    second.ended().await;
    assert!(bench.shared.nodes.get("test").is_none());
}

#[tokio::test]
async fn a_revocation_ends_connections_also_while_they_are_made() {
    let bench = Bench::new();
    let mut client = bench.open().await;
    client.send(&connect_of_device(1)).await;
    let hello = client.next().await;
    assert!(hello["payload"]["auth"]["deviceToken"].is_string());
    let (_, paired) = bench.shared.pairing.list();
    let id = paired[0].device_id.clone();
    let revoke = || {
        bench
            .shared
            .pairing
            .revoke(&id, Role::Operator, Actor::default())
    };
    revoke().await.unwrap();
    // What is sent now is not carried out, though the socket is still open.
    let calls = bench.service.calls.load(Ordering::Relaxed);
    client.send(&request("1", "status", json!({}))).await;
    let end = loop {
        let frame = client.next().await;
        if frame.is_string() {
            break frame;
        }
    };
    assert_eq!(end, "close 1008 device token revoked");
    client.ended().await;
    assert_eq!(bench.service.calls.load(Ordering::Relaxed), calls);
    assert_eq!(bench.count("closed by the hub"), 1);

    // The device comes again and needs a token made, which takes the disk. Dismissed again and again meanwhile, it is
    // either not let in or thrown out.
    let mut client = bench.open().await;
    client.send(&connect_of_device(1)).await;
    let (hub, device_id) = (Arc::clone(&bench.shared.hub), id.clone());
    let dismisser = tokio::spawn(async move {
        loop {
            hub.dismiss(&device_id, Role::Operator, None);
            tokio::task::yield_now().await;
        }
    });
    let end = loop {
        let frame = client.next().await;
        if frame.is_string() {
            break frame;
        }
    };
    dismisser.abort();
    assert_eq!(end, "close 1008 device token revoked");
    client.ended().await;
    assert_eq!(bench.shared.hub.stats().accepted, 0);
}
