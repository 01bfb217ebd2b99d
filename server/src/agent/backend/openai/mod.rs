//! The backend for OpenAI-compatible chat completions over streaming HTTP, at any base URL (`models.providers.*` with
//! api `openai-completions`).
//!
//! A call is repeated a bounded number of times while nothing of a reply has arrived and the failure may pass (no
//! connection, 408, 429, 5xx); afterwards every failure is final, since text that was shown cannot be taken back.

mod limit;
mod wire;

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
use wire::Decoder;

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

/// A provider as configured. Not to be printed: it holds secrets.
#[derive(Clone)]
pub struct Endpoint {
    /// Provider id, for messages.
    pub provider: String,
    /// Base URL; `/chat/completions` is added.
    pub base_url: String,
    /// Key sent as bearer token.
    pub api_key: Option<String>,
    /// Further headers.
    pub headers: Vec<(String, String)>,
}

/// One provider's client. Clones share its connections.
#[derive(Clone)]
pub struct OpenAi {
    inner: Arc<Inner>,
}

struct Inner {
    provider: String,
    url: Url,
    headers: HeaderMap,
    /// Removed from whatever the provider says.
    secret: Option<String>,
    client: Client,
    timeouts: Timeouts,
}

impl OpenAi {
    /// A client of `endpoint`, or what is wrong with its configuration.
    pub fn new(endpoint: &Endpoint, timeouts: Timeouts) -> Result<Self, BackendError> {
        let provider = &endpoint.provider;
        let wrong = |what: &str| {
            BackendError::NotConfigured(format!("model provider \"{provider}\": {what}"))
        };
        let url = format!(
            "{}/chat/completions",
            endpoint.base_url.trim().trim_end_matches('/')
        );
        let url = Url::parse(&url).map_err(|_| wrong("baseUrl is not a URL"))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(wrong("baseUrl must begin with http:// or https://"));
        }
        let headers = headers(endpoint)
            .ok_or_else(|| wrong("apiKey or headers hold characters that no header can"))?;
        // ring serves the whole program; that it is installed already is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut client = Client::builder()
            .connect_timeout(timeouts.connect)
            // A redirect would carry the conversation to a place that nobody configured.
            .redirect(reqwest::redirect::Policy::none());
        if is_loopback(&url) {
            client = client.no_proxy();
        }
        let client = client
            .build()
            .map_err(|error| wrong(&format!("no HTTP client: {}", root_cause(&error))))?;
        let secret = endpoint.api_key.clone().filter(|key| !key.is_empty());
        Ok(Self {
            inner: Arc::new(Inner {
                provider: provider.clone(),
                url,
                headers,
                secret,
                client,
                timeouts,
            }),
        })
    }
}

impl Backend for OpenAi {
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
        let body = Bytes::from(wire::call(request));
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
            let error = wire::refusal(
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
            return Err(Attempt::last(Decoder::new(&self.provider).garbage(what)));
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
            decoder: Decoder::new(&self.provider),
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
    decoder: Decoder,
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
                None => self.ready.push_back(self.decoder.end()?),
                Some(Ok(event)) => self.ready.extend(self.decoder.event(&event.data)?),
                Some(Err(EventStreamError::Transport(error))) => return Err(error),
                Some(Err(EventStreamError::Utf8(_))) => {
                    return Err(self.decoder.garbage("it is not UTF-8"));
                }
                Some(Err(EventStreamError::Parser(_))) => {
                    return Err(self.decoder.garbage("it is no event stream"));
                }
            }
        }
    }
}

fn headers(endpoint: &Endpoint) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
    let key = endpoint.api_key.as_ref().filter(|key| !key.is_empty());
    let bearer = key.map(|key| ("authorization".to_owned(), format!("Bearer {key}")));
    for (name, value) in bearer.iter().chain(&endpoint.headers) {
        let name = reqwest::header::HeaderName::from_bytes(name.as_bytes()).ok()?;
        let mut value = HeaderValue::from_str(value).ok()?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Some(headers)
}

fn is_loopback(url: &Url) -> bool {
    match url.host_str().map(|host| host.trim_matches(['[', ']'])) {
        Some("localhost") => true,
        Some(host) => host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback()),
        None => false,
    }
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
mod tests;
