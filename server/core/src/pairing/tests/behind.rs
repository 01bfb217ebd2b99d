//! Writing behind.

use super::super::book::Book;
use super::super::change::Fresh;
use super::super::rules::{self, Step};
use super::*;

#[tokio::test]
async fn profiles_and_times_are_written_behind() {
    let bench = Bench::new();
    let first = bench.grant(&local(1, &["a"])).await;
    let (waiting, _) = bench.wait(&remote(2, &["a"])).await;
    bench.clock.advance(PENDING_TTL_MS);
    let ask = Ask {
        by_device_token: true,
        profile: Profile {
            platform: Some("linux 7".into()),
            remote_ip: Some("192.0.2.7".into()),
            ..Profile::default()
        },
        ..remote(1, &["a"])
    };
    bench.grant(&ask).await;
    bench.wait(&remote(2, &["a"])).await;
    let before = bench.stored(&ask.device).unwrap();
    assert_eq!(
        (
            before.profile.platform.as_deref(),
            before.tokens[0].last_used_at_ms
        ),
        (Some("linux"), None)
    );

    // A grant changed between touch and flush stays changed.
    bench
        .pairing
        .revoke(ask.device.id(), Role::Operator, Actor::default())
        .await
        .unwrap();
    let commits = bench.store.stats().commits;
    bench.pairing.flush().await.unwrap();
    assert_eq!(bench.store.stats().commits, commits + 1);
    bench.pairing.flush().await.unwrap();
    assert_eq!(
        bench.store.stats().commits,
        commits + 1,
        "nothing left to write"
    );

    let bench = bench.restart();
    let (pending, paired) = bench.pairing.list();
    assert_eq!(
        (pending[0].request_id.as_str(), pending[0].ts),
        (waiting.as_str(), START)
    );
    assert_eq!(pending[0].seen_at_ms, START + PENDING_TTL_MS);
    let device = &paired[0];
    assert_eq!(
        device.profile.display_name.as_deref(),
        Some("Device 1"),
        "absent texts keep the old ones"
    );
    assert_eq!(device.profile.platform.as_deref(), Some("linux 7"));
    assert_eq!(device.profile.remote_ip.as_deref(), Some("192.0.2.7"));
    assert_eq!(
        device.tokens[0].last_used_at_ms,
        Some(START + PENDING_TTL_MS)
    );
    assert_eq!(device.tokens[0].revoked_at_ms, Some(START + PENDING_TTL_MS));
    assert!(!bench.accepts(&ask, &first.token));
}

#[tokio::test(start_paused = true)]
async fn the_writer_behind_gathers_what_comes_within_its_delay() {
    let bench = Bench::new();
    bench.grant(&local(1, &["a"])).await;
    bench.grant(&local(2, &["a"])).await;
    let commits = bench.store.stats().commits;
    let pairing = bench.pairing.clone();
    let writer = tokio::spawn(async move { pairing.write_behind().await });
    for n in [1, 2, 1, 2] {
        let ask = Ask {
            by_device_token: true,
            ..remote(n, &["a"])
        };
        bench.grant(&ask).await;
        tokio::time::sleep(FLUSH_DELAY / 8).await;
    }
    assert_eq!(bench.store.stats().commits, commits);
    tokio::time::sleep(FLUSH_DELAY).await;
    // The commit is on another thread; a write after it is acknowledged after it.
    bench.pairing.flush().await.unwrap();
    bench
        .store
        .write(|_| Ok::<_, StoreError>(()))
        .await
        .unwrap();
    assert!(bench.store.stats().commits > commits && bench.store.stats().commits <= commits + 2);
    writer.abort();
}

#[test]
fn what_a_device_says_while_its_record_changes_is_kept() {
    let key = TokenKey::from_bytes([1; 32]);
    let ask = local(1, &["a"]);
    let id = ask.device.id();
    let mut book = Book::default();
    let fresh = Fresh {
        request_id: "r".to_owned(),
        salt: Salt::from_bytes([1; 16]),
    };
    let change = book.plan(&Step::Approve, &ask, &fresh, START).unwrap();
    book.apply(change);
    for (is_taken, platform) in [(false, "linux 7"), (true, "linux 8")] {
        let revoked = rules::revoke(book.device(id).unwrap(), Role::Operator, START).unwrap();
        let change = book.replacement(revoked);
        let newer = Ask {
            profile: Profile {
                platform: Some(platform.to_owned()),
                ..Profile::default()
            },
            ..ask.clone()
        };
        book.admit(&key, &newer, START + 1).unwrap();
        // Written behind before the change is, which knows nothing of it.
        if is_taken {
            assert_eq!(book.take_dirty(usize::MAX).0.len(), 1);
        }
        book.apply(change);
        let device = book.device(id).unwrap();
        assert_eq!(device.profile.platform.as_deref(), Some(platform));
        assert_eq!(device.tokens[0].revoked_at_ms, Some(START));
        assert_eq!(
            book.take_dirty(usize::MAX).0.len(),
            1,
            "the disk has it when all is written"
        );
    }
}

#[test]
fn a_token_made_anew_was_not_used_by_those_before_it() {
    let key = TokenKey::from_bytes([1; 32]);
    let ask = Ask {
        by_device_token: true,
        ..local(1, &["a"])
    };
    let approved = |book: &Book, salt: u8| {
        let fresh = Fresh {
            request_id: "r".to_owned(),
            salt: Salt::from_bytes([salt; 16]),
        };
        book.plan(&Step::Approve, &ask, &fresh, START).unwrap()
    };
    let mut book = Book::default();
    let first = approved(&book, 1);
    book.apply(first);
    book.admit(&key, &ask, START + 1).unwrap();
    let (touches, _) = book.take_dirty(usize::MAX);
    // The write behind is on its way while the device is paired anew, and lands on the new record.
    for (salt, used) in [(1, Some(START + 1)), (2, None)] {
        let mut stored = approved(&Book::default(), salt).device.unwrap();
        touches[0].merge_into(&mut stored);
        assert_eq!(stored.tokens[0].last_used_at_ms, used, "salt {salt}");
    }
}
