//! Kinds of clients that the handshake tells apart (contract 2.2, definitions at its end).

use openclaw_protocol::types::{ClientId, ClientMode, ConnectClient};

/// Which hints help a client that showed the wrong secret (2.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClientKind {
    /// A command line.
    Cli,
    /// The Control UI or another page with a chat.
    Page,
    /// Anything else.
    Other,
}

impl ClientKind {
    /// The kind of a client. A command line is one whatever id it bears.
    #[must_use]
    pub fn of(client: &ConnectClient) -> Self {
        match client.mode {
            ClientMode::Cli => Self::Cli,
            _ if is_control_ui(client) || is_webchat(client) => Self::Page,
            _ => Self::Other,
        }
    }
}

/// Is it the Control UI, under this or a former brand (odd 57)?
#[must_use]
pub fn is_control_ui(client: &ConnectClient) -> bool {
    matches!(
        client.id,
        ClientId::OpenclawControlUi | ClientId::MoltbotControlUi | ClientId::ClawdbotControlUi
    )
}

/// Is it a page with a chat?
#[must_use]
pub fn is_webchat(client: &ConnectClient) -> bool {
    matches!(client.mode, ClientMode::Webchat) || matches!(client.id, ClientId::WebchatUi)
}
