//! From flags to a gateway that listens: configuration, lock, port, store, parts, in this order, so that a second
//! gateway or a mistake in the configuration is found before anything is touched.

use std::io;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::time::Instant;

use super::domain::{Domain, Ground};
use super::front::{self, Guard};
use super::listen::{self, ListenError};
use super::socket::{self, LocalSocket};
use super::{Gateway, console, force, host};
use crate::cli::{FlagError, GatewayArgs};
use crate::clock::{Clock, SystemClock};
use crate::config::{self, Config, StartError, TOKEN_BYTES};
use crate::hub::Hub;
use crate::lock::{InstanceLock, LockError, Owner};
use crate::pairing::{TokenKey, TokenKeyError};
use crate::paths::{Environment, Paths};
use crate::store::{Store, StoreError};

/// Directory of a development gateway, in the home directory.
const DEV_STATE_DIR: &str = ".openclaw-dev";

/// Why no gateway runs. The texts are for the person at the terminal.
#[derive(Debug, thiserror::Error)]
pub enum StartFailure {
    /// A flag cannot be obeyed.
    #[error(transparent)]
    Flag(#[from] FlagError),
    /// The configuration does not allow it.
    #[error(transparent)]
    Config(#[from] StartError),
    /// Another gateway has the state directory.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// There is nothing to listen on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The store cannot be opened or read.
    #[error("the store in {path}: {cause}")]
    Store {
        /// Its directory.
        path: String,
        /// What it said.
        cause: StoreError,
    },
    /// The key of device tokens cannot be read or made.
    #[error(transparent)]
    Key(#[from] TokenKeyError),
    /// The system has no randomness.
    #[error("no random bytes: {0}")]
    Random(getrandom::Error),
    /// The development state cannot be deleted.
    #[error("cannot delete {path}: {cause}")]
    Reset {
        /// The directory.
        path: String,
        /// What the file system said.
        cause: io::Error,
    },
    /// No threads.
    #[error("cannot start: {0}")]
    Runtime(io::Error),
}

/// Starts a gateway; everything it needs from the outside is in the arguments.
pub(super) async fn start(
    args: &GatewayArgs,
    environment: Environment,
    work: Handle,
) -> Result<Gateway, StartFailure> {
    let started = Instant::now();
    args.check()?;
    let environment = development(args, environment)?;
    let paths = Paths::resolve(&environment);
    let mut fresh = [0; TOKEN_BYTES];
    getrandom::fill(&mut fresh).map_err(StartFailure::Random)?;
    let startup = config::prepare(&paths, &environment, &args.overrides(), fresh)?;
    let config = Arc::clone(&startup.loaded.config);
    console::log_to_stdout(args, &config, &environment);
    console::report(&startup);

    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let owner = Owner::this_process(clock.now_ms(), paths.config_file.clone(), startup.port);
    let lock =
        InstanceLock::acquire_unless_allowed(&environment, &paths.lock_file(), &owner).await?;
    if args.force {
        force::free(startup.port).await;
    }
    let addresses = host::addresses();
    let listeners = listen::listen(
        startup.bind,
        startup.port,
        startup.custom_bind_host,
        &addresses,
    )
    .await?;
    let socket = listen_locally(&config, &environment, &paths, lock.is_some());
    host::raise_descriptor_limit();

    let store_dir = paths.store_dir().display().to_string();
    let in_store = |cause| StartFailure::Store {
        path: store_dir.clone(),
        cause,
    };
    let store = Store::open(&paths.store_dir()).map_err(in_store)?;
    let key = TokenKey::load_or_create(&paths.state_dir)?;
    let version = environment
        .get("OPENCLAW_VERSION")
        .unwrap_or(env!("CARGO_PKG_VERSION"))
        .to_owned();
    let name = host::name();
    let own = host::own_presence(&name, &addresses, &version, clock.now_ms());
    let hub = Hub::new(Arc::clone(&clock), own).narrowed(config.gateway.narrow_events);
    let ground = Ground {
        config,
        startup,
        environment,
        paths,
        clock,
        work,
        store,
        hub: Arc::new(hub),
    };
    let domain = Domain::open(&ground, key).await.map_err(in_store)?;
    let guard = Guard::new(&ground, &addresses);
    let gateway = Gateway {
        listeners,
        site: Arc::new(front::site(&ground, &domain, &guard)),
        health: Arc::clone(&domain.health),
        pairing: domain.pairing.clone(),
        heartbeats: domain.heartbeats.clone(),
        cron: domain.cron.clone(),
        mcp: domain.mcp.clone(),
        shared: Arc::new(front::shared(
            &ground, domain, guard, version, name, started,
        )),
        hub: ground.hub,
        work: ground.work,
        store: ground.store,
        clock: ground.clock,
        socket,
        _lock: lock,
    };
    console::announce(
        &gateway.listeners,
        gateway.socket.as_ref(),
        &ground.startup,
        &ground.paths,
    );
    Ok(gateway)
}

/// With `--dev` the state is apart from that of a real gateway; `--reset` begins anew.
fn development(
    args: &GatewayArgs,
    mut environment: Environment,
) -> Result<Environment, StartFailure> {
    if !args.dev {
        return Ok(environment);
    }
    let dir = environment.home.join(DEV_STATE_DIR);
    if args.reset && dir.exists() {
        std::fs::remove_dir_all(&dir).map_err(|cause| StartFailure::Reset {
            path: dir.display().to_string(),
            cause,
        })?;
    }
    environment
        .variables
        .entry("OPENCLAW_STATE_DIR".to_owned())
        .or_insert_with(|| dir.display().to_string());
    Ok(environment)
}

/// The Unix socket, if one is configured. Trouble with it does not keep the gateway from its port.
fn listen_locally(
    config: &Config,
    environment: &Environment,
    paths: &Paths,
    is_only_gateway: bool,
) -> Option<LocalSocket> {
    let configured = config.gateway.socket.as_deref()?;
    let path = socket::path(configured, environment, paths);
    LocalSocket::listen(&path, is_only_gateway)
        .inspect_err(|error| tracing::error!(%error, "gateway.socket is not served"))
        .ok()
}
