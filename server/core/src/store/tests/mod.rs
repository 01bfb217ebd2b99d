//! The store as its callers see it.

mod durability;
mod format;
mod model;

use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt;
use std::sync::Barrier;
use std::time::Duration;

use super::open::Settings;
use super::*;

/// A deadlock fails the test instead of hanging it.
async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future)
        .await
        .expect("the store hangs")
}

fn temporary() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    (dir, store)
}

fn put(
    store: &Store,
    key: &str,
    value: u32,
) -> impl Future<Output = Result<(), WriteError<StoreError>>> + use<> {
    let key = key.as_bytes().to_vec();
    store.write(move |writer| writer.put(Table::Sessions, &key, &value))
}

fn get(store: &Store, key: &str) -> Option<u32> {
    store
        .read(|reader| reader.get(Table::Sessions, key.as_bytes()))
        .unwrap()
}

/// Polls once.
fn is_done<T>(future: &mut std::pin::Pin<Box<impl Future<Output = T>>>) -> bool {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    future.as_mut().poll(&mut context).is_ready()
}

/// Occupies the writer thread until the returned guard is dropped; what is queued meanwhile comes in one commit.
fn hold(store: &Store) -> Hold {
    let (started, running) = mpsc::channel();
    let (release, wait) = mpsc::channel::<()>();
    let store = store.clone();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(store.write(move |_| {
            started.send(()).unwrap();
            let _ = wait.recv();
            Ok::<_, StoreError>(())
        }))
    });
    running.recv().unwrap();
    Hold {
        release: Some(release),
        thread: Some(thread),
    }
}

struct Hold {
    release: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<Result<(), WriteError<StoreError>>>>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.release.take();
        self.thread.take().unwrap().join().unwrap().unwrap();
    }
}

/// Waits until the writer's queue holds `count` writes.
async fn until_queued(store: &Store, count: usize) {
    within(async {
        while WRITE_QUEUE - store.inner.places.available_permits() < count {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_writers_on_many_threads_all_get_through() {
    const WRITERS: u32 = 64;
    const EACH: u32 = 20;
    let (_dir, store) = temporary();
    let tasks: Vec<_> = (0..WRITERS)
        .map(|task| {
            let store = store.clone();
            tokio::spawn(async move {
                for turn in 0..EACH {
                    put(&store, &format!("{task}/{turn}"), turn).await.unwrap();
                    // An acknowledged write is visible at once, from whatever thread.
                    assert_eq!(get(&store, &format!("{task}/{turn}")), Some(turn));
                }
            })
        })
        .collect();
    within(async {
        for task in tasks {
            task.await.unwrap();
        }
    })
    .await;
    let stats = store.stats();
    assert_eq!(stats.writes, u64::from(WRITERS * EACH));
    assert!(stats.commits < stats.writes, "{stats:?}");
    let count = store
        .read(|reader| reader.count(Table::Sessions, b""))
        .unwrap();
    assert_eq!(count, u64::from(WRITERS * EACH));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_queued_during_a_commit_is_committed_in_groups() {
    // One batch, and one more than a batch.
    for (queued, commits) in [(WRITE_BATCH, 1), (WRITE_BATCH + 1, 2)] {
        let (_dir, store) = temporary();
        let held = hold(&store);
        let tasks: Vec<_> = (0..queued)
            .map(|index| tokio::spawn(put(&store, &index.to_string(), 1)))
            .collect();
        until_queued(&store, queued).await;
        let before = store.stats().commits;
        drop(held);
        for task in tasks {
            within(task).await.unwrap().unwrap();
        }
        // The write that held the thread has a commit of its own.
        assert_eq!(
            store.stats().commits - before,
            commits + 1,
            "{queued} queued"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_or_panicking_write_takes_only_itself_back() {
    let (_dir, store) = temporary();
    // Alone in its commit, then among others.
    for grouped in [false, true] {
        let held = grouped.then(|| hold(&store));
        let before = tokio::spawn(put(&store, "before", 1));
        until_queued(&store, usize::from(grouped)).await;
        let failing = tokio::spawn(store.write(|writer| {
            writer.put(Table::Sessions, b"failing", &1).unwrap();
            writer.delete(Table::Sessions, b"before").unwrap();
            Err::<(), _>("no")
        }));
        until_queued(&store, 2 * usize::from(grouped)).await;
        let panicking = tokio::spawn(store.write(|writer| -> Result<(), StoreError> {
            writer.put(Table::Sessions, b"panicking", &1).unwrap();
            panic!("on purpose")
        }));
        until_queued(&store, 3 * usize::from(grouped)).await;
        let after = tokio::spawn(put(&store, "after", 2));
        until_queued(&store, 4 * usize::from(grouped)).await;
        drop(held);
        within(before).await.unwrap().unwrap();
        assert!(matches!(
            within(failing).await.unwrap(),
            Err(WriteError::Rejected("no"))
        ));
        assert!(matches!(
            within(panicking).await.unwrap(),
            Err(WriteError::Store(StoreError::Panicked))
        ));
        within(after).await.unwrap().unwrap();
        let found = ["before", "failing", "panicking", "after"].map(|key| get(&store, key));
        assert_eq!(found, [Some(1), None, None, Some(2)], "grouped {grouped}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_makes_writers_wait_and_loses_nothing() {
    let (_dir, store) = temporary();
    let held = hold(&store);
    let tasks: Vec<_> = (0..WRITE_QUEUE)
        .map(|index| tokio::spawn(put(&store, &index.to_string(), 1)))
        .collect();
    until_queued(&store, WRITE_QUEUE).await;
    // The one too many is not queued, and when it is given up nothing of it happens.
    let mut waiting = Box::pin(put(&store, "given up", 1));
    assert!(!is_done(&mut waiting));
    drop(waiting);
    let patient = tokio::spawn(put(&store, "patient", 1));
    drop(held);
    for task in tasks {
        within(task).await.unwrap().unwrap();
    }
    within(patient).await.unwrap().unwrap();
    let count = store
        .read(|reader| reader.count(Table::Sessions, b""))
        .unwrap();
    assert_eq!(count, WRITE_QUEUE as u64 + 1);
    assert_eq!(get(&store, "given up"), None);
}

#[tokio::test]
async fn a_write_sees_its_own_changes_and_can_decide_on_what_it_reads() {
    let (_dir, store) = temporary();
    let add = || {
        store.write(|writer| {
            let old: u32 = writer.get(Table::Sessions, b"n")?.unwrap_or(0);
            writer.put(Table::Sessions, b"n", &(old + 1))?;
            writer.get::<u32>(Table::Sessions, b"n")
        })
    };
    assert_eq!(within(add()).await.unwrap(), Some(1));
    assert_eq!(within(add()).await.unwrap(), Some(2));
}

#[test]
fn closing_commits_what_is_queued_and_refuses_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_time()
        .build()
        .unwrap();
    let store = Store::open(dir.path()).unwrap();
    runtime.block_on(async {
        let held = hold(&store);
        let tasks: Vec<_> = (0..300)
            .map(|index| tokio::spawn(put(&store, &index.to_string(), index)))
            .collect();
        until_queued(&store, 300).await;
        let closing = std::thread::spawn({
            let store = store.clone();
            move || store.close()
        });
        drop(held);
        closing.join().unwrap();
        for task in tasks {
            within(task).await.unwrap().unwrap();
        }
        let late = within(put(&store, "late", 1)).await;
        assert!(matches!(late, Err(WriteError::Store(StoreError::Closed))));
    });
    assert_eq!(get(&store, "299"), Some(299));
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(
        store
            .read(|reader| reader.count(Table::Sessions, b""))
            .unwrap(),
        300
    );
}

#[test]
fn dropping_the_last_clone_on_the_writer_thread_does_not_wait_for_itself() {
    let dir = tempfile::tempdir().unwrap();
    let barrier = Arc::new(Barrier::new(2));
    {
        let store = Store::open(dir.path()).unwrap();
        let (inside, own) = (Arc::clone(&barrier), store.clone());
        let mut write = Box::pin(store.write(move |writer| {
            inside.wait();
            writer.put(Table::Sessions, b"k", &1)?;
            drop(own);
            Ok::<_, StoreError>(())
        }));
        assert!(!is_done(&mut write));
        drop((write, store));
        barrier.wait();
    }
    // The environment closes when the thread ends; opening again then finds the write.
    let closed = heed::env_closing_event(dir.path().canonicalize().unwrap());
    assert!(closed.is_none_or(|closed| closed.wait_timeout(Duration::from_secs(60))));
    assert_eq!(get(&Store::open(dir.path()).unwrap(), "k"), Some(1));
}

#[test]
fn writes_work_without_a_runtime() {
    let (_dir, store) = temporary();
    let mut write = Box::pin(put(&store, "k", 7));
    let (wake, woken) = mpsc::channel();
    let waker = std::task::Waker::from(Arc::new(Notify(Mutex::new(wake))));
    let mut context = std::task::Context::from_waker(&waker);
    let outcome = loop {
        match write.as_mut().poll(&mut context) {
            std::task::Poll::Ready(outcome) => break outcome,
            std::task::Poll::Pending => woken.recv_timeout(Duration::from_secs(60)).unwrap(),
        }
    };
    outcome.unwrap();
    assert_eq!(get(&store, "k"), Some(7));
}

struct Notify(Mutex<mpsc::Sender<()>>);

impl std::task::Wake for Notify {
    fn wake(self: Arc<Self>) {
        let _ = self.0.lock().unwrap().send(());
    }
}

#[tokio::test]
async fn damaged_records_are_reported_by_get_skipped_by_scans_and_counted() {
    let (_dir, store) = temporary();
    within(store.write(|writer| {
        writer.put(Table::Devices, b"a", &1)?;
        writer.put_bytes(Table::Devices, b"b", b"{\"cut off")?;
        writer.put(Table::Devices, b"c", &"not a number")?;
        writer.put(Table::Devices, b"d", &4)
    }))
    .await
    .unwrap();
    store
        .read(|reader| {
            let error = reader.get::<u32>(Table::Devices, b"b").unwrap_err();
            assert_eq!(error.to_string(), "the record b in devices is damaged");
            let mut seen = Vec::new();
            reader.scan(Table::Devices, b"", |key, value: u32| {
                seen.push((key.to_vec(), value));
                ControlFlow::Continue(())
            })?;
            assert_eq!(seen, [(b"a".to_vec(), 1), (b"d".to_vec(), 4)]);
            assert_eq!(reader.count(Table::Devices, b"")?, 4);
            Ok(())
        })
        .unwrap();
    assert_eq!(store.stats().damaged, 3);
}

#[tokio::test]
async fn keys_are_of_1_to_511_bytes() {
    let (_dir, store) = temporary();
    for (length, fits) in [
        (0, false),
        (1, true),
        (MAX_KEY_BYTES, true),
        (MAX_KEY_BYTES + 1, false),
    ] {
        let key = vec![b'k'; length];
        let own = key.clone();
        let put = within(store.write(move |writer| writer.put(Table::Idempotency, &own, &1))).await;
        let get = store.read(|reader| reader.get::<u32>(Table::Idempotency, &key));
        if fits {
            put.unwrap();
            assert_eq!(get.unwrap(), Some(1));
        } else {
            let refused = |error: &StoreError| matches!(error, StoreError::KeyLength { table: Table::Idempotency, length: found } if *found == length);
            assert!(refused(&StoreError::from(put.unwrap_err())), "{length}");
            assert!(refused(&get.unwrap_err()), "{length}");
        }
    }
}

#[test]
fn the_store_is_private_to_its_user() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state/store");
    std::fs::create_dir_all(&path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let _store = Store::open(&path).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    for entry in std::fs::read_dir(&path).unwrap() {
        let file = entry.unwrap().path();
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    // The map is addresses, not disk.
    assert!(std::fs::metadata(path.join("data.mdb")).unwrap().len() < 1 << 20);
}

#[test]
fn a_directory_is_open_once() {
    let (dir, store) = temporary();
    assert!(matches!(
        Store::open(dir.path()),
        Err(StoreError::AlreadyOpen { .. })
    ));
    drop(store);
    Store::open(dir.path()).unwrap();
}

#[test]
fn what_is_not_a_store_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("data.mdb");
    std::fs::write(&file, vec![7; 64 * 1024]).unwrap();
    assert!(matches!(
        Store::open(dir.path()),
        Err(StoreError::Open { .. })
    ));
    assert_eq!(std::fs::read(&file).unwrap(), vec![7; 64 * 1024]);
    let error = Store::open(&dir.path().join("data.mdb/below")).unwrap_err();
    assert!(
        error.to_string().starts_with("cannot open the store at "),
        "{error}"
    );
}
