//! Number 1: what it costs to read one frame.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum as _;

use super::{Bench, Samples};
use crate::machine;
use crate::parsers::{Case, Parser, Reader};
use crate::table::Row;

const NUMBER: u8 = 1;

/// Text read in one round for each case and parser; short frames are read more often.
const BYTES: usize = 6_000_000;

/// Counts of the two runs under valgrind: their difference leaves out the start of the process.
const COUNTS: [u64; 2] = [200, 1200];

/// Against one-pass serde.
const LIMIT: f64 = 1.3;

/// Measures.
pub(crate) fn rows(bench: &Bench) -> Result<Vec<Row>> {
    machine::pin(machine::SERVER_CORE)?;
    let samples = times(bench.rounds)?;
    let instructions = instructions()?;
    if machine::cores() > 1 {
        machine::pin(machine::GENERATOR_CORE)?;
    }
    Ok(Case::ALL
        .iter()
        .flat_map(|case| lines(*case, &samples, instructions.as_ref()))
        .collect())
}

fn times(rounds: usize) -> Result<Samples<(Case, Parser)>> {
    let mut readers = Vec::new();
    for case in Case::ALL {
        for parser in Parser::ALL {
            readers.push((case, parser, Reader::new(case, parser)?));
        }
    }
    let mut samples = Samples::new();
    for _ in 0..rounds {
        for (case, parser, reader) in &readers {
            let count = BYTES / reader.len() / 4 + 100;
            // Warm before each: the other parsers had the caches.
            repeat(reader, count / 10);
            let spent = repeat(reader, count);
            samples.add((*case, *parser), spent.as_secs_f64() * 1e9 / count as f64);
        }
    }
    Ok(samples)
}

fn repeat(reader: &Reader, count: usize) -> Duration {
    let before = machine::thread_cpu();
    for _ in 0..count {
        reader.read();
    }
    machine::thread_cpu() - before
}

/// Instructions a frame; `None` where there is no valgrind.
fn instructions() -> Result<Option<BTreeMap<(Case, Parser), f64>>> {
    let probe = Command::new("valgrind").arg("--version").output();
    if !probe.is_ok_and(|probe| probe.status.success()) {
        return Ok(None);
    }
    let mut all = BTreeMap::new();
    for case in Case::ALL {
        for parser in Parser::ALL {
            let [few, many] = COUNTS;
            let executed = counted(case, parser, many)? - counted(case, parser, few)?;
            all.insert((case, parser), executed as f64 / (many - few) as f64);
        }
    }
    Ok(Some(all))
}

/// Instructions that this program executes for reading a frame `count` times.
fn counted(case: Case, parser: Parser, count: u64) -> Result<i64> {
    let name = |value: Option<clap::builder::PossibleValue>| {
        value.map_or(String::new(), |value| value.get_name().to_owned())
    };
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(["frame", "--case", &name(case.to_possible_value())])
        .args(["--parser", &name(parser.to_possible_value())])
        .args(["--count", &count.to_string()])
        .output()
        .context("cannot run valgrind")?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "valgrind failed: {text}");
    collected(&text).with_context(|| format!("no count in what valgrind says: {text}"))
}

/// The count in callgrind's last words.
fn collected(text: &str) -> Option<i64> {
    let (_, rest) = text.split_once("Collected :")?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

fn lines(
    case: Case,
    samples: &Samples<(Case, Parser)>,
    instructions: Option<&BTreeMap<(Case, Parser), f64>>,
) -> Vec<Row> {
    let name = match case {
        Case::Chat => "chat.send 123 B",
        Case::Agent => "agent 0.5 KB",
        Case::Connect => "connect 1.9 KB",
        Case::LongChat => "chat.send 20 KB",
    };
    let line = |unit: &str, of: &dyn Fn(Parser) -> f64, ratio: f64| {
        let beside = format!(
            "serde {:.0}; Value + jsonschema {:.0}",
            of(Parser::Serde),
            of(Parser::Tree)
        );
        let here = format!("{:.0}", of(Parser::Gateway));
        Row::info(
            NUMBER,
            format!("{unit} a frame, {name}"),
            here,
            beside,
            Some(ratio),
        )
        .at_most(ratio, LIMIT, "× serde")
    };
    let time = |parser| samples.median(&(case, parser));
    let mut rows = vec![line(
        "ns",
        &time,
        samples.ratio(&(case, Parser::Gateway), &(case, Parser::Serde)),
    )];
    if let Some(all) = instructions {
        let count = |parser| all.get(&(case, parser)).copied().unwrap_or(f64::NAN);
        let ratio = count(Parser::Gateway) / count(Parser::Serde);
        rows.push(line("instructions", &count, ratio));
    } else {
        let measured = format!("instructions a frame, {name}");
        rows.push(Row::info(NUMBER, measured, "no valgrind here", "", None));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_found() {
        let text = "==1== Events    : Ir\n==1== Collected : 2345678\n==1== \n";
        assert_eq!(collected(text), Some(2_345_678));
        assert_eq!(collected("==1== nothing"), None);
    }
}
