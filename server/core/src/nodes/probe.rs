//! Which programs a Mac has (contract 8.6): asked right after its hello-ok (odd 3), so that skills which need a program
//! that only Macs have can be told from those that nobody can use.

use std::collections::BTreeSet;

use openclaw_protocol::protocol::{limits, texts};
use serde_json::{Value, json};

use super::policy::Platform;
use super::{Invocation, Node, Nodes};

/// Programs asked for at a time. Skills of a whole collection need about fifty.
const MAX_PROBED: usize = 256;

impl Nodes {
    /// Is this a node whose programs are looked for?
    #[must_use]
    pub fn wants_probe(node: &Node) -> bool {
        node.kind() == Platform::MacOs
            && (node.has(texts::NODE_COMMAND_WHICH) || node.has(texts::NODE_COMMAND_RUN))
    }

    /// Asks a node which of `wanted` it has, keeps the answer for as long as it is connected, and gives it. A node that
    /// does not answer is not worth more than a line in the log.
    pub async fn probe(&self, node: &Node, wanted: &BTreeSet<String>) -> Option<BTreeSet<String>> {
        let wanted = asked_for(wanted);
        if wanted.is_empty() || !Self::wants_probe(node) {
            return None;
        }
        let (command, params) = if node.has(texts::NODE_COMMAND_WHICH) {
            (texts::NODE_COMMAND_WHICH, json!({ "bins": wanted }))
        } else {
            let script = script(&wanted);
            let shell = json!({ "command": ["/bin/sh", "-lc", script] });
            (texts::NODE_COMMAND_RUN, shell)
        };
        let mut ask = Invocation::new(node.node_id.as_str(), command);
        ask.params = Some(params);
        ask.timeout_ms = Some(limits::NODE_PROBE_TIMEOUT_MS);
        match self.invoke(ask).await {
            Ok(answer) => {
                let bins = found(answer.payload.as_ref(), &wanted);
                self.found(node, bins.clone());
                Some(bins)
            }
            Err(error) => {
                tracing::debug!(node = %node.node_id, %error, "the node's programs are not known");
                None
            }
        }
    }
}

/// Those of the programs that a node is asked for.
fn asked_for(wanted: &BTreeSet<String>) -> BTreeSet<&str> {
    let plain = wanted
        .iter()
        .map(String::as_str)
        .filter(|bin| is_plain(bin));
    plain.take(MAX_PROBED).collect()
}

/// Nothing that a shell would see more in than a name: the names come from files of skills.
fn is_plain(bin: &str) -> bool {
    !bin.is_empty()
        && !bin.starts_with('-')
        && bin
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte))
}

/// A shell script that prints those of the programs that exist, one a line.
fn script(wanted: &BTreeSet<&str>) -> String {
    let lines: Vec<String> = wanted
        .iter()
        .map(|bin| format!("command -v {bin} >/dev/null 2>&1 && echo {bin}"))
        .chain(["true".to_owned()])
        .collect();
    lines.join("\n")
}

/// The programs in an answer: a list of names, names with their paths, or lines of output. Only what was asked for.
fn found(payload: Option<&Value>, wanted: &BTreeSet<&str>) -> BTreeSet<String> {
    let member = |name: &str| payload.and_then(|payload| payload.get(name));
    let names: Vec<&str> = match (member("bins"), member("stdout")) {
        (Some(Value::Array(bins)), _) => bins.iter().filter_map(Value::as_str).collect(),
        (Some(Value::Object(bins)), _) => bins.keys().map(String::as_str).collect(),
        (_, Some(Value::String(lines))) => lines.lines().collect(),
        _ => Vec::new(),
    };
    names
        .into_iter()
        .map(str::trim)
        .filter(|name| wanted.contains(name))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_in_three_forms() {
        let wanted: BTreeSet<&str> = ["memo", "gh", "jq"].into();
        for (payload, expected) in [
            (
                Some(json!({"bins": ["memo", 5, " gh ", "other"]})),
                &["gh", "memo"][..],
            ),
            (Some(json!({"bins": {"jq": "/usr/bin/jq"}})), &["jq"]),
            (
                Some(json!({"stdout": "memo\ngh\n", "exitCode": 0})),
                &["gh", "memo"],
            ),
            (Some(json!({"bins": 1})), &[]),
            (Some(json!([])), &[]),
            (None, &[]),
        ] {
            let found: Vec<String> = found(payload.as_ref(), &wanted).into_iter().collect();
            assert_eq!(found, expected, "{payload:?}");
        }
    }

    #[test]
    fn a_node_is_asked_for_so_many_programs() {
        for (count, expected) in [(MAX_PROBED, MAX_PROBED), (MAX_PROBED + 1, MAX_PROBED)] {
            let names = (0..count).map(|n| format!("bin{n}"));
            let wanted: BTreeSet<String> = names.chain(["not plain".to_owned()]).collect();
            assert_eq!(asked_for(&wanted).len(), expected, "{count}");
        }
    }

    #[test]
    fn only_plain_names_reach_a_shell() {
        for (bin, plain) in [
            ("gh", true),
            ("spotify_player", true),
            ("nano-pdf", true),
            ("g++", true),
            ("python3.12", true),
            ("-v", false),
            ("", false),
            ("a b", false),
            ("x;rm", false),
            ("$(x)", false),
            ("é", false),
        ] {
            assert_eq!(is_plain(bin), plain, "{bin}");
        }
        let text = script(&["gh", "jq"].into());
        assert_eq!(
            text,
            "command -v gh >/dev/null 2>&1 && echo gh\ncommand -v jq >/dev/null 2>&1 && echo jq\ntrue"
        );
    }
}
