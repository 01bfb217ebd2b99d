//! Number 6: a client that never reads, while others work.

use std::time::{Duration, Instant};

use anyhow::Result;
use openclaw_protocol::protocol::limits;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::{Bench, Samples};
use crate::conn::Conn;
use crate::frames;
use crate::load::{self, Burst};
use crate::machine;
use crate::process::Server;
use crate::stats::Percentiles;
use crate::table::Row;

const NUMBER: u8 = 6;

/// Clients that do read, each with one request at a time.
const OTHERS: usize = 8;

/// Length of a load.
const TIME: Duration = Duration::from_millis(1500);

/// Receive buffer of the client that does not read. The kernel's usual one would hold megabytes.
const RECEIVE_BUFFER: u32 = 32 * 1024;

/// Text of each event of the flood, bytes.
const EVENT_BYTES: usize = 20 * 1024;

/// Between two events: 400 a second.
const EVENT_EVERY: Duration = Duration::from_micros(2500);

/// Text in each reply of the flood, bytes, and how many are asked for: 200 MB.
const REPLY_BYTES: usize = 100 * 1024;
const REPLIES: usize = 2000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Flood {
    Events,
    Replies,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Figure {
    /// Growth of the peak, KiB.
    Growth,
    /// Of the others without the client that never reads, µs.
    Before,
    /// Of the others with it, µs.
    With,
}

type All = Samples<(Flood, Figure)>;

/// Measures.
pub(crate) async fn rows(bench: &Bench) -> Result<Vec<Row>> {
    let mut samples = Samples::new();
    for _ in 0..bench.rounds {
        for flood in [Flood::Events, Flood::Replies] {
            measure(bench, flood, &mut samples).await?;
        }
    }
    Ok([Flood::Events, Flood::Replies]
        .iter()
        .flat_map(|flood| lines(&samples, *flood))
        .collect())
}

fn lines(samples: &All, flood: Flood) -> [Row; 2] {
    let name = match flood {
        Flood::Events => "events",
        Flood::Replies => "replies",
    };
    let growth = samples.median(&(flood, Figure::Growth)) / 1024.0;
    let limit = 2.0 * limits::MAX_BUFFERED_BYTES as f64 / 1024.0 / 1024.0;
    let p99 = |figure| format!("p99 {:.0} µs", samples.median(&(flood, figure)));
    let ratio = samples.ratio(&(flood, Figure::With), &(flood, Figure::Before));
    [
        Row::info(
            NUMBER,
            format!("never reads {name}: RSS grows by"),
            format!("{growth:.1} MiB"),
            "",
            None,
        )
        .at_most(growth, limit, "MiB"),
        Row::info(
            NUMBER,
            format!("never reads {name}: the others"),
            p99(Figure::With),
            format!("without it {}", p99(Figure::Before)),
            Some(ratio),
        )
        .at_most(ratio, 1.2, "×"),
    ]
}

async fn measure(bench: &Bench, flood: Flood, samples: &mut All) -> Result<()> {
    let (server, _home) = bench.fresh_gateway()?;
    let mut others = load::connect(&server, OTHERS, true).await?;
    let mut busy = Conn::to_gateway(server.address).await?;
    if flood == Flood::Replies {
        let text = "x".repeat(REPLY_BYTES);
        let event = frames::masked([frames::system_event("1", "large", &text)]);
        busy.send(&event).await?;
        busy.replies(1).await?;
        busy.send(&large_requests(1)).await?;
        busy.replies(1).await?;
    }
    // Once for buffers to grow, then once to compare with.
    phase(&mut others, &mut busy, flood).await?;
    let before = phase(&mut others, &mut busy, flood).await?;
    let peak = machine::peak_rss_kib(server.pid())?;

    let silent = stalled(&server, flood).await?;
    // The first of these fills what there is to fill.
    phase(&mut others, &mut busy, flood).await?;
    let with = phase(&mut others, &mut busy, flood).await?;
    let grown = machine::peak_rss_kib(server.pid())? - peak;
    drop(silent);

    samples.add((flood, Figure::Growth), grown as f64);
    samples.add((flood, Figure::Before), before.p99);
    samples.add((flood, Figure::With), with.p99);
    Ok(())
}

/// A client that does not read, with its requests sent as far as the server takes them.
async fn stalled(server: &Server, flood: Flood) -> Result<JoinSet<()>> {
    let mut silent = Conn::open_narrow(server.address, RECEIVE_BUFFER).await?;
    silent.shake_hands(None).await?;
    let mut task = JoinSet::new();
    task.spawn(async move {
        if flood == Flood::Replies {
            // Waits when the server stops reading, which is the point.
            let _ = silent.send(&large_requests(REPLIES)).await;
        }
        std::future::pending::<()>().await;
    });
    Ok(task)
}

fn large_requests(count: usize) -> Vec<u8> {
    let request = frames::bare_request("1", "system-presence");
    frames::masked(std::iter::repeat_n(request, count))
}

/// The others' latency while the flood, if it is one of events, goes on.
async fn phase(others: &mut Vec<Conn>, busy: &mut Conn, flood: Flood) -> Result<Percentiles> {
    let burst = Burst::of(&frames::bare_request("1", "last-heartbeat"), 1);
    let load = load::run(others, &burst, TIME);
    let outcome = match flood {
        Flood::Replies => load.await?,
        Flood::Events => tokio::try_join!(load, send_events(busy))?.0,
    };
    Ok(Percentiles::of(outcome.latencies))
}

/// Sends events as long as a load takes.
async fn send_events(busy: &mut Conn) -> Result<()> {
    let text = "x".repeat(EVENT_BYTES);
    let event = frames::masked([frames::system_event("1", "flood", &text)]);
    let until = Instant::now() + TIME;
    let mut beat = interval(EVENT_EVERY);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while Instant::now() < until {
        beat.tick().await;
        busy.send(&event).await?;
        busy.replies(1).await?;
    }
    Ok(())
}
