//! Who sent a request: the context that every handler receives (the `C` of the generated traits).

use std::ops::Deref;
use std::sync::Arc;

use openclaw_protocol::protocol::Role;
use openclaw_protocol::types::ConnectClient;

/// What a connection is known by once its `connect` has been accepted. Never changes afterwards.
#[derive(Debug)]
pub struct CallerInfo {
    /// Id of the connection, a v4 UUID; `server.connId` of hello-ok.
    pub conn_id: String,
    /// Negotiated protocol version: decides which methods, members and events the client has.
    pub protocol: u64,
    /// Role that was asked for and granted.
    pub role: Role,
    /// Effective scopes: those asked for, or the role's default (contract 2.3, step 4).
    pub scopes: Vec<String>,
    /// The client's description of itself.
    pub client: ConnectClient,
    /// Id of the verified device, if one is in effect.
    pub device_id: Option<String>,
    /// Address as it is reported in presence and pairing records; never that of a local client (contract 2.6).
    pub remote_ip: Option<String>,
    /// Whether the connection counts as local (contract 2.6).
    pub is_local: bool,
}

/// A shared [`CallerInfo`]; cloning costs one counter, so each request carries its own.
#[derive(Debug, Clone)]
pub struct Caller(Arc<CallerInfo>);

impl Caller {
    /// Shares `info`.
    #[must_use]
    pub fn new(info: CallerInfo) -> Self {
        Self(Arc::new(info))
    }
}

impl Deref for Caller {
    type Target = CallerInfo;

    fn deref(&self) -> &CallerInfo {
        &self.0
    }
}

#[cfg(test)]
impl Caller {
    /// A local operator with admin rights for tests; `change` makes it another one.
    pub(crate) fn of_test(conn_id: &str, change: impl FnOnce(&mut CallerInfo)) -> Self {
        use openclaw_protocol::rt::NonEmptyString;
        use openclaw_protocol::types::{ClientId, ClientMode};

        let text = |text: &str| NonEmptyString::or(text, "-");
        let mut info = CallerInfo {
            conn_id: conn_id.to_owned(),
            protocol: openclaw_protocol::protocol::VERSION,
            role: Role::Operator,
            scopes: vec!["operator.admin".to_owned()],
            client: ConnectClient::new(
                ClientId::Test,
                text("1.0.0"),
                text("linux"),
                ClientMode::Test,
            ),
            device_id: None,
            remote_ip: None,
            is_local: true,
        };
        change(&mut info);
        Self::new(info)
    }
}
