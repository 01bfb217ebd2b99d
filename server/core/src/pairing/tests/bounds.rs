//! Bounds at N and N + 1, and many devices.

use super::*;

#[tokio::test]
async fn a_request_lives_from_when_it_was_last_asked_for() {
    let bench = Bench::new();
    let ask = remote(1, &["a"]);
    let (id, _) = bench.wait(&ask).await;
    for _ in 0..3 {
        bench.clock.advance(PENDING_TTL_MS);
        assert_eq!(bench.wait(&ask).await, (id.clone(), None));
    }
    bench.clock.advance(PENDING_TTL_MS + 1);
    assert_eq!(bench.pairing.list().0, []);
    assert!(matches!(
        bench.pairing.approve(&id, Actor::default()).await,
        Err(PairingError::UnknownRequest)
    ));
    assert!(matches!(
        bench.pairing.reject(&id).await,
        Err(PairingError::UnknownRequest)
    ));
    let (next, requested) = bench.wait(&ask).await;
    assert!(next != id && requested.is_some());
    // The dead one has made room.
    let bench = bench.restart();
    let stored = bench
        .store
        .read(|reader| reader.count(Table::PendingPairings, b""))
        .unwrap();
    assert_eq!(stored, 1);
}

#[tokio::test]
async fn requests_of_one_device_are_bounded() {
    let bench = Bench::new();
    let scopes: Vec<String> = (0..=MAX_PENDING_PER_DEVICE)
        .map(|n| format!("s{n}"))
        .collect();
    let mut ids = Vec::new();
    for scope in &scopes {
        bench.clock.advance(1);
        ids.push(bench.wait(&remote(1, &[scope])).await.0);
        let open = bench.pairing.list().0.len();
        assert_eq!(open, ids.len().min(MAX_PENDING_PER_DEVICE));
    }
    let open: Vec<_> = bench
        .pairing
        .list()
        .0
        .into_iter()
        .map(|request| request.request_id)
        .collect();
    assert!(
        !open.contains(&ids[0]),
        "the one longest not asked for went"
    );
    bench.wait(&remote(2, &["a"])).await;
    assert_eq!(
        bench.pairing.list().0.len(),
        MAX_PENDING_PER_DEVICE + 1,
        "others do not count"
    );
}

#[tokio::test]
async fn requests_are_bounded() {
    let bench = Bench::new();
    let mut first = String::new();
    for n in 0..=MAX_PENDING as u16 {
        bench.clock.advance(1);
        let (id, requested) = bench.wait(&remote(n, &["a"])).await;
        assert!(requested.is_some());
        if n == 0 {
            first = id;
        }
        assert_eq!(
            bench.pairing.list().0.len(),
            MAX_PENDING.min(usize::from(n) + 1)
        );
    }
    assert!(matches!(
        bench.pairing.approve(&first, Actor::default()).await,
        Err(PairingError::UnknownRequest)
    ));
    let stored = bench
        .store
        .read(|reader| reader.count(Table::PendingPairings, b""))
        .unwrap();
    assert_eq!(stored, MAX_PENDING as u64);
}

/// Fills the store with paired devices, numbers 0 to `count`, by copying one record.
async fn fill(bench: &Bench, count: u16) {
    bench.grant(&local(0, &["a"])).await;
    let first = bench.stored(&local(0, &["a"]).device).unwrap();
    bench
        .store
        .write(move |writer| {
            for n in 1..count {
                let device = remote(n, &[]).device;
                let record = Device {
                    device_id: device.id().to_owned(),
                    public_key: device.public_key().to_owned(),
                    ..first.clone()
                };
                writer.put(Table::Devices, device.id().as_bytes(), &record)?;
            }
            Ok::<_, StoreError>(())
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn ten_thousand_devices_connect_without_the_disk() {
    const DEVICES: u16 = 10_000;
    let bench = Bench::new();
    fill(&bench, DEVICES).await;
    let bench = bench.restart();
    let before = bench.store.stats();
    let mut tokens = std::collections::HashSet::new();
    for n in 0..DEVICES {
        match bench.pairing.decide(&remote(n, &["a"])) {
            Decision::Granted(grant) => assert!(tokens.insert(grant.token.expose().to_owned())),
            other => panic!("device {n}: {other:?}"),
        }
    }
    assert_eq!(
        bench.pairing.decide(&remote(DEVICES, &["a"])),
        Decision::Undecided
    );
    assert_eq!(bench.store.stats(), before);
}

#[tokio::test]
async fn devices_are_bounded() {
    let bench = Bench::new();
    fill(&bench, MAX_DEVICES as u16 - 1).await;
    let bench = bench.restart();
    let last = MAX_DEVICES as u16;
    bench.grant(&local(last, &["a"])).await;
    // One more has to ask, even from here, and whoever approves it is told why not. Those who are in may get more.
    let (id, requested) = bench.wait(&local(last + 1, &["a"])).await;
    assert!(requested.is_some());
    assert_eq!(
        bench.wait(&remote(last + 1, &["a"])).await,
        (id.clone(), None)
    );
    assert!(matches!(
        bench.pairing.approve(&id, Actor::default()).await,
        Err(PairingError::TooManyDevices)
    ));
    bench.grant(&local(last, &["a", "b"])).await;
}

#[tokio::test]
async fn scopes_of_a_request_are_bounded() {
    let bench = Bench::new();
    for (count, fits) in [(MAX_SCOPES, true), (MAX_SCOPES + 1, false)] {
        let scopes: Vec<String> = (0..count).map(|n| format!("s{n}")).collect();
        for ask in [remote(1, &[]), local(1, &[])] {
            let outcome = bench
                .pairing
                .commit(Ask {
                    scopes: scopes.clone(),
                    ..ask
                })
                .await;
            assert_eq!(outcome.is_ok(), fits, "{outcome:?}");
        }
    }
}
