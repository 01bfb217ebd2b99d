//! Methods that the gateway does not have yet: whoever may call one, with params that are right, gets a clear
//! `UNAVAILABLE`. [`UNFINISHED`] is the one list of them: `hello-ok` leaves its names out, `docs/status.md` shows it.
//!
//! To finish a method, write it into its group's file here, and take it out of the list. A whole group that has none yet
//! stands below.

use openclaw_protocol::methods::Method;
use openclaw_protocol::protocol::errors;
use openclaw_protocol::server::{
    BrowserMethods, ChannelsMethods, ConfigMethods, LogsMethods, TtsMethods, UpdateMethods,
    VoicecallMethods, WizardMethods,
};
use openclaw_protocol::types::ErrorShape;
use openclaw_protocol::unfinished;

use super::Methods;
use crate::connection::Caller;

/// Methods that are not there yet, in the order of the schema.
pub const UNFINISHED: &[Method] = &[
    Method::LogsTail,
    Method::ChannelsStatus,
    Method::ChannelsLogout,
    Method::WebLoginStart,
    Method::WebLoginWait,
    Method::TtsStatus,
    Method::TtsProviders,
    Method::TtsEnable,
    Method::TtsDisable,
    Method::TtsSetProvider,
    Method::TtsConvert,
    Method::ConfigGet,
    Method::ConfigSchema,
    Method::ConfigSet,
    Method::ConfigPatch,
    Method::ConfigApply,
    Method::WizardStart,
    Method::WizardNext,
    Method::WizardCancel,
    Method::WizardStatus,
    Method::SkillsInstall,
    Method::SkillsUpdate,
    Method::UpdateRun,
    Method::BrowserRequest,
    Method::VoicecallInitiate,
    Method::VoicecallStart,
    Method::VoicecallContinue,
    Method::VoicecallSpeak,
    Method::VoicecallEnd,
    Method::VoicecallStatus,
];

impl Methods {
    /// The answer of a method that is on the list.
    pub(super) fn unfinished(&self, method: Method) -> ErrorShape {
        errors::METHOD_UNFINISHED.with(&[("method", method.name())])
    }
}

impl LogsMethods<Caller> for Methods {
    unfinished!(Caller: logs_tail);
}

impl ChannelsMethods<Caller> for Methods {
    unfinished!(Caller: channels_status, channels_logout, web_login_start, web_login_wait);
}

impl TtsMethods<Caller> for Methods {
    unfinished!(Caller: tts_status, tts_providers, tts_enable, tts_disable, tts_set_provider, tts_convert);
}

impl ConfigMethods<Caller> for Methods {
    unfinished!(Caller: config_get, config_schema, config_set, config_patch, config_apply);
}

impl WizardMethods<Caller> for Methods {
    unfinished!(Caller: wizard_start, wizard_next, wizard_cancel, wizard_status);
}

impl UpdateMethods<Caller> for Methods {
    unfinished!(Caller: update_run);
}

impl BrowserMethods<Caller> for Methods {
    unfinished!(Caller: browser_request);
}

impl VoicecallMethods<Caller> for Methods {
    unfinished!(Caller: voicecall_initiate, voicecall_start, voicecall_continue, voicecall_speak, voicecall_end, voicecall_status);
}
