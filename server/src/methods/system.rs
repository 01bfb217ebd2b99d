//! Group `system`: presence, system events, the last heartbeat.

use openclaw_protocol::protocol::errors;
use openclaw_protocol::server::SystemMethods;
use openclaw_protocol::types::{
    ErrorShape, HeartbeatEvent, IgnoredParams, OkResult, PresenceList, SystemEventParams,
};
use openclaw_protocol::unfinished;

use super::Methods;
use crate::connection::Caller;
use crate::hub::Beacon;

impl SystemMethods<Caller> for Methods {
    unfinished!(Caller: set_heartbeats, wake);

    /// `null` until the first heartbeat, and there is none before the part that sends them exists.
    async fn last_heartbeat(
        &self,
        _: &Caller,
        _: IgnoredParams,
    ) -> Result<Option<HeartbeatEvent>, ErrorShape> {
        Ok(None)
    }

    async fn system_presence(
        &self,
        _: &Caller,
        _: IgnoredParams,
    ) -> Result<PresenceList, ErrorShape> {
        Ok(PresenceList(self.hub.presence()))
    }

    async fn system_event(
        &self,
        _: &Caller,
        params: SystemEventParams,
    ) -> Result<OkResult, ErrorShape> {
        let beacon =
            Beacon::new(params).ok_or_else(|| errors::SYSTEM_EVENT_TEXT_REQUIRED.error())?;
        let (before, after) = self.hub.beacon(&beacon);
        if let Some(note) = beacon.note(before.as_ref(), &after) {
            let rules = self.sessions.rules();
            let main = rules.main(&rules.default_agent);
            self.events.push(main.canonical(), &note);
        }
        Ok(OkResult::new(true))
    }
}
