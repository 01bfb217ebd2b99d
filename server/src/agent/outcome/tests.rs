use super::*;
use crate::store::{Store, WriteError};

fn key(n: usize) -> RunKey {
    RunKey::new(Space::Agent, &n.to_string())
}

fn at(ended_at: u64) -> Ended {
    Ended {
        started_at: None,
        ended_at,
        end: End::Completed,
    }
}

#[test]
fn spaces_do_not_meet() {
    assert_ne!(
        RunKey::new(Space::Agent, "k"),
        RunKey::new(Space::Chat, "k")
    );
    assert_ne!(
        RunKey::new(Space::Agent, "k"),
        RunKey::new(Space::Agent, "l")
    );
}

#[test]
fn outcomes_last_five_minutes_and_results_ten() {
    let mut ledger = Ledger::default();
    ledger.note(key(1), at(1_000));
    for (now, outcome, result) in [
        (0, true, true),
        (300_999, true, true),
        (301_000, false, true),
        (600_999, false, true),
        (601_000, false, false),
    ] {
        let known = (
            ledger.outcome(&key(1), now).is_some(),
            ledger.result(&key(1), now).is_some(),
        );
        assert_eq!(known, (outcome, result), "at {now}");
    }
    assert_eq!(ledger.sweep(300_999), []);
    assert_eq!(ledger.sweep(301_000), [(1_000, key(1))]);
    assert!(ledger.result(&key(1), 301_000).is_some());
    assert_eq!(ledger.sweep(601_000), [(1_000, key(1))]);
    assert!(ledger.runs.is_empty() && ledger.by_age.is_empty());
}

#[test]
fn the_oldest_go_when_there_are_too_many() {
    let mut ledger = Ledger::default();
    for n in 0..MAX_ENDED {
        assert_eq!(ledger.note(key(n), at(5)), []);
    }
    assert_eq!(ledger.note(key(0), at(6)), [], "the same run again");
    let gone = ledger.note(key(MAX_ENDED), at(7));
    assert_eq!(
        (gone.len(), ledger.runs.len(), ledger.by_age.len()),
        (1, MAX_ENDED, MAX_ENDED)
    );
    assert!(ledger.outcome(&gone[0].1, 7).is_none() && ledger.outcome(&key(0), 7).is_some());
}

#[tokio::test]
async fn only_the_record_that_expired_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let write = store.write(move |writer| {
        Record::accepted(Space::Agent, 9).put(writer, &key(1))?;
        Record {
            ended_at: Some(5),
            ..Record::accepted(Space::Agent, 1)
        }
        .put(writer, &key(2))?;
        delete(writer, &[(5, key(1)), (5, key(2)), (5, key(3))])
    });
    write
        .await
        .map_err(|error: WriteError<StoreError>| error.to_string())
        .unwrap();
    let has = |n| {
        store
            .read(|reader| Record::get(reader, &key(n)))
            .unwrap()
            .is_some()
    };
    assert_eq!((has(1), has(2)), (true, false));
}
