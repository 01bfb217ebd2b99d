//! From flags to a gateway that listens: configuration, lock, port, store, parts, in this order, so that a second
//! gateway or a mistake in the configuration is found before anything is touched.

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use openclaw_protocol::protocol::limits;
use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::types::SessionDefaults;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::time::Instant;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;

use super::listen::{self, ListenError};
use super::socket::{self, LocalSocket};
use super::{Gateway, force, host};
use crate::agent::{Mcp, Models, Parts, Reach, Reached, Runs};
use crate::approvals::{Approvals, AskingGate, Machine};
use crate::cli::{FlagError, GatewayArgs, print};
use crate::clock::{Clock, SystemClock};
use crate::config::{self, Config, StartError, Startup, TOKEN_BYTES};
use crate::connection::handshake::Policy;
use crate::connection::limiter::Limiter;
use crate::connection::tailscale::{self, Whois};
use crate::connection::{Counters, Deadlines, Facts, HelloTemplate, Service, Shared};
use crate::cron::{self, Cron, Jobs};
use crate::exec_rules::RulesFile;
use crate::health::Health;
use crate::heartbeat::{self, Heartbeats, NoChannels};
use crate::http::{Admission, Api, ApiParts, Caps, Doors, HookParts, Hooks, HooksOff, Site, Taps};
use crate::hub::{Admitted, EventSink, Hub};
use crate::lock::{InstanceLock, LockError, Owner};
use crate::methods::{Methods, UNFINISHED};
use crate::nodes::{self, Nodes};
use crate::outbox::{Outbox, OutboxParts, WebChat};
use crate::pairing::nodes::NodePairing;
use crate::pairing::{Pairing, TokenKey, TokenKeyError};
use crate::paths::{Environment, Paths};
use crate::refusals::Refusals;
use crate::sessions::{KeyRules, Sessions};
use crate::skills::Skills;
use crate::store::{Store, StoreError};
use crate::voicewake::VoiceWake;

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
    log_to_stdout(args, &config, &environment);
    report(&startup);

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
    raise_descriptor_limit();

    let in_store = |cause| StartFailure::Store {
        path: paths.store_dir().display().to_string(),
        cause,
    };
    let store = Store::open(&paths.store_dir()).map_err(in_store)?;
    let key = TokenKey::load_or_create(&paths.state_dir)?;
    let rules = KeyRules::of(&config);
    let defaults = session_defaults(&config, &rules);
    let sessions = Sessions::open(store.clone(), paths.clone(), rules).map_err(in_store)?;

    let version = environment
        .get("OPENCLAW_VERSION")
        .unwrap_or(env!("CARGO_PKG_VERSION"))
        .to_owned();
    let name = host::name();
    let own = host::own_presence(&name, &addresses, &version, clock.now_ms());
    let hub = Hub::new(Arc::clone(&clock), own).narrowed(config.gateway.narrow_events);
    let hub = Arc::new(hub);
    let pairing = Pairing::load(
        store.clone(),
        key,
        Arc::clone(&clock),
        Arc::clone(&hub) as Arc<dyn Admitted>,
    )
    .map_err(in_store)?;
    let node_pairing = NodePairing::new(
        store.clone(),
        Arc::clone(&clock),
        Arc::clone(&hub) as Arc<dyn EventSink>,
    );
    let events = Arc::new(sessions.events(Arc::clone(&clock)));
    let taps = Arc::new(Taps::new(Arc::clone(&hub) as Arc<dyn EventSink>));
    let approvals = Approvals::load(
        store.clone(),
        Arc::clone(&clock),
        Arc::clone(&hub) as Arc<dyn EventSink>,
    )
    .map_err(in_store)?;
    let machine = Machine {
        rules: RulesFile::of_home(&environment.home),
        home: environment.home.clone(),
        path: startup
            .loaded
            .environment
            .get("PATH")
            .unwrap_or_default()
            .to_owned(),
        clock: Arc::clone(&clock),
    };
    let mcp = Mcp::new(&config.mcp, &startup.loaded.environment);
    let reach = Reach::default();
    let runs = Runs::open(Parts {
        sessions: sessions.clone(),
        models: Models::new(Arc::clone(&config))
            .with_environment((*startup.loaded.environment).clone()),
        config: Arc::clone(&config),
        clock: Arc::clone(&clock),
        events: Arc::clone(&taps) as Arc<dyn EventSink>,
        waiting: Arc::clone(&events),
        work: work.clone(),
        paths: paths.clone(),
        environment: (*startup.loaded.environment).clone(),
        exec: Arc::new(AskingGate::new(
            Arc::clone(&config),
            machine,
            approvals.clone(),
        )),
        reach: reach.clone(),
        mcp: mcp.clone(),
    })
    .await
    .map_err(in_store)?;
    let health = Arc::new(Health::new(
        Arc::clone(&config),
        sessions.clone(),
        runs.clone(),
        Arc::clone(&hub),
        Arc::clone(&events),
        Arc::clone(&clock),
    ));
    let policy = Arc::new(Policy::new(&config.gateway, &startup.auth, &addresses));
    let program = whois_program(&startup, &environment);
    let whois = Arc::new(Whois::new(program, work.clone(), Arc::clone(&clock)));
    let caps = Caps {
        total: config.gateway.connections.max.get().into(),
        per_network: config.gateway.connections.max_per_address.get().into(),
    };
    let nodes = Nodes::new(nodes_policy(&config), Arc::clone(&clock));
    let sink = Arc::clone(&hub) as Arc<dyn EventSink>;
    let voicewake = VoiceWake::load(store.clone(), Arc::clone(&clock), sink).map_err(in_store)?;
    let heartbeats = Heartbeats::new(
        heartbeat::Parts {
            runs: runs.clone(),
            waiting: Arc::clone(&events),
            events: Arc::clone(&hub) as Arc<dyn EventSink>,
            clock: Arc::clone(&clock),
            outlet: Arc::new(NoChannels),
        },
        heartbeat::all(&config, &sessions.rules().default_agent),
    );
    let shown = match config.cron.store.as_deref() {
        Some(configured) => environment.expand(configured),
        None => paths.cron_file(),
    };
    let cron = Cron::open(cron::Parts {
        store: store.clone(),
        clock: Arc::clone(&clock),
        events: Arc::clone(&hub) as Arc<dyn EventSink>,
        worker: Arc::new(Jobs {
            runs: runs.clone(),
            events: Arc::clone(&events),
            heartbeats: heartbeats.clone(),
        }),
        work: work.clone(),
        enabled: config.cron.enabled && !environment.is_on("SKIP_CRON"),
        store_path: shown.display().to_string(),
    })
    .await
    .map_err(in_store)?;
    reach.fill(Reached {
        cron: cron.clone(),
        nodes: nodes.clone(),
        pairing: pairing.clone(),
    });
    let webchat = WebChat {
        sessions: sessions.clone(),
        events: Arc::clone(&hub) as Arc<dyn EventSink>,
        clock: Arc::clone(&clock),
    };
    let outbox = Outbox::open(OutboxParts {
        sessions: sessions.clone(),
        clock: Arc::clone(&clock),
        work: work.clone(),
        channels: vec![Arc::new(webchat)],
    })
    .await
    .map_err(in_store)?;
    let limiter = Arc::new(Limiter::default());
    let refusals = Arc::new(Refusals::since(clock.now_ms()));
    let (beats, main) = (heartbeats.clone(), sessions.rules().default_agent.clone());
    let hooks = HookParts {
        runs: runs.clone(),
        events: Arc::clone(&events),
        clock: Arc::clone(&clock),
        wake: Some(Arc::new(move || beats.request(&main, HOOK_REASON))),
        refusals: Arc::clone(&refusals),
    };
    let api = Api::new(
        &config,
        ApiParts {
            runs: runs.clone(),
            taps,
            doors: Doors {
                policy: Arc::clone(&policy),
                limiter: Arc::clone(&limiter),
                whois: Arc::clone(&whois),
                refusals: Arc::clone(&refusals),
                clock: Arc::clone(&clock),
            },
            hooks: hooks_of(&config, &policy, hooks),
        },
    );
    let methods = Methods {
        heartbeats: heartbeats.clone(),
        cron: cron.clone(),
        hub: Arc::clone(&hub),
        health: Arc::clone(&health),
        skills: Skills::new(&runs.parts().workspaces(), &paths.state_dir),
        runs,
        pairing: pairing.clone(),
        node_pairing,
        sessions,
        approvals,
        exec_rules: RulesFile::of_home(&environment.home),
        outbox,
        events,
        nodes: nodes.clone(),
        voicewake,
        refusals: Arc::clone(&refusals),
        clock: Arc::clone(&clock),
        work: work.clone(),
    };
    let facts = Facts {
        version,
        commit: environment.get("GIT_COMMIT").map(str::to_owned),
        host: name,
        config_path: paths.config_file.display().to_string(),
        state_dir: paths.state_dir.display().to_string(),
        session_defaults: defaults,
        unfinished: UNFINISHED,
    };
    let shared = Shared {
        hub: Arc::clone(&hub),
        service: Arc::new(methods) as Arc<dyn Service>,
        policy: Arc::clone(&policy),
        pairing: pairing.clone(),
        nodes,
        hello: HelloTemplate::new(&facts),
        clock: Arc::clone(&clock),
        handshakes: Arc::new(Deadlines::new(Duration::from_millis(
            limits::HANDSHAKE_TIMEOUT_MS,
        ))),
        started,
        counters: Counters::default(),
        refusals: Arc::clone(&refusals),
        limiter,
        whois,
    };
    announce(&listeners, socket.as_ref(), &startup, &paths);
    Ok(Gateway {
        listeners,
        site: Arc::new(
            Site::new(
                Arc::new(Admission::new(caps, refusals)),
                policy.trust.clone(),
            )
            .with_api(api),
        ),
        shared: Arc::new(shared),
        hub,
        health,
        pairing,
        heartbeats,
        cron,
        mcp,
        work,
        store,
        clock,
        socket,
        _lock: lock,
    })
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

fn log_to_stdout(args: &GatewayArgs, config: &Config, environment: &Environment) {
    let level = config.logging.console_level.unwrap_or(config.logging.level);
    let wanted = environment
        .get("RUST_LOG")
        .map_or_else(|| args.log_filter(level.as_filter()), str::to_owned);
    let filter: Targets = wanted
        .parse()
        .unwrap_or_else(|_| Targets::new().with_default(LevelFilter::INFO));
    let lines = tracing_subscriber::fmt::layer()
        .with_target(false)
        // A log file has no use for colours.
        .with_ansi(io::stdout().is_terminal() && environment.get("NO_COLOR").is_none())
        .with_writer(io::stdout);
    let subscriber = tracing_subscriber::registry().with(filter).with(lines);
    // A second gateway in one process (a test) keeps the first one's log.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// Says what is wrong with the configuration, so that defaults in its place surprise nobody.
fn report(startup: &Startup) {
    let loaded = &startup.loaded;
    if let Some(reason) = &loaded.unusable {
        tracing::error!(file = %loaded.path.display(), reason, in_force = ?loaded.source, "the configuration cannot be read");
    }
    for issue in &loaded.issues {
        tracing::warn!(file = %loaded.path.display(), "{}: {}", issue.path, issue.message);
    }
}

/// What a person wants to know after a start.
fn announce(
    listeners: &[TcpListener],
    socket: Option<&LocalSocket>,
    startup: &Startup,
    paths: &Paths,
) {
    let addresses: Vec<String> = listeners
        .iter()
        .filter_map(|listener| listener.local_addr().ok())
        .map(|address| format!("ws://{address}"))
        .chain(socket.map(|socket| socket.path().display().to_string()))
        .collect();
    if startup.first_start {
        print::line(&format!(
            "First start: wrote {}{}; only you can read it.",
            paths.config_file.display(),
            if startup.loaded.config.gateway.auth.token.is_some() {
                " with a random token"
            } else {
                ""
            }
        ));
    }
    print::line(&format!("Gateway listening on {}", addresses.join(" and ")));
    print::line(
        "Talk to it from another terminal: openclaw health, openclaw agent --message \"hello\"",
    );
    tracing::info!(state = %paths.state_dir.display(), "ready");
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

/// The hooks, if they are on. Hooks that cannot be served do not keep the gateway from starting.
fn hooks_of(config: &Config, policy: &Policy, parts: HookParts) -> Option<Hooks> {
    match Hooks::new(&config.hooks, policy.trust.clone(), parts) {
        Ok(hooks) => Some(hooks),
        Err(HooksOff::NotEnabled) => None,
        Err(why) => {
            tracing::error!(%why, "hooks are not served");
            None
        }
    }
}

/// Why heartbeats that hooks ask for are made, as their prompt and the log say.
const HOOK_REASON: &str = "hook";

/// The program that is asked who a member of the tailnet is.
fn whois_program(startup: &Startup, environment: &Environment) -> PathBuf {
    let given = environment.own("TAILSCALE_COMMAND").map(|(_, value)| value);
    let configured = startup.tailscale.command.as_deref();
    environment.expand(given.or(configured).unwrap_or(tailscale::PROGRAM))
}

fn session_defaults(config: &Config, rules: &KeyRules) -> Option<SessionDefaults> {
    let main = rules.main(&rules.default_agent);
    let mut defaults = SessionDefaults::new(
        NonEmptyString::new(rules.default_agent.as_str())?,
        NonEmptyString::new(rules.main_key.as_str())?,
        NonEmptyString::new(main.canonical())?,
    );
    defaults.scope = config.session.scope.as_str().parse().ok();
    Some(defaults)
}

fn nodes_policy(config: &Config) -> nodes::Policy {
    let nodes = &config.gateway.nodes;
    nodes::Policy::new(&nodes.allow_commands, &nodes.deny_commands)
}

/// Each client costs a descriptor, and many systems start with room for a thousand.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}
