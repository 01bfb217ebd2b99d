//! What a client needs to know before it connects.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use openclaw_protocol::protocol::{Role, Scope, limits};
use openclaw_protocol::rt::SecretString;
use openclaw_protocol::types::ConnectClient;

use crate::backoff::Backoff;
use crate::clock::Clock;
use crate::dial::{Dial, Network};
use crate::endpoint::{BadUrl, Endpoint};
use crate::identity::DeviceIdentity;
use crate::token_store::TokenStore;

/// Time for everything up to hello-ok: the original command line gives up after as long.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Time for one call. Longer than `agent.wait` waits when not told otherwise.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// Time for the second response of a staged call: the longest run that is not asked for
/// explicitly, and a minute for what surrounds it.
pub const FINAL_TIMEOUT: Duration = Duration::from_secs(limits::AGENT_TIMEOUT_SECONDS + 60);

/// Largest message that is read, in bytes. What the original client accepts; the largest answer a
/// gateway gives is a chat history of a quarter of that.
pub const MAX_MESSAGE: usize = 25 * 1024 * 1024;

/// Notices that wait for a slow consumer before the oldest are dropped: some minutes of a busy
/// gateway, or a burst of chat deltas of all its sessions.
pub const EVENT_BUFFER: usize = 1024;

/// Whom to connect to, as whom, and how patiently. Made with [`ClientConfig::new`], then changed
/// field by field.
#[derive(Clone)]
pub struct ClientConfig {
    /// The gateway.
    pub endpoint: Endpoint,
    /// The gateway's shared token, if known.
    pub token: Option<SecretString>,
    /// The gateway's shared password, if known.
    pub password: Option<SecretString>,
    /// The program that connects, as the gateway and other clients will see it.
    pub client: ConnectClient,
    /// What the connection is for.
    pub role: Role,
    /// What is asked for; the gateway's default for the role when empty.
    pub scopes: Vec<Scope>,
    /// Node: capabilities.
    pub caps: Vec<String>,
    /// Node: commands that it carries out.
    pub commands: Vec<String>,
    /// Node: permissions that its user has given it.
    pub permissions: BTreeMap<String, bool>,
    /// Node: where its commands are looked for.
    pub path_env: Option<String>,
    /// Language of the user.
    pub locale: Option<String>,
    /// Free text.
    pub user_agent: Option<String>,
    /// This device. Without one the gateway admits only who knows its shared secret.
    pub identity: Option<DeviceIdentity>,
    /// Where device tokens are kept; used together with [`identity`](Self::identity) only.
    pub token_store: Option<TokenStore>,
    /// Whether and how to come back after the connection was lost.
    pub reconnect: Reconnect,
    /// Time for everything up to hello-ok, see [`CONNECT_TIMEOUT`].
    pub connect_timeout: Duration,
    /// Time for one call, see [`CALL_TIMEOUT`].
    pub call_timeout: Duration,
    /// Time for the second response of a staged call, see [`FINAL_TIMEOUT`].
    pub final_timeout: Duration,
    /// Largest message that is read, in bytes, see [`MAX_MESSAGE`].
    pub max_message: usize,
    /// Notices that wait for a slow consumer, see [`EVENT_BUFFER`]. Rounded up to a power of two;
    /// 0 counts as 1.
    pub event_buffer: usize,
    /// Opens byte streams. [`Network`] unless a TLS pin or a test asks for something else.
    pub dial: Arc<dyn Dial>,
    /// The wall clock, for signatures.
    pub clock: Clock,
}

/// What to do when an established connection is lost.
#[derive(Debug, Clone)]
pub enum Reconnect {
    /// Nothing: the client is closed then.
    Never,
    /// Try again for ever, but give up when the gateway refuses for good, as it does when a token
    /// is wrong or the device is not paired any more.
    UnlessRefused(Backoff),
    /// Try again for ever, whatever the gateway says: it may be paired again.
    Always(Backoff),
}

impl ClientConfig {
    /// An operator without secrets that connects to `url` and stays connected.
    ///
    /// # Errors
    /// The text is no URL of a gateway.
    pub fn new(url: &str, client: ConnectClient) -> Result<Self, BadUrl> {
        Ok(Self {
            endpoint: Endpoint::parse(url)?,
            token: None,
            password: None,
            client,
            role: Role::Operator,
            scopes: Vec::new(),
            caps: Vec::new(),
            commands: Vec::new(),
            permissions: BTreeMap::new(),
            path_env: None,
            locale: None,
            user_agent: None,
            identity: None,
            token_store: None,
            reconnect: Reconnect::UnlessRefused(Backoff::default()),
            connect_timeout: CONNECT_TIMEOUT,
            call_timeout: CALL_TIMEOUT,
            final_timeout: FINAL_TIMEOUT,
            max_message: MAX_MESSAGE,
            event_buffer: EVENT_BUFFER,
            dial: Arc::new(Network::default()),
            clock: Clock::system(),
        })
    }
}

impl std::fmt::Debug for ClientConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientConfig")
            .field("endpoint", &self.endpoint)
            .field("role", &self.role)
            .field("scopes", &self.scopes)
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}
