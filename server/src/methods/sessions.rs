//! Group `sessions`: `sessions.list`, `sessions.preview`, `sessions.resolve`.

use openclaw_protocol::server::SessionsMethods;
use openclaw_protocol::types::{
    ErrorShape, SessionsListParams, SessionsListResult, SessionsPreviewParams,
    SessionsPreviewResult, SessionsResolveParams, SessionsResolveResult,
};

use super::{Methods, unreadable};
use crate::connection::Caller;
use crate::sessions::ResolveError;

impl SessionsMethods<Caller> for Methods {
    async fn sessions_list(
        &self,
        _: &Caller,
        params: SessionsListParams,
    ) -> Result<SessionsListResult, ErrorShape> {
        let (sessions, defaults, now) = (
            self.sessions.clone(),
            self.runs.parts().session_defaults(),
            self.clock.now_ms(),
        );
        self.aside(move || {
            sessions
                .list(&params, now, defaults)
                .map_err(|error| unreadable(&error))
        })
        .await
    }

    async fn sessions_preview(
        &self,
        _: &Caller,
        params: SessionsPreviewParams,
    ) -> Result<SessionsPreviewResult, ErrorShape> {
        let (sessions, now) = (self.sessions.clone(), self.clock.now_ms());
        self.aside(move || Ok(sessions.previews(&params, now)))
            .await
    }

    async fn sessions_resolve(
        &self,
        _: &Caller,
        params: SessionsResolveParams,
    ) -> Result<SessionsResolveResult, ErrorShape> {
        let sessions = self.sessions.clone();
        self.aside(move || match sessions.resolve(&params) {
            Ok(key) => Ok(SessionsResolveResult::new(true, key)),
            Err(ResolveError::Refused(error)) => Err(error),
            Err(ResolveError::Store(error)) => Err(unreadable(&error)),
        })
        .await
    }
}
