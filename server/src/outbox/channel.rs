//! What a channel is to the outbox: something that takes a parcel, says so, or says why not.

use std::time::Duration;

use openclaw_protocol::rt::BoxFuture;
use serde::{Deserialize, Serialize};

/// A way to people. The outbox calls [`Channel::send`] for one parcel of an address at a time.
pub trait Channel: Send + Sync + 'static {
    /// Name on the wire, in lower case.
    fn name(&self) -> &'static str;

    /// Does it know polls?
    fn has_polls(&self) -> bool;

    /// Does sending a parcel of the same [`Parcel::id`] twice deliver once? Only then is a parcel sent again whose fate is
    /// not known.
    fn deduplicates(&self) -> bool;

    /// The address in the channel's own form.
    ///
    /// # Errors
    /// Why it is none, for the client.
    fn resolve(&self, to: &str) -> Result<String, String>;

    /// Sends a parcel.
    fn send(&self, parcel: Parcel) -> BoxFuture<'static, Result<Receipt, Fault>>;
}

/// What is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Parcel {
    /// Names the delivery, the same in every attempt.
    pub id: String,
    /// Resolved address.
    pub to: String,
    /// Account of ours that sends; the channel's default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    /// What is in it.
    pub content: Content,
}

/// What is in a parcel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Content {
    /// Words, with or without files.
    Message {
        /// The words.
        text: String,
        /// Addresses of pictures and files.
        media: Vec<String>,
        /// Show a video as a moving picture.
        gif: bool,
    },
    /// A question with answers to choose from.
    Poll {
        /// The question.
        question: String,
        /// The answers.
        options: Vec<String>,
        /// Answers one person may choose.
        max_selections: u64,
        /// How long it is open; the channel's default when absent.
        duration_hours: Option<u64>,
    },
}

/// What a channel says of a parcel that it has taken. Which members there are depends on the channel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Receipt {
    /// The message's name on the channel.
    pub message_id: String,
    /// Chat it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat_id: Option<String>,
    /// Room it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel_id: Option<String>,
    /// WhatsApp address it went to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_jid: Option<String>,
    /// Conversation it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<String>,
    /// A poll's own name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub poll_id: Option<String>,
}

/// Why a channel has not taken a parcel. The texts are for the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It never will.
    #[error("{0}")]
    Refused(String),
    /// It may later.
    #[error("{problem}")]
    Later {
        /// What is wrong.
        problem: String,
        /// When the service wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// It may have taken it: the connection broke before it said so.
    #[error("{0}")]
    Unknown(String),
}
