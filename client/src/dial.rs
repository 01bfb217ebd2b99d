//! Opens the byte stream to a gateway. Tests and simulations bring their own [`Dial`].

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::endpoint::Endpoint;
use crate::tls::{Fingerprint, FingerprintMismatch, Tls, TlsError};

/// A byte stream in both directions.
pub trait Socket: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Socket for T {}

/// What [`Dial::dial`] gives.
pub type Dialling<'a> =
    Pin<Box<dyn Future<Output = Result<Box<dyn Socket>, DialError>> + Send + 'a>>;

/// Opens byte streams to gateways.
pub trait Dial: Send + Sync + 'static {
    /// Opens one, encrypted when the endpoint says so. There is no time limit here: the caller
    /// drops the future.
    fn dial<'a>(&'a self, endpoint: &'a Endpoint) -> Dialling<'a>;
}

/// Why there is no byte stream.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// No TCP connection.
    #[error("{0}")]
    Tcp(io::Error),
    /// Nobody, or the wrong one, at a Unix socket.
    #[error("{}: {source}", path.display())]
    Socket {
        /// Where the socket is.
        path: PathBuf,
        /// What is wrong.
        source: io::Error,
    },
    /// The certificate is not the pinned one.
    #[error(transparent)]
    Fingerprint(FingerprintMismatch),
    /// A pin was given for an endpoint without TLS.
    #[error("a TLS fingerprint is pinned, but the URL is not wss://")]
    PinWithoutTls,
    /// No TLS: the certificate is not trusted, the peer speaks no TLS, or this machine has no
    /// root certificates.
    #[error("TLS: {0}")]
    Tls(io::Error),
}

/// TCP, with TLS over it for `wss://`.
#[derive(Clone, Default)]
pub struct Network {
    pin: Option<Fingerprint>,
    /// Made at the first use: most gateways are reached without TLS.
    tls: Arc<OnceLock<Tls>>,
}

impl Network {
    /// Trusts the operating system's root certificates, or with a pin that certificate alone.
    #[must_use]
    pub fn new(pin: Option<Fingerprint>) -> Self {
        Self {
            pin,
            tls: Arc::default(),
        }
    }

    async fn tls(&self) -> io::Result<Tls> {
        if let Some(tls) = self.tls.get() {
            return Ok(tls.clone());
        }
        let pin = self.pin;
        let tls = tokio::task::spawn_blocking(move || Tls::new(pin))
            .await
            .map_err(io::Error::other)?
            .map_err(io::Error::other)?;
        Ok(self.tls.get_or_init(|| tls).clone())
    }

    async fn open(&self, endpoint: &Endpoint) -> Result<Box<dyn Socket>, DialError> {
        if self.pin.is_some() && !endpoint.is_tls() {
            return Err(DialError::PinWithoutTls);
        }
        let address = (endpoint.host(), endpoint.port());
        let socket = TcpStream::connect(address).await.map_err(DialError::Tcp)?;
        // Requests are small and waited for.
        socket.set_nodelay(true).map_err(DialError::Tcp)?;
        if !endpoint.is_tls() {
            return Ok(Box::new(socket));
        }
        let tls = self.tls().await.map_err(DialError::Tls)?;
        match tls.connect(endpoint.host(), socket).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(TlsError::Mismatch(mismatch)) => Err(DialError::Fingerprint(mismatch)),
            Err(TlsError::Other(error)) => Err(DialError::Tls(error)),
        }
    }
}

impl Dial for Network {
    fn dial<'a>(&'a self, endpoint: &'a Endpoint) -> Dialling<'a> {
        Box::pin(self.open(endpoint))
    }
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Network").field("pin", &self.pin).finish()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    fn endpoint(scheme: &str, port: u16) -> Endpoint {
        Endpoint::parse(&format!("{scheme}://127.0.0.1:{port}")).unwrap()
    }

    #[tokio::test]
    async fn tcp_with_and_without_a_listener() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = endpoint("ws", listener.local_addr().unwrap().port());
        let network = Network::default();
        let accept = async {
            let (mut peer, _) = listener.accept().await.unwrap();
            peer.write_all(b"hi").await.unwrap();
        };
        let (socket, ()) = tokio::join!(network.dial(&endpoint), accept);
        let mut got = String::new();
        socket.unwrap().read_to_string(&mut got).await.unwrap();
        assert_eq!(got, "hi");

        drop(listener);
        let error = network.dial(&endpoint).await.map(|_| ()).unwrap_err();
        assert!(matches!(error, DialError::Tcp(_)), "{error:?}");
    }

    #[tokio::test]
    async fn tls_with_a_pin_and_a_peer_that_speaks_none() {
        let (acceptor, certificate) = crate::fake::self_signed();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let network = Network::new(Some(Fingerprint::of(&certificate)));
        let accept = async {
            let (peer, _) = listener.accept().await.unwrap();
            let mut peer = acceptor.accept(peer).await.unwrap();
            peer.write_all(b"hi").await.unwrap();
            peer.shutdown().await.unwrap();
        };
        let wss = endpoint("wss", port);
        let (socket, ()) = tokio::join!(network.dial(&wss), accept);
        let mut got = String::new();
        socket.unwrap().read_to_string(&mut got).await.unwrap();
        assert_eq!(got, "hi");

        let plain = async {
            let (mut peer, _) = listener.accept().await.unwrap();
            peer.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                .await
                .unwrap();
        };
        let (outcome, ()) = tokio::join!(network.dial(&wss), plain);
        let error = outcome.map(|_| ()).unwrap_err();
        assert!(matches!(error, DialError::Tls(_)), "{error:?}");

        let ws = endpoint("ws", port);
        let error = network.dial(&ws).await.map(|_| ()).unwrap_err();
        assert!(matches!(error, DialError::PinWithoutTls), "{error:?}");
    }
}
