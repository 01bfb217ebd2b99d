//! Jobs through kills: whatever the moment, no due time is served twice and none is lost.

use std::collections::BTreeMap;
use std::time::Duration;

use openclaw_client::Clock;
use openclaw_tests::{Gateway, Home};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::dice::{Dice, setting};

/// Kills of the gateway; each start costs a second or two of a busy machine.
const LIVES: u64 = 5;
/// Distance of the periodic job's due times, in ms: longer than a claim takes on a busy machine.
const PERIOD_MS: u64 = 700;
/// Seed of the moments; another one with `SCHEDULES_SEED`.
const SEED: u64 = 29;

fn now_ms() -> u64 {
    Clock::system().now_ms()
}

async fn call(home: &Home, port: u16, method: &str, params: Value) -> Option<Value> {
    let (port, params) = (port.to_string(), params.to_string());
    let ran = home
        .run_with(
            &["call", method, "--params", &params],
            &[("OPENCLAW_GATEWAY_PORT", &port)],
        )
        .await;
    // A call may meet the kill.
    (ran.code == Some(0)).then(|| serde_json::from_str(&ran.out).expect("JSON"))
}

async fn runs(home: &Home, port: u16, id: &str) -> Vec<Value> {
    let payload = call(home, port, "cron.runs", json!({"id": id, "limit": 5000})).await;
    let payload = payload.expect("the run log");
    payload["entries"].as_array().cloned().expect("entries")
}

fn job(name: &str, schedule: Value) -> Value {
    json!({
        "name": name, "enabled": true, "schedule": schedule, "sessionTarget": "main", "wakeMode": "next-heartbeat",
        "payload": {"kind": "systemEvent", "text": name}
    })
}

#[tokio::test]
async fn jobs_survive_kills_without_being_doubled_or_lost() {
    let seed = setting("SCHEDULES_SEED", SEED);
    let mut dice = Dice::new(seed);
    let home = Home::new();
    let mut gateway = Gateway::start(&home, &[]).await;
    let anchor = now_ms();
    let schedule = json!({"kind": "every", "everyMs": PERIOD_MS, "anchorMs": anchor});
    let added = call(&home, gateway.port, "cron.add", job("period", schedule)).await;
    let period = added.expect("the periodic job")["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let mut moments = BTreeMap::new();
    for life in 0..LIVES {
        for n in 0..3 {
            // Due before, at and after the kill, and while there is no gateway.
            let at = now_ms() + dice.throw(3_000);
            let name = format!("at-{life}-{n}");
            let added = call(
                &home,
                gateway.port,
                "cron.add",
                job(&name, json!({"kind": "at", "atMs": at})),
            )
            .await;
            let id = added.expect("a job")["id"]
                .as_str()
                .expect("an id")
                .to_owned();
            moments.insert(id, (name, at));
        }
        tokio::time::sleep(Duration::from_millis(dice.throw(1_500))).await;
        gateway.signal(Signal::KILL);
        gateway.ended().await;
        gateway = Gateway::start(&home, &[]).await;
    }
    // Every moment has passed, and the scheduler has had time for it.
    let last = moments.values().map(|(_, at)| *at).max().expect("jobs");
    let rest = (last + 1_500).saturating_sub(now_ms()) + 2 * PERIOD_MS;
    tokio::time::sleep(Duration::from_millis(rest)).await;
    let restarted = now_ms() - rest;

    for (id, (name, at)) in &moments {
        let entries = runs(&home, gateway.port, id).await;
        assert_eq!(entries.len(), 1, "seed {seed}: {name} has {entries:#?}");
        let entry = &entries[0];
        let began = entry["runAtMs"].as_u64().expect("when it began");
        assert!(began >= *at, "seed {seed}: {name} ran too early: {entry}");
        match entry["status"].as_str() {
            Some("ok") => {}
            // Cut by a kill, and said so.
            Some("error") => {
                let error = entry["error"].as_str().expect("why");
                assert!(
                    error.contains("stopped during this run"),
                    "seed {seed}: {error}"
                );
            }
            other => panic!("seed {seed}: {name} ended as {other:?}"),
        }
    }
    let began: Vec<u64> = runs(&home, gateway.port, &period)
        .await
        .iter()
        .map(|entry| entry["runAtMs"].as_u64().expect("when it began"))
        .collect();
    let mut slots: Vec<u64> = began.iter().map(|at| (at - anchor) / PERIOD_MS).collect();
    let count = slots.len();
    slots.dedup();
    assert_eq!(
        slots.len(),
        count,
        "seed {seed}: two runs of one due time among {began:?}"
    );
    assert!(slots.is_sorted(), "seed {seed}: {began:?}");
    assert!(
        began.iter().any(|at| *at >= restarted),
        "seed {seed}: it runs on, {began:?}"
    );
}

#[tokio::test]
async fn the_commands_of_schedules() {
    let home = Home::new();
    let gateway = Gateway::start(&home, &[]).await;
    let port = gateway.port.to_string();
    let run = async |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let ran = home
            .run_with(&words, &[("OPENCLAW_GATEWAY_PORT", &port)])
            .await;
        assert_eq!(ran.code, Some(0), "{line}: {}{}", ran.out, ran.err);
        ran.out
    };
    assert!(run("cron status").await.contains("Jobs: 0"));
    let added = run("cron add --name Tidy --every 1h --system-event tidy --json").await;
    let added: Value = serde_json::from_str(&added).expect("JSON");
    let id = added["id"].as_str().expect("an id");
    assert!(run("cron list").await.contains("every 1h"));
    assert!(
        run(&format!("cron edit {id} --name Edited"))
            .await
            .contains("Edited")
    );
    assert!(run(&format!("cron run {id}")).await.contains("--force"));
    assert!(run(&format!("cron run {id} --force")).await.contains("ok"));
    assert!(run(&format!("cron runs --id {id}")).await.contains("tidy"));
    assert!(run("status").await.contains("Waiting for the agent: tidy"));
    run(&format!("cron disable {id}")).await;
    assert!(!run("cron list").await.contains("Edited"));
    assert!(run("cron list --all").await.contains("disabled"));
    run(&format!("cron enable {id}")).await;
    run(&format!("cron rm {id}")).await;
    let again = home
        .run_with(&["cron", "rm", id], &[("OPENCLAW_GATEWAY_PORT", &port)])
        .await;
    assert_eq!(again.code, Some(1), "{}", again.out);

    assert_eq!(run("system event --text hello --mode now").await, "ok\n");
    assert!(run("system heartbeat last").await.contains("none"));
    assert!(run("system heartbeat disable").await.contains("off"));
    assert!(run("system heartbeat enable").await.contains("on"));
    assert!(run("system presence").await.contains("gateway"));
    assert_eq!(run("system heartbeat last --json").await, "null\n");
}
