//! Carrying a run: waiting for its turn, having the conversation ([`super::converse`]), writing how it ended.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use openclaw_protocol::protocol::errors;

use super::backend::{BackendError, Call, StopReason, Thought, Usage};
use super::commands::{Task, UsageLines};
use super::lanes::Place;
use super::messages::{self, Ended as MessageEnd, Said};
use super::models::Choice;
use super::outcome::{AbortReason, Debt, End, Ended, Owed, Record, Reply, Space};
use super::run::{Closing, Job, Phase, Run};
use super::runs::Runs;
use super::words::Thinking;
use crate::sessions::{Changes, Entry, SessionKey, Waiting, events};
use crate::store::StoreError;

/// Why a run failed: in words for clients, and as transcripts note it.
pub(super) struct Failure {
    text: String,
    noted: String,
}

impl From<BackendError> for Failure {
    fn from(error: BackendError) -> Self {
        Self {
            text: error.to_string(),
            noted: error.transcript_text(),
        }
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self {
            noted: text.clone(),
            text,
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "a run could not use the store");
        "Error: the conversation could not be saved"
            .to_owned()
            .into()
    }
}

/// How a run stopped working.
enum Outcome {
    Completed(StopReason),
    Failed(Failure),
    Aborted(AbortReason),
}

/// A turn that has begun: the user's words are in the transcript.
pub(super) struct Turn {
    pub(super) session_id: String,
    /// Number of the user's message.
    index: u64,
    /// System events that stand before the user's words.
    told: Vec<Waiting>,
    /// The model that answers; another one after a fallback.
    pub(super) choice: Choice,
    /// Tokens that turned out to be too many for the model, halved: what it is told must fit this.
    pub(super) narrowed: Option<u64>,
    /// How hard it is to think, whether or not the model can.
    pub(super) thinking: Thinking,
    started_at: u64,
    /// What was said before tools were used.
    pub(super) before: Vec<String>,
    /// The message under way, and the tools that it calls.
    pub(super) text: String,
    pub(super) calls: Vec<Call>,
    /// What was thought before it.
    pub(super) thoughts: Vec<Thought>,
    /// When it was begun.
    pub(super) asked_at: u64,
    /// Tokens of the last call.
    pub(super) usage: Usage,
    /// Whether what it used is shown under the reply.
    usage_lines: UsageLines,
}

impl Runs {
    /// Carries a run from acceptance to its end. Whatever happens, the run ends.
    pub(super) async fn drive(self, run: Arc<Run>, job: Job, mut place: Option<Place>) {
        if let Task::Command(command) = job.task {
            return self.obey(run, command, place).await;
        }
        let mut turn = None;
        let work =
            AssertUnwindSafe(self.work(&run, &job, place.as_mut(), &mut turn)).catch_unwind();
        let outcome = work.await.unwrap_or_else(|_| {
            tracing::error!(run = run.id, "a run panicked");
            Outcome::Failed(
                "Error: the run failed for an internal reason"
                    .to_owned()
                    .into(),
            )
        });
        let closing = Arc::new(self.settle(&run, turn, outcome).await);
        self.close(&run, &closing);
        match (&closing.ended.end, closing.ended.ended_at) {
            (End::Completed, at) => run.voice().end(at),
            (End::Failed(error), at) => run.voice().fail(closing.ended.started_at, at, error),
            (End::Aborted(_), _) => {}
        }
        // The reply is kept for those who wait; `close` has forgotten the run otherwise.
        run.phase.send_replace(Phase::Over(closing));
        drop(place);
    }

    async fn work(
        &self,
        run: &Run,
        job: &Job,
        place: Option<&mut Place>,
        turn: &mut Option<Turn>,
    ) -> Outcome {
        let (Some(session), Some(place)) = (&run.session, place) else {
            return Outcome::Failed(errors::AGENT_SESSION_REQUIRED.text.to_owned().into());
        };
        let thinking = match job
            .thinking
            .as_deref()
            .map(|word| (word, Thinking::parse(word)))
        {
            Some((word, None)) => return Outcome::Failed(Thinking::refusal(word).into()),
            Some((_, level)) => level,
            None => None,
        };
        if job.timeout.is_zero() {
            return Outcome::Failed(
                "Error: timeout must be a positive number of seconds"
                    .to_owned()
                    .into(),
            );
        }
        let slot = match self.unless_called_off(run, job, self.turn_of(place)).await {
            Ok(slot) => slot,
            Err(reason) => return Outcome::Aborted(reason),
        };
        // Before the run says that it has begun: from then on nothing stands between it and the model.
        let instructions = self.instructions(session, job);
        let system = match self.unless_called_off(run, job, instructions).await {
            Ok(system) => system,
            Err(reason) => return Outcome::Aborted(reason),
        };
        // Not cut short by an abort, which would not know whether the words have been written.
        let turn = match self.begin(run, session, job, thinking).await {
            Ok(begun) => turn.insert(begun),
            Err(error) => return Outcome::Failed(error.into()),
        };
        let conversation = self.converse(run, (session, job.hops), &system, turn);
        let conversation = tokio::time::timeout(job.timeout, conversation);
        let outcome = match self.unless_called_off(run, job, conversation).await {
            Err(reason) => Outcome::Aborted(reason),
            Ok(Ok(Ok(reason))) => Outcome::Completed(reason),
            Ok(Ok(Err(failure))) => Outcome::Failed(failure),
            Ok(Err(_)) => Outcome::Failed(
                format!(
                    "Error: the run took longer than {} s",
                    job.timeout.as_secs()
                )
                .into(),
            ),
        };
        drop(slot);
        outcome
    }

    /// `work`, unless somebody or the clock calls the run off before it is done.
    async fn unless_called_off<T>(
        &self,
        run: &Run,
        job: &Job,
        work: impl Future<Output = T>,
    ) -> Result<T, AbortReason> {
        let expired = async {
            match job.expires {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            reason = run.called_off() => Err(reason),
            () = expired => {
                run.call_off(AbortReason::Timeout);
                Err(run.called_off().await)
            }
            done = work => Ok(done),
        }
    }

    /// Puts the user's words into the transcript, with the events that waited for them, and settles which model answers.
    async fn begin(
        &self,
        run: &Run,
        session: &SessionKey,
        job: &Job,
        thinking: Option<Thinking>,
    ) -> Result<Turn, StoreError> {
        let now = self.clock().now_ms();
        let (key, words, images) = (session.clone(), job.text.clone(), job.images.clone());
        let anew = job.task == Task::TurnAnew;
        let (record, number) = (run.key, run.number);
        let accepted = Record::accepted(run.space, run.accepted_at);
        let written = self.sessions().write(move |changes| {
            let entry = open_entry(changes, &key, anew, now)?;
            let told = changes.take_events(&key)?;
            let message = messages::user(&events::before(&told, &words), &images, now);
            let index = changes.append(&entry.session_id, &message)?;
            let debt = Debt {
                number,
                session: key.canonical().to_owned(),
                owed: Owed::End {
                    transcript: entry.session_id.clone(),
                },
            };
            let begun = Record {
                started_at: Some(now),
                debt: Some(debt),
                ..accepted
            };
            begun.put(changes.writer(), &record)?;
            Ok((entry, index, told))
        });
        let (entry, index, told) = written.await?;
        let choice = match &job.model {
            None => self.models().choose(session.agent(), Some(&entry)),
            Some(model) => {
                let entry = Entry {
                    provider_override: None,
                    model_override: Some(model.clone()),
                    ..entry.clone()
                };
                self.models().choose(session.agent(), Some(&entry))
            }
        };
        let thinking =
            thinking.unwrap_or_else(|| self.parts().thinking_level(&choice, Some(&entry)));
        let started_at = self.clock().now_ms();
        let shows_tools = self.parts().shows_tools(&entry);
        run.voice().start(started_at, shows_tools);
        Ok(Turn {
            usage_lines: UsageLines::of(&entry),
            session_id: entry.session_id,
            index,
            told,
            thinking,
            choice,
            started_at,
            before: Vec::new(),
            narrowed: None,
            text: String::new(),
            calls: Vec::new(),
            thoughts: Vec::new(),
            asked_at: started_at,
            usage: Usage::default(),
        })
    }

    /// Writes the end of a run: reply, counters and outcome in one change.
    async fn settle(&self, run: &Run, turn: Option<Turn>, outcome: Outcome) -> Closing {
        let outcome = match outcome {
            Outcome::Aborted(reason) => Outcome::Aborted(reason),
            // An abort that came first has been announced.
            other if run.voice().settle() => other,
            _ => Outcome::Aborted(run.called_off().await),
        };
        let (ended_at, started_at) = (
            self.clock().now_ms(),
            turn.as_ref().map(|turn| turn.started_at),
        );
        let end = match &outcome {
            Outcome::Completed(_) => End::Completed,
            Outcome::Failed(failure) => End::Failed(failure.text.clone()),
            Outcome::Aborted(reason) => End::Aborted(*reason),
        };
        let reply = match (&outcome, &turn) {
            (Outcome::Completed(_), Some(turn)) => Some(turn.reply(ended_at)),
            _ => None,
        };
        let record = Record {
            started_at,
            ended_at: Some(ended_at),
            end: Some(end.clone()),
            // Only a repeated `agent` key gets the reply again.
            reply: reply.clone().filter(|_| run.space == Space::Agent),
            ..Record::accepted(run.space, run.accepted_at)
        };
        let (key, session) = (run.key, run.session.clone());
        let written = self.sessions().write(move |changes| {
            if let Some(session) = &session {
                conclude(changes, session, turn.as_ref(), &outcome, ended_at)?;
            }
            record.put(changes.writer(), &key)
        });
        match written.await {
            Ok(()) => Closing {
                ended: Ended {
                    started_at,
                    ended_at,
                    end,
                },
                reply,
            },
            Err(error) => {
                let end = match end {
                    End::Completed => End::Failed(Failure::from(error).text),
                    other => {
                        tracing::error!(%error, run = run.id, "the end of a run could not be saved");
                        other
                    }
                };
                Closing {
                    ended: Ended {
                        started_at,
                        ended_at,
                        end,
                    },
                    reply: None,
                }
            }
        }
    }
}

impl Turn {
    /// The whole reply as people see it.
    pub(super) fn shown(&self) -> String {
        self.usage_lines
            .under(self.text.trim(), &self.usage, &self.choice)
    }

    fn reply(&self, ended_at: u64) -> Reply {
        Reply {
            before: self.before.clone(),
            text: self.shown(),
            session_id: self.session_id.clone(),
            provider: self.choice.provider.clone(),
            model: self.choice.model.clone(),
            usage: self.usage,
            duration_ms: ended_at.saturating_sub(self.started_at),
        }
    }
}

/// The entry that a turn belongs to: the session's, one that begins anew, or a new one.
pub(super) fn open_entry(
    changes: &mut Changes<'_, '_>,
    key: &SessionKey,
    anew: bool,
    now: u64,
) -> Result<Entry, StoreError> {
    if anew {
        changes.begin_anew(key, now)
    } else {
        entry_or_new(changes, key, now)
    }
}

fn entry_or_new(
    changes: &mut Changes<'_, '_>,
    key: &SessionKey,
    now: u64,
) -> Result<Entry, StoreError> {
    match changes.entry(key)? {
        Some(entry) => Ok(entry),
        None => {
            let entry = Entry::new(now);
            changes.put_entry(key, &entry)?;
            Ok(entry)
        }
    }
}

/// What the end of a run leaves in transcript and entry.
fn conclude(
    changes: &mut Changes<'_, '_>,
    session: &SessionKey,
    turn: Option<&Turn>,
    outcome: &Outcome,
    now: u64,
) -> Result<(), StoreError> {
    let mut entry = entry_or_new(changes, session, now)?;
    entry.touch(now);
    // The session of a cron job says so only when it was (seen in the recordings).
    let was_aborted = matches!(outcome, Outcome::Aborted(_));
    entry.aborted_last_run = (was_aborted || !session.is_cron_job()).then_some(was_aborted);
    if let Some(turn) = turn {
        let ended = match outcome {
            Outcome::Completed(reason) => Some(MessageEnd::Whole(*reason)),
            Outcome::Failed(failure) => Some(MessageEnd::Broken(failure.noted.clone())),
            Outcome::Aborted(_) => None,
        };
        match ended {
            Some(ended) => {
                let said = Said {
                    text: turn.text.trim(),
                    ..Said::default()
                };
                let message =
                    messages::assistant(said, &turn.choice, &turn.usage, &ended, turn.asked_at);
                changes.append(&turn.session_id, &message)?;
            }
            // A conversation that never got an answer has not begun (seen in the recordings).
            None if turn.index == 0 && changes.take_back(&turn.session_id, turn.index)? => {
                // Nobody was told what went with it.
                changes.give_events_back(session, turn.told.clone())?;
            }
            None => {}
        }
        // A session that was reset meanwhile keeps its new counters.
        if entry.session_id == turn.session_id {
            count(&mut entry, turn);
        }
    }
    changes.put_entry(session, &entry)
}

fn count(entry: &mut Entry, turn: &Turn) {
    let Turn { choice, usage, .. } = turn;
    entry.model_provider = Some(choice.provider.clone());
    entry.model = Some(choice.model.clone());
    entry.context_tokens = Some(choice.context_tokens);
    if usage.total() > 0 {
        entry.input_tokens = Some(usage.input);
        entry.output_tokens = Some(usage.output);
        entry.total_tokens = Some(usage.prompt());
    }
}
