//! The listening sockets (contract 1.1, 11.3).

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::{TcpListener, TcpStream};

use crate::config::Bind;

/// Why there is nothing to listen on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody has the port.
    #[error("another gateway instance is already listening on ws://{address}")]
    Taken {
        /// Where.
        address: SocketAddr,
    },
    /// The system does not let us.
    #[error("cannot listen on {address}: {cause}")]
    Refused {
        /// Where.
        address: SocketAddr,
        /// What it said.
        cause: io::Error,
    },
}

/// Binds the first of the mode's addresses that can be bound, and ::1 beside 127.0.0.1.
///
/// A port that is taken ends the search: the next address would be one that other hosts reach, and somebody who talks
/// to the old one would not notice.
pub(super) async fn listen(
    bind: Bind,
    port: u16,
    custom: Option<Ipv4Addr>,
    addresses: &[IpAddr],
) -> Result<Vec<TcpListener>, ListenError> {
    let tailnet = addresses.iter().find_map(|address| match address {
        IpAddr::V4(address) if is_tailnet(*address) => Some(*address),
        _ => None,
    });
    let mut failure = None;
    for address in bind.candidates(custom, tailnet) {
        let address = SocketAddr::from((address, port));
        match bind_at(address).await {
            Ok(listener) => {
                // With port 0 the system chose one.
                let port = listener.local_addr().map_or(port, |address| address.port());
                let second = second(address, port).await;
                return Ok(std::iter::once(listener).chain(second).collect());
            }
            Err(cause) if cause.kind() == ErrorKind::AddrInUse => {
                return Err(ListenError::Taken { address });
            }
            Err(cause) => {
                tracing::warn!(%address, error = %cause, "cannot listen here");
                failure = Some(ListenError::Refused { address, cause });
            }
        }
    }
    Err(failure.unwrap_or_else(|| ListenError::Refused {
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        cause: ErrorKind::AddrNotAvailable.into(),
    }))
}

async fn bind_at(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address).await?;
    if INHERITS_NODELAY {
        rustix::net::sockopt::set_tcp_nodelay(&listener, true)?;
    }
    Ok(listener)
}

/// Do accepted sockets have TCP_NODELAY when the listening one has? Then it need not be set for each.
const INHERITS_NODELAY: bool = cfg!(target_os = "linux");

/// Makes a socket send what is written without waiting for more: replies are small and written whole.
pub(super) fn send_at_once(stream: &TcpStream) {
    if !INHERITS_NODELAY && let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
}

/// ::1 beside 127.0.0.1; a host without IPv6 is none the worse.
async fn second(first: SocketAddr, port: u16) -> Option<TcpListener> {
    if first.ip() != IpAddr::V4(Ipv4Addr::LOCALHOST) {
        return None;
    }
    let address = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
    match bind_at(address).await {
        Ok(listener) => Some(listener),
        Err(error) => {
            tracing::warn!(%address, %error, "cannot listen here as well");
            None
        }
    }
}

/// 100.64.0.0/10, where tailnets give out addresses.
fn is_tailnet(address: Ipv4Addr) -> bool {
    let [a, b, ..] = address.octets();
    a == 100 && (64..128).contains(&b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn loopback_takes_both_addresses_and_a_taken_port_is_named() {
        let listeners = listen(Bind::Loopback, 0, None, &[])
            .await
            .expect("a free port");
        let first = listeners[0].local_addr().expect("an address");
        assert_eq!(first.ip(), IpAddr::V4(Ipv4Addr::LOCALHOST));
        for other in &listeners[1..] {
            assert_eq!(
                other.local_addr().expect("an address"),
                SocketAddr::from((Ipv6Addr::LOCALHOST, first.port()))
            );
        }
        let error = listen(Bind::Loopback, first.port(), None, &[])
            .await
            .expect_err("taken");
        assert_eq!(
            error.to_string(),
            format!("another gateway instance is already listening on ws://{first}")
        );
    }

    #[tokio::test]
    async fn an_address_that_is_not_ours_falls_through() {
        let elsewhere = Some(Ipv4Addr::new(192, 0, 2, 1));
        let listeners = listen(Bind::Custom, 0, elsewhere, &[])
            .await
            .expect("every address");
        assert!(
            listeners[0]
                .local_addr()
                .expect("an address")
                .ip()
                .is_unspecified()
        );
    }

    #[tokio::test]
    async fn accepted_sockets_send_at_once() {
        let listeners = listen(Bind::Loopback, 0, None, &[])
            .await
            .expect("a free port");
        let address = listeners[0].local_addr().expect("an address");
        let (client, accepted) = tokio::join!(TcpStream::connect(address), listeners[0].accept());
        let (stream, _) = accepted.expect("a connection");
        send_at_once(&stream);
        assert!(stream.nodelay().expect("an option"));
        drop(client);
    }

    #[test]
    fn tailnet_addresses() {
        for (address, is) in [
            ([100, 63, 0, 1], false),
            ([100, 64, 0, 1], true),
            ([100, 127, 255, 255], true),
            ([100, 128, 0, 0], false),
            ([10, 64, 0, 1], false),
        ] {
            assert_eq!(is_tailnet(Ipv4Addr::from(address)), is, "{address:?}");
        }
    }
}
