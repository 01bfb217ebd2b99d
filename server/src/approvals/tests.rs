//! Questions over a real store in a temporary directory, with tokio's clock standing still.

mod gate;

use std::sync::Arc;
use std::time::{Duration, Instant};

use openclaw_protocol::events::Event;
use openclaw_protocol::protocol::limits;
use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::types::{
    ExecApprovalDecision, ExecApprovalRequestParams, ExecApprovalRequestResult,
};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::*;
use crate::clock::ManualClock;
use crate::hub::EventSink;
use crate::store::{Store, StoreError, Table};

const START: u64 = 1_769_900_000_000;

/// Longest wait for what another thread does.
const PATIENCE: Duration = Duration::from_secs(10);

/// Collects events as lines.
struct Recorder(watch::Sender<Vec<String>>);

impl EventSink for Recorder {
    fn emit(&self, event: Event) {
        let line = match event {
            Event::ExecApprovalRequested(event) => format!("asked {}", &*event.id),
            Event::ExecApprovalResolved(event) => {
                let by = event
                    .resolved_by
                    .map_or_else(|| "?".to_owned(), String::from);
                format!("{} {} by {by}", event.decision, &*event.id)
            }
            other => panic!("{other:?}"),
        };
        self.0.send_modify(|lines| lines.push(line));
    }
}

struct World {
    approvals: Approvals,
    store: Store,
    clock: Arc<ManualClock>,
    events: Arc<Recorder>,
    dir: tempfile::TempDir,
    /// Held so that tokio's paused clock does not run ahead while the store's thread works.
    _standstill: std::sync::mpsc::Sender<()>,
}

impl World {
    fn new() -> Self {
        Self::over(tempfile::tempdir().unwrap(), START)
    }

    fn over(dir: tempfile::TempDir, now_ms: u64) -> Self {
        let (standstill, until) = std::sync::mpsc::channel::<()>();
        tokio::task::spawn_blocking(move || until.recv());
        let store = Store::open(dir.path()).unwrap();
        let clock = Arc::new(ManualClock::new(now_ms));
        let events = Arc::new(Recorder(watch::Sender::new(Vec::new())));
        let approvals = Approvals::load(store.clone(), clock.clone(), events.clone()).unwrap();
        Self {
            approvals,
            store,
            clock,
            events,
            dir,
            _standstill: standstill,
        }
    }

    /// Everything closed and opened again, `after` ms later.
    async fn restart(self, after: u64) -> Self {
        let now_ms = self.clock.advance(after);
        self.store.close();
        let Self {
            dir,
            approvals,
            store,
            ..
        } = self;
        drop((approvals, store));
        // What is removed behind the callers' backs holds the store for a moment longer.
        let began = Instant::now();
        while matches!(Store::open(dir.path()), Err(StoreError::AlreadyOpen { .. })) {
            assert!(began.elapsed() < PATIENCE, "somebody holds the store");
            tokio::task::yield_now().await;
        }
        Self::over(dir, now_ms)
    }

    /// Asks, and comes back once people were told.
    async fn ask(&self, id: &str, command: &str) -> JoinHandle<Answer> {
        self.ask_with(params(id, command)).await
    }

    async fn ask_with(&self, params: ExecApprovalRequestParams) -> JoinHandle<Answer> {
        let before = self.lines().len();
        let approvals = self.approvals.clone();
        let asking = tokio::spawn(async move { approvals.ask(params).await });
        let mut lines = self.events.0.subscribe();
        lines.wait_for(|lines| lines.len() > before).await.unwrap();
        asking
    }

    async fn resolve(&self, id: &str, decision: &str) -> Result<(), String> {
        let by = NonEmptyString::new("Approver");
        let outcome = self.approvals.resolve(id, decision, by).await;
        outcome.map_err(|error| error.to_string())
    }

    fn lines(&self) -> Vec<String> {
        self.events.0.borrow().clone()
    }

    fn stored(&self) -> u64 {
        self.store
            .read(|reader| reader.count(Table::ExecApprovals, b""))
            .unwrap()
    }

    /// Both clocks go on.
    async fn wait(&self, ms: u64) {
        self.clock.advance(ms);
        tokio::time::advance(Duration::from_millis(ms)).await;
    }
}

type Answer = Result<ExecApprovalRequestResult, ApprovalError>;

fn params(id: &str, command: &str) -> ExecApprovalRequestParams {
    let mut params = ExecApprovalRequestParams::new(NonEmptyString::new(command).unwrap());
    params.id = NonEmptyString::new(id);
    params.timeout_ms = Some(5_000);
    params
}

fn decision(answer: Answer) -> Option<ExecApprovalDecision> {
    let answer = answer.unwrap();
    assert_eq!(answer.expires_at_ms - answer.created_at_ms, 5_000);
    answer.decision
}

fn refusal(answer: Answer) -> String {
    answer.unwrap_err().to_string()
}

#[tokio::test(start_paused = true)]
async fn a_question_is_stored_announced_and_decided_once() {
    let world = World::new();
    let asking = world.ask("q", "ls").await;
    assert_eq!(world.stored(), 1, "on disk before anybody was told");
    assert_eq!(world.approvals.waiting().len(), 1);
    assert_eq!(
        world.resolve("none", "maybe").await,
        Err("no such decision".to_owned())
    );
    assert_eq!(
        world.resolve("q", "maybe").await,
        Err("no such decision".to_owned())
    );
    assert_eq!(
        world.resolve("none", "deny").await,
        Err("no such question waits".to_owned())
    );
    assert_eq!(world.resolve("q", "allow-once").await, Ok(()));
    assert_eq!(
        world.resolve("q", "deny").await,
        Err("no such question waits".to_owned())
    );
    assert_eq!(
        decision(asking.await.unwrap()),
        Some(ExecApprovalDecision::AllowOnce)
    );
    assert_eq!(world.lines(), ["asked q", "allow-once q by Approver"]);
    assert!(world.approvals.waiting().is_empty());
    // A decision is handed out once: the same question under the same id is a new one.
    let again = world.ask("q", "ls").await;
    assert_eq!(world.resolve("q", "deny").await, Ok(()));
    assert_eq!(
        decision(again.await.unwrap()),
        Some(ExecApprovalDecision::Deny)
    );
}

#[tokio::test(start_paused = true)]
async fn ids_are_chosen_when_none_is_given() {
    let world = World::new();
    let (one, two) = (world.ask("", "ls").await, world.ask("", "ls").await);
    let ids: Vec<String> = world
        .approvals
        .waiting()
        .into_iter()
        .map(|q| q.id.into())
        .collect();
    assert!(ids.len() == 2 && ids[0] != ids[1]);
    for id in &ids {
        world.resolve(id, "deny").await.unwrap();
    }
    assert!(one.await.unwrap().is_ok() && two.await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn no_question_waits_for_ever() {
    const DAY: u64 = limits::EXEC_APPROVAL_MAX_MS;
    for (timeout_ms, waits) in [
        (None, limits::EXEC_APPROVAL_TIMEOUT_MS),
        (Some(1), 1),
        (Some(DAY), DAY),
        (Some(DAY + 1), DAY),
        (Some((1 << 53) - 1), DAY),
    ] {
        let world = World::new();
        let mut params = params("q", "ls");
        params.timeout_ms = timeout_ms;
        let _asking = world.ask_with(params).await;
        let asked = world.approvals.waiting().remove(0);
        assert_eq!(
            asked.expires_at_ms - asked.created_at_ms,
            waits,
            "{timeout_ms:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_decides() {
    let world = World::new();
    let asking = world.ask("q", "ls").await;
    world.wait(4_999).await;
    assert!(!asking.is_finished());
    world.wait(1).await;
    assert_eq!(decision(asking.await.unwrap()), None);
    assert_eq!(world.lines(), ["asked q"], "nobody is told of that");
    assert_eq!(
        world.resolve("q", "deny").await,
        Err("no such question waits".to_owned())
    );
    world.ask("q", "ls").await.abort();
}

#[tokio::test(start_paused = true)]
async fn an_id_is_taken_while_somebody_waits() {
    let world = World::new();
    let asking = world.ask("q", "ls").await;
    for command in ["ls", "rm"] {
        assert_eq!(
            refusal(world.approvals.ask(params("q", command)).await),
            "the id is taken"
        );
    }
    asking.abort();
    assert!(asking.await.is_err());
    // The question stays. Another one may not take its place, the same one may be waited for again.
    assert_eq!(
        refusal(world.approvals.ask(params("q", "rm")).await),
        "the id is taken"
    );
    let again = world.ask("q", "ls").await;
    assert_eq!(
        world.lines(),
        ["asked q", "asked q"],
        "shown again to whoever came since"
    );
    world.wait(4_000).await;
    assert!(!again.is_finished());
    world.resolve("q", "allow-always").await.unwrap();
    assert_eq!(
        decision(again.await.unwrap()),
        Some(ExecApprovalDecision::AllowAlways)
    );
}

#[tokio::test(start_paused = true)]
async fn a_decision_waits_for_an_asker_who_left() {
    let world = World::new();
    let asking = world.ask("q", "ls").await;
    asking.abort();
    assert!(asking.await.is_err());
    world.resolve("q", "allow-once").await.unwrap();
    // Another question under the id is a question of its own.
    let world = world.restart(DECIDED_TTL_MS - 1).await;
    assert_eq!(
        decision(world.approvals.ask(params("q", "ls")).await),
        Some(ExecApprovalDecision::AllowOnce)
    );
    let again = world.ask("q", "ls").await;
    again.abort();
    assert!(again.await.is_err());
    world.resolve("q", "allow-once").await.unwrap();
    let world = world.restart(DECIDED_TTL_MS).await;
    let late = world.ask("q", "ls").await;
    world.resolve("q", "deny").await.unwrap();
    assert_eq!(
        decision(late.await.unwrap()),
        Some(ExecApprovalDecision::Deny),
        "the old decision is too old"
    );
}

#[tokio::test(start_paused = true)]
async fn questions_survive_a_restart() {
    let world = World::new();
    let (one, two) = (world.ask("1", "ls").await, world.ask("2", "ls").await);
    one.abort();
    two.abort();
    assert!(one.await.is_err() && two.await.is_err());
    let world = world.restart(1_000).await;
    let waiting: Vec<String> = world
        .approvals
        .waiting()
        .into_iter()
        .map(|q| q.id.into())
        .collect();
    assert_eq!(waiting, ["1", "2"]);
    // Decided before its asker is back, and after.
    world.resolve("1", "deny").await.unwrap();
    assert_eq!(
        decision(world.approvals.ask(params("1", "ls")).await),
        Some(ExecApprovalDecision::Deny)
    );
    let two = world.ask("2", "ls").await;
    world.resolve("2", "allow-once").await.unwrap();
    assert_eq!(
        decision(two.await.unwrap()),
        Some(ExecApprovalDecision::AllowOnce)
    );
    // What is over is neither shown nor kept.
    let three = world.ask("3", "ls").await;
    three.abort();
    assert!(three.await.is_err());
    let world = world.restart(5_000).await;
    assert!(world.approvals.waiting().is_empty());
    world.ask("4", "ls").await.abort();
    assert_eq!(world.stored(), 1, "old records went with the first write");
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_bounded() {
    let world = World::new();
    let mut asking = Vec::new();
    for n in 0..MAX_PENDING {
        asking.push(world.ask(&n.to_string(), "ls").await);
    }
    let full = format!("{MAX_PENDING} questions wait, or {MAX_BYTES} bytes of them");
    assert_eq!(
        refusal(world.approvals.ask(params("more", "ls")).await),
        full
    );
    world.resolve("0", "deny").await.unwrap();
    assert!(asking.remove(0).await.unwrap().is_ok());
    asking.push(world.ask("more", "ls").await);
    world.wait(5_000).await;
    for asked in asking {
        assert_eq!(decision(asked.await.unwrap()), None);
    }
    let long = "x".repeat(MAX_BYTES - 1);
    assert_eq!(
        refusal(world.approvals.ask(params("qq", &long)).await),
        full
    );
    world.ask("q", &long).await.abort();
}

#[tokio::test(start_paused = true)]
async fn decisions_for_nobody_are_bounded() {
    let world = World::new();
    for n in 0..=MAX_DECIDED {
        let asking = world.ask(&n.to_string(), "ls").await;
        asking.abort();
        assert!(asking.await.is_err());
        world.clock.advance(1);
        world.resolve(&n.to_string(), "deny").await.unwrap();
    }
    // The first one went, the second is there.
    assert!(world.approvals.ask(params("1", "ls")).await.is_ok());
    world.ask("0", "ls").await.abort();
}

#[tokio::test(start_paused = true)]
async fn without_the_store_nobody_is_asked() {
    let world = World::new();
    let asking = world.ask("old", "ls").await;
    world.store.close();
    assert!(matches!(
        world.approvals.ask(params("q", "ls")).await,
        Err(ApprovalError::Store(_))
    ));
    assert!(matches!(
        world.approvals.resolve("old", "deny", None).await,
        Err(ApprovalError::Store(_))
    ));
    assert_eq!(world.lines(), ["asked old"]);
    let waiting: Vec<String> = world
        .approvals
        .waiting()
        .into_iter()
        .map(|q| q.id.into())
        .collect();
    assert_eq!(waiting, ["old"], "not decided, so it waits on");
    assert!(!asking.is_finished());
}
