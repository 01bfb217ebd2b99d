//! How each field of a frame is compared: data (`rules.json`), read once, looked up by [`crate::compare`].

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

/// The rules could not be used.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file holds something else.
    #[error("{path}: {source}")]
    Parse {
        /// The file.
        path: String,
        /// Why.
        source: serde_json::Error,
    },
}

/// How a field is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Treatment {
    /// Must be equal; ids inside strings by identity.
    Exact,
    /// Milliseconds since the epoch, any.
    Time,
    /// Milliseconds since the epoch; the same recorded value of the field is the same actual value everywhere.
    Moment,
    /// An integer, not negative.
    Count,
    /// Any number.
    Number,
    /// Any string.
    Text,
    /// A string that is bound by identity as a whole.
    Identity,
    /// Same types all the way down.
    Shape,
    /// A list whose entries look like those recorded, however many there are.
    Entries,
    /// Not compared; may be absent on either side.
    Ignored,
    /// A list that holds some of the recorded entries, nothing else, in the recorded order.
    Some,
    /// A list whose order does not count.
    Unordered,
    /// A list that holds at least the recorded entries, in any order.
    Includes,
}

/// One rule.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// `event <name>` or `res <method>`, `*` for any name; absent: every frame.
    #[serde(default)]
    frame: Option<String>,
    /// Pattern of a JSON pointer: `*` is one segment, `**` any number.
    path: String,
    /// Members that the recorded object around the field must have.
    #[serde(default)]
    beside: Map<String, Value>,
    /// Beginning of the recorded string.
    #[serde(default)]
    recorded: Option<String>,
    /// How to compare.
    #[serde(rename = "as")]
    treatment: Treatment,
    /// True: the actual frame may lack the field.
    #[serde(default)]
    optional: bool,
    /// True: the actual frame may have the field where the recorded one has not.
    #[serde(default)]
    added: bool,
    /// Why this field is not compared like any other.
    #[allow(dead_code, reason = "for the reader of the data")]
    why: String,
}

/// All rules, in order; the first that fits counts.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// Of a gateway that serves one session.
    fields: Vec<Rule>,
    /// Before `fields` for a gateway that others use too.
    #[serde(default)]
    attached: Vec<Rule>,
}

/// Treatment of one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// How to compare.
    pub treatment: Treatment,
    /// True: the actual frame may lack the field.
    pub optional: bool,
    /// True: the actual frame may have the field where the recorded one has not.
    pub added: bool,
}

impl Rules {
    /// Reads the rules.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or holds something else.
    pub fn load(path: &Path) -> Result<Self, RulesError> {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| RulesError::Read {
            path: shown.clone(),
            source,
        })?;
        serde_json::from_str(&text).map_err(|source| RulesError::Parse {
            path: shown,
            source,
        })
    }

    /// The rules for a gateway that serves others too and has a home of its own choice.
    pub fn for_attached(mut self) -> Self {
        let own = std::mem::take(&mut self.fields);
        self.fields = std::mem::take(&mut self.attached);
        self.fields.extend(own);
        self
    }

    /// The treatment of the field at `path` of a `frame`. `around` is the recorded object that holds the field, `recorded`
    /// its recorded value.
    pub fn find(
        &self,
        frame: &str,
        path: &[String],
        around: Option<&Map<String, Value>>,
        recorded: Option<&Value>,
    ) -> Found {
        let fits = |rule: &&Rule| {
            rule.frame
                .as_deref()
                .is_none_or(|pattern| frame_fits(pattern, frame))
                && rule
                    .beside
                    .iter()
                    .all(|(k, v)| around.and_then(|a| a.get(k)) == Some(v))
                && rule.recorded.as_deref().is_none_or(|start| {
                    recorded
                        .and_then(Value::as_str)
                        .is_some_and(|r| r.starts_with(start))
                })
                && path_fits(&rule.path, path)
        };
        let found = |rule: &Rule| {
            let ignored = rule.treatment == Treatment::Ignored;
            Found {
                treatment: rule.treatment,
                optional: rule.optional || ignored,
                added: rule.added || ignored,
            }
        };
        let exact = Found {
            treatment: Treatment::Exact,
            optional: false,
            added: false,
        };
        self.fields.iter().find(fits).map_or(exact, found)
    }
}

fn frame_fits(pattern: &str, frame: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => frame.starts_with(start),
        None => pattern == frame,
    }
}

fn path_fits(pattern: &str, path: &[String]) -> bool {
    let segments: Vec<&str> = pattern.split('/').skip(1).collect();
    fn fits(pattern: &[&str], path: &[String]) -> bool {
        match (pattern.split_first(), path.split_first()) {
            (None, None) => true,
            (Some((&"**", rest)), _) => (0..=path.len()).any(|n| fits(rest, &path[n..])),
            (Some((&"*", rest)), Some((_, tail))) => fits(rest, tail),
            (Some((segment, rest)), Some((first, tail))) => segment == first && fits(rest, tail),
            _ => false,
        }
    }
    fits(&segments, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn path(pointer: &str) -> Vec<String> {
        pointer.split('/').skip(1).map(str::to_owned).collect()
    }

    #[test]
    fn patterns_fit_pointers() {
        for (pattern, pointer, expected) in [
            ("/a/b", "/a/b", true),
            ("/a/b", "/a/b/c", false),
            ("/a/*/c", "/a/0/c", true),
            ("/a/*/c", "/a/c", false),
            ("/**/ts", "/ts", true),
            ("/**/ts", "/a/b/ts", true),
            ("/**/ts", "/a/b/tsx", false),
            ("/a/**", "/a/b/c", true),
            ("/**/x/*/y", "/p/x/1/y", true),
        ] {
            assert_eq!(
                path_fits(pattern, &path(pointer)),
                expected,
                "{pattern} {pointer}"
            );
        }
    }

    #[test]
    fn the_first_rule_that_fits_counts() {
        let rules: Rules = serde_json::from_value(json!({"fields": [
            {"frame": "event health", "path": "/payload/ts", "as": "count", "why": "w"},
            {"path": "/**/text", "beside": {"mode": "gateway"}, "as": "text", "why": "w"},
            {"path": "/**/runId", "recorded": "inject-", "as": "identity", "why": "w"},
            {"frame": "event *", "path": "/payload/ts", "as": "time", "optional": true, "why": "w"},
        ]}))
        .unwrap();
        let gateway = json!({"mode": "gateway"});
        let ui = json!({"mode": "ui"});
        for (frame, pointer, around, recorded, treatment, optional) in [
            (
                "event health",
                "/payload/ts",
                &ui,
                json!(1),
                Treatment::Count,
                false,
            ),
            (
                "event tick",
                "/payload/ts",
                &ui,
                json!(1),
                Treatment::Time,
                true,
            ),
            (
                "res health",
                "/payload/ts",
                &ui,
                json!(1),
                Treatment::Exact,
                false,
            ),
            (
                "event x",
                "/p/0/text",
                &gateway,
                json!("t"),
                Treatment::Text,
                false,
            ),
            (
                "event x",
                "/p/0/text",
                &ui,
                json!("t"),
                Treatment::Exact,
                false,
            ),
            (
                "event x",
                "/p/runId",
                &ui,
                json!("inject-1"),
                Treatment::Identity,
                false,
            ),
            (
                "event x",
                "/p/runId",
                &ui,
                json!("run-1"),
                Treatment::Exact,
                false,
            ),
        ] {
            let found = rules.find(frame, &path(pointer), around.as_object(), Some(&recorded));
            assert_eq!(
                found,
                Found {
                    treatment,
                    optional,
                    added: false
                },
                "{frame} {pointer}"
            );
        }
    }

    #[test]
    fn the_committed_rules_are_readable() {
        assert!(Rules::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("rules.json")).is_ok());
    }
}
