//! The border to the protocol's types: events and results of runs, as the schema shapes them.

use openclaw_protocol::events::Event;
use openclaw_protocol::protocol::{ErrorCode, texts};
use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::server::Failure;
use openclaw_protocol::types::{
    AgentEvent, AgentEventData, AgentEventPhase, AgentFailure, AgentFinal, AgentRunMeta,
    AgentRunModel, AgentRunPayload, AgentRunResult, AgentRunUsage, AgentStream, AgentWaitResult,
    AgentWaitStatus, ChatEvent, ChatMessage, ChatSendFailure, ChatState,
};

use serde_json::json;

use super::backend::Call;
use super::outcome::{AbortReason, End, Ended, Reply};
use super::tools::Output;
use crate::sessions::injected::said;

/// Who a run is, in events.
#[derive(Debug, Clone)]
pub(super) struct Names {
    /// Run id, as the client chose it.
    pub(super) run_id: NonEmptyString,
    /// Session key in the client's own spelling; runs without a session have no chat events.
    pub(super) session_key: Option<NonEmptyString>,
}

/// What an `agent` event tells.
pub(super) enum AgentNews<'a> {
    /// The model is being asked.
    Start { started_at: u64 },
    /// The reply so far, and what is new of it.
    Text { text: &'a str, delta: &'a str },
    /// A tool is called.
    ToolStart { call: &'a Call },
    /// A tool has brought so much.
    ToolUpdate { call: &'a Call, partial: &'a str },
    /// A tool is done.
    ToolResult {
        call: &'a Call,
        meta: Option<String>,
        output: &'a Output,
    },
    /// Older messages are being summed up.
    CompactionStart,
    /// They are, or could not be.
    CompactionEnd { will_retry: bool },
    /// The reply is complete.
    End { ended_at: u64 },
    /// There is none.
    Error {
        started_at: Option<u64>,
        ended_at: u64,
        error: &'a str,
    },
}

/// What a `chat` event tells.
pub(super) enum ChatNews<'a> {
    /// The reply so far.
    Delta { text: &'a str },
    /// The whole reply; none if there were no words.
    Final { text: Option<&'a str> },
    /// A message that no model wrote, whole.
    Injected { message: &'a ChatMessage },
    /// There is none.
    Error { message: &'a str },
    /// It was called off.
    Aborted { reason: AbortReason },
}

pub(super) fn agent_event(names: &Names, seq: u64, ts: u64, news: &AgentNews<'_>) -> Event {
    let mut data = AgentEventData::default();
    let stream = match *news {
        AgentNews::Start { started_at } => {
            data.phase = Some(AgentEventPhase::Start);
            data.started_at = Some(started_at);
            AgentStream::Lifecycle
        }
        AgentNews::Text { text, delta } => {
            data.text = Some(text.to_owned());
            data.delta = Some(delta.to_owned());
            AgentStream::Assistant
        }
        AgentNews::ToolStart { call } => {
            data.phase = Some(AgentEventPhase::Start);
            data.args = Some(call.arguments.clone());
            of_call(&mut data, call)
        }
        AgentNews::ToolUpdate { call, partial } => {
            data.phase = Some(AgentEventPhase::Update);
            data.partial_result = Some(json!({"content": [{"type": "text", "text": partial}]}));
            of_call(&mut data, call)
        }
        AgentNews::ToolResult {
            call,
            ref meta,
            output,
        } => {
            data.phase = Some(AgentEventPhase::Result);
            data.meta = meta.clone();
            data.is_error = Some(output.is_error);
            data.result = Some(json!({"content": output.mention()}));
            of_call(&mut data, call)
        }
        AgentNews::CompactionStart => {
            data.phase = Some(AgentEventPhase::Start);
            AgentStream::Compaction
        }
        AgentNews::CompactionEnd { will_retry } => {
            data.phase = Some(AgentEventPhase::End);
            data.will_retry = Some(will_retry);
            AgentStream::Compaction
        }
        AgentNews::End { ended_at } => {
            data.phase = Some(AgentEventPhase::End);
            data.ended_at = Some(ended_at);
            AgentStream::Lifecycle
        }
        AgentNews::Error {
            started_at,
            ended_at,
            error,
        } => {
            data.phase = Some(AgentEventPhase::Error);
            data.started_at = started_at;
            data.ended_at = Some(ended_at);
            data.error = Some(error.to_owned());
            AgentStream::Lifecycle
        }
    };
    let event = AgentEvent::new(names.run_id.clone(), stream, ts, data);
    Event::Agent(AgentEvent {
        seq: Some(seq),
        session_key: names.session_key.clone(),
        ..event
    })
}

fn of_call(data: &mut AgentEventData, call: &Call) -> AgentStream {
    data.name = Some(call.name.clone());
    data.tool_call_id = Some(call.id.clone());
    AgentStream::Tool
}

pub(super) fn chat_event(
    run_id: &NonEmptyString,
    session_key: &NonEmptyString,
    seq: u64,
    ts: u64,
    news: &ChatNews<'_>,
) -> Event {
    let state = match news {
        ChatNews::Delta { .. } => ChatState::Delta,
        ChatNews::Final { .. } | ChatNews::Injected { .. } => ChatState::Final,
        ChatNews::Error { .. } => ChatState::Error,
        ChatNews::Aborted { .. } => ChatState::Aborted,
    };
    let mut event = ChatEvent::new(run_id.clone(), session_key.clone(), seq, state);
    match *news {
        ChatNews::Delta { text } => event.message = Some(said(text, ts)),
        ChatNews::Final { text } => event.message = text.map(|text| said(text, ts)),
        ChatNews::Injected { message } => event.message = Some(message.clone()),
        ChatNews::Error { message } => event.error_message = Some(message.to_owned()),
        ChatNews::Aborted { reason } => event.stop_reason = Some(reason.as_str().to_owned()),
    }
    Event::Chat(event)
}

/// The second response of `agent` for a run that ended well.
pub(super) fn agent_final(run_id: NonEmptyString, reply: &Reply) -> AgentFinal {
    let said = reply.before.iter().chain([&reply.text]);
    let said = said.filter(|text| !text.is_empty());
    let said = said.map(|text| AgentRunPayload::new(text.clone(), None));
    let usage = AgentRunUsage {
        input: Some(reply.usage.input),
        output: Some(reply.usage.output),
        cache_read: Some(reply.usage.cache_read),
        cache_write: Some(reply.usage.cache_write),
        total: Some(reply.usage.total()),
    };
    let model = AgentRunModel::new(
        reply.session_id.clone(),
        reply.provider.clone(),
        reply.model.clone(),
    );
    let meta = AgentRunMeta {
        agent_meta: Some(AgentRunModel {
            usage: Some(usage),
            ..model
        }),
        aborted: Some(false),
        ..AgentRunMeta::new(reply.duration_ms)
    };
    let result = AgentRunResult::new(said.collect(), meta);
    AgentFinal::new(run_id, texts::RUN_COMPLETED.to_owned(), result)
}

/// The second response of `agent` for a run that failed.
pub(super) fn agent_failure(run_id: NonEmptyString, text: &str) -> Failure<AgentFailure> {
    Failure {
        error: ErrorCode::Unavailable.error(text),
        payload: Some(AgentFailure::new(run_id, text.to_owned())),
    }
}

/// The answer to a repeated `chat.send` whose run failed.
pub(super) fn chat_failure(run_id: NonEmptyString, text: &str) -> Failure<ChatSendFailure> {
    Failure {
        error: ErrorCode::Unavailable.error(text),
        payload: Some(ChatSendFailure::new(run_id, text.to_owned())),
    }
}

/// The answer of `agent.wait`; without an end the run has not ended in time.
pub(super) fn wait_result(run_id: NonEmptyString, ended: Option<Ended>) -> AgentWaitResult {
    let Some(Ended {
        started_at,
        ended_at,
        end,
    }) = ended
    else {
        return AgentWaitResult::new(run_id, AgentWaitStatus::Timeout);
    };
    let (status, error) = match end {
        End::Completed => (AgentWaitStatus::Ok, None),
        End::Failed(error) => (AgentWaitStatus::Error, Some(error)),
        // There are three statuses; a run that was called off has not brought what was waited for.
        End::Aborted(reason) => (AgentWaitStatus::Error, Some(reason.words())),
    };
    let result = AgentWaitResult::new(run_id, status);
    AgentWaitResult {
        started_at,
        ended_at: Some(ended_at),
        error,
        ..result
    }
}
