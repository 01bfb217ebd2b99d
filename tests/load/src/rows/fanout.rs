//! Number 4: CPU a delivered event, one event at a time and sixteen at once. The events are presence, which
//! `system-event` makes the gateway send to everybody at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use tempfile::TempDir;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{Bench, Samples};
use crate::conn::Conn;
use crate::frames;
use crate::load;
use crate::process::Server;
use crate::stats::median;
use crate::table::Row;

const NUMBER: u8 = 4;
const BURST: usize = 16;
const AUDIENCES: [usize; 2] = [100, 1000];

/// Deliveries of one round, so that rounds of both audiences take about as long.
const DELIVERIES: usize = 20_000;

/// All receivers have an event by then, or it was lost.
const LOST: Duration = Duration::from_secs(20);

/// CPU a delivery (µs) and time to the last receiver (µs), by audience and events at once.
type All = Samples<(usize, usize, Figure)>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Figure {
    Cpu,
    Last,
}

/// A gateway with receivers that count what they get.
struct Audience {
    server: Server,
    size: usize,
    sender: Conn,
    counter: Arc<Counter>,
    receivers: JoinSet<Result<()>>,
    _home: TempDir,
}

#[derive(Debug, Default)]
struct Counter {
    seen: AtomicU64,
    wanted: AtomicU64,
    reached: Notify,
}

/// Measures.
pub(crate) async fn rows(bench: &Bench) -> Result<Vec<Row>> {
    let mut audiences = Vec::new();
    for size in AUDIENCES {
        audiences.push(Audience::gather(bench, size).await?);
    }
    let mut samples = Samples::new();
    // The first round only warms up.
    for round in 0..=bench.rounds {
        for audience in &mut audiences {
            for at_once in [1, BURST] {
                let (cpu, last) = audience.measure(at_once).await?;
                if round > 0 {
                    samples.add((audience.size, at_once, Figure::Cpu), cpu);
                    samples.add((audience.size, at_once, Figure::Last), last);
                }
            }
        }
    }
    Ok(AUDIENCES
        .iter()
        .flat_map(|size| lines(&samples, *size))
        .collect())
}

fn lines(samples: &All, size: usize) -> [Row; 2] {
    let figures = |at_once| {
        format!(
            "{:.2} µs, last after {:.2} ms",
            samples.median(&(size, at_once, Figure::Cpu)),
            samples.median(&(size, at_once, Figure::Last)) / 1000.0
        )
    };
    let ratio = samples.ratio(&(size, BURST, Figure::Cpu), &(size, 1, Figure::Cpu));
    let single = format!("CPU a delivery to {size}, one event");
    let burst = format!("CPU a delivery to {size}, {BURST} at once");
    [
        Row::info(NUMBER, single, figures(1), "", None),
        Row::info(NUMBER, burst, figures(BURST), "one event", Some(ratio)).at_most(ratio, 0.2, "×"),
    ]
}

impl Audience {
    async fn gather(bench: &Bench, size: usize) -> Result<Self> {
        let (server, home) = bench.fresh_gateway()?;
        let counter = Arc::new(Counter::default());
        let mut receivers = JoinSet::new();
        for conn in load::connect(&server, size, true).await? {
            receivers.spawn(receive(conn, Arc::clone(&counter)));
        }
        let sender = Conn::to_gateway(server.address).await?;
        Ok(Self {
            server,
            size,
            sender,
            counter,
            receivers,
            _home: home,
        })
    }

    /// CPU a delivery and median time to the last receiver, µs.
    async fn measure(&mut self, at_once: usize) -> Result<(f64, f64)> {
        let text = frames::system_event("1", "bench", frames::BEACON);
        let burst = frames::masked(std::iter::repeat_n(text, at_once));
        let bursts = (DELIVERIES / self.size / at_once).max(4);
        // What came since the last measurement, such as ticks, does not count.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let before = self.server.cpu().await?;
        let mut times = Vec::with_capacity(bursts);
        for _ in 0..bursts {
            let start = Instant::now();
            self.counter.expect((at_once * self.size) as u64);
            self.sender.send(&burst).await?;
            self.sender.replies(at_once).await?;
            timeout(LOST, self.counter.reached())
                .await
                .map_err(|_| self.lost())?;
            times.push(start.elapsed().as_secs_f64() * 1e6);
        }
        let spent = self.server.cpu().await?.since(&before);
        // The sender is told as well.
        let deliveries = bursts * at_once * (self.size + 1);
        Ok((spent as f64 / deliveries as f64 / 1000.0, median(&times)))
    }

    fn lost(&mut self) -> anyhow::Error {
        let ended = self.receivers.try_join_next();
        match ended {
            Some(Ok(Err(error))) => error.context("a receiver failed"),
            _ => anyhow!("events to {} receivers were lost", self.size),
        }
    }
}

async fn receive(mut conn: Conn, counter: Arc<Counter>) -> Result<()> {
    loop {
        let events = conn.events().await.context("a receiver ended")?;
        counter.add(events);
    }
}

impl Counter {
    /// Begins to count towards `events`.
    fn expect(&self, events: u64) {
        self.seen.store(0, Ordering::Relaxed);
        self.wanted.store(events, Ordering::Relaxed);
    }

    fn add(&self, events: u64) {
        let seen = self.seen.fetch_add(events, Ordering::Relaxed) + events;
        let wanted = self.wanted.load(Ordering::Relaxed);
        // An event that nobody asked for, such as a tick, may carry the count past it.
        if seen >= wanted && seen - events < wanted {
            self.reached.notify_one();
        }
    }

    async fn reached(&self) {
        self.reached.notified().await;
    }
}
