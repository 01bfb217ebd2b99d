//! What runs, when, and what is left of it.

use super::super::service::{MAX_JOBS, MAX_RUNNING};
use super::*;
use openclaw_protocol::types::CronRunMode;

#[tokio::test]
async fn a_period_runs_at_its_distance_and_what_was_slept_through_once() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(dir.path()).await;
    let id = world.add("a", json!({})).await.id;
    for (passed, began, next) in [
        (59_999, vec![], 60),
        (1, vec![60], 120),
        // Late: the distance is counted from the due time.
        (MINUTE + 7_000, vec![60, 127], 180),
        // The machine slept for an hour.
        (60 * MINUTE, vec![60, 127, 3727], 3780),
        (53_000, vec![60, 127, 3727, 3780], 3840),
    ] {
        world.pass(passed).await;
        assert_eq!((world.began(), world.next(&id)), (began, Some(next)));
    }
    assert_eq!(world.log(&id), vec![(CronRunStatus::Ok, None); 4]);
    // The wall clock is set back for a day: nothing is repeated.
    world.clock.set(START - 24 * 60 * MINUTE);
    world.pass(23 * 60 * MINUTE).await;
    assert_eq!(world.began().len(), 4);
    assert_eq!(world.next(&id), Some(3840));
}

#[tokio::test]
async fn the_scheduler_sleeps_until_the_next_due_time_but_never_long() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(dir.path()).await;
    let long = world.cron.run_due().await;
    world.add("far", at(3600)).await;
    assert_eq!(
        world.cron.run_due().await,
        long,
        "the clock may be set meanwhile"
    );
    world.add("near", at(3)).await;
    assert_eq!(world.cron.run_due().await, Duration::from_secs(3));
    world.clock.advance(2_999);
    assert_eq!(world.cron.run_due().await, Duration::from_millis(1));
    assert!(world.began().is_empty());
}

#[tokio::test]
async fn a_job_for_one_moment_runs_once_and_is_disabled_removed_or_kept_for_people_to_see() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(dir.path()).await;
    let keep = world.add("keep", at(10)).await.id;
    let mut delete = at(20);
    delete["deleteAfterRun"] = json!(true);
    let delete = world.add("delete", delete).await.id;
    let fail = world.add("fail", at(30)).await.id;
    world.told_since();
    world.pass(15_000).await;
    assert_eq!(world.told_since(), ["started", "finished ok"]);
    let kept = world.job(&keep).unwrap();
    assert!(!kept.enabled && kept.state.next_run_at_ms.is_none());
    assert_eq!(kept.state.last_status, Some(CronRunStatus::Ok));
    world.pass(10_000).await;
    world.until("removed").await;
    assert_eq!(
        world.told_since(),
        ["started", "finished ok, next 20", "removed"]
    );
    assert_eq!((world.job(&delete), world.log(&delete).len()), (None, 1));
    world.outcomes([Outcome::error("no luck")]);
    world.pass(10_000).await;
    assert_eq!(world.told_since(), ["started", "finished error"]);
    let failed = world.job(&fail).unwrap();
    assert!(failed.enabled && failed.state.next_run_at_ms.is_none());
    assert_eq!(failed.state.last_error.as_deref(), Some("no luck"));
    world.pass(3_600_000).await;
    assert_eq!(world.began(), [15, 25, 35], "never again");
    // Neither a rename nor switching it off and on brings the moment back; another moment does.
    world
        .update(&fail, json!({"name": "renamed"}))
        .await
        .unwrap();
    world
        .update(&fail, json!({"enabled": false}))
        .await
        .unwrap();
    world.update(&fail, json!({"enabled": true})).await.unwrap();
    assert_eq!(world.next(&fail), None);
    world.update(&fail, at(4_000)).await.unwrap();
    assert_eq!(world.next(&fail), Some(4_000));
    // By hand in any case.
    assert!(world.cron.run(&keep, CronRunMode::Force).await.unwrap());
    assert_eq!(world.log(&keep).len(), 2);
}

#[tokio::test]
async fn a_moment_that_has_passed_is_due_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(dir.path()).await;
    let past = json!({"schedule": {"kind": "at", "atMs": 1000}});
    let id = world.add("past", past).await.id;
    world.pass(0).await;
    world.pass(0).await;
    assert_eq!(
        (world.began(), world.job(&id).unwrap().enabled),
        (vec![0], false)
    );
}

#[tokio::test]
async fn runs_by_hand() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(dir.path()).await;
    let id = world.add("a", json!({"enabled": false})).await.id;
    assert!(!world.cron.run(&id, CronRunMode::Due).await.unwrap());
    assert!(world.cron.run(&id, CronRunMode::Force).await.unwrap());
    world.update(&id, json!({"enabled": true})).await.unwrap();
    assert!(
        !world.cron.run(&id, CronRunMode::Due).await.unwrap(),
        "not yet due"
    );
    world.clock.advance(10_000);
    assert!(world.cron.run(&id, CronRunMode::Force).await.unwrap());
    assert_eq!(world.next(&id), Some(60), "the schedule stays");
    world.clock.advance(55_000);
    assert!(world.cron.run(&id, CronRunMode::Due).await.unwrap());
    assert_eq!(world.next(&id), Some(120));
    world.pass(0).await;
    assert_eq!(world.began(), [0, 10, 65], "the due time has been served");
    let unknown = world
        .cron
        .run("nope", CronRunMode::Force)
        .await
        .unwrap_err();
    assert_eq!(
        *unknown.shape().message,
        *"Error: unknown cron job id: nope"
    );
}

#[tokio::test]
async fn one_run_of_a_job_at_a_time_and_times_that_passed_meanwhile_are_this_runs() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let world = World::over(store, Arc::new(ManualClock::new(START))).await;
    let id = world.add("a", json!({})).await.id;
    world.clock.advance(MINUTE);
    world.cron.run_due().await;
    world.have_begun(1).await;
    assert_eq!(
        world.job(&id).unwrap().state.running_at_ms,
        Some(START + MINUTE)
    );
    world.clock.advance(3 * MINUTE);
    world.cron.run_due().await;
    assert!(!world.cron.run(&id, CronRunMode::Force).await.unwrap());
    assert_eq!(
        world.cron.status().next_wake_at_ms,
        None,
        "nothing to wake for"
    );
    world.open_gate();
    world.ended(1).await;
    assert_eq!((world.began(), world.next(&id)), (vec![60], Some(300)));
    assert_eq!(
        world.job(&id).unwrap().state.last_duration_ms,
        Some(3 * MINUTE)
    );
}

#[tokio::test]
async fn a_job_that_is_changed_or_removed_while_it_runs() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let world = World::over(store, Arc::new(ManualClock::new(START))).await;
    let [changed, removed] = [
        world.add("c", json!({})).await.id,
        world.add("r", json!({})).await.id,
    ];
    world.clock.advance(MINUTE);
    world.cron.run_due().await;
    world.have_begun(2).await;
    world
        .update(&changed, json!({"enabled": false}))
        .await
        .unwrap();
    assert_eq!(world.job(&changed).unwrap().state, Default::default());
    assert!(world.cron.remove(&removed).await.unwrap());
    assert!(!world.cron.remove(&removed).await.unwrap());
    world.told_since();
    world.open_gate();
    world.ended(2).await;
    assert_eq!(world.told_since(), ["finished ok", "finished ok"]);
    assert_eq!(
        (world.log(&changed).len(), world.log(&removed).len()),
        (1, 1)
    );
    let job = world.job(&changed).unwrap();
    assert!(!job.enabled && job.state.next_run_at_ms.is_none() && job.state.last_status.is_some());
    assert_eq!(world.job(&removed), None);
}

#[tokio::test]
async fn changes_keep_the_schedule_unless_it_is_what_changes() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(dir.path()).await;
    let id = world
        .add("a", json!({"description": " d ", "agentId": "ops"}))
        .await
        .id;
    world.clock.advance(30_000);
    let check = async |patch: Value, next: Option<u64>| {
        let job = world.update(&id, patch.clone()).await.unwrap();
        assert_eq!(world.next(&id), next, "{patch}");
        job
    };
    check(json!({"name": " b "}), Some(60)).await;
    check(
        json!({"state": {"nextRunAtMs": 1, "runningAtMs": 1, "lastStatus": "ok"}}),
        Some(60),
    )
    .await;
    check(
        json!({"schedule": {"kind": "every", "everyMs": MINUTE}}),
        Some(60),
    )
    .await;
    check(
        json!({"schedule": {"kind": "every", "everyMs": 2 * MINUTE}}),
        Some(150),
    )
    .await;
    check(json!({"enabled": false}), None).await;
    world.clock.advance(30_000);
    check(json!({"enabled": true}), Some(180)).await;
    let job = check(json!({"agentId": null, "description": " "}), Some(180)).await;
    assert_eq!(
        (job.name.as_str(), job.agent_id, job.description),
        ("b", None, None)
    );
    assert_eq!(job.state.last_status, Some(CronRunStatus::Ok));
}

#[tokio::test]
async fn payloads_are_merged_within_their_kind_and_complete_in_another() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(dir.path()).await;
    let id = world.add("a", json!({})).await.id;
    let check = async |patch: Value, expected: Result<Value, &str>| {
        let outcome = world.update(&id, patch.clone()).await;
        let outcome = outcome
            .map(|job| json!(job.payload))
            .map_err(|error| error.shape().message.to_string());
        assert_eq!(outcome, expected.map_err(str::to_owned), "{patch}");
    };
    let main = "Error: main cron jobs require payload.kind=\"systemEvent\"";
    let isolated = "Error: isolated cron jobs require payload.kind=\"agentTurn\"";
    check(
        json!({"payload": {"kind": "systemEvent"}}),
        Ok(json!({"kind": "systemEvent", "text": "t"})),
    )
    .await;
    check(
        json!({"payload": {"kind": "agentTurn"}}),
        Err("Error: cron.update payload.kind=\"agentTurn\" requires message"),
    )
    .await;
    check(
        json!({"payload": {"kind": "agentTurn", "message": "m"}}),
        Err(main),
    )
    .await;
    check(json!({"sessionTarget": "isolated"}), Err(isolated)).await;
    check(
        json!({"sessionTarget": "isolated", "payload": {"kind": "agentTurn", "message": "m", "model": "a/b", "deliver": true}}),
        Ok(json!({"kind": "agentTurn", "message": "m", "model": "a/b", "deliver": true})),
    )
    .await;
    check(
        json!({"payload": {"kind": "agentTurn", "deliver": false, "to": "x"}}),
        Ok(json!({"kind": "agentTurn", "message": "m", "model": "a/b", "deliver": false, "to": "x"})),
    )
    .await;
    check(
        json!({"payload": {"kind": "systemEvent"}}),
        Err("Error: cron.update payload.kind=\"systemEvent\" requires text"),
    )
    .await;
    check(json!({"name": "  "}), Err("Error: a cron job needs a name")).await;
    let cron = |expr: &str, tz: &str| json!({"schedule": {"kind": "cron", "expr": expr, "tz": tz}});
    check(
        cron("not cron", "UTC"),
        Err("TypeError: CronPattern: invalid configuration format ('not cron'), exactly five or six space separated parts are required."),
    )
    .await;
    check(
        cron("* * * * *", "Mars/Base"),
        Err("RangeError: Invalid time zone specified: Mars/Base"),
    )
    .await;
    let bad = world
        .update(&id, cron("61 * * * *", "UTC"))
        .await
        .unwrap_err()
        .shape();
    assert!(
        bad.message.starts_with("TypeError: CronPattern: "),
        "{bad:?}"
    );
}

#[tokio::test]
async fn lists_and_status() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(dir.path()).await;
    world.add("hour", at(3600)).await;
    world.add("off", json!({"enabled": false})).await;
    world.add("minute", json!({})).await;
    let names = |all: bool| -> Vec<String> {
        world
            .cron
            .list(all)
            .iter()
            .map(|job| job.name.to_string())
            .collect()
    };
    assert_eq!(names(false), ["minute", "hour"]);
    assert_eq!(names(true), ["off", "minute", "hour"]);
    let status = world.cron.status();
    assert_eq!(
        (
            status.enabled,
            status.jobs,
            status.next_wake_at_ms,
            status.store_path.as_str()
        ),
        (true, 3, Some(START + MINUTE), "/state/cron/jobs.json")
    );
}

#[tokio::test]
async fn a_run_that_panics_is_an_error_like_others() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(dir.path()).await;
    let id = world.add("a", json!({})).await.id;
    world.outcomes([Outcome::ok(Some("panic".into()))]);
    world.pass(MINUTE).await;
    world.pass(MINUTE).await;
    let log = world.log(&id);
    assert_eq!(
        (log[0].0, log[1].0),
        (CronRunStatus::Error, CronRunStatus::Ok)
    );
}

#[tokio::test]
async fn jobs_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(dir.path()).await;
    let mut last = None;
    for n in 0..MAX_JOBS {
        last = Some(
            world
                .add(&n.to_string(), json!({"enabled": false}))
                .await
                .id,
        );
    }
    let refused = world
        .cron
        .add(job("one more", json!({})))
        .await
        .unwrap_err();
    assert_eq!(
        *refused.shape().message,
        *format!("Error: there are {MAX_JOBS} cron jobs already; remove some first")
    );
    world.cron.remove(&last.unwrap()).await.unwrap();
    world.add("one more", json!({})).await;
}

#[tokio::test]
async fn runs_at_a_time_are_bounded_and_the_oldest_due_come_first() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let world = World::over(store, Arc::new(ManualClock::new(START))).await;
    let count = MAX_RUNNING + 1;
    for n in 0..count {
        world.add(&n.to_string(), at((count - n) as u64)).await;
    }
    world.clock.advance(MINUTE);
    let pause = world.cron.run_due().await;
    assert!(
        pause > Duration::ZERO,
        "the end of a run wakes the scheduler"
    );
    world.cron.run_due().await;
    let began = |world: &World| -> Vec<String> {
        world
            .told
            .began
            .borrow()
            .iter()
            .map(|(name, _)| name.clone())
            .collect()
    };
    world.have_begun(MAX_RUNNING).await;
    let first: Vec<String> = (1..count).rev().map(|n| n.to_string()).collect();
    let mut begun = began(&world);
    // Begun one after another; which of them the worker's thread takes first is its own affair.
    begun.sort();
    let mut expected = first;
    expected.sort();
    assert_eq!(begun, expected);
    world.told.gate.add_permits(1);
    world.ended(1).await;
    world.cron.run_due().await;
    world.have_begun(count).await;
    assert_eq!(began(&world).last().unwrap(), "0");
}

#[tokio::test]
async fn a_scheduler_that_is_off_runs_by_hand_only() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(dir.path()).await;
    let cron = Cron::open(Parts {
        store: world.store.clone(),
        clock: world.clock.clone(),
        events: world.events.clone(),
        worker: Arc::new(world.told.clone()),
        work: tokio::runtime::Handle::current(),
        enabled: false,
        store_path: String::new(),
    })
    .await
    .unwrap();
    let id = cron.add(job("a", json!({}))).await.unwrap().id;
    world.clock.advance(MINUTE);
    cron.run_due().await;
    assert!(world.began().is_empty());
    let status = cron.status();
    assert_eq!(
        (status.enabled, status.jobs, status.next_wake_at_ms),
        (false, 1, None)
    );
    assert!(cron.run(&id, CronRunMode::Due).await.unwrap());
}
