//! What a start makes of the runs that the last process left behind. None is carried on: who knows what its tools have done
//! already. Each ends as an error that says so, and its conversation is made whole: the user's words are in it, every call
//! of a tool has a result, and an end stands where the reply would.
//!
//! Called by [`super::Runs::open`], before anybody can ask for a run.

use std::collections::HashSet;
use std::ops::ControlFlow;

use openclaw_protocol::protocol::limits;
use serde_json::Value;

use super::backend::{Call, Turn, Usage};
use super::messages::{self, Ended as MessageEnd};
use super::models::Choice;
use super::outcome::{self, Debt, End, Ended, Header, Owed, Record, RunKey};
use super::parts::Parts;
use super::tools::Output;
use super::turn::open_entry;
use crate::sessions::{Changes, SessionKey, transcript};
use crate::store::{Reader, StoreError};

/// What a run without an end is said to have died of.
pub(super) const RESTARTED: &str = "gateway restarted during the run";

/// What stands for the result of a tool that was at work.
const NO_RESULT: &str = "There is no result: the gateway was stopped before the tool had ended. It may have done its work, \
as a whole or in part.";

/// A run that was cut.
struct Cut {
    key: RunKey,
    header: Header,
    /// Where it was to speak, and by which model.
    place: Option<(SessionKey, Choice)>,
}

/// Ends the runs that were cut, forgets what is too old, and tells of all others how they ended.
pub(super) async fn recover(parts: &Parts) -> Result<Vec<(RunKey, Ended)>, StoreError> {
    let now = parts.clock.now_ms();
    let (mut ended, mut cut, mut stale) = (Vec::new(), Vec::new(), Vec::new());
    for (key, header) in parts.sessions.read(outcome::all)? {
        match (header.end, header.ended_at) {
            (None, _) => cut.push((
                key,
                Header {
                    end: None,
                    ..header
                },
            )),
            (Some(end), Some(ended_at)) if now.saturating_sub(ended_at) < limits::DEDUPE_TTL_MS => {
                let started_at = header.started_at;
                ended.push((
                    key,
                    Ended {
                        started_at,
                        ended_at,
                        end,
                    },
                ));
            }
            (Some(_), ended_at) => stale.push((ended_at.unwrap_or(0), key)),
        }
    }
    cut.sort_by_key(|(_, header)| header.debt.as_ref().map(|debt| debt.number));
    let mut cuts = Vec::with_capacity(cut.len());
    for (key, header) in cut {
        tracing::warn!(
            accepted_at = header.accepted_at,
            "a run was cut by the end of the last gateway"
        );
        let place = match &header.debt {
            Some(debt) => Some(place(parts, debt)?),
            None => None,
        };
        let end = End::Failed(RESTARTED.to_owned());
        ended.push((
            key,
            Ended {
                started_at: header.started_at,
                ended_at: now,
                end,
            },
        ));
        cuts.push(Cut { key, header, place });
    }
    let written = parts.sessions.write(move |changes| {
        for cut in cuts {
            end_run(changes, cut, now)?;
        }
        outcome::delete(changes.writer(), &stale)
    });
    written.await?;
    Ok(ended)
}

fn place(parts: &Parts, debt: &Debt) -> Result<(SessionKey, Choice), StoreError> {
    let session = parts.sessions.key(&debt.session);
    let entry = parts.sessions.entry(&session)?;
    let choice = parts.models.choose(session.agent(), entry.as_ref());
    Ok((session, choice))
}

fn end_run(changes: &mut Changes<'_, '_>, cut: Cut, now: u64) -> Result<(), StoreError> {
    let Cut { key, header, place } = cut;
    let record = Record {
        started_at: header.started_at,
        ended_at: Some(now),
        end: Some(End::Failed(RESTARTED.to_owned())),
        ..Record::accepted(header.space, header.accepted_at)
    };
    if let (Some(debt), Some((session, choice))) = (header.debt, place) {
        pay(changes, debt.owed, &session, &choice, now)?;
    }
    record.put(changes.writer(), &key)
}

/// Makes a conversation whole.
fn pay(
    changes: &mut Changes<'_, '_>,
    owed: Owed,
    session: &SessionKey,
    choice: &Choice,
    now: u64,
) -> Result<(), StoreError> {
    let anew = matches!(owed, Owed::Words { anew: true, .. });
    let mut entry = open_entry(changes, session, anew, now)?;
    match owed {
        Owed::Words { message, .. } => {
            changes.append(&entry.session_id, &message)?;
        }
        // The session was reset meanwhile: nobody will read on.
        Owed::End { transcript } if transcript != entry.session_id => return Ok(()),
        Owed::End { transcript } => {
            for call in open_calls(&changes.writer().reader(), &transcript)? {
                let result = messages::tool_result(&call, &Output::bad(NO_RESULT), now);
                changes.append(&transcript, &result)?;
            }
        }
    }
    let end = MessageEnd::Broken(RESTARTED.to_owned());
    let message = messages::assistant(
        messages::Said::default(),
        choice,
        &Usage::default(),
        &end,
        now,
    );
    changes.append(&entry.session_id, &message)?;
    entry.touch(now);
    changes.put_entry(session, &entry)
}

/// The calls at the end of a transcript that have no result, in their order. Tools are used one message at a time, so only
/// the last message that calls any can have some.
fn open_calls(reader: &Reader<'_>, session_id: &str) -> Result<Vec<Call>, StoreError> {
    let (mut done, mut open) = (HashSet::new(), Vec::new());
    transcript::back(reader, session_id, |message| {
        let message: Option<Value> = serde_json::from_str(message.get()).ok();
        match message.and_then(|message| messages::turn(&message, false)) {
            Some(Turn::Result { call_id, .. }) => {
                done.insert(call_id);
                ControlFlow::Continue(())
            }
            Some(Turn::Assistant { calls, .. }) if !calls.is_empty() => {
                open = calls;
                ControlFlow::Break(())
            }
            Some(Turn::User { .. }) => ControlFlow::Break(()),
            // What was sent to the conversation meanwhile.
            Some(Turn::Assistant { .. }) | None => ControlFlow::Continue(()),
        }
    })?;
    open.retain(|call| !done.contains(&call.id));
    Ok(open)
}
