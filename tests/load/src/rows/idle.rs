//! Number 5: resident memory of idle connections.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::net::TcpStream;

use super::{Bench, Samples};
use crate::conn::Conn;
use crate::floor::Floor;
use crate::machine;
use crate::process::Server;
use crate::table::Row;

const NUMBER: u8 = 5;
const COUNTS: [usize; 2] = [1000, 10_000];

/// Descriptors that processes need beside those of the connections.
const SPARE_DESCRIPTORS: u64 = 64;

/// Connections opened at a time.
const AT_ONCE: usize = 64;

/// For what follows hello-ok to be written and buffers to be given back.
const SETTLE: Duration = Duration::from_millis(300);

/// The gateway's figure, KiB a connection.
const LIMIT_KIB: f64 = 10.0;

/// Is it the gateway, and with how many connections?
type Key = (bool, usize);

/// Measures.
pub(crate) async fn rows(bench: &Bench) -> Result<Vec<Row>> {
    let available = machine::raise_descriptor_limit()?;
    let needed = COUNTS[1] as u64 + SPARE_DESCRIPTORS;
    ensure!(
        available >= needed,
        "{needed} descriptors are needed, {available} are allowed: raise `ulimit -Hn`"
    );
    let mut samples: Samples<Key> = Samples::new();
    for _ in 0..bench.rounds {
        let echo = Server::floor(Floor::Echo)?;
        measure(&echo, false, &mut samples).await?;
        drop(echo);
        let (gateway, _home) = bench.fresh_gateway()?;
        measure(&gateway, true, &mut samples).await?;
    }
    let line = |count| {
        let here = samples.median(&(true, count));
        Row::info(
            NUMBER,
            format!("idle RSS a connection at {count}"),
            format!("{here:.1} KiB"),
            format!("echo {:.1} KiB", samples.median(&(false, count))),
            Some(samples.ratio(&(true, count), &(false, count))),
        )
        .at_most(here, LIMIT_KIB, "KiB")
    };
    Ok(COUNTS.map(line).into())
}

async fn measure(server: &Server, is_gateway: bool, samples: &mut Samples<Key>) -> Result<()> {
    tokio::time::sleep(SETTLE).await;
    let before = machine::rss_kib(server.pid())?;
    let mut idle: Vec<TcpStream> = Vec::with_capacity(COUNTS[1]);
    for count in COUNTS {
        let more = count - idle.len();
        let opened: Vec<_> = stream::iter((0..more).map(|_| open(server.address, is_gateway)))
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
            .with_context(|| format!("cannot open {count} connections"))?;
        idle.extend(opened);
        tokio::time::sleep(SETTLE).await;
        let grown = machine::rss_kib(server.pid())?.saturating_sub(before);
        samples.add((is_gateway, count), grown as f64 / count as f64);
    }
    Ok(())
}

async fn open(address: SocketAddr, is_gateway: bool) -> Result<TcpStream> {
    let conn = if is_gateway {
        Conn::to_gateway(address).await
    } else {
        Conn::open(address).await
    };
    conn.map(Conn::idle)
}
