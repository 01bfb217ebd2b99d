//! `sessions_list`, `sessions_history`, `sessions_send`: the agent's other conversations. Those of other agents are none of
//! its business.

use std::time::Duration;

use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::types::SessionsListParams;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{MAX_OUTPUT, Output, Toolbox, arguments, told};
use crate::agent::aftermath::Aftermath;
use crate::agent::outcome::{End, Space};
use crate::agent::run::Job;
use crate::agent::runs::{Admission, Ask};
use crate::sessions::SessionKey;
use crate::sessions::message::{role_of, text_of};
use crate::store::StoreError;
use crate::text::first_bytes;

/// Conversations that are listed when the model does not say, and at most.
const LIST: (u64, u64) = (20, 100);
/// Messages that are read when the model does not say, and at most.
const HISTORY: (usize, usize) = (20, 200);
/// Most bytes of one message that are shown.
const MAX_MESSAGE: usize = 4 * 1024;
/// Seconds that an answer is waited for when the model does not say, and at most. The asking run holds a place among those
/// that may work at a time meanwhile.
const WAIT_SECONDS: (u64, u64) = (30, 300);
/// Runs that may ask one another in a row: conversations that answer each other would never end.
const MAX_HOPS: u8 = 4;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct List {
    #[serde(default)]
    limit: Option<u64>,
    #[serde(default)]
    active_minutes: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct History {
    session_key: String,
    #[serde(default)]
    limit: Option<usize>,
    #[serde(default)]
    include_tools: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Send {
    session_key: String,
    message: String,
    #[serde(default)]
    timeout_seconds: Option<u64>,
}

fn unreadable(error: &StoreError) -> Output {
    tracing::error!(%error, "a tool could not read sessions");
    Output::bad("The conversations cannot be read.")
}

impl Toolbox {
    /// The conversation that the model means, if it is one of its agent's.
    fn own(&self, key: &str) -> Result<SessionKey, Output> {
        let session = self.runs.sessions().key(key);
        if session.agent() == self.session.agent() {
            Ok(session)
        } else {
            Err(Output::bad("That conversation is another agent's."))
        }
    }
}

/// The conversations of the agent.
pub(super) async fn list(tools: &Toolbox, arguments: &Value) -> Output {
    let List {
        limit,
        active_minutes,
    } = match arguments::read(arguments) {
        Ok(list) => list,
        Err(output) => return output,
    };
    let params = SessionsListParams {
        agent_id: NonEmptyString::new(tools.session.agent()),
        limit: Some(limit.unwrap_or(LIST.0).clamp(1, LIST.1)),
        active_minutes,
        include_derived_titles: Some(true),
        ..SessionsListParams::default()
    };
    let (runs, own) = (tools.runs.clone(), tools.session.canonical().to_owned());
    let listed = tokio::task::spawn_blocking(move || {
        let parts = runs.parts();
        runs.sessions()
            .list(&params, parts.clock.now_ms(), parts.session_defaults())
    });
    let rows = match listed.await {
        Ok(Ok(listed)) => listed.sessions,
        Ok(Err(error)) => return unreadable(&error),
        Err(_) => return Output::bad("The conversations cannot be read."),
    };
    let shown = rows.into_iter().map(|row| {
        json!({
            "sessionKey": row.key,
            "updatedAt": row.updated_at,
            "label": row.label,
            "title": row.derived_title,
            "isThisOne": row.key == own,
        })
    });
    told(shown.collect())
}

/// The last messages of a conversation.
pub(super) async fn history(tools: &Toolbox, arguments: &Value) -> Output {
    let asked = arguments::read(arguments)
        .and_then(|asked: History| Ok((tools.own(&asked.session_key)?, asked)));
    let (session, asked) = match asked {
        Ok(asked) => asked,
        Err(output) => return output,
    };
    let limit = asked.limit.unwrap_or(HISTORY.0).clamp(1, HISTORY.1);
    let sessions = tools.runs.sessions().clone();
    let read = tokio::task::spawn_blocking(move || sessions.history(&session, limit));
    let messages = match read.await {
        Ok(Ok(history)) if history.entry.is_none() => {
            return Output::bad("There is no such conversation.");
        }
        Ok(Ok(history)) => history.messages,
        Ok(Err(error)) => return unreadable(&error),
        Err(_) => return Output::bad("The conversation cannot be read."),
    };
    let shown = messages.iter().filter_map(|message| {
        let message = serde_json::to_value(message).ok()?;
        let role = role_of(&message);
        let is_talk = matches!(role, "user" | "assistant");
        let text = text_of(&message);
        if text.is_empty() || !(is_talk || asked.include_tools) {
            return None;
        }
        Some(json!({"role": role, "text": first_bytes(&text, MAX_MESSAGE)}))
    });
    told(shown.collect())
}

/// Says something in another conversation.
pub(super) async fn send(tools: &Toolbox, arguments: &Value) -> Output {
    let asked = arguments::read(arguments)
        .and_then(|asked: Send| Ok((tools.own(&asked.session_key)?, asked)));
    let (session, asked) = match asked {
        Ok(asked) => asked,
        Err(output) => return output,
    };
    if session == tools.session {
        return Output::bad("That is this conversation: it cannot wait for itself.");
    }
    if tools.hops >= MAX_HOPS {
        return Output::bad("Too many conversations wait for one another; answer without asking.");
    }
    if let Err(error) = tools.runs.parts().check_send_policy(&session) {
        return Output::bad(error.message);
    }
    let id = NonEmptyString::or(uuid::Uuid::new_v4().to_string(), "sessions_send");
    let job = Job {
        text: format!("[from {}] {}", tools.session.canonical(), asked.message),
        hops: tools.hops + 1,
        ..Job::of(tools.runs.parts().default_timeout())
    };
    let shown = NonEmptyString::or(session.canonical(), "main");
    let ask = Ask {
        is_agent_call: false,
        space: Space::Agent,
        id,
        session: Some((session, shown)),
        on_entry: Box::new(|_| {}),
        job,
        quiet: false,
        aftermath: Aftermath::default(),
    };
    let run = match tools.runs.admit(ask).await {
        Ok(Admission::New(run)) => run,
        // The id is new.
        Ok(_) => return Output::bad("The message could not be delivered."),
        Err(refusal) => {
            return Output::bad(format!("The message could not be delivered: {refusal}."));
        }
    };
    let seconds = asked
        .timeout_seconds
        .unwrap_or(WAIT_SECONDS.0)
        .min(WAIT_SECONDS.1);
    let over = tokio::time::timeout(Duration::from_secs(seconds), run.over()).await;
    match over {
        Ok(Some(closing)) => match (&closing.ended.end, &closing.reply) {
            (End::Completed, Some(reply)) => Output::good(first_bytes(&reply.text, MAX_OUTPUT)),
            (End::Failed(error), _) => Output::bad(format!("No answer: {error}")),
            _ => Output::bad("No answer: it was called off."),
        },
        Ok(None) => Output::bad("The message could not be delivered."),
        Err(_) => Output::good("Delivered; there is no answer yet."),
    }
}
