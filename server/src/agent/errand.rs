//! Turns that the gateway itself asks for: those of jobs, heartbeats and hooks.

use std::sync::Arc;
use std::time::Duration;

use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::types::{AgentParams, ErrorShape};

use super::aftermath::{Aftermath, Delivery};
use super::outcome::{End, Space};
use super::requests::Manner;
use super::run::{Job, Run};
use super::runs::{Admission, Ask, Refusal, Runs};
use crate::outbox::Pending;
use crate::sessions::{Entry, SessionKey};

/// A turn that no client asked for.
pub struct Errand {
    /// The conversation.
    pub session: SessionKey,
    /// What the agent is told.
    pub text: String,
    /// Whether the conversation begins anew with it.
    pub fresh: bool,
    /// Model of this turn; the session's when absent.
    pub model: Option<String>,
    /// Thinking word; the session's level when absent.
    pub thinking: Option<String>,
    /// Longest time; the configured one when absent.
    pub timeout: Option<Duration>,
    /// Whether chat clients are spared its words.
    pub quiet: bool,
    /// Which of its words go to people, and where; none if they stay.
    pub delivery: Option<Delivery>,
}

/// What came of an errand.
#[derive(Debug, Clone)]
pub struct Done {
    /// The reply, trimmed; empty if there was none.
    pub text: String,
    /// When it was there, ms.
    pub ended_at: u64,
    /// What becomes of its words on their way to people; none if they stay.
    pub delivery: Option<Pending>,
}

/// Why an errand brought nothing. The texts are for clients.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ErrandError {
    /// There is no room, or the store failed; nothing was begun.
    #[error("{0}")]
    Refused(String),
    /// The run ended with this error.
    #[error("{0}")]
    Failed(String),
    /// Somebody called it off.
    #[error("the run was called off")]
    CalledOff,
}

/// A turn that has begun.
pub struct Begun(Arc<Run>);

impl Begun {
    /// Waits for its end and tells what becomes of its words on their way to people; none if they stay.
    pub async fn over(&self) -> Option<Pending> {
        self.0.over().await?.delivery.clone()
    }
}

impl Runs {
    /// Begins a turn whose caller reads no answer: its end does what `manner` says.
    ///
    /// # Errors
    /// As [`Runs::agent_in`].
    pub async fn begin_turn(
        &self,
        params: AgentParams,
        manner: Manner,
    ) -> Result<Option<Begun>, ErrorShape> {
        let ask = self.agent_ask(params, manner)?;
        match self.admit(ask).await.map_err(Refusal::shape)? {
            Admission::New(run) | Admission::Running(run) => Ok(Some(Begun(run))),
            Admission::Ended(_) => Ok(None),
        }
    }

    /// Runs a turn and waits for its end. The run goes on when the caller does not.
    ///
    /// # Errors
    /// See [`ErrandError`].
    pub async fn errand(&self, errand: Errand) -> Result<Done, ErrandError> {
        let id = NonEmptyString::or(uuid::Uuid::new_v4().to_string(), "run");
        let transcript = errand.fresh.then(|| id.to_string());
        let on_entry = Box::new(move |entry: &mut Entry| {
            if let Some(id) = transcript {
                entry.session_id = id;
                entry.system_sent = Some(true);
            }
        });
        if errand.fresh {
            // What it held is in reach of nobody once the session has a new transcript.
            let key = errand.session.clone();
            let cleared = self.sessions().write(move |changes| {
                let before = changes.entry(&key)?;
                before.map_or(Ok(()), |entry| changes.clear(&entry.session_id))
            });
            cleared.await.map_err(|error| {
                tracing::error!(%error, "a conversation could not begin anew");
                ErrandError::Refused("the conversation could not begin anew".to_owned())
            })?;
        }
        let shown = NonEmptyString::or(errand.session.canonical(), "main");
        let configured = || self.parts().default_timeout();
        let timeout = errand.timeout.unwrap_or_else(configured);
        let ask = Ask {
            space: Space::Agent,
            id,
            session: Some((errand.session, shown)),
            is_agent_call: false,
            on_entry,
            job: Job {
                text: errand.text,
                thinking: errand.thinking,
                model: errand.model,
                ..Job::of(timeout)
            },
            quiet: errand.quiet,
            aftermath: Aftermath {
                delivery: errand.delivery,
                note: None,
            },
        };
        let refused = |refusal: Refusal| ErrandError::Refused(refusal.to_string());
        let run = match self.admit(ask).await.map_err(refused)? {
            Admission::New(run) | Admission::Running(run) => run,
            // The id is new.
            Admission::Ended(_) => return Err(ErrandError::CalledOff),
        };
        let Some(closing) = run.over().await else {
            return Err(ErrandError::CalledOff);
        };
        match &closing.ended.end {
            End::Completed => Ok(Done {
                text: closing
                    .reply
                    .as_ref()
                    .map(|reply| reply.text.clone())
                    .unwrap_or_default(),
                ended_at: closing.ended.ended_at,
                delivery: closing.delivery.clone(),
            }),
            End::Failed(error) => Err(ErrandError::Failed(error.clone())),
            End::Aborted(_) => Err(ErrandError::CalledOff),
        }
    }
}
