//! The format version.

use super::*;

const TWO: Settings = Settings {
    upgrades: &[|writer| {
        let old: Option<u32> = writer.get(Table::Sessions, b"k")?;
        writer.put(Table::Sessions, b"k", &old.map(|old| old * 10))
    }],
    ..Settings::CURRENT
};
const BROKEN: Settings = Settings {
    upgrades: &[|writer| {
        writer.put(Table::Sessions, b"k", &99)?;
        Err(StoreError::Full)
    }],
    ..Settings::CURRENT
};

fn seeded() -> tempfile::TempDir {
    let (dir, store) = temporary();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(put(&store, "k", 4)).unwrap();
    dir
}

#[test]
fn an_older_store_is_upgraded_once() {
    let dir = seeded();
    for _ in 0..2 {
        assert_eq!(
            get(&Store::open_as(dir.path(), &TWO).unwrap(), "k"),
            Some(40)
        );
    }
}

#[test]
fn an_upgrade_that_fails_changes_nothing() {
    let dir = seeded();
    assert!(matches!(
        Store::open_as(dir.path(), &BROKEN),
        Err(StoreError::Full)
    ));
    assert_eq!(get(&Store::open(dir.path()).unwrap(), "k"), Some(4));
}

#[test]
fn a_newer_store_is_refused_untouched() {
    let dir = seeded();
    drop(Store::open_as(dir.path(), &TWO).unwrap());
    let error = Store::open(dir.path()).unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::Newer {
                found: 2,
                supported: 1,
                ..
            }
        ),
        "{error}"
    );
    assert!(
        error.to_string().contains("run the newer release"),
        "{error}"
    );
    drop(Store::open_as(dir.path(), &TWO).unwrap());
}

#[test]
fn data_without_a_version_is_refused() {
    for damage in [None, Some(b"?")] {
        let dir = seeded();
        let store = Store::open(dir.path()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime
            .block_on(store.write(move |writer| match damage {
                None => writer.delete(Table::Meta, b"format").map(drop),
                Some(bytes) => writer.put_bytes(Table::Meta, b"format", bytes),
            }))
            .unwrap();
        drop(store);
        assert!(matches!(
            Store::open(dir.path()),
            Err(StoreError::NoVersion { .. })
        ));
    }
}
