//! What is left after a kill and when the map is full.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::*;

/// Variable that tells the test below to be the process that is killed.
const VICTIM_DIR: &str = "STORE_TEST_VICTIM_DIR";

/// Not a test by itself: writes for ever and says what was acknowledged.
#[test]
#[ignore = "the process that `acknowledged_writes_survive_a_killed_process` kills"]
fn victim() {
    let Some(dir) = std::env::var_os(VICTIM_DIR) else {
        return;
    };
    let store = Store::open(Path::new(&dir)).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    runtime.block_on(async {
        for round in 0_u32.. {
            let tasks: Vec<_> = (0..8)
                .map(|task| tokio::spawn(put(&store, &format!("{task}/{round}"), round)))
                .collect();
            for (task, handle) in tasks.into_iter().enumerate() {
                handle.await.unwrap().unwrap();
                println!("ack {task}/{round}");
            }
        }
    });
}

#[test]
fn acknowledged_writes_survive_a_killed_process() {
    let dir = tempfile::tempdir().unwrap();
    let name = format!("{}::victim", module_path!().split_once("::").unwrap().1);
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &name, "--ignored", "--nocapture"])
        .env(VICTIM_DIR, dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    let mut acknowledged = Vec::new();
    while acknowledged.len() < 200 {
        let line = lines.next().expect("the victim ended by itself").unwrap();
        acknowledged.extend(line.strip_prefix("ack ").map(str::to_owned));
    }
    // SIGKILL: no destructor, no flush, the writer's lock still held.
    victim.kill().unwrap();
    victim.wait().unwrap();
    acknowledged.extend(
        lines
            .map_while(Result::ok)
            .filter_map(|line| Some(line.strip_prefix("ack ")?.to_owned())),
    );

    let store = Store::open(dir.path()).unwrap();
    for key in &acknowledged {
        let round: u32 = key.split_once('/').unwrap().1.parse().unwrap();
        assert_eq!(get(&store, key), Some(round), "{key}");
    }
    // The lock that the dead process held is no obstacle to the next writer.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(within(put(&store, "alive", 1))).unwrap();
}

#[test]
fn a_full_map_is_its_own_error_and_a_restart_makes_room() {
    const SMALL: Settings = Settings {
        map_size: 1 << 20,
        ..Settings::CURRENT
    };
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open_as(dir.path(), &SMALL).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let fill = |store: &Store, key: u32| {
        let write = store.write(move |writer| {
            writer.put_bytes(Table::Transcripts, &key.to_be_bytes(), &[b'1'; 64 << 10])
        });
        runtime.block_on(within(write)).map_err(StoreError::from)
    };
    let mut filled = 0;
    let error = loop {
        match fill(&store, filled) {
            Ok(()) => filled += 1,
            Err(error) => break error,
        }
        assert!(filled < 17, "the map never fills");
    };
    assert!(matches!(error, StoreError::Full), "{error}");
    // Small writes go on, in the same commit too, even if the big one overlooks that it failed.
    let held = hold(&store);
    let before = runtime.spawn(put(&store, "k", 1));
    runtime.block_on(until_queued(&store, 1));
    let careless = runtime.spawn(store.write(|writer| {
        writer.put(Table::Sessions, b"careless", &1)?;
        let _ = writer.put_bytes(Table::Transcripts, b"big", &[b'1'; 64 << 10]);
        Ok::<_, StoreError>(())
    }));
    runtime.block_on(until_queued(&store, 2));
    let after = runtime.spawn(put(&store, "l", 2));
    runtime.block_on(until_queued(&store, 3));
    drop(held);
    runtime.block_on(before).unwrap().unwrap();
    let careless = runtime.block_on(careless).unwrap();
    assert!(
        matches!(careless, Err(WriteError::Store(StoreError::Full))),
        "{careless:?}"
    );
    runtime.block_on(after).unwrap().unwrap();
    let found = ["k", "careless", "l"].map(|key| get(&store, key));
    assert_eq!(found, [Some(1), None, Some(2)]);
    // What did not fit left nothing behind.
    let count = |store: &Store| {
        store
            .read(|reader| reader.count(Table::Transcripts, b""))
            .unwrap()
    };
    assert_eq!(count(&store), u64::from(filled));
    drop(store);
    let store = Store::open_as(dir.path(), &SMALL).unwrap();
    fill(&store, filled).unwrap();
    assert_eq!(get(&store, "k"), Some(1));
    assert_eq!(count(&store), u64::from(filled) + 1);
}
