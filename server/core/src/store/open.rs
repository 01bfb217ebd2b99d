//! Opening the store: the directory, the environment, the format version.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use heed::{Env, EnvOpenOptions, WithoutTls};

use super::table::Tables;
use super::txn::{Counters, Reader, Writer};
use super::{StoreError, Table};

/// Smallest map. The file is sparse and the map only reserves addresses, so this costs nothing until it is used; it is
/// far above what pairing, sessions and transcripts of one user come to.
const MAP_SIZE: u64 = 1 << 30;
/// A store that has outgrown half of the smallest map gets a map of this many times its file. The map is never changed
/// while the store is open: LMDB allows that only while no transaction exists in any thread, and the call is unsafe.
const MAP_HEADROOM: u64 = 2;
/// Simultaneous read transactions. Each takes a slot only while it lives; tokio's blocking pool, from which larger
/// reads come, has 512 threads at most.
const MAX_READERS: u32 = 1024;
/// Databases LMDB reserves handles for: the tables, with room for those of later releases.
const MAX_TABLES: u32 = 64;
/// Key of the format version in [`Table::Meta`].
const VERSION_KEY: &[u8] = b"format";

/// One step from format `n` to `n + 1`.
pub(super) type Upgrade = fn(&mut Writer<'_>) -> Result<(), StoreError>;

/// What is fixed for the gateway and varied by tests.
pub(super) struct Settings {
    /// Steps to the format this program writes: version 1, plus one for each.
    pub(super) upgrades: &'static [Upgrade],
    /// Size of the smallest map in bytes, and the unit of larger ones; whole pages.
    pub(super) map_size: u64,
}

impl Settings {
    /// Those of the gateway.
    pub(super) const CURRENT: Self = Self {
        upgrades: &[],
        map_size: MAP_SIZE,
    };

    /// Version of the format this program writes.
    pub(super) fn version(&self) -> u32 {
        1 + u32::try_from(self.upgrades.len()).unwrap_or(u32::MAX - 1)
    }
}

/// An open environment with all its tables at the wanted format.
pub(super) struct Opened {
    pub(super) env: Env<WithoutTls>,
    pub(super) tables: Tables,
    pub(super) counters: Arc<Counters>,
}

/// Makes the directory private, opens the environment and brings it to the present format.
pub(super) fn open(dir: &Path, settings: &Settings) -> Result<Opened, StoreError> {
    make_private_dir(dir).map_err(|error| StoreError::Open {
        path: dir.to_path_buf(),
        cause: Arc::new(error),
    })?;
    let env = open_env(dir, map_size(dir, settings.map_size)).map_err(|error| match error {
        heed::Error::EnvAlreadyOpened => StoreError::AlreadyOpen {
            path: dir.to_path_buf(),
        },
        other => StoreError::Open {
            path: dir.to_path_buf(),
            cause: Arc::new(other),
        },
    })?;
    // Readers of a process that was killed would pin the pages they saw for ever.
    let stale = env.clear_stale_readers()?;
    if stale > 0 {
        tracing::debug!(stale, "cleared readers of dead processes");
    }
    let counters = Arc::new(Counters::default());
    let found = stored_version(dir, &env)?;
    if let Some(found) = found
        && found > settings.version()
    {
        return Err(StoreError::Newer {
            path: dir.to_path_buf(),
            found,
            supported: settings.version(),
        });
    }
    let tables = Tables::create(&env)?;
    upgrade(dir, &env, tables, &counters, found, settings)?;
    Ok(Opened {
        env,
        tables,
        counters,
    })
}

/// The only unsafe line of the project.
#[allow(unsafe_code)]
fn open_env(dir: &Path, map_size: usize) -> Result<Env<WithoutTls>, heed::Error> {
    let mut options = EnvOpenOptions::new().read_txn_without_tls();
    options
        .map_size(map_size)
        .max_readers(MAX_READERS)
        .max_dbs(MAX_TABLES);
    // SAFETY: the map is sound as long as nothing but LMDB changes the file. The directory is private to the user
    // (0700, files 0600) and used by no other code; a second gateway on it is kept out by the lock of the state
    // directory, and were it not, LMDB's own lock file coordinates processes. No flag that weakens that is set.
    unsafe { options.open(dir) }
}

/// The map for what is stored already: whole units, so that it is whole pages on every platform.
fn map_size(dir: &Path, unit: u64) -> usize {
    let used = fs::metadata(dir.join("data.mdb")).map_or(0, |data| data.len());
    let wanted = unit.max(used.saturating_mul(MAP_HEADROOM));
    usize::try_from(wanted.next_multiple_of(unit)).unwrap_or(usize::MAX)
}

fn make_private_dir(dir: &Path) -> std::io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)?;
    let mode = fs::metadata(dir)?.permissions().mode() & 0o777;
    if mode != 0o700 {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// The version on disk, without changing anything; `None` in a store that was never finished.
fn stored_version(dir: &Path, env: &Env<WithoutTls>) -> Result<Option<u32>, StoreError> {
    let Some(meta) = Tables::existing_meta(env)? else {
        return Ok(None);
    };
    let txn = env.read_txn()?;
    let Some(bytes) = meta.get(&txn, VERSION_KEY)? else {
        return Ok(None);
    };
    match serde_json::from_slice(bytes) {
        Ok(version) => Ok(Some(version)),
        Err(_) => Err(StoreError::NoVersion {
            path: dir.to_path_buf(),
        }),
    }
}

/// Runs the missing upgrades and writes the version, all in one transaction.
fn upgrade(
    dir: &Path,
    env: &Env<WithoutTls>,
    tables: Tables,
    counters: &Arc<Counters>,
    found: Option<u32>,
    settings: &Settings,
) -> Result<(), StoreError> {
    if found == Some(settings.version()) {
        return Ok(());
    }
    let mut writer = Writer::new(env.write_txn()?, tables, Arc::clone(counters));
    match found {
        Some(found) => {
            // Versions count from 1: the upgrade at index `found - 1` leads from `found` to the next.
            let done = usize::try_from(found.saturating_sub(1)).unwrap_or(usize::MAX);
            for step in settings.upgrades.iter().skip(done) {
                step(&mut writer)?;
            }
            tracing::info!(from = found, to = settings.version(), "upgraded the store");
        }
        None => {
            if !is_empty(&writer.reader())? {
                return Err(StoreError::NoVersion {
                    path: dir.to_path_buf(),
                });
            }
        }
    }
    writer.put(Table::Meta, VERSION_KEY, &settings.version())?;
    Ok(writer.into_txn().commit()?)
}

fn is_empty(reader: &Reader<'_>) -> Result<bool, StoreError> {
    for table in Table::ALL {
        if reader.count(table, b"")? > 0 {
            return Ok(false);
        }
    }
    Ok(true)
}
