//! The head of a `SKILL.md`: lines between two `---`, of which `metadata` holds JSON5 about what the skill needs.

use serde::Deserialize;
use serde_json::Value;

/// What a skill's head says, as far as it is used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Head {
    /// Programs that it needs: all of them, or one of some.
    pub(super) required: Vec<String>,
    /// Programs that its ways of installing bring.
    pub(super) installed: Vec<String>,
    /// Operating systems that it is for; all when empty.
    pub(super) os: Vec<String>,
}

/// Names of the product, present and former, under which the metadata stands.
const NAMES: [&str; 3] = ["openclaw", "moltbot", "clawdbot"];

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metadata {
    os: Value,
    requires: Requires,
    install: Vec<Install>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Requires {
    bins: Value,
    any_bins: Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Install {
    bins: Value,
}

impl Head {
    /// Of a file's beginning. A head that does not end, or cannot be understood, says nothing.
    pub(super) fn of(text: &str) -> Self {
        let Some(metadata) = lines(text).and_then(|lines| metadata(&lines)) else {
            return Self::default();
        };
        let Requires { bins, any_bins } = metadata.requires;
        let install = metadata.install.into_iter();
        Self {
            required: [names(&bins), names(&any_bins)].concat(),
            installed: install.flat_map(|way| names(&way.bins)).collect(),
            os: names(&metadata.os),
        }
    }
}

/// The lines of the head.
fn lines(text: &str) -> Option<Vec<&str>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = text.lines();
    if lines.next()?.trim_end() != "---" {
        return None;
    }
    let mut head = Vec::new();
    for line in lines {
        if line.trim_end() == "---" {
            return Some(head);
        }
        head.push(line);
    }
    None
}

/// The member `metadata`: what follows it on its line, and the indented lines below.
fn metadata(lines: &[&str]) -> Option<Metadata> {
    const MEMBER: &str = "metadata:";
    let at = lines.iter().position(|line| line.starts_with(MEMBER))?;
    let below = lines[at + 1..]
        .iter()
        .take_while(|line| line.is_empty() || line.starts_with([' ', '\t']));
    let text: Vec<&str> = std::iter::once(&lines[at][MEMBER.len()..])
        .chain(below.copied())
        .collect();
    let document: Value = json5::from_str(text.join("\n").trim()).ok()?;
    let own = NAMES.iter().find_map(|name| document.get(*name))?;
    serde_json::from_value(own.clone()).ok()
}

/// The texts of a list, trimmed; a lone text is a list of one.
fn names(value: &Value) -> Vec<String> {
    let list = match value {
        Value::Array(list) => list.as_slice(),
        Value::String(_) => std::slice::from_ref(value),
        _ => &[],
    };
    list.iter()
        .filter_map(Value::as_str)
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads() {
        let one = |metadata: &str| format!("---\nname: x\n{metadata}\nhomepage: y\n---\nText.");
        for (text, required, installed, os) in [
            (
                one(r#"metadata: {"openclaw":{"requires":{"bins":["gh"],"anyBins":["a"]}}}"#),
                &["gh", "a"][..],
                &[][..],
                &[][..],
            ),
            (
                one(
                    "metadata:\n  {\n    \"openclaw\":\n      {\n        \"os\": [\"darwin\"],\n        \"install\": [{ \"bins\": [\"memo\"], }, {}],\n      },\n  }",
                ),
                &[],
                &["memo"],
                &["darwin"],
            ),
            (
                one(r#"metadata: {"clawdbot":{"requires":{"bins":"gh"}}}"#),
                &["gh"],
                &[],
                &[],
            ),
            (
                one(r#"metadata: {"other":{"requires":{"bins":["gh"]}}}"#),
                &[],
                &[],
                &[],
            ),
            (
                one(r#"metadata: {"openclaw":{"requires":{"bins":[1,""," "]}}}"#),
                &[],
                &[],
                &[],
            ),
            (one("metadata: {"), &[], &[], &[]),
            (
                one(r#"x: {"openclaw":{"requires":{"bins":["gh"]}}}"#),
                &[],
                &[],
                &[],
            ),
            (
                "---\nmetadata: {\"openclaw\":{\"requires\":{\"bins\":[\"gh\"]}}}\n".to_owned(),
                &[],
                &[],
                &[],
            ),
            ("metadata: {}".to_owned(), &[], &[], &[]),
            (String::new(), &[], &[], &[]),
        ] {
            let head = Head::of(&text);
            assert_eq!(head.required, required, "{text}");
            assert_eq!(head.installed, installed, "{text}");
            assert_eq!(head.os, os, "{text}");
        }
    }
}
