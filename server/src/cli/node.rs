//! `openclaw node run`: this machine as a node of a gateway.
//!
//! Which gateway is kept in `node.json`, apart from the configuration. So what belongs to the configured gateway (its
//! token, its pin, the token that it has given to this device) is only used when it is the same one; any other gateway
//! has a file of its own for the token that it gives.

use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use openclaw_client::dial::Network;
use openclaw_client::tls::{BadFingerprint, Fingerprint};
use openclaw_client::token_store::TOKENS_FILE;
use openclaw_client::{BadUrl, ClientConfig, DeviceIdentity, Endpoint, TokenStore};
use openclaw_protocol::rt::{NonEmptyString, SecretString};
use openclaw_protocol::types::{ClientId, ClientMode, ConnectClient};
use tokio::signal::unix::{SignalKind, signal};

use super::client::Failure;
use super::print;
use crate::clock::SystemClock;
use crate::config::{self, Config, DEFAULT_PORT, GatewayMode, StartError};
use crate::hex::sha256_hex;
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
    #[error("TLS fingerprint of the gateway: {0}")]
    Fingerprint(#[from] BadFingerprint),
    /// The environment names a port that is none.
    #[error(transparent)]
    Port(#[from] StartError),
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
    let configured = Configured::of(config, environment)?.filter(|one| one.is(&client.endpoint));
    let pin = gateway
        .tls_fingerprint
        .as_deref()
        .or(configured.as_ref().and_then(|one| one.tls_fingerprint));
    let pin: Option<Fingerprint> = pin.map(str::parse).transpose()?;
    client.dial = Arc::new(Network::new(pin));
    client.token = args
        .token
        .clone()
        .or_else(|| {
            let (_, value) = environment.own("GATEWAY_TOKEN")?;
            Some(value.to_owned())
        })
        .map(SecretString::new)
        .or_else(|| configured.as_ref().and_then(|one| one.token.cloned()));
    let identity = environment
        .home
        .join(".openclaw")
        .join(openclaw_client::identity::IDENTITY_FILE);
    client.identity = Some(DeviceIdentity::load_or_create(&identity, &client.clock)?);
    let tokens = match configured {
        Some(_) => paths.state_dir.join(TOKENS_FILE),
        None => tokens_of(&client.endpoint, &paths.state_dir),
    };
    client.token_store = Some(TokenStore::new(tokens));
    Ok(client)
}

/// Where the token is kept that a gateway gives which is not the configured one.
fn tokens_of(endpoint: &Endpoint, state_dir: &Path) -> PathBuf {
    // A digest, since an endpoint may hold what no file name can.
    let digest = sha256_hex(endpoint.to_string());
    state_dir
        .join(TOKENS_FILE)
        .with_file_name(format!("device-auth-{digest}.json"))
}

/// The gateway that the configuration is about.
struct Configured<'a> {
    endpoints: Vec<Endpoint>,
    token: Option<&'a SecretString>,
    tls_fingerprint: Option<&'a str>,
}

impl<'a> Configured<'a> {
    /// None in remote mode without a gateway.
    fn of(config: &'a Config, environment: &Environment) -> Result<Option<Self>, StartError> {
        let gateway = &config.gateway;
        if gateway.mode == Some(GatewayMode::Remote) {
            let url = gateway.remote.url.as_deref();
            return Ok(url
                .and_then(|url| Endpoint::parse(url).ok())
                .map(|endpoint| Self {
                    endpoints: vec![endpoint],
                    token: gateway.remote.token.as_ref(),
                    tls_fingerprint: gateway.remote.tls_fingerprint.as_deref(),
                }));
        }
        let port = config::resolve_port(None, environment, gateway.port.map(NonZeroU16::get))?;
        let here = ["127.0.0.1", "[::1]", "localhost"];
        Ok(Some(Self {
            endpoints: here
                .iter()
                .filter_map(|host| Endpoint::parse(&format!("ws://{host}:{port}")).ok())
                .collect(),
            token: gateway.auth.token.as_ref(),
            tls_fingerprint: None,
        }))
    }

    /// Host, port and TLS: without TLS anybody on the way could be the other side.
    fn is(&self, endpoint: &Endpoint) -> bool {
        self.endpoints.iter().any(|own| {
            (own.host(), own.port(), own.is_tls())
                == (endpoint.host(), endpoint.port(), endpoint.is_tls())
        })
    }
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
    fn what_is_the_configured_gateways_is_for_no_other() {
        let local = json!({"gateway": {"mode": "local", "port": 5, "auth": {"token": "own"}}});
        let remote = json!({"gateway": {"mode": "remote", "auth": {"token": "own"}, "remote": {"url": "wss://far:1", "token": "far"}}});
        for (config, host, port, tls, expected) in [
            (&local, "127.0.0.1", 5, false, Some("own")),
            (&local, "localhost", 5, false, Some("own")),
            (&local, "::1", 5, false, Some("own")),
            (&local, "127.0.0.1", 6, false, None),
            (&local, "127.0.0.1", 5, true, None),
            (&local, "far", 5, false, None),
            (&remote, "far", 1, true, Some("far")),
            (&remote, "far", 1, false, None),
            (&remote, "far", 2, true, None),
            (&remote, "127.0.0.1", 5, false, None),
            (&remote, "other", 1, true, None),
        ] {
            let home = tempfile::tempdir().unwrap();
            let environment = Environment::new(home.path(), [("X", "y")]);
            let paths = Paths::resolve(&environment);
            let config: Config = serde_json::from_value(config.clone()).unwrap();
            let args = args(Some(host), Some(port), tls);
            let settings = settled(None, &args);
            let client = client(&args, &settings, &environment, &paths, &config).unwrap();
            let token = client.token.as_ref().map(SecretString::expose);
            assert_eq!(token, expected, "{host}:{port}");
            let store = client.token_store.unwrap();
            let shared = paths.state_dir.join(TOKENS_FILE);
            assert_eq!(store.path() == shared, expected.is_some(), "{host}:{port}");
        }
        let two = ["ws://a:1", "ws://a:2"]
            .map(|url| tokens_of(&Endpoint::parse(url).unwrap(), Path::new("/s")));
        assert_ne!(two[0], two[1]);
    }

    #[test]
    fn the_configured_pin_holds_for_the_node_too() {
        let home = tempfile::tempdir().unwrap();
        let environment = Environment::new(home.path(), [("X", "y")]);
        let paths = Paths::resolve(&environment);
        let config = json!({"gateway": {"mode": "remote", "remote": {"url": "wss://far:1", "tlsFingerprint": "none"}}});
        let config: Config = serde_json::from_value(config).unwrap();
        for (port, is_read) in [(1, true), (2, false)] {
            let args = args(Some("far"), Some(port), true);
            let made = client(&args, &settled(None, &args), &environment, &paths, &config);
            assert_eq!(
                matches!(made, Err(NodeFailure::Fingerprint(_))),
                is_read,
                "{port}"
            );
        }
    }
}
