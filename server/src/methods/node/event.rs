//! What a node tells of its own accord (`node.event`, contract 8.5): turns of an agent, subscriptions, programs that it
//! ran. What cannot be used has no effect and is acknowledged all the same; clients rely on that.

use openclaw_protocol::protocol::{ErrorCode, limits, texts};
use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::types::{
    AgentParams, ErrorShape, NodeAgentRequest, NodeChatSubscription, NodeEventParams,
    NodeExecDenied, NodeExecFinished, NodeExecStarted, NodeVoiceTranscript,
};
use serde::de::DeserializeOwned;

use crate::agent::{Manner, is_known_channel};
use crate::connection::Caller;
use crate::methods::Methods;
use crate::nodes::node_id;
use crate::text::given;

impl Methods {
    /// Acts on what a node tells.
    ///
    /// # Errors
    /// `UNAVAILABLE`: a turn was asked for, and there is no room for it, or the store fails.
    pub(super) async fn node_says(
        &self,
        caller: &Caller,
        params: NodeEventParams,
    ) -> Result<(), ErrorShape> {
        let node = node_id(caller);
        match params.event.as_str() {
            texts::NODE_EVENT_VOICE_TRANSCRIPT => match payload(params).and_then(spoken) {
                Some(turn) => self.begin_turn(&node, turn).await,
                None => Ok(()),
            },
            texts::NODE_EVENT_AGENT_REQUEST => {
                match payload(params).and_then(|asked| requested(&node, asked)) {
                    Some(turn) => self.begin_turn(&node, turn).await,
                    None => Ok(()),
                }
            }
            texts::NODE_EVENT_CHAT_SUBSCRIBE => {
                if let Some(key) = payload(params).and_then(session_key) {
                    let subscribed = self.nodes.subscribe(caller, &key);
                    if !subscribed {
                        tracing::info!(%node, "a node has as many subscriptions as it may have");
                    }
                }
                Ok(())
            }
            texts::NODE_EVENT_CHAT_UNSUBSCRIBE => {
                if let Some(key) = payload(params).and_then(session_key) {
                    self.nodes.unsubscribe(caller, &key);
                }
                Ok(())
            }
            texts::NODE_EVENT_EXEC_STARTED => {
                let told = payload(params).map(|told| started(&node, told));
                self.note(&node, told).await
            }
            texts::NODE_EVENT_EXEC_FINISHED => {
                let told = payload(params).map(|told| finished(&node, told));
                self.note(&node, told).await
            }
            texts::NODE_EVENT_EXEC_DENIED => {
                let told = payload(params).map(|told| denied(&node, told));
                self.note(&node, told).await
            }
            other => {
                tracing::debug!(%node, event = other, "a node tells something unknown");
                Ok(())
            }
        }
    }

    /// Begins a turn; its events tell what comes of it. One that the rules refuse is no turn, and no error. What a node
    /// says is for the model: it may be what a microphone heard, or what somebody sent to the device.
    async fn begin_turn(&self, node: &str, turn: AgentParams) -> Result<(), ErrorShape> {
        match self.runs.agent_in(turn, words_only()).await {
            Ok(_) => Ok(()),
            Err(error) if *error.code == *ErrorCode::Unavailable.as_str() => Err(error),
            Err(error) => {
                tracing::info!(node, reason = %error.message, "a node's turn was refused");
                Ok(())
            }
        }
    }

    /// Keeps a text for the conversation's next turn, and lets its agent have one soon.
    async fn note(&self, node: &str, note: Option<Note>) -> Result<(), ErrorShape> {
        if let Some(Note { session_key, text }) = note {
            let key = given(session_key.as_deref()).unwrap_or_else(|| own_session(node));
            let session = self.sessions.key(&key);
            self.keep_event(&session, &text).await?;
            self.heartbeats.request(session.agent(), EXEC_REASON);
        }
        Ok(())
    }
}

fn words_only() -> Manner {
    Manner {
        is_only_words: true,
        model: None,
    }
}

/// A text for a conversation.
struct Note {
    session_key: Option<String>,
    text: String,
}

/// The payload as its event's definition has it: the text, else the value. None when it is no JSON.
fn payload<T: DeserializeOwned>(params: NodeEventParams) -> Option<T> {
    match params.payload_json {
        Some(text) => serde_json::from_str(&text).ok(),
        None => serde_json::from_value(params.payload.unwrap_or_default()).ok(),
    }
}

fn spoken(said: NodeVoiceTranscript) -> Option<AgentParams> {
    let text = words(said.text)?;
    let run_id = format!("{}{}", texts::VOICE_RUN_PREFIX, uuid::Uuid::new_v4());
    let mut turn = AgentParams::new(text, NonEmptyString::new(run_id)?);
    turn.session_key =
        Some(given(said.session_key.as_deref()).unwrap_or_else(|| MAIN_SESSION.to_owned()));
    turn.thinking = Some(texts::VOICE_THINKING.to_owned());
    turn.deliver = Some(false);
    Some(turn)
}

fn requested(node: &str, asked: NodeAgentRequest) -> Option<AgentParams> {
    let message = words(asked.message)?;
    let run_id = NonEmptyString::new(uuid::Uuid::new_v4().to_string())?;
    let mut turn = AgentParams::new(message, run_id);
    turn.session_key =
        Some(given(asked.session_key.as_deref()).unwrap_or_else(|| own_session(node)));
    turn.thinking = given(asked.thinking.as_deref());
    turn.timeout = asked.timeout_seconds.and_then(whole_seconds);
    let channel = given(asked.channel.as_deref()).filter(|channel| is_known_channel(channel));
    turn.deliver = Some(asked.deliver == Some(true) && channel.is_some());
    turn.channel = channel;
    turn.to = given(asked.to.as_deref());
    Some(turn)
}

fn session_key(wanted: NodeChatSubscription) -> Option<String> {
    given(wanted.session_key.as_deref())
}

fn started(node: &str, told: NodeExecStarted) -> Note {
    let mut text = format!("Exec started (node={node}{})", id(told.run_id));
    append(&mut text, ": ", told.command);
    Note {
        session_key: told.session_key,
        text,
    }
}

fn finished(node: &str, told: NodeExecFinished) -> Note {
    let end = match (told.timed_out, told.exit_code) {
        (Some(true), _) => "timeout".to_owned(),
        (_, Some(code)) => format!("code {code}"),
        (_, None) => "code ?".to_owned(),
    };
    let mut text = format!("Exec finished (node={node}{}, {end})", id(told.run_id));
    append(&mut text, "\n", told.output);
    Note {
        session_key: told.session_key,
        text,
    }
}

fn denied(node: &str, told: NodeExecDenied) -> Note {
    let mut text = format!("Exec denied (node={node}{}", id(told.run_id));
    append(&mut text, ", ", told.reason);
    text.push(')');
    append(&mut text, ": ", told.command);
    Note {
        session_key: told.session_key,
        text,
    }
}

/// Reason of a heartbeat that a program on a node brought about.
const EXEC_REASON: &str = "exec-event";

/// Key that stands for the default agent's main conversation.
const MAIN_SESSION: &str = "main";

/// The conversation of a node.
fn own_session(node: &str) -> String {
    format!("{}{node}", texts::NODE_SESSION_PREFIX)
}

fn id(run_id: Option<String>) -> String {
    given(run_id.as_deref()).map_or_else(String::new, |id| format!(" id={id}"))
}

fn append(text: &mut String, between: &str, more: Option<String>) {
    if let Some(more) = given(more.as_deref()) {
        text.push_str(between);
        text.push_str(&more);
    }
}

/// Words for a turn: some, and not too many.
fn words(text: Option<String>) -> Option<NonEmptyString> {
    let text = given(text.as_deref())?;
    let is_short = text.chars().count() <= limits::NODE_TEXT_CHARS as usize;
    is_short.then(|| NonEmptyString::new(text)).flatten()
}

/// Seconds rounded up; none for what is no time.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, and the sign was checked"
)]
fn whole_seconds(seconds: f64) -> Option<u64> {
    (seconds.is_finite() && seconds > 0.0).then(|| seconds.ceil() as u64)
}

#[cfg(test)]
mod tests;
