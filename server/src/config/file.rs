//! The configuration's files: whole, private, and on disk when a function here returns.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// Replaces the file at `path` (0600), so that readers see the old text or the new one and a crash leaves one of them.
/// A symbolic link stays one: what it points to is replaced.
///
/// # Errors
/// What the file system says; the old file is untouched then.
pub fn replace(path: &Path, text: &str) -> io::Result<()> {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let file = prepare(&path, text)?;
    file.persist(&path)?;
    sync_dir(&path)
}

/// Creates the file at `path` (0600) with all of its text, and the directories above it (0700); fails with
/// [`io::ErrorKind::AlreadyExists`] when there is one, which stays as it is.
///
/// # Errors
/// What the file system says.
pub fn create(path: &Path, text: &str) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)?;
    }
    let file = prepare(path, text)?;
    file.persist_noclobber(path)?;
    sync_dir(path)
}

/// Writes the text to a temporary file beside `path`, readable by the user alone.
fn prepare(path: &Path, text: &str) -> io::Result<NamedTempFile> {
    let mut file = tempfile::Builder::new()
        .prefix(".openclaw-")
        .tempfile_in(dir_of(path))?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// A rename is durable once its directory is.
fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(dir_of(path))?.sync_all()
}

fn dir_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_created_file_is_private_and_never_overwritten() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a/b/openclaw.json");
        create(&path, "one").unwrap();
        assert_eq!(
            create(&path, "two").unwrap_err().kind(),
            io::ErrorKind::AlreadyExists
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        // No temporary file is left behind, by success or by failure.
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_replaced_file_becomes_private_and_links_stay_links() {
        let home = tempfile::tempdir().unwrap();
        let (real, link) = (home.path().join("real.json"), home.path().join("link.json"));
        fs::write(&real, "old").unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o644)).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        replace(&link, "new").unwrap();
        assert_eq!(fs::read_to_string(&real).unwrap(), "new");
        assert_eq!(mode(&real), 0o600);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        replace(&home.path().join("fresh.json"), "x").unwrap();
        assert!(replace(&home.path().join("no/dir.json"), "x").is_err());
    }
}
