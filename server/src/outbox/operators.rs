//! What operators see of deliveries, and what they can do about one: `outbox.list`, `outbox.get`, `outbox.retry`,
//! `outbox.cancel`.

use std::sync::Arc;

use openclaw_protocol::protocol::{ErrorCode, errors, limits};
use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::types::{
    ErrorShape, OutboxCancelParams, OutboxDelivery, OutboxGetParams, OutboxGetResult,
    OutboxListParams, OutboxListResult, OutboxRetryParams,
};

use super::Outbox;
use super::channel::{Channel, Content};
use super::delivery::{Draft, Full};
use super::live::{IsSending, Live};
use super::record::{self, DeliveryKey, Record, State};
use crate::methods::unreadable;
use crate::text::shortened;

/// A cancelled delivery whose end could not be written.
const CANCEL_UNWRITTEN: &str =
    "the gateway's store failed: the message is not sent now, but a restart may send it";

/// A delivery that has its place again: what is delivered, by what, and its life from now on.
type Place = (Record, Arc<dyn Channel>, Arc<Live>);

impl Outbox {
    /// `outbox.list`: a page of deliveries, the newest first. Reads all of them; callers on the I/O thread put it aside.
    ///
    /// # Errors
    /// `UNAVAILABLE` if the store fails.
    pub fn list(&self, params: &OutboxListParams) -> Result<OutboxListResult, ErrorShape> {
        let wanted = params.limit.unwrap_or(limits::OUTBOX_LIST_DEFAULT);
        let most = limit(wanted.min(limits::OUTBOX_LIST_MAX));
        let channel = params.channel.as_deref().map(str::trim);
        let mut found: Vec<OutboxDelivery> = Vec::new();
        let read = self.inner.parts.sessions.read(|reader| {
            record::visit(reader, |record| {
                let is_before = params.before.is_none_or(|before| record.number < before);
                let is_through =
                    channel.is_none_or(|channel| record.channel.eq_ignore_ascii_case(channel));
                if !is_before || !is_through {
                    return;
                }
                let delivery = self.shown(&record);
                if params.state.is_none_or(|state| delivery.state == state) {
                    found.push(delivery);
                }
            })
        });
        read.map_err(|error| unreadable(&error))?;
        found.sort_by_key(|delivery| std::cmp::Reverse(delivery.number));
        let has_more = found.len() > most;
        found.truncate(most);
        let last = found.last().map(|delivery| delivery.number);
        Ok(OutboxListResult {
            next_before: last.filter(|_| has_more),
            ..OutboxListResult::new(self.now(), found)
        })
    }

    /// `outbox.get`: one delivery with what is in it.
    ///
    /// # Errors
    /// `INVALID_REQUEST` if none or several are meant, `UNAVAILABLE` if the store fails.
    pub fn get(&self, params: &OutboxGetParams) -> Result<OutboxGetResult, ErrorShape> {
        let record = self.find(&params.id)?;
        let delivery = self.shown(&record);
        let result = |text| OutboxGetResult::new(self.now(), delivery, text);
        Ok(match record.parcel.content {
            Content::Message { text, media, .. } => OutboxGetResult {
                media_urls: Some(media).filter(|media| !media.is_empty()),
                ..result(text)
            },
            Content::Poll {
                question,
                options,
                max_selections,
                duration_hours,
            } => OutboxGetResult {
                options: Some(options),
                max_selections: Some(max_selections),
                duration_hours,
                ..result(question)
            },
        })
    }

    /// `outbox.retry`: tries a delivery again now. What was failed or unknown is queued on disk when this returns.
    ///
    /// # Errors
    /// `INVALID_REQUEST` if none or several are meant, if it is being sent or over for good, if it may have arrived and the
    /// caller minds, or if its channel is gone; `UNAVAILABLE` if there is no room or the store fails.
    pub async fn retry(&self, params: OutboxRetryParams) -> Result<OutboxDelivery, ErrorShape> {
        let may_duplicate = params.may_duplicate.unwrap_or(false);
        let found = self.find(&params.id)?;
        let key = DeliveryKey::of_record(&found);
        let Some(place) = self.take_again(&key, may_duplicate)? else {
            return Ok(self.shown(&found));
        };
        let shown = self.shown(&place.0);
        // A task of its own, so that it is finished even when the caller goes away.
        let kept = Draft::of(self.clone(), place).keep();
        match self.inner.parts.work.spawn(kept).await {
            Ok(Ok(())) => Ok(shown),
            Ok(Err(error)) => Err(unreadable(&error)),
            Err(_) => Err(errors::INTERNAL_ERROR.error()),
        }
    }

    /// `outbox.cancel`: ends a queued delivery. The end is on disk when this returns.
    ///
    /// # Errors
    /// `INVALID_REQUEST` if none or several are meant, if it is being sent or over; `UNAVAILABLE` if the store fails.
    pub async fn cancel(&self, params: OutboxCancelParams) -> Result<OutboxDelivery, ErrorShape> {
        let found = self.find(&params.id)?;
        let key = DeliveryKey::of_record(&found);
        let live = self.active().deliveries.get(&key).cloned();
        let Some(live) = live else {
            let state = found.standing().word();
            return Err(errors::OUTBOX_NOT_CANCELLABLE.with(&[("state", state.as_str())]));
        };
        live.cancel().map_err(IsSending::shape)?;
        live.ended().await;
        match self.find(key.id())? {
            ended if ended.state == State::Cancelled => Ok(self.shown(&ended)),
            _ => Err(ErrorCode::Unavailable.error(CANCEL_UNWRITTEN)),
        }
    }

    /// Takes a place for another try of a delivery that is over; none if it is under way and goes on at once.
    fn take_again(
        &self,
        key: &DeliveryKey,
        may_duplicate: bool,
    ) -> Result<Option<Place>, ErrorShape> {
        // Held while the record is read: nobody else can begin or end the delivery meanwhile.
        let mut active = self.active();
        if let Some(live) = active.deliveries.get(key) {
            live.hurry().map_err(IsSending::shape)?;
            return Ok(None);
        }
        let mut record = self.find(key.id())?;
        match record.standing() {
            State::Failed(problem) => record.problem = Some(problem),
            State::Unknown(problem) if may_duplicate => record.problem = Some(problem),
            State::Unknown(_) => return Err(errors::OUTBOX_MAY_DUPLICATE.error()),
            other => {
                let state = other.word();
                return Err(errors::OUTBOX_NOT_RETRIABLE.with(&[("state", state.as_str())]));
            }
        }
        let channel = self.channel(&record.channel).ok_or_else(|| {
            errors::SEND_UNSUPPORTED_CHANNEL.with(&[("channel", &record.channel)])
        })?;
        let live = Live::new(&record.channel);
        active.enter(key, &live).map_err(Full::shape)?;
        record.state = State::Queued;
        record.attempts = 0;
        record.changed_at = self.now();
        Ok(Some((record, channel, live)))
    }

    /// The delivery whose id begins so.
    fn find(&self, id: &str) -> Result<Record, ErrorShape> {
        let sessions = &self.inner.parts.sessions;
        let found = sessions.read(|reader| record::beginning(reader, &id.to_ascii_lowercase()));
        let mut found = found.map_err(|error| unreadable(&error))?.into_iter();
        match (found.next(), found.next()) {
            (Some(record), None) => Ok(record),
            (Some(_), Some(_)) => Err(errors::OUTBOX_AMBIGUOUS.with(&[("id", id)])),
            (None, _) => Err(errors::OUTBOX_UNKNOWN.with(&[("id", id)])),
        }
    }

    /// A delivery as operators see it.
    fn shown(&self, record: &Record) -> OutboxDelivery {
        let key = DeliveryKey::of_record(record);
        let state = match self.active().deliveries.contains_key(&key) {
            true => record.state.clone(),
            false => record.standing(),
        };
        let words = match &record.parcel.content {
            Content::Message { text, .. } => text,
            Content::Poll { question, .. } => question,
        };
        let mut shown = OutboxDelivery::new(
            NonEmptyString::or(key.id(), "-"),
            record.number,
            record.origin,
            record.channel.clone(),
            record.parcel.to.clone(),
            state.word(),
            record.attempts.into(),
            record.queued_at,
            record.changed_at,
            shortened(words, limit(limits::OUTBOX_PREVIEW_CHARS)),
        );
        shown.account_id.clone_from(&record.parcel.account_id);
        shown.session_key.clone_from(&record.session_key);
        let problem = match state {
            State::Sent(receipt) => {
                shown.message_id = Some(receipt.message_id);
                None
            }
            State::Failed(problem) | State::Unknown(problem) => Some(problem),
            State::Queued | State::Sending => record.problem.clone(),
            State::Cancelled => None,
        };
        shown.problem =
            problem.map(|problem| shortened(&problem, limit(limits::OUTBOX_PROBLEM_CHARS)));
        shown
    }
}

impl IsSending {
    fn shape(self) -> ErrorShape {
        errors::OUTBOX_SENDING.error()
    }
}

fn limit(chars: u64) -> usize {
    usize::try_from(chars).unwrap_or(usize::MAX)
}
