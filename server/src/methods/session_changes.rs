//! Group `session-changes`: `sessions.patch`, `sessions.reset`, `sessions.delete`, `sessions.compact`.

use openclaw_protocol::protocol::{errors, limits};
use openclaw_protocol::server::SessionChangesMethods;
use openclaw_protocol::types::{
    ErrorShape, SessionsCompactParams, SessionsCompactReason, SessionsCompactResult,
    SessionsDeleteParams, SessionsDeleteResult, SessionsPatchParams, SessionsPatchResult,
    SessionsResetParams, SessionsResetResult,
};

use super::{Methods, unreadable};
use crate::connection::Caller;
use crate::sessions::{Compacted, SessionKey};

impl Methods {
    /// The session that a key names; a blank one is refused here, though it means the main session elsewhere.
    fn changed_key(&self, raw: &str) -> Result<SessionKey, ErrorShape> {
        if raw.trim().is_empty() {
            return Err(errors::SESSION_KEY_REQUIRED.error());
        }
        Ok(self.sessions.key(raw))
    }
}

impl SessionChangesMethods<Caller> for Methods {
    async fn sessions_patch(
        &self,
        _: &Caller,
        params: SessionsPatchParams,
    ) -> Result<SessionsPatchResult, ErrorShape> {
        let (key, now) = (self.changed_key(&params.key)?, self.clock.now_ms());
        let wished = params.model.as_ref();
        let wished = wished.map(|name| name.as_ref().map(|name| name.as_str()));
        let (facts, changed) = (self.runs.model_facts(&key, wished), key.clone());
        let patched = self
            .sessions
            .write(move |changes| changes.patch(&changed, &params, &facts, now))
            .await
            .map_err(|error| unreadable(&error))?;
        let entry = patched.map_err(|refusal| refusal.shape())?;
        Ok(SessionsPatchResult::new(
            true,
            self.sessions.shown_path(key.agent()),
            key.canonical().to_owned(),
            entry.shown(),
        ))
    }

    async fn sessions_reset(
        &self,
        _: &Caller,
        params: SessionsResetParams,
    ) -> Result<SessionsResetResult, ErrorShape> {
        let (key, now) = (self.changed_key(&params.key)?, self.clock.now_ms());
        let changed = key.clone();
        let entry = self
            .sessions
            .write(move |changes| changes.reset(&changed, now))
            .await
            .map_err(|error| unreadable(&error))?;
        let key = key.canonical().to_owned();
        Ok(SessionsResetResult::new(true, key, entry.shown()))
    }

    async fn sessions_delete(
        &self,
        _: &Caller,
        params: SessionsDeleteParams,
    ) -> Result<SessionsDeleteResult, ErrorShape> {
        let key = self.changed_key(&params.key)?;
        let with_transcript = params.delete_transcript.unwrap_or(true);
        self.runs.delete_session(key, with_transcript).await
    }

    async fn sessions_compact(
        &self,
        _: &Caller,
        params: SessionsCompactParams,
    ) -> Result<SessionsCompactResult, ErrorShape> {
        let (key, now) = (self.changed_key(&params.key)?, self.clock.now_ms());
        let keep = params.max_lines.unwrap_or(limits::COMPACT_LINES_DEFAULT);
        let changed = key.clone();
        let outcome = self
            .sessions
            .write(move |changes| changes.compact(&changed, keep, now))
            .await
            .map_err(|error| unreadable(&error))?;
        let is_cut = matches!(outcome, Compacted::Cut { .. });
        let mut result = SessionsCompactResult::new(true, key.canonical().to_owned(), is_cut);
        match outcome {
            Compacted::NoSession => result.reason = Some(SessionsCompactReason::NoSessionId),
            Compacted::NoTranscript => result.reason = Some(SessionsCompactReason::NoTranscript),
            Compacted::Short { lines, .. } => result.kept = Some(lines),
            Compacted::Cut { kept, whole } => {
                result.kept = Some(kept);
                result.archived = Some(self.sessions.shown_file(key.agent(), &whole.name));
            }
        }
        Ok(result)
    }
}
