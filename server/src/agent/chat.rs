//! `chat.send`, `chat.abort`, `chat.history`: a conversation as a person sees it (contract 6.7).

use std::time::Duration;

use openclaw_protocol::protocol::{errors, limits, texts};
use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::server::Failure;
use openclaw_protocol::types::{
    ChatAbortParams, ChatAbortResult, ChatHistoryParams, ChatHistoryResult, ChatSendAck,
    ChatSendFailure, ChatSendParams, ChatSendResult, ChatSendStatus, ChatType, ErrorShape,
};
use serde_json::json;
use tokio::time::Instant;

use super::aftermath::Aftermath;
use super::commands::{self, Meaning, Task};
use super::outcome::{AbortReason, End, Space};
use super::requests::sessions_unreadable;
use super::run::Job;
use super::runs::{Admission, Ask, Refusal, Runs};
use super::{attachments, wire, words};
use crate::sessions::{Entry, SessionKey, envelope};

impl Runs {
    /// `chat.send`: says something in a conversation, or stops it if the message is a stop word. A slash command is
    /// answered without the model. `sender` is the client's name for people.
    ///
    /// # Errors
    /// The refusals of contract 6.7 in their order; the stored failure for a repeated key; `UNAVAILABLE` when there is
    /// no room or the store fails.
    pub async fn chat_send(
        &self,
        params: ChatSendParams,
        sender: Option<&str>,
    ) -> Result<ChatSendResult, Failure<ChatSendFailure>> {
        let attached = params.attachments.as_deref().unwrap_or_default();
        let is_blank = params.message.trim().is_empty();
        if is_blank && attachments::with_content(attached) == 0 {
            return Err(errors::CHAT_MESSAGE_REQUIRED.error().into());
        }
        let images = attachments::images(attached).map_err(|error| error.shape())?;
        let session = self.sessions().key(&params.session_key);
        self.parts().check_send_policy(&session)?;
        if words::is_stop(&params.message) {
            let stopped = self
                .abort(&session, None, AbortReason::Stop)
                .unwrap_or_default();
            return Ok(aborted(stopped).into());
        }
        let id = params.idempotency_key.clone();
        if let Some(known) = self.known(Space::Chat, &id).await {
            return chat_answer(id, known);
        }
        if is_blank && images.is_empty() {
            return Err(errors::CHAT_MESSAGE_REQUIRED.error().into());
        }
        let ask = self.chat_ask(params, session, images, sender);
        let admission = self.admit(ask).await.map_err(Refusal::shape)?;
        chat_answer(id, admission)
    }

    /// `chat.abort`: calls off one run or all runs that `chat.send` began in a conversation.
    ///
    /// # Errors
    /// `INVALID_REQUEST` for a run of another conversation.
    pub fn chat_abort(&self, params: &ChatAbortParams) -> Result<ChatAbortResult, ErrorShape> {
        let session = self.sessions().key(&params.session_key);
        let stopped = self.abort(&session, params.run_id.as_deref(), AbortReason::Rpc);
        stopped
            .map(aborted)
            .map_err(|_| errors::CHAT_RUN_SESSION_MISMATCH.error())
    }

    /// `chat.history`: the newest messages of a conversation. Reads the disk for as long as there are messages to show;
    /// callers on the I/O thread put it aside.
    ///
    /// # Errors
    /// `UNAVAILABLE` when the store fails.
    pub fn chat_history(&self, params: ChatHistoryParams) -> Result<ChatHistoryResult, ErrorShape> {
        let session = self.sessions().key(&params.session_key);
        let limit = params
            .limit
            .unwrap_or(limits::HISTORY_DEFAULT)
            .min(limits::HISTORY_MAX);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let history = self
            .sessions()
            .history(&session, limit)
            .map_err(|error| sessions_unreadable(&error))?;
        let choice = self
            .models()
            .choose(session.agent(), history.entry.as_ref());
        let thinking = self.parts().thinking_level(&choice, history.entry.as_ref());
        let result = ChatHistoryResult::new(
            params.session_key,
            history.messages,
            thinking.as_str().to_owned(),
        );
        Ok(ChatHistoryResult {
            session_id: history.entry.map(|entry| entry.session_id),
            ..result
        })
    }

    fn chat_ask(
        &self,
        params: ChatSendParams,
        session: SessionKey,
        images: Vec<attachments::Image>,
        sender: Option<&str>,
    ) -> Ask {
        let id = params.idempotency_key;
        let meaning = commands::parse(&params.message)
            // A picture is for the model.
            .filter(|meaning| images.is_empty() || matches!(meaning, Meaning::Turn(_)));
        // Slash commands take their level from their own words.
        let mut thinking = params
            .thinking
            .filter(|word| !word.trim().is_empty() && !params.message.starts_with('/'));
        let (text, task) = match meaning {
            None => (params.message, Task::Turn),
            Some(Meaning::Command(command)) => (params.message, Task::Command(command)),
            Some(Meaning::Turn(turn)) => {
                thinking = turn.thinking.map(|level| level.as_str().to_owned());
                (turn.text, Task::of_turn(turn.anew))
            }
        };
        let timeout = self.parts().default_timeout();
        let asked = params
            .timeout_ms
            .filter(|ms| *ms > 0)
            .map_or(timeout, Duration::from_millis);
        let sender = sender.map(str::to_owned);
        let job = Job {
            // The line ties the words to their run; whatever shows them takes it off.
            text: format!("{text}\n{}", envelope::message_id_line(&id)),
            images,
            thinking,
            timeout,
            expires: Instant::now().checked_add(lifetime(asked)),
            model: None,
            extra_system: None,
            task,
            hops: 0,
        };
        let on_entry = Box::new(move |entry: &mut Entry| spoken(entry, sender.as_deref()));
        Ask {
            space: Space::Chat,
            id,
            session: Some((session, params.session_key)),
            is_agent_call: false,
            on_entry,
            job,
            quiet: false,
            aftermath: Aftermath::default(),
        }
    }
}

#[expect(
    clippy::result_large_err,
    reason = "the shape of the handler's own result, made once a request"
)]
fn chat_answer(
    id: NonEmptyString,
    admission: Admission,
) -> Result<ChatSendResult, Failure<ChatSendFailure>> {
    let status = match admission {
        Admission::New(_) => ChatSendStatus::Started,
        Admission::Running(_) => ChatSendStatus::InFlight,
        Admission::Ended(ended) => match ended.end {
            End::Completed | End::Aborted(_) => ChatSendStatus::Ok,
            End::Failed(error) => return Err(wire::chat_failure(id, &error)),
        },
    };
    Ok(ChatSendAck::new(id, status).into())
}

fn aborted(run_ids: Vec<String>) -> ChatAbortResult {
    ChatAbortResult::new(true, !run_ids.is_empty(), run_ids)
}

/// How long a chat run may live, waiting included: what was asked for and some grace, between two minutes and a day.
fn lifetime(asked: Duration) -> Duration {
    let wanted = asked.saturating_add(Duration::from_millis(limits::CHAT_RUN_GRACE_MS));
    wanted.clamp(
        Duration::from_millis(limits::CHAT_RUN_MIN_MS),
        Duration::from_millis(limits::CHAT_RUN_MAX_MS),
    )
}

/// What a chat client leaves in its session's entry.
fn spoken(entry: &mut Entry, sender: Option<&str>) {
    let (webchat, chat_type) = (texts::WEBCHAT_CHANNEL, ChatType::Direct.as_str());
    let mut origin = json!({"provider": webchat, "surface": webchat, "chatType": chat_type});
    if let Some(sender) = sender {
        origin["label"] = json!(sender);
    }
    entry.origin = Some(origin);
    entry.chat_type = Some(chat_type.to_owned());
    entry.system_sent = Some(true);
    entry.delivery_context = Some(json!({"channel": webchat}));
    entry.last_channel = Some(webchat.to_owned());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes() {
        for (asked_ms, lives_ms) in [
            (1, 120_000),
            (60_000, 120_000),
            (60_001, 120_001),
            (600_000, 660_000),
            (86_400_000 - 60_000, 86_400_000),
            (u64::MAX, 86_400_000),
        ] {
            let lives = lifetime(Duration::from_millis(asked_ms));
            assert_eq!(lives, Duration::from_millis(lives_ms), "{asked_ms}");
        }
    }
}
