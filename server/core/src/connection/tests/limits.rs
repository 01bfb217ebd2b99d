use openclaw_protocol::events::Event;
use openclaw_protocol::protocol::limits;
use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::types::ShutdownEvent;

use super::*;
use crate::limits::{
    CLOSE_TIMEOUT, MAX_FRAMES_PER_WAKE, MAX_IN_FLIGHT, MAX_SECOND_STAGES, STALL_TIMEOUT,
};

/// A `health` request of exactly `size` bytes.
fn health_of(size: usize) -> String {
    let empty = request("1", "health", json!({"x": ""})).to_string();
    request("1", "health", json!({"x": "x".repeat(size - empty.len())})).to_string()
}

#[tokio::test]
async fn messages_are_bounded_before_and_after_hello() {
    for (accepted, limit) in [
        (false, limits::PRE_AUTH_PAYLOAD),
        (true, limits::MAX_PAYLOAD),
    ] {
        for over in [0, 1, 100_000] {
            let bench = Bench::new();
            let mut client = if accepted {
                bench.connect().await
            } else {
                bench.open().await
            };
            // Whether it is read or not, nothing may be lost because of it.
            let text = health_of(limit as usize + over);
            let _ = client.write.write_all(&frame_of(&text)).await;
            let expected = match (over, accepted) {
                (0, true) => {
                    assert_eq!(client.answer("1").await["payload"], "well");
                    continue;
                }
                (0, false) => {
                    client.answer("1").await;
                    "close 1008 invalid handshake: first request must be connect"
                }
                _ => "close 1009 ",
            };
            assert_eq!(
                client.next().await,
                expected,
                "accepted {accepted}, {over} over"
            );
            client.ended().await;
        }
    }
}

#[tokio::test]
async fn bad_frames_are_bounded() {
    let bench = Bench::new();
    let mut client = bench.connect().await;
    for n in 0..limits::BAD_FRAMES_MAX {
        client.send_text(if n % 2 == 0 { "x" } else { "[]" }).await;
    }
    assert_eq!(
        client.call("1", "health", json!({})).await["payload"],
        "well"
    );
    client.send_text("x").await;
    assert_eq!(client.next().await, "close 1008 too many invalid frames");
    assert_eq!(bench.count("bad frame"), limits::BAD_FRAMES_MAX + 1);
}

#[tokio::test]
async fn requests_in_flight_are_bounded() {
    let bench = Bench::new();
    let mut client = bench.connect().await;
    for n in 0..MAX_IN_FLIGHT {
        client
            .send(&request(
                &n.to_string(),
                "agent.wait",
                json!({"runId": "r"}),
            ))
            .await;
    }
    client.send(&request("late", "health", json!({}))).await;
    settle().await;
    assert_eq!(
        bench.service.calls.load(Ordering::Relaxed),
        MAX_IN_FLIGHT,
        "the late one is not read"
    );
    bench.service.waiters.add_permits(1);
    assert_eq!(client.answer("late").await["payload"], "well");
    bench.service.waiters.add_permits(MAX_IN_FLIGHT);
    for _ in 1..MAX_IN_FLIGHT {
        assert_eq!(client.next().await["payload"], "waited");
    }
}

#[tokio::test]
async fn a_flood_is_handled_in_turns() {
    const FLOOD: usize = 10 * MAX_FRAMES_PER_WAKE;
    let bench = Bench::new();
    let mut client = bench.connect().await;
    let one = frame_of(&request("1", "health", json!({})).to_string());
    client.send_bytes(&one.repeat(FLOOD)).await;
    // This task and the connection's take turns, so it sees how much is done in each of them.
    let (mut seen, mut most) = (0, 0);
    while seen < FLOOD {
        tokio::task::yield_now().await;
        let calls = bench.service.calls.load(Ordering::Relaxed);
        most = most.max(calls - seen);
        seen = calls;
    }
    assert_eq!(most, MAX_FRAMES_PER_WAKE);
    for _ in 0..FLOOD {
        assert_eq!(client.next().await["payload"], "well");
    }
}

#[tokio::test]
async fn unfinished_runs_are_bounded_and_do_not_block_the_rest() {
    let bench = Bench::new();
    let mut client = bench.connect().await;
    let params =
        |n: usize| json!({"message": "m", "sessionKey": "s", "idempotencyKey": n.to_string()});
    for n in 0..MAX_SECOND_STAGES {
        assert_eq!(
            client.call("1", "agent", params(n)).await["payload"],
            "accepted"
        );
    }
    let refused = client.call("2", "agent", params(0)).await;
    assert_eq!(refused["error"]["code"], "UNAVAILABLE");
    assert_eq!(
        client.call("3", "health", json!({})).await["payload"],
        "well"
    );
    bench.service.waiters.add_permits(1);
    assert_eq!(client.answer("1").await["payload"], "done");
    assert_eq!(
        client.call("4", "agent", params(0)).await["payload"],
        "accepted"
    );
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_not_read_from() {
    const REQUESTS: usize = 60;
    let bench = Bench::new();
    let mut client = bench.connect().await;
    for n in 0..REQUESTS {
        client
            .send(&request(&n.to_string(), "status", json!({})))
            .await;
    }
    settle().await;
    let handled = bench.service.calls.load(Ordering::Relaxed);
    // What is owed stays under half of the budget and one reply; the sockets' own buffers are small here.
    let owed = limits::MAX_BUFFERED_BYTES as usize / 2 + LARGE;
    assert!(
        handled <= (owed + 200_000) / LARGE,
        "{handled} requests were handled"
    );
    let mut other = bench.connect().await;
    assert_eq!(
        other.call("x", "health", json!({})).await["payload"],
        "well",
        "others are served"
    );
    for n in 0..REQUESTS {
        let answer = client.answer(&n.to_string()).await;
        assert_eq!(answer["payload"].as_str().map(str::len), Some(LARGE), "{n}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_is_closed_in_the_end() {
    let bench = Bench::new();
    let mut client = bench.connect().await;
    for n in 0..20 {
        client
            .send(&request(&n.to_string(), "status", json!({})))
            .await;
    }
    let start = Instant::now();
    let Client { task, .. } = client;
    task.await.unwrap();
    let took = start.elapsed();
    assert!(
        took >= STALL_TIMEOUT && took < STALL_TIMEOUT + 2 * CLOSE_TIMEOUT,
        "{took:?}"
    );
    assert_eq!(bench.count("stalled"), 1);
}

#[tokio::test(start_paused = true)]
async fn progress_keeps_a_slow_client_alive() {
    let bench = Bench::new();
    let mut client = bench.connect().await;
    for n in 0..20 {
        client
            .send(&request(&n.to_string(), "status", json!({})))
            .await;
    }
    for n in 0..20 {
        tokio::time::sleep(STALL_TIMEOUT * 9 / 10).await;
        assert_eq!(client.next().await["id"], n.to_string());
    }
    assert_eq!(
        client.call("x", "health", json!({})).await["payload"],
        "well"
    );
}

#[tokio::test]
async fn a_stopping_gateway_closes_accepted_and_strangers() {
    let bench = Bench::new();
    let mut client = bench.connect().await;
    let mut stranger = bench.open().await;
    let reason = NonEmptyString::or("gateway stopping", "-");
    bench
        .shared
        .hub
        .stop(Event::Shutdown(ShutdownEvent::new(reason)));
    let frame = client.next().await;
    assert_eq!(
        (&frame["event"], &frame["payload"]),
        (&json!("shutdown"), &json!({"reason": "gateway stopping"}))
    );
    assert_eq!(client.next().await, "close 1012 service restart");
    assert_eq!(stranger.next().await, "close 1012 service restart");
    client.ended().await;
    stranger.ended().await;
    tokio::time::timeout(Duration::from_secs(5), bench.shared.hub.emptied())
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_close_is_left_to_itself() {
    let bench = Bench::new();
    let client = bench.connect().await;
    let reason = NonEmptyString::or("gateway stopping", "-");
    bench
        .shared
        .hub
        .stop(Event::Shutdown(ShutdownEvent::new(reason)));
    let start = Instant::now();
    let Client { task, write, .. } = client;
    task.await.unwrap();
    drop(write);
    let took = start.elapsed();
    assert!(
        took >= CLOSE_TIMEOUT && took < CLOSE_TIMEOUT + Duration::from_secs(1),
        "{took:?}"
    );
}

#[tokio::test]
async fn an_idle_connection_is_small() {
    let bench = Bench::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let _client = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (server, peer) = listener.accept().await.unwrap();
    let upgraded = bench.upgraded(server, peer, Vec::new());
    let task = serve(
        Arc::clone(&bench.shared),
        upgraded,
        bench.admission.enter(None).unwrap(),
    );
    let size = size_of_val(&task);
    // Each connection keeps this as long as it lives; the goal is 10 KiB with all it owns.
    assert!(size <= 1536, "{size} bytes");
}
