//! Group `sessions`: `sessions.list`.

use openclaw_protocol::server::SessionsMethods;
use openclaw_protocol::types::{ErrorShape, SessionsListParams, SessionsListResult};
use openclaw_protocol::unfinished;

use super::{Methods, unreadable};
use crate::connection::Caller;

impl SessionsMethods<Caller> for Methods {
    unfinished!(Caller: sessions_preview, sessions_resolve);

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
}
