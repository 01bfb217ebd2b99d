//! What the end of a run does beyond its own conversation: its reply goes to people, and another conversation is told of it.
//!
//! It is stored with the run from its acceptance and done in the change that ends the run, so a kill neither loses nor
//! doubles it. A run that a kill has cut has no reply to send; the other conversation is told that ([`super::recovery`]).
//!
//! Asked for by `agent` with `deliver`, and by jobs, heartbeats and hooks.

use openclaw_protocol::protocol::errors;
use openclaw_protocol::types::{AgentParams, OutboxOrigin};
use serde::{Deserialize, Serialize};

use super::outcome::{End, Reply};
use super::run::Run;
use super::runs::Runs;
use crate::heartbeat::{Remark, remark};
use crate::outbox::{Letter, Order, Posted, ReplyError, Wish, Words};
use crate::sessions::{Changes, NotKept, SessionKey, Sessions};
use crate::store::StoreError;
use crate::text::{given, shortened};

/// Longest part of a reply that another conversation is told, in characters.
const MAX_SUMMARY: usize = 2_000;

/// What the end of a run does elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Aftermath {
    /// Where its reply goes, if it ended well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Delivery>,
    /// Who else is told how it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<Note>,
}

/// Which words of a run go to people, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    /// Where they go.
    pub order: Order,
    /// Whether what was said before tools were used goes along.
    pub is_whole: bool,
    /// A reply that says by the heartbeats' token that nothing needs attention stays, with at most so many characters
    /// beside it. None: the token is a word like any other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ack_max_chars: Option<u64>,
    /// These words stay: people know them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known: Option<String>,
}

/// What another conversation is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Note {
    /// Its canonical key.
    pub session: String,
    /// Who tells it, such as `Hook Mail`.
    pub about: String,
}

impl Aftermath {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.delivery.is_none() && self.note.is_none()
    }

    /// Tells the other conversation how the run ended.
    pub(super) fn tell(
        &self,
        changes: &mut Changes<'_, '_>,
        session: impl FnOnce(&str) -> SessionKey,
        (end, reply): (&End, Option<&Reply>),
        now: u64,
    ) -> Result<(), StoreError> {
        let Some(note) = &self.note else {
            return Ok(());
        };
        let text = note.text(end, reply);
        match changes.add_event(&session(&note.session), now, &text) {
            Ok(()) => Ok(()),
            Err(NotKept::Store(error)) => Err(error),
            // The run has ended all the same.
            Err(error @ NotKept::Full) => {
                tracing::error!(%error, about = note.about, "the end of a run could not be noted");
                Ok(())
            }
        }
    }
}

impl Note {
    fn text(&self, end: &End, reply: Option<&Reply>) -> String {
        let why = match end {
            End::Completed => {
                let said = reply.map(Reply::whole).unwrap_or_default();
                let said = match said.as_str() {
                    "" => "done, without words".to_owned(),
                    said => shortened(said, MAX_SUMMARY),
                };
                return format!("{}: {said}", self.about);
            }
            End::Failed(why) => why.clone(),
            End::Aborted(reason) => reason.words(),
        };
        format!("{} (error): {}", self.about, shortened(&why, MAX_SUMMARY))
    }
}

impl Delivery {
    /// What `agent` asks for, if it asks for any: its own wishes, else those of the conversation's last message. `stands_in`
    /// is the conversation of the run.
    pub(super) fn of_agent(
        params: &AgentParams,
        stands_in: Option<&SessionKey>,
        now: u64,
    ) -> Option<Self> {
        let first = |wishes: [&Option<String>; 2]| {
            let mut wishes = wishes.into_iter();
            wishes.find_map(|wish| given(wish.as_deref()))
        };
        let session = stands_in.filter(|_| params.deliver == Some(true))?;
        let session = session.canonical().to_owned();
        Some(Self {
            order: Order {
                origin: OutboxOrigin::Agent,
                // A key may begin another run when its first one is forgotten, and that run's reply is another message.
                key: format!("{}:{now}:reply", params.idempotency_key.as_str()),
                wish: Wish {
                    channel: first([&params.reply_channel, &params.channel]),
                    to: first([&params.reply_to, &params.to]),
                    account_id: first([&params.reply_account_id, &params.account_id]),
                },
                stands_in: Some(session.clone()),
                session,
            },
            is_whole: true,
            ack_max_chars: None,
            known: None,
        })
    }

    /// The words of a reply that go; none if it is to stay.
    fn words(&self, reply: &Reply) -> Option<Words> {
        let text = if self.is_whole {
            reply.whole()
        } else {
            reply.text.clone()
        };
        let text = match self.ack_max_chars {
            None => Some(text).filter(|text| !text.is_empty()),
            Some(most) => match remark(&text, most) {
                Remark::Say(text) => Some(text),
                Remark::Empty | Remark::Token => None,
            },
        };
        let text = text.filter(|text| self.known.as_ref() != Some(text))?;
        Some(Words {
            text,
            media: Vec::new(),
        })
    }
}

/// What is to be written with the end of a run.
pub(super) struct Due {
    aftermath: Aftermath,
    letter: Option<Letter>,
    sessions: Sessions,
}

impl Due {
    /// Writes it as a part of the change that ends the run, and returns the reply that may go when that is on disk.
    pub(super) fn put(
        self,
        changes: &mut Changes<'_, '_>,
        (end, reply): (&End, Option<&Reply>),
        now: u64,
    ) -> Result<Option<Posted>, StoreError> {
        let session = |key: &str| self.sessions.key(key);
        self.aftermath.tell(changes, session, (end, reply), now)?;
        let words = match (end, reply, &self.aftermath.delivery) {
            (End::Completed, Some(reply), Some(delivery)) => delivery.words(reply),
            _ => None,
        };
        let letter = self.letter.zip(words);
        letter
            .map(|(letter, words)| letter.put(changes.writer(), words))
            .transpose()
    }
}

/// Why a reply is not sent, in words for the client of `agent`.
pub(super) fn refusal(posted: &Posted) -> Option<String> {
    posted.refusal().map(problem)
}

/// As above.
pub(super) fn problem(error: &ReplyError) -> String {
    match error {
        ReplyError::Unsupported(channel) => {
            errors::AGENT_REPLY_CHANNEL.with(&[("channel", channel)])
        }
        other => errors::AGENT_REPLY_UNDELIVERED.with(&[("problem", &other.to_string())]),
    }
    .message
    .into()
}

impl Runs {
    /// What the end of a run is to do. One that may have a reply finds the reply's way here, before the change.
    pub(super) fn due(&self, run: &Run, may_reply: bool) -> Due {
        let delivery = run.aftermath.delivery.as_ref().filter(|_| may_reply);
        Due {
            letter: delivery.map(|delivery| self.parts().outbox.prepare(&delivery.order)),
            aftermath: run.aftermath.clone(),
            sessions: self.sessions().clone(),
        }
    }
}
