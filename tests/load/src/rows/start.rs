//! Number 7: how fast the gateway starts, and how large it is.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::{Bench, Samples};
use crate::machine;
use crate::process::Server;
use crate::table::Row;

const NUMBER: u8 = 7;

/// For the first health summary and whatever else follows the start.
const SETTLE: Duration = Duration::from_millis(300);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Figure {
    /// ms, without any state.
    First,
    /// ms, with the state of the first start.
    Again,
    /// KiB.
    Memory,
}

/// Measures.
pub(crate) async fn rows(bench: &Bench) -> Result<Vec<Row>> {
    let mut samples = Samples::new();
    for _ in 0..bench.rounds {
        let (server, home) = bench.fresh_gateway()?;
        samples.add(Figure::First, server.started_in.as_secs_f64() * 1e3);
        tokio::time::sleep(SETTLE).await;
        samples.add(Figure::Memory, machine::rss_kib(server.pid())? as f64);
        drop(server);
        let server = Server::gateway(&bench.gateway, home.path())?;
        samples.add(Figure::Again, server.started_in.as_secs_f64() * 1e3);
    }
    let first = samples.median(&Figure::First);
    let again = samples.median(&Figure::Again);
    let memory = samples.median(&Figure::Memory) / 1024.0;
    let size = stripped_size(&bench.gateway)? as f64 / 1e6;
    let line = |measured: &str, here: String| Row::info(NUMBER, measured, here, "", None);
    Ok(vec![
        line("exec to listening, no state yet", format!("{first:.1} ms"))
            .at_most(first, 20.0, "ms"),
        line("exec to listening, again", format!("{again:.1} ms")).at_most(again, 20.0, "ms"),
        line("RSS after start", format!("{memory:.1} MiB")).at_most(memory, 9.0, "MiB"),
        line("binary, stripped", format!("{size:.1} MB")).at_most(size, 15.0, "MB"),
    ])
}

/// Bytes of the executable without symbols.
fn stripped_size(binary: &Path) -> Result<u64> {
    let dir = tempfile::tempdir()?;
    let copy = dir.path().join("stripped");
    let stripped = Command::new("strip")
        .arg("-o")
        .arg(&copy)
        .arg(binary)
        .status();
    // Without that tool, the file as it is: release builds are stripped already.
    let measured = match stripped {
        Ok(status) if status.success() => copy.as_path(),
        _ => binary,
    };
    let metadata = std::fs::metadata(measured);
    Ok(metadata.context("cannot see the executable")?.len())
}
