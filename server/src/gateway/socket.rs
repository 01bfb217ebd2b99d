//! The Unix socket of this host (`gateway.socket`): the same protocol, without a token, for this user and root only.
//!
//! The file is made with mode 0600 from the first instant, and every peer's user is asked for besides. A file that is
//! already there is taken away only when it is a socket that nobody listens at, and only under the lock of the state
//! directory: two gateways that start together must not take each other's.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, fchmod};
use tokio::net::{UnixListener, UnixSocket};

use crate::paths::{Environment, Paths};

/// Connections that wait to be accepted; as for TCP.
const BACKLOG: u32 = 1024;

/// User id of root.
const ROOT: u32 = 0;

/// Why there is no socket. The gateway serves its port all the same.
#[derive(Debug, thiserror::Error)]
pub(super) enum SocketError {
    /// Somebody listens there.
    #[error("another process listens at {}", .0.display())]
    Taken(PathBuf),
    /// There is something else.
    #[error("{} exists and is no socket; it is left alone", .0.display())]
    NotASocket(PathBuf),
    /// There is a socket, and without the lock it may be another gateway's.
    #[error("{} exists, and this gateway does not hold the lock of its state directory", .0.display())]
    NotAlone(PathBuf),
    /// The system does not let us.
    #[error("cannot listen at {}: {cause}", path.display())]
    Refused {
        /// Where.
        path: PathBuf,
        /// What it said.
        cause: io::Error,
    },
}

/// A Unix socket that listens. Its file goes with it.
#[derive(Debug)]
pub(super) struct LocalSocket {
    listener: Arc<UnixListener>,
    path: PathBuf,
}

impl LocalSocket {
    /// Listens at `path`; its folder is made (0700) when it is missing. `is_only_gateway`: the lock of the state
    /// directory is held.
    pub(super) fn listen(path: &Path, is_only_gateway: bool) -> Result<Self, SocketError> {
        let failed = |cause| SocketError::Refused {
            path: path.to_owned(),
            cause,
        };
        if let Some(folder) = path.parent() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .map_err(failed)?;
        }
        clear(path, is_only_gateway)?;
        let socket = UnixSocket::new_stream().map_err(failed)?;
        // On Linux the file takes its mode from the socket, so there is no moment in which it is open to others.
        let _ = fchmod(&socket, Mode::RUSR | Mode::WUSR);
        socket.bind(path).map_err(failed)?;
        let made = Self {
            listener: Arc::new(socket.listen(BACKLOG).map_err(failed)?),
            path: path.to_owned(),
        };
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
        Ok(made)
    }

    /// Where clients arrive.
    pub(super) fn listener(&self) -> Arc<UnixListener> {
        Arc::clone(&self.listener)
    }

    /// User whom this process runs as.
    pub(super) fn owner(&self) -> u32 {
        rustix::process::geteuid().as_raw()
    }

    /// Its file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for LocalSocket {
    fn drop(&mut self) {
        // Gone already if somebody tidied up.
        let _ = fs::remove_file(&self.path);
    }
}

/// The place that the configuration names.
pub(crate) fn path(configured: &str, environment: &Environment, paths: &Paths) -> PathBuf {
    paths.state_dir.join(environment.expand(configured))
}

/// May a process of this user connect?
pub(super) fn may_connect(peer_uid: u32, own_uid: u32) -> bool {
    peer_uid == own_uid || peer_uid == ROOT
}

/// Takes away what a gateway that is gone has left at `path`.
fn clear(path: &Path, is_only_gateway: bool) -> Result<(), SocketError> {
    let failed = |cause| SocketError::Refused {
        path: path.to_owned(),
        cause,
    };
    let is_socket = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type().is_socket(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(cause) => return Err(failed(cause)),
    };
    if !is_socket {
        return Err(SocketError::NotASocket(path.to_owned()));
    }
    if !is_only_gateway {
        return Err(SocketError::NotAlone(path.to_owned()));
    }
    // Answered at once by the kernel, whatever the listener does.
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(failed)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Ok(_) => Err(SocketError::Taken(path.to_owned())),
        Err(cause) => Err(failed(cause)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn the_file_is_private_and_goes_with_the_gateway() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/gateway.sock");
        let socket = LocalSocket::listen(&path, true).unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        let (client, accepted) = tokio::join!(tokio::net::UnixStream::connect(&path), async {
            socket.listener().accept().await
        });
        let peer = accepted.unwrap().0.peer_cred().unwrap();
        assert!(may_connect(peer.uid(), socket.owner()));
        drop((client, socket));
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn what_is_there_already() {
        let dir = tempfile::tempdir().unwrap();
        let stale = |name: &str| {
            let path = dir.path().join(name);
            drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
            path
        };
        let taken = dir.path().join("taken");
        let _held = LocalSocket::listen(&taken, true).unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "precious").unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(stale("behind"), &link).unwrap();
        for (path, is_only, expected) in [
            (stale("a"), true, None),
            (stale("b"), false, Some("does not hold the lock")),
            (dir.path().join("free"), false, None),
            (taken, true, Some("another process listens")),
            (file.clone(), true, Some("is no socket")),
            (link, true, Some("is no socket")),
            (
                dir.path().join("x".repeat(200)),
                true,
                Some("cannot listen"),
            ),
            (file.join("below"), true, Some("cannot listen")),
        ] {
            let outcome = LocalSocket::listen(&path, is_only);
            match (&outcome, expected) {
                (Ok(_), None) => {}
                (Err(error), Some(words)) => assert!(error.to_string().contains(words), "{error}"),
                _ => panic!("{}: {outcome:?}", path.display()),
            }
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    }

    #[test]
    fn users() {
        for (peer, own, may) in [
            (1000, 1000, true),
            (0, 1000, true),
            (1001, 1000, false),
            (1000, 0, false),
        ] {
            assert_eq!(may_connect(peer, own), may, "{peer} {own}");
        }
    }

    #[test]
    fn places() {
        let environment = Environment::new("/home/u", [("OPENCLAW_STATE_DIR", "/state")]);
        let paths = Paths::resolve(&environment);
        for (configured, expected) in [
            ("gateway.sock", "/state/gateway.sock"),
            ("~/g.sock", "/home/u/g.sock"),
            ("/run/g.sock", "/run/g.sock"),
        ] {
            assert_eq!(path(configured, &environment, &paths), Path::new(expected));
        }
    }
}
