//! Writing how a turn ended: transcript, counters, outcome, and what goes to others, in one change.

use super::super::aftermath::refusal;
use super::super::messages::{self, Ended as MessageEnd, Said};
use super::super::outcome::{End, Ended, Record, Space};
use super::super::run::{Closing, Run};
use super::super::runs::Runs;
use super::{Failure, Outcome, Turn, entry_or_new};
use crate::outbox::Posted;
use crate::sessions::{Changes, Entry, SessionKey};
use crate::store::StoreError;

impl Runs {
    /// Writes the end of a run: reply, counters and outcome in one change.
    pub(super) async fn settle(&self, run: &Run, turn: Option<Turn>, outcome: Outcome) -> Closing {
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
            ..run.record()
        };
        let (key, session, is_agent) = (run.key, run.session.clone(), run.space == Space::Agent);
        let due = self.due(run, reply.is_some());
        let (ending, said) = (end.clone(), reply.clone());
        let written = self.sessions().write(move |changes| {
            if let Some(session) = &session {
                conclude(changes, session, turn.as_ref(), &outcome, ended_at)?;
            }
            let posted = due.put(changes, (&ending, said.as_ref()), ended_at)?;
            let record = Record {
                // Only a repeated `agent` key gets the reply again.
                reply: said.filter(|_| is_agent),
                undelivered: posted.as_ref().and_then(refusal),
                ..record
            };
            record.put(changes.writer(), &key)?;
            Ok(posted)
        });
        match written.await {
            Ok(posted) => Closing {
                ended: Ended {
                    started_at,
                    ended_at,
                    end,
                },
                reply,
                delivery: posted.map(Posted::send_off),
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
                    delivery: None,
                }
            }
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
