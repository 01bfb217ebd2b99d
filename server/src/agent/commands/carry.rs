//! Carrying a command: its effect on the session, its answer and its record in one write, then one `final` chat event.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use openclaw_protocol::protocol::{errors, limits};
use openclaw_protocol::types::{ChatMessage, ResponseUsageChoice};
use serde_json::json;

use super::super::aftermath::refusal;
use super::super::lanes::Place;
use super::super::outcome::{AbortReason, End, Ended, Record, Reply, Space};
use super::super::run::{Closing, Phase, Run};
use super::super::runs::Runs;
use super::{Command, replies};
use crate::outbox::{Pending, Posted};
use crate::sessions::levels::{self, Thinking};
use crate::sessions::{
    Changes, Entry, SessionKey, choose_model, injected, stored_usage, transcript,
};
use crate::store::StoreError;

/// The words by which levels are chosen, as answers list them.
const VERBOSE_WORDS: &str = "on, off, full";
const THINKING_WORDS: &str = "off, minimal, low, medium, high";
const USAGE_WORDS: &str = "off, tokens, full";
/// The word that stands for the configured model.
const DEFAULT_MODEL: &str = "default";

/// What a command does inside its write; returns the answer.
type Effect =
    Box<dyn FnOnce(&mut Changes<'_, '_>, &SessionKey, u64) -> Result<String, StoreError> + Send>;

/// What a command said.
struct Answer {
    message: ChatMessage,
    reply: Reply,
    /// What becomes of it on its way to people.
    delivery: Option<Pending>,
}

/// How a command did not get its answer.
enum Failure {
    Failed(String),
    CalledOff(AbortReason),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "a command could not use the store");
        Self::Failed("Error: the conversation could not be saved".to_owned())
    }
}

impl Runs {
    /// Carries a command from acceptance to its end. Whatever happens, the run ends.
    pub(in crate::agent) async fn obey(
        self,
        run: Arc<Run>,
        command: Command,
        mut place: Option<Place>,
    ) {
        let work = AssertUnwindSafe(self.carry(&run, &command, place.as_mut())).catch_unwind();
        let carried = work.await.unwrap_or_else(|_| {
            tracing::error!(run = run.id, "a command panicked");
            Err(Failure::Failed(
                "Error: the command failed for an internal reason".to_owned(),
            ))
        });
        let now = self.clock().now_ms();
        let (end, answer) = match carried {
            Ok(answer) => (End::Completed, Some(answer)),
            Err(Failure::Failed(text)) => (End::Failed(text), None),
            Err(Failure::CalledOff(reason)) => (End::Aborted(reason), None),
        };
        if answer.is_none() {
            self.record_end(&run, &end, now).await;
        }
        let (message, reply, delivery) = match answer {
            Some(answer) => (Some(answer.message), Some(answer.reply), answer.delivery),
            None => (None, None, None),
        };
        let ended = Ended {
            started_at: None,
            ended_at: now,
            end,
        };
        let closing = Arc::new(Closing {
            ended,
            reply,
            delivery,
        });
        self.close(&run, &closing);
        match (&closing.ended.end, &message) {
            (End::Completed, Some(message)) => run.voice().answer(message),
            (End::Failed(error), _) => run.voice().fail(None, now, error),
            (End::Completed | End::Aborted(_), _) => {}
        }
        run.phase.send_replace(Phase::Over(closing));
        drop(place);
    }

    async fn carry(
        &self,
        run: &Run,
        command: &Command,
        place: Option<&mut Place>,
    ) -> Result<Answer, Failure> {
        let Some(session) = run.session.clone() else {
            return Err(Failure::Failed(
                errors::AGENT_SESSION_REQUIRED.text.to_owned(),
            ));
        };
        if let Some(place) = place {
            tokio::select! {
                biased;
                reason = run.called_off() => return Err(Failure::CalledOff(reason)),
                () = place.turn() => {}
            }
        }
        if !run.voice().settle() {
            return Err(Failure::CalledOff(run.called_off().await));
        }
        let effect = self.effect(command, &session)?;
        let now = self.clock().now_ms();
        let (key, space, accepted) = (run.key, run.space, run.record());
        let (due, models) = (self.due(run, true), self.clone());
        let written = self.sessions().write(move |changes| {
            let text = effect(changes, &session, now)?;
            let entry = changes.entry(&session)?.unwrap_or_else(|| Entry::new(now));
            let message = injected::message(&text, now);
            changes.append(&entry.session_id, &json!(message))?;
            changes.put_entry(&session, &entry)?;
            let choice = models.models().choose(session.agent(), Some(&entry));
            let reply = Reply {
                before: Vec::new(),
                text,
                session_id: entry.session_id,
                provider: choice.provider,
                model: choice.model,
                usage: Default::default(),
                duration_ms: now.saturating_sub(accepted.accepted_at),
            };
            let posted = due.put(changes, (&End::Completed, Some(&reply)), now)?;
            let record = Record {
                ended_at: Some(now),
                end: Some(End::Completed),
                reply: (space == Space::Agent).then(|| reply.clone()),
                undelivered: posted.as_ref().and_then(refusal),
                ..accepted
            };
            record.put(changes.writer(), &key)?;
            Ok((message, reply, posted))
        });
        let (message, reply, posted) = written.await?;
        Ok(Answer {
            message,
            reply,
            delivery: posted.map(Posted::send_off),
        })
    }

    /// Writes how a command ended that has no answer.
    async fn record_end(&self, run: &Run, end: &End, now: u64) {
        let record = Record {
            ended_at: Some(now),
            end: Some(end.clone()),
            ..run.record()
        };
        let (key, end, due) = (run.key, end.clone(), self.due(run, false));
        let written = self.sessions().write(move |changes| {
            due.put(changes, (&end, None), now)?;
            record.put(changes.writer(), &key)
        });
        if let Err(error) = written.await {
            tracing::error!(%error, run = run.id, "the end of a command could not be saved");
        }
    }

    /// What a command does. Whatever it asks the models and the store for is looked up here, before the write.
    fn effect(&self, command: &Command, session: &SessionKey) -> Result<Effect, StoreError> {
        let entry = self.sessions().entry(session)?.unwrap_or_default();
        let choice = self.models().choose(session.agent(), Some(&entry));
        let spent = replies::Spent {
            input: entry.input_tokens,
            output: entry.output_tokens,
            context: entry.total_tokens,
            window: choice.context_tokens,
        };
        Ok(match command {
            Command::Help => say(replies::help()),
            Command::Status => {
                let id = entry.session_id.clone();
                let status = replies::Status {
                    key: session.canonical(),
                    choice: &choice,
                    is_chosen: entry.model_override.is_some(),
                    thinking: self.parts().thinking_level(&choice, Some(&entry)),
                    verbose: self.parts().verbose_level(Some(&entry)),
                    messages: self
                        .sessions()
                        .read(|reader| transcript::count(reader, &id))?,
                    spent,
                    runs: self.runs_of(session).saturating_sub(1),
                };
                say(status.text())
            }
            Command::Stop => say(replies::stopped(self.call_off_all(session))),
            Command::Think(None) => say(replies::thinking(
                self.parts().thinking_level(&choice, Some(&entry)),
            )),
            Command::Think(Some(said)) => match Thinking::parse(said) {
                Some(level) => self.think(level),
                None => say(replies::unknown_word(said, THINKING_WORDS)),
            },
            Command::Verbose(None) => {
                say(replies::verbose(self.parts().verbose_level(Some(&entry))))
            }
            Command::Verbose(Some(said)) => match levels::verbose(said) {
                Some(level) => set(move |entry| {
                    entry.verbose_level = Some(level.to_owned());
                    format!("Verbose set to {level}.")
                }),
                None => say(replies::unknown_word(said, VERBOSE_WORDS)),
            },
            Command::Model(None) => say(replies::model(&choice, &self.model_names())),
            Command::Model(Some(said)) => self.choose(session, said),
            Command::Usage(None) => say(spent.text()),
            Command::Usage(Some(said)) => {
                match said.to_lowercase().parse::<ResponseUsageChoice>() {
                    Ok(choice) => set(move |entry| {
                        entry.response_usage = stored_usage(choice).map(str::to_owned);
                        match stored_usage(choice) {
                            Some(what) => format!("Replies show their use ({what}) from now on."),
                            None => "Replies do not show their use.".to_owned(),
                        }
                    }),
                    Err(_) => say(replies::unknown_word(said, USAGE_WORDS)),
                }
            }
            Command::Compact(said) => compact(said.as_deref()),
        })
    }

    fn think(&self, level: Thinking) -> Effect {
        let runs = self.clone();
        Box::new(move |changes, session, now| {
            let mut entry = changes.entry(session)?.unwrap_or_else(|| Entry::new(now));
            entry.thinking_level = (level != Thinking::Off).then(|| level.as_str().to_owned());
            entry.touch(now);
            changes.put_entry(session, &entry)?;
            let choice = runs.models().choose(session.agent(), Some(&entry));
            let now = runs.parts().thinking_level(&choice, Some(&entry));
            Ok(replies::thinking_set(level, now))
        })
    }

    fn choose(&self, session: &SessionKey, said: &str) -> Effect {
        let name = (!said.eq_ignore_ascii_case(DEFAULT_MODEL)).then_some(said);
        let facts = self.model_facts(session, Some(name));
        let default = facts.default.joined();
        match facts.wish {
            Some(Ok(wish)) => set(move |entry| {
                choose_model(entry, &wish);
                match (&entry.provider_override, &entry.model_override) {
                    (Some(provider), Some(model)) => format!("Model set to {provider}/{model}."),
                    _ => format!("The configured model answers now: {default}."),
                }
            }),
            Some(Err(refusal)) => say(refusal.to_string()),
            None => say(replies::model(
                &self.models().choose(session.agent(), None),
                &self.model_names(),
            )),
        }
    }
}

/// Only answers.
fn say(text: String) -> Effect {
    Box::new(move |_, _, _| Ok(text))
}

/// Changes the entry.
fn set(change: impl FnOnce(&mut Entry) -> String + Send + 'static) -> Effect {
    Box::new(move |changes, session, now| {
        let mut entry = changes.entry(session)?.unwrap_or_else(|| Entry::new(now));
        let text = change(&mut entry);
        entry.touch(now);
        changes.put_entry(session, &entry)?;
        Ok(text)
    })
}

fn compact(said: Option<&str>) -> Effect {
    let keep = match said {
        None => Some(limits::COMPACT_LINES_DEFAULT),
        Some(said) => said.parse().ok().filter(|keep| *keep > 0),
    };
    match keep {
        Some(keep) => Box::new(move |changes, session, now| {
            Ok(replies::compacted(&changes.compact(session, keep, now)?))
        }),
        None => say(
            "/compact takes the number of messages to keep, such as /compact 50; it does not summarise. Nothing was changed."
                .to_owned(),
        ),
    }
}
