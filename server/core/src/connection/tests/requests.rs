use openclaw_protocol::events::Event;
use openclaw_protocol::protocol;
use openclaw_protocol::types::TickEvent;
use openclaw_websocket::OpCode;

use super::*;
use crate::ws::fake::FakeWire;

#[tokio::test]
async fn odd_frames_after_hello() {
    let bench = Bench::new();
    let mut client = bench.connect().await;
    let invalid = |problems: &str| format!("invalid request frame: {problems}");
    for (text, id, message) in [
        ("[]", "invalid", invalid("must be object")),
        ("null", "invalid", invalid("must be object")),
        (
            r#"{"type":"req","method":"health"}"#,
            "invalid",
            invalid("must have required property 'id'"),
        ),
        // Odd 34: only strings are echoed.
        (
            r#"{"type":"req","id":7,"method":"health"}"#,
            "invalid",
            invalid("at /id: must be string"),
        ),
        (
            r#"{"type":"req","id":"x","method":"health","extra":1}"#,
            "x",
            invalid("at root: unexpected property 'extra'"),
        ),
        (
            r#"{"type":"req","id":"u","method":"toString"}"#,
            "u",
            "unknown method: toString".into(),
        ),
        (
            r#"{"type":"req","id":"2","method":"connect","params":{}}"#,
            "2",
            "connect is only valid as the first request".into(),
        ),
        (
            r#"{"type":"req","id":"p","method":"agent.wait","params":{}}"#,
            "p",
            "invalid agent.wait params: must have required property 'runId'".into(),
        ),
    ] {
        // Ignored, so what comes next is the answer to the other one.
        client.send_text("{\"type\":").await;
        client.send_text(text).await;
        let answer = client.next().await;
        assert_eq!(
            (&answer["id"], &answer["error"]["message"]),
            (&json!(id), &json!(message)),
            "{text}"
        );
        assert_eq!(answer["error"]["code"], "INVALID_REQUEST");
    }
    let params = client
        .call("p", "agent.wait", json!({"runId": "", "x": 1}))
        .await;
    let issues = json!([
        {"path": "", "keyword": "additionalProperties", "message": "unexpected property 'x'"},
        {"path": "/runId", "keyword": "minLength", "message": "must NOT have fewer than 1 characters"},
    ]);
    assert_eq!(params["error"]["details"]["issues"][1], issues[1]);
    assert_eq!(
        params["error"]["details"]["issues"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    assert_eq!(
        client.call("h", "health", json!(null)).await["payload"],
        "well",
        "still open"
    );
}

#[tokio::test]
async fn scopes_are_checked_before_anything_else_is_said() {
    let bench = Bench::new();
    let mut client = bench.open().await;
    let mut frame = connect();
    frame["params"]["scopes"] = json!(["operator.read"]);
    client.send(&frame).await;
    client.answer("c").await;
    for (method, params, message) in [
        ("nothing", json!({}), "missing scope: operator.admin"),
        ("connect", json!({}), "missing scope: operator.admin"),
        (
            "agent.wait",
            json!({"runId": 1}),
            "missing scope: operator.write",
        ),
    ] {
        let answer = client.call("1", method, params).await;
        assert_eq!(answer["error"]["message"], message, "{method}");
    }
    assert_eq!(
        client.call("1", "health", json!({})).await["payload"],
        "well"
    );
}

#[tokio::test]
async fn requests_run_concurrently() {
    let bench = Bench::new();
    let mut client = bench.connect().await;
    client
        .send(&request("slow", "agent.wait", json!({"runId": "r"})))
        .await;
    assert_eq!(
        client.call("fast", "health", json!({})).await["payload"],
        "well"
    );
    bench.service.waiters.add_permits(1);
    assert_eq!(client.answer("slow").await["payload"], "waited");
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_one_write() {
    let bench = Bench::new();
    let mut client = bench.connect().await;
    let bytes: Vec<u8> = (0..200)
        .flat_map(|n| frame_of(&request(&n.to_string(), "health", json!({})).to_string()))
        .collect();
    client.send_bytes(&bytes).await;
    for n in 0..200 {
        assert_eq!(client.next().await["id"], n.to_string());
    }
}

#[tokio::test]
async fn a_panic_is_one_unavailable() {
    let bench = Bench::new();
    let mut client = bench.connect().await;
    let answer = client.call("1", "system-presence", json!({})).await;
    assert_eq!(
        answer["error"],
        json!({"code": "UNAVAILABLE", "message": "internal error"})
    );
    assert_eq!(
        client.call("2", "health", json!({})).await["payload"],
        "well"
    );
}

#[tokio::test]
async fn a_second_response_comes_under_the_same_id() {
    let bench = Bench::new();
    let mut client = bench.connect().await;
    let params = json!({"message": "m", "idempotencyKey": "k"});
    assert_eq!(
        client.call("1", "agent", params).await["payload"],
        "accepted"
    );
    assert_eq!(
        client.call("2", "health", json!({})).await["payload"],
        "well"
    );
    bench.service.waiters.add_permits(1);
    assert_eq!(client.answer("1").await["payload"], "done");
}

#[tokio::test]
async fn pings_and_closes_are_answered() {
    let bench = Bench::new();
    let mut client = bench.connect().await;
    let mut bytes = Vec::new();
    encode::put_frame(&mut bytes, true, OpCode::Ping, b"p", Some(MASK));
    encode::put_close_masked(&mut bytes, 4000, "leaving", MASK);
    client.send_bytes(&bytes).await;
    assert!(client.next().await.as_str().unwrap().starts_with("Pong"));
    assert_eq!(client.next().await, "close 4000 ");
    client.ended().await;
    assert_eq!(bench.count("closed by peer"), 1);
}

#[tokio::test]
async fn fragments_and_bad_framing() {
    let bench = Bench::new();
    let mut client = bench.connect().await;
    let text = request("1", "health", json!({})).to_string();
    let (first, rest) = text.as_bytes().split_at(10);
    let mut bytes = Vec::new();
    encode::put_frame(&mut bytes, false, OpCode::Text, first, Some(MASK));
    encode::put_frame(&mut bytes, true, OpCode::Continuation, rest, Some(MASK));
    // Byte by byte, so that the task waits in every state there is.
    for byte in bytes {
        client.send_bytes(&[byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(client.answer("1").await["payload"], "well");
    assert_eq!(
        client.call("2", "health", json!({})).await["payload"],
        "well"
    );
    client.send_bytes(&[0x81, 0x01, b'x']).await;
    assert_eq!(client.next().await, "close 1002 ", "not masked");
    let mut client = bench.connect().await;
    let mut bytes = Vec::new();
    encode::put_frame(&mut bytes, true, OpCode::Text, &[0xff], Some(MASK));
    client.send_bytes(&bytes).await;
    assert_eq!(client.next().await, "close 1007 ");
}

#[tokio::test]
async fn events_reach_an_idle_connection() {
    let bench = Bench::new();
    let mut clients = [bench.connect().await, bench.connect().await];
    let hub = Arc::clone(&bench.shared.hub);
    let flusher = tokio::spawn(async move { hub.run_flusher().await });
    for ts in 1..4 {
        bench.shared.hub.emit(Event::Tick(TickEvent::new(ts)));
    }
    for client in &mut clients {
        for ts in 1..4 {
            assert_eq!(client.next().await["payload"], json!({"ts": ts}));
        }
    }
    flusher.abort();
}

/// The schema has no version before 3; to a client of one, everything in it is newer.
#[tokio::test]
async fn methods_newer_than_the_negotiated_version_are_unknown() {
    let bench = Bench::new();
    for (protocol, expected) in [
        (
            protocol::VERSION,
            json!({"type": "res", "id": "1", "ok": true, "payload": "well"}),
        ),
        (
            protocol::OLDEST_VERSION - 1,
            json!({
                "type": "res", "id": "1", "ok": false,
                "error": {"code": "INVALID_REQUEST", "message": "unknown method: health"},
            }),
        ),
    ] {
        let wire = FakeWire::with_room(usize::MAX);
        let outbox = Arc::new(Outbox::new(wire.clone(), 10_000));
        let membership = bench.shared.hub.enter(Arc::clone(&outbox));
        let caller = Caller::of_test("x", |caller| caller.protocol = protocol);
        let shared = Arc::clone(&bench.shared);
        let mut link = Link::of_test(shared, Arc::clone(&outbox), membership, caller);
        let request = json!({"type": "req", "id": "1", "method": "health"}).to_string();
        assert!(link.handle(Incoming::Text(request.into())).is_none());
        outbox.flush();
        let frames: Vec<Value> = wire
            .take_texts()
            .iter()
            .map(|text| serde_json::from_str(text).unwrap())
            .collect();
        assert_eq!(frames, [expected], "at version {protocol}");
    }
}
