//! What a stop in the middle of everything leaves: no due time served twice, none lost, and every cut said so.

use super::super::job::CUT;
use super::*;

impl World {
    /// The process dies and another one starts. Runs that went on never come to their end.
    async fn crash(mut self) -> Self {
        let life = self.life.take().unwrap();
        let ended = tokio::task::spawn_blocking(|| life.shutdown_timeout(PATIENCE));
        ended.await.unwrap();
        // What had reached the store before the end is on disk.
        let queued = self.store.write(|_| Ok::<_, crate::store::StoreError>(()));
        queued.await.unwrap();
        Self::over(self.store.clone(), self.clock.clone()).await
    }
}

#[tokio::test]
async fn a_run_that_was_cut_is_an_error_and_not_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let world = World::over(store, Arc::new(ManualClock::new(START))).await;
    let once = world.add("once", at(60)).await.id;
    let period = world.add("period", json!({})).await.id;
    world.clock.advance(MINUTE);
    world.cron.run_due().await;
    world.have_begun(2).await;
    assert_eq!(world.began(), [60, 60]);
    let world = world.crash().await;
    world.open_gate();
    let cut = vec![(CronRunStatus::Error, Some(CUT.to_owned()))];
    assert_eq!(
        (world.log(&once), world.log(&period)),
        (cut.clone(), cut.clone())
    );
    let job = world.job(&once).unwrap();
    assert_eq!(
        (job.state.running_at_ms, job.state.next_run_at_ms),
        (None, None)
    );
    assert_eq!(job.state.last_error.as_deref(), Some(CUT));
    world.pass(0).await;
    assert!(world.began().is_empty(), "the due time was served");
    world.pass(MINUTE).await;
    assert_eq!(world.began(), [120], "the next one is");
    let world = world.crash().await;
    assert_eq!(
        (world.log(&once).len(), world.log(&period).len()),
        (1, 2),
        "said once"
    );
}

#[tokio::test]
async fn due_times_of_the_time_without_a_gateway_are_served_once() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(dir.path()).await;
    let once = world.add("once", at(60)).await.id;
    let period = world
        .add(
            "period",
            json!({"schedule": {"kind": "every", "everyMs": 5 * MINUTE, "anchorMs": START}}),
        )
        .await
        .id;
    let expression = json!({"schedule": {"kind": "cron", "expr": "*/10 * * * *", "tz": "UTC"}});
    let expression = world.add("expression", expression).await.id;
    let world = world.crash().await;
    world.open_gate();
    world.clock.advance(60 * MINUTE + 1);
    world.pass(0).await;
    world.pass(0).await;
    for id in [&once, &period, &expression] {
        assert_eq!(world.log(id), [(CronRunStatus::Ok, None)]);
    }
    assert_eq!(world.next(&period), Some(65 * 60));
}

#[tokio::test]
async fn a_cut_run_and_a_due_time_that_passed_since_are_two() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let world = World::over(store, Arc::new(ManualClock::new(START))).await;
    let id = world.add("a", json!({})).await.id;
    world.clock.advance(MINUTE);
    world.cron.run_due().await;
    world.have_begun(1).await;
    let world = world.crash().await;
    world.open_gate();
    world.pass(10 * MINUTE).await;
    let statuses: Vec<_> = world
        .log(&id)
        .into_iter()
        .map(|(status, _)| status)
        .collect();
    assert_eq!(statuses, [CronRunStatus::Error, CronRunStatus::Ok]);
}

/// Numbers that look random and are the same for a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

#[tokio::test]
async fn whatever_happens_no_due_time_is_served_twice_and_none_is_lost() {
    for seed in 0..40 {
        let mut dice = Dice(seed);
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let mut world = World::over(store, Arc::new(ManualClock::new(START))).await;
        let anchored = json!({"schedule": {"kind": "every", "everyMs": 7_000, "anchorMs": START}});
        let period = world.add("period", anchored).await.id;
        let mut moments = Vec::new();
        let mut began: Vec<(String, u64)> = Vec::new();
        for step in 0..60 {
            match dice.roll(6) {
                0 => {
                    let name = format!("at-{step}");
                    let seconds = (world.now() - START) / 1000 + dice.roll(30);
                    moments.push((name.clone(), world.add(&name, at(seconds)).await.id));
                }
                1 => {
                    began.extend(world.told.began.borrow().iter().cloned());
                    world = world.crash().await;
                }
                2 => {
                    // From now on runs of this life come to their end.
                    world.open_gate();
                    world.all_ended().await;
                }
                _ => {
                    world.clock.advance(dice.roll(20_000));
                    world.cron.run_due().await;
                }
            }
        }
        began.extend(world.told.began.borrow().iter().cloned());
        world = world.crash().await;
        world.open_gate();
        for _ in 0..4 {
            world.pass(60_000).await;
        }
        began.extend(world.told.began.borrow().iter().cloned());
        for (name, id) in &moments {
            let runs = began.iter().filter(|(began, _)| began == name).count();
            assert!(runs <= 1, "seed {seed}: {name} ran {runs} times");
            // One that was claimed and cut before it began is in the log as well.
            assert_eq!(world.log(id).len(), 1, "seed {seed}: {name} in the log");
        }
        let mut slots: Vec<u64> = began
            .iter()
            .filter(|(name, _)| name == "period")
            .map(|(_, at)| (at - START) / 7_000)
            .collect();
        let count = slots.len();
        slots.dedup();
        assert_eq!(
            slots.len(),
            count,
            "seed {seed}: a period ran twice in one slot"
        );
        assert!(slots.is_sorted(), "seed {seed}");
        assert!(world.log(&period).len() >= count, "seed {seed}");
    }
}
