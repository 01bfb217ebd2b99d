//! `cron`.

use super::*;

#[tokio::test(start_paused = true)]
async fn tools_that_reach_nothing_are_not_offered() {
    let (world, told) = use_tools(json!({}), &[("cron", json!({"action": "status"}))]).await;
    assert_eq!(told, [("There is no tool \"cron\".".to_owned(), true)]);
    let _rest = rest(&world).await;
    let told = use_more(&world, &[("cron", json!({"action": "status"}))]).await;
    let status = json!({"nowMs": START, "enabled": true, "jobs": 0, "nextRunAtMs": null});
    assert_eq!(json_of(&told[0]), status);
}

#[tokio::test(start_paused = true)]
async fn an_agent_keeps_jobs_of_its_own() {
    let list = json!({"agents": {"list": [{"id": "main"}, {"id": "ops"}], "defaults": {"model": "mock/echo-1"}}});
    let world = World::configured(list, Vec::<Vec<Step>>::new()).await;
    let rest = rest(&world).await;
    let job = json!({"agentId": "ops", "name": "tea", "schedule": {"kind": "every", "everyMs": 60_000},
        "payload": {"kind": "systemEvent", "text": "make tea"}});
    let theirs = cron::new_job(job.clone()).unwrap();
    let theirs = rest.cron.add(theirs).await.unwrap();
    let add = json!({"action": "add", "job": job});
    let told = use_more(&world, &[("cron", add)]).await;
    let own = json_of(&told[0]);
    assert_eq!(
        (&own["agentId"], &own["enabled"]),
        (&json!("main"), &json!(true))
    );
    let id = own["id"].as_str().unwrap();
    let theirs = theirs.id.to_string();
    let bad = |text: &str| (text.to_owned(), true);
    let good = |text: &str| (text.to_owned(), false);
    let told = use_more(
        &world,
        &[
            ("cron", json!({"action": "update", "jobId": id, "patch": {"name": "coffee", "agentId": "ops"}})),
            ("cron", json!({"action": "list"})),
            ("cron", json!({"action": "run", "id": id, "mode": "due"})),
            ("cron", json!({"action": "run", "id": id})),
            ("cron", json!({"action": "update", "jobId": theirs, "patch": {"enabled": false}})),
            ("cron", json!({"action": "remove", "jobId": theirs})),
            ("cron", json!({"action": "run", "jobId": theirs})),
            ("cron", json!({"action": "runs", "jobId": theirs})),
            ("cron", json!({"action": "add", "job": {"name": "x"}})),
            ("cron", json!({"action": "add", "job": "x"})),
            ("cron", json!({"action": "fly"})),
            ("cron", json!({"action": "add"})),
        ],
    )
    .await;
    let changed = json_of(&told[0]);
    assert_eq!(
        (&changed["name"], &changed["agentId"]),
        (&json!("coffee"), &json!("main"))
    );
    let listed = json_of(&told[1]);
    assert_eq!(
        (listed.as_array().unwrap().len(), &listed[0]["id"]),
        (1, &json!(id))
    );
    assert_eq!(
        told[2],
        bad("It does not run: it is not due, or it is running already.")
    );
    assert_eq!(told[3], good("It runs now."));
    for refused in &told[4..8] {
        assert_eq!(*refused, bad("You have no such job."));
    }
    let missing = "invalid cron.add params: must have required property 'schedule'";
    assert!(told[8].1 && told[8].0.starts_with(missing), "{:?}", told[8]);
    assert_eq!(told[9], bad("The job is not a JSON object."));
    assert!(
        told[10].0.contains("unknown variant `fly`"),
        "{:?}",
        told[10]
    );
    assert!(told[11].0.contains("missing field `job`"), "{:?}", told[11]);
    // The run that was begun ends by itself; asked for without an end of it in sight, as models do.
    let told = loop {
        let told = use_more(
            &world,
            &[("cron", json!({"action": "runs", "jobId": id, "limit": 5}))],
        )
        .await;
        if json_of(&told[0]).as_array().unwrap().len() == 1 {
            break told;
        }
    };
    assert_eq!(json_of(&told[0])[0]["summary"], "did coffee");
    let told = use_more(
        &world,
        &[("cron", json!({"action": "remove", "jobId": id}))],
    )
    .await;
    assert_eq!(told, [good("Removed.")]);
    assert_eq!(rest.cron.list(true).len(), 1);
}
