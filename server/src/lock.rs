//! One gateway a state directory: an operating system lock, held for as long as the process lives (odd 68). A lock of
//! the system needs no guess about stale owners: it is gone when its process is.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::clock::iso_8601;
use crate::paths::Environment;

/// How long a start waits for a gateway that is just ending (contract 11.6).
pub const LOCK_WAIT: Duration = Duration::from_secs(5);
/// How often it looks (contract 11.6).
const LOCK_POLL: Duration = Duration::from_millis(100);

/// What the lock file says about its owner, for people and for the message of a gateway that comes too late.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// Process id.
    pub pid: u32,
    /// When it took the lock, ISO 8601.
    pub created_at: String,
    /// Its configuration file.
    pub config_path: PathBuf,
    /// Its port.
    pub port: u16,
}

impl Owner {
    /// This process, as of `now_ms`.
    #[must_use]
    pub fn this_process(now_ms: u64, config_path: PathBuf, port: u16) -> Self {
        Self {
            pid: std::process::id(),
            created_at: iso_8601(now_ms),
            config_path,
            port,
        }
    }
}

/// The lock, held until this is dropped or the process ends.
#[derive(Debug)]
pub struct InstanceLock {
    file: File,
}

/// Why the lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another gateway has it.
    #[error(
        "gateway already running{}; lock timeout after {}ms",
        pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default(),
        LOCK_WAIT.as_millis()
    )]
    Held {
        /// Its process, if the file tells.
        pid: Option<u32>,
    },
    /// The file cannot be made or locked.
    #[error("cannot lock {}: {cause}", path.display())]
    File {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

impl InstanceLock {
    /// As [`Self::acquire`]; `None` without looking when `OPENCLAW_ALLOW_MULTI_GATEWAY=1` (contract 11.6).
    ///
    /// # Errors
    /// As [`Self::acquire`].
    pub async fn acquire_unless_allowed(
        environment: &Environment,
        path: &Path,
        owner: &Owner,
    ) -> Result<Option<Self>, LockError> {
        if environment.is_on("ALLOW_MULTI_GATEWAY") {
            return Ok(None);
        }
        Self::acquire(path, owner).await.map(Some)
    }

    /// Takes the lock at `path`, waiting up to [`LOCK_WAIT`] for a gateway that is ending. The directory is made
    /// (0700) if it is missing.
    ///
    /// # Errors
    /// [`LockError::Held`] after the wait, [`LockError::File`] at once.
    pub async fn acquire(path: &Path, owner: &Owner) -> Result<Self, LockError> {
        let failed = |cause| LockError::File {
            path: path.to_path_buf(),
            cause,
        };
        let file = open(path).map_err(failed)?;
        let deadline = Instant::now() + LOCK_WAIT;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(cause)) => return Err(failed(cause)),
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                    return Err(LockError::Held {
                        pid: read_owner(path).map(|owner| owner.pid),
                    });
                }
                Err(TryLockError::WouldBlock) => tokio::time::sleep(LOCK_POLL).await,
            }
        }
        let lock = Self { file };
        lock.describe(owner).map_err(failed)?;
        Ok(lock)
    }

    /// As [`Self::acquire`], without waiting: for commands that work while no gateway does.
    ///
    /// # Errors
    /// [`LockError::Held`], [`LockError::File`].
    pub fn try_acquire(path: &Path, owner: &Owner) -> Result<Self, LockError> {
        let failed = |cause| LockError::File {
            path: path.to_path_buf(),
            cause,
        };
        let file = open(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::Error(cause)) => return Err(failed(cause)),
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::Held {
                    pid: read_owner(path).map(|owner| owner.pid),
                });
            }
        }
        let lock = Self { file };
        lock.describe(owner).map_err(failed)?;
        Ok(lock)
    }

    fn describe(&self, owner: &Owner) -> io::Result<()> {
        self.file.set_len(0)?;
        (&self.file).write_all(&serde_json::to_vec(owner)?)
    }
}

impl Drop for InstanceLock {
    fn drop(&mut self) {
        // Nobody reads an owner that is gone. The file itself stays: removing it could remove a successor's.
        let _ = self.file.set_len(0);
    }
}

fn open(path: &Path) -> io::Result<File> {
    if let Some(dir) = path.parent() {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)?;
    }
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

/// Who holds the lock at `path`, as far as the file tells; says nothing about whether it is still held.
#[must_use]
pub fn read_owner(path: &Path) -> Option<Owner> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(MAX_OWNER_BYTES).read_to_string(&mut text))
        .ok()?;
    serde_json::from_str(&text).ok()
}

/// More than any owner's description; a file that is longer is not ours.
const MAX_OWNER_BYTES: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(pid: u32) -> Owner {
        let config_path = "/home/u/.openclaw/openclaw.json".into();
        Owner {
            pid,
            ..Owner::this_process(1_769_774_400_000, config_path, 18_789)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_gateway_waits_and_then_names_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/gateway.lock");
        let first = InstanceLock::acquire(&path, &owner(41)).await.unwrap();
        assert_eq!(read_owner(&path), Some(owner(41)));

        let started = Instant::now();
        let error = InstanceLock::acquire(&path, &owner(42)).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "gateway already running (pid 41); lock timeout after 5000ms"
        );
        assert_eq!(started.elapsed(), LOCK_WAIT);
        // The loser has not written over the owner.
        assert_eq!(read_owner(&path), Some(owner(41)));

        drop(first);
        assert_eq!(read_owner(&path), None);
        let _second = InstanceLock::acquire(&path, &owner(42)).await.unwrap();
        assert_eq!(read_owner(&path), Some(owner(42)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lock_that_is_released_in_time_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gateway.lock");
        let first = InstanceLock::acquire(&path, &owner(1)).await.unwrap();
        let waiting = tokio::spawn({
            let path = path.clone();
            async move { InstanceLock::acquire(&path, &owner(2)).await }
        });
        tokio::time::sleep(LOCK_WAIT - Duration::from_millis(150)).await;
        drop(first);
        let _second = waiting.await.unwrap().unwrap();
        assert_eq!(read_owner(&path), Some(owner(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_owner_that_cannot_be_read_is_not_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gateway.lock");
        let _first = InstanceLock::acquire(&path, &owner(1)).await.unwrap();
        std::fs::write(&path, "{").unwrap();
        let error = InstanceLock::acquire(&path, &owner(2)).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "gateway already running; lock timeout after 5000ms"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn several_gateways_run_when_that_is_allowed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gateway.lock");
        let _first = InstanceLock::acquire(&path, &owner(1)).await.unwrap();
        for (value, held) in [("1", true), ("0", false)] {
            let environment = Environment::new("/", [("OPENCLAW_ALLOW_MULTI_GATEWAY", value)]);
            let second = InstanceLock::acquire_unless_allowed(&environment, &path, &owner(2)).await;
            assert_eq!(matches!(second, Ok(None)), held, "{value}: {second:?}");
        }
        assert_eq!(read_owner(&path), Some(owner(1)));
    }

    #[tokio::test]
    async fn what_a_dead_owner_left_is_no_obstacle() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gateway.lock");
        std::fs::write(&path, serde_json::to_vec(&owner(7)).unwrap()).unwrap();
        let _lock = InstanceLock::acquire(&path, &owner(8)).await.unwrap();
        assert_eq!(read_owner(&path), Some(owner(8)));
    }

    #[tokio::test]
    async fn a_try_does_not_wait() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gateway.lock");
        let first = InstanceLock::try_acquire(&path, &owner(1)).unwrap();
        let error = InstanceLock::try_acquire(&path, &owner(2)).unwrap_err();
        assert!(matches!(error, LockError::Held { pid: Some(1) }), "{error}");
        drop(first);
        let _second = InstanceLock::try_acquire(&path, &owner(2)).unwrap();
        assert_eq!(read_owner(&path), Some(owner(2)));
    }

    #[tokio::test]
    async fn a_place_that_cannot_hold_a_lock_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let error = InstanceLock::acquire(dir.path(), &owner(1))
            .await
            .unwrap_err();
        assert!(error.to_string().starts_with("cannot lock "), "{error}");
    }
}
