//! What the world hears of a run: `agent` events numbered from 1, and the `chat` events that follow from them
//! (contract 6.9, 6.10).
//!
//! One [`Voice`] a run, behind the run's lock, so that an abort from another connection and the run itself cannot
//! interleave: after the terminal event nothing is said any more, and there is exactly one (odd 14).

use std::sync::Arc;
use std::time::Duration;

use openclaw_protocol::protocol::limits;
use openclaw_protocol::types::ChatMessage;
use tokio::time::Instant;

use super::backend::Call;
use super::outcome::AbortReason;
use super::tools::{self, Output};
use super::wire::{self, AgentNews, ChatNews, Names};
use crate::clock::Clock;
use crate::hub::EventSink;
use crate::text::shortened;

/// Least time between two chat deltas of a run; each carries the whole text.
const DELTA_SPACING: Duration = Duration::from_millis(limits::CHAT_DELTA_SPACING_MS);

/// The voice of one run.
pub(super) struct Voice {
    names: Names,
    sink: Arc<dyn EventSink>,
    clock: Arc<dyn Clock>,
    seq: u64,
    last_delta: Option<Instant>,
    shown: String,
    /// The next text begins a new message: what was shown stays until then, as the last words of the run.
    is_message_over: bool,
    /// Whether tools are shown. They count in any case (contract 6.9).
    shows_tools: bool,
    stage: Stage,
    /// Deltas and the final are not for chat clients (contract 6.10).
    quiet: bool,
}

/// How far a run is. An abort counts until the run has begun to settle its end; the end is told after that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    Settling,
    Over,
}

impl Voice {
    pub(super) fn new(names: Names, sink: Arc<dyn EventSink>, clock: Arc<dyn Clock>) -> Self {
        Self {
            names,
            sink,
            clock,
            seq: 0,
            last_delta: None,
            shown: String::new(),
            is_message_over: false,
            shows_tools: false,
            stage: Stage::Open,
            quiet: false,
        }
    }

    /// A voice that spares chat clients what a heartbeat says.
    pub(super) fn quiet(self) -> Self {
        Self {
            quiet: true,
            ..self
        }
    }

    /// The model is being asked; with `shows_tools` clients see what tools it uses.
    pub(super) fn start(&mut self, started_at: u64, shows_tools: bool) {
        self.shows_tools = shows_tools;
        if self.stage == Stage::Open {
            self.agent(&AgentNews::Start { started_at });
        }
    }

    /// The reply is now `text`; what only adds blanks at its end is not worth an event.
    pub(super) fn text(&mut self, text: &str) {
        let text = text.trim();
        if self.stage != Stage::Open || text.is_empty() {
            return;
        }
        if std::mem::take(&mut self.is_message_over) {
            self.shown.clear();
        }
        if text.len() <= self.shown.len() {
            return;
        }
        let delta = text.get(self.shown.len()..).unwrap_or(text).to_owned();
        text.clone_into(&mut self.shown);
        let shown = std::mem::take(&mut self.shown);
        self.agent(&AgentNews::Text {
            text: &shown,
            delta: &delta,
        });
        let now = Instant::now();
        if self
            .last_delta
            .is_none_or(|last| now.duration_since(last) >= DELTA_SPACING)
        {
            self.last_delta = Some(now);
            self.chat(self.seq, &ChatNews::Delta { text: &shown });
        }
        self.shown = shown;
    }

    /// The message is complete, the run is not: tools have been asked for.
    pub(super) fn message_over(&mut self) {
        self.is_message_over = true;
    }

    /// A tool is called.
    pub(super) fn tool_start(&mut self, call: &Call) {
        self.tool(&AgentNews::ToolStart { call });
    }

    /// A tool has brought so much; `partial` is all of it.
    pub(super) fn tool_update(&mut self, call: &Call, partial: &str) {
        self.tool(&AgentNews::ToolUpdate { call, partial });
    }

    /// A tool is done.
    pub(super) fn tool_result(&mut self, call: &Call, output: &Output) {
        let meta = tools::meta(call);
        self.tool(&AgentNews::ToolResult { call, meta, output });
    }

    /// Older messages are being summed up.
    pub(super) fn compaction_start(&mut self) {
        if self.stage == Stage::Open {
            self.agent(&AgentNews::CompactionStart);
        }
    }

    /// They are, or could not be.
    /// With `will_retry` the model is asked again what it refused for its length.
    pub(super) fn compaction_end(&mut self, will_retry: bool) {
        if self.stage == Stage::Open {
            self.agent(&AgentNews::CompactionEnd { will_retry });
        }
    }

    fn tool(&mut self, news: &AgentNews<'_>) {
        match self.stage {
            Stage::Open if self.shows_tools => self.agent(news),
            Stage::Open => self.seq += 1,
            Stage::Settling | Stage::Over => {}
        }
    }

    /// The run has ended well; what was shown last is the reply.
    pub(super) fn end(&mut self, ended_at: u64) {
        if self.stage == Stage::Over {
            return;
        }
        self.agent(&AgentNews::End { ended_at });
        let text = std::mem::take(&mut self.shown);
        self.close(
            self.seq,
            &ChatNews::Final {
                text: (!text.is_empty()).then_some(&text),
            },
        );
    }

    /// A command was answered, without a run of a model: the one event of it.
    pub(super) fn answer(&mut self, message: &ChatMessage) {
        if self.stage != Stage::Over {
            self.close(self.seq + 1, &ChatNews::Injected { message });
        }
    }

    /// The run has failed, before or after its start. Runs without a session fail in silence: no client could tell
    /// whose they are.
    pub(super) fn fail(&mut self, started_at: Option<u64>, ended_at: u64, error: &str) {
        if self.stage == Stage::Over {
            return;
        }
        if self.names.session_key.is_some() {
            self.agent(&AgentNews::Error {
                started_at,
                ended_at,
                error,
            });
        }
        self.close(
            self.seq,
            &ChatNews::Error {
                message: &shortened(error, limits::ERROR_TEXT_CHARS as usize),
            },
        );
    }

    /// The run is called off; whether it was not over yet. Only the chat event tells of it, with the number that the
    /// next agent event would have had.
    pub(super) fn abort(&mut self, reason: AbortReason) -> bool {
        if self.stage != Stage::Open {
            return false;
        }
        self.close(self.seq + 1, &ChatNews::Aborted { reason });
        true
    }

    /// The run begins to settle its end: from now on it cannot be called off. False if it has been.
    pub(super) fn settle(&mut self) -> bool {
        let is_open = self.stage == Stage::Open;
        if is_open {
            self.stage = Stage::Settling;
        }
        is_open
    }

    fn agent(&mut self, news: &AgentNews<'_>) {
        self.seq += 1;
        self.sink.emit(wire::agent_event(
            &self.names,
            self.seq,
            self.clock.now_ms(),
            news,
        ));
    }

    fn chat(&self, seq: u64, news: &ChatNews<'_>) {
        let is_words = matches!(news, ChatNews::Delta { .. } | ChatNews::Final { .. });
        if self.quiet && is_words {
            return;
        }
        if let Some(session_key) = &self.names.session_key {
            self.sink.emit(wire::chat_event(
                &self.names.run_id,
                session_key,
                seq,
                self.clock.now_ms(),
                news,
            ));
        }
    }

    fn close(&mut self, seq: u64, news: &ChatNews<'_>) {
        self.stage = Stage::Over;
        self.chat(seq, news);
    }
}
