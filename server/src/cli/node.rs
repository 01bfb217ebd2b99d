//! `openclaw node run`: this machine as a node of a gateway.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use openclaw_client::dial::Network;
use openclaw_client::tls::{BadFingerprint, Fingerprint};
use openclaw_client::{BadUrl, ClientConfig, DeviceIdentity, Endpoint, TokenStore};
use openclaw_protocol::rt::{NonEmptyString, SecretString};
use openclaw_protocol::types::{ClientId, ClientMode, ConnectClient};
use tokio::signal::unix::{SignalKind, signal};

use super::client::Failure;
use super::print;
use crate::clock::SystemClock;
use crate::config::{self, Config, DEFAULT_PORT, GatewayMode};
use crate::node_host::{self, Gateway, Host, NodeHostError, Notice, Settings, SettingsError};
use crate::paths::{Environment, Paths};
use crate::text::given;

/// Where a gateway is when nothing else is said.
const THIS_HOST: &str = "127.0.0.1";

/// `openclaw node run`.
#[derive(Debug, Args)]
pub(super) struct NodeRunArgs {
    /// Host name or address of the gateway (default: as last time, else this host)
    #[arg(long)]
    pub host: Option<String>,
    /// Port of the gateway (default: as last time, else 18789)
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// The gateway speaks TLS
    #[arg(long)]
    pub tls: bool,
    /// SHA-256 fingerprint of the only certificate to accept; implies --tls
    #[arg(long)]
    pub tls_fingerprint: Option<String>,
    /// Shared token of the gateway (default: OPENCLAW_GATEWAY_TOKEN, else the configuration if that is its gateway)
    #[arg(long)]
    pub token: Option<String>,
    /// Name of this installation (default: as last time, else chosen at random)
    #[arg(long)]
    pub node_id: Option<String>,
    /// Name for people (default: as last time, else the host's name)
    #[arg(long)]
    pub display_name: Option<String>,
}

/// Why there is no node.
#[derive(Debug, thiserror::Error)]
pub(super) enum NodeFailure {
    /// What was said last time cannot be read or kept.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The gateway's place is none.
    #[error(transparent)]
    Url(#[from] BadUrl),
    /// The fingerprint is none.
    #[error("--tls-fingerprint: {0}")]
    Fingerprint(#[from] BadFingerprint),
    /// This device's key cannot be read or made.
    #[error("this device's identity: {0}")]
    Identity(#[from] openclaw_client::identity::IdentityError),
    /// Signals cannot be watched.
    #[error("cannot start: {0}")]
    Start(std::io::Error),
    /// The gateway refuses.
    #[error(transparent)]
    Host(#[from] NodeHostError),
}

/// Runs the node until a signal says stop, or the gateway refuses it for good.
///
/// # Errors
/// See [`NodeFailure`].
pub(super) async fn run(args: NodeRunArgs, environment: &Environment) -> Result<(), Failure> {
    Ok(serve(args, environment).await?)
}

async fn serve(args: NodeRunArgs, environment: &Environment) -> Result<(), NodeFailure> {
    let paths = Paths::resolve(environment);
    let loaded = config::load(&paths, environment);
    let file = Settings::file(&paths.state_dir);
    let before = Settings::load(&file)?;
    let settings = settled(before.clone(), &args);
    if before.as_ref() != Some(&settings) {
        settings.save(&file)?;
    }
    let config = client(&args, &settings, environment, &paths, &loaded.config)?;
    let host = Host::new(
        &environment.home,
        &environment.variables,
        Arc::new(SystemClock),
    );
    let mut terminate = signal(SignalKind::terminate()).map_err(NodeFailure::Start)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(NodeFailure::Start)?;
    let url = config.endpoint.to_string();
    print::line(&format!("Node for the gateway at {url}"));
    tokio::select! {
        outcome = node_host::serve(host, config, |notice| show(&notice)) => Ok(outcome?),
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}

fn show(notice: &Notice) {
    print::line(&match notice {
        Notice::Connected { node_id } => format!("Connected as node {node_id}"),
        Notice::WaitingForApproval {
            request_id: Some(id),
        } => format!("Waiting for approval. On the gateway: openclaw devices approve {id}"),
        Notice::WaitingForApproval { request_id: None } => {
            "Waiting for approval. On the gateway: openclaw devices list".to_owned()
        }
        Notice::NotYet(error) => format!("Not connected yet: {error}"),
        Notice::Lost(cause) => format!("Connection lost: {cause}"),
    });
}

/// What holds from now on: what was said now, else last time.
fn settled(before: Option<Settings>, args: &NodeRunArgs) -> Settings {
    let mut settings = before.unwrap_or_else(|| Settings::new(uuid::Uuid::new_v4().to_string()));
    if let Some(id) = given(args.node_id.as_deref()) {
        settings.node_id = id;
    }
    if let Some(name) = given(args.display_name.as_deref()) {
        settings.display_name = Some(name);
    }
    let last = settings.gateway.take();
    let is_new = args.host.is_some() || args.tls || args.tls_fingerprint.is_some();
    let fingerprint = given(args.tls_fingerprint.as_deref());
    settings.gateway = Some(match last {
        // Another gateway has another certificate.
        Some(last) if !is_new => Gateway {
            port: args.port.unwrap_or(last.port),
            ..last
        },
        last => Gateway {
            host: given(args.host.as_deref())
                .or_else(|| last.as_ref().map(|last| last.host.clone()))
                .unwrap_or_else(|| THIS_HOST.to_owned()),
            port: args
                .port
                .or_else(|| last.as_ref().map(|last| last.port))
                .unwrap_or(DEFAULT_PORT),
            tls: args.tls || fingerprint.is_some(),
            tls_fingerprint: fingerprint,
        },
    });
    settings
}

fn client(
    args: &NodeRunArgs,
    settings: &Settings,
    environment: &Environment,
    paths: &Paths,
    config: &Config,
) -> Result<ClientConfig, NodeFailure> {
    let gateway = settings.gateway.clone().unwrap_or(Gateway {
        host: THIS_HOST.to_owned(),
        port: DEFAULT_PORT,
        tls: false,
        tls_fingerprint: None,
    });
    let mut me = ConnectClient::new(
        ClientId::NodeHost,
        NonEmptyString::or(env!("CARGO_PKG_VERSION"), "dev"),
        NonEmptyString::or(std::env::consts::OS, "unknown"),
        ClientMode::Node,
    );
    me.display_name = settings
        .display_name
        .clone()
        .or_else(|| gethostname::gethostname().into_string().ok())
        .and_then(NonEmptyString::new);
    me.instance_id = NonEmptyString::new(settings.node_id.as_str());
    let scheme = if gateway.tls { "wss" } else { "ws" };
    // An IPv6 address stands in brackets in a URL.
    let host = match gateway.host.contains(':') && !gateway.host.starts_with('[') {
        true => format!("[{}]", gateway.host),
        false => gateway.host.clone(),
    };
    let mut client = ClientConfig::new(&format!("{scheme}://{host}:{}", gateway.port), me)?;
    let pin: Option<Fingerprint> = gateway
        .tls_fingerprint
        .as_deref()
        .map(str::parse)
        .transpose()?;
    client.dial = Arc::new(Network::new(pin));
    client.token = token(args, environment, config, &gateway);
    let identity = environment
        .home
        .join(".openclaw")
        .join(openclaw_client::identity::IDENTITY_FILE);
    client.identity = Some(DeviceIdentity::load_or_create(&identity, &client.clock)?);
    client.token_store = Some(TokenStore::new(token_file(paths)));
    Ok(client)
}

fn token_file(paths: &Paths) -> PathBuf {
    paths.identity_dir().join("device-auth.json")
}

/// The shared token: given by hand, or that of the configuration if it belongs to this very gateway.
fn token(
    args: &NodeRunArgs,
    environment: &Environment,
    config: &Config,
    gateway: &Gateway,
) -> Option<SecretString> {
    let given = args
        .token
        .clone()
        .or_else(|| {
            environment
                .own("GATEWAY_TOKEN")
                .map(|(_, value)| value.to_owned())
        })
        .map(SecretString::new);
    given.or_else(|| {
        let configured = &config.gateway;
        if configured.mode == Some(GatewayMode::Remote) {
            let url = configured.remote.url.as_deref()?;
            let endpoint = Endpoint::parse(url).ok()?;
            let is_it = endpoint.host() == gateway.host && endpoint.port() == gateway.port;
            return configured.remote.token.clone().filter(|_| is_it);
        }
        let is_here = matches!(gateway.host.as_str(), "127.0.0.1" | "::1" | "localhost");
        configured.auth.token.clone().filter(|_| is_here)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn args(host: Option<&str>, port: Option<u16>, tls: bool) -> NodeRunArgs {
        NodeRunArgs {
            host: host.map(str::to_owned),
            port,
            tls,
            tls_fingerprint: None,
            token: None,
            node_id: None,
            display_name: None,
        }
    }

    fn place(gateway: &Gateway) -> String {
        format!(
            "{}:{}{}",
            gateway.host,
            gateway.port,
            if gateway.tls { " tls" } else { "" }
        )
    }

    #[test]
    fn a_node_remembers_its_gateway() {
        let check = |before: Option<&Settings>, args: &NodeRunArgs, expected: &str| {
            let settings = settled(before.cloned(), args);
            assert_eq!(place(settings.gateway.as_ref().unwrap()), expected);
            settings
        };
        let first = check(None, &args(None, None, false), "127.0.0.1:18789");
        let far = check(Some(&first), &args(Some("far"), Some(1), true), "far:1 tls");
        assert_eq!(far.node_id, first.node_id);
        check(Some(&far), &args(None, None, false), "far:1 tls");
        check(Some(&far), &args(None, Some(2), false), "far:2 tls");
        check(Some(&far), &args(Some("near"), None, false), "near:1");
        let named = NodeRunArgs {
            node_id: Some(" n-1 ".to_owned()),
            display_name: Some("Workshop".to_owned()),
            ..args(None, None, false)
        };
        let named = settled(Some(far), &named);
        assert_eq!(
            (named.node_id.as_str(), named.display_name.as_deref()),
            ("n-1", Some("Workshop"))
        );
    }

    #[test]
    fn the_configured_token_is_for_its_own_gateway() {
        let check = |config: serde_json::Value, host: &str, expected: Option<&str>| {
            let config: Config = serde_json::from_value(config).unwrap();
            let gateway = Gateway {
                host: host.to_owned(),
                port: 1,
                tls: false,
                tls_fingerprint: None,
            };
            let environment = Environment::new("/home/u", [("X", "y")]);
            let token = token(&args(None, None, false), &environment, &config, &gateway);
            assert_eq!(token.as_ref().map(SecretString::expose), expected, "{host}");
        };
        let local = json!({"gateway": {"mode": "local", "auth": {"token": "own"}}});
        let remote = json!({"gateway": {"mode": "remote", "auth": {"token": "own"}, "remote": {"url": "ws://far:1", "token": "far"}}});
        check(local.clone(), "127.0.0.1", Some("own"));
        check(local.clone(), "localhost", Some("own"));
        check(local, "far", None);
        check(remote.clone(), "far", Some("far"));
        check(remote.clone(), "127.0.0.1", None);
        check(remote, "other", None);
    }
}
