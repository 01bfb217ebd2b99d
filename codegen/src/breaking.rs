//! What differs between two versions of the schema, and whom it breaks.
//!
//! `cargo run -p codegen -- breaking --against …` compares the schema with an older one
//! ([`against`](crate::against) finds that). [`rules`] is the table of what can differ; `types` and
//! `members` find it in types, `methods` and `events` in those, `manifest` in the rest.

mod events;
mod manifest;
mod members;
mod methods;
mod rules;
mod types;
mod words;

use std::collections::HashSet;
use std::fmt;

pub use rules::{Direction, Rule, Verdict, listing, rules};

use crate::model::Model;
use crate::source::{PROTOCOL, Place};

/// One difference.
#[derive(Debug)]
pub struct Finding {
    /// What kind of difference it is.
    pub rule: &'static Rule,
    /// Whom it breaks, over all directions in which the value travels.
    pub verdict: Verdict,
    /// Schema file, relative to the schema directory.
    pub file: String,
    /// JSON pointer in it: of the new schema, or of the old one for what is gone.
    pub pointer: String,
    /// From what to what, one line.
    pub change: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} schema/{}#{}: {}",
            self.verdict, self.rule.name, self.file, self.pointer, self.change
        )
    }
}

/// All differences: the worst first, then by place and rule.
#[derive(Debug)]
pub struct Report(pub Vec<Finding>);

impl Report {
    /// Does anything break anybody?
    #[must_use]
    pub fn breaks(&self) -> bool {
        self.0.iter().any(|finding| finding.verdict.breaks())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.0 {
            writeln!(f, "{finding}")?;
        }
        let count = |wanted: &dyn Fn(Verdict) -> bool| {
            let found = self.0.iter().filter(|finding| wanted(finding.verdict));
            found.count()
        };
        let all = match self.0.len() {
            1 => "1 difference".to_owned(),
            many => format!("{many} differences"),
        };
        write!(
            f,
            "{all}: {} breaking, {} safe, {} documentation",
            count(&Verdict::breaks),
            count(&|verdict| verdict == Verdict::Safe),
            count(&|verdict| verdict == Verdict::Documentation),
        )
    }
}

/// Everything that differs from `old` in `new`.
#[must_use]
pub fn compare(old: &Model, new: &Model) -> Report {
    let mut comparison = Comparison {
        old,
        new,
        found: Vec::new(),
        compared: HashSet::new(),
    };
    comparison.manifest();
    comparison.methods();
    comparison.events();
    comparison.frames_and_details();
    let mut found = comparison.found;
    found.sort_by(|a, b| {
        let key = |f: &Finding| (f.verdict, f.file.clone(), f.pointer.clone(), f.rule.name);
        key(a).cmp(&key(b))
    });
    Report(found)
}

/// State of one comparison.
struct Comparison<'a> {
    old: &'a Model,
    new: &'a Model,
    found: Vec<Finding>,
    /// Pairs of definitions that were, or are being, compared.
    compared: HashSet<(&'a str, &'a str, types::Way)>,
}

impl Comparison<'_> {
    /// Notes what differs where both directions are judged alike.
    fn note(&mut self, rule: &'static Rule, place: &Place, change: impl Into<String>) {
        self.judge(rule, rule.params, place, change.into());
    }

    /// Notes a difference; what was found in the other direction is judged together with it.
    fn judge(&mut self, rule: &'static Rule, verdict: Verdict, place: &Place, change: String) {
        let known = self.found.iter_mut().find(|finding| {
            finding.rule.name == rule.name
                && finding.file == place.file
                && finding.pointer == place.pointer
                && finding.change == change
        });
        match known {
            Some(finding) => finding.verdict = finding.verdict.and(verdict),
            None => self.found.push(Finding {
                rule,
                verdict,
                file: place.file.clone(),
                pointer: place.pointer.clone(),
                change,
            }),
        }
    }

    fn described(&mut self, rule: &'static Rule, place: &Place, old: &str, new: &str) {
        if old != new {
            let change = format!("{} -> {}", words::short(old), words::short(new));
            self.note(rule, &place.at("description"), change);
        }
    }
}

/// A section of `protocol.json`.
fn section(name: &str) -> Place {
    Place::new(PROTOCOL).at(name)
}

/// Old and new items of the same name; old ones that are gone first, then in the order of the new.
fn paired<'a, T>(
    old: &'a [T],
    new: &'a [T],
    name: impl Fn(&T) -> &str,
) -> Vec<(Option<&'a T>, Option<&'a T>)> {
    let find = |list: &'a [T], wanted: &str| list.iter().find(|item| name(item) == wanted);
    let gone = old.iter().filter(|item| find(new, name(item)).is_none());
    gone.map(|item| (Some(item), None))
        .chain(new.iter().map(|item| (find(old, name(item)), Some(item))))
        .collect()
}
