//! The stories of the recordings `device-*`, and what goes beside them.

use futures_util::FutureExt as _;

use super::*;

#[tokio::test]
async fn a_local_device_is_paired_silently_and_keeps_its_token() {
    let bench = Bench::new();
    let ask = local(1, &["operator.write", "operator.read"]);
    assert_eq!(bench.pairing.decide(&ask), Decision::Undecided);
    let outcome = bench.pairing.commit(ask.clone()).await.unwrap();
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
    assert_eq!(bench.pairing.decide(&ask), Decision::Granted(grant.clone()));
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
    let (device, resolved) = bench.pairing.approve(&id).await.unwrap();
    assert_eq!(device.scopes, ["operator.read", "operator.write"]);
    assert_eq!(
        resolved
            .iter()
            .map(|resolved| &resolved.request_id)
            .collect::<Vec<_>>(),
        [&id]
    );
    assert!(matches!(
        bench.pairing.approve(&id).await,
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
    let (device, _) = bench.pairing.approve(&id).await.unwrap();
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
async fn tokens_open_their_device_role_and_scopes_only() {
    let bench = Bench::new();
    let ask = local(1, &["a", "b"]);
    let token = bench.grant(&ask).await.token;
    let node = Ask {
        role: Role::Node,
        ..local(1, &[])
    };
    let node_token = bench.grant(&node).await.token;
    assert_ne!(token, node_token);
    let cases = [
        (local(1, &["a", "b"]), &token, true),
        (remote(1, &["b"]), &token, true),
        (remote(1, &[]), &token, true),
        (remote(1, &["a", "c"]), &token, false),
        (node.clone(), &token, false),
        (node, &node_token, true),
        (remote(1, &[]), &node_token, false),
        (remote(2, &[]), &token, false),
    ];
    for (ask, token, opens) in cases {
        assert_eq!(bench.accepts(&ask, token), opens, "{ask:?}");
    }
    for shown in [
        "",
        "tok",
        &token.expose()[..31],
        &token.expose().to_uppercase(),
    ] {
        assert!(!bench.accepts(&ask, &SecretString::new(shown)));
    }
}

#[tokio::test]
async fn revoked_and_rotated_tokens() {
    let bench = Bench::new();
    let ask = local(1, &["a"]);
    let first = bench.grant(&ask).await;
    bench.clock.advance(5);
    assert_eq!(
        bench
            .pairing
            .revoke(ask.device.id(), Role::Operator, Actor::default())
            .await
            .unwrap(),
        START + 5
    );
    let bench = bench.restart();
    assert!(!bench.accepts(&ask, &first.token));

    // Odd 8: with the shared secret it comes in all the same and gets a new one.
    let second = bench.grant(&remote(1, &["a"])).await;
    assert_eq!(second.issued_at_ms, START + 5);
    assert!(bench.accepts(&ask, &second.token) && !bench.accepts(&ask, &first.token));

    bench.clock.advance(5);
    let third = bench
        .pairing
        .rotate(ask.device.id(), Role::Operator, None, Actor::default())
        .await
        .unwrap();
    assert_eq!(
        (third.issued_at_ms, &third.scopes),
        (START + 10, &texts(&["a"]))
    );
    assert!(bench.accepts(&ask, &third.token) && !bench.accepts(&ask, &second.token));
    assert_eq!(bench.grant(&ask).await, third);

    let id = ask.device.id();
    for (device, role, scopes) in [
        ("unknown", Role::Operator, None),
        (id, Role::Node, None),
        (id, Role::Operator, Some(texts(&["b"]))),
    ] {
        let refused = bench
            .pairing
            .rotate(device, role, scopes, Actor::default())
            .await;
        assert!(
            matches!(refused, Err(PairingError::UnknownDevice)),
            "{refused:?}"
        );
    }
    for (device, role) in [("unknown", Role::Operator), (id, Role::Node)] {
        assert!(matches!(
            bench.pairing.revoke(device, role, Actor::default()).await,
            Err(PairingError::UnknownDevice)
        ));
    }
    assert!(bench.accepts(&ask, &third.token));
}

/// Two programs on one device that ask for different scopes must not take turns in revoking each other's token (P9).
#[tokio::test]
async fn programs_with_different_scopes_settle_on_one_token() {
    let bench = Bench::new();
    bench.grant(&local(1, &["a"])).await;
    bench.grant(&local(1, &["b"])).await;
    let both = bench.grant(&local(1, &["a"])).await;
    assert_eq!(both.scopes, ["a", "b"]);
    for scopes in [["b"], ["a"], ["b"]] {
        assert_eq!(
            bench.pairing.decide(&local(1, &scopes)),
            Decision::Granted(both.clone())
        );
    }
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
async fn no_token_lies_on_disk_in_clear() {
    let bench = Bench::new();
    let mut tokens = Vec::new();
    for n in 0..4 {
        tokens.push(bench.grant(&local(n, &["a"])).await.token);
    }
    let mut stored = String::new();
    bench
        .store
        .read(|reader| {
            reader.scan(Table::Devices, b"", |_, record: serde_json::Value| {
                stored.push_str(&record.to_string());
                std::ops::ControlFlow::Continue(())
            })
        })
        .unwrap();
    for token in tokens {
        assert!(!stored.contains(token.expose()));
    }
    assert!(!format!("{:?}", bench.pairing.list()).is_empty());
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

#[tokio::test]
async fn operators_are_told_of_every_request_and_how_it_ended() {
    let bench = Bench::new();
    let (asked, _) = bench.wait(&remote(1, &["a"])).await;
    bench.wait(&remote(1, &["a"])).await;
    assert_eq!(bench.told(), [format!("requested {asked}")], "once");
    bench.pairing.approve(&asked).await.unwrap();
    assert_eq!(bench.told(), [format!("approved {asked}")]);
    let (more, _) = bench.wait(&remote(1, &["b"])).await;
    bench.pairing.reject(&more).await.unwrap();
    assert_eq!(
        bench.told(),
        [format!("requested {more}"), format!("rejected {more}")]
    );
    assert!(bench.pairing.approve(&more).await.is_err());
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

#[tokio::test]
async fn connections_end_with_the_token_that_opened_them() {
    let bench = Bench::new();
    let ask = local(1, &["a"]);
    bench.grant(&ask).await;
    bench.told();
    let id = ask.device.id();
    let by = |scopes: Option<&[&str]>| Actor {
        scopes: scopes.map(texts),
        conn_id: Some("own".into()),
    };
    bench
        .pairing
        .rotate(id, Role::Operator, None, Actor::default())
        .await
        .unwrap();
    bench
        .pairing
        .revoke(id, Role::Operator, by(Some(&[])))
        .await
        .unwrap();
    assert_eq!(
        bench.told(),
        [
            format!("dismissed {id} operator but None"),
            format!("dismissed {id} operator but Some(\"own\")"),
        ]
    );
    // A token is shown to who has it made, so nobody gets scopes in that way that they have not (odd 7).
    for (scopes, held, given) in [
        (None, Some(&["b"][..]), false),
        (Some(texts(&["a"])), Some(&["b"][..]), false),
        (Some(vec![]), Some(&["b"][..]), true),
        (Some(texts(&["a"])), Some(&["b", "a"][..]), true),
        (None, None, true),
    ] {
        let rotated = bench
            .pairing
            .rotate(id, Role::Operator, scopes.clone(), by(held))
            .await;
        match rotated {
            Ok(_) => assert!(given, "{scopes:?} {held:?}"),
            Err(PairingError::NotYours(scope)) => assert!(!given && scope == "a"),
            Err(error) => panic!("{error}"),
        }
        assert_eq!(bench.told().len(), usize::from(given));
    }
    assert!(
        bench
            .pairing
            .revoke(id, Role::Node, Actor::default())
            .await
            .is_err()
    );
    assert!(bench.told().is_empty());
}
