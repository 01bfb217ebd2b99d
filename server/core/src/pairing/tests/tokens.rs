//! Tokens: what they open, how they die, and where they do not lie.

use super::*;

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
        .revoke(id, Role::Operator, by(Some(&["a"])))
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
        // Fewer scopes are fine for whoever could take the old token away, and for nobody else.
        (Some(vec![]), Some(&["b"][..]), false),
        (Some(vec![]), Some(&["a"][..]), true),
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

#[tokio::test]
async fn who_admits_devices_makes_no_admin_and_removes_none() {
    let (read, write) = ("operator.read", "operator.write");
    let (pairing, approvals, admin) = ("operator.pairing", "operator.approvals", "operator.admin");
    for (asked, held, lacks) in [
        (&[read, write][..], Some(&[pairing][..]), None),
        (&[], Some(&[pairing]), None),
        (&[read, pairing], Some(&[pairing]), None),
        (&[read, approvals], Some(&[pairing]), Some(approvals)),
        (&[admin], Some(&[pairing]), Some(admin)),
        (&["x"], Some(&[pairing]), Some("x")),
        (&[approvals], Some(&[pairing, approvals]), None),
        (&[pairing], Some(&[]), Some(pairing)),
        (&[admin, approvals], None, None),
    ] {
        let bench = Bench::new();
        let actor = || Actor {
            scopes: held.map(texts),
            conn_id: None,
        };
        let check = |done: Result<(), PairingError>| match (done, lacks) {
            (Ok(()), None) => {}
            (Err(PairingError::NotYours(scope)), Some(lacks)) => assert_eq!(scope, lacks),
            (done, lacks) => panic!("{asked:?} by {held:?}: {done:?}, not {lacks:?}"),
        };
        let (id, _) = bench.wait(&remote(1, asked)).await;
        check(bench.pairing.approve(&id, actor()).await.map(drop));
        let (pending, paired) = bench.pairing.list();
        let expected = if lacks.is_none() { (0, 1) } else { (1, 0) };
        assert_eq!((pending.len(), paired.len()), expected);

        let ask = local(2, asked);
        let grant = bench.grant(&ask).await;
        let id = ask.device.id();
        let narrowed = bench
            .pairing
            .rotate(id, Role::Operator, Some(vec![]), actor());
        check(narrowed.await.map(drop));
        assert_eq!(bench.accepts(&ask, &grant.token), lacks.is_some());
        let grant = bench.grant(&ask).await;
        check(
            bench
                .pairing
                .revoke(id, Role::Operator, actor())
                .await
                .map(drop),
        );
        assert_eq!(bench.accepts(&ask, &grant.token), lacks.is_some());
    }
}
