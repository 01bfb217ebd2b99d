//! The measurements, one file for each number of the table.

pub(crate) mod fanout;
pub(crate) mod frames;
pub(crate) mod handshake;
pub(crate) mod idle;
pub(crate) mod requests;
pub(crate) mod stalled;
pub(crate) mod start;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;
use tempfile::TempDir;

use crate::process::Server;
use crate::stats::{median, median_ratio};

/// Rounds after which servers are started anew, where figures are compared that differ by little. Where a process's memory
/// lies costs or saves it some percent for as long as it lives, so one process of each kind would make every median a
/// matter of luck.
pub(crate) const ROUNDS_OF_A_PROCESS: usize = 3;

/// What every measurement needs.
#[derive(Debug)]
pub(crate) struct Bench {
    /// The gateway's executable.
    pub(crate) gateway: PathBuf,
    /// Rounds that each median is of.
    pub(crate) rounds: usize,
}

impl Bench {
    /// A gateway with a state directory of its own, which lives as long as the second value.
    pub(crate) fn fresh_gateway(&self) -> Result<(Server, TempDir)> {
        let home = tempfile::tempdir()?;
        Ok((Server::gateway(&self.gateway, home.path())?, home))
    }
}

/// Figures by what was measured, one of each round.
#[derive(Debug, Default)]
pub(crate) struct Samples<K>(BTreeMap<K, Vec<f64>>);

impl<K: Ord> Samples<K> {
    pub(crate) fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Adds this round's figure.
    pub(crate) fn add(&mut self, key: K, value: f64) {
        self.0.entry(key).or_default().push(value);
    }

    /// The rounds' figures.
    pub(crate) fn of(&self, key: &K) -> &[f64] {
        self.0.get(key).map_or(&[], Vec::as_slice)
    }

    /// The rounds' median.
    pub(crate) fn median(&self, key: &K) -> f64 {
        median(self.of(key))
    }

    /// The median of the rounds' ratios.
    pub(crate) fn ratio(&self, key: &K, beside: &K) -> f64 {
        median_ratio(self.of(key), self.of(beside))
    }
}
