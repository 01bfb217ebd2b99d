//! `/hooks` (contract 10.8): what other services call when something happens.
//!
//! [`mapping`] says what a request means, [`template`] fills texts, [`turn`] does it; here it is decided who may call.
//! Callers show a token of their own; it opens nothing else. A hook's turn runs in a conversation apart from the user's and
//! is told that its text came from outside; its result is a note for the main conversation, and goes to people through the
//! outbox.

mod mapping;
mod template;
#[cfg(test)]
mod tests;
mod turn;

use std::collections::BTreeMap;

use hyper::body::Incoming;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, Request, StatusCode};
use openclaw_protocol::types::WakeMode;
use serde_json::{Value, json};

use super::answer::{self, Response};
use super::body::{self, BodyError};
use super::doors::{Outside, bearer, weigh};
use crate::clock::iso_8601;
use crate::config::{self, HookMapping, HookWakeMode};
use crate::connection::auth::SecretHash;
use crate::connection::limiter::Limiter;
use crate::connection::locality::{PeerFacts, Trust};
use crate::net::Ends;
use mapping::{Action, Meaningless};
use template::Context;

pub use turn::{HookParts, Wake};

/// Header that callers may show the token in when they cannot set `Authorization`.
const TOKEN_HEADER: &str = "x-openclaw-token";

/// Headers that templates cannot see: whoever writes a mapping must not copy a secret into a conversation by accident.
const SECRET_HEADERS: [&str; 4] = [
    "authorization",
    TOKEN_HEADER,
    "cookie",
    "proxy-authorization",
];

/// The hooks of a gateway.
pub struct Hooks {
    path: String,
    token: SecretHash,
    max_body: usize,
    mappings: Vec<HookMapping>,
    /// Beginnings of the conversations that callers may name.
    prefixes: Vec<String>,
    trust: Trust,
    limiter: Limiter,
    parts: HookParts,
}

/// Why hooks that are switched on are not served.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum HooksOff {
    /// They are not switched on at all.
    #[error("hooks.enabled is not set")]
    NotEnabled,
    /// Without a secret everybody could call them.
    #[error("hooks.token is missing")]
    NoToken,
    /// The whole port would be theirs.
    #[error("hooks.path may not be \"/\"")]
    Path,
}

/// Where and how hooks are served.
#[derive(Debug)]
struct Place {
    path: String,
    token: SecretHash,
}

impl Place {
    fn of(config: &config::Hooks) -> Result<Self, HooksOff> {
        if !config.enabled {
            return Err(HooksOff::NotEnabled);
        }
        let token = config.token.as_ref().map(|token| token.expose().trim());
        let token = token.and_then(SecretHash::of).ok_or(HooksOff::NoToken)?;
        let path = format!("/{}", config.path.trim().trim_matches('/'));
        if path == "/" {
            return Err(HooksOff::Path);
        }
        Ok(Self { path, token })
    }
}

impl Hooks {
    /// The hooks of a configuration.
    ///
    /// # Errors
    /// Why there are none.
    pub fn new(config: &config::Hooks, trust: Trust, parts: HookParts) -> Result<Self, HooksOff> {
        let Place { path, token } = Place::of(config)?;
        Ok(Self {
            path,
            token,
            max_body: body::bytes(config.max_body_bytes),
            mappings: mapping::in_force(&config.mappings, &config.presets),
            prefixes: config.allowed_session_key_prefixes.clone(),
            trust,
            limiter: Limiter::default(),
            parts,
        })
    }

    /// Is this a hook's path?
    pub(super) fn claims(&self, path: &str) -> bool {
        self.below(path).is_some()
    }

    fn below<'p>(&self, path: &'p str) -> Option<&'p str> {
        let rest = path.strip_prefix(&self.path)?;
        (rest.is_empty() || rest.starts_with('/')).then(|| rest.trim_matches('/'))
    }

    /// Answers a request to a hook: token, method, path, body, in this order.
    pub(super) async fn answer(&self, request: Request<Incoming>, ends: Ends) -> Response {
        let query = query(request.uri().query().unwrap_or_default());
        if let Some(refusal) = self.refusal(request.headers(), &query, ends) {
            return refusal;
        }
        if request.method() != Method::POST {
            return answer::only_posts();
        }
        let (head, incoming) = request.into_parts();
        let path = self.below(head.uri.path()).unwrap_or_default().to_owned();
        if path.is_empty() {
            return answer::refuse(StatusCode::NOT_FOUND, "Not Found");
        }
        let payload: Value = match body::read(incoming, self.max_body).await {
            Ok(payload) => payload,
            Err(error) => {
                let code = match error {
                    BodyError::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
                    _ => StatusCode::BAD_REQUEST,
                };
                return wrong(code, &error.to_string());
            }
        };
        let meaning = match path.as_str() {
            "wake" => mapping::wake(payload),
            "agent" => mapping::agent(payload),
            _ => {
                let context = Context {
                    payload,
                    headers: shown_headers(&head.headers),
                    query,
                    path,
                    now: iso_8601(self.parts.clock.now_ms()),
                };
                match mapping::mapped(&self.mappings, &context) {
                    Ok(Some(meaning)) => meaning,
                    Ok(None) => return answer::refuse(StatusCode::NOT_FOUND, "Not Found"),
                    Err(error) => {
                        tracing::error!(%error, "a hook failed");
                        return wrong(StatusCode::INTERNAL_SERVER_ERROR, "hook mapping failed");
                    }
                }
            }
        };
        self.carry_out(meaning.and_then(|action| self.with_a_key(action)))
            .await
    }

    /// Callers name conversations of hooks, not those of people, unless the configuration says so.
    fn with_a_key(&self, action: Action) -> Result<Action, Meaningless> {
        if let Action::Agent(hook) = &action
            && hook.is_callers_key
            && let Some(key) = hook.session_key.as_deref()
            && !self.prefixes.iter().any(|prefix| key.starts_with(prefix))
        {
            return Err(Meaningless::SessionKey(self.prefixes.join("|")));
        }
        Ok(action)
    }

    async fn carry_out(&self, meaning: Result<Action, Meaningless>) -> Response {
        match meaning {
            Err(error) => wrong(StatusCode::BAD_REQUEST, &error.to_string()),
            Ok(Action::Wake { text, mode }) => {
                if let Err(error) = self.parts.note(&text, mode).await {
                    tracing::error!(?error, "a hook's text is not kept");
                    return wrong(StatusCode::SERVICE_UNAVAILABLE, &error.to_string());
                }
                let mode = match mode {
                    HookWakeMode::Now => WakeMode::Now,
                    HookWakeMode::NextHeartbeat => WakeMode::NextHeartbeat,
                };
                answer::json(StatusCode::OK, &json!({"ok": true, "mode": mode}))
            }
            Ok(Action::Agent(hook)) => match self.parts.begin(*hook).await {
                Ok(run_id) => {
                    answer::json(StatusCode::ACCEPTED, &json!({"ok": true, "runId": run_id}))
                }
                Err(error)
                    if error.code
                        == openclaw_protocol::protocol::ErrorCode::InvalidRequest.as_str() =>
                {
                    wrong(StatusCode::BAD_REQUEST, &error.message)
                }
                Err(error) => wrong(StatusCode::SERVICE_UNAVAILABLE, &error.message),
            },
        }
    }

    /// The refusal of a caller without the token.
    fn refusal(
        &self,
        headers: &HeaderMap,
        query: &BTreeMap<String, String>,
        ends: Ends,
    ) -> Option<Response> {
        let header = || headers.get(TOKEN_HEADER)?.to_str().ok();
        let in_query = || {
            let token = query.get("token").map(String::as_str);
            if token.is_some() {
                tracing::warn!(
                    "a hook's token came in its address, where logs of proxies keep it; send it in a header"
                );
            }
            token
        };
        let token = bearer(headers).or_else(header).or_else(in_query);
        let token = token.map(str::trim).filter(|token| !token.is_empty());
        let guesser = self
            .trust
            .judge(&PeerFacts::of_request(ends, headers))
            .guesser;
        let guesser = guesser.filter(|_| token.is_some());
        let now_ms = self.parts.clock.now_ms();
        let outside = weigh(&self.limiter, guesser, now_ms, || {
            token.is_some_and(|token| self.token.matches(token))
        })
        .err()?;
        self.parts.refusals.count(outside.reason());
        Some(match outside {
            Outside::TooManyAttempts { wait_ms } => {
                let code = StatusCode::TOO_MANY_REQUESTS;
                answer::not_before(answer::refuse(code, "Too Many Requests"), wait_ms)
            }
            Outside::Unauthorized | Outside::NeedsDevice => {
                answer::refuse(StatusCode::UNAUTHORIZED, "Unauthorized")
            }
        })
    }
}

fn wrong(code: StatusCode, error: &str) -> Response {
    answer::json(code, &json!({"ok": false, "error": error}))
}

fn shown_headers(headers: &HeaderMap) -> BTreeMap<String, String> {
    let shown = |(name, value): (&HeaderName, &HeaderValue)| {
        let is_secret = SECRET_HEADERS.contains(&name.as_str());
        let value = value.to_str().ok().filter(|_| !is_secret)?;
        Some((name.as_str().to_owned(), value.to_owned()))
    };
    headers.iter().filter_map(shown).collect()
}

/// The members of a query, decoded; of several with one name the last.
fn query(text: &str) -> BTreeMap<String, String> {
    form_urlencoded::parse(text.as_bytes())
        .into_owned()
        .collect()
}
