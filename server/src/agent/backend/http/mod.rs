//! Models over streaming HTTP, at any base URL (`models.providers.*`). What is sent and how answers are read is a matter of
//! the [`Dialect`]; all that can go wrong on the way is the same for every one and is handled here.
//!
//! A call is repeated a bounded number of times while nothing of a reply has arrived and the failure may pass (no
//! connection, 408, 429, 5xx); afterwards every failure is final, since text that was shown cannot be taken back.

mod anthropic;
mod calls;
mod limit;
mod openai;
mod refusal;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use eventsource_stream::{Event, EventStreamError, Eventsource};
use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt, TryStreamExt};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url};

use super::{Backend, BackendError, Chunk, ModelRequest, ReplyStream};
use crate::agent::http_client;
use crate::config::ModelApi;

/// Calls made for one reply at most; a provider that is down stays down for longer than more would bridge.
const ATTEMPTS: u32 = 3;
/// Largest body of an error answer that is read; the message is at its start.
const MAX_ERROR_BODY: usize = 64 * 1024;

/// How long to wait for what.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For a connection, TLS included.
    pub connect: Duration,
    /// From the request to the head of the answer: models that think first say nothing for long.
    pub first_byte: Duration,
    /// Between two pieces of the answer; servers send comments to keep quiet streams alive.
    pub between: Duration,
    /// Before the second call; doubled for each further one.
    pub back_off: Duration,
    /// Longest wait that a provider may ask for with `Retry-After`.
    pub max_back_off: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            first_byte: Duration::from_secs(120),
            between: Duration::from_secs(60),
            back_off: Duration::from_millis(500),
            max_back_off: Duration::from_secs(20),
        }
    }
}

/// The language that a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// OpenAI chat completions and all that imitate them.
    OpenAi,
    /// Anthropic messages.
    Anthropic,
}

impl Dialect {
    /// The dialect of a configured API; none for those that are not spoken here.
    pub fn of(api: ModelApi) -> Option<Self> {
        match api {
            ModelApi::OpenaiCompletions => Some(Self::OpenAi),
            ModelApi::AnthropicMessages => Some(Self::Anthropic),
            _ => None,
        }
    }

    /// The URL of calls. People write base URLs with and without the version.
    fn url(self, base: &str) -> String {
        let base = base.trim().trim_end_matches('/');
        match self {
            Self::OpenAi => format!("{base}/chat/completions"),
            Self::Anthropic if base.ends_with("/v1") => format!("{base}/messages"),
            Self::Anthropic => format!("{base}/v1/messages"),
        }
    }

    /// The headers by which a key is shown, and those that every call has.
    fn headers(self, key: Option<&str>, bearer: bool) -> Vec<(String, String)> {
        let mut headers = Vec::new();
        if self == Self::Anthropic {
            headers.push((
                "anthropic-version".to_owned(),
                anthropic::VERSION.to_owned(),
            ));
        }
        if let Some(key) = key {
            headers.push(if bearer || self == Self::OpenAi {
                ("authorization".to_owned(), format!("Bearer {key}"))
            } else {
                ("x-api-key".to_owned(), key.to_owned())
            });
        }
        headers
    }

    fn call(self, request: &ModelRequest) -> String {
        match self {
            Self::OpenAi => openai::call(request),
            Self::Anthropic => anthropic::call(request),
        }
    }

    fn decoder(self, provider: &str) -> Box<dyn Decode> {
        match self {
            Self::OpenAi => Box::new(openai::Decoder::new(provider)),
            Self::Anthropic => Box::new(anthropic::Decoder::new(provider)),
        }
    }
}

/// Reads the events of one answer.
trait Decode: Send {
    /// Whether the answer is complete.
    fn is_done(&self) -> bool;
    /// The chunks that an event's data means.
    fn event(&mut self, data: &str) -> Result<Vec<Chunk>, BackendError>;
    /// The connection has ended: what that means for the reply.
    fn end(&mut self) -> Result<Vec<Chunk>, BackendError>;
}

/// What arrived cannot be read.
fn garbage(provider: &str, what: &str) -> BackendError {
    BackendError::Garbage {
        provider: provider.to_owned(),
        what: what.to_owned(),
    }
}

/// A provider as configured. Not to be printed: it holds secrets.
#[derive(Clone)]
pub struct Endpoint {
    /// Provider id, for messages.
    pub provider: String,
    /// What it speaks.
    pub dialect: Dialect,
    /// Base URL; the path of the API is added.
    pub base_url: String,
    /// Key.
    pub api_key: Option<String>,
    /// Whether the key is sent as a bearer token where the dialect has a header of its own for keys.
    pub bearer: bool,
    /// Further headers.
    pub headers: Vec<(String, String)>,
}

/// One provider's client. Clones share its connections.
#[derive(Clone)]
pub struct HttpModel {
    inner: Arc<Inner>,
}

struct Inner {
    provider: String,
    dialect: Dialect,
    url: Url,
    headers: HeaderMap,
    /// Removed from whatever the provider says.
    secret: Option<String>,
    client: Client,
    timeouts: Timeouts,
}

impl HttpModel {
    /// A client of `endpoint`, or what is wrong with its configuration.
    pub fn new(endpoint: &Endpoint, timeouts: Timeouts) -> Result<Self, BackendError> {
        let provider = &endpoint.provider;
        let wrong = |what: &str| {
            BackendError::NotConfigured(format!("model provider \"{provider}\": {what}"))
        };
        let url = Url::parse(&endpoint.dialect.url(&endpoint.base_url))
            .map_err(|_| wrong("baseUrl is not a URL"))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(wrong("baseUrl must begin with http:// or https://"));
        }
        let headers = headers(endpoint)
            .ok_or_else(|| wrong("apiKey or headers hold characters that no header can"))?;
        let client = http_client::client(&url, timeouts.connect)
            .map_err(|error| wrong(&format!("no HTTP client: {}", root_cause(&error))))?;
        let secret = endpoint.api_key.clone().filter(|key| !key.is_empty());
        Ok(Self {
            inner: Arc::new(Inner {
                provider: provider.clone(),
                dialect: endpoint.dialect,
                url,
                headers,
                secret,
                client,
                timeouts,
            }),
        })
    }
}

impl Backend for HttpModel {
    fn stream(&self, request: ModelRequest) -> ReplyStream {
        let inner = Arc::clone(&self.inner);
        let opened =
            stream::once(async move { Ok(inner.clone().read(inner.open(&request).await?)) });
        opened.try_flatten().boxed()
    }
}

/// A failed attempt.
struct Attempt {
    error: BackendError,
    /// Whether another one may succeed, and after which time if the provider said so.
    again: Option<Option<Duration>>,
}

impl Attempt {
    fn last(error: BackendError) -> Self {
        Self { error, again: None }
    }
}

impl Inner {
    /// Calls until the head of a good answer is there or the attempts are used up.
    async fn open(&self, request: &ModelRequest) -> Result<Response, BackendError> {
        let body = Bytes::from(self.dialect.call(request));
        let (mut attempt, mut back_off) = (1, self.timeouts.back_off);
        loop {
            match self.attempt(body.clone()).await {
                Ok(response) => return Ok(response),
                Err(Attempt {
                    error,
                    again: Some(asked),
                }) if attempt < ATTEMPTS => {
                    let provider = &self.provider;
                    tracing::info!(provider, attempt, %error, "model call failed, trying again");
                    let wait = asked.unwrap_or(back_off).min(self.timeouts.max_back_off);
                    tokio::time::sleep(wait).await;
                    attempt += 1;
                    back_off *= 2;
                }
                Err(Attempt { error, .. }) => return Err(error),
            }
        }
    }

    async fn attempt(&self, body: Bytes) -> Result<Response, Attempt> {
        let call = self
            .client
            .post(self.url.clone())
            .headers(self.headers.clone())
            .body(body)
            .send();
        let response = match tokio::time::timeout(self.timeouts.first_byte, call).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                let cause = root_cause(&error);
                let error = BackendError::Unreachable {
                    provider: self.provider.clone(),
                    cause,
                };
                return Err(Attempt {
                    error,
                    again: Some(None),
                });
            }
            // Not repeated: it may be answering to nobody, and two more waits of this length help no user.
            Err(_) => {
                let seconds = self.timeouts.first_byte.as_secs();
                return Err(Attempt::last(BackendError::Silent {
                    provider: self.provider.clone(),
                    seconds,
                }));
            }
        };
        let status = response.status();
        if !status.is_success() {
            let may_pass = matches!(
                status,
                StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
            );
            let again = (may_pass || status.is_server_error()).then(|| retry_after(&response));
            let body = self.error_body(response).await;
            let error = refusal::refusal(
                status.as_u16(),
                &body,
                status.canonical_reason().unwrap_or("refused"),
            );
            return Err(Attempt {
                error: self.redact(error),
                again,
            });
        }
        let kind = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok())
            .unwrap_or_default();
        if !kind
            .trim_start()
            .to_lowercase()
            .starts_with("text/event-stream")
        {
            let what = "it is no event stream";
            return Err(Attempt::last(garbage(&self.provider, what)));
        }
        Ok(response)
    }

    /// The start of an error answer; what cannot be read in time is left out.
    async fn error_body(&self, response: Response) -> Vec<u8> {
        let mut body = Vec::new();
        let mut parts = response.bytes_stream();
        let read = async {
            while let Some(Ok(part)) = parts.next().await {
                let room = MAX_ERROR_BODY - body.len();
                body.extend_from_slice(&part[..part.len().min(room)]);
                if body.len() == MAX_ERROR_BODY {
                    break;
                }
            }
        };
        let _ = tokio::time::timeout(self.timeouts.between, read).await;
        body
    }

    /// The chunks of an answer.
    fn read(
        self: Arc<Self>,
        response: Response,
    ) -> impl Stream<Item = Result<Chunk, BackendError>> + Send {
        let bytes = limit::guard(response.bytes_stream(), self.timeouts.between);
        let events: Events = Box::pin(bytes.eventsource());
        let reading = Reading {
            decoder: self.dialect.decoder(&self.provider),
            inner: self,
            events,
            ready: VecDeque::new(),
        };
        stream::try_unfold(reading, |mut reading| async move {
            let next = reading
                .next()
                .await
                .map_err(|error| reading.inner.redact(error))?;
            Ok(next.map(|chunk| (chunk, reading)))
        })
    }

    /// Providers quote keys in their refusals.
    fn redact(&self, error: BackendError) -> BackendError {
        let clean = |message: String| match &self.secret {
            Some(secret) => message.replace(secret.as_str(), "[redacted]"),
            None => message,
        };
        match error {
            BackendError::Refused { status, message } => BackendError::Refused {
                status,
                message: clean(message),
            },
            BackendError::Reported { message } => BackendError::Reported {
                message: clean(message),
            },
            other => other,
        }
    }
}

type Events = Pin<Box<dyn Stream<Item = Result<Event, EventStreamError<BackendError>>> + Send>>;

/// An answer being read.
struct Reading {
    inner: Arc<Inner>,
    events: Events,
    decoder: Box<dyn Decode>,
    ready: VecDeque<Chunk>,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Chunk>, BackendError> {
        loop {
            if let Some(chunk) = self.ready.pop_front() {
                return Ok(Some(chunk));
            }
            if self.decoder.is_done() {
                return Ok(None);
            }
            match self.events.next().await {
                None => self.ready.extend(self.decoder.end()?),
                Some(Ok(event)) => self.ready.extend(self.decoder.event(&event.data)?),
                Some(Err(EventStreamError::Transport(error))) => return Err(error),
                Some(Err(EventStreamError::Utf8(_))) => {
                    return Err(garbage(&self.inner.provider, "it is not UTF-8"));
                }
                Some(Err(EventStreamError::Parser(_))) => {
                    return Err(garbage(&self.inner.provider, "it is no event stream"));
                }
            }
        }
    }
}

fn headers(endpoint: &Endpoint) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
    let key = endpoint.api_key.as_deref().filter(|key| !key.is_empty());
    let own = endpoint.dialect.headers(key, endpoint.bearer);
    // A configured header replaces one of ours, so that any way to show a key can be configured.
    for (name, value) in own.iter().chain(&endpoint.headers) {
        let name = reqwest::header::HeaderName::from_bytes(name.as_bytes()).ok()?;
        let mut value = HeaderValue::from_str(value).ok()?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Some(headers)
}

fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response
        .headers()
        .get(RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()?;
    Some(Duration::from_secs(seconds))
}

/// The innermost reason of an error. The outer ones name the URL, which may hold a key.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    if std::ptr::eq(cause, error) {
        "the connection failed".to_owned()
    } else {
        cause.to_string()
    }
}

/// Kept apart so that the guard can be tested without HTTP.
type ByteStream = BoxStream<'static, Result<Bytes, BackendError>>;

#[cfg(test)]
pub(in crate::agent) mod stand_in;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
