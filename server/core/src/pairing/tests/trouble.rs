//! Several at once, callers that leave, and a disk that is damaged or fails.

use futures_util::FutureExt as _;

use super::*;

#[tokio::test]
async fn connects_of_one_new_device_at_once_are_one_approval() {
    let bench = Bench::new();
    let ask = local(1, &["a"]);
    let writes = bench.store.stats().writes;
    let outcomes =
        futures_util::future::join_all((0..16).map(|_| bench.pairing.commit(ask.clone()))).await;
    let mut tokens = Vec::new();
    let mut approvals = 0;
    for outcome in outcomes {
        let Ok(Outcome::Granted { grant, resolved }) = outcome else {
            panic!("{outcome:?}")
        };
        tokens.push(grant.token);
        approvals += resolved.len();
    }
    assert!(tokens.iter().all(|token| *token == tokens[0]));
    assert_eq!((approvals, bench.store.stats().writes - writes), (1, 1));

    let asked =
        futures_util::future::join_all((0..16).map(|_| bench.pairing.commit(remote(2, &["a"]))))
            .await;
    let asked: Vec<_> = asked
        .into_iter()
        .map(|outcome| match outcome {
            Ok(Outcome::Waiting {
                request_id,
                requested,
            }) => (request_id, requested.is_some()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(asked.iter().all(|(id, _)| *id == asked[0].0));
    assert_eq!(asked.iter().filter(|(_, new)| *new).count(), 1);
}

#[tokio::test]
async fn a_change_ends_although_the_connection_is_gone() {
    let bench = Bench::new();
    let ask = local(1, &["a"]);
    // Polled once, so that the change is under way, and dropped.
    assert_eq!(
        bench.pairing.commit(ask.clone()).now_or_never().map(|_| ()),
        None
    );
    let writes = bench.store.stats().writes;
    // The next in line sees what it left.
    let grant = bench.pairing.commit(ask.clone()).await.unwrap();
    assert!(matches!(grant, Outcome::Granted { resolved, .. } if resolved.is_empty()));
    assert!(bench.store.stats().writes <= writes + 1);
}

#[tokio::test]
async fn damaged_records_lose_their_pairing_and_nothing_else() {
    let bench = Bench::new();
    let (good, bad) = (local(1, &["a"]), local(2, &["a"]));
    let grant = bench.grant(&good).await;
    bench.grant(&bad).await;
    let key = bad.device.id().to_owned();
    bench
        .store
        .write(move |writer| {
            writer.put(Table::Devices, key.as_bytes(), "junk")?;
            writer.put(Table::PendingPairings, b"x", &[1, 2])
        })
        .await
        .unwrap();
    let bench = bench.restart();
    assert_eq!(bench.pairing.decide(&good), Decision::Granted(grant));
    assert_eq!(
        bench.pairing.decide(&remote(2, &["a"])),
        Decision::Undecided
    );
    bench.grant(&bad).await;
    let bench = bench.restart();
    assert!(matches!(bench.pairing.decide(&bad), Decision::Granted(_)));
}

#[tokio::test]
async fn nothing_is_granted_that_is_not_on_disk() {
    let bench = Bench::new();
    let paired = local(1, &["a"]);
    let grant = bench.grant(&paired).await;
    bench.store.close();
    for ask in [local(2, &["a"]), local(1, &["b"]), remote(3, &["a"])] {
        let refused = bench.pairing.commit(ask.clone()).await;
        assert!(
            matches!(refused, Err(PairingError::Store(StoreError::Closed))),
            "{refused:?}"
        );
        assert_eq!(bench.pairing.decide(&ask), Decision::Undecided);
    }
    let refused = bench
        .pairing
        .revoke(paired.device.id(), Role::Operator, Actor::default())
        .await;
    assert!(matches!(refused, Err(PairingError::Store(_))));
    // What was granted before still works.
    assert_eq!(bench.pairing.decide(&paired), Decision::Granted(grant));
    let touched = Ask {
        by_device_token: true,
        ..paired
    };
    bench.grant(&touched).await;
    assert!(bench.pairing.flush().await.is_err());
    assert!(
        bench.pairing.flush().await.is_err(),
        "what could not be written stays marked"
    );
}
