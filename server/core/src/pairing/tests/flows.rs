//! The stories of the recordings `device-*`: from a connect to a decision, and what operators are told of it.

use futures_util::FutureExt as _;

use super::*;

#[tokio::test]
async fn a_local_device_is_paired_silently_and_keeps_its_token() {
    let bench = Bench::new();
    let ask = local(1, &["operator.write", "operator.read"]);
    assert_eq!(bench.pairing.decide(&ask), Decision::Undecided);
    let key = |bench: &Bench| bench.pairing.key(ask.device.id());
    assert_eq!(key(&bench), None);
    let outcome = bench.pairing.commit(ask.clone()).await.unwrap();
    assert_eq!(key(&bench), Some(*ask.device.key()));
    let Outcome::Granted { grant, resolved } = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(grant.role, Role::Operator);
    assert_eq!(grant.scopes, ["operator.read", "operator.write"]);
    assert_eq!(grant.issued_at_ms, START);
    assert!(
        grant.token.expose().len() == 32
            && grant
                .token
                .expose()
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    );
    let [
        Resolved {
            request_id,
            device_id,
            ts,
            ..
        },
    ] = &resolved[..]
    else {
        panic!("{resolved:?}")
    };
    assert_eq!(
        (request_id.len(), device_id.as_str(), *ts),
        (36, ask.device.id(), START)
    );

    // From now on no connect of it touches the disk, wherever it comes from.
    let writes = bench.store.stats().writes;
    bench.clock.advance(1_000);
    for scopes in [
        &["operator.read", "operator.write"][..],
        &["operator.read"],
        &[],
    ] {
        for ask in [local(1, scopes), remote(1, scopes)] {
            assert_eq!(bench.pairing.decide(&ask), Decision::Granted(grant.clone()));
        }
    }
    assert_eq!(bench.store.stats().writes, writes);

    let bench = bench.restart();
    assert_eq!(key(&bench), None, "kept in memory alone");
    assert_eq!(bench.pairing.decide(&ask), Decision::Granted(grant.clone()));
    assert_eq!(key(&bench), Some(*ask.device.key()));
    assert!(bench.accepts(&ask, &grant.token));
}

#[tokio::test]
async fn a_remote_device_waits_for_an_operator() {
    let bench = Bench::new();
    let ask = remote(1, &["operator.read", "operator.write"]);
    let (id, requested) = bench.wait(&ask).await;
    let requested = requested.unwrap();
    assert_eq!(requested.request_id, id);
    assert_eq!((requested.is_repair, requested.ts), (false, START));
    assert_eq!(requested.profile, ask.profile);

    // Asking again is silent and costs no write; the order of scopes is no difference.
    let writes = bench.store.stats().writes;
    assert_eq!(
        bench
            .wait(&remote(1, &["operator.write", "operator.read"]))
            .await,
        (id.clone(), None)
    );
    assert_eq!(bench.store.stats().writes, writes);
    // Other terms are another request: approving an id grants what the operator saw under it.
    let (other, requested) = bench.wait(&remote(1, &["operator.admin"])).await;
    assert!(other != id && requested.is_some());
    let (pending, paired) = bench.pairing.list();
    assert_eq!((pending.len(), paired.len()), (2, 0));

    let bench = bench.restart();
    let (device, resolved) = bench.pairing.approve(&id, Actor::default()).await.unwrap();
    assert_eq!(device.scopes, ["operator.read", "operator.write"]);
    assert_eq!(
        resolved
            .iter()
            .map(|resolved| &resolved.request_id)
            .collect::<Vec<_>>(),
        [&id]
    );
    assert!(matches!(
        bench.pairing.approve(&id, Actor::default()).await,
        Err(PairingError::UnknownRequest)
    ));
    assert!(matches!(
        bench.pairing.reject(&id).await,
        Err(PairingError::UnknownRequest)
    ));
    let grant = bench.grant(&ask).await;
    assert_eq!(grant.scopes, ["operator.read", "operator.write"]);

    // More than that is still not granted, and now a repair.
    assert_eq!(
        bench.wait(&remote(1, &["operator.admin"])).await,
        (other.clone(), None)
    );
    assert_eq!(
        bench.pairing.reject(&other).await.unwrap().device_id,
        ask.device.id()
    );
    let (again, requested) = bench.wait(&remote(1, &["operator.admin"])).await;
    assert!(again != other && requested.unwrap().is_repair);
}

#[tokio::test]
async fn scope_upgrade_replaces_the_token() {
    let bench = Bench::new();
    let narrow = bench.grant(&local(1, &["a"])).await;
    bench.clock.advance(10);
    let (id, _) = bench.wait(&remote(1, &["a", "b"])).await;
    assert!(
        bench.accepts(&remote(1, &["a"]), &narrow.token),
        "still good while it waits"
    );
    let (device, _) = bench.pairing.approve(&id, Actor::default()).await.unwrap();
    assert_eq!(
        (device.created_at_ms, device.approved_at_ms),
        (START, START + 10)
    );
    assert!(
        !bench.accepts(&remote(1, &["a"]), &narrow.token),
        "dies with the approval"
    );
    let wide = bench.grant(&remote(1, &["a", "b"])).await;
    assert_eq!(
        (wide.issued_at_ms, &wide.scopes),
        (START + 10, &texts(&["a", "b"]))
    );
    // The record is remembered with the narrower token's role only once.
    assert_eq!(device.roles, [Role::Operator]);
}

#[tokio::test]
async fn a_silent_approval_settles_what_it_answers() {
    let bench = Bench::new();
    let (asked, _) = bench.wait(&remote(1, &["a"])).await;
    let (more, _) = bench.wait(&remote(1, &["a", "b"])).await;
    let (others, _) = bench.wait(&remote(2, &["a"])).await;
    // Odd 6: a leftover request of a remote connection neither refuses a local one nor is granted by a remote one.
    let Outcome::Granted { resolved, .. } = bench.connect(&local(1, &["a"])).await else {
        panic!()
    };
    assert_eq!(
        resolved
            .iter()
            .map(|resolved| &resolved.request_id)
            .collect::<Vec<_>>(),
        [&asked]
    );
    let mut open: Vec<_> = bench
        .pairing
        .list()
        .0
        .into_iter()
        .map(|request| request.request_id)
        .collect();
    open.sort();
    let mut expected = vec![more, others];
    expected.sort();
    assert_eq!(open, expected);
    let bench = bench.restart();
    assert_eq!(bench.pairing.list().0.len(), 2);
}

#[tokio::test]
async fn an_optional_pairing_grants_nothing_new() {
    let bench = Bench::new();
    let optional = |ask: Ask| Ask {
        optional: true,
        ..ask
    };
    assert_eq!(
        bench.pairing.decide(&optional(local(1, &["a"]))),
        Decision::Unpaired
    );
    assert_eq!(
        bench
            .pairing
            .commit(optional(local(1, &["a"])))
            .await
            .unwrap(),
        Outcome::Unpaired
    );
    assert_eq!(bench.pairing.list(), (vec![], vec![]));
    let grant = bench.grant(&local(1, &["a"])).await;
    assert_eq!(
        bench.pairing.decide(&optional(remote(1, &["a"]))),
        Decision::Granted(grant)
    );
    assert_eq!(
        bench.pairing.decide(&optional(local(1, &["b"]))),
        Decision::Unpaired
    );
}

#[tokio::test]
async fn operators_are_told_of_every_request_and_how_it_ended() {
    let bench = Bench::new();
    let (asked, _) = bench.wait(&remote(1, &["a"])).await;
    bench.wait(&remote(1, &["a"])).await;
    assert_eq!(bench.told(), [format!("requested {asked}")], "once");
    bench
        .pairing
        .approve(&asked, Actor::default())
        .await
        .unwrap();
    assert_eq!(bench.told(), [format!("approved {asked}")]);
    let (more, _) = bench.wait(&remote(1, &["b"])).await;
    bench.pairing.reject(&more).await.unwrap();
    assert_eq!(
        bench.told(),
        [format!("requested {more}"), format!("rejected {more}")]
    );
    assert!(
        bench
            .pairing
            .approve(&more, Actor::default())
            .await
            .is_err()
    );
    assert!(bench.pairing.reject(&more).await.is_err());
    assert!(bench.told().is_empty(), "what is refused is not told");

    // Silent approvals are told too, with what they settle, and also when the client has left meanwhile.
    let (left, _) = bench.wait(&remote(2, &["a"])).await;
    assert!(
        bench
            .pairing
            .commit(local(2, &["a"]))
            .now_or_never()
            .is_none()
    );
    // Waits for the device's turn, and so for the change that nobody waits for.
    let id = remote(2, &[]).device;
    let refused = bench.pairing.rotate(
        id.id(),
        Role::Node,
        Some(texts(&["never"])),
        Actor::default(),
    );
    assert!(refused.await.is_err());
    assert_eq!(
        bench.told(),
        [format!("requested {left}"), format!("approved {left}")]
    );
}
