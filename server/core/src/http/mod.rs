//! The one port: WebSocket upgrades are handed on, probes are answered, and whatever else HTTP is asked goes to the
//! [`Surfaces`].
//!
//! `connection` calls [`serve`] for each accepted socket, and so do tests of surfaces. It speaks HTTP/1.1 until the
//! client leaves or upgrades, and then gives the bare socket to the caller, so that nothing of the HTTP stack stays with a
//! WebSocket connection.

mod admission;
pub mod answer;
mod calls;
mod held;
mod upgrade;

use std::convert::Infallible;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::future::{BoxFuture, Either, FutureExt, Map, Ready, ready};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

pub use admission::{Admission, Caps, HandshakePlace, NetworkPlace, Place, TurnedAway};
pub use calls::{Call, Calls};

use crate::connection::locality::Trust;
use crate::limits;
use crate::net::{Ends, Stream};
use answer::Response;
use held::Held;

/// What the port serves beside WebSockets and probes. The gateway's surfaces are one; a test has its own.
pub trait Surfaces: fmt::Debug + Send + Sync {
    /// The answer to a request for what needs neither a secret nor an agent; nothing if its path is none of these.
    fn page(&self, request: &Request<Incoming>) -> Option<Response>;

    /// Whether a path belongs to what takes its time: [`Surfaces::answer`] is asked then.
    fn claims(&self, path: &str) -> bool;

    /// Answers a request whose path was claimed. A call that is begun in `calls` keeps the connection open for longer
    /// than others.
    fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        ends: Ends,
        calls: Calls,
    ) -> BoxFuture<'static, Response>;
}

/// What connections over HTTP know of the gateway.
#[derive(Debug)]
pub struct Site {
    /// Places for connections.
    pub admission: Arc<Admission>,
    /// Which proxies speak for others.
    pub trust: Trust,
    surfaces: Option<Arc<dyn Surfaces>>,
    is_ready: AtomicBool,
    is_stopping: AtomicBool,
}

impl Site {
    /// A site that is not ready yet and serves WebSockets and probes alone.
    #[must_use]
    pub fn new(admission: Arc<Admission>, trust: Trust) -> Self {
        Self {
            admission,
            trust,
            surfaces: None,
            is_ready: AtomicBool::new(false),
            is_stopping: AtomicBool::new(false),
        }
    }

    /// The same with more to serve.
    #[must_use]
    pub fn with_surfaces(self, surfaces: Arc<dyn Surfaces>) -> Self {
        Self {
            surfaces: Some(surfaces),
            ..self
        }
    }

    /// Everything works from now on: `/readyz` says so.
    pub fn set_ready(&self) {
        self.is_ready.store(true, Ordering::Release);
    }

    /// The gateway is stopping: `/readyz` says so and nobody is let in any more.
    pub fn set_stopping(&self) {
        self.is_stopping.store(true, Ordering::Release);
    }

    fn is_ready(&self) -> bool {
        self.is_ready.load(Ordering::Acquire) && !self.is_stopping()
    }

    fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Acquire)
    }
}

/// A socket that speaks WebSocket from here on.
#[derive(Debug)]
pub struct Upgraded {
    /// The socket.
    pub stream: Stream,
    /// The response that switches protocols, not sent yet: it goes in front of the first frame.
    pub response: Vec<u8>,
    /// What the client sent behind its upgrade request.
    pub early: Bytes,
    /// The headers of the upgrade request.
    pub headers: HeaderMap,
    /// Both ends.
    pub ends: Ends,
    /// The place among those who are not accepted yet.
    pub handshake: HandshakePlace,
    /// The place in the client's network, when a trusted proxy stands between.
    pub behind_proxy: Option<NetworkPlace>,
}

/// What an upgrade request leaves behind for when its response is out.
struct Ticket {
    headers: HeaderMap,
    handshake: HandshakePlace,
    behind_proxy: Option<NetworkPlace>,
}

/// Serves one socket until it closes (`None`) or upgrades.
pub async fn serve(stream: Stream, ends: Ends, site: Arc<Site>) -> Option<Upgraded> {
    let ticket: Arc<Mutex<Option<Ticket>>> = Arc::default();
    let (issue, issued) = (Arc::clone(&ticket), Arc::clone(&ticket));
    let stream = Held::new(stream, move || is_issued(&issued));
    let calls = Calls::default();
    let under_way = calls.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let (site, issue) = (Arc::clone(&site), Arc::clone(&issue));
        let calls = under_way.clone();
        respond(&site, request, ends, &issue, &calls)
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HTTP_HEAD_TIMEOUT)
        .max_buf_size(limits::HTTP_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let mut is_leaving = false;
    let served = loop {
        let spoken = poll_fn(|context| connection.poll_without_shutdown(context));
        match timeout(limits::HTTP_TIME, spoken).await {
            // An agent is at work for this client; its run has a time limit of its own.
            Err(_) if calls.are_under_way() => {}
            Err(_) if !is_leaving => {
                // The answer under way may still end, if the client takes it.
                Pin::new(&mut connection).graceful_shutdown();
                is_leaving = true;
            }
            served => break served,
        }
    };
    match served {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::debug!(peer = %ends, %error, "HTTP connection ended");
            return None;
        }
        Err(_) => {
            tracing::debug!(peer = %ends, "HTTP client does not take its answer");
            return None;
        }
    }
    let parts = connection.into_parts();
    let (mut stream, response) = parts.io.into_inner().into_parts();
    let Some(ticket) = ticket.lock().unwrap_or_else(PoisonError::into_inner).take() else {
        // The client is done; a failure to say goodbye concerns nobody.
        let _ = stream.shutdown().await;
        return None;
    };
    Some(Upgraded {
        stream,
        response,
        early: parts.read_buf,
        headers: ticket.headers,
        ends,
        handshake: ticket.handshake,
        behind_proxy: ticket.behind_proxy,
    })
}

fn is_issued(ticket: &Mutex<Option<Ticket>>) -> bool {
    let ticket = ticket.lock().unwrap_or_else(PoisonError::into_inner);
    ticket.is_some()
}

/// An answer that is there, or one that takes its time.
type Answering =
    Either<Ready<Answered>, Map<BoxFuture<'static, Response>, fn(Response) -> Answered>>;
type Answered = Result<Response, Infallible>;

/// Answers one request. An upgrade leaves its ticket in `issue`.
fn respond(
    site: &Site,
    mut request: Request<Incoming>,
    ends: Ends,
    issue: &Mutex<Option<Ticket>>,
    calls: &Calls,
) -> Answering {
    if upgrade::is_asked_for(&request) {
        return Either::Left(ready(Ok(upgrade(site, &mut request, ends, issue))));
    }
    let response = match &site.surfaces {
        Some(surfaces) if surfaces.claims(request.uri().path()) => {
            if !site.is_stopping() {
                let answering = Arc::clone(surfaces).answer(request, ends, calls.clone());
                return Either::Right(answering.map(Ok as fn(Response) -> Answered));
            }
            Some(is_stopping())
        }
        Some(surfaces) => surfaces.page(&request),
        None => None,
    };
    let response = response
        .unwrap_or_else(|| answer::route(request.method(), request.uri().path(), site.is_ready()));
    Either::Left(ready(Ok(response)))
}

/// Grants an upgrade, or refuses it. A granted one leaves its ticket in `issue`.
fn upgrade(
    site: &Site,
    request: &mut Request<Incoming>,
    ends: Ends,
    issue: &Mutex<Option<Ticket>>,
) -> Response {
    if site.is_stopping() {
        return is_stopping();
    }
    let response = match upgrade::accept(request) {
        Ok(response) => response,
        Err(refusal) => return *refusal,
    };
    let places = match take_places(site, ends, request.headers()) {
        Ok(places) => places,
        Err(why) => {
            tracing::debug!(peer = %ends, why = %why.reason(), "no place");
            return answer::refuse(
                StatusCode::SERVICE_UNAVAILABLE,
                "too many connections are being opened",
            );
        }
    };
    let (behind_proxy, handshake) = places;
    *issue.lock().unwrap_or_else(PoisonError::into_inner) = Some(Ticket {
        headers: std::mem::take(request.headers_mut()),
        handshake,
        behind_proxy,
    });
    response
}

fn is_stopping() -> Response {
    answer::refuse(StatusCode::SERVICE_UNAVAILABLE, "the gateway is stopping")
}

/// The places of a WebSocket: in its network, if a trusted proxy stands before it, and among the handshakes.
fn take_places(
    site: &Site,
    ends: Ends,
    headers: &HeaderMap,
) -> Result<(Option<NetworkPlace>, HandshakePlace), TurnedAway> {
    let Some(peer) = ends.peer() else {
        return Ok((None, site.admission.begin_handshake(None)?));
    };
    let proxied = site.trust.network_behind_proxy(peer, headers);
    let network = proxied.or_else(|| site.trust.network(peer));
    let behind_proxy = proxied
        .map(|network| site.admission.enter_network(network))
        .transpose()?;
    Ok((behind_proxy, site.admission.begin_handshake(network)?))
}

/// Tells a client that there is no room, without reading its request.
pub async fn turn_away(mut stream: Stream) {
    const TEXT: &[u8] =
        b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    // It may be gone already.
    let _ = stream.write_all(TEXT).await;
    let _ = stream.shutdown().await;
}
