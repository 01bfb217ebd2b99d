//! The files of an agent's workspace, and no others: every part of a path is opened beneath the one before it and none may be
//! a link, so neither `..` nor a link leads out, whoever changes the folders meanwhile.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, fchmod, mkdirat, openat, renameat, statat, unlinkat,
};
use rustix::io::Errno;

/// Largest file that is read or written; models work on texts.
pub(super) const MAX_FILE: usize = 4 * 1024 * 1024;

/// Why a file cannot be had. The text is for models and people.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    /// The path leads out of the workspace.
    #[error("the path leads out of the workspace")]
    Outside,
    /// There is none.
    #[error("there is no such file")]
    Missing,
    /// A part of the path is a link, or a file in place of a folder.
    #[error("a part of the path is a link or no folder")]
    NoFolder,
    /// Not a file: a folder, a link, a pipe.
    #[error("it is no plain file")]
    NoFile,
    /// Too large.
    #[error("it is larger than {MAX_FILE} bytes")]
    TooLarge,
    /// The system says no.
    #[error("{0}")]
    System(io::Error),
}

impl From<Errno> for FileError {
    fn from(error: Errno) -> Self {
        match error {
            Errno::NOENT => Self::Missing,
            Errno::LOOP | Errno::NOTDIR => Self::NoFolder,
            other => Self::System(other.into()),
        }
    }
}

impl From<io::Error> for FileError {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

/// The folder that an agent works in.
#[derive(Debug, Clone)]
pub(in crate::agent) struct Workspace {
    root: PathBuf,
}

/// A file in its folder.
struct Place {
    folder: OwnedFd,
    name: PathBuf,
}

impl Workspace {
    pub(in crate::agent) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.root
    }

    /// The folder itself, made if it is missing.
    pub(super) fn make(&self) -> io::Result<&Path> {
        std::fs::create_dir_all(&self.root)?;
        Ok(&self.root)
    }

    /// The bytes of a file. Blocks.
    pub(in crate::agent) fn read(&self, path: &str) -> Result<Vec<u8>, FileError> {
        let place = self.place(path, false)?;
        // A pipe must not hold us up.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(&place.folder, &place.name, flags, Mode::empty());
        let file = File::from(file.map_err(|error| match error {
            Errno::LOOP => FileError::NoFile,
            other => other.into(),
        })?);
        read_plain(file, MAX_FILE + 1).and_then(|bytes| {
            if bytes.len() > MAX_FILE {
                Err(FileError::TooLarge)
            } else {
                Ok(bytes)
            }
        })
    }

    /// Puts a file in place, whole or not at all; missing folders are made. Blocks.
    pub(super) fn write(&self, path: &str, bytes: &[u8]) -> Result<(), FileError> {
        if bytes.len() > MAX_FILE {
            return Err(FileError::TooLarge);
        }
        self.make()?;
        let place = self.place(path, true)?;
        let mode = match statat(&place.folder, &place.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {
                Mode::from_raw_mode(stat.st_mode) & (Mode::RWXU | Mode::RWXG | Mode::RWXO)
            }
            Ok(_) => return Err(FileError::NoFile),
            Err(Errno::NOENT) => Mode::RUSR | Mode::WUSR,
            Err(error) => return Err(error.into()),
        };
        let draft = format!(".{}.draft", uuid::Uuid::new_v4());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mut file = File::from(openat(&place.folder, &draft, flags, mode)?);
        let written = fchmod(&file, mode)
            .map_err(io::Error::from)
            .and_then(|()| file.write_all(bytes))
            .and_then(|()| file.sync_all())
            .map_err(FileError::from)
            .and_then(|()| {
                renameat(&place.folder, &draft, &place.folder, &place.name).map_err(Into::into)
            });
        if written.is_err() {
            // What is left of it would only be in the way.
            let _ = unlinkat(&place.folder, &draft, AtFlags::empty());
        }
        written
    }

    /// Opens the folder of a path, step by step.
    fn place(&self, path: &str, make: bool) -> Result<Place, FileError> {
        let mut names = self.names(path)?;
        let name = names.pop().ok_or(FileError::NoFile)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut folder = rustix::fs::open(&self.root, flags, Mode::empty())?;
        for step in names {
            if make {
                match mkdirat(&folder, &step, Mode::RWXU) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            folder = openat(&folder, &step, flags | OFlags::NOFOLLOW, Mode::empty())?;
        }
        Ok(Place { folder, name })
    }

    /// The names from the workspace to the file. As no part may be a link, `..` can be resolved by its letters.
    fn names(&self, path: &str) -> Result<Vec<PathBuf>, FileError> {
        let path = Path::new(path.trim());
        let inside = if path.is_absolute() {
            let real = || std::fs::canonicalize(&self.root).ok();
            let beneath = path.strip_prefix(&self.root).map(Path::to_owned).ok();
            beneath
                .or_else(|| path.strip_prefix(real()?).map(Path::to_owned).ok())
                .ok_or(FileError::Outside)?
        } else {
            path.to_owned()
        };
        let mut names = Vec::new();
        for part in inside.components() {
            match part {
                Component::Normal(name) => names.push(PathBuf::from(name)),
                Component::CurDir => {}
                Component::ParentDir => {
                    names.pop().ok_or(FileError::Outside)?;
                }
                Component::RootDir | Component::Prefix(_) => return Err(FileError::Outside),
            }
        }
        Ok(names)
    }
}

/// The first `limit` bytes of the plain file at a path, which may be a link. Blocks on disk, and on nothing else: a pipe that
/// nobody writes into must not hold a thread up.
///
/// # Errors
/// [`FileError`]; [`FileError::NoFile`] for a pipe, a folder, a device.
pub(crate) fn read_start(path: &Path, limit: usize) -> Result<Vec<u8>, FileError> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty())?;
    read_plain(File::from(file), limit)
}

/// The first `limit` bytes of a plain file. Blocks.
fn read_plain(file: File, limit: usize) -> Result<Vec<u8>, FileError> {
    if !file.metadata()?.is_file() {
        return Err(FileError::NoFile);
    }
    let mut bytes = Vec::new();
    file.take(limit as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    /// A folder with a secret and a workspace beside it.
    fn world() -> (tempfile::TempDir, Workspace) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("secret"), "s").unwrap();
        let root = dir.path().join("workspace");
        std::fs::create_dir_all(root.join("sub")).unwrap();
        std::fs::write(root.join("a.txt"), "a").unwrap();
        std::fs::write(root.join("sub/b.txt"), "b").unwrap();
        symlink(dir.path(), root.join("out")).unwrap();
        symlink(dir.path().join("secret"), root.join("link")).unwrap();
        symlink("a.txt", root.join("inner")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, root.join("pipe"), Mode::RWXU).unwrap();
        (dir, Workspace::new(root))
    }

    #[test]
    fn nothing_outside_is_read() {
        let (dir, workspace) = world();
        let own = workspace.root.join("sub/../a.txt");
        let secret = dir.path().join("secret");
        let sneaky = workspace.root.join("../secret");
        for (path, found) in [
            ("a.txt", Ok("a")),
            (" ./sub//b.txt ", Ok("b")),
            ("sub/../a.txt", Ok("a")),
            (own.to_str().unwrap(), Ok("a")),
            ("../secret", Err("the path leads out of the workspace")),
            (
                "sub/../../secret",
                Err("the path leads out of the workspace"),
            ),
            (
                secret.to_str().unwrap(),
                Err("the path leads out of the workspace"),
            ),
            (
                sneaky.to_str().unwrap(),
                Err("the path leads out of the workspace"),
            ),
            ("/etc/passwd", Err("the path leads out of the workspace")),
            (
                "out/secret",
                Err("a part of the path is a link or no folder"),
            ),
            ("a.txt/x", Err("a part of the path is a link or no folder")),
            ("link", Err("it is no plain file")),
            ("inner", Err("it is no plain file")),
            ("pipe", Err("it is no plain file")),
            ("sub", Err("it is no plain file")),
            ("", Err("it is no plain file")),
            (".", Err("it is no plain file")),
            ("nothing", Err("there is no such file")),
            ("nowhere/x", Err("there is no such file")),
        ] {
            let read = workspace
                .read(path)
                .map(|bytes| String::from_utf8(bytes).unwrap());
            let read = read.map_err(|error| error.to_string());
            assert_eq!(
                read,
                found.map(str::to_owned).map_err(str::to_owned),
                "{path}"
            );
        }
        assert!(matches!(workspace.read("a\0b"), Err(FileError::System(_))));
    }

    #[test]
    fn the_start_of_plain_files_only() {
        let (_dir, workspace) = world();
        let start = |name: &str| {
            let read = read_start(&workspace.root.join(name), 1);
            read.map(|bytes| String::from_utf8(bytes).unwrap())
                .map_err(|error| error.to_string())
        };
        std::fs::write(workspace.root.join("two"), "xy").unwrap();
        for (name, found) in [
            ("a.txt", Ok("a")),
            ("two", Ok("x")),
            ("inner", Ok("a")),
            // Nobody writes into it: reading would wait for ever.
            ("pipe", Err("it is no plain file")),
            ("sub", Err("it is no plain file")),
            ("none", Err("there is no such file")),
        ] {
            let found = found.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(start(name), found, "{name}");
        }
    }

    #[test]
    fn nothing_outside_is_written() {
        let (dir, workspace) = world();
        for (path, refused) in [
            ("../secret", "the path leads out of the workspace"),
            ("out/new", "a part of the path is a link or no folder"),
            ("out/deep/new", "a part of the path is a link or no folder"),
            ("link", "it is no plain file"),
            ("sub", "it is no plain file"),
            ("pipe", "it is no plain file"),
        ] {
            let written = workspace
                .write(path, b"x")
                .map_err(|error| error.to_string());
            assert_eq!(written, Err(refused.to_owned()), "{path}");
        }
        assert_eq!(std::fs::read(dir.path().join("secret")).unwrap(), b"s");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
        let drafts = std::fs::read_dir(&workspace.root).unwrap();
        assert!(
            drafts
                .flatten()
                .all(|entry| !entry.file_name().to_string_lossy().ends_with(".draft"))
        );
    }

    #[test]
    fn files_are_replaced_whole_and_keep_their_mode() {
        let (_dir, workspace) = world();
        let path = workspace.root.join("a.txt");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        workspace.write("a.txt", b"new").unwrap();
        workspace.write("x/y/z.txt", b"deep").unwrap();
        assert_eq!(workspace.read("a.txt").unwrap(), b"new");
        assert_eq!(workspace.read("x/y/z.txt").unwrap(), b"deep");
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o640);
        assert_eq!(mode(&workspace.root.join("x/y/z.txt")), 0o600);
    }

    #[test]
    fn sizes_at_n_and_one_more() {
        let (_dir, workspace) = world();
        workspace.write("big", &vec![b'x'; MAX_FILE]).unwrap();
        assert_eq!(workspace.read("big").unwrap().len(), MAX_FILE);
        let larger = vec![b'x'; MAX_FILE + 1];
        assert!(matches!(
            workspace.write("big", &larger),
            Err(FileError::TooLarge)
        ));
        std::fs::write(workspace.root.join("big"), larger).unwrap();
        assert!(matches!(workspace.read("big"), Err(FileError::TooLarge)));
    }

    #[test]
    fn a_workspace_that_is_missing_is_made_by_the_first_write() {
        let dir = tempfile::tempdir().unwrap();
        let workspace = Workspace::new(dir.path().join("not/yet"));
        assert!(matches!(workspace.read("a"), Err(FileError::Missing)));
        workspace.write("a", b"x").unwrap();
        assert_eq!(workspace.read("a").unwrap(), b"x");
    }
}
