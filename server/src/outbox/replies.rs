//! What runs of agents say to people: replies of jobs, heartbeats and hooks, and what the tool `message` sends.
//!
//! A reply's key comes from its run, so that it is delivered once however often it is asked for. Where it goes is what was
//! asked for, and for the rest what its conversation remembers of the last message. Words for a conversation over this
//! protocol are read there anyway; only one that is named gets them as a message.

use openclaw_protocol::types::OutboxOrigin;

use super::channel::{Content, Parcel};
use super::delivery::{Ask, Full};
use super::record::DeliveryKey;
use super::{Outbox, webchat};
use crate::agent::LAST_CHANNEL;
use crate::sessions::{Entry, SessionKey};
use crate::store::StoreError;
use crate::text::given;

/// Where a reply is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    /// Channel; the one that was used last when absent, blank or `last`.
    pub channel: Option<String>,
    /// Address, as the channel writes them; that of the last message when absent or blank.
    pub to: Option<String>,
}

/// A reply that is to go out.
#[derive(Debug, Clone)]
pub struct Reply<'a> {
    /// What asks for it.
    pub origin: OutboxOrigin,
    /// Names it among those of its origin; the same for the same run.
    pub key: String,
    /// Where it is wanted.
    pub wish: Wish,
    /// The conversation whose last message says what the wish leaves open.
    pub session: &'a SessionKey,
    /// The words.
    pub text: String,
    /// Addresses of pictures and files.
    pub media: Vec<String>,
}

/// What became of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replied {
    /// Its channel has it.
    Sent {
        /// The channel.
        channel: String,
        /// The address in the channel's own form.
        to: String,
        /// The message's name on the channel.
        message_id: String,
    },
    /// Nothing was sent: the conversation itself is where it is read.
    Here,
}

/// Why a reply was not sent. The texts are for clients.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// Nobody has written through a channel yet.
    #[error("no channel is named, and none was used in the conversation yet")]
    NoChannel,
    /// Nobody has written through this one.
    #[error("no address is named, and the conversation knows none for channel {0}")]
    NoAddress(String),
    /// There is no such channel, or it is not set up.
    #[error("unsupported channel: {0}")]
    Unsupported(String),
    /// The channel cannot make an address of it; in its words.
    #[error("{0}")]
    BadAddress(String),
    /// It was tried and failed, or its outcome is unknown; in the channel's words.
    #[error("{0}")]
    Undelivered(String),
}

impl ReplyError {
    /// Whether there was nowhere to send it, which is no fault of a channel.
    #[must_use]
    pub fn is_nowhere(&self) -> bool {
        matches!(self, Self::NoChannel | Self::NoAddress(_))
    }
}

/// Where a reply goes.
#[derive(Debug, PartialEq, Eq)]
enum Route {
    To {
        channel: String,
        to: String,
        account_id: Option<String>,
    },
    Here,
}

impl Outbox {
    /// The names of the channels that there are.
    #[must_use]
    pub fn channels(&self) -> Vec<&'static str> {
        let channels = &self.inner.parts.channels;
        channels.iter().map(|channel| channel.name()).collect()
    }

    /// Sends a reply and waits until its channel has it. A key that was used is not sent again.
    ///
    /// # Errors
    /// See [`ReplyError`].
    pub async fn reply(&self, reply: Reply<'_>) -> Result<Replied, ReplyError> {
        let remembered = self.inner.parts.sessions.entry(reply.session);
        let remembered = remembered.map_err(|error| unrecorded(&error))?;
        let route = route(&reply.wish, remembered.as_ref()).map_err(|error| match error {
            ReplyError::NoAddress(channel) if self.channel(&channel).is_none() => {
                ReplyError::Unsupported(channel)
            }
            other => other,
        })?;
        let Route::To {
            channel,
            to,
            account_id,
        } = route
        else {
            return Ok(Replied::Here);
        };
        let known = self
            .channel(&channel)
            .ok_or(ReplyError::Unsupported(channel))?;
        let to = known.resolve(&to).map_err(ReplyError::BadAddress)?;
        let key = DeliveryKey::new(reply.origin, &reply.key);
        let outcome = match self.known(&key).map_err(|error| unrecorded(&error))? {
            Some(known) => known.outcome().await,
            None => {
                let parcel = Parcel {
                    id: key.id().to_owned(),
                    to: to.clone(),
                    account_id,
                    content: Content::Message {
                        text: reply.text,
                        media: reply.media,
                        gif: false,
                    },
                };
                let ask = Ask {
                    origin: reply.origin,
                    key,
                    channel: known,
                    parcel,
                    session_key: None,
                };
                let full = |full: Full| ReplyError::Undelivered(full.to_string());
                self.deliver(ask).await.map_err(full)?
            }
        };
        let channel = outcome.channel.clone();
        let receipt = outcome.receipt().map_err(ReplyError::Undelivered)?;
        Ok(Replied::Sent {
            channel,
            to,
            message_id: receipt.message_id,
        })
    }
}

fn unrecorded(error: &StoreError) -> ReplyError {
    tracing::error!(%error, "a reply could not be recorded");
    ReplyError::Undelivered("the reply could not be recorded; nothing was sent".to_owned())
}

fn route(wish: &Wish, entry: Option<&Entry>) -> Result<Route, ReplyError> {
    let last = entry.and_then(Entry::delivery).unwrap_or_default();
    let last_channel = given(last.channel.as_deref());
    let named =
        given(wish.channel.as_deref()).filter(|name| !name.eq_ignore_ascii_case(LAST_CHANNEL));
    let channel = match named.or_else(|| last_channel.clone()) {
        Some(channel) => channel,
        None => return Err(ReplyError::NoChannel),
    };
    let is_last = last_channel.is_some_and(|last| last.eq_ignore_ascii_case(&channel));
    if let Some(to) = given(wish.to.as_deref()) {
        return Ok(Route::To {
            channel,
            to,
            account_id: given(last.account_id.as_deref()).filter(|_| is_last),
        });
    }
    if channel.eq_ignore_ascii_case(webchat::NAME) {
        return Ok(Route::Here);
    }
    match given(last.to.as_deref()).filter(|_| is_last) {
        Some(to) => Ok(Route::To {
            channel,
            to,
            account_id: given(last.account_id.as_deref()),
        }),
        None => Err(ReplyError::NoAddress(channel)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[track_caller]
    fn check(wish: [&str; 2], entry: Value, expected: &str) {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let wish = Wish {
            channel: some(wish[0]),
            to: some(wish[1]),
        };
        let entry: Option<Entry> = serde_json::from_value(entry.clone()).unwrap();
        let shown = match route(&wish, entry.as_ref()) {
            Ok(Route::Here) => "here".to_owned(),
            Ok(Route::To {
                channel,
                to,
                account_id,
            }) => [channel, to, account_id.unwrap_or_default()].join(" "),
            Err(error) => error.to_string(),
        };
        assert_eq!(shown.trim(), expected, "{wish:?} {entry:?}");
    }

    #[test]
    fn where_replies_go() {
        let ann = json!({"lastChannel": "telegram", "lastTo": "7", "lastAccountId": "work"});
        let context = json!({"deliveryContext": {"channel": "slack", "to": "C1"}, "lastChannel": "telegram", "lastTo": "7"});
        let web = json!({"deliveryContext": {"channel": "webchat"}, "lastChannel": "webchat"});
        let nobody = "no channel is named, and none was used in the conversation yet";
        let no_address = "no address is named, and the conversation knows none for channel discord";
        check(["", ""], json!(null), nobody);
        check(["last", "7"], json!({}), nobody);
        check(["", ""], ann.clone(), "telegram 7 work");
        check([" LAST ", ""], ann.clone(), "telegram 7 work");
        check(["", "8"], ann.clone(), "telegram 8 work");
        check(["Telegram", ""], ann.clone(), "Telegram 7 work");
        check(["discord", ""], ann.clone(), no_address);
        check(["discord", " 9 "], ann.clone(), "discord 9");
        check(["", ""], context, "slack C1");
        check(["", ""], web.clone(), "here");
        check(["webchat", ""], ann, "here");
        check(["webchat", "main"], json!(null), "webchat main");
        check(["", "main"], web, "webchat main");
    }
}
