//! `conformance/oracle/vectors.json`: documents with the verdict of the original, so that a clone alone can be tested. They
//! are random documents of [`crate::params::around`]; where both sides differ on purpose none is taken, for those cases
//! stand in the list of differences.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use proptest::strategy::{Strategy, ValueTree};
use serde::Deserialize;
use serde_json::Value;

use crate::differences::Differences;
use crate::original::Original;
use crate::params::{Verdict, around, judge, runner};
use crate::subjects::Subject;

/// Documents of one verdict for one definition.
const EACH: usize = 50;
/// Tries for them: a definition without members has few documents.
const TRIES: usize = 3_000;
/// Longest document in bytes; a longer one tests nothing more.
const LONGEST: usize = 500;

const ABOUT: &str = "Random documents and what the original gateway (2026.1.30) says of them. Written by `OPENCLAW_WRITE_VECTORS=1 cargo test -p openclaw-conformance --test oracle`, see docs/compatibility.md.";

/// The whole file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Vectors {
    #[serde(rename = "about")]
    _about: String,
    /// By name of the definition.
    pub(crate) definitions: BTreeMap<String, Judged>,
}

/// Documents of one definition.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Judged {
    /// The original accepts them.
    pub(crate) accepted: Vec<Value>,
    /// It refuses them.
    pub(crate) refused: Vec<Value>,
}

/// Reads the file.
pub(crate) fn load(path: &Path) -> Result<Vectors, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))
}

/// The text of the file, the same at every call: one document a line.
pub(crate) fn write(
    subjects: &[Subject],
    original: &Original,
    differences: &Differences,
) -> Result<String, String> {
    let mut text = format!(
        "{{\n\"about\": {},\n\"definitions\": {{",
        Value::from(ABOUT)
    );
    for (i, subject) in subjects.iter().enumerate() {
        let judged = choose(subject, original, differences)?;
        let lines = |documents: &BTreeSet<String>| {
            let lines: Vec<&str> = documents.iter().map(String::as_str).collect();
            lines.join(",\n")
        };
        let comma = if i == 0 { "" } else { "," };
        let (accepted, refused) = (lines(&judged.0), lines(&judged.1));
        let name = Value::from(subject.definition.as_str());
        let _ = write!(
            text,
            "{comma}\n{name}: {{\"accepted\": [\n{accepted}\n], \"refused\": [\n{refused}\n]}}"
        );
    }
    text.push_str("\n}\n}\n");
    Ok(text)
}

type Texts = BTreeSet<String>;

fn choose(
    subject: &Subject,
    original: &Original,
    differences: &Differences,
) -> Result<(Texts, Texts), String> {
    let documents = around(subject, original);
    let mut numbers = runner(1, true);
    let (mut accepted, mut refused) = (Texts::new(), Texts::new());
    for _ in 0..TRIES {
        if accepted.len() == EACH && refused.len() == EACH {
            break;
        }
        let tree = documents.new_tree(&mut numbers);
        let text = tree.map_err(|e| e.to_string())?.current().to_string();
        let kept = match judge(subject, original, differences, &text)? {
            Verdict::Accepted => &mut accepted,
            Verdict::Refused => &mut refused,
            Verdict::Listed => continue,
        };
        if kept.len() < EACH && text.len() <= LONGEST {
            kept.insert(text);
        }
    }
    Ok((accepted, refused))
}
