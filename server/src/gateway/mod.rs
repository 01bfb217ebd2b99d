//! Builds the parts of a gateway and runs them until a signal says stop. Called by the `openclaw` command.
//!
//! Threads: this one carries every socket, the handshakes, the hub and the quick handlers; the one of `work` carries
//! runs of agents, and blocking ones beside it what reads the disk; the store has a thread of its own for writing.

mod console;
mod domain;
mod force;
mod front;
mod host;
mod listen;
mod refusals;
mod socket;
mod start;
mod work;

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use openclaw_protocol::call::Call;
use openclaw_protocol::events::Event;
use openclaw_protocol::protocol::{limits, texts};
use openclaw_protocol::rt::{Answer, BoxFuture, NonEmptyString};
use openclaw_protocol::server::{HandshakeOnly, dispatch};
use openclaw_protocol::types::{ShutdownEvent, TickEvent};
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::agent::Mcp;
use crate::cli::{GatewayArgs, print};
use crate::clock::Clock;
use crate::connection::{self, Caller, Service, Shared};
use crate::cron::Cron;
use crate::health::Health;
use crate::heartbeat::Heartbeats;
use crate::hub::{EventSink, Hub, Line};
use crate::methods::Methods;
use crate::net::{Ends, Stream};
use crate::nodes::NodePlace;
use crate::pairing::Pairing;
use crate::paths::Environment;
use crate::store::Store;
use openclaw_core::http::{self, Site, TurnedAway};
use socket::LocalSocket;

pub(crate) use socket::path as socket_path;
pub use start::StartFailure;
use work::Work;

/// Between two tries to accept when the system has no file descriptor left; the next one may be free soon.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// `openclaw gateway`: starts, serves, and ends with 0 after a signal or with 1 when it could not start.
pub fn main(args: GatewayArgs, environment: Environment) -> ExitCode {
    match run(&args, environment) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            print::complain(&failure.to_string());
            ExitCode::FAILURE
        }
    }
}

fn run(args: &GatewayArgs, environment: Environment) -> Result<(), StartFailure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(StartFailure::Runtime)?;
    let work = Work::start().map_err(StartFailure::Runtime)?;
    let handle = work.handle();
    let outcome = runtime.block_on(async {
        let signals = Signals::watch().map_err(StartFailure::Runtime)?;
        let gateway = start::start(args, environment, handle).await?;
        gateway.serve(signals).await;
        Ok(())
    });
    // Runs that still wait for a model are let go: their keys say that the gateway restarted.
    work.stop();
    outcome
}

/// A gateway that listens.
struct Gateway {
    listeners: Vec<TcpListener>,
    site: Arc<Site>,
    shared: Arc<Shared>,
    hub: Arc<Hub>,
    health: Arc<Health>,
    pairing: Pairing,
    heartbeats: Heartbeats,
    cron: Cron,
    mcp: Mcp,
    /// Carries runs; the schedulers are with them.
    work: Handle,
    store: Store,
    clock: Arc<dyn Clock>,
    socket: Option<LocalSocket>,
    /// Held until everything is written.
    _lock: Option<crate::lock::InstanceLock>,
}

impl Gateway {
    /// Serves until SIGTERM or SIGINT, then says goodbye (contract 7.5).
    async fn serve(self, mut signals: Signals) {
        let mut tasks = tokio::task::JoinSet::new();
        for listener in self.listeners {
            tasks.spawn(accept(
                listener,
                Arc::clone(&self.site),
                Arc::clone(&self.shared),
            ));
        }
        if let Some(socket) = &self.socket {
            let (listener, own_uid) = (socket.listener(), socket.owner());
            tasks.spawn(accept_local(
                listener,
                own_uid,
                Arc::clone(&self.site),
                Arc::clone(&self.shared),
            ));
        }
        tasks.spawn(refusals::report(Arc::clone(&self.shared.refusals)));
        let hub = Arc::clone(&self.hub);
        tasks.spawn(async move { hub.run_flusher().await });
        let hub = Arc::clone(&self.hub);
        tasks.spawn(async move { hub.run_presence().await });
        tasks.spawn(tick(Arc::clone(&self.hub), Arc::clone(&self.clock)));
        tasks.spawn(async move { self.health.run().await });
        let pairing = self.pairing.clone();
        tasks.spawn(async move { pairing.write_behind().await });
        let heartbeats = self.heartbeats.clone();
        tasks.spawn_on(async move { heartbeats.run().await }, &self.work);
        let cron = self.cron.clone();
        tasks.spawn_on(async move { cron.run_by_clock().await }, &self.work);
        self.site.set_ready();

        signals.stop().await;
        tracing::info!("stopping");
        self.site.set_stopping();
        let reason = NonEmptyString::or(texts::SHUTDOWN_STOPPING, "stop");
        self.hub.stop(Event::Shutdown(ShutdownEvent::new(reason)));
        let grace = Duration::from_millis(limits::SHUTDOWN_GRACE_MS);
        if tokio::time::timeout(grace, self.hub.emptied())
            .await
            .is_err()
        {
            tracing::warn!(
                connections = self.hub.stats().connections,
                "some clients did not leave in time"
            );
        }
        tasks.abort_all();
        self.mcp.stop();
        refusals::sum_up(&self.shared.refusals);
        if let Err(error) = self.pairing.flush().await {
            tracing::warn!(%error, "what devices said about themselves could not be written");
        }
        let store = self.store;
        // Commits what is queued; blocks, and there is nothing left to hold up.
        store.close();
        tracing::info!("stopped");
    }
}

impl Service for Methods {
    fn call(
        self: Arc<Self>,
        caller: Caller,
        id: String,
        call: Call,
    ) -> Result<BoxFuture<'static, Answer>, HandshakeOnly> {
        dispatch(self, caller, id, call)
    }

    fn greet(&self, node: &NodePlace, line: &Line) {
        self.voicewake.greet(line);
        self.meet_node(node.node());
    }

    fn welcome(&self, caller: &Caller, line: &Line) {
        self.show_questions(caller, line);
    }
}

async fn accept(listener: TcpListener, site: Arc<Site>, shared: Arc<Shared>) {
    // Where all connections arrive, unless the socket listens on every address.
    let own = listener.local_addr().ok();
    let own = own.filter(|address| !address.ip().is_unspecified());
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(place) = site.admission.enter(site.trust.network(peer.ip())) else {
            tokio::spawn(http::turn_away(stream.into()));
            continue;
        };
        let local = match own.map_or_else(|| stream.local_addr(), Ok) {
            Ok(local) => local,
            Err(error) => {
                tracing::debug!(%peer, %error, "a connection went as it came");
                continue;
            }
        };
        listen::send_at_once(&stream);
        let ends = Ends::Tcp { peer, local };
        connection::begin(stream.into(), ends, place, &site, &shared);
    }
}

/// Accepts at the Unix socket, whose clients the system vouches for.
async fn accept_local(
    listener: Arc<UnixListener>,
    own_uid: u32,
    site: Arc<Site>,
    shared: Arc<Shared>,
) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection at the Unix socket");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let is_own = stream
            .peer_cred()
            .is_ok_and(|peer| socket::may_connect(peer.uid(), own_uid));
        if !is_own {
            // The file's mode keeps others out already; whoever got past it is not served.
            site.admission.turn_away(TurnedAway::OtherUser);
            continue;
        }
        match site.admission.enter(None) {
            Ok(place) => {
                connection::begin(Stream::Unix(stream), Ends::Unix, place, &site, &shared);
            }
            Err(_) => drop(tokio::spawn(http::turn_away(Stream::Unix(stream)))),
        }
    }
}

/// Tells everybody every `tickIntervalMs` that the gateway lives.
async fn tick(hub: Arc<Hub>, clock: Arc<dyn Clock>) {
    let period = Duration::from_millis(limits::TICK_INTERVAL_MS);
    let mut beat = tokio::time::interval_at(tokio::time::Instant::now() + period, period);
    loop {
        beat.tick().await;
        hub.emit(Event::Tick(TickEvent::new(clock.now_ms())));
    }
}

/// The signals that concern a gateway. Watched before anything else: one that comes while the gateway starts must not
/// kill it half way.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    restart: Signal,
}

impl Signals {
    fn watch() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            restart: signal(SignalKind::user_defined1())?,
        })
    }

    /// Waits for SIGTERM or SIGINT. SIGUSR1 asks for a restart, which only the gateway itself may schedule; it is noted
    /// and ignored.
    async fn stop(&mut self) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.restart.recv() => tracing::warn!("SIGUSR1 ignored: no restart was scheduled"),
            }
        }
    }
}
