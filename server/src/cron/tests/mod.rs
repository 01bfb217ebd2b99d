//! Jobs over a store in a temporary directory, with a clock that stands still and a worker that does what it is told.

mod crashes;
mod runs;
mod worker;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use openclaw_protocol::events::Event;
use openclaw_protocol::rt::BoxFuture;
use openclaw_protocol::types::{CronAction, CronJob, CronRunStatus};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, watch};

use super::{Cron, CronError, Outcome, Parts, Worker};
use crate::clock::{Clock, ManualClock};
use crate::hub::EventSink;
use crate::store::Store;
use crate::testing::assert_conforms;

/// Longest wait for something that must happen.
const PATIENCE: Duration = Duration::from_secs(20);
const START: u64 = 1_770_000_000_000;
const MINUTE: u64 = 60_000;

/// Collects events; each must be one that the schema has.
struct Recorder(watch::Sender<Vec<String>>);

impl EventSink for Recorder {
    fn emit(&self, event: Event) {
        assert_conforms(&event);
        let Event::Cron(event) = event else {
            panic!("{event:?}")
        };
        let mut line = event.action.as_str().to_owned();
        if event.action == CronAction::Finished {
            line = format!("{line} {}", event.status.unwrap().as_str());
        }
        if let Some(next) = event.next_run_at_ms {
            line = format!(
                "{line}, next {}",
                (i128::from(next) - i128::from(START)) / 1000
            );
        }
        self.0.send_modify(|lines| lines.push(line));
    }
}

/// Says how runs end; without a word they end well. Each waits for a permit of the gate.
#[derive(Clone)]
struct Told {
    outcomes: Arc<Mutex<VecDeque<Outcome>>>,
    /// Name and begin of every run.
    began: Arc<watch::Sender<Vec<(String, u64)>>>,
    gate: Arc<Semaphore>,
}

impl Worker for Told {
    fn work(&self, job: CronJob) -> BoxFuture<'static, Outcome> {
        let begin = job.state.running_at_ms.unwrap();
        self.began
            .send_modify(|began| began.push((job.name.to_string(), begin)));
        let told = self.clone();
        Box::pin(async move {
            told.gate.acquire().await.unwrap().forget();
            let outcome = told.outcomes.lock().unwrap().pop_front();
            if outcome
                .as_ref()
                .is_some_and(|outcome| outcome.summary.as_deref() == Some("panic"))
            {
                panic!("told to");
            }
            outcome.unwrap_or_else(|| Outcome::ok(Some("done".into())))
        })
    }
}

struct World {
    cron: Cron,
    store: Store,
    clock: Arc<ManualClock>,
    events: Arc<Recorder>,
    told: Told,
    /// Carries the runs; ends with the world, in the middle of whatever it does.
    life: Option<Runtime>,
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(life) = self.life.take() {
            life.shutdown_background();
        }
    }
}

impl World {
    async fn new(dir: &Path) -> Self {
        let store = Store::open(dir).unwrap();
        let world = Self::over(store, Arc::new(ManualClock::new(START))).await;
        world.open_gate();
        world
    }

    /// A gateway on what a former one left. Its runs wait until the gate is opened.
    async fn over(store: Store, clock: Arc<ManualClock>) -> Self {
        let events = Arc::new(Recorder(watch::Sender::new(Vec::new())));
        let life = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let told = Told {
            outcomes: Arc::default(),
            began: Arc::new(watch::Sender::new(Vec::new())),
            gate: Arc::new(Semaphore::new(0)),
        };
        let cron = Cron::open(Parts {
            store: store.clone(),
            clock: clock.clone(),
            events: events.clone(),
            worker: Arc::new(told.clone()),
            work: life.handle().clone(),
            enabled: true,
            store_path: "/state/cron/jobs.json".to_owned(),
        })
        .await
        .unwrap();
        Self {
            cron,
            store,
            clock,
            events,
            told,
            life: Some(life),
        }
    }

    fn open_gate(&self) {
        self.told.gate.add_permits(100_000);
    }

    fn outcomes(&self, outcomes: impl IntoIterator<Item = Outcome>) {
        self.told.outcomes.lock().unwrap().extend(outcomes);
    }

    async fn add(&self, name: &str, more: Value) -> CronJob {
        self.cron.add(job(name, more)).await.unwrap()
    }

    async fn update(&self, id: &str, patch: Value) -> Result<CronJob, CronError> {
        self.cron
            .update(id, serde_json::from_value(patch).unwrap())
            .await
    }

    /// Moves the clock and lets the scheduler do what is due; waits for the ends of the runs.
    async fn pass(&self, ms: u64) {
        self.clock.advance(ms);
        self.cron.run_due().await;
        self.all_ended().await;
    }

    /// Waits until every run that began since the last look has ended.
    async fn all_ended(&self) {
        let count = |lines: &[String], word: &str| {
            lines.iter().filter(|line| line.starts_with(word)).count()
        };
        let mut lines = self.events.0.subscribe();
        let ended = lines.wait_for(|lines| count(lines, "finished") >= count(lines, "started"));
        tokio::time::timeout(PATIENCE, ended)
            .await
            .unwrap()
            .unwrap();
    }

    /// Waits until so many runs have begun their work.
    async fn have_begun(&self, count: usize) {
        let mut began = self.told.began.subscribe();
        let begun = began.wait_for(|began| began.len() >= count);
        tokio::time::timeout(PATIENCE, begun)
            .await
            .unwrap()
            .unwrap();
    }

    /// Waits until so many runs have ended.
    async fn ended(&self, count: usize) {
        let mut lines = self.events.0.subscribe();
        let ended = lines.wait_for(|lines| {
            lines
                .iter()
                .filter(|line| line.starts_with("finished"))
                .count()
                >= count
        });
        tokio::time::timeout(PATIENCE, ended)
            .await
            .unwrap()
            .unwrap();
    }

    /// Waits until this was told: what follows the end of a run may come a moment later.
    async fn until(&self, line: &str) {
        let mut lines = self.events.0.subscribe();
        let told = lines.wait_for(|lines| lines.iter().any(|told| told == line));
        tokio::time::timeout(PATIENCE, told).await.unwrap().unwrap();
    }

    /// What was told since the last look.
    fn told_since(&self) -> Vec<String> {
        let mut lines = Vec::new();
        self.events
            .0
            .send_modify(|told| lines = std::mem::take(told));
        lines
    }

    /// Seconds since the start at which runs began.
    fn began(&self) -> Vec<u64> {
        let began = self.told.began.borrow();
        began.iter().map(|(_, at)| (at - START) / 1000).collect()
    }

    /// Status and error of every run in a job's log.
    fn log(&self, id: &str) -> Vec<(CronRunStatus, Option<String>)> {
        let entries = self.cron.runs(id, usize::MAX).unwrap();
        let row =
            |entry: openclaw_protocol::types::CronRunLogEntry| (entry.status.unwrap(), entry.error);
        entries.into_iter().map(row).collect()
    }

    fn job(&self, id: &str) -> Option<CronJob> {
        let jobs = self.cron.list(true);
        jobs.into_iter().find(|job| job.id.as_str() == id)
    }

    /// Seconds from the start to a job's next run.
    fn next(&self, id: &str) -> Option<u64> {
        let next = self.job(id)?.state.next_run_at_ms?;
        Some(next.saturating_sub(START) / 1000)
    }

    fn now(&self) -> u64 {
        self.clock.now_ms()
    }
}

fn job(name: &str, more: Value) -> openclaw_protocol::types::CronAddParams {
    let mut job = json!({
        "name": name, "schedule": {"kind": "every", "everyMs": MINUTE}, "sessionTarget": "main", "wakeMode": "next-heartbeat",
        "payload": {"kind": "systemEvent", "text": "t"}
    });
    job.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    serde_json::from_value(job).unwrap()
}

fn at(seconds: u64) -> Value {
    json!({"schedule": {"kind": "at", "atMs": START + seconds * 1000}})
}
