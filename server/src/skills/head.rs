//! The head of a `SKILL.md`: YAML between two lines of `---`. Its member `metadata` says what the skill needs.
//!
//! People write heads by hand and for several programs, so what cannot be understood is left out and the rest counts.

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// What a skill's head says.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Head {
    /// Its name; that of its folder when absent.
    pub(super) name: Option<String>,
    /// What it is for.
    pub(super) description: Option<String>,
    /// Where to read more.
    pub(super) homepage: Option<String>,
    /// Whether models are not told of it.
    pub(super) hidden: bool,
    /// What the product wants to know.
    pub(super) metadata: Metadata,
}

/// Names of the product, present and former, under which the metadata stands.
const NAMES: [&str; 3] = ["openclaw", "moltbot", "clawdbot"];

/// `metadata.openclaw` of a head.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Metadata {
    /// Whether it is used whatever is missing.
    #[serde(deserialize_with = "or_default")]
    pub(super) always: bool,
    /// Its name in the configuration.
    #[serde(deserialize_with = "text")]
    pub(super) skill_key: Option<String>,
    /// Environment variable that its key in the configuration stands for.
    #[serde(deserialize_with = "text")]
    pub(super) primary_env: Option<String>,
    /// Its sign.
    #[serde(deserialize_with = "text")]
    pub(super) emoji: Option<String>,
    /// Where to read more.
    #[serde(deserialize_with = "text")]
    pub(super) homepage: Option<String>,
    /// Operating systems that it is for; all when empty.
    #[serde(deserialize_with = "names")]
    pub(super) os: Vec<String>,
    /// What it needs beside that.
    #[serde(deserialize_with = "or_default")]
    pub(super) requires: Requires,
    /// How to get that.
    #[serde(deserialize_with = "those_that_fit")]
    pub(super) install: Vec<Install>,
}

/// `requires` of the metadata.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Requires {
    /// Programs, all of them.
    #[serde(deserialize_with = "names")]
    pub(super) bins: Vec<String>,
    /// Programs, one of them.
    #[serde(deserialize_with = "names")]
    pub(super) any_bins: Vec<String>,
    /// Environment variables.
    #[serde(deserialize_with = "names")]
    pub(super) env: Vec<String>,
    /// Settings, as paths in the configuration.
    #[serde(deserialize_with = "names")]
    pub(super) config: Vec<String>,
}

/// One of `install`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Install {
    /// Its name among the ways of a skill.
    #[serde(deserialize_with = "text")]
    pub(super) id: Option<String>,
    /// What installs.
    #[serde(deserialize_with = "text")]
    pub(super) kind: Option<String>,
    /// Its name for people.
    #[serde(deserialize_with = "text")]
    pub(super) label: Option<String>,
    /// Programs that it brings.
    #[serde(deserialize_with = "names")]
    pub(super) bins: Vec<String>,
    /// Operating systems that it is for; all when empty.
    #[serde(deserialize_with = "names")]
    pub(super) os: Vec<String>,
    /// What Homebrew calls it.
    #[serde(deserialize_with = "text")]
    pub(super) formula: Option<String>,
    /// What a package manager calls it.
    #[serde(deserialize_with = "text")]
    pub(super) package: Option<String>,
    /// What Go calls it.
    #[serde(deserialize_with = "text")]
    pub(super) module: Option<String>,
    /// Where it is downloaded from.
    #[serde(deserialize_with = "text")]
    pub(super) url: Option<String>,
}

impl Head {
    /// Of a file's beginning. A head that does not end says nothing.
    pub(super) fn of(text: &str) -> Self {
        let Some(head) = lines(text) else {
            return Self::default();
        };
        let members = members(&head);
        let text = |name: &str| members.get(name).and_then(shown);
        Self {
            name: text("name"),
            description: text("description"),
            homepage: text("homepage"),
            hidden: members.get("disable-model-invocation") == Some(&Value::Bool(true)),
            metadata: members
                .get("metadata")
                .and_then(metadata)
                .unwrap_or_default(),
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

/// The members of a head: all at once, or, where that is no YAML, each by itself. A member that is none by itself, mostly a
/// sentence with a colon, is a text.
fn members(lines: &[&str]) -> Map<String, Value> {
    if let Some(whole) = yaml(&lines.join("\n")) {
        return whole;
    }
    let mut members = Map::new();
    let mut rest = lines;
    while let Some((first, below)) = rest.split_first() {
        let indented = |line: &&str| line.trim().is_empty() || line.starts_with([' ', '\t']);
        let length = below.iter().take_while(|line| indented(line)).count();
        let member = &rest[..=length];
        rest = &below[length..];
        if let Some(member) = yaml(&member.join("\n")) {
            members.extend(member);
        } else if let Some((name, value)) = first.split_once(':') {
            let value = std::iter::once(&value).chain(&member[1..]);
            let value: Vec<&str> = value.map(|line| line.trim()).collect();
            members.insert(name.trim().to_owned(), Value::String(value.join("\n")));
        }
    }
    members
}

fn yaml(text: &str) -> Option<Map<String, Value>> {
    serde_saphyr::from_str(text).ok()
}

/// What stands under the product's name: a mapping, or JSON5 in a text.
fn metadata(value: &Value) -> Option<Metadata> {
    let read: Value;
    let value = match value {
        Value::String(text) => {
            read = json5::from_str(text).ok()?;
            &read
        }
        other => other,
    };
    let own = NAMES.iter().find_map(|name| value.get(*name))?;
    serde_json::from_value(own.clone()).ok()
}

/// A text, a number or a switch as a text; none when blank.
fn shown(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Bool(switch) => switch.to_string(),
        _ => return None,
    };
    (!text.is_empty()).then_some(text)
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(shown(&Value::deserialize(deserializer)?))
}

/// The texts of a list, trimmed; a lone text is a list of one.
fn names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let list = match &value {
        Value::Array(list) => list.as_slice(),
        Value::String(_) => std::slice::from_ref(&value),
        _ => &[],
    };
    let texts = list.iter().filter(|item| item.is_string());
    Ok(texts.filter_map(shown).collect())
}

fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + serde::de::DeserializeOwned,
{
    let value = Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

fn those_that_fit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Install>, D::Error> {
    let Value::Array(list) = Value::deserialize(deserializer)? else {
        return Ok(Vec::new());
    };
    let fitting = list.into_iter().map(serde_json::from_value);
    Ok(fitting.filter_map(Result::ok).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(lines: &str) -> Head {
        Head::of(&format!("---\nname: x\n{lines}\nhomepage: y\n---\nText."))
    }

    #[test]
    fn what_a_skill_needs() {
        let needing = |bins: &[&str]| Metadata {
            requires: Requires {
                bins: bins.iter().map(|bin| (*bin).to_owned()).collect(),
                ..Requires::default()
            },
            ..Metadata::default()
        };
        for (lines, expected) in [
            (
                r#"metadata: {"openclaw":{"requires":{"bins":["gh"],"anyBins":["a"],"env":["KEY"],"config":["a.b"]}}}"#,
                Metadata {
                    requires: Requires {
                        bins: vec!["gh".into()],
                        any_bins: vec!["a".into()],
                        env: vec!["KEY".into()],
                        config: vec!["a.b".into()],
                    },
                    ..Metadata::default()
                },
            ),
            (
                "metadata:\n  {\n    \"openclaw\":\n      {\n        \"emoji\": \"📝\",\n        \"os\": [\"darwin\"],\n        \"install\": [{ \"kind\": \"brew\", \"bins\": [\"memo\"], }, {}, 5],\n      },\n  }",
                Metadata {
                    emoji: Some("📝".into()),
                    os: vec!["darwin".into()],
                    install: vec![
                        Install {
                            kind: Some("brew".into()),
                            bins: vec!["memo".into()],
                            ..Install::default()
                        },
                        Install::default(),
                    ],
                    ..Metadata::default()
                },
            ),
            (
                "metadata:\n  openclaw:\n    always: true\n    skillKey: k\n    primaryEnv: KEY\n    requires:\n      bins: [gh]",
                Metadata {
                    always: true,
                    skill_key: Some("k".into()),
                    primary_env: Some("KEY".into()),
                    ..needing(&["gh"])
                },
            ),
            (
                r#"metadata: {"clawdbot":{"requires":{"bins":"gh"}}}"#,
                needing(&["gh"]),
            ),
            (
                r#"metadata: '{openclaw: {requires: {bins: ["gh"]}}}'"#,
                needing(&["gh"]),
            ),
            (
                r#"metadata: {"openclaw":{"requires":{"bins":[1,""," "]},"always":"perhaps"}}"#,
                needing(&[]),
            ),
            (
                r#"metadata: {"other":{"requires":{"bins":["gh"]}}}"#,
                needing(&[]),
            ),
            ("metadata: {", needing(&[])),
            (
                r#"x: {"openclaw":{"requires":{"bins":["gh"]}}}"#,
                needing(&[]),
            ),
            // A sentence that is no YAML spoils neither itself nor the rest.
            (
                "use: when: asked\nmetadata: {\"openclaw\":{\"requires\":{\"bins\":[\"gh\"]}}}",
                needing(&["gh"]),
            ),
        ] {
            assert_eq!(one(lines).metadata, expected, "{lines}");
        }
    }

    #[test]
    fn names_and_descriptions() {
        for (lines, description, hidden) in [
            ("description: Plain words.", Some("Plain words."), false),
            (
                "description: \"Quoted: words.\"",
                Some("Quoted: words."),
                false,
            ),
            (
                "description: Use when: asked",
                Some("Use when: asked"),
                false,
            ),
            (
                "description: Use when: asked\n  or not",
                Some("Use when: asked\nor not"),
                false,
            ),
            (
                "description: >\n  Folded\n  words.",
                Some("Folded words."),
                false,
            ),
            (
                "description: 5\ndisable-model-invocation: true",
                Some("5"),
                true,
            ),
            ("description: ''", None, false),
            ("description: [list]", None, false),
        ] {
            let head = one(lines);
            assert_eq!(head.description.as_deref(), description, "{lines}");
            assert_eq!(head.hidden, hidden, "{lines}");
            assert_eq!(
                (head.name.as_deref(), head.homepage.as_deref()),
                (Some("x"), Some("y"))
            );
        }
    }

    #[test]
    fn what_is_no_head_says_nothing() {
        for text in ["---\nname: x\n", "name: x", "", "text\n---\nname: x\n---\n"] {
            assert_eq!(Head::of(text), Head::default(), "{text:?}");
        }
    }
}
