//! What HTTP serves beside WebSockets: the protocol's documents, and the surfaces that programs talk to (contract 10).
//!
//! The port and its sockets are `openclaw_core`'s, which asks [`Web`] for every request that is neither an upgrade nor a
//! probe.

mod api;
mod body;
mod content;
mod doors;
mod hooks;
mod openai;
mod protocol;
mod responses;
mod sse;
mod taps;
mod tools;
mod turn;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use hyper::body::Incoming;
use hyper::{Request, StatusCode};
use openclaw_core::http::answer::{self, Response};
use openclaw_core::http::{Calls, Surfaces};

pub use api::{Api, ApiParts};
pub use doors::Doors;
pub use hooks::{HookParts, Hooks, HooksOff, Wake};
pub use taps::Taps;

use crate::documents::{Document, Unpacked};
use crate::net::Ends;

/// Everything that is served.
#[derive(Debug, Default)]
pub struct Web {
    /// The surfaces that ask for a secret.
    api: Option<Api>,
    unpacked: Unpacked,
}

impl Web {
    /// The documents, and the surfaces that programs talk to.
    #[must_use]
    pub fn new(api: Api) -> Self {
        Self {
            api: Some(api),
            unpacked: Unpacked::default(),
        }
    }
}

impl Surfaces for Web {
    fn page(&self, request: &Request<Incoming>) -> Option<Response> {
        let document = Document::at(request.uri().path())?;
        Some(protocol::answer(
            document,
            request.method(),
            request.headers(),
            &self.unpacked,
        ))
    }

    fn claims(&self, path: &str) -> bool {
        self.api
            .as_ref()
            .is_some_and(|api| api.surface(path).is_some())
    }

    fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        ends: Ends,
        calls: Calls,
    ) -> BoxFuture<'static, Response> {
        Box::pin(async move {
            let surface = self
                .api
                .as_ref()
                .and_then(|api| Some((api, api.surface(request.uri().path())?)));
            match surface {
                Some((api, surface)) => api.answer(surface, request, ends, &calls).await,
                None => answer::refuse(StatusCode::NOT_FOUND, "Not Found"),
            }
        })
    }
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
