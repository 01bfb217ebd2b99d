//! The tables against a sorted map.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Put(Vec<u8>, u32),
    Delete(Vec<u8>),
    DeletePrefix(Vec<u8>),
    Scan(Vec<u8>, usize),
}

/// Few letters, so that prefixes meet; 0xff, whose successor is not a byte.
fn key(length: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(
        prop::sample::select(vec![0, b'a', b'b', 0xfe, 0xff]),
        length,
    )
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (key(1..4), any::<u32>()).prop_map(|(key, value)| Step::Put(key, value)),
        1 => key(1..4).prop_map(Step::Delete),
        1 => key(0..3).prop_map(Step::DeletePrefix),
        3 => (key(0..3), 0..5_usize).prop_map(|(prefix, limit)| Step::Scan(prefix, limit)),
    ]
}

fn collect(
    limit: usize,
    scan: impl FnOnce(&mut dyn FnMut(&[u8], u32) -> ControlFlow<()>) -> Result<(), StoreError>,
) -> Vec<(Vec<u8>, u32)> {
    let mut found = Vec::new();
    scan(&mut |key, value| {
        found.push((key.to_vec(), value));
        if found.len() > limit {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })
    .unwrap();
    found
}

fn run(writer: &mut Writer<'_>, steps: &[Step]) -> Result<(), StoreError> {
    let mut model: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
    for step in steps {
        match step {
            Step::Put(key, value) => {
                writer.put(Table::Sessions, key, value)?;
                // The same key in another table is another record.
                writer.put(Table::Devices, key, &0)?;
                model.insert(key.clone(), *value);
            }
            Step::Delete(key) => {
                assert_eq!(
                    writer.delete(Table::Sessions, key)?,
                    model.remove(key).is_some()
                );
            }
            Step::DeletePrefix(prefix) => {
                let before = model.len();
                model.retain(|key, _| !key.starts_with(prefix));
                let deleted = writer.delete_prefix(Table::Sessions, prefix)?;
                assert_eq!(deleted, (before - model.len()) as u64);
            }
            Step::Scan(prefix, limit) => {
                let expected = || {
                    model
                        .iter()
                        .filter(|(key, _)| key.starts_with(prefix))
                        .map(|(key, value)| (key.clone(), *value))
                };
                let forward = collect(*limit, |visit| writer.scan(Table::Sessions, prefix, visit));
                assert_eq!(forward, expected().take(limit + 1).collect::<Vec<_>>());
                let back = collect(*limit, |visit| {
                    writer.scan_back(Table::Sessions, prefix, visit)
                });
                let mut reversed: Vec<_> = expected().collect();
                reversed.reverse();
                reversed.truncate(limit + 1);
                assert_eq!(back, reversed);
                assert_eq!(
                    writer.count(Table::Sessions, prefix)?,
                    expected().count() as u64
                );
            }
        }
    }
    Ok(())
}

#[test]
fn tables_behave_as_sorted_maps() {
    let (_dir, store) = temporary();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    proptest!(ProptestConfig::with_cases(300), |(steps in prop::collection::vec(step(), 1..40))| {
        // Every case ends in an error, which leaves an empty store to the next one.
        let outcome = runtime.block_on(store.write(move |writer| {
            run(writer, &steps)?;
            Err::<(), _>(StoreError::Closed)
        }));
        prop_assert!(matches!(outcome, Err(WriteError::Rejected(StoreError::Closed))), "{outcome:?}");
    });
}
