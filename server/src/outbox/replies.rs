//! What runs of agents say to people: replies of `agent`, jobs, heartbeats and hooks, and what the tool `message` sends.
//!
//! The reply of a run is written in the change that ends the run ([`Letter::put`]) and goes once that is on disk: a kill
//! between the two neither loses nor doubles it.
//!
//! A reply's key comes from its run, so that it is delivered once however often it is asked for. Where it goes is what was
//! asked for, and for the rest what its conversation remembers of the last message. Words for a conversation over this
//! protocol are read there anyway; only one that is named gets them as a message.

use openclaw_protocol::types::OutboxOrigin;
use serde::{Deserialize, Serialize};

use super::channel::{Content, Parcel};
use super::delivery::{Ask, Draft, Full, Known};
use super::letters::{Fate, Letter, Pending, Posted};
use super::record::{DeliveryKey, Record};
use super::{Outbox, webchat};
use crate::agent::LAST_CHANNEL;
use crate::sessions::Entry;
use crate::store::StoreError;
use crate::text::given;

/// Where a reply is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Wish {
    /// Channel; the one that was used last when absent, blank or `last`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Address, as the channel writes them; that of the last message when absent or blank.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Account of ours that sends; that of the last message when absent or blank.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
}

/// Where a reply goes and under which name, known before there are any words. Runs are stored with theirs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// What asks for it.
    pub origin: OutboxOrigin,
    /// Names it among those of its origin; the same for the same run.
    pub key: String,
    /// Where it is wanted.
    pub wish: Wish,
    /// Canonical key of the conversation whose last message says what the wish leaves open.
    pub session: String,
    /// Canonical key of the conversation in which the reply stands anyway: it is not sent there as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stands_in: Option<String>,
}

impl Order {
    fn delivery_key(&self) -> DeliveryKey {
        DeliveryKey::new(self.origin, &self.key)
    }
}

/// What is said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words {
    /// The words.
    pub text: String,
    /// Addresses of pictures and files.
    pub media: Vec<String>,
}

impl From<Words> for Content {
    fn from(Words { text, media }: Words) -> Self {
        Self::Message {
            text,
            media,
            gif: false,
        }
    }
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

    /// Whether there is a channel of this name, in any case.
    #[must_use]
    pub fn has_channel(&self, name: &str) -> bool {
        self.channel(name).is_some()
    }

    /// Sends a reply and waits until its channel has it. A key that was used is not sent again.
    ///
    /// # Errors
    /// See [`ReplyError`].
    pub async fn reply(&self, order: &Order, words: Words) -> Result<Replied, ReplyError> {
        let letter = self.prepare(order);
        let sessions = self.inner.parts.sessions.clone();
        // On the work runtime: a caller who goes away stops nothing.
        let sent = self.inner.parts.work.spawn(async move {
            let written = sessions.write(move |changes| letter.put(changes.writer(), words));
            written.await.map(Posted::send_off)
        });
        let sent = sent.await.unwrap_or(Err(StoreError::Closed));
        sent.map_err(|error| unrecorded(&error))?.outcome().await
    }

    /// Finds the way of a reply and takes a place for it.
    #[must_use]
    pub fn prepare(&self, order: &Order) -> Letter {
        let (draft, fate) = match self.way(order) {
            Ok((draft, fate)) => (draft, fate),
            Err(error) => (None, Fate::Refused(error)),
        };
        Letter {
            draft,
            pending: Pending(fate),
        }
    }

    fn way(&self, order: &Order) -> Result<(Option<Draft>, Fate), ReplyError> {
        let sessions = &self.inner.parts.sessions;
        let remembered = sessions.entry(&sessions.key(&order.session));
        let remembered = remembered.map_err(|error| unrecorded(&error))?;
        let route = route(&order.wish, remembered.as_ref()).map_err(|error| match error {
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
            return Ok((None, Fate::Here));
        };
        let known = self
            .channel(&channel)
            .ok_or(ReplyError::Unsupported(channel))?;
        let to = known.resolve(&to).map_err(ReplyError::BadAddress)?;
        if known.name() == webchat::NAME && order.stands_in.as_ref() == Some(&to) {
            return Ok((None, Fate::Here));
        }
        let key = order.delivery_key();
        if let Some(known) = self.known(&key).map_err(|error| unrecorded(&error))? {
            return Ok((None, Fate::Delivery { known, to }));
        }
        let parcel = Parcel {
            id: key.id().to_owned(),
            to: to.clone(),
            account_id,
            content: Words::default().into(),
        };
        let drafted = self.draft(Ask {
            origin: order.origin,
            key,
            channel: known,
            parcel,
            session_key: None,
        });
        let full = |full: Full| ReplyError::Undelivered(full.to_string());
        let (live, draft) = drafted.map_err(full)?;
        let known = Known::Live(live);
        Ok((draft, Fate::Delivery { known, to }))
    }

    /// What became, or becomes, of the reply that was sent for this order; none if there is none, or no more.
    ///
    /// # Errors
    /// Whatever the store says.
    pub fn remembered(&self, order: &Order) -> Result<Option<Pending>, StoreError> {
        let key = order.delivery_key();
        let known = self.known(&key)?;
        let stored = self
            .inner
            .parts
            .sessions
            .read(|reader| Record::get(reader, &key))?;
        Ok(known.zip(stored).map(|(known, record)| {
            let to = record.parcel.to;
            Pending(Fate::Delivery { known, to })
        }))
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
    let last_account = given(last.account_id.as_deref()).filter(|_| is_last);
    let account_id = given(wish.account_id.as_deref()).or(last_account);
    if let Some(to) = given(wish.to.as_deref()) {
        return Ok(Route::To {
            channel,
            to,
            account_id,
        });
    }
    if channel.eq_ignore_ascii_case(webchat::NAME) {
        return Ok(Route::Here);
    }
    match given(last.to.as_deref()).filter(|_| is_last) {
        Some(to) => Ok(Route::To {
            channel,
            to,
            account_id,
        }),
        None => Err(ReplyError::NoAddress(channel)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[track_caller]
    fn check<const N: usize>(wish: [&str; N], entry: Value, expected: &str) {
        let some = |at: usize| wish.get(at).filter(|text| !text.is_empty());
        let some = |at| some(at).map(|text| (*text).to_owned());
        let wish = Wish {
            channel: some(0),
            to: some(1),
            account_id: some(2),
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
        check(["", "", "home"], ann.clone(), "telegram 7 home");
        check(["discord", "9", "home"], ann.clone(), "discord 9 home");
        check(["webchat", ""], ann, "here");
        check(["webchat", "main"], json!(null), "webchat main");
        check(["", "main"], web, "webchat main");
    }
}
