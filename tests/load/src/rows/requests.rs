//! Number 2: CPU a request, beside echo servers; latency.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use tempfile::TempDir;

use super::{Bench, ROUNDS_OF_A_PROCESS, Samples};
use crate::conn::Conn;
use crate::floor::Floor;
use crate::frames;
use crate::load::{self, Burst};
use crate::process::Server;
use crate::stats::Percentiles;
use crate::table::Row;

const NUMBER: u8 = 2;
const CONNECTIONS: usize = 8;
const DEPTHS: [usize; 2] = [1, 16];

/// Rounds for each round of the other numbers, and as much shorter. What else the host does comes and goes within a second and
/// costs up to half, so those that are compared must not be further apart than a fraction of that; and what stops a core for
/// a millisecond a few times a second must not make the tail of most rounds.
const ROUNDS: usize = 8;

/// Length of one load; 2,000 bursts at depth 16, of which p99.9 is the second worst.
const TIME: Duration = Duration::from_millis(50);

/// Load before the first round, for buffers to grow and caches to fill.
const WARM_UP: Duration = Duration::from_millis(200);

/// What is asked of the gateway. The first does what an echo does, text in and as much text out, and has the goals; the
/// second has params and a longer answer, and tells what such work adds.
pub(crate) const METHODS: [&str; 2] = ["last-heartbeat", "agent.identity.get"];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Echo,
    Gathered,
    Method(&'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Figure {
    /// CPU a request, µs.
    Cpu,
    /// Requests a second.
    Rate,
    P50,
    P999,
    /// p99.9 over p50.
    Tail,
}

/// What all loads came to.
struct All {
    samples: Samples<(Subject, usize, Figure)>,
    /// Of all loads together, in nanoseconds.
    latencies: BTreeMap<(Subject, usize), Vec<u32>>,
}

/// A server, what it is asked and the connections to it.
struct Target {
    subject: Subject,
    server: usize,
    conns: Vec<Conn>,
    bursts: [Burst; DEPTHS.len()],
}

struct Servers {
    running: Vec<Server>,
    _home: TempDir,
}

/// Measures.
pub(crate) async fn rows(bench: &Bench) -> Result<Vec<Row>> {
    let mut all = All {
        samples: Samples::new(),
        latencies: BTreeMap::new(),
    };
    let rounds = bench.rounds * ROUNDS;
    let of_a_process = ROUNDS_OF_A_PROCESS * ROUNDS;
    for first in (0..rounds).step_by(of_a_process) {
        let (servers, mut targets) = start(bench).await?;
        for _ in first..rounds.min(first + of_a_process) {
            for index in 0..DEPTHS.len() {
                for target in &mut targets {
                    let server = &servers.running[target.server];
                    measure(target, index, server, &mut all).await?;
                }
            }
        }
    }
    Ok(METHODS
        .iter()
        .flat_map(|method| lines(&all, method))
        .collect())
}

/// Servers and connections to them, warm.
async fn start(bench: &Bench) -> Result<(Servers, Vec<Target>)> {
    let (gateway, home) = bench.fresh_gateway()?;
    let running = vec![
        Server::floor(Floor::Echo)?,
        Server::floor(Floor::EchoGathered)?,
        gateway,
    ];
    let mut targets = Vec::new();
    for (server, subject) in [
        (0, Subject::Echo),
        (1, Subject::Gathered),
        (2, Subject::Method(METHODS[0])),
        (2, Subject::Method(METHODS[1])),
    ] {
        let is_gateway = matches!(subject, Subject::Method(_));
        let conns = load::connect(&running[server], CONNECTIONS, is_gateway).await?;
        let request = match subject {
            Subject::Method(name) => text(name),
            // As long as the shorter one.
            Subject::Echo | Subject::Gathered => text(METHODS[0]),
        };
        let bursts = DEPTHS.map(|depth| Burst::of(&request, depth));
        targets.push(Target {
            subject,
            server,
            conns,
            bursts,
        });
    }
    for target in &mut targets {
        for burst in &target.bursts {
            load::run(&mut target.conns, burst, WARM_UP).await?;
        }
    }
    let servers = Servers {
        running,
        _home: home,
    };
    Ok((servers, targets))
}

/// A request of one of [`METHODS`].
pub(crate) fn text(method: &str) -> String {
    match method {
        "agent.identity.get" => frames::request("1", method, &json!({ "agentId": "main" })),
        _ => frames::bare_request("1", method),
    }
}

/// One load of the burst at `index`.
async fn measure(target: &mut Target, index: usize, server: &Server, all: &mut All) -> Result<()> {
    let before = server.cpu().await?;
    let outcome = load::run(&mut target.conns, &target.bursts[index], TIME).await?;
    let spent = server.cpu().await?.since(&before);
    let requests = outcome.requests as f64;
    let key = (target.subject, DEPTHS[index]);
    let together = all.latencies.entry(key).or_default();
    together.extend_from_slice(&outcome.latencies);
    let latency = Percentiles::of(outcome.latencies);
    for (figure, value) in [
        (Figure::Cpu, spent as f64 / requests / 1000.0),
        (Figure::Rate, requests / TIME.as_secs_f64()),
        (Figure::P50, latency.p50),
        (Figure::P999, latency.p999),
        (Figure::Tail, latency.p999 / latency.p50),
    ] {
        all.samples.add((key.0, key.1, figure), value);
    }
    Ok(())
}

fn lines(all: &All, method: &'static str) -> Vec<Row> {
    let samples = &all.samples;
    let here = Subject::Method(method);
    let is_like_echo = method == METHODS[0];
    let mut rows = Vec::new();
    for (depth, floor, name, limit) in [
        (1, Subject::Echo, "echo", 1.2),
        (16, Subject::Gathered, "gathered echo", 1.7),
    ] {
        let at = |subject, figure| (subject, depth, figure);
        let figures = |subject| {
            format!(
                "{:.2} µs, {:.0} k/s",
                samples.median(&at(subject, Figure::Cpu)),
                samples.median(&at(subject, Figure::Rate)) / 1000.0
            )
        };
        let mut beside = format!("{name} {}", figures(floor));
        if depth > 1 {
            let plain = samples.median(&at(Subject::Echo, Figure::Cpu));
            beside = format!("{beside}; echo {plain:.2} µs");
        }
        let ratio = samples.ratio(&at(here, Figure::Cpu), &at(floor, Figure::Cpu));
        let measured = format!("CPU a request, 8 × {depth}, `{method}`");
        let row = Row::info(NUMBER, measured, figures(here), beside, Some(ratio));
        rows.push(if is_like_echo {
            row.at_most(ratio, limit, "×")
        } else {
            row
        });
        let percentiles = |subject| {
            let together = all.latencies.get(&(subject, depth)).cloned();
            format!(
                "{:.0} / {:.0} / {:.0} µs",
                samples.median(&at(subject, Figure::P50)),
                samples.median(&at(subject, Figure::P999)),
                Percentiles::of(together.unwrap_or_default()).p999
            )
        };
        let tail = samples.median(&at(here, Figure::Tail));
        let row = Row::info(
            NUMBER,
            format!("p50 / p99.9 / of all loads, 8 × {depth}, `{method}`"),
            percentiles(here),
            format!("{name} {}", percentiles(floor)),
            Some(tail),
        );
        rows.push(if is_like_echo && depth > 1 {
            row.at_most(tail, 4.0, "× p50")
        } else {
            row
        });
    }
    rows
}
