//! Client SDK of the gateway protocol.
//!
//! ```no_run
//! use openclaw_client::{Client, ClientConfig, GatewayCalls as _, Notice};
//! # use openclaw_protocol::types::{ConnectClient, HealthParams};
//! # async fn example(me: ConnectClient) -> Result<(), Box<dyn std::error::Error>> {
//! let mut config = ClientConfig::new("ws://127.0.0.1:18789", me)?;
//! config.token = Some("the gateway's token".into());
//! let client = Client::connect(config).await?;
//! let mut events = client.events();
//! let health = client.health(&HealthParams::default()).await?;
//! println!("{health:?}");
//! while let Some(notice) = events.next().await {
//!     if let Notice::Event(event) = notice {
//!         println!("{}: {}", event.name, event.payload);
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Inside: [`Client`] is a handle. Behind it one task owns the connection: it establishes it
//! (`handshake`), reads it (`link`), and after a loss brings it back (`client`, `backoff`). A
//! second task writes. Handles and task share the calls that wait (`state`). What a device is and
//! has been given is in files ([`identity`], [`token_store`]). Time is tokio's, so that tests run on
//! paused time; sockets, the wall clock and chance are parts of [`ClientConfig`].

mod backoff;
mod calls;
mod client;
mod clock;
mod config;
pub mod dial;
mod endpoint;
mod error;
mod events;
mod files;
mod handshake;
pub mod identity;
mod link;
#[cfg(unix)]
mod local;
mod state;
pub mod tls;
pub mod token_store;
mod upgrade;
mod wire;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;

pub use backoff::{Backoff, Chance};
pub use client::{Client, Stages};
pub use clock::Clock;
pub use config::{
    CALL_TIMEOUT, CONNECT_TIMEOUT, ClientConfig, EVENT_BUFFER, FINAL_TIMEOUT, MAX_MESSAGE,
    Reconnect,
};
pub use endpoint::{BadUrl, Endpoint};
pub use error::{CallError, ConnectError, Disconnect};
pub use events::{Events, Notice, Received};
pub use identity::DeviceIdentity;
#[cfg(unix)]
pub use local::LocalSocket;
pub use openclaw_protocol::client::{GatewayCalls, Staging, Transport};
pub use state::MAX_PENDING;
pub use token_store::TokenStore;
