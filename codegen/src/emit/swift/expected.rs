//! What existing app code expects of the compat profile where the schema has grown more precise.
//!
//! Apps were written against models generated from a looser schema: an object written in place was a
//! dictionary there, a member that later got a definition was any value. The rules of [`super::compat`]
//! give the old types for the rest; these rows are the exceptions.

/// How a definition appears as a member's type, if not by the rules.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Loose {
    /// `[String: AnyCodable]`: stood in place.
    Dictionary,
    /// `AnyCodable`: was any value.
    Anything,
    /// `String`: was a plain string.
    Text,
}

/// Definitions that apps know only loosely. Objects among them are not emitted.
const LOOSE: &[(&str, Loose)] = &[
    ("AgentEventData", Loose::Dictionary),
    ("AgentStream", Loose::Text),
    ("ChannelMeta", Loose::Dictionary),
    ("ChatMessage", Loose::Anything),
    ("ConnectAuth", Loose::Dictionary),
    ("ConnectClient", Loose::Dictionary),
    ("ConnectDevice", Loose::Dictionary),
    ("ExecApprovalsAgent", Loose::Dictionary),
    ("ExecApprovalsDefaults", Loose::Dictionary),
    ("ExecApprovalsEntry", Loose::Dictionary),
    ("ExecApprovalsFile", Loose::Dictionary),
    ("ExecApprovalsShownFile", Loose::Dictionary),
    ("ExecApprovalsShownSocket", Loose::Dictionary),
    ("ExecApprovalsSocket", Loose::Dictionary),
    ("HelloAuth", Loose::Dictionary),
    ("HelloFeatures", Loose::Dictionary),
    ("HelloServer", Loose::Dictionary),
    ("PairDecision", Loose::Text),
    ("Policy", Loose::Dictionary),
    ("SessionDefaults", Loose::Dictionary),
    ("WizardStepOption", Loose::Dictionary),
];

/// Members that apps read as if they were always there.
const REQUIRED: &[(&str, &str)] = &[("AgentEvent", "seq")];

/// Members younger than some of the apps: their initialiser arguments may be left out.
const YOUNGER: &[(&str, &str)] = &[
    ("AgentEvent", "sessionKey"),
    ("AgentParams", "groupChannel"),
    ("AgentParams", "groupId"),
    ("AgentParams", "groupSpace"),
    ("ConnectParams", "pathEnv"),
];

pub(super) fn loose(definition: &str) -> Option<Loose> {
    LOOSE
        .iter()
        .find(|(name, _)| *name == definition)
        .map(|(_, loose)| *loose)
}

pub(super) fn required(definition: &str, member: &str) -> bool {
    REQUIRED.contains(&(definition, member))
}

pub(super) fn younger(definition: &str, member: &str) -> bool {
    YOUNGER.contains(&(definition, member))
}
