//! The table that a run prints, and the same as JSON.

use std::io::{self, Write};

use serde::Serialize;

/// One line of the table.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    /// Number of the measurement.
    pub(crate) number: u8,
    /// What was measured.
    pub(crate) measured: String,
    /// The gateway's figure.
    pub(crate) here: String,
    /// What it is compared with, and that figure.
    pub(crate) beside: String,
    /// The first over the second: the median of the rounds' ratios.
    pub(crate) ratio: Option<f64>,
    /// What is to be reached.
    pub(crate) goal: String,
    /// Whether it is; `None` for lines that only inform.
    pub(crate) reached: Option<bool>,
}

impl Row {
    /// A line without goal.
    pub(crate) fn info(
        number: u8,
        measured: impl Into<String>,
        here: impl Into<String>,
        beside: impl Into<String>,
        ratio: Option<f64>,
    ) -> Self {
        Self {
            number,
            measured: measured.into(),
            here: here.into(),
            beside: beside.into(),
            ratio,
            goal: String::new(),
            reached: None,
        }
    }

    /// Adds the goal that `value` is at most `limit`; `unit` follows the limit in print.
    pub(crate) fn at_most(mut self, value: f64, limit: f64, unit: &str) -> Self {
        self.goal = format!("≤ {limit} {unit}").trim_end().to_owned();
        // Not a number when something was not measured: not reached then.
        self.reached = Some(value <= limit);
        self
    }
}

/// All lines of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Table {
    /// Rounds that each median is of.
    pub(crate) rounds: usize,
    /// Cores of the machine that were used.
    pub(crate) cores: usize,
    /// The lines, by number.
    pub(crate) rows: Vec<Row>,
}

impl Table {
    /// Writes the table as Markdown.
    pub(crate) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(
            out,
            "Medians of {} interleaved rounds, {} core(s), server CPU from schedstat.\n",
            self.rounds, self.cores
        )?;
        writeln!(
            out,
            "| # | measured | gateway | beside | ratio | goal | reached |"
        )?;
        writeln!(out, "|---|---|---|---|---|---|---|")?;
        for row in &self.rows {
            let ratio = row
                .ratio
                .map_or(String::new(), |ratio| format!("{ratio:.2}"));
            let reached = match row.reached {
                Some(true) => "yes",
                Some(false) => "**no**",
                None => "",
            };
            writeln!(
                out,
                "| {} | {} | {} | {} | {ratio} | {} | {reached} |",
                row.number, row.measured, row.here, row.beside, row.goal
            )?;
        }
        let judged = || self.rows.iter().filter_map(|row| row.reached);
        let reached = judged().filter(|reached| *reached).count();
        writeln!(out, "\n{reached} of {} goals reached.", judged().count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_show_what_is_reached() {
        let row = |value| Row::info(2, "m", "5 µs", "4 µs", Some(value)).at_most(value, 1.2, "×");
        let table = Table {
            rounds: 9,
            cores: 2,
            rows: vec![
                row(1.2),
                row(1.21),
                row(f64::NAN),
                Row::info(3, "i", "1", "", None),
            ],
        };
        let mut out = Vec::new();
        table.write(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<_> = text.lines().skip(4).collect();
        assert_eq!(lines[0], "| 2 | m | 5 µs | 4 µs | 1.20 | ≤ 1.2 × | yes |");
        assert_eq!(
            lines[1],
            "| 2 | m | 5 µs | 4 µs | 1.21 | ≤ 1.2 × | **no** |"
        );
        assert_eq!(lines[2], "| 2 | m | 5 µs | 4 µs | NaN | ≤ 1.2 × | **no** |");
        assert_eq!(lines[3], "| 3 | i | 1 |  |  |  |  |");
        assert_eq!(lines[5], "1 of 3 goals reached.");
    }
}
