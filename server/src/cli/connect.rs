//! From flags, environment and configuration to a connected client. Called by every command that talks to a gateway.
//!
//! Secrets of the configuration and the environment, and the token that a gateway has given to this device, belong to
//! the configured gateway. A URL that was given by hand may be anybody's: it gets what was given by hand and nothing
//! else. When the configuration names a Unix socket, this host's gateway is reached by that alone.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use openclaw_client::dial::{Dial, Network};
use openclaw_client::tls::{BadFingerprint, Fingerprint};
use openclaw_client::token_store::TOKENS_FILE;
use openclaw_client::{
    Client, ClientConfig, ConnectError, DeviceIdentity, LocalSocket, Reconnect, TokenStore,
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
    /// Shared token of the gateway (default without --url: OPENCLAW_GATEWAY_TOKEN, else the configuration)
    #[arg(long)]
    pub token: Option<String>,
    /// Shared password of the gateway (default without --url: OPENCLAW_GATEWAY_PASSWORD, else the configuration)
    #[arg(long)]
    pub password: Option<String>,
    /// How long to wait for an answer, in milliseconds
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub timeout: u64,
}

/// What every command takes that asks a gateway and shows the answer. By itself: the flags of a command without its own.
#[derive(Debug, Args)]
pub(super) struct PlainArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub connect: ConnectArgs,
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
    /// The configured fingerprint is none.
    #[error("gateway.remote.tlsFingerprint: {0}")]
    Fingerprint(#[from] BadFingerprint),
    /// The gateway did not let us in, or is not there.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A gateway that was named by hand did not let us in without a secret.
    #[error("{0}. With --url no other secret is sent than --token or --password")]
    NothingShown(ConnectError),
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
    let shows_nothing =
        !target.is_configured && target.token.is_none() && target.password.is_none();
    let config = client(args, environment, &paths, target)?;
    Client::connect(config).await.map_err(|error| match error {
        ConnectError::Unauthorized { .. } if shows_nothing => ConnectFailure::NothingShown(error),
        error => error.into(),
    })
}

fn client(
    args: &ConnectArgs,
    environment: &Environment,
    paths: &Paths,
    target: Target,
) -> Result<ClientConfig, ConnectFailure> {
    let me = ConnectClient::new(
        ClientId::Cli,
        NonEmptyString::or(env!("CARGO_PKG_VERSION"), "dev"),
        NonEmptyString::or(std::env::consts::OS, "unknown"),
        ClientMode::Cli,
    );
    let mut config = ClientConfig::new(&target.url, me)?;
    config.dial = target.dial;
    config.token = target.token;
    config.password = target.password;
    config.scopes = vec![Scope::Admin, Scope::Approvals, Scope::Pairing];
    config.reconnect = Reconnect::Never;
    config.connect_timeout = Duration::from_millis(args.timeout);
    config.call_timeout = Duration::from_millis(args.timeout);
    let identity_file = environment
        .home
        .join(".openclaw")
        .join(openclaw_client::identity::IDENTITY_FILE);
    config.identity = Some(DeviceIdentity::load_or_create(
        &identity_file,
        &config.clock,
    )?);
    config.token_store = target
        .is_configured
        .then(|| TokenStore::new(paths.state_dir.join(TOKENS_FILE)));
    Ok(config)
}

struct Target {
    url: String,
    dial: Arc<dyn Dial>,
    token: Option<SecretString>,
    password: Option<SecretString>,
    /// It is the gateway of the configuration, which the stored device token is for.
    is_configured: bool,
}

fn target(
    args: &ConnectArgs,
    environment: &Environment,
    paths: &Paths,
    config: &Config,
) -> Result<Target, ConnectFailure> {
    let (token, password) = (
        args.token.clone().map(SecretString::new),
        args.password.clone().map(SecretString::new),
    );
    if let Some(url) = &args.url {
        return Ok(Target {
            url: url.clone(),
            dial: Arc::new(Network::default()),
            token,
            password,
            is_configured: false,
        });
    }
    let own = |suffix: &str| {
        let (_, value) = environment.own(suffix)?;
        Some(SecretString::new(value))
    };
    let token = token.or_else(|| own("GATEWAY_TOKEN"));
    let password = password.or_else(|| own("GATEWAY_PASSWORD"));
    let gateway = &config.gateway;
    if gateway.mode == Some(GatewayMode::Remote)
        && let Some(url) = &gateway.remote.url
    {
        let pin = gateway.remote.tls_fingerprint.as_deref();
        let pin: Option<Fingerprint> = pin.map(str::parse).transpose()?;
        return Ok(Target {
            url: url.clone(),
            dial: Arc::new(Network::new(pin)),
            token: token.or_else(|| gateway.remote.token.clone()),
            password: password.or_else(|| gateway.remote.password.clone()),
            is_configured: true,
        });
    }
    let port = config::resolve_port(None, environment, gateway.port.map(NonZeroU16::get))?;
    Ok(Target {
        url: format!("ws://127.0.0.1:{port}"),
        dial: match gateway.socket.as_deref() {
            Some(configured) => Arc::new(LocalSocket::new(
                socket_path(configured, environment, paths),
                rustix::process::geteuid().as_raw(),
            )),
            None => Arc::new(Network::default()),
        },
        token: token.or_else(|| gateway.auth.token.clone()),
        password: password.or_else(|| gateway.auth.password.clone()),
        is_configured: true,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PIN: &str = "aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa";

    fn aimed(
        flags: [Option<&str>; 2],
        variables: &[(&str, &str)],
        config: &serde_json::Value,
    ) -> Result<ClientConfig, ConnectFailure> {
        let home = tempfile::tempdir().unwrap();
        let args = ConnectArgs {
            url: flags[0].map(str::to_owned),
            token: flags[1].map(str::to_owned),
            timeout: 10_000,
            ..ConnectArgs::default()
        };
        let environment = Environment::new(home.path(), variables.iter().copied());
        let config: Config = serde_json::from_value(config.clone()).unwrap();
        let paths = Paths::resolve(&environment);
        let target = target(&args, &environment, &paths, &config)?;
        client(&args, &environment, &paths, target)
    }

    #[test]
    fn url_and_secrets_by_precedence() {
        let local = json!({"gateway": {"mode": "local", "port": 5000, "auth": {"token": "own", "password": "own"}}});
        let remote = json!({"gateway": {"mode": "remote", "socket": "s", "auth": {"token": "own", "password": "own"},
            "remote": {"url": "wss://far:1", "token": "far", "password": "far"}}});
        let none = json!({});
        let port = ("OPENCLAW_GATEWAY_PORT", "6000");
        let token = ("OPENCLAW_GATEWAY_TOKEN", "env");
        let password = ("OPENCLAW_GATEWAY_PASSWORD", "env");
        let far = Some("ws://far:2");
        for (flags, variables, config, url, secrets, is_stored) in [
            (
                [None, None],
                &[][..],
                &none,
                "ws://127.0.0.1:18789",
                [None, None],
                true,
            ),
            (
                [None, None],
                &[],
                &local,
                "ws://127.0.0.1:5000",
                [Some("own"); 2],
                true,
            ),
            (
                [None, None],
                &[port],
                &local,
                "ws://127.0.0.1:6000",
                [Some("own"); 2],
                true,
            ),
            (
                [None, None],
                &[token],
                &local,
                "ws://127.0.0.1:5000",
                [Some("env"), Some("own")],
                true,
            ),
            (
                [None, Some("flag")],
                &[token, password],
                &local,
                "ws://127.0.0.1:5000",
                [Some("flag"), Some("env")],
                true,
            ),
            (
                [None, None],
                &[],
                &remote,
                "wss://far:1",
                [Some("far"); 2],
                true,
            ),
            // A URL by hand gets what is given by hand: nothing of the configured gateway's, and no device token.
            (
                [far, None],
                &[token, password],
                &local,
                "ws://far:2",
                [None, None],
                false,
            ),
            (
                [far, None],
                &[token],
                &remote,
                "ws://far:2",
                [None, None],
                false,
            ),
            (
                [far, Some("flag")],
                &[token, password],
                &local,
                "ws://far:2",
                [Some("flag"), None],
                false,
            ),
        ] {
            let client = aimed(flags, variables, config).unwrap();
            let shown = [&client.token, &client.password]
                .map(|secret| secret.as_ref().map(SecretString::expose));
            let got = (
                client.endpoint.to_string(),
                shown,
                client.token_store.is_some(),
            );
            assert_eq!(
                got,
                (url.to_owned(), secrets, is_stored),
                "{flags:?} {variables:?}"
            );
        }
    }

    /// How the gateway is dialled, by what goes wrong where none can be reached.
    #[tokio::test]
    async fn the_configured_way_is_the_only_way() {
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = nobody.local_addr().unwrap().port();
        let url = format!("ws://127.0.0.1:{port}");
        let remote = |pin: &str| json!({"gateway": {"mode": "remote", "remote": {"url": url, "tlsFingerprint": pin}}});
        let socket = json!({"gateway": {"port": port, "socket": "gateway.sock"}});
        for (config, words) in [
            (remote(PIN), "a TLS fingerprint is pinned"),
            (
                remote("abc"),
                "gateway.remote.tlsFingerprint: a TLS fingerprint is 64",
            ),
            (socket, "gateway.sock: No such file"),
        ] {
            let error = match aimed([None, None], &[], &config) {
                Ok(client) => match client.dial.dial(&client.endpoint).await {
                    Ok(_) => panic!("{config}"),
                    Err(error) => error.to_string(),
                },
                Err(error) => error.to_string(),
            };
            assert!(error.contains(words), "{config}: {error}");
        }
        // A pin of the configured gateway is not for others.
        let by_hand = aimed([Some(&url), None], &[], &remote(PIN)).unwrap();
        assert!(by_hand.dial.dial(&by_hand.endpoint).await.is_ok());
    }
}
