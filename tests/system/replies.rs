//! Replies of runs reach people: those of jobs and of `agent` through kills, and those of hooks.

use std::sync::Arc;
use std::time::Duration;

use openclaw_client::{Client, Clock};
use openclaw_tests::{Gateway, Home, PATIENCE};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::dice::{Dice, setting};
use crate::messages::World;
use crate::outbox::{connect, texts};

/// Kills of the gateway; each start costs a second or two of a busy machine.
const LIVES: u64 = 6;
/// Jobs of a life, due between its beginning and its kill.
const JOBS: u64 = 4;
/// The kill comes this long after the first job at the latest: a run and its reply take some tens of ms.
const LATEST_MS: u64 = 400;
/// Runs of a life, each in a conversation of its own.
const RUNS: u32 = 20;
/// The kill comes this long after some of them have ended, at the latest: about as long as a few more take.
const RUNS_MS: u64 = 30;
/// Seed of the moments; another one with `REPLIES_SEED`.
const SEED: u64 = 17;
/// Between two looks at what has no event to wait for.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

async fn ask(client: &Client, method: &str, params: Value) -> Value {
    let answer = client.request(method, &params).await;
    let answer = answer.unwrap_or_else(|error| panic!("{method}: {error}"));
    serde_json::from_str(answer.get()).expect("JSON")
}

async fn add(client: &Client, name: &str, at: u64, payload: Value) -> String {
    let job = json!({"name": name, "enabled": true, "schedule": {"kind": "at", "atMs": at},
        "sessionTarget": "isolated", "wakeMode": "next-heartbeat", "payload": payload});
    let added = ask(client, "cron.add", job).await;
    added["id"].as_str().expect("an id").to_owned()
}

/// The one entry of a job's run log, once it is there.
async fn entry(client: &Client, id: &str) -> Value {
    let looking = async {
        loop {
            let runs = ask(client, "cron.runs", json!({"id": id})).await;
            let entries = runs["entries"].as_array().expect("entries");
            assert!(entries.len() < 2, "{entries:?}");
            if let Some(entry) = entries.first() {
                return entry.clone();
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    timeout(PATIENCE, looking).await.expect("a run")
}

#[tokio::test]
async fn replies_of_jobs_go_out_once_through_kills() {
    let home = Home::new();
    home.write_config(r#"{"gateway": {"mode": "local", "auth": {"token": "tok"}}}"#);
    let seed = setting("REPLIES_SEED", SEED);
    let mut dice = Dice::new(seed);
    let mut gateway = Gateway::start(&home, &[]).await;
    let mut jobs = Vec::new();
    for life in 0..LIVES {
        let client = connect(&gateway).await;
        let now = Clock::system().now_ms();
        for n in 0..JOBS {
            let name = format!("word-{life}-{n}.");
            let payload = json!({"kind": "agentTurn", "message": name, "deliver": true,
                "channel": "webchat", "to": "main"});
            let at = now + dice.throw(LATEST_MS);
            jobs.push((add(&client, &name, at, payload).await, name));
        }
        // The one wait of this test that is meant: the moment of the kill is what is tried.
        tokio::time::sleep(Duration::from_millis(dice.throw(LATEST_MS))).await;
        gateway.signal(Signal::KILL);
        gateway.ended().await;
        gateway = Gateway::start(&home, &[]).await;
    }
    let client = connect(&gateway).await;
    let mut cut = 0;
    for (id, name) in &jobs {
        let entry = entry(&client, id).await;
        let said = texts(&client).await;
        let count = said
            .iter()
            .filter(|text| text.contains(name.as_str()))
            .count();
        match entry["status"].as_str() {
            Some("ok") => assert_eq!(count, 1, "seed {seed}: {name} in {said:#?}"),
            // Cut by a kill: what was accepted for delivery before it goes out, once.
            Some("error") => {
                let error = entry["error"].as_str().expect("why");
                assert!(error.contains("stopped during this run"), "{error}");
                assert!(count < 2, "seed {seed}: {name} in {said:#?}");
                cut += 1;
            }
            other => panic!("seed {seed}: {name} ended as {other:?}"),
        }
    }
    println!(
        "{} jobs, {cut} of them cut short by {LIVES} kills",
        jobs.len()
    );
    assert!(cut < jobs.len(), "no job came to its end; seed {seed}");
}

/// What `agent` says of a run in the end: whether it and its reply are done, or why not.
async fn outcome(client: &Client, params: &Value) -> Result<(), String> {
    let looking = async {
        loop {
            match client.request("agent", params).await {
                Err(error) => return Err(error.to_string()),
                Ok(answer) => {
                    let answer: Value = serde_json::from_str(answer.get()).expect("JSON");
                    if answer["status"] == "ok" {
                        return Ok(());
                    }
                }
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    timeout(PATIENCE, looking).await.expect("an end")
}

#[tokio::test]
async fn replies_of_agents_go_out_once_through_kills() {
    let home = Home::new();
    home.write_config(r#"{"gateway": {"mode": "local", "auth": {"token": "tok"}}}"#);
    let seed = setting("REPLIES_SEED", SEED);
    let mut dice = Dice::new(seed);
    let mut gateway = Gateway::start(&home, &[]).await;
    let mut runs = Vec::new();
    for life in 0..LIVES {
        let client = connect(&gateway).await;
        let (mut asked, over) = (Vec::new(), Arc::new(Semaphore::new(0)));
        for n in 0..RUNS {
            let word = format!("word-{life}-{n}.");
            let params = json!({"message": word, "sessionKey": format!("apart-{n}"), "deliver": true,
                "replyChannel": "webchat", "replyTo": "main", "idempotencyKey": word});
            runs.push((params.clone(), word));
            let (client, over) = (client.clone(), Arc::clone(&over));
            asked.push(tokio::spawn(async move {
                if let Ok(stages) = client.request_staged("agent", &params).await
                    && stages.last.await.is_ok()
                {
                    over.add_permits(1);
                }
            }));
        }
        let some = u32::try_from(dice.throw(RUNS.into())).expect("a few");
        let ended = timeout(PATIENCE, over.acquire_many(some)).await;
        drop(ended.expect("some runs end"));
        // The one wait of this test that is meant: the moment of the kill is what is tried.
        tokio::time::sleep(Duration::from_millis(dice.throw(RUNS_MS))).await;
        gateway.signal(Signal::KILL);
        gateway.ended().await;
        for asked in asked {
            let _ = asked.await;
        }
        gateway = Gateway::start(&home, &[]).await;
    }
    let client = connect(&gateway).await;
    let mut cut = 0;
    for (params, word) in &runs {
        let outcome = outcome(&client, params).await;
        let said = texts(&client).await;
        let count = said
            .iter()
            .filter(|text| text.contains(word.as_str()))
            .count();
        match outcome {
            Ok(()) => assert_eq!(count, 1, "seed {seed}: {word} in {said:#?}"),
            Err(why) => {
                assert!(why.contains("gateway restarted during the run"), "{why}");
                assert_eq!(count, 0, "seed {seed}: {word} in {said:#?}");
                cut += 1;
            }
        }
    }
    println!("{} runs, {cut} of them cut by {LIVES} kills", runs.len());
    assert!(cut > 0, "no run was cut; seed {seed}");
    assert!(cut < runs.len(), "no run came to its end; seed {seed}");
}

#[tokio::test]
async fn an_agents_answer_is_sent_on() {
    let world = World::new().await;
    let client = connect(&world.gateway).await;
    let agent = |more: &[&'static str]| {
        let words = ["agent", "-m", "word.", "--session-key", "apart"];
        [&words[..], more].concat()
    };
    world.out(&agent(&[])).await;
    let here = ["--deliver", "--channel", "webchat"];
    world.out(&agent(&here)).await;
    assert!(texts(&client).await.is_empty(), "it is read where it is");
    let to_main = [&here[..], &["--reply-to", "main"]].concat();
    world.out(&agent(&to_main)).await;
    let said = texts(&client).await;
    assert!(said.len() == 1 && said[0].contains("word."), "{said:?}");
    for (there, why) in [
        (
            ["--deliver", "--reply-channel", "telegram", "--to", "7"].as_slice(),
            "Error: Unknown channel: telegram",
        ),
        (
            &["--deliver", "--reply-channel", "crow"],
            "unknown channel: crow",
        ),
    ] {
        world.fails(&agent(there), 1, why).await;
    }
    assert_eq!(texts(&client).await.len(), 1);
}

#[tokio::test]
async fn a_channel_that_is_not_there_is_named_in_the_run_log() {
    let home = Home::new();
    home.write_config(r#"{"gateway": {"mode": "local", "auth": {"token": "tok"}}}"#);
    let gateway = Gateway::start(&home, &[]).await;
    let client = connect(&gateway).await;
    for (best_effort, status) in [(false, "error"), (true, "ok")] {
        let payload = json!({"kind": "agentTurn", "message": "hi", "channel": "telegram", "to": "7",
            "bestEffortDeliver": best_effort});
        let id = add(&client, "Report", Clock::system().now_ms(), payload).await;
        let entry = entry(&client, &id).await;
        assert_eq!(entry["status"], status, "{entry}");
        let error = "the reply was not delivered: unsupported channel: telegram";
        assert_eq!(entry["error"], error, "{entry}");
        assert!(entry["summary"].as_str().expect("a reply").contains("hi"));
    }
}

#[tokio::test]
async fn the_reply_of_a_hook_goes_out_once() {
    let home = Home::new();
    home.write_config(
        r#"{"gateway": {"mode": "local", "auth": {"token": "tok"}}, "hooks": {"enabled": true, "token": "hook"}}"#,
    );
    let gateway = Gateway::start(&home, &[]).await;
    let body = json!({"message": "word.", "channel": "webchat", "to": "main"}).to_string();
    let request = format!(
        "POST /hooks/agent HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer hook\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let address = ("127.0.0.1", gateway.port);
    let mut stream = TcpStream::connect(address).await.expect("the gateway");
    stream.write_all(request.as_bytes()).await.expect("taken");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
    let client = connect(&gateway).await;
    let arriving = async {
        while texts(&client).await.is_empty() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    timeout(PATIENCE, arriving).await.expect("the reply");
    let said = texts(&client).await;
    assert!(said.len() == 1 && said[0].contains("word."), "{said:?}");
    let listed = ask(&client, "outbox.list", json!({})).await;
    let deliveries = listed["deliveries"].as_array().expect("a list");
    assert_eq!(deliveries.len(), 1, "{listed}");
    assert_eq!(
        (&deliveries[0]["origin"], &deliveries[0]["state"]),
        (&json!("hook"), &json!("sent"))
    );
}
