//! The conversation of a run with its model: ask, let it use tools, tell it what they brought, until it has come to an end.
//!
//! Called by [`super::turn`], which owns how the run ends. Everything that is said is in the transcript before the next thing
//! happens, so a run that dies leaves a conversation that can go on.

use futures_util::StreamExt;
use serde_json::Value;

use super::backend::{
    BackendError, Call, Chunk, MAX_CALLS, ModelRequest, StopReason, ToolSpec, Turn as Told,
};
use super::context::Stored;
use super::messages::{self, Ended, Said};
use super::models::Choice;
use super::prompt;
use super::run::{Job, Run};
use super::runs::Runs;
use super::tools::{self, Output, Toolbox};
use super::turn::{Failure, Turn};
use crate::sessions::SessionKey;
use crate::store::StoreError;

/// Largest reply that is taken. Each event of it carries the text so far, and four of them must fit what a connection
/// may have unsent; it is also far more than people read.
const MAX_REPLY: usize = 256 * 1024;
/// Chunks that are taken together when they are there together, so that a burst of tokens is one event.
const MAX_BURST: usize = 64;
/// Times that a model may ask for tools in one run. Work that takes more is in a circle, and costs money.
const MAX_ROUNDS: usize = 64;
/// Times that a conversation is halved for a model that finds it too large.
const MAX_NARROWINGS: usize = 2;
/// Longest summary that is taken.
const MAX_SUMMARY: usize = 16 * 1024;
/// What a model is told that writes a summary.
const SUMMARISE: &str = "You are given the older part of a conversation between a user and an assistant. Write a summary by \
which the assistant can go on with it: what the user wants, what was decided and done, names, paths and numbers that matter, \
and what is still open. Write nothing else.";

impl Runs {
    /// Has the conversation of a run, up to a reply that asks for no more tools. `system` is what [`Runs::instructions`]
    /// made.
    pub(super) async fn converse(
        &self,
        run: &Run,
        (session, hops): (&SessionKey, u8),
        system: &str,
        turn: &mut Turn,
    ) -> Result<StopReason, Failure> {
        let toolbox = Toolbox::open(self, session, hops).await;
        self.sum_up(run, turn, &toolbox).await?;
        for _ in 0..=MAX_ROUNDS {
            let reason = self.ask(run, session, turn, system, &toolbox).await?;
            if turn.calls.is_empty() {
                return Ok(reason);
            }
            run.voice().message_over();
            self.use_tools(run, turn, &toolbox).await?;
        }
        Err(format!("Error: the model asked for tools more than {MAX_ROUNDS} times").into())
    }

    /// What the model is told before the conversation.
    pub(super) async fn instructions(&self, session: &SessionKey, job: &Job) -> String {
        let parts = self.parts();
        let workspace = parts.workspace(session.agent());
        let most = parts.config.agents.defaults.bootstrap_max_chars.get();
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let files = tokio::task::spawn_blocking(move || tools::bootstrap_files(&workspace, most));
        // A task that reads files does not panic; without them there is still somebody to talk to.
        let files = files.await.unwrap_or_default();
        prompt::system(
            parts.agent(session.agent()),
            &files,
            job.extra_system.as_deref(),
        )
    }

    /// Asks for one message: the chosen model, and where its provider fails before it has said anything, the others.
    async fn ask(
        &self,
        run: &Run,
        session: &SessionKey,
        turn: &mut Turn,
        system: &str,
        toolbox: &Toolbox,
    ) -> Result<StopReason, Failure> {
        turn.asked_at = self.clock().now_ms();
        let candidates = self.models().candidates(session.agent(), &turn.choice);
        let mut candidates = candidates.into_iter();
        // There is at least the chosen one.
        let first = candidates.next();
        turn.choice = first.unwrap_or_else(|| turn.choice.clone());
        let mut narrowings = 0;
        loop {
            let error = match self.ask_one(run, turn, system, toolbox).await {
                Ok(reason) => {
                    self.models().succeeded(&turn.choice.provider);
                    return Ok(reason);
                }
                Err(Trouble::Store(error)) => return Err(error.into()),
                Err(Trouble::Model(error)) => error,
            };
            let has_begun = !turn.text.is_empty() || !turn.calls.is_empty();
            if error.is_overflow() && !has_begun && narrowings < MAX_NARROWINGS {
                narrowings += 1;
                self.narrow(run, turn, toolbox).await?;
                continue;
            }
            if !error.is_of_provider() {
                return Err(error.into());
            }
            let Choice {
                provider, model, ..
            } = &turn.choice;
            self.models().failed(provider);
            match candidates.next() {
                Some(next) if !has_begun => {
                    tracing::warn!(provider, model, %error, next = next.model, "a model failed, asking another");
                    turn.choice = next;
                    turn.narrowed = None;
                }
                _ => return Err(error.into()),
            }
        }
    }

    /// Asks one model, and passes its words on as they come.
    async fn ask_one(
        &self,
        run: &Run,
        turn: &mut Turn,
        system: &str,
        toolbox: &Toolbox,
    ) -> Result<StopReason, Trouble> {
        // Those of a model that failed are of no use to the next.
        turn.thoughts.clear();
        let request = self.request(turn, system, toolbox.specs())?;
        let backend = self.models().backend(&turn.choice, toolbox.workspace())?;
        let mut bursts = backend.stream(request).ready_chunks(MAX_BURST);
        while let Some(burst) = bursts.next().await {
            let stopped = turn.take(burst);
            run.voice().text(&turn.text);
            if let Some(reason) = stopped? {
                if turn.calls.is_empty() {
                    run.voice().text(&turn.shown());
                }
                return Ok(reason);
            }
        }
        Err(BackendError::CutOff.into())
    }

    fn request(
        &self,
        turn: &Turn,
        system: &str,
        tools: std::sync::Arc<[ToolSpec]>,
    ) -> Result<ModelRequest, StoreError> {
        let stored = self.stored(turn)?;
        let choice = turn.told();
        Ok(ModelRequest {
            model: choice.model.clone(),
            system: system.to_owned(),
            turns: stored.turns(&choice),
            thinking: choice.reasoning.then_some(turn.thinking),
            tools,
            max_tokens: choice.max_tokens,
        })
    }

    /// Runs the tools that a message calls, one after the other, and puts all of it into the transcript.
    async fn use_tools(
        &self,
        run: &Run,
        turn: &mut Turn,
        toolbox: &Toolbox,
    ) -> Result<(), Failure> {
        let calls = std::mem::take(&mut turn.calls);
        let text = std::mem::take(&mut turn.text).trim().to_owned();
        let ended = Ended::Whole(StopReason::ToolUse);
        let thoughts = std::mem::take(&mut turn.thoughts);
        let said = Said {
            text: &text,
            calls: &calls,
            thoughts: &thoughts,
        };
        let message = messages::assistant(said, &turn.choice, &turn.usage, &ended, turn.asked_at);
        // Before anything is done: what was done must be explained by what was said.
        self.note(turn, message).await?;
        if !text.is_empty() {
            turn.before.push(text);
        }
        for call in &calls {
            let output = self.run_tool(run, toolbox, call).await;
            let message = messages::tool_result(call, &output, self.clock().now_ms());
            self.note(turn, message).await?;
        }
        Ok(())
    }

    async fn run_tool(&self, run: &Run, toolbox: &Toolbox, call: &Call) -> Output {
        run.voice().tool_start(call);
        let progress = |partial: &str| run.voice().tool_update(call, partial);
        let output = toolbox.call(call, &progress).await;
        run.voice().tool_result(call, &output);
        output
    }

    async fn note(&self, turn: &Turn, message: Value) -> Result<(), StoreError> {
        let session_id = turn.session_id.clone();
        let noted = self
            .sessions()
            .write(move |changes| changes.append(&session_id, &message));
        noted.await.map(|_| ())
    }

    /// Has the older part of a long conversation summed up by its model. Without a summary the conversation goes on with as
    /// much as fits.
    async fn sum_up(&self, run: &Run, turn: &Turn, toolbox: &Toolbox) -> Result<(), StoreError> {
        let stored = self.stored(turn)?;
        let Some(plan) = stored.plan(&turn.told()) else {
            return Ok(());
        };
        run.voice().compaction_start();
        match self.summary(turn, plan.old, toolbox).await {
            Ok(summary) => {
                let now = self.clock().now_ms();
                let message = messages::compaction(&summary, plan.kept, now);
                self.note(turn, message).await?;
            }
            Err(error) => {
                tracing::warn!(%error, run = run.id, "a conversation could not be summed up");
            }
        }
        run.voice().compaction_end(turn.narrowed.is_some());
        Ok(())
    }

    /// The conversation was too large for the model, whatever its configuration says: half of it must do.
    async fn narrow(
        &self,
        run: &Run,
        turn: &mut Turn,
        toolbox: &Toolbox,
    ) -> Result<(), StoreError> {
        let tokens = self.stored(turn)?.tokens(&turn.told());
        turn.narrowed = Some(tokens / 2);
        self.sum_up(run, turn, toolbox).await
    }

    fn stored(&self, turn: &Turn) -> Result<Stored, StoreError> {
        let sessions = self.sessions();
        sessions.read(|reader| Stored::load(reader, &turn.session_id))
    }

    async fn summary(
        &self,
        turn: &Turn,
        old: String,
        toolbox: &Toolbox,
    ) -> Result<String, BackendError> {
        let request = ModelRequest {
            model: turn.choice.model.clone(),
            system: SUMMARISE.to_owned(),
            turns: vec![Told::User {
                text: old,
                images: Vec::new(),
            }],
            thinking: None,
            tools: Vec::new().into(),
            max_tokens: turn.choice.max_tokens,
        };
        let mut chunks = self
            .models()
            .backend(&turn.choice, toolbox.workspace())?
            .stream(request);
        let mut summary = String::new();
        while let Some(chunk) = chunks.next().await {
            match chunk? {
                Chunk::Delta(delta) if summary.len() + delta.len() > MAX_SUMMARY => {
                    return Err(BackendError::TooLarge { limit: MAX_SUMMARY });
                }
                Chunk::Delta(delta) => summary.push_str(&delta),
                Chunk::Done(_) if !summary.trim().is_empty() => {
                    return Ok(summary.trim().to_owned());
                }
                Chunk::Done(_) => break,
                Chunk::Thought(_) | Chunk::Call(_) | Chunk::Usage(_) => {}
            }
        }
        Err(BackendError::CutOff)
    }
}

/// Why a message did not come.
enum Trouble {
    Model(BackendError),
    Store(StoreError),
}

impl From<BackendError> for Trouble {
    fn from(error: BackendError) -> Self {
        Self::Model(error)
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Turn {
    /// The model, with the window that it has turned out to have.
    fn told(&self) -> Choice {
        let window = self.choice.context_tokens;
        Choice {
            context_tokens: self
                .narrowed
                .map_or(window, |narrowed| narrowed.min(window)),
            ..self.choice.clone()
        }
    }

    /// Takes in what arrived; the reason once the message is complete.
    fn take(
        &mut self,
        burst: Vec<Result<Chunk, BackendError>>,
    ) -> Result<Option<StopReason>, BackendError> {
        let mut stopped = None;
        for chunk in burst {
            match chunk? {
                Chunk::Delta(delta) if self.text.len() + delta.len() > MAX_REPLY => {
                    return Err(BackendError::TooLarge { limit: MAX_REPLY });
                }
                Chunk::Delta(delta) => self.text.push_str(&delta),
                Chunk::Call(_) if self.calls.len() >= MAX_CALLS => {
                    return Err(BackendError::TooManyCalls { limit: MAX_CALLS });
                }
                Chunk::Call(call) => self.calls.push(call),
                Chunk::Thought(thought) => self.thoughts.push(thought),
                Chunk::Usage(usage) => self.usage = usage,
                Chunk::Done(reason) => stopped = Some(reason),
            }
        }
        Ok(stopped)
    }
}
