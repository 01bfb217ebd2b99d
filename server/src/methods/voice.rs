//! Group `voice`: talk mode and the words that wake a listening device.

use openclaw_protocol::events::Event;
use openclaw_protocol::protocol::errors;
use openclaw_protocol::server::VoiceMethods;
use openclaw_protocol::types::{
    ClientId, ClientMode, ErrorShape, IgnoredParams, TalkModeParams, TalkModeState,
    VoiceWakeSetParams, VoiceWakeTriggers,
};

use super::{Methods, unreadable};
use crate::connection::Caller;
use crate::hub::EventSink;

impl VoiceMethods<Caller> for Methods {
    async fn talk_mode(
        &self,
        caller: &Caller,
        params: TalkModeParams,
    ) -> Result<TalkModeState, ErrorShape> {
        if is_chat_page(caller) && !self.nodes.connected().iter().any(|node| node.is_mobile()) {
            return Err(errors::TALK_NEEDS_MOBILE_NODE.error());
        }
        let state = TalkModeState::new(params.enabled, params.phase, self.clock.now_ms());
        self.hub.emit(Event::TalkMode(state.clone()));
        Ok(state)
    }

    async fn voicewake_get(
        &self,
        _: &Caller,
        _: IgnoredParams,
    ) -> Result<VoiceWakeTriggers, ErrorShape> {
        Ok(self.voicewake.get())
    }

    async fn voicewake_set(
        &self,
        _: &Caller,
        params: VoiceWakeSetParams,
    ) -> Result<VoiceWakeTriggers, ErrorShape> {
        let wanted = params
            .triggers
            .ok_or_else(|| errors::VOICE_WAKE_TRIGGERS_REQUIRED.error())?;
        let set = self.voicewake.set(&wanted).await;
        set.map_err(|error| unreadable(&error))
    }
}

/// A page in a browser has no microphone of its own to speak of: talking needs a phone or a tablet.
fn is_chat_page(caller: &Caller) -> bool {
    caller.client.mode == ClientMode::Webchat || caller.client.id == ClientId::WebchatUi
}
