//! Requests and their answers, of one stage and of two.

use std::time::Duration;

use openclaw_protocol::protocol::errors;
use openclaw_protocol::types::{
    AgentParams, CronJobPatch, CronUpdateParams, HealthParams, HealthSummary, HelloOk,
};
use serde_json::{Value, json};

use crate::client::Stages;
use crate::config::{CALL_TIMEOUT, FINAL_TIMEOUT};
use crate::fake::{FakeGateway, Peer, both, error, example, gateway, hello, seconds};
use crate::{CallError, Client, Disconnect, GatewayCalls as _, Staging};

/// A client, its connection seen from the gateway, and the gateway. No ticks are due while calls
/// wait.
async fn connected() -> (Client, Peer, FakeGateway) {
    connected_with(|_| {}).await
}

async fn connected_with(change: impl FnOnce(&mut HelloOk)) -> (Client, Peer, FakeGateway) {
    let (mut gateway, config) = gateway();
    let mut hello = hello();
    hello.policy.tick_interval_ms = 3_600_000;
    change(&mut hello);
    let (client, peer) = both(Client::connect(config), gateway.admit_with(hello)).await;
    (client.unwrap(), peer, gateway)
}

fn agent_params() -> AgentParams {
    AgentParams::new("hello".try_into().unwrap(), "run-1".try_into().unwrap())
}

/// Answers nothing, for as long as the client waits.
async fn silent(peer: &mut Peer) {
    loop {
        peer.next().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_typed_call_brings_a_typed_result() {
    let (client, mut peer, _gateway) = connected().await;
    let params = HealthParams::default();
    let (health, ()) = both(client.health(&params), async {
        let (id, method, params) = peer.request().await;
        assert_eq!((&*method, params), ("health", json!({})));
        peer.answer(&id, &example("HealthSummary")).await;
    })
    .await;
    let expected: HealthSummary = serde_json::from_value(example("HealthSummary")).unwrap();
    assert_eq!(health.unwrap(), expected);
}

/// The gateway takes older forms, too; the typed call takes the strict one.
#[tokio::test(start_paused = true)]
async fn a_cron_call_takes_the_strict_type() {
    let (client, mut peer, _gateway) = connected().await;
    let mut params = CronUpdateParams::new(CronJobPatch {
        enabled: Some(false),
        ..CronJobPatch::default()
    });
    params.id = Some("j-1".try_into().unwrap());
    let (job, ()) = both(client.cron_update(&params), async {
        let (id, method, params) = peer.request().await;
        let sent = json!({"id": "j-1", "patch": {"enabled": false}});
        assert_eq!((&*method, params), ("cron.update", sent));
        peer.answer(&id, &example("CronJob")).await;
    })
    .await;
    assert_eq!(json!(job.unwrap()), example("CronJob"));
}

#[tokio::test(start_paused = true)]
async fn answers_find_their_calls_in_any_order() {
    let (client, mut peer, _gateway) = connected().await;
    let calls = ["a", "b", "c"].map(|method| {
        let client = client.clone();
        async move {
            client
                .request(method, &json!({}))
                .await
                .unwrap()
                .to_string()
        }
    });
    let (answers, ()) = both(futures_util::future::join_all(calls), async {
        let mut requests = Vec::new();
        for _ in 0..3 {
            requests.push(peer.request().await);
        }
        peer.answer("unknown", &json!("nobody")).await;
        peer.text("no JSON").await;
        for (id, method, _) in requests.iter().rev() {
            peer.answer(id, &json!(method)).await;
            peer.answer(id, &json!("once more")).await;
        }
    })
    .await;
    assert_eq!(answers, [r#""a""#, r#""b""#, r#""c""#]);
}

#[tokio::test(start_paused = true)]
async fn refusals_carry_the_gateways_error_and_what_came_beside_it() {
    let (client, mut peer, _gateway) = connected().await;
    let refusal = error(&errors::CHAT_MESSAGE_REQUIRED);
    for beside in [None, Some(json!({"status": "error"}))] {
        let params = json!({});
        let (outcome, ()) = both(client.request("chat.send", &params), async {
            let (id, ..) = peer.request().await;
            peer.fail(&id, &refusal, beside.clone()).await;
        })
        .await;
        match outcome {
            Err(CallError::Refused { error, payload }) => {
                assert_eq!(*error, refusal);
                let payload = payload.map(|p| serde_json::from_str::<Value>(p.get()).unwrap());
                assert_eq!(payload, beside);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn answers_that_make_no_sense_are_errors() {
    let (client, mut peer, _gateway) = connected().await;
    let params = HealthParams::default();
    for frame in [
        json!({"type": "res", "ok": true, "payload": {"ok": "yes"}}),
        json!({"type": "res", "ok": true}),
        json!({"type": "res", "ok": false}),
    ] {
        let (outcome, ()) = both(client.health(&params), async {
            let (id, ..) = peer.request().await;
            let mut frame = frame.clone();
            frame["id"] = json!(id);
            peer.send(&frame).await;
        })
        .await;
        let error = outcome.unwrap_err();
        assert!(
            matches!(error, CallError::BadAnswer { .. }),
            "{frame}: {error:?}"
        );
        assert!(error.to_string().starts_with("health: "), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_without_an_answer_ends_in_time_and_its_answer_is_ignored() {
    let (client, mut peer, _gateway) = connected().await;
    let short = client.with_call_timeout(Duration::from_secs(5));
    for (client, limit) in [(&client, CALL_TIMEOUT.as_secs_f64()), (&short, 5.0)] {
        let mut late = String::new();
        let params = json!({});
        let ((outcome, waited), ()) = both(seconds(client.request("status", &params)), async {
            late = peer.request().await.0;
        })
        .await;
        let error = outcome.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("status: no answer within {limit} s")
        );
        assert_eq!(waited, limit);
        peer.answer(&late, &json!(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn requests_are_held_to_the_gateways_limit() {
    let (client, mut peer, _gateway) = connected_with(|hello| hello.policy.max_payload = 200).await;
    // Whatever surrounds the text in the frame; the ids of both calls have one digit.
    let around = crate::wire::request("1", "m", "").unwrap().len();
    let fits = "x".repeat(200 - around);
    let (outcome, ()) = both(client.request("m", &fits), async {
        let (id, ..) = peer.request().await;
        peer.answer(&id, &json!(null)).await;
    })
    .await;
    assert_eq!(outcome.unwrap().get(), "null");
    let error = client.request("m", &format!("{fits}x")).await.unwrap_err();
    assert!(
        matches!(
            error,
            CallError::TooBig {
                size: 201,
                limit: 200
            }
        ),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn params_that_cannot_be_json_are_an_error() {
    let (client, _peer, _gateway) = connected().await;
    let params = std::collections::HashMap::from([((1, 2), 3)]);
    let error = client.request("m", &params).await.unwrap_err();
    assert!(matches!(error, CallError::BadParams { .. }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_staged_call_brings_the_first_answer_and_then_the_last() {
    let (client, mut peer, _gateway) = connected().await;
    let params = agent_params();
    let (staging, id) = both(client.agent(&params), async {
        let (id, method, _) = peer.request().await;
        assert_eq!(method, "agent");
        peer.answer(&id, &example("AgentAccepted")).await;
        id
    })
    .await;
    let Staging::Running { first, last } = staging.unwrap() else {
        panic!("it has not ended");
    };
    assert_eq!(&*first.run_id, "run-1");
    let (last, ()) = both(last, async {
        peer.answer(&id, &example("AgentFinal")).await;
    })
    .await;
    assert_eq!(json!(last.unwrap()), example("AgentFinal"));
}

#[tokio::test(start_paused = true)]
async fn a_repeated_key_brings_the_last_answer_at_once() {
    let (client, mut peer, _gateway) = connected().await;
    let params = agent_params();
    let (staging, ()) = both(client.agent(&params), async {
        let (id, ..) = peer.request().await;
        peer.answer(&id, &example("AgentFinal")).await;
    })
    .await;
    match staging.unwrap() {
        Staging::Ended(last) => assert_eq!(json!(last), example("AgentFinal")),
        Staging::Running { .. } => panic!("it has ended"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_staged_call_can_fail_in_either_stage() {
    let (client, mut peer, _gateway) = connected().await;
    let params = agent_params();
    let refusal = error(&errors::SEND_BLOCKED);

    let (staging, ()) = both(client.agent(&params), async {
        let (id, ..) = peer.request().await;
        peer.fail(&id, &refusal, None).await;
    })
    .await;
    assert!(matches!(staging, Err(CallError::Refused { .. })));

    let (staging, id) = both(client.agent(&params), async {
        let (id, ..) = peer.request().await;
        peer.answer(&id, &example("AgentAccepted")).await;
        id
    })
    .await;
    let Ok(Staging::Running { last, .. }) = staging else {
        panic!("it has begun");
    };
    let beside = example("AgentFailure");
    let (last, ()) = both(last, peer.fail(&id, &refusal, Some(beside.clone()))).await;
    match last {
        Err(CallError::Refused { error, payload }) => {
            assert_eq!(*error, refusal);
            let payload: Value = serde_json::from_str(payload.unwrap().get()).unwrap();
            assert_eq!(payload, beside);
        }
        other => panic!("{other:?}"),
    }
}

/// A staged call of which the first answer has come.
async fn begun(client: &Client, peer: &mut Peer) -> (Stages, String) {
    let params = agent_params();
    let (stages, id) = both(client.request_staged("agent", &params), async {
        let (id, ..) = peer.request().await;
        peer.answer(&id, &example("AgentAccepted")).await;
        id
    })
    .await;
    (stages.unwrap(), id)
}

#[tokio::test(start_paused = true)]
async fn a_last_answer_that_does_not_come_ends_in_time() {
    let (client, mut peer, _gateway) = connected().await;
    let short = client.with_final_timeout(Duration::from_secs(7));
    for (client, limit) in [(&client, FINAL_TIMEOUT.as_secs_f64()), (&short, 7.0)] {
        let (stages, _) = begun(client, &mut peer).await;
        let (outcome, waited) = seconds(stages.last).await;
        assert!(matches!(outcome, Err(CallError::Timeout { .. })));
        assert_eq!(waited, limit);
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_connection_ends_calls_in_either_stage() {
    let (client, mut peer, _gateway) = connected().await;
    let (stages, _) = begun(&client, &mut peer).await;
    let params = json!({});
    let gone = Disconnect::ByGateway {
        code: Some(1012),
        reason: "service restart".to_owned(),
    };
    let ((first, last), ()) = both(
        async { tokio::join!(client.request("status", &params), stages.last) },
        async {
            peer.request().await;
            peer.close(1012, "service restart").await;
        },
    )
    .await;
    for outcome in [first, last] {
        match outcome {
            Err(CallError::Disconnected(cause)) => assert_eq!(cause, gone),
            other => panic!("{other:?}"),
        }
    }
    let error = client.request("status", &params).await.unwrap_err();
    assert!(matches!(error, CallError::NotConnected), "{error:?}");
    assert!(!client.is_connected());
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_does_not_read_lets_calls_time_out() {
    let (client, _peer, _gateway) = connected().await;
    let params = "x".repeat(100_000);
    let calls = (0..200).map(|_| client.request("m", &params));
    let (outcomes, waited) = seconds(futures_util::future::join_all(calls)).await;
    for outcome in outcomes {
        assert!(
            matches!(outcome, Err(CallError::Timeout { .. })),
            "{outcome:?}"
        );
    }
    assert_eq!(waited, CALL_TIMEOUT.as_secs_f64());
}

#[tokio::test(start_paused = true)]
async fn more_calls_than_may_wait_are_refused_at_once() {
    let (client, mut peer, _gateway) = connected().await;
    let params = json!({});
    let calls = (0..=crate::MAX_PENDING).map(|_| client.request("m", &params));
    let outcomes = tokio::select! {
        outcomes = futures_util::future::join_all(calls) => outcomes,
        () = silent(&mut peer) => unreachable!(),
    };
    let (refused, waited): (Vec<_>, Vec<_>) = outcomes
        .into_iter()
        .partition(|outcome| matches!(outcome, Err(CallError::TooMany { .. })));
    assert_eq!((refused.len(), waited.len()), (1, crate::MAX_PENDING));
}
