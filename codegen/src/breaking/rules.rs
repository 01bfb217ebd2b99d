//! The rule table: what can differ between two versions of the schema, and whom it breaks.
//!
//! Read by the comparison, which only finds what differs, by the listing in docs/evolution.md, and by
//! the tests, which hold an edit for every row.

pub(super) mod protocol;
pub(super) mod types;

use std::fmt;

/// Whom a difference breaks. In the order of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Old clients at a new server, and new clients at an old server.
    BreaksBoth,
    /// Old clients at a new server.
    BreaksClients,
    /// New clients at an old server.
    BreaksServers,
    /// Nobody.
    Safe,
    /// Nobody: only words for people differ.
    Documentation,
}

impl Verdict {
    /// Does it break anybody?
    #[must_use]
    pub fn breaks(self) -> bool {
        self < Verdict::Safe
    }

    /// The verdict on a difference that two rules or directions judge.
    #[must_use]
    pub fn and(self, other: Verdict) -> Verdict {
        match (self, other) {
            (Verdict::BreaksClients, Verdict::BreaksServers)
            | (Verdict::BreaksServers, Verdict::BreaksClients) => Verdict::BreaksBoth,
            _ => self.min(other),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Verdict::BreaksBoth => "breaks old clients and old servers",
            Verdict::BreaksClients => "breaks old clients",
            Verdict::BreaksServers => "breaks old servers",
            Verdict::Safe => "safe",
            Verdict::Documentation => "documentation",
        })
    }
}

/// Who writes a value, and who reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Clients write, servers read.
    Params,
    /// Servers write, clients read: results, events, error details.
    Results,
}

/// One row of the table.
#[derive(Debug)]
pub struct Rule {
    /// Name in reports.
    pub name: &'static str,
    /// What differs.
    pub what: &'static str,
    /// Verdict where clients write.
    pub params: Verdict,
    /// Verdict where servers write. The same as `params` for what has no direction.
    pub results: Verdict,
    /// Why.
    pub reason: &'static str,
}

impl Rule {
    /// The verdict for a direction.
    #[must_use]
    pub fn verdict(&self, direction: Direction) -> Verdict {
        match direction {
            Direction::Params => self.params,
            Direction::Results => self.results,
        }
    }
}

/// All rules: first those of types, then those of everything else.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    types::ALL.iter().chain(protocol::ALL).copied()
}

/// The table as Markdown, for docs/evolution.md.
#[must_use]
pub fn listing() -> String {
    let mut text = String::from(
        "| rule | what differs | in params | in results and events | why |\n| --- | --- | --- | --- | --- |\n",
    );
    for rule in types::ALL {
        text += &format!(
            "| `{}` | {} | {} | {} | {} |\n",
            rule.name, rule.what, rule.params, rule.results, rule.reason
        );
    }
    text += "\n| rule | what differs | verdict | why |\n| --- | --- | --- | --- |\n";
    for rule in protocol::ALL {
        text += &format!(
            "| `{}` | {} | {} | {} |\n",
            rule.name, rule.what, rule.params, rule.reason
        );
    }
    text
}

/// Rows `NAME [params, results] "what" "why";`, or with one verdict where there is no direction.
macro_rules! table {
    (@verdicts $one:ident) => { ($one, $one) };
    (@verdicts $params:ident, $results:ident) => { ($params, $results) };
    ($($name:ident [$($verdict:ident),+] $what:literal $reason:literal;)+) => {
        $(
            #[doc = $what]
            pub(in super::super) static $name: Rule = {
                let (params, results) = table!(@verdicts $($verdict),+);
                Rule { name: stringify!($name), what: $what, params, results, reason: $reason }
            };
        )+
        /// All rows in the order of the listing.
        pub(in super::super) static ALL: &[&Rule] = &[$(&$name),+];
    };
}
use table;
