//! Clients that count as remote: they name the gateway by another host than this one, and reach it over loopback.

use std::sync::Arc;

use openclaw_client::dial::{Dial, DialError, Dialling, Socket};
use openclaw_client::{ClientConfig, DeviceIdentity, Endpoint, Reconnect};
use openclaw_protocol::protocol::Scope;
use openclaw_protocol::rt::{NonEmptyString, SecretString};
use openclaw_protocol::types::{ClientId, ClientMode, ConnectClient};
use tokio::net::TcpStream;

/// Dials a port of this host, whatever the URL says.
struct Here(u16);

impl Dial for Here {
    fn dial<'a>(&'a self, _: &'a Endpoint) -> Dialling<'a> {
        Box::pin(async move {
            let stream = TcpStream::connect(("127.0.0.1", self.0))
                .await
                .map_err(DialError::Tcp)?;
            Ok(Box::new(stream) as Box<dyn Socket>)
        })
    }
}

fn me() -> ConnectClient {
    let text = |text: &str| NonEmptyString::or(text, "-");
    ConnectClient::new(ClientId::Test, text("1"), text("linux"), ClientMode::Test)
}

/// An operator on this host without a device, who may do everything.
pub(crate) fn operator(port: u16, token: &str) -> ClientConfig {
    let mut config = ClientConfig::new(&format!("ws://127.0.0.1:{port}"), me()).expect("a URL");
    config.token = Some(SecretString::new(token));
    config.reconnect = Reconnect::Never;
    config
}

/// Device number `n` from elsewhere, with whatever token.
pub(crate) fn device(port: u16, n: u8, scopes: &[Scope], token: &str) -> ClientConfig {
    let url = format!("ws://gateway.example:{port}");
    let mut config = ClientConfig::new(&url, me()).expect("a URL");
    config.dial = Arc::new(Here(port));
    config.token = Some(SecretString::new(token));
    config.scopes = scopes.to_vec();
    config.identity = Some(DeviceIdentity::from_seed(&[n + 1; 32]));
    config.reconnect = Reconnect::Never;
    config
}
