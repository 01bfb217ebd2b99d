//! Group `system`: presence, system events, heartbeats.

use openclaw_protocol::protocol::errors;
use openclaw_protocol::server::SystemMethods;
use openclaw_protocol::types::{
    ErrorShape, HeartbeatEvent, IgnoredParams, OkResult, PresenceList, SetHeartbeatsParams,
    SetHeartbeatsResult, SystemEventParams, WakeMode, WakeParams, WakeResult,
};

use super::Methods;
use crate::connection::Caller;
use crate::hub::Beacon;

/// Reason of a heartbeat that `wake` asked for.
const WAKE_REASON: &str = "wake";

impl SystemMethods<Caller> for Methods {
    /// `null` until the first heartbeat since the start.
    async fn last_heartbeat(
        &self,
        _: &Caller,
        _: IgnoredParams,
    ) -> Result<Option<HeartbeatEvent>, ErrorShape> {
        Ok(self.heartbeats.last())
    }

    async fn set_heartbeats(
        &self,
        _: &Caller,
        params: SetHeartbeatsParams,
    ) -> Result<SetHeartbeatsResult, ErrorShape> {
        let enabled = params.enabled;
        let enabled = enabled.ok_or_else(|| errors::HEARTBEATS_ENABLED_REQUIRED.error())?;
        self.heartbeats.set_enabled(enabled);
        Ok(SetHeartbeatsResult::new(true, enabled))
    }

    async fn wake(&self, _: &Caller, params: WakeParams) -> Result<WakeResult, ErrorShape> {
        let text = params.text.trim();
        if text.is_empty() {
            return Ok(WakeResult::new(false));
        }
        let rules = self.sessions.rules();
        let agent = &rules.default_agent;
        self.keep_event(&rules.main(agent), text).await?;
        if params.mode == WakeMode::Now {
            self.heartbeats.request(agent, WAKE_REASON);
        }
        Ok(WakeResult::new(true))
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
            self.keep_event(&main, &note).await?;
        }
        Ok(OkResult::new(true))
    }
}
