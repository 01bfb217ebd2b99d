//! Which tools there are, and which of them an agent may use (`tools` and `agents.list[].tools`).

use serde_json::{Value, json};

use super::parameters::{all, count, flag, positive, text};
use super::{ToolSpec, canvas, cron, nodes};
use crate::config::{AgentTools, ExecSecurity, Tools};

/// A tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::agent) enum Tool {
    Read,
    Write,
    Edit,
    Exec,
    SessionsList,
    SessionsHistory,
    SessionsSend,
    Message,
    Cron,
    Nodes,
    Canvas,
}

impl Tool {
    pub(super) const ALL: [Self; 11] = [
        Self::Read,
        Self::Write,
        Self::Edit,
        Self::Exec,
        Self::SessionsList,
        Self::SessionsHistory,
        Self::SessionsSend,
        Self::Message,
        Self::Cron,
        Self::Nodes,
        Self::Canvas,
    ];

    /// Name by which models call it and configurations name it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Edit => "edit",
            Self::Exec => "exec",
            Self::SessionsList => "sessions_list",
            Self::SessionsHistory => "sessions_history",
            Self::SessionsSend => "sessions_send",
            Self::Message => "message",
            Self::Cron => "cron",
            Self::Nodes => "nodes",
            Self::Canvas => "canvas",
        }
    }

    /// The group by which configurations name it together with others.
    fn group(self) -> &'static str {
        match self {
            Self::Read | Self::Write | Self::Edit => "group:fs",
            Self::Exec => "group:runtime",
            Self::SessionsList | Self::SessionsHistory | Self::SessionsSend => "group:sessions",
            Self::Message => "group:messaging",
            Self::Cron => "group:automation",
            Self::Nodes => "group:nodes",
            Self::Canvas => "group:ui",
        }
    }

    /// The words by which configurations name it.
    fn words(self) -> Vec<&'static str> {
        let mut words = vec![self.name(), self.group()];
        if self == Self::Exec {
            // The name that it had in earlier releases.
            words.push("bash");
        }
        words
    }

    /// Whether it needs what [`super::Reach`] holds.
    pub(super) fn reaches(self) -> bool {
        matches!(self, Self::Cron | Self::Nodes | Self::Canvas)
    }

    /// What models are told.
    pub(super) fn spec(self) -> ToolSpec {
        let path = || text("Path in the workspace.");
        let (description, properties, required): (&str, Value, &[&str]) = match self {
            Self::Read => (
                "Reads a text file of the workspace. Long files come in parts: ask for the next with offset.",
                json!({
                    "path": path(),
                    "offset": positive("First line to read, counted from 1."),
                    "limit": positive("Most lines to read."),
                }),
                &["path"],
            ),
            Self::Write => (
                "Writes a text file of the workspace, replacing one that exists. Missing folders are made.",
                json!({"path": path(), "content": text("The whole text of the file.")}),
                &["path", "content"],
            ),
            Self::Edit => (
                "Replaces a piece of a text file of the workspace. The piece must occur in it exactly once.",
                json!({
                    "path": path(),
                    "oldText": text("The piece to replace, exactly as it stands in the file."),
                    "newText": text("What takes its place."),
                }),
                &["path", "oldText", "newText"],
            ),
            Self::Exec => (
                "Runs a shell command in the workspace and returns what it prints. Whatever it starts ends with it.",
                json!({
                    "command": text("The command."),
                    "timeout": positive("Seconds after which it is ended."),
                }),
                &["command"],
            ),
            Self::SessionsList => (
                "Lists your conversations, the newest first.",
                json!({
                    "limit": positive("Most conversations to list."),
                    "activeMinutes": positive("Only those that changed in so many minutes."),
                }),
                &[],
            ),
            Self::SessionsHistory => (
                "Reads the last messages of one of your conversations.",
                json!({
                    "sessionKey": text("Key of the conversation."),
                    "limit": positive("Most messages to read."),
                    "includeTools": flag("With what tools brought."),
                }),
                &["sessionKey"],
            ),
            Self::SessionsSend => (
                "Says something in another of your conversations and waits for the answer.",
                json!({
                    "sessionKey": text("Key of the conversation."),
                    "message": text("What to say."),
                    "timeoutSeconds": count("How long to wait for the answer; 0 does not wait."),
                }),
                &["sessionKey", "message"],
            ),
            Self::Message => (
                "Sends a message to a person through a channel. To answer in this conversation, answer: do not use it.",
                json!({
                    "message": text("What to say."),
                    "channel": text("The channel; the one by which you were spoken to last when absent."),
                    "to": text("The address on the channel; that of the last message when absent."),
                    "media": text("Address of a picture or file to send along."),
                }),
                &["message"],
            ),
            Self::Cron => return cron::spec(),
            Self::Nodes => return nodes::spec(),
            Self::Canvas => return canvas::spec(),
        };
        ToolSpec {
            name: self.name().into(),
            description: description.into(),
            parameters: all(properties, required),
        }
    }
}

/// What the configuration says about the tools of an agent.
#[derive(Clone, Copy)]
pub(super) struct Policy<'a> {
    /// For all agents.
    pub(super) all: &'a Tools,
    /// For this one.
    pub(super) own: Option<&'a AgentTools>,
}

impl Policy<'_> {
    /// Whether the agent may use a tool that goes by any of `words`: it is allowed for all and for it, and denied by neither.
    pub(super) fn permits(&self, words: &[&str]) -> bool {
        let named = |word: &str| is_one_of(words, word);
        self.judge(&named, &named)
    }

    /// Whether there may be such a tool among those whose names begin with `start` and that go by `words` together.
    pub(super) fn permits_some(&self, words: &[&str], start: &str) -> bool {
        let named = |word: &str| is_one_of(words, word);
        let begins = |word: &str| {
            let head = word.get(..start.len());
            named(word) || head.is_some_and(|head| head.eq_ignore_ascii_case(start))
        };
        self.judge(&begins, &named)
    }

    fn judge(&self, allows: &dyn Fn(&str) -> bool, denies: &dyn Fn(&str) -> bool) -> bool {
        let named = |listed: &[String], by: &dyn Fn(&str) -> bool| {
            let mut listed = listed.iter().map(|word| word.trim());
            listed.any(|word| word == "*" || by(word))
        };
        let permits = |allow: &[String], deny: &[String]| {
            (allow.is_empty() || named(allow, allows)) && !named(deny, denies)
        };
        permits(&self.all.allow, &self.all.deny)
            && self.own.is_none_or(|own| permits(&own.allow, &own.deny))
    }

    /// Our own tools that the agent is offered. A denied `exec` is not offered at all.
    pub(super) fn offered(&self) -> impl Iterator<Item = Tool> {
        let security = self.all.exec.security;
        Tool::ALL
            .into_iter()
            .filter(move |tool| self.permits(&tool.words()))
            .filter(move |tool| *tool != Tool::Exec || security != ExecSecurity::Deny)
    }
}

fn is_one_of(words: &[&str], word: &str) -> bool {
    words.iter().any(|own| own.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[track_caller]
    fn check(all: Value, own: Option<Value>, names: &str) {
        let case = format!("{all} {own:?}");
        let all: Tools = serde_json::from_value(all).unwrap();
        let own: Option<AgentTools> = own.map(|own| serde_json::from_value(own).unwrap());
        let policy = Policy {
            all: &all,
            own: own.as_ref(),
        };
        let offered: Vec<&str> = policy.offered().map(Tool::name).collect();
        assert_eq!(offered.join(" "), names, "{case}");
    }

    #[test]
    fn who_may_use_what() {
        let rest = "sessions_list sessions_history sessions_send message cron nodes canvas";
        let usual = format!("read write edit {rest}");
        let all = format!("read write edit exec {rest}");
        check(json!({}), None, &usual);
        check(json!({"exec": {"security": "full"}}), None, &all);
        check(
            json!({"exec": {"security": "allowlist"}}),
            Some(json!({})),
            &all,
        );
        check(json!({"allow": ["exec"]}), None, "");
        check(json!({"allow": ["Read", "nothing"]}), None, "read");
        check(
            json!({"allow": ["group:fs"], "deny": ["write"]}),
            None,
            "read edit",
        );
        check(json!({"deny": ["*"]}), None, "");
        check(
            json!({"exec": {"security": "full"}, "deny": ["bash"]}),
            None,
            &usual,
        );
        check(
            json!({"deny": ["edit"]}),
            Some(json!({"allow": ["edit", "read"]})),
            "read",
        );
        check(
            json!({"allow": ["read"]}),
            Some(json!({"allow": ["*"]})),
            "read",
        );
        check(
            json!({}),
            Some(
                json!({"deny": ["group:sessions", "group:messaging", "group:automation", "group:UI"]}),
            ),
            "read write edit nodes",
        );
        check(json!({"allow": ["message"]}), None, "message");
    }

    #[test]
    fn what_models_are_told_is_a_schema_with_all_that_is_required() {
        for tool in Tool::ALL {
            let spec = tool.spec();
            jsonschema::validator_for(&spec.parameters).unwrap();
            for required in spec.parameters["required"].as_array().unwrap() {
                let name = required.as_str().unwrap();
                assert!(
                    spec.parameters["properties"].get(name).is_some(),
                    "{tool:?} {name}"
                );
            }
        }
    }

    #[test]
    fn who_may_use_tools_of_servers() {
        let words = ["group:mcp", "mcp__hub"];
        for (lists, some, one) in [
            (json!({}), true, true),
            (json!({"allow": ["read"]}), false, false),
            (json!({"allow": ["*"]}), true, true),
            (json!({"allow": ["group:mcp"]}), true, true),
            (json!({"allow": ["MCP__hub"]}), true, true),
            (json!({"allow": ["mcp__hub__look"]}), true, true),
            (json!({"allow": ["mcp__hub__other"]}), true, false),
            (json!({"allow": ["mcp__hubs__look"]}), false, false),
            (json!({"deny": ["group:mcp"]}), false, false),
            (json!({"deny": ["mcp__hub"]}), false, false),
            (json!({"deny": ["mcp__hub__look"]}), true, false),
            (json!({"deny": ["*"]}), false, false),
        ] {
            let all: Tools = serde_json::from_value(lists.clone()).unwrap();
            let own: AgentTools = serde_json::from_value(lists.clone()).unwrap();
            let none = Tools::default();
            for policy in [
                Policy {
                    all: &all,
                    own: None,
                },
                Policy {
                    all: &none,
                    own: Some(&own),
                },
            ] {
                let found = (
                    policy.permits_some(&words, "mcp__hub__"),
                    policy.permits(&[words[0], words[1], "mcp__hub__look"]),
                );
                assert_eq!(found, (some, one), "{lists}");
            }
        }
    }
}
