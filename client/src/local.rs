//! A gateway on this host by its Unix socket, which needs no token.

use std::io;
use std::path::PathBuf;

use tokio::net::UnixStream;

use crate::dial::{Dial, DialError, Dialling};
use crate::endpoint::Endpoint;

/// User id of root.
const ROOT: u32 = 0;

/// Dials the Unix socket at a path, whatever the endpoint says, and nothing else: while no gateway serves it, anybody's
/// program may listen at the gateway's port.
#[derive(Debug, Clone)]
pub struct LocalSocket {
    path: PathBuf,
    uid: u32,
}

impl LocalSocket {
    /// The socket at `path`, whose gateway runs as user `uid` (or as root): to another user's program a token is not
    /// shown.
    #[must_use]
    pub fn new(path: PathBuf, uid: u32) -> Self {
        Self { path, uid }
    }

    async fn open(&self) -> io::Result<UnixStream> {
        let stream = UnixStream::connect(&self.path).await?;
        let uid = stream.peer_cred()?.uid();
        if uid != self.uid && uid != ROOT {
            let why = format!("a program of another user ({uid}) listens there");
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
        }
        Ok(stream)
    }
}

impl Dial for LocalSocket {
    fn dial<'a>(&'a self, _: &'a Endpoint) -> Dialling<'a> {
        Box::pin(async move {
            match self.open().await {
                Ok(stream) => Ok(Box::new(stream) as Box<dyn crate::dial::Socket>),
                Err(source) => Err(DialError::Socket {
                    path: self.path.clone(),
                    source,
                }),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use tokio::net::UnixListener;

    use super::*;

    #[tokio::test]
    async fn only_the_socket_of_the_right_user_is_dialled() {
        let dir = tempfile::tempdir().unwrap();
        let own_uid = std::fs::metadata(dir.path()).unwrap().uid();
        // Whoever listens at the port while the gateway is down is not shown anything.
        let squatter = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        squatter.set_nonblocking(true).unwrap();
        let port = squatter.local_addr().unwrap().port();
        let endpoint = Endpoint::parse(&format!("ws://127.0.0.1:{port}")).unwrap();
        let path = dir.path().join("gateway.sock");
        let _served = UnixListener::bind(&path).unwrap();
        let absent = dir.path().join("absent");
        // As root every listener is root's, which is always right.
        let stranger = own_uid == ROOT;
        for (path, uid, opens) in [
            (&path, own_uid, true),
            (&path, own_uid + 1, stranger),
            (&absent, own_uid, false),
        ] {
            let dialled = LocalSocket::new(path.clone(), uid).dial(&endpoint).await;
            match dialled {
                Ok(_) => assert!(opens, "{} {uid}", path.display()),
                Err(error) => {
                    assert!(!opens, "{} {uid}: {error}", path.display());
                    assert!(
                        error.to_string().contains(path.to_str().unwrap()),
                        "{error}"
                    );
                }
            }
        }
        let nobody = squatter.accept().unwrap_err();
        assert_eq!(nobody.kind(), io::ErrorKind::WouldBlock);
    }
}
