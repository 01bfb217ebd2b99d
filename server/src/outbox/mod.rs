//! The outbox: what the gateway sends to people (contract 6.4, 6.5; odds 12, 13; field pains P19, P20).
//!
//! A delivery is on disk before it is acknowledged, and its state is on disk before each attempt. After a crash what
//! waited is sent, and what was being sent is sent again only where the channel can tell that it has it already;
//! elsewhere it ends as unknown, never twice in silence. Deliveries to one address keep their order and hold up no others.
//!
//! Called by `methods/messaging.rs`; built once by the gateway with the [`Channel`]s that there are.

pub mod channel;
mod record;
mod retry;
#[cfg(test)]
mod tests;
mod webchat;

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use openclaw_protocol::protocol::{ErrorCode, errors, limits, texts};
use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::types::{ErrorShape, PollParams, PollResult, SendParams, SendResult};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use crate::clock::Clock;
use crate::sessions::{Entry, Sessions};
use crate::store::StoreError;
use channel::{Channel, Content, Fault, Parcel, Receipt};
use record::{DeliveryKey, Record, Space, State};
use retry::Next;

pub use webchat::WebChat;

/// Deliveries that are not over, all channels together: each holds its parcel and a task.
const MAX_ACTIVE: usize = 512;

/// Deliveries that are over and still known; the oldest go first.
const MAX_KEPT: usize = limits::DEDUPE_MAX as usize;

/// How long a delivery that failed, or may have, is kept: long enough for somebody to ask where a message went.
const KEPT_MS: u64 = 7 * 24 * 3_600_000;

/// What a delivery without a known end is said to be.
const RESTARTED: &str = "the gateway was stopped while the message was being sent; whether it arrived is unknown, and it is not sent again";

/// The outbox of a gateway. Clones share it.
#[derive(Clone)]
pub struct Outbox {
    inner: Arc<Inner>,
}

/// What the outbox needs of the rest of the gateway.
pub struct OutboxParts {
    /// The store, and transcripts that note what was sent.
    pub sessions: Sessions,
    /// Wall clock, for stamps.
    pub clock: Arc<dyn Clock>,
    /// Runtime that carries deliveries.
    pub work: Handle,
    /// The channels that there are.
    pub channels: Vec<Arc<dyn Channel>>,
}

struct Inner {
    parts: OutboxParts,
    active: Mutex<Active>,
}

#[derive(Default)]
struct Active {
    deliveries: HashMap<DeliveryKey, Arc<Live>>,
    /// Whose turn it is at each address.
    lanes: HashMap<String, Weak<tokio::sync::Mutex<()>>>,
    /// Number of the next delivery.
    number: u64,
}

/// A delivery that is not over, or has just ended.
struct Live {
    channel: String,
    end: watch::Sender<Option<End>>,
}

/// What its callers are told.
#[derive(Debug, Clone)]
enum End {
    /// It is over in this state.
    Over(State),
    /// It could not be recorded and never was.
    Unrecorded,
}

/// A delivery that a request asks for.
struct Ask {
    space: Space,
    key: DeliveryKey,
    channel: Arc<dyn Channel>,
    parcel: Parcel,
    session_key: Option<String>,
}

impl Outbox {
    /// The outbox, taking up what a former process left. Sweeps for as long as there is a clone.
    ///
    /// # Errors
    /// Whatever the store says.
    pub async fn open(parts: OutboxParts) -> Result<Self, StoreError> {
        let left = parts.sessions.read(record::all)?;
        let number = left.last().map_or(0, |record| record.number + 1);
        let work = parts.work.clone();
        let outbox = Self {
            inner: Arc::new(Inner {
                parts,
                active: Mutex::new(Active {
                    number,
                    ..Active::default()
                }),
            }),
        };
        for record in left.into_iter().filter(|record| !record.state.is_over()) {
            outbox.take_up(record).await?;
        }
        work.spawn(sweep_regularly(Arc::downgrade(&outbox.inner)));
        Ok(outbox)
    }

    /// `send`: sends a message and waits until its channel has it.
    ///
    /// # Errors
    /// The refusals of contract 6.5; `UNAVAILABLE` with the channel's words when it was not delivered.
    pub async fn send(&self, params: SendParams) -> Result<SendResult, ErrorShape> {
        let run_id = params.idempotency_key;
        let key = DeliveryKey::new(Space::Send, &run_id);
        let media = params
            .media_url
            .into_iter()
            .chain(params.media_urls.into_iter().flatten());
        let content = Content::Message {
            text: params.message.into(),
            media: media.filter(|url| !url.trim().is_empty()).collect(),
            gif: params.gif_playback.unwrap_or(false),
        };
        let (channel, receipt) = match self.known(&key)? {
            Some(known) => self.told(known).await?,
            None => {
                let name = params.channel.as_deref();
                let channel = self.channel(name).ok_or_else(|| {
                    errors::SEND_UNSUPPORTED_CHANNEL.with(&[("channel", shown(name))])
                })?;
                let parcel = parcel(&*channel, &key, &params.to, params.account_id, content)?;
                let session_key = params.session_key.filter(|key| !key.trim().is_empty());
                self.deliver(Ask {
                    space: Space::Send,
                    key,
                    channel,
                    parcel,
                    session_key,
                })
                .await?
            }
        };
        Ok(SendResult {
            chat_id: receipt.chat_id,
            channel_id: receipt.channel_id,
            to_jid: receipt.to_jid,
            conversation_id: receipt.conversation_id,
            ..SendResult::new(run_id, receipt.message_id, channel)
        })
    }

    /// `poll`: sends a poll and waits until its channel has it. A repeat joins the first (odd 13).
    ///
    /// # Errors
    /// As [`Outbox::send`].
    pub async fn poll(&self, params: PollParams) -> Result<PollResult, ErrorShape> {
        let run_id = params.idempotency_key;
        let key = DeliveryKey::new(Space::Poll, &run_id);
        let options: Vec<String> = params.options.into_iter().map(String::from).collect();
        let selections = params
            .max_selections
            .unwrap_or(limits::POLL_SELECTIONS_DEFAULT);
        let content = Content::Poll {
            question: params.question.into(),
            max_selections: selections.min(options.len() as u64),
            options,
            duration_hours: params.duration_hours,
        };
        let (channel, receipt) = match self.known(&key)? {
            Some(known) => self.told(known).await?,
            None => {
                let name = params.channel.as_deref();
                let channel = self.channel(name).filter(|channel| channel.has_polls());
                let channel = channel.ok_or_else(|| {
                    errors::POLL_UNSUPPORTED_CHANNEL.with(&[("channel", shown(name))])
                })?;
                let parcel = parcel(&*channel, &key, &params.to, params.account_id, content)?;
                self.deliver(Ask {
                    space: Space::Poll,
                    key,
                    channel,
                    parcel,
                    session_key: None,
                })
                .await?
            }
        };
        Ok(PollResult {
            to_jid: receipt.to_jid,
            channel_id: receipt.channel_id,
            conversation_id: receipt.conversation_id,
            poll_id: receipt.poll_id,
            ..PollResult::new(run_id, receipt.message_id, channel)
        })
    }

    fn channel(&self, name: Option<&str>) -> Option<Arc<dyn Channel>> {
        let name = shown(name).trim().to_lowercase();
        let channels = &self.inner.parts.channels;
        channels
            .iter()
            .find(|channel| channel.name() == name)
            .cloned()
    }

    /// The delivery of a key, if it is known.
    fn known(&self, key: &DeliveryKey) -> Result<Option<Known>, ErrorShape> {
        let active = self.active();
        if let Some(live) = active.deliveries.get(key) {
            return Ok(Some(Known::Live(Arc::clone(live))));
        }
        let stored = self
            .inner
            .parts
            .sessions
            .read(|reader| Record::get(reader, key));
        let stored = stored.map_err(|error| crate::methods::unreadable(&error))?;
        let now = self.inner.parts.clock.now_ms();
        Ok(stored
            .filter(|record| record.is_remembered(now))
            .map(|record| Known::Stored(Box::new(record))))
    }

    async fn told(&self, known: Known) -> Result<(NonEmptyString, Receipt), ErrorShape> {
        let (channel, end) = match known {
            Known::Stored(record) => {
                // Neither over nor under way: its end could not be written.
                let state = match record.state {
                    over if over.is_over() => over,
                    _ => State::Unknown(RESTARTED.to_owned()),
                };
                (record.channel, End::Over(state))
            }
            Known::Live(live) => {
                let mut end = live.end.subscribe();
                let ended = end.wait_for(Option::is_some).await.map(|end| end.clone());
                // The sender lives as long as the delivery.
                (
                    live.channel.clone(),
                    ended.ok().flatten().unwrap_or(End::Unrecorded),
                )
            }
        };
        match end {
            End::Over(State::Sent(receipt)) => {
                Ok((NonEmptyString::or(channel, "unknown"), receipt))
            }
            End::Over(State::Failed(problem) | State::Unknown(problem)) => {
                Err(errors::MESSAGING_FAILED.with(&[("problem", &problem)]))
            }
            End::Over(State::Queued | State::Sending) | End::Unrecorded => {
                Err(ErrorCode::Unavailable
                    .error("the message could not be recorded; nothing was sent"))
            }
        }
    }

    async fn deliver(&self, ask: Ask) -> Result<(NonEmptyString, Receipt), ErrorShape> {
        let live = Arc::new(Live {
            channel: ask.channel.name().to_owned(),
            end: watch::Sender::new(None),
        });
        let number = match self.enter(&ask.key, &live)? {
            Entered::New(number) => number,
            Entered::Known(live) => return self.told(Known::Live(live)).await,
        };
        let now = self.inner.parts.clock.now_ms();
        let record = Record {
            space: ask.space,
            channel: live.channel.clone(),
            parcel: ask.parcel,
            session_key: ask.session_key,
            state: State::Queued,
            attempts: 0,
            number,
            queued_at: now,
            changed_at: now,
        };
        // Taken here, so that deliveries to one address are in the order of their requests.
        let lane = self.lane(&record);
        let turn = lane.lock_owned();
        let (outbox, told, channel, key) = (self.clone(), Arc::clone(&live), ask.channel, ask.key);
        // On the work runtime: a caller who goes away stops nothing.
        self.inner.parts.work.spawn(async move {
            if let Err(error) = outbox.write(&record).await {
                tracing::error!(%error, "a message could not be recorded");
                outbox.active().deliveries.remove(&key);
                told.end.send_replace(Some(End::Unrecorded));
                return;
            }
            let _turn = turn.await;
            outbox.carry(record, &*channel, &key, &told).await;
        });
        self.told(Known::Live(live)).await
    }

    /// Takes a place for a new delivery, unless another request with its key was faster.
    fn enter(&self, key: &DeliveryKey, live: &Arc<Live>) -> Result<Entered, ErrorShape> {
        let mut active = self.active();
        if let Some(live) = active.deliveries.get(key) {
            return Ok(Entered::Known(Arc::clone(live)));
        }
        if active.deliveries.len() >= MAX_ACTIVE {
            return Err(ErrorCode::Unavailable.error(format!(
                "too many messages are waiting to be sent (limit {MAX_ACTIVE}); try again later"
            )));
        }
        active.deliveries.insert(key.clone(), Arc::clone(live));
        active.number += 1;
        Ok(Entered::New(active.number))
    }

    /// Takes up what a former process left unfinished.
    async fn take_up(&self, mut record: Record) -> Result<(), StoreError> {
        let channel = self.channel(Some(&record.channel));
        let was_sending = record.state == State::Sending;
        let channel = match channel {
            Some(channel) if !was_sending || channel.deduplicates() => channel,
            other => {
                record.state = match (was_sending, other) {
                    (true, _) => State::Unknown(RESTARTED.to_owned()),
                    (false, _) => State::Failed(format!("unsupported channel: {}", record.channel)),
                };
                record.changed_at = self.inner.parts.clock.now_ms();
                return self.write(&record).await;
            }
        };
        let key = DeliveryKey::of_record(&record);
        let live = Arc::new(Live {
            channel: record.channel.clone(),
            end: watch::Sender::new(None),
        });
        self.active()
            .deliveries
            .insert(key.clone(), Arc::clone(&live));
        let turn = self.lane(&record).lock_owned();
        let outbox = self.clone();
        self.inner.parts.work.spawn(async move {
            let _turn = turn.await;
            outbox.carry(record, &*channel, &key, &live).await;
        });
        Ok(())
    }

    /// Carries a delivery to its end.
    async fn carry(
        &self,
        mut record: Record,
        channel: &dyn Channel,
        key: &DeliveryKey,
        live: &Live,
    ) {
        let state = loop {
            record.state = State::Sending;
            record.attempts += 1;
            if let Err(error) = self.write(&record).await {
                // Not sent without a note of it: after a crash nobody would know.
                tracing::error!(%error, "a message could not be sent because its state could not be written");
                break State::Unknown(
                    "the gateway's store failed; the message was not sent yet".to_owned(),
                );
            }
            let attempt = AssertUnwindSafe(channel.send(record.parcel.clone())).catch_unwind();
            let fault = match attempt.await {
                Ok(Ok(receipt)) => break State::Sent(receipt),
                Ok(Err(fault)) => fault,
                Err(_) => Fault::Unknown("the channel failed for an internal reason".to_owned()),
            };
            match retry::next(fault, record.attempts, channel.deduplicates()) {
                Next::Fail(problem) => break State::Failed(problem),
                Next::Unknown(problem) => break State::Unknown(problem),
                Next::Again(pause) => {
                    record.state = State::Queued;
                    if let Err(error) = self.write(&record).await {
                        tracing::warn!(%error, "the state of a message could not be written");
                    }
                    tokio::time::sleep(pause).await;
                }
            }
        };
        record.state = state;
        record.changed_at = self.inner.parts.clock.now_ms();
        if let Err(error) = self.conclude(&record).await {
            tracing::error!(%error, "the end of a delivery could not be written");
        }
        self.active().deliveries.remove(key);
        live.end.send_replace(Some(End::Over(record.state)));
    }

    async fn write(&self, record: &Record) -> Result<(), StoreError> {
        let record = record.clone();
        let sessions = &self.inner.parts.sessions;
        sessions
            .write(move |changes| record.put(changes.writer()))
            .await
    }

    /// Writes the end, and notes what was sent in the conversation that it belongs to.
    async fn conclude(&self, record: &Record) -> Result<(), StoreError> {
        let record = record.clone();
        let sessions = &self.inner.parts.sessions;
        let noted = record
            .session_key
            .as_deref()
            .filter(|_| matches!(record.state, State::Sent(_)) && record.channel != webchat::NAME);
        let session = noted.map(|key| sessions.key(key));
        let now = record.changed_at;
        sessions
            .write(move |changes| {
                record.put(changes.writer())?;
                let (Some(session), Content::Message { text, .. }) =
                    (session, &record.parcel.content)
                else {
                    return Ok(());
                };
                let mut entry = changes.entry(&session)?.unwrap_or_else(|| Entry::new(now));
                entry.touch(now);
                changes.append(&entry.session_id, &webchat::message(text, now))?;
                changes.put_entry(&session, &entry)
            })
            .await
    }

    /// Whose turn it is at a record's address.
    fn lane(&self, record: &Record) -> Arc<tokio::sync::Mutex<()>> {
        let account = record.parcel.account_id.as_deref().unwrap_or_default();
        let name = [&record.channel, account, &record.parcel.to].join("\0");
        let mut active = self.active();
        if let Some(lane) = active.lanes.get(&name).and_then(Weak::upgrade) {
            return lane;
        }
        // No more of them than deliveries.
        active.lanes.retain(|_, lane| lane.strong_count() > 0);
        let lane = Arc::default();
        active.lanes.insert(name, Arc::downgrade(&lane));
        lane
    }

    /// Forgets deliveries that are over for long enough.
    ///
    /// # Errors
    /// Whatever the store says.
    pub async fn sweep(&self) -> Result<(), StoreError> {
        let now = self.inner.parts.clock.now_ms();
        let sessions = &self.inner.parts.sessions;
        sessions
            .write(move |changes| {
                let mut over = record::all(&changes.writer().reader())?;
                over.retain(|record| record.state.is_over());
                let surplus = over.len().saturating_sub(MAX_KEPT);
                for (index, record) in over.iter().enumerate() {
                    if index < surplus || !record.is_kept(now) {
                        record::delete(changes.writer(), &record.parcel.id)?;
                    }
                }
                Ok(())
            })
            .await
    }

    fn active(&self) -> MutexGuard<'_, Active> {
        self.inner
            .active
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// What became of a request for a place.
enum Entered {
    New(u64),
    Known(Arc<Live>),
}

/// A delivery whose key was used before.
enum Known {
    Live(Arc<Live>),
    Stored(Box<Record>),
}

impl Record {
    /// Does its key still bring back its outcome? What may have arrived is never sent again under its key.
    fn is_remembered(&self, now: u64) -> bool {
        let is_fresh = now.saturating_sub(self.changed_at) < limits::DEDUPE_TTL_MS;
        is_fresh || !self.state.is_over() || matches!(self.state, State::Unknown(_))
    }

    /// Is it still of interest?
    fn is_kept(&self, now: u64) -> bool {
        let limit = match self.state {
            State::Sent(_) => limits::DEDUPE_TTL_MS,
            _ => KEPT_MS,
        };
        now.saturating_sub(self.changed_at) < limit
    }
}

/// A channel's name as refusals quote it.
fn shown(name: Option<&str>) -> &str {
    name.filter(|name| !name.trim().is_empty())
        .unwrap_or(texts::DEFAULT_CHANNEL)
}

fn parcel(
    channel: &dyn Channel,
    key: &DeliveryKey,
    to: &str,
    account_id: Option<String>,
    content: Content,
) -> Result<Parcel, ErrorShape> {
    let to = channel.resolve(to);
    let to = to.map_err(|problem| errors::MESSAGING_BAD_TARGET.with(&[("problem", &problem)]))?;
    Ok(Parcel {
        id: key.id().to_owned(),
        to,
        account_id: account_id.filter(|id| !id.trim().is_empty()),
        content,
    })
}

async fn sweep_regularly(inner: Weak<Inner>) {
    let period = Duration::from_millis(limits::DEDUPE_SWEEP_MS);
    let mut beat = tokio::time::interval_at(Instant::now() + period, period);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beat.tick().await;
        let Some(inner) = inner.upgrade() else { return };
        if let Err(error) = (Outbox { inner }).sweep().await {
            tracing::warn!(%error, "old deliveries could not be removed");
        }
    }
}
