//! A conversation without runs: for changes that none may meet, and for stopping all of them.

use std::sync::Arc;
use std::time::Duration;

use openclaw_protocol::protocol::{errors, limits};
use openclaw_protocol::types::{ErrorShape, SessionsDeleteResult};

use super::lanes::Place;
use super::outcome::AbortReason;
use super::requests::sessions_unreadable;
use super::run::Run;
use super::runs::Runs;
use crate::sessions::SessionKey;

/// The lane of a conversation, held: no run works in it until this is dropped. Runs that are accepted meanwhile wait.
struct Quiet {
    _place: Place,
}

impl Runs {
    /// Removes a conversation, with its transcript if that is wanted (contract 9.6). Its runs are called off first, and
    /// those of the conversations that it has started.
    ///
    /// # Errors
    /// `INVALID_REQUEST` for the default agent's main conversation; `UNAVAILABLE` if a run did not end in time or the
    /// store fails.
    pub async fn delete_session(
        &self,
        session: SessionKey,
        with_transcript: bool,
    ) -> Result<SessionsDeleteResult, ErrorShape> {
        let (rules, canonical) = (self.sessions().rules(), session.canonical().to_owned());
        if session == rules.main(&rules.default_agent) {
            return Err(errors::SESSION_DELETE_MAIN.with(&[("key", &canonical)]));
        }
        let patience = Duration::from_millis(limits::SESSION_DELETE_WAIT_MS);
        let Some(quiet) = self.quiet(&session, patience).await else {
            return Err(errors::SESSION_DELETE_ACTIVE.with(&[("key", &canonical)]));
        };
        let now = self.clock().now_ms();
        let agent = session.agent().to_owned();
        let deleted = self
            .sessions()
            .write(move |changes| changes.delete(&session, with_transcript, now))
            .await
            .map_err(|error| sessions_unreadable(&error))?;
        drop(quiet);
        let archived = deleted.iter().flatten();
        let archived = archived.map(|row| self.sessions().shown_file(&agent, &row.name));
        Ok(SessionsDeleteResult::new(
            true,
            canonical,
            deleted.is_some(),
            archived.collect(),
        ))
    }

    /// Calls off the runs of a conversation and of those that it has started, and waits until its lane is free; none if
    /// that takes longer than `patience`, or too many wait there.
    async fn quiet(&self, session: &SessionKey, patience: Duration) -> Option<Quiet> {
        // A place first: what is accepted from now on comes after it.
        let mut place = self.place(session)?;
        for run in self.active_runs() {
            let Some(of_run) = &run.session else { continue };
            let is_child = || self.sessions().is_child(of_run, session).unwrap_or(false);
            if of_run == session || is_child() {
                run.call_off(AbortReason::Rpc);
            }
        }
        let turn = tokio::time::timeout(patience, place.turn()).await;
        turn.ok().map(|()| Quiet { _place: place })
    }

    /// Calls off all runs of a conversation, by whichever method they were begun; the number of those that were not
    /// over yet.
    pub(super) fn call_off_all(&self, session: &SessionKey) -> usize {
        let runs = self.active_runs().into_iter();
        runs.filter(|run| run.session.as_ref() == Some(session))
            .filter(|run| run.call_off(AbortReason::Stop))
            .count()
    }

    /// Runs of a conversation that are under way or waiting.
    pub(super) fn runs_of(&self, session: &SessionKey) -> usize {
        let is_of = |run: &&Arc<Run>| run.session.as_ref() == Some(session);
        self.active_runs().iter().filter(is_of).count()
    }
}
