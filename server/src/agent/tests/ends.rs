//! How runs end: well, with an error, by the clock, with a panic; and that each ends once.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::super::backend::scripted::{Step, say};
use super::super::backend::{BackendError, Chunk};
use super::World;

fn failed(id: &str, text: &str) -> Value {
    json!({"failed": {"runId": id, "status": "error", "summary": text}, "code": "UNAVAILABLE"})
}

/// Runs one scripted reply and checks answer, events (those of the end), transcript and `agent.wait`.
async fn check(reply: Vec<Step>, text: &str, noted: &str, partial: &str) {
    let world = World::new([reply]).await;
    let request = json!({"message": "x", "sessionKey": "main", "idempotencyKey": "r"});
    let answers = world.agent_answers(request.clone()).await;
    assert_eq!(answers[1], failed("r", text));
    let lines = world.lines();
    let seq = lines
        .iter()
        .filter(|line| line.starts_with("r agent"))
        .count();
    let end = [
        format!("r agent {seq} error {text}"),
        format!("r chat {seq} error {text}"),
    ];
    assert_eq!(lines[lines.len() - 2..], end, "{lines:?}");
    assert_eq!(
        world.said("main"),
        ["user: x".to_owned(), format!("assistant: {partial}")]
    );
    let last = &world.history("main")["messages"][1];
    assert_eq!(
        (&last["stopReason"], &last["errorMessage"]),
        (&json!("error"), &json!(noted))
    );
    let wait = world.wait("r", 0).await;
    assert_eq!(
        (&wait["status"], &wait["error"]),
        (&json!("error"), &json!(text))
    );
    assert_eq!(
        world.agent_answers(request).await,
        [failed("r", text)],
        "a repeat gets the same end"
    );
    assert_eq!(
        (world.lines().len(), world.model.asked().len()),
        (lines.len(), 1)
    );
}

#[tokio::test(start_paused = true)]
async fn model_errors() {
    let refused = BackendError::Refused {
        status: 400,
        message: "mock error requested".into(),
    };
    check(
        vec![Step::Fail(refused.clone())],
        "HTTP 400: mock error requested",
        "400 mock error requested",
        "",
    )
    .await;
    let late = vec![Step::Say("half "), Step::Fail(refused)];
    check(
        late,
        "HTTP 400: mock error requested",
        "400 mock error requested",
        "half",
    )
    .await;
    let cut = "model stream ended before the reply was complete";
    check(vec![Step::Say("half")], cut, cut, "half").await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_an_end_like_any_other() {
    let text = "Error: the run failed for an internal reason";
    check(vec![Step::Panic], text, text, "").await;
}

#[tokio::test(start_paused = true)]
async fn replies_are_bounded() {
    const MAX: usize = 256 * 1024;
    let big = |bytes: usize| vec![Step::Give(Chunk::Delta("x".repeat(bytes)))];
    let text = "model reply is larger than 262144 bytes";
    check(big(MAX + 1), text, text, "").await;
    let world = World::new([[big(MAX), say(&[])].concat()]).await;
    let answers = world
        .agent_answers(json!({"message": "x", "sessionKey": "main", "idempotencyKey": "r"}))
        .await;
    assert_eq!(
        answers[1]["result"]["payloads"][0]["text"]
            .as_str()
            .unwrap()
            .len(),
        MAX
    );
}

#[tokio::test(start_paused = true)]
async fn a_reply_without_words() {
    let world = World::new([say(&[" ", "\n"])]).await;
    let answers = world
        .agent_answers(json!({"message": "x", "sessionKey": "main", "idempotencyKey": "r"}))
        .await;
    assert_eq!(
        (&answers[1]["status"], &answers[1]["result"]["payloads"]),
        (&json!("ok"), &json!([]))
    );
    assert_eq!(
        world.lines(),
        ["r agent 1 start", "r agent 2 end", "r chat 2 final"]
    );
}

#[tokio::test(start_paused = true)]
async fn long_errors_are_cut_in_chat_events() {
    let long = |n: usize| BackendError::NotConfigured("é".repeat(n));
    for (n, shown) in [
        (240, "é".repeat(240)),
        (241, format!("{}...", "é".repeat(240))),
    ] {
        let world = World::new([vec![Step::Fail(long(n))]]).await;
        world.chat("main", "x", "c").await;
        world.until(&format!("c chat 2 error {shown}")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn requests_that_fail_before_they_start() {
    let world = World::new([]).await;
    let timeout = "Error: timeout must be a positive number of seconds";
    let thinking = "Error: invalid thinking level \"wild\" (use off|minimal|low|medium|high|xhigh)";
    for (id, member, value, text) in [
        ("t", "timeout", json!(0), timeout),
        ("w", "thinking", json!("wild"), thinking),
    ] {
        let mut request = json!({"message": "x", "sessionKey": "main", "idempotencyKey": id});
        request[member] = value;
        let answers = world.agent_answers(request).await;
        assert_eq!(answers[1], failed(id, text));
        world.until(&format!("{id} chat 1 error {text}")).await;
        assert_eq!(world.wait(id, 0).await["status"], "error");
    }
    assert_eq!(world.said("main"), [""; 0]);
    let chat =
        json!({"sessionKey": "main", "message": "x", "idempotencyKey": "c", "thinking": "wild"});
    assert_eq!(
        world.chat_with(chat.clone()).await,
        json!({"runId": "c", "status": "started"})
    );
    world.until(&format!("c chat 1 error {thinking}")).await;
    world.wait("c", 1000).await;
    assert_eq!(
        world.chat_with(chat).await,
        failed("c", thinking),
        "odd 14: the failure is remembered"
    );
}

#[tokio::test(start_paused = true)]
async fn a_request_that_leaves_the_session_open() {
    let world = World::new([]).await;
    let answers = world
        .agent_answers(json!({"message": "x", "idempotencyKey": "r"}))
        .await;
    let text = "Error: Pass --to <E.164>, --session-id, or --agent to choose a session";
    assert_eq!(
        (&answers[0]["status"], &answers[1]),
        (&json!("accepted"), &failed("r", text))
    );
    assert_eq!(world.lines(), [""; 0], "nobody could tell whose it is");
    assert_eq!(
        world.wait("r", 0).await,
        json!({"runId": "r", "status": "error", "endedAt": 1_000_000, "error": text})
    );
}

#[tokio::test(start_paused = true)]
async fn a_run_that_takes_too_long() {
    let world = World::new([vec![Step::Say("half"), Step::Stall]]).await;
    let request =
        json!({"message": "x", "sessionKey": "main", "idempotencyKey": "r", "timeout": 7});
    let runs = async { world.agent_answers(request).await };
    let clock = async {
        world.until("r chat 2 delta \"half\"").await;
        tokio::time::advance(Duration::from_secs(7)).await;
    };
    let (answers, ()) = tokio::join!(runs, clock);
    assert_eq!(
        answers[1],
        failed("r", "Error: the run took longer than 7 s")
    );
    assert_eq!(world.said("main"), ["user: x", "assistant: half"]);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_is_not_there() {
    let config = json!({"agents": {"defaults": {"model": "gone/x"}}});
    let world = World::configured(config, []).await;
    // The scripted backend stands in for every provider; the real choice is tested beside `Models`.
    let choice = world.runs.models().choose("main", None);
    assert_eq!(
        (choice.provider.as_str(), choice.model.as_str()),
        ("gone", "x")
    );
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_run() {
    let gate = Arc::new(Semaphore::new(0));
    let world = World::new([[vec![Step::Wait(gate.clone())], say(&["done"])].concat()]).await;
    let timeout = |id: &str| json!({"runId": id, "status": "timeout"});
    assert_eq!(world.wait("r", 0).await, timeout("r"), "unknown");
    let (early, ()) = tokio::join!(world.wait("r", 5_000), async {
        let answer = world
            .agent(json!({"message": "x", "sessionKey": "main", "idempotencyKey": "r"}))
            .await;
        // The caller goes away; the run does not.
        drop(answer);
        world.until("r agent 1 start").await;
        assert_eq!(world.wait("r", 0).await, timeout("r"));
        let (late, ()) = tokio::join!(
            world.wait("r", 200),
            tokio::time::advance(Duration::from_millis(200))
        );
        assert_eq!(late, timeout("r"));
        gate.add_permits(1);
    });
    let ended = json!({"runId": "r", "status": "ok", "startedAt": 1_000_000, "endedAt": 1_000_000});
    assert_eq!(early, ended, "who waits for a run that comes later is told");
    assert_eq!(world.wait("r", 0).await, ended);
    world.clock.advance(599_999);
    assert_eq!(world.wait("r", 0).await, ended);
    world.clock.advance(1);
    assert_eq!(world.wait("r", 0).await, timeout("r"));
    let (unknown, ()) = tokio::join!(
        world.wait("nobody", 300),
        tokio::time::advance(Duration::from_millis(300))
    );
    assert_eq!(unknown, timeout("nobody"));
}

#[tokio::test(start_paused = true)]
async fn a_run_says_nothing_before_its_request_is_answered() {
    for (id, is_chat) in [("r-chat", true), ("r-agent", false)] {
        let world = World::new([say(&["hello"])]).await;
        let request = json!({"message": "x", "sessionKey": "main", "idempotencyKey": id});
        let slots = world.runs.free_slots();
        let answer = if is_chat {
            world.chat("main", "x", id).await
        } else {
            match world.agent(request).await.unwrap() {
                super::AgentAnswer::Both { first, .. } => json!(first),
                _ => json!("not accepted"),
            }
        };
        // What is done with the answer is done before this task waits again.
        assert_eq!(world.runs.free_slots(), slots, "not even begun: {answer}");
        assert_eq!(world.lines(), Vec::<String>::new(), "{answer}");
        world.until(&format!("{id} agent 1 start")).await;
    }
}
