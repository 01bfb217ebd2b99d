//! `usage.status`: providers are asked how much of their quotas is used (methods.md, Usage). Which of them tell, and how, is
//! in [`service`].

mod service;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use openclaw_protocol::protocol::{limits, texts};
use openclaw_protocol::types::{UsageProvider, UsageStatusResult};
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Client, Url};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::agent::http_client::{client, root_cause};
use crate::config::Config;
use service::{Service, Told};

/// Largest answer that is read; real ones have a few hundred bytes.
const MAX_ANSWER: usize = 64 * 1024;
/// Time for one provider to tell.
const PROVIDER_TIME: Duration = Duration::from_millis(limits::USAGE_PROVIDER_MS);
/// When it is given up from outside, whatever the client of HTTP is doing.
const GUARD_TIME: Duration =
    Duration::from_millis(limits::USAGE_PROVIDER_MS + limits::USAGE_PROVIDER_GUARD_MS);

/// Asks providers for their quotas, and keeps the last answer for a moment.
pub struct Quotas {
    /// At most one for each [`Service`].
    asked: Vec<Asked>,
    /// Held while providers are asked, so that many who want to know at once are one question.
    last: Mutex<Option<Arc<UsageStatusResult>>>,
}

/// A provider that is asked. Not to be printed: it holds a secret.
struct Asked {
    service: Service,
    url: Url,
    headers: HeaderMap,
    client: Client,
}

/// Why a provider did not tell. The text is for people; of an answer it holds no more than its status.
#[derive(Debug, thiserror::Error)]
enum Silent {
    #[error("{}", texts::USAGE_TIMEOUT)]
    Late,
    #[error("{0}")]
    Unreachable(String),
    #[error("HTTP {0}")]
    Refused(u16),
    #[error("the answer is larger than {MAX_ANSWER} bytes")]
    TooLarge,
    #[error("the answer cannot be understood")]
    Garbage,
}

impl Quotas {
    /// Of the configured providers that tell, those with credentials.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let services = Service::ALL.into_iter();
        Self {
            asked: services
                .filter_map(|service| Asked::new(service, config))
                .collect(),
            last: Mutex::new(None),
        }
    }

    /// What the providers say, at `now_ms`. Asks all of them at once and waits for [`GUARD_TIME`] at most.
    pub async fn status(&self, now_ms: u64) -> Arc<UsageStatusResult> {
        let mut last = self.last.lock().await;
        let is_fresh = |known: &&Arc<UsageStatusResult>| {
            let age = now_ms.checked_sub(known.updated_at);
            age.is_some_and(|age| age < limits::USAGE_STATUS_CACHE_MS)
        };
        if let Some(known) = last.as_ref().filter(is_fresh) {
            return Arc::clone(known);
        }
        let providers = join_all(self.asked.iter().map(Asked::status)).await;
        let fresh = Arc::new(UsageStatusResult::new(now_ms, providers));
        *last = Some(Arc::clone(&fresh));
        fresh
    }
}

impl Asked {
    /// None if the provider is not configured, has no fitting credentials, or cannot be reached as it is configured; who
    /// talks to its models is told the latter.
    fn new(service: Service, config: &Config) -> Option<Self> {
        let provider = config.models.providers.get(service.provider())?;
        let key = provider.api_key.as_ref().map(|key| key.expose().trim());
        let key = key.filter(|key| !key.is_empty() && service.takes(provider.auth))?;
        let url = service.url(&Url::parse(&provider.base_url).ok()?)?;
        let mut headers = service.headers();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let mut bearer = HeaderValue::from_str(&format!("Bearer {key}")).ok()?;
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
        Some(Self {
            service,
            client: client(&url, PROVIDER_TIME).ok()?,
            url,
            headers,
        })
    }

    async fn status(&self) -> UsageProvider {
        let told = timeout(GUARD_TIME, self.ask()).await;
        let (name, shown) = (self.service.provider(), self.service.shown());
        let mut status = UsageProvider::new(name.to_owned(), shown.to_owned(), Vec::new());
        match told.unwrap_or(Err(Silent::Late)) {
            Ok(Told { windows, plan }) => {
                status.windows = windows;
                status.plan = plan;
            }
            Err(error) => {
                tracing::info!(provider = name, %error, "quotas were not told");
                status.error = Some(error.to_string());
            }
        }
        status
    }

    async fn ask(&self) -> Result<Told, Silent> {
        let call = self
            .client
            .get(self.url.clone())
            .headers(self.headers.clone())
            .timeout(PROVIDER_TIME);
        let failed = |error: reqwest::Error| {
            if error.is_timeout() {
                Silent::Late
            } else {
                Silent::Unreachable(root_cause(&error))
            }
        };
        let mut response = call.send().await.map_err(failed)?;
        if !response.status().is_success() {
            return Err(Silent::Refused(response.status().as_u16()));
        }
        let mut answer = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(failed)? {
            if answer.len() + piece.len() > MAX_ANSWER {
                return Err(Silent::TooLarge);
            }
            answer.extend_from_slice(&piece);
        }
        self.service.read(&answer).ok_or(Silent::Garbage)
    }
}

#[cfg(test)]
mod tests;
