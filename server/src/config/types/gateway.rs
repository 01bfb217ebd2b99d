//! `gateway`: where the daemon listens and whom it lets in.

use std::net::Ipv4Addr;
use std::num::NonZeroU16;

pub use openclaw_core::connection::auth::AuthMode;
use openclaw_core::words;
use openclaw_schema_runtime::SecretString;
use schemars::JsonSchema;
use serde::Deserialize;

use super::http::GatewayHttp;
use crate::limits::{MAX_CONNECTIONS, MAX_CONNECTIONS_PER_NETWORK};

/// `gateway`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Gateway {
    /// Whether a gateway runs on this host. Must be `local` for one to start.
    pub mode: Option<GatewayMode>,
    /// Port of WebSocket and HTTP; 18789 when absent.
    pub port: Option<NonZeroU16>,
    /// Addresses listened on.
    pub bind: Bind,
    /// Address for bind mode `custom`.
    pub custom_bind_host: Option<String>,
    /// Secrets that clients show.
    pub auth: Auth,
    /// Exposure through Tailscale.
    pub tailscale: Tailscale,
    /// Addresses of proxies whose `X-Forwarded-*` headers count.
    pub trusted_proxies: Vec<String>,
    /// The web client served by the gateway.
    pub control_ui: ControlUi,
    /// The gateway that commands of this host talk to when it is another host's.
    pub remote: Remote,
    /// TLS of the listener. Not supported: a gateway does not start with it.
    pub tls: Tls,
    /// Path of a Unix socket that the gateway serves beside its port: `~` is the home directory, a relative path is
    /// below the state directory. Programs of this user need no token there.
    pub socket: Option<String>,
    /// How many may be connected.
    pub connections: Connections,
    /// What nodes may be asked for.
    pub nodes: Nodes,
    /// Whether events go to those alone who could ask about what they tell: conversations, jobs and presence to operators
    /// with `operator.read`, and to nodes only copies of what they subscribed to. Off, as every client gets them from
    /// the original.
    pub narrow_events: bool,
    /// Interfaces beside the WebSocket.
    pub http: GatewayHttp,
}

words! {
    /// `gateway.mode`.
    GatewayMode {
        /// The gateway runs on this host.
        Local = "local",
        /// Commands of this host use a gateway elsewhere; none may start here.
        Remote = "remote",
    }
}

words! {
    /// `gateway.bind` (contract 11.3).
    #[derive(Default)]
    Bind {
        /// 127.0.0.1 and ::1.
        #[default]
        Loopback = "loopback",
        /// Every IPv4 address.
        Lan = "lan",
        /// The host's tailnet address.
        Tailnet = "tailnet",
        /// Loopback when possible.
        Auto = "auto",
        /// `gateway.customBindHost`.
        Custom = "custom",
    }
}

impl Bind {
    /// Addresses to try in turn until one can be bound (contract 11.3). `custom` is `gateway.customBindHost`,
    /// `tailnet` the host's own tailnet address. Loopback also takes ::1 beside 127.0.0.1 (contract 1.1).
    #[must_use]
    pub fn candidates(self, custom: Option<Ipv4Addr>, tailnet: Option<Ipv4Addr>) -> Vec<Ipv4Addr> {
        let (first, then): (Option<Ipv4Addr>, &[Ipv4Addr]) = match self {
            Self::Loopback | Self::Auto => (None, &[Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED]),
            Self::Lan => (None, &[Ipv4Addr::UNSPECIFIED]),
            Self::Tailnet => (tailnet, &[Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED]),
            Self::Custom => (custom, &[Ipv4Addr::UNSPECIFIED]),
        };
        first.into_iter().chain(then.iter().copied()).collect()
    }
}

words! {
    /// `gateway.tailscale.mode`.
    #[derive(Default)]
    TailscaleMode {
        /// Not exposed.
        #[default]
        Off = "off",
        /// Exposed to the tailnet.
        Serve = "serve",
        /// Exposed to the internet.
        Funnel = "funnel",
    }
}

/// `gateway.auth` (contract 2.7). What is in force is decided by [`crate::config::GatewayAuth::resolve`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Auth {
    /// Which secret counts.
    pub mode: Option<AuthMode>,
    /// The shared token.
    #[schemars(with = "Option<String>", extend("x-secret" = true))]
    pub token: Option<SecretString>,
    /// The shared password.
    #[schemars(with = "Option<String>", extend("x-secret" = true))]
    pub password: Option<SecretString>,
    /// Whether a verified Tailscale identity is enough.
    pub allow_tailscale: Option<bool>,
    /// Whether every client has to show a device key and sign the challenge, and every device that is not local has to
    /// be approved, whatever secret it knows. Clients without a device key stay outside then.
    pub strict_devices: bool,
}

/// `gateway.connections`: bounds on sockets, whatever they speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Connections {
    /// All of them together.
    pub max: NonZeroU16,
    /// Those of one address beyond this host; IPv6 addresses count by their first 64 bits. Clients of a trusted proxy
    /// count by their own addresses.
    pub max_per_address: NonZeroU16,
}

impl Default for Connections {
    fn default() -> Self {
        const fn or_one(limit: usize) -> NonZeroU16 {
            match NonZeroU16::new(limit as u16) {
                Some(limit) => limit,
                None => NonZeroU16::MIN,
            }
        }
        Self {
            max: or_one(MAX_CONNECTIONS),
            max_per_address: or_one(MAX_CONNECTIONS_PER_NETWORK),
        }
    }
}

/// `gateway.tailscale`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Tailscale {
    /// Exposure.
    pub mode: TailscaleMode,
    /// Whether the exposure ends with the gateway.
    pub reset_on_exit: bool,
    /// The program that knows the tailnet; `tailscale` when absent.
    pub command: Option<String>,
}

/// `gateway.controlUi` (contract 10.3).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ControlUi {
    /// Whether the web client is served.
    pub enabled: bool,
    /// Path it is served under; the root when absent.
    pub base_path: Option<String>,
    /// Lets the web client connect by shared secret without a device key.
    pub allow_insecure_auth: bool,
    /// As above, and a device key that is sent is not looked at.
    pub dangerously_disable_device_auth: bool,
    /// Origins from which browsers may connect besides the gateway's own.
    pub allowed_origins: Vec<String>,
}

impl Default for ControlUi {
    fn default() -> Self {
        Self {
            enabled: true,
            base_path: None,
            allow_insecure_auth: false,
            dangerously_disable_device_auth: false,
            allowed_origins: Vec::new(),
        }
    }
}

/// `gateway.remote`: read by commands, never by the gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Remote {
    /// `ws://` or `wss://` URL.
    pub url: Option<String>,
    /// Its shared token.
    #[schemars(with = "Option<String>", extend("x-secret" = true))]
    pub token: Option<SecretString>,
    /// Its shared password.
    #[schemars(with = "Option<String>", extend("x-secret" = true))]
    pub password: Option<SecretString>,
    /// SHA-256 of its certificate, hex.
    pub tls_fingerprint: Option<String>,
}

/// `gateway.nodes` (contract 8.2).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Nodes {
    /// Commands that every node may be asked for, beside those of its platform. Exact names.
    pub allow_commands: Vec<String>,
    /// Commands that no node may be asked for, whatever else is said. Exact names.
    pub deny_commands: Vec<String>,
}

/// `gateway.tls` (contract 11.5).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Tls {
    /// Whether the listener speaks TLS.
    pub enabled: bool,
    /// Whether a certificate is made when there is none.
    pub auto_generate: bool,
    /// Certificate chain, PEM.
    pub cert_path: Option<String>,
    /// Private key, PEM.
    pub key_path: Option<String>,
    /// Additional certificate authority, PEM.
    pub ca_path: Option<String>,
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            enabled: false,
            auto_generate: true,
            cert_path: None,
            key_path: None,
            ca_path: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_are_written() {
        for bind in Bind::ALL {
            assert_eq!(bind.as_str().parse(), Ok(*bind));
        }
        assert_eq!(" Token ".parse(), Ok(AuthMode::Token));
        assert_eq!(
            "none".parse::<AuthMode>().unwrap_err().to_string(),
            r#""none" is not one of token, password"#
        );
    }

    #[test]
    fn bounds_on_connections_are_the_named_ones() {
        let Connections {
            max,
            max_per_address,
        } = Connections::default();
        assert_eq!(usize::from(max.get()), MAX_CONNECTIONS);
        assert_eq!(
            usize::from(max_per_address.get()),
            MAX_CONNECTIONS_PER_NETWORK
        );
    }

    #[test]
    fn bind_modes_try_the_addresses_of_the_contract() {
        let (any, loopback) = (Ipv4Addr::UNSPECIFIED, Ipv4Addr::LOCALHOST);
        let (custom, tailnet) = (Ipv4Addr::new(10, 0, 0, 7), Ipv4Addr::new(100, 64, 0, 9));
        let check = |bind: Bind, known: bool, expected: &[Ipv4Addr]| {
            let found = bind.candidates(known.then_some(custom), known.then_some(tailnet));
            assert_eq!(found, expected, "{bind}, addresses known: {known}");
        };
        check(Bind::Loopback, true, &[loopback, any]);
        check(Bind::Auto, true, &[loopback, any]);
        check(Bind::Lan, true, &[any]);
        check(Bind::Tailnet, true, &[tailnet, loopback, any]);
        check(Bind::Tailnet, false, &[loopback, any]);
        check(Bind::Custom, true, &[custom, any]);
        check(Bind::Custom, false, &[any]);
    }
}
