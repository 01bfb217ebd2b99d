//! `send` and `poll`: from params to a delivery, and from its end to an answer (contract 6.5).

use openclaw_protocol::protocol::{errors, limits, texts};
use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::types::{
    ErrorShape, OutboxOrigin, PollParams, PollResult, SendParams, SendResult,
};

use super::Outbox;
use super::channel::{Channel, Content, Parcel, Receipt};
use super::delivery::{Ask, Full, Outcome};
use super::record::DeliveryKey;
use crate::methods::unreadable;

impl Outbox {
    /// `send`: sends a message and waits until its channel has it.
    ///
    /// # Errors
    /// The refusals of contract 6.5; `UNAVAILABLE` with the channel's words when it was not delivered.
    pub async fn send(&self, params: SendParams) -> Result<SendResult, ErrorShape> {
        let run_id = params.idempotency_key;
        let key = DeliveryKey::new(OutboxOrigin::Send, &run_id);
        let media = params
            .media_url
            .into_iter()
            .chain(params.media_urls.into_iter().flatten());
        let content = Content::Message {
            text: params.message.into(),
            media: media.filter(|url| !url.trim().is_empty()).collect(),
            gif: params.gif_playback.unwrap_or(false),
        };
        let outcome = match self.known(&key).map_err(|error| unreadable(&error))? {
            Some(known) => known.outcome().await,
            None => {
                let name = shown(params.channel.as_deref());
                let channel = self
                    .channel(name)
                    .ok_or_else(|| errors::SEND_UNSUPPORTED_CHANNEL.with(&[("channel", name)]))?;
                let parcel = parcel(&*channel, &key, &params.to, params.account_id, content)?;
                let session_key = params.session_key.filter(|key| !key.trim().is_empty());
                self.deliver(Ask {
                    origin: OutboxOrigin::Send,
                    key,
                    channel,
                    parcel,
                    session_key,
                })
                .await
                .map_err(Full::shape)?
            }
        };
        let (channel, receipt) = told(outcome)?;
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
        let key = DeliveryKey::new(OutboxOrigin::Poll, &run_id);
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
        let outcome = match self.known(&key).map_err(|error| unreadable(&error))? {
            Some(known) => known.outcome().await,
            None => {
                let name = shown(params.channel.as_deref());
                let channel = self.channel(name).filter(|channel| channel.has_polls());
                let channel = channel
                    .ok_or_else(|| errors::POLL_UNSUPPORTED_CHANNEL.with(&[("channel", name)]))?;
                let parcel = parcel(&*channel, &key, &params.to, params.account_id, content)?;
                self.deliver(Ask {
                    origin: OutboxOrigin::Poll,
                    key,
                    channel,
                    parcel,
                    session_key: None,
                })
                .await
                .map_err(Full::shape)?
            }
        };
        let (channel, receipt) = told(outcome)?;
        Ok(PollResult {
            to_jid: receipt.to_jid,
            channel_id: receipt.channel_id,
            conversation_id: receipt.conversation_id,
            poll_id: receipt.poll_id,
            ..PollResult::new(run_id, receipt.message_id, channel)
        })
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

/// What the caller is told of an end.
fn told(outcome: Outcome) -> Result<(NonEmptyString, Receipt), ErrorShape> {
    let channel = NonEmptyString::or(outcome.channel.clone(), "unknown");
    let receipt = outcome.receipt();
    receipt
        .map(|receipt| (channel, receipt))
        .map_err(|problem| errors::MESSAGING_FAILED.with(&[("problem", &problem)]))
}
