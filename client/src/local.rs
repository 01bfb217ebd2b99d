//! A gateway on this host by its Unix socket, which needs no token; by its port when there is no such socket.

use std::path::PathBuf;

use tokio::net::UnixStream;

use crate::dial::{Dial, Dialling, Network};
use crate::endpoint::Endpoint;

/// User id of root.
const ROOT: u32 = 0;

/// Dials the Unix socket first and the network when nobody of the right user listens there.
#[derive(Debug, Clone)]
pub struct LocalFirst {
    path: PathBuf,
    uid: u32,
    network: Network,
}

impl LocalFirst {
    /// The socket at `path`, whose gateway runs as user `uid` (or as root): to another user's program a token is not
    /// shown.
    #[must_use]
    pub fn new(path: PathBuf, uid: u32) -> Self {
        Self {
            path,
            uid,
            network: Network::default(),
        }
    }

    async fn socket(&self) -> Option<UnixStream> {
        let stream = match UnixStream::connect(&self.path).await {
            Ok(stream) => stream,
            Err(error) => {
                tracing::debug!(path = %self.path.display(), %error, "no gateway at the Unix socket");
                return None;
            }
        };
        let uid = stream.peer_cred().ok()?.uid();
        if uid != self.uid && uid != ROOT {
            tracing::warn!(path = %self.path.display(), uid, "another user's program listens at the Unix socket");
            return None;
        }
        Some(stream)
    }
}

impl Dial for LocalFirst {
    fn dial<'a>(&'a self, endpoint: &'a Endpoint) -> Dialling<'a> {
        Box::pin(async move {
            match self.socket().await {
                Some(stream) => Ok(Box::new(stream) as Box<dyn crate::dial::Socket>),
                None => self.network.dial(endpoint).await,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, UnixListener};

    use super::*;

    #[tokio::test]
    async fn the_socket_of_the_right_user_comes_first() {
        let dir = tempfile::tempdir().unwrap();
        let own_uid = std::fs::metadata(dir.path()).unwrap().uid();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let endpoint = Endpoint::parse(&format!("ws://127.0.0.1:{port}")).unwrap();
        let path = dir.path().join("gateway.sock");
        let served = UnixListener::bind(&path).unwrap();
        let by_port = async {
            let (mut peer, _) = listener.accept().await.unwrap();
            peer.write_all(b"port").await.unwrap();
        };
        let by_socket = async {
            loop {
                let (mut peer, _) = served.accept().await.unwrap();
                // Whoever found the wrong user is gone by now.
                let _ = peer.write_all(b"socket").await;
            }
        };
        let check = async |dial: LocalFirst, expected: &str| {
            let mut socket = dial.dial(&endpoint).await.unwrap();
            let mut text = String::new();
            socket.read_to_string(&mut text).await.unwrap();
            assert_eq!(text, expected, "{dial:?}");
        };
        let absent = dir.path().join("absent");
        let checks = async {
            check(LocalFirst::new(path.clone(), own_uid), "socket").await;
            tokio::join!(check(LocalFirst::new(absent, own_uid), "port"), by_port);
        };
        tokio::select! {
            () = checks => {}
            () = by_socket => {}
        }
        // As root every listener is root's, which is always right.
        let stranger = LocalFirst::new(path, own_uid + 1).socket().await;
        assert_eq!(stranger.is_some(), own_uid == ROOT);
    }
}
