//! One WebSocket connection, from its handshake to its close.
//!
//! [`begin`] takes an accepted socket from `gateway` and runs a connection, once it is one, as one task that reads,
//! handles and writes: `reader` feeds messages to the `link`, which holds all state; the handshake decides about the
//! first message, then `requests` hold what is being handled, and everything to be written gathers in the connection's
//! outbox. A turn of the task is one read, the handling of whatever had come, and one write.

pub mod auth;
mod caller;
mod deadlines;
mod ending;
mod farewell;
pub mod handshake;
mod hello;
pub mod identity;
mod ids;
pub mod limiter;
mod link;
pub mod locality;
mod reader;
mod requests;
pub mod tailscale;

use std::sync::Arc;

use openclaw_protocol::call::Call;
use openclaw_protocol::protocol::limits;
use openclaw_protocol::rt::{Answer, BoxFuture};
use openclaw_protocol::server::HandshakeOnly;
use tokio::time::Instant;

pub use caller::{Caller, CallerInfo};
pub use deadlines::Deadlines;
pub use ending::{Counters, Ending};
pub use hello::{Facts, HelloTemplate};
pub use link::with_issues;

use crate::clock::Clock;
use crate::http::{self, Place, Site, Upgraded};
use crate::hub::{Hub, Line};
use crate::net::{Ends, Stream};
use crate::nodes::{NodePlace, Nodes};
use crate::pairing::Pairing;
use crate::refusals::Refusals;
use crate::ws::{Outbox, Socket};
use handshake::{Handshake, Policy};
use limiter::Limiter;
use link::{Link, Stranger};
use locality::PeerFacts;
use tailscale::Whois;

/// Answers requests. The gateway's methods do; tests have their own.
pub trait Service: Send + Sync + 'static {
    /// Begins a call. The future is polled on the thread of the sockets: what takes long has to go elsewhere.
    ///
    /// # Errors
    /// The call belongs to the handshake.
    fn call(
        self: Arc<Self>,
        caller: Caller,
        id: String,
        call: Call,
    ) -> Result<BoxFuture<'static, Answer>, HandshakeOnly>;

    /// A node has its place, and hello-ok is queued for it: what it is told or asked now comes after that (odd 3).
    fn greet(&self, node: &NodePlace, line: &Line);

    /// An operator is in, and hello-ok is queued for it: what it has missed and should know comes after that.
    fn welcome(&self, _caller: &Caller, _line: &Line) {}
}

/// What all connections share.
pub struct Shared {
    /// Who else is connected.
    pub hub: Arc<Hub>,
    /// Answers requests.
    pub service: Arc<dyn Service>,
    /// Who may connect.
    pub policy: Arc<Policy>,
    /// Devices that may connect.
    pub pairing: Pairing,
    /// Connections that offer commands.
    pub nodes: Nodes,
    /// The answer to an accepted connect.
    pub hello: HelloTemplate,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Ends handshakes that take too long: [`limits::HANDSHAKE_TIMEOUT_MS`].
    pub handshakes: Arc<Deadlines>,
    /// When the process started.
    pub started: Instant,
    /// Why connections ended.
    pub counters: Counters,
    /// Who was not let in.
    pub refusals: Arc<Refusals>,
    /// Wrong secrets.
    pub limiter: Arc<Limiter>,
    /// Members of the tailnet.
    pub whois: Arc<Whois>,
}

/// Serves a socket that was accepted: over HTTP, and as a connection when it upgrades. `place` is given back when it is
/// closed.
pub fn begin(stream: Stream, ends: Ends, place: Place, site: &Arc<Site>, shared: &Arc<Shared>) {
    let (site, shared) = (Arc::clone(site), Arc::clone(shared));
    // Boxed: the runtime moves a task about while it is made and when it ends.
    tokio::spawn(Box::pin(async move {
        // Boxed: the connection would stay as large as the HTTP machinery otherwise.
        let upgraded = Box::pin(http::serve(stream, ends, site)).await;
        if let Some(upgraded) = upgraded {
            serve(shared, upgraded, place).await;
        }
    }));
}

/// Serves a connection until it is over. `place` is given back then.
///
/// What is needed for the handshake alone is let go with it; the future is small because it lives as long as the
/// connection.
fn serve(shared: Arc<Shared>, upgraded: Upgraded, place: Place) -> impl Future<Output = ()> + Send {
    let Upgraded {
        stream,
        response,
        early,
        headers,
        ends,
        handshake: handshake_place,
        behind_proxy,
    } = upgraded;
    let (read, write) = stream.into_split();
    let outbox = Arc::new(Outbox::new(
        Socket::new(write),
        limits::MAX_BUFFERED_BYTES as usize,
    ));
    outbox.precede(&response);
    let membership = shared.hub.enter(Arc::clone(&outbox));
    let facts = PeerFacts::of_request(ends, &headers);
    let handshake = Handshake::new(Arc::clone(&shared.policy), &facts, ids::fresh());
    outbox.send(handshake.challenge(shared.clock.now_ms()));
    // At once: clients wait for it, but not for long.
    outbox.flush();
    let stranger = Stranger::new(handshake, shared.handshakes.begin(), handshake_place, ends);
    let mut link = Link::new(shared, Arc::clone(&outbox), membership, stranger);
    async move {
        let (ending, read) = reader::run(&mut link, read, early).await;
        let membership = link.finish(ending);
        if !farewell::is_said(ending, &outbox)
            && let Some(read) = read
        {
            // Boxed: few connections are in this state, and its buffer would be part of each of them.
            Box::pin(farewell::say(read, &outbox)).await;
        }
        drop((membership, place, behind_proxy));
    }
}

#[cfg(test)]
mod tests;
