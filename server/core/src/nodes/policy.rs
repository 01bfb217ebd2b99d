//! Which commands a node may have (contract 8.2): by its platform, as `gateway.nodes` of the configuration changes that.

use std::collections::BTreeSet;

use openclaw_protocol::protocol::{Scope, texts};
use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::types::NodeCommandRefusal;
use serde_json::Value;

/// Kind of operating system, as far as commands go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platform {
    /// iPhones and iPads.
    Ios,
    /// Android.
    Android,
    /// Macs.
    MacOs,
    /// Windows.
    Windows,
    /// Linux.
    Linux,
    /// Anything else; may have all known commands, so that a new kind of node is not useless.
    Unknown,
}

const CANVAS: &[&str] = &[
    texts::NODE_COMMAND_CANVAS_PRESENT,
    texts::NODE_COMMAND_CANVAS_HIDE,
    texts::NODE_COMMAND_CANVAS_NAVIGATE,
    texts::NODE_COMMAND_CANVAS_EVAL,
    texts::NODE_COMMAND_CANVAS_SNAPSHOT,
    texts::NODE_COMMAND_CANVAS_A2UI_PUSH,
    texts::NODE_COMMAND_CANVAS_A2UI_PUSH_JSONL,
    texts::NODE_COMMAND_CANVAS_A2UI_RESET,
];
const CAMERA: &[&str] = &[
    texts::NODE_COMMAND_CAMERA_LIST,
    texts::NODE_COMMAND_CAMERA_SNAP,
    texts::NODE_COMMAND_CAMERA_CLIP,
];
const SCREEN: &[&str] = &[texts::NODE_COMMAND_SCREEN_RECORD];
const LOCATION: &[&str] = &[texts::NODE_COMMAND_LOCATION_GET];
const SMS: &[&str] = &[texts::NODE_COMMAND_SMS_SEND];
const SYSTEM: &[&str] = &[
    texts::NODE_COMMAND_RUN,
    texts::NODE_COMMAND_WHICH,
    texts::NODE_COMMAND_NOTIFY,
    texts::NODE_COMMAND_EXEC_APPROVALS_GET,
    texts::NODE_COMMAND_EXEC_APPROVALS_SET,
    texts::NODE_COMMAND_BROWSER_PROXY,
];

/// The scope that whoever asks for this needs beside the right to ask nodes at all.
///
/// A node takes the word of the gateway for a person's yes, so `approved` and `approvalDecision` of `system.run` are
/// for those who may decide. A node's rules are for those who may change them with `exec.approvals.node.*`.
pub(super) fn needs(command: &str, params: Option<&Value>) -> Option<Scope> {
    match command {
        texts::NODE_COMMAND_EXEC_APPROVALS_GET | texts::NODE_COMMAND_EXEC_APPROVALS_SET => {
            Some(Scope::Admin)
        }
        texts::NODE_COMMAND_RUN => {
            let says = |name| {
                let said = params.and_then(|params| params.get(name));
                said.is_some_and(|value| !matches!(value, Value::Null | Value::Bool(false)))
            };
            (says("approved") || says("approvalDecision")).then_some(Scope::Approvals)
        }
        _ => None,
    }
}

impl Platform {
    /// From what a client says: the beginning of its platform, else a word in its device family.
    #[must_use]
    pub fn of(platform: &str, device_family: Option<&str>) -> Self {
        const BY_PLATFORM: &[(&str, Platform)] = &[
            ("ios", Platform::Ios),
            ("android", Platform::Android),
            ("mac", Platform::MacOs),
            ("darwin", Platform::MacOs),
            ("win", Platform::Windows),
            ("linux", Platform::Linux),
        ];
        const BY_FAMILY: &[(&str, Platform)] = &[
            ("iphone", Platform::Ios),
            ("ipad", Platform::Ios),
            ("ios", Platform::Ios),
            ("android", Platform::Android),
            ("mac", Platform::MacOs),
            ("windows", Platform::Windows),
            ("linux", Platform::Linux),
        ];
        let platform = platform.trim().to_lowercase();
        let family = device_family.unwrap_or_default().trim().to_lowercase();
        let by_platform = BY_PLATFORM
            .iter()
            .find(|(start, _)| platform.starts_with(start));
        by_platform
            .or_else(|| BY_FAMILY.iter().find(|(word, _)| family.contains(word)))
            .map_or(Self::Unknown, |(_, found)| *found)
    }

    fn groups(self) -> &'static [&'static [&'static str]] {
        match self {
            Self::Ios => &[CANVAS, CAMERA, SCREEN, LOCATION],
            Self::Android => &[CANVAS, CAMERA, SCREEN, LOCATION, SMS],
            Self::MacOs => &[CANVAS, CAMERA, SCREEN, LOCATION, SYSTEM],
            Self::Windows | Self::Linux => &[SYSTEM],
            Self::Unknown => &[CANVAS, CAMERA, SCREEN, LOCATION, SMS, SYSTEM],
        }
    }
}

/// The lists of the platforms, and what the configuration adds and takes away.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    allow: BTreeSet<String>,
    deny: BTreeSet<String>,
}

impl Policy {
    /// Commands that every platform may have beside its own, and commands that none may have. Denial wins.
    #[must_use]
    pub fn new(allow: &[String], deny: &[String]) -> Self {
        let names = |list: &[String]| {
            list.iter()
                .map(|name| name.trim().to_owned())
                .filter(|name| !name.is_empty())
                .collect()
        };
        Self {
            allow: names(allow),
            deny: names(deny),
        }
    }

    /// May a node of this platform have the command?
    #[must_use]
    pub fn allows(&self, platform: Platform, command: &str) -> bool {
        let is_known = || {
            platform
                .groups()
                .iter()
                .any(|group| group.contains(&command))
        };
        !self.deny.contains(command) && (self.allow.contains(command) || is_known())
    }

    /// What is left of the commands that a node declares: trimmed, sorted, each once.
    #[must_use]
    pub fn filter(&self, platform: Platform, declared: &[NonEmptyString]) -> Vec<NonEmptyString> {
        let left: BTreeSet<NonEmptyString> = declared
            .iter()
            .map(|command| command.trim())
            .filter(|command| self.allows(platform, command))
            .filter_map(NonEmptyString::new)
            .collect();
        left.into_iter().collect()
    }

    /// Why a node that has `declared` may not be asked for `command`; `None` when it may.
    #[must_use]
    pub fn refusal(
        &self,
        platform: Platform,
        declared: &[NonEmptyString],
        command: &str,
    ) -> Option<NodeCommandRefusal> {
        if command.is_empty() {
            Some(NodeCommandRefusal::CommandRequired)
        } else if !self.allows(platform, command) {
            Some(NodeCommandRefusal::CommandNotAllowlisted)
        } else if declared.is_empty() {
            Some(NodeCommandRefusal::NodeDidNotDeclareCommands)
        } else if !declared.iter().any(|known| known.as_str() == command) {
            Some(NodeCommandRefusal::CommandNotDeclaredByNode)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    fn commands(list: &[&str]) -> Vec<NonEmptyString> {
        list.iter()
            .copied()
            .filter_map(NonEmptyString::new)
            .collect()
    }

    #[test]
    fn platforms_by_their_beginning_else_by_family() {
        for (platform, family, expected) in [
            ("iOS 18.1", None, Platform::Ios),
            ("iPadOS 18", None, Platform::Unknown),
            ("iPadOS 18", Some("iPad"), Platform::Ios),
            ("android 15", Some("iPhone"), Platform::Android),
            ("Darwin", None, Platform::MacOs),
            ("macos 15.1", None, Platform::MacOs),
            ("win32", None, Platform::Windows),
            ("linux", Some("Mac"), Platform::Linux),
            ("plan9", Some("Other"), Platform::Unknown),
            ("plan9", Some("MacBook"), Platform::MacOs),
            ("", Some("Windows PC"), Platform::Windows),
        ] {
            assert_eq!(
                Platform::of(platform, family),
                expected,
                "{platform}, {family:?}"
            );
        }
    }

    #[test]
    fn declared_commands_are_reduced_to_those_allowed() {
        let declared = commands(&[
            "canvas.present",
            " system.run ",
            "sms.send",
            "system.run",
            "x.y",
            "made.up",
            "   ",
        ]);
        for (platform, allow, deny, expected) in [
            (Platform::Ios, &[][..], &[][..], &["canvas.present"][..]),
            (Platform::Android, &[], &[], &["canvas.present", "sms.send"]),
            (Platform::MacOs, &[], &[], &["canvas.present", "system.run"]),
            (Platform::Linux, &[], &[], &["system.run"]),
            (
                Platform::Unknown,
                &[],
                &[],
                &["canvas.present", "sms.send", "system.run"],
            ),
            (Platform::Linux, &[" x.y "], &["system.run"], &["x.y"]),
            (Platform::Linux, &["x.y"], &["x.y"], &["system.run"]),
        ] {
            let policy = Policy::new(&names(allow), &names(deny));
            assert_eq!(
                policy.filter(platform, &declared),
                commands(expected),
                "{platform:?} +{allow:?} -{deny:?}"
            );
        }
    }

    #[test]
    fn refusals_in_their_order() {
        use NodeCommandRefusal as Why;
        let policy = Policy::new(&[], &names(&["system.notify"]));
        for (declared, command, expected) in [
            (&["system.run"][..], "", Some(Why::CommandRequired)),
            (
                &["system.run"],
                "camera.snap",
                Some(Why::CommandNotAllowlisted),
            ),
            (
                &["system.notify"],
                "system.notify",
                Some(Why::CommandNotAllowlisted),
            ),
            (&[], "camera.snap", Some(Why::CommandNotAllowlisted)),
            (&[], "system.run", Some(Why::NodeDidNotDeclareCommands)),
            (
                &["system.run"],
                "system.which",
                Some(Why::CommandNotDeclaredByNode),
            ),
            (&["system.run"], "system.run", None),
        ] {
            let found = policy.refusal(Platform::Linux, &commands(declared), command);
            assert_eq!(found, expected, "{declared:?}, {command}");
        }
    }
}
