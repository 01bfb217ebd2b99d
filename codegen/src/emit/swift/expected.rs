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

/// Members whose type apps know otherwise than by the rules: where the schema has become nullable, required or named.
const TYPED: &[(&str, &str, &str)] = &[
    ("CronJob", "state", "[String: AnyCodable]"),
    ("DevicePairRequestedEvent", "isRepair", "Bool?"),
    ("DevicePairRequestedEvent", "role", "String?"),
    ("DevicePairRequestedEvent", "roles", "[String]?"),
    ("DevicePairRequestedEvent", "silent", "Bool?"),
    ("ExecApprovalRequestParams", "agentId", "String?"),
    ("ExecApprovalRequestParams", "ask", "String?"),
    ("ExecApprovalRequestParams", "cwd", "String?"),
    ("ExecApprovalRequestParams", "host", "String?"),
    ("ExecApprovalRequestParams", "resolvedPath", "String?"),
    ("ExecApprovalRequestParams", "security", "String?"),
    ("ExecApprovalRequestParams", "sessionKey", "String?"),
    ("NodeEventParams", "payloadJSON", "String?"),
    ("NodeInvokeRequestEvent", "paramsJSON", "String?"),
    ("NodeInvokeResultParams", "error", "[String: AnyCodable]?"),
    ("NodeInvokeResultParams", "payloadJSON", "String?"),
];

/// Members that apps know as a string while the schema admits other values, and why apps never meet those.
/// Examples with such a value are not decoded by the compat profile.
const TEXT_ONLY: &[(&str, &str, &str)] = &[(
    "NodeInvokeResultParams",
    "payloadJSON",
    "apps send these params and never read them; the other forms come from other nodes",
)];

/// Members younger than some of the apps: their initialiser arguments may be left out.
const YOUNGER: &[(&str, &str)] = &[
    ("AgentEvent", "sessionKey"),
    ("AgentParams", "groupChannel"),
    ("AgentParams", "groupId"),
    ("AgentParams", "groupSpace"),
    ("AgentSummary", "identity"),
    ("ConfigPatchParams", "note"),
    ("ConfigPatchParams", "restartDelayMs"),
    ("ConfigPatchParams", "sessionKey"),
    ("ConnectParams", "pathEnv"),
    ("ExecApprovalRequestParams", "id"),
    ("ModelChoice", "input"),
    ("SendParams", "mediaUrls"),
    ("SessionsResolveParams", "sessionId"),
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

/// Whether apps know a member as a string, whatever else the schema admits.
pub(super) fn text_only(definition: &str, member: &str) -> bool {
    TEXT_ONLY
        .iter()
        .any(|(of, name, _)| (*of, *name) == (definition, member))
}

pub(super) fn younger(definition: &str, member: &str) -> bool {
    YOUNGER.contains(&(definition, member))
}

/// The type that a member is declared with, with its mark of what may be absent.
pub(super) fn typed(definition: &str, member: &str) -> Option<&'static str> {
    TYPED
        .iter()
        .find(|(of, name, _)| (*of, *name) == (definition, member))
        .map(|(_, _, ty)| *ty)
}
