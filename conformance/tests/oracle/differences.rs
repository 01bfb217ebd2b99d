//! `conformance/oracle/differences.json`: where our verdict is meant to differ from the original's, each with its reason.
//! A difference that is not in it fails the tests, and so does a row that never occurs.

use std::cell::Cell;
use std::fmt;
use std::path::Path;

use serde::Deserialize;

use crate::fault::{Fault, place_fits};

/// The whole list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Differences {
    /// What the file is, for its readers.
    #[serde(rename = "about")]
    _about: String,
    /// Params that one side accepts and the other refuses.
    pub(crate) params: Vec<ParamsRow>,
    /// Definitions that are compared after a step that the schema does not show.
    pub(crate) adapted: Vec<Adapted>,
    /// Methods whose params the original checks against no definition.
    pub(crate) unchecked: Vec<Unchecked>,
    /// What the original was recorded to send, and our definitions refuse.
    pub(crate) frames: Vec<FrameRow>,
    /// What our definitions allow us to send, and the original's refuse.
    pub(crate) sent: Vec<FrameRow>,
}

/// Who refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Side {
    /// This project.
    Ours,
    /// The recorded release.
    Original,
}

/// Which faults a row explains, and why they are there.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Pattern {
    place: String,
    keyword: String,
    /// Only with these words; any when absent.
    message: Option<String>,
    odd: Option<u32>,
    reason: String,
    #[serde(skip)]
    occurred: Cell<u64>,
}

impl Pattern {
    fn explains(&self, fault: &Fault) -> bool {
        let keyword = self.keyword == "*" || self.keyword == fault.keyword;
        let message = self.message.as_ref();
        keyword
            && message.is_none_or(|m| *m == fault.message)
            && place_fits(&self.place, &fault.place)
    }

    /// How often it occurred.
    pub(crate) fn occurred(&self) -> u64 {
        self.occurred.get()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.place, self.keyword)?;
        if let Some(odd) = self.odd {
            write!(f, " (odd {odd})")?;
        }
        write!(f, ": {}", self.reason)
    }
}

/// Params that one side refuses.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ParamsRow {
    /// A definition, or `*` for all.
    pub(crate) definition: String,
    pub(crate) refuses: Side,
    #[serde(flatten)]
    pub(crate) pattern: Pattern,
    /// A document in which it occurs.
    pub(crate) example: Example,
}

/// A document in which a difference occurs.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Example {
    /// Its definition.
    pub(crate) of: String,
    /// JSON text.
    pub(crate) text: String,
}

/// The step that comes before a definition is asked, or after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Step {
    /// Ours is one object with two optional ids, and the handler demands exactly one of them; the original's is a union.
    OneId,
    /// The original mends the document before it asks its definition; ours takes it as it comes.
    MendedByOriginal,
    /// Both mend the document before the definition; it is the mended form that is compared, and the method's own params
    /// take any value.
    MendedByBoth,
}

/// A definition that is compared after a step that the schema does not show.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Adapted {
    pub(crate) method: String,
    /// The definition of both sides.
    pub(crate) definition: String,
    pub(crate) steps: Vec<Step>,
    pub(crate) reason: String,
    /// A document of the method that gets different verdicts without the step.
    pub(crate) example: String,
}

/// What the original does with params that have no definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Check {
    /// Nothing.
    Ignored,
    /// Its handler looks at single members.
    ByHand,
}

/// A method whose params the original checks against no definition.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Unchecked {
    pub(crate) method: String,
    pub(crate) params: Check,
}

/// Frames that one side sends and the other's definition refuses.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FrameRow {
    /// `res <method>`, `event <name>`, or the name of a definition.
    pub(crate) what: String,
    #[serde(flatten)]
    pub(crate) pattern: Pattern,
}

impl Differences {
    /// Reads the file.
    pub(crate) fn load(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))
    }

    /// Counts the rows that explain a document which only `side` refuses. False: something that it says is in no row.
    pub(crate) fn explain_params(&self, definition: &str, side: Side, faults: &[Fault]) -> bool {
        let rows = self.params.iter().filter(|row| {
            row.refuses == side && (row.definition == "*" || row.definition == definition)
        });
        explain(rows.map(|row| &row.pattern), faults)
    }
}

/// Counts the rows for `what` that explain the faults. False: a fault is in no row.
pub(crate) fn explain_frame(rows: &[FrameRow], what: &str, faults: &[Fault]) -> bool {
    let rows = rows.iter().filter(|row| row.what == what);
    explain(rows.map(|row| &row.pattern), faults)
}

fn explain<'a>(rows: impl Iterator<Item = &'a Pattern>, faults: &[Fault]) -> bool {
    let rows: Vec<&Pattern> = rows.collect();
    let explaining = |fault: &Fault| rows.iter().position(|row| row.explains(fault));
    let own = faults.iter().filter(|fault| !follows(fault, faults));
    let found: Option<Vec<usize>> = own.map(explaining).collect();
    let Some(mut found) = found else {
        return false;
    };
    found.sort_unstable();
    found.dedup();
    for row in found {
        rows[row].occurred.set(rows[row].occurred() + 1);
    }
    true
}

/// A union says beside what is wrong inside it that none of its branches fits: that explains itself.
fn follows(fault: &Fault, faults: &[Fault]) -> bool {
    let inside = |other: &Fault| {
        let rest = other.place.strip_prefix(&fault.place);
        rest.is_some_and(|rest| rest.starts_with('/'))
    };
    fault.keyword == "anyOf" && faults.iter().any(inside)
}
