//! The client's handle, and the task behind it that keeps the connection.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use openclaw_protocol::types::HelloOk;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::{broadcast, oneshot, watch};
use tokio::time::{Instant, timeout_at};

use crate::config::{ClientConfig, Reconnect};
use crate::error::{CallError, ConnectError, Disconnect};
use crate::events::{Events, Notice};
use crate::handshake::establish;
use crate::link::{Link, Outgoing};
use crate::state::{Settled, Shared, Ticket};
use crate::wire;

/// A connection to a gateway that comes back when it is lost. Cheap to clone; when the last clone
/// is dropped the connection is closed.
///
/// Typed calls are the methods of
/// [`GatewayCalls`](openclaw_protocol::client::GatewayCalls). Calls do not wait for a lost
/// connection: they fail with [`CallError::NotConnected`], and those that were waiting for an
/// answer with [`CallError::Disconnected`].
#[derive(Debug, Clone)]
pub struct Client {
    handle: Arc<Handle>,
    call_timeout: Duration,
    final_timeout: Duration,
}

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    /// Becomes true when the client is to be closed.
    stop: watch::Sender<bool>,
    /// Closed when the task has ended.
    ended: watch::Receiver<()>,
    /// For the first consumer: the notices since hello-ok.
    first_events: Mutex<Option<broadcast::Receiver<Notice>>>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

/// The answers to a staged call as text, see [`Client::request_staged`].
pub struct Stages {
    /// Payload of the first response.
    pub first: Box<RawValue>,
    /// Payload of the second. It never comes when the first was final; dropping this is how to
    /// say so.
    pub last: BoxFuture<'static, Result<Box<RawValue>, CallError>>,
}

impl Client {
    /// Connects, which includes the handshake, and keeps the connection from then on as
    /// [`ClientConfig::reconnect`] says. A first attempt that fails is not repeated.
    ///
    /// Has to run inside a tokio runtime with time and I/O.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn connect(config: ClientConfig) -> Result<Self, ConnectError> {
        let link = establish(&config).await?;
        let (notices, first_events) = broadcast::channel(config.event_buffer.max(1));
        let shared = Shared::new(Arc::clone(&link.hello), notices);
        let (stop, stopping) = watch::channel(false);
        let (alive, ended) = watch::channel(());
        let (call_timeout, final_timeout) = (config.call_timeout, config.final_timeout);
        let (ready, is_ready) = oneshot::channel();
        let keeper = Keeper {
            config,
            shared: Arc::clone(&shared),
            stopping,
            _alive: alive,
        };
        tokio::spawn(keeper.run(link, ready));
        // Calls may be made as soon as the client is returned.
        let _ = is_ready.await;
        Ok(Self {
            handle: Arc::new(Handle {
                shared,
                stop,
                ended,
                first_events: Mutex::new(Some(first_events)),
            }),
            call_timeout,
            final_timeout,
        })
    }

    /// The hello of the present connection, or of the last one.
    #[must_use]
    pub fn hello(&self) -> Arc<HelloOk> {
        self.handle.shared.hello()
    }

    /// Whether calls can be made at this moment.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.handle.shared.is_connected()
    }

    /// The gateway's events and what happens to the connection. The first call gives everything
    /// since hello-ok, up to [`ClientConfig::event_buffer`]; each later one begins now. Call it
    /// before the requests whose events are wanted.
    #[must_use]
    pub fn events(&self) -> Events {
        let mut first = self
            .handle
            .first_events
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Events::new(
            first
                .take()
                .unwrap_or_else(|| self.handle.shared.subscribe()),
        )
    }

    /// The same client with another time limit for each call.
    #[must_use]
    pub fn with_call_timeout(&self, timeout: Duration) -> Self {
        Self {
            call_timeout: timeout,
            ..self.clone()
        }
    }

    /// The same client with another time limit for the second response of staged calls.
    #[must_use]
    pub fn with_final_timeout(&self, timeout: Duration) -> Self {
        Self {
            final_timeout: timeout,
            ..self.clone()
        }
    }

    /// Calls a method by name and gives the payload of the first response as JSON text, `null`
    /// when there is none.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn request<P>(&self, method: &str, params: &P) -> Result<Box<RawValue>, CallError>
    where
        P: Serialize + Sync + ?Sized,
    {
        let until = Instant::now() + self.call_timeout;
        let mut ticket = self.send(method, params, false, until).await?;
        let answer = timeout_at(until, &mut ticket.first).await;
        payload(answer, method, self.call_timeout)
    }

    /// Calls a method that answers in two stages. Gives the first payload as soon as it is there,
    /// and a future of the second; whether a second will come, the method's definition tells from
    /// the first. When the first response is an error, that is the result.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn request_staged<P>(&self, method: &str, params: &P) -> Result<Stages, CallError>
    where
        P: Serialize + Sync + ?Sized,
    {
        let until = Instant::now() + self.call_timeout;
        let mut ticket = self.send(method, params, true, until).await?;
        let answer = timeout_at(until, &mut ticket.first).await;
        let first = payload(answer, method, self.call_timeout)?;

        let (method, after) = (method.to_owned(), self.final_timeout);
        let until = Instant::now() + after;
        let last = Box::pin(async move {
            let answer = match &mut ticket.last {
                Some(last) => timeout_at(until, last).await,
                None => return Err(CallError::NotConnected),
            };
            payload(answer, &method, after)
        });
        Ok(Stages { first, last })
    }

    /// Closes the connection and waits until that is done. All clones are closed with it, calls
    /// that wait fail.
    pub async fn close(&self) {
        self.handle.stop.send_replace(true);
        let mut ended = self.handle.ended.clone();
        while ended.changed().await.is_ok() {}
    }

    async fn send<P>(
        &self,
        method: &str,
        params: &P,
        two_stage: bool,
        until: Instant,
    ) -> Result<Ticket, CallError>
    where
        P: Serialize + Sync + ?Sized,
    {
        let shared = &self.handle.shared;
        let (ticket, outbox) = shared.register(two_stage)?;
        let text =
            wire::request(&ticket.id, method, params).map_err(|source| CallError::BadParams {
                method: method.to_owned(),
                source,
            })?;
        let limit = shared.hello().policy.max_payload;
        if text.len() as u64 > limit {
            let size = text.len();
            return Err(CallError::TooBig { size, limit });
        }
        match timeout_at(until, outbox.send(Outgoing::Text(text))).await {
            Ok(Ok(())) => Ok(ticket),
            // The writer is gone and the connection about to be given up.
            Ok(Err(_)) => Err(CallError::NotConnected),
            Err(_) => Err(CallError::Timeout {
                method: method.to_owned(),
                after: self.call_timeout,
            }),
        }
    }
}

type Answer = Result<Result<Settled, oneshot::error::RecvError>, tokio::time::error::Elapsed>;

/// What a call makes of the answer it waited for.
fn payload(answer: Answer, method: &str, after: Duration) -> Result<Box<RawValue>, CallError> {
    let response = match answer {
        Ok(Ok(Ok(response))) => response,
        Ok(Ok(Err(cause))) => return Err(CallError::Disconnected(cause)),
        // The call's entry was dropped without an answer: the client is being torn down.
        Ok(Err(_)) => return Err(CallError::NotConnected),
        Err(_) => {
            return Err(CallError::Timeout {
                method: method.to_owned(),
                after,
            });
        }
    };
    match (response.ok, response.error) {
        (true, _) => Ok(response
            .payload
            .unwrap_or_else(|| RawValue::NULL.to_owned())),
        (false, Some(error)) => Err(CallError::Refused {
            error: Box::new(error),
            payload: response.payload,
        }),
        (false, None) => Err(CallError::BadAnswer {
            method: method.to_owned(),
            source: serde::de::Error::missing_field("error"),
        }),
    }
}

/// The task that serves the connection and brings it back.
struct Keeper {
    config: ClientConfig,
    shared: Arc<Shared>,
    stopping: watch::Receiver<bool>,
    /// Dropped with the task.
    _alive: watch::Sender<()>,
}

impl Keeper {
    async fn run(self, first: Link, ready: oneshot::Sender<()>) {
        self.keep(first, ready).await;
        self.shared.end();
    }

    async fn keep(&self, first: Link, ready: oneshot::Sender<()>) {
        let mut cause = first
            .serve(&self.shared, self.stopping.clone(), || {
                let _ = ready.send(());
            })
            .await;
        loop {
            tracing::info!(%cause, "disconnected from the gateway");
            self.shared.notify(Notice::Disconnected(cause.clone()));
            if cause == Disconnect::ByClient {
                return;
            }
            let Some(link) = self.reconnect().await else {
                return;
            };
            let hello = Arc::clone(&link.hello);
            cause = link
                .serve(&self.shared, self.stopping.clone(), || {
                    self.shared.notify(Notice::Reconnected(hello));
                })
                .await;
        }
    }

    /// Tries until there is a connection; `None` when there will be none.
    async fn reconnect(&self) -> Option<Link> {
        let (backoff, always) = match &self.config.reconnect {
            Reconnect::Never => return None,
            Reconnect::UnlessRefused(backoff) => (backoff, false),
            Reconnect::Always(backoff) => (backoff, true),
        };
        let mut stopping = self.stopping.clone();
        let attempts = async {
            let mut attempt = 0;
            loop {
                tokio::time::sleep(backoff.delay(attempt)).await;
                attempt = attempt.saturating_add(1);
                match establish(&self.config).await {
                    Ok(link) => return Some(link),
                    Err(error) if error.is_final() && !always => {
                        tracing::warn!(%error, "the gateway refuses to have this client back");
                        self.shared.notify(Notice::GaveUp(Arc::new(error)));
                        return None;
                    }
                    Err(error) => tracing::debug!(%error, attempt, "not reconnected yet"),
                }
            }
        };
        tokio::select! {
            link = attempts => link,
            _ = stopping.wait_for(|stop| *stop) => None,
        }
    }
}
