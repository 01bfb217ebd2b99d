//! Which tools there are, and which of them an agent may use (`tools` and `agents.list[].tools`).

use serde_json::json;

use super::ToolSpec;
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
}

impl Tool {
    const ALL: [Self; 8] = [
        Self::Read,
        Self::Write,
        Self::Edit,
        Self::Exec,
        Self::SessionsList,
        Self::SessionsHistory,
        Self::SessionsSend,
        Self::Message,
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
        }
    }

    /// The group by which configurations name it together with others.
    fn group(self) -> &'static str {
        match self {
            Self::Read | Self::Write | Self::Edit => "group:fs",
            Self::Exec => "group:runtime",
            Self::SessionsList | Self::SessionsHistory | Self::SessionsSend => "group:sessions",
            Self::Message => "group:messaging",
        }
    }

    fn is_named_by(self, word: &str) -> bool {
        let word = word.trim();
        // The name that the tool had in earlier releases.
        let is_old_name = self == Self::Exec && word.eq_ignore_ascii_case("bash");
        word == "*"
            || is_old_name
            || word.eq_ignore_ascii_case(self.name())
            || word.eq_ignore_ascii_case(self.group())
    }

    /// What models are told.
    pub(super) fn spec(self) -> ToolSpec {
        let text = |description: &str| json!({"type": "string", "description": description});
        let count = |description: &str| json!({"type": "integer", "minimum": 1, "description": description});
        let path = || text("Path in the workspace.");
        let (description, properties, required) = match self {
            Self::Read => (
                "Reads a text file of the workspace. Long files come in parts: ask for the next with offset.",
                json!({
                    "path": path(),
                    "offset": count("First line to read, counted from 1."),
                    "limit": count("Most lines to read."),
                }),
                json!(["path"]),
            ),
            Self::Write => (
                "Writes a text file of the workspace, replacing one that exists. Missing folders are made.",
                json!({"path": path(), "content": text("The whole text of the file.")}),
                json!(["path", "content"]),
            ),
            Self::Edit => (
                "Replaces a piece of a text file of the workspace. The piece must occur in it exactly once.",
                json!({
                    "path": path(),
                    "oldText": text("The piece to replace, exactly as it stands in the file."),
                    "newText": text("What takes its place."),
                }),
                json!(["path", "oldText", "newText"]),
            ),
            Self::Exec => (
                "Runs a shell command in the workspace and returns what it prints. Whatever it starts ends with it.",
                json!({
                    "command": text("The command."),
                    "timeout": count("Seconds after which it is ended."),
                }),
                json!(["command"]),
            ),
            Self::SessionsList => (
                "Lists your conversations, the newest first.",
                json!({
                    "limit": count("Most conversations to list."),
                    "activeMinutes": count("Only those that changed in so many minutes."),
                }),
                json!([]),
            ),
            Self::SessionsHistory => (
                "Reads the last messages of one of your conversations.",
                json!({
                    "sessionKey": text("Key of the conversation."),
                    "limit": count("Most messages to read."),
                    "includeTools": {"type": "boolean", "description": "With what tools brought."},
                }),
                json!(["sessionKey"]),
            ),
            Self::SessionsSend => (
                "Says something in another of your conversations and waits for the answer.",
                json!({
                    "sessionKey": text("Key of the conversation."),
                    "message": text("What to say."),
                    "timeoutSeconds": {"type": "integer", "minimum": 0, "description": "How long to wait for the answer; 0 does not wait."},
                }),
                json!(["sessionKey", "message"]),
            ),
            Self::Message => (
                "Sends a message to a person through a channel. To answer in this conversation, answer: do not use it.",
                json!({
                    "message": text("What to say."),
                    "channel": text("The channel; the one by which you were spoken to last when absent."),
                    "to": text("The address on the channel; that of the last message when absent."),
                    "media": text("Address of a picture or file to send along."),
                }),
                json!(["message"]),
            ),
        };
        ToolSpec {
            name: self.name(),
            description,
            parameters: json!({"type": "object", "properties": properties, "required": required}),
        }
    }
}

/// The tools that an agent is offered: allowed for all and for it, denied by neither. A denied `exec` is not offered at all.
pub(super) fn offered(all: &Tools, own: Option<&AgentTools>) -> Vec<Tool> {
    let named = |tool: Tool, words: &[String]| words.iter().any(|word| tool.is_named_by(word));
    let permits = |tool: Tool, allow: &[String], deny: &[String]| {
        (allow.is_empty() || named(tool, allow)) && !named(tool, deny)
    };
    Tool::ALL
        .into_iter()
        .filter(|tool| permits(*tool, &all.allow, &all.deny))
        .filter(|tool| own.is_none_or(|own| permits(*tool, &own.allow, &own.deny)))
        .filter(|tool| *tool != Tool::Exec || all.exec.security != ExecSecurity::Deny)
        .collect()
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
        let offered: Vec<&str> = offered(&all, own.as_ref())
            .iter()
            .map(|tool| tool.name())
            .collect();
        assert_eq!(offered.join(" "), names, "{case}");
    }

    #[test]
    fn who_may_use_what() {
        let sessions = "sessions_list sessions_history sessions_send";
        let usual = format!("read write edit {sessions} message");
        let all = format!("read write edit exec {sessions} message");
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
            Some(json!({"deny": ["group:sessions", "group:messaging"]})),
            "read write edit",
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
}
