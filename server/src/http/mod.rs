//! The one port: HTTP requests are answered here, WebSocket upgrades are handed on.
//!
//! `gateway` calls [`serve`] for each accepted socket. It speaks HTTP/1.1 until the client leaves or upgrades, and
//! then gives the bare socket to the caller, so that nothing of the HTTP stack stays with a WebSocket connection.

mod admission;
mod answer;
mod api;
mod body;
mod calls;
mod content;
mod doors;
mod held;
mod hooks;
mod openai;
mod protocol;
mod responses;
mod sse;
mod taps;
mod tools;
mod turn;
mod upgrade;

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::future::{BoxFuture, Either, Ready, ready};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

pub use admission::{Admission, Caps, HandshakePlace, NetworkPlace, Place, TurnedAway};
pub use api::{Api, ApiParts};
pub use doors::Doors;
pub use hooks::{HookParts, Hooks, HooksOff, Wake};
pub use taps::Taps;

use crate::connection::locality::Trust;
use crate::documents::{Document, Unpacked};
use crate::limits;
use crate::net::{Ends, Stream};
use answer::Response;
use calls::Calls;
use held::Held;

/// What the HTTP surfaces know of the gateway.
#[derive(Debug)]
pub struct Site {
    /// Places for connections.
    pub admission: Arc<Admission>,
    /// Which proxies speak for others.
    pub trust: Trust,
    /// The surfaces that ask for a secret.
    api: Option<Api>,
    unpacked: Unpacked,
    is_ready: AtomicBool,
    is_stopping: AtomicBool,
}

impl Site {
    /// A site that is not ready yet.
    #[must_use]
    pub fn new(admission: Arc<Admission>, trust: Trust) -> Self {
        Self {
            admission,
            trust,
            api: None,
            unpacked: Unpacked::default(),
            is_ready: AtomicBool::new(false),
            is_stopping: AtomicBool::new(false),
        }
    }

    /// The same with the surfaces that programs talk to.
    #[must_use]
    pub fn with_api(self, api: Api) -> Self {
        Self {
            api: Some(api),
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
type Answering = Either<Ready<Answered>, BoxFuture<'static, Answered>>;
type Answered = Result<Response, Infallible>;

/// Answers one request. An upgrade leaves its ticket in `issue`.
fn respond(
    site: &Arc<Site>,
    mut request: Request<Incoming>,
    ends: Ends,
    issue: &Mutex<Option<Ticket>>,
    calls: &Calls,
) -> Answering {
    let surface = match &site.api {
        Some(api) if !upgrade::is_asked_for(&request) => api.surface(request.uri().path()),
        _ => None,
    };
    let Some(surface) = surface else {
        return Either::Left(ready(Ok(respond_at_once(site, &mut request, ends, issue))));
    };
    let (site, calls) = (Arc::clone(site), calls.clone());
    Either::Right(Box::pin(async move {
        Ok(match &site.api {
            Some(api) if !site.is_stopping() => api.answer(surface, request, ends, &calls).await,
            _ => answer::refuse(StatusCode::SERVICE_UNAVAILABLE, "the gateway is stopping"),
        })
    }))
}

/// Answers what needs neither a secret nor an agent.
fn respond_at_once(
    site: &Site,
    request: &mut Request<Incoming>,
    ends: Ends,
    issue: &Mutex<Option<Ticket>>,
) -> Response {
    if !upgrade::is_asked_for(request) {
        if let Some(document) = Document::at(request.uri().path()) {
            return protocol::answer(
                document,
                request.method(),
                request.headers(),
                &site.unpacked,
            );
        }
        return answer::route(request.method(), request.uri().path(), site.is_ready());
    }
    if site.is_stopping() {
        return answer::refuse(StatusCode::SERVICE_UNAVAILABLE, "the gateway is stopping");
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

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
