//! The surfaces that programs talk to (contract 10.5 to 10.8): which of them are on, whose path is whose, and what is
//! asked of a request before its surface sees it.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};
use openclaw_protocol::protocol::ErrorCode;
use openclaw_protocol::types::ErrorShape;
use serde_json::json;

use super::Calls;
use super::answer::{self, Response};
use super::body::{self, bytes};
use super::doors::Doors;
use super::hooks::Hooks;
use super::taps::Taps;
use super::tools::Tools;
use super::turn::Turns;
use super::{openai, responses};
use crate::agent::Runs;
use crate::config::Config;
use crate::limits::{COMPLETIONS_BODY_BYTES, TOOLS_BODY_BYTES};
use crate::net::Ends;

/// What the surfaces need of the rest of the gateway.
pub struct ApiParts {
    /// Runs of agents.
    pub runs: Runs,
    /// What those runs say.
    pub taps: Arc<Taps>,
    /// Who may use them.
    pub doors: Doors,
    /// Hooks, if they are on.
    pub hooks: Option<Hooks>,
}

/// The surfaces.
pub struct Api {
    turns: Turns,
    tools: Tools,
    doors: Doors,
    hooks: Option<Hooks>,
    has_completions: bool,
    /// Largest body of `/v1/responses`, when it is on.
    responses: Option<usize>,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api")
            .field("completions", &self.has_completions)
            .field("responses", &self.responses)
            .field("hooks", &self.hooks.is_some())
            .finish_non_exhaustive()
    }
}

/// One of the surfaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Surface {
    /// `/hooks`.
    Hooks,
    /// `/tools/invoke`.
    Tools,
    /// `/v1/responses`.
    Responses,
    /// `/v1/chat/completions`.
    Completions,
}

impl Api {
    /// The surfaces that a configuration switches on.
    #[must_use]
    pub fn new(config: &Config, parts: ApiParts) -> Self {
        let endpoints = &config.gateway.http.endpoints;
        Self {
            tools: Tools::new(parts.runs.clone()),
            turns: Turns {
                runs: parts.runs,
                taps: parts.taps,
            },
            doors: parts.doors,
            hooks: parts.hooks,
            has_completions: endpoints.chat_completions.enabled,
            responses: endpoints
                .responses
                .enabled
                .then(|| bytes(endpoints.responses.max_body_bytes)),
        }
    }

    /// Whose path this is, of the surfaces that are on, in the order of contract 10.1.
    pub(super) fn surface(&self, path: &str) -> Option<Surface> {
        if self.hooks.as_ref().is_some_and(|hooks| hooks.claims(path)) {
            return Some(Surface::Hooks);
        }
        match path {
            "/tools/invoke" => Some(Surface::Tools),
            "/v1/responses" if self.responses.is_some() => Some(Surface::Responses),
            "/v1/chat/completions" if self.has_completions => Some(Surface::Completions),
            _ => None,
        }
    }

    /// Answers a request to a surface.
    pub(super) async fn answer(
        &self,
        surface: Surface,
        request: Request<Incoming>,
        ends: Ends,
        calls: &Calls,
    ) -> Response {
        if surface == Surface::Hooks {
            return match &self.hooks {
                Some(hooks) => hooks.answer(request, ends).await,
                None => answer::refuse(StatusCode::NOT_FOUND, "Not Found"),
            };
        }
        if request.method() != Method::POST {
            return answer::only_posts();
        }
        let (head, incoming) = request.into_parts();
        if let Err(outside) = self.doors.enter(ends, &head.headers).await {
            return outside.answer();
        }
        let limit = match surface {
            Surface::Completions => COMPLETIONS_BODY_BYTES,
            Surface::Tools => TOOLS_BODY_BYTES,
            // Hooks have been answered.
            Surface::Responses | Surface::Hooks => self.responses.unwrap_or_default(),
        };
        let asked = match body::read(incoming, limit).await {
            Ok(asked) => asked,
            Err(error) => return invalid(&error.to_string()),
        };
        match surface {
            Surface::Completions => openai::answer(&self.turns, &head.headers, asked, calls).await,
            Surface::Tools => self.tools.answer(asked, calls).await,
            Surface::Responses | Surface::Hooks => {
                responses::answer(&self.turns, &head.headers, asked, calls).await
            }
        }
    }
}

/// The refusal of a request that is wrong by itself.
pub(super) fn invalid(message: &str) -> Response {
    answer::json(
        StatusCode::BAD_REQUEST,
        &json!({"error": {"message": message, "type": "invalid_request_error"}}),
    )
}

/// The refusal of a request that the agents refuse.
pub(super) fn refused(error: &ErrorShape) -> Response {
    if error.code == ErrorCode::InvalidRequest.as_str() {
        return invalid(&error.message);
    }
    busy(&error.message)
}

/// The refusal of a request that may succeed later.
pub(super) fn busy(message: &str) -> Response {
    let error = json!({"error": {"message": message, "type": "api_error"}});
    answer::json(StatusCode::SERVICE_UNAVAILABLE, &error)
}
