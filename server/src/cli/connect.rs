//! From flags, environment and configuration to a connected client. Called by every command that talks to a gateway.
//!
//! The token in this host's configuration belongs to this host's gateway: it is not sent to a URL that was given by
//! hand, only a token that was given by hand is. When the configuration names a Unix socket, this host's gateway is
//! reached by that first.

use std::num::NonZeroU16;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use openclaw_client::{
    Client, ClientConfig, ConnectError, DeviceIdentity, LocalFirst, Reconnect, TokenStore,
};
use openclaw_protocol::protocol::Scope;
use openclaw_protocol::rt::{NonEmptyString, SecretString};
use openclaw_protocol::types::{ClientId, ClientMode, ConnectClient};

use crate::config::{self, Config, GatewayMode};
use crate::gateway::socket_path;
use crate::paths::{Environment, Paths};

/// Where the gateway is and how to get in.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct ConnectArgs {
    /// URL of the gateway, ws:// or wss:// (default: this host's, from the configuration)
    #[arg(long)]
    pub url: Option<String>,
    /// Shared token of the gateway (default: OPENCLAW_GATEWAY_TOKEN, else the configuration)
    #[arg(long)]
    pub token: Option<String>,
    /// Shared password of the gateway (default: OPENCLAW_GATEWAY_PASSWORD, else the configuration)
    #[arg(long)]
    pub password: Option<String>,
    /// How long to wait for an answer, in milliseconds
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub timeout: u64,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectFailure {
    /// The URL is none.
    #[error(transparent)]
    Url(#[from] openclaw_client::BadUrl),
    /// The environment names a port that is none.
    #[error(transparent)]
    Start(#[from] config::StartError),
    /// This device's key cannot be read or made.
    #[error("this device's identity: {0}")]
    Identity(#[from] openclaw_client::identity::IdentityError),
    /// The gateway did not let us in, or is not there.
    #[error(transparent)]
    Connect(#[from] ConnectError),
}

/// Connects as the command line does: client `cli`, all operator scopes that it uses, this user's device key.
///
/// # Errors
/// See [`ConnectFailure`].
pub(super) async fn connect(
    args: &ConnectArgs,
    environment: &Environment,
) -> Result<Client, ConnectFailure> {
    let paths = Paths::resolve(environment);
    let loaded = config::load(&paths, environment);
    let target = target(args, environment, &paths, &loaded.config)?;
    let me = ConnectClient::new(
        ClientId::Cli,
        NonEmptyString::or(env!("CARGO_PKG_VERSION"), "dev"),
        NonEmptyString::or(std::env::consts::OS, "unknown"),
        ClientMode::Cli,
    );
    let mut config = ClientConfig::new(&target.url, me)?;
    if let Some(path) = target.socket {
        let own_uid = rustix::process::geteuid().as_raw();
        config.dial = Arc::new(LocalFirst::new(path, own_uid));
    }
    config.token = target.token;
    config.password = target.password;
    config.scopes = vec![Scope::Admin, Scope::Approvals, Scope::Pairing];
    config.reconnect = Reconnect::Never;
    config.connect_timeout = Duration::from_millis(args.timeout);
    config.call_timeout = Duration::from_millis(args.timeout);
    let identity_file = environment
        .home
        .join(".openclaw")
        .join("identity")
        .join("device.json");
    config.identity = Some(DeviceIdentity::load_or_create(
        &identity_file,
        &config.clock,
    )?);
    config.token_store = Some(TokenStore::new(
        paths.identity_dir().join("device-auth.json"),
    ));
    Ok(Client::connect(config).await?)
}

struct Target {
    url: String,
    /// Tried before the URL.
    socket: Option<PathBuf>,
    token: Option<SecretString>,
    password: Option<SecretString>,
}

fn target(
    args: &ConnectArgs,
    environment: &Environment,
    paths: &Paths,
    config: &Config,
) -> Result<Target, config::StartError> {
    let given = |flag: &Option<String>, suffix: &str| {
        flag.clone()
            .or_else(|| environment.own(suffix).map(|(_, value)| value.to_owned()))
            .map(SecretString::new)
    };
    let token = given(&args.token, "GATEWAY_TOKEN");
    let password = given(&args.password, "GATEWAY_PASSWORD");
    if let Some(url) = &args.url {
        return Ok(Target {
            url: url.clone(),
            socket: None,
            token,
            password,
        });
    }
    let gateway = &config.gateway;
    if gateway.mode == Some(GatewayMode::Remote)
        && let Some(url) = &gateway.remote.url
    {
        return Ok(Target {
            url: url.clone(),
            socket: None,
            token: token.or_else(|| gateway.remote.token.clone()),
            password: password.or_else(|| gateway.remote.password.clone()),
        });
    }
    let port = config::resolve_port(None, environment, gateway.port.map(NonZeroU16::get))?;
    Ok(Target {
        url: format!("ws://127.0.0.1:{port}"),
        socket: gateway
            .socket
            .as_deref()
            .map(|configured| socket_path(configured, environment, paths)),
        token: token.or_else(|| gateway.auth.token.clone()),
        password: password.or_else(|| gateway.auth.password.clone()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(
        flags: [Option<&str>; 2],
        variables: &[(&str, &str)],
        config: serde_json::Value,
        url: &str,
        token: Option<&str>,
    ) {
        let args = ConnectArgs {
            url: flags[0].map(str::to_owned),
            token: flags[1].map(str::to_owned),
            ..ConnectArgs::default()
        };
        let environment = Environment::new("/home/user", variables.iter().copied());
        let config: Config = serde_json::from_value(config).unwrap();
        let paths = Paths::resolve(&environment);
        let target = target(&args, &environment, &paths, &config).unwrap();
        assert_eq!(target.url, url);
        let is_local = url.starts_with("ws://127.0.0.1") && config.gateway.socket.is_some();
        assert_eq!(target.socket.is_some(), is_local, "{config:?}");
        assert_eq!(target.token.as_ref().map(SecretString::expose), token);
    }

    #[test]
    fn url_and_token_by_precedence() {
        use serde_json::json;
        let local = json!({"gateway": {"mode": "local", "port": 5000, "socket": "s", "auth": {"token": "own"}}});
        let remote = json!({"gateway": {"mode": "remote", "socket": "s", "auth": {"token": "own"},
            "remote": {"url": "wss://far:1", "token": "far"}}});
        check([None, None], &[], json!({}), "ws://127.0.0.1:18789", None);
        check(
            [None, None],
            &[],
            local.clone(),
            "ws://127.0.0.1:5000",
            Some("own"),
        );
        let port = [("OPENCLAW_GATEWAY_PORT", "6000")];
        check(
            [None, None],
            &port,
            local.clone(),
            "ws://127.0.0.1:6000",
            Some("own"),
        );
        let token = [("OPENCLAW_GATEWAY_TOKEN", "env")];
        check(
            [None, None],
            &token,
            local.clone(),
            "ws://127.0.0.1:5000",
            Some("env"),
        );
        check(
            [None, Some("flag")],
            &token,
            local.clone(),
            "ws://127.0.0.1:5000",
            Some("flag"),
        );
        // The own gateway's token is not for strangers.
        check(
            [Some("ws://far:2"), None],
            &[],
            local.clone(),
            "ws://far:2",
            None,
        );
        check(
            [Some("ws://far:2"), Some("flag")],
            &[],
            local,
            "ws://far:2",
            Some("flag"),
        );
        check([None, None], &[], remote, "wss://far:1", Some("far"));
    }
}
