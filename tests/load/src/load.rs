//! The closed loop: each connection sends a burst of requests, waits for all replies, and begins again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::task::JoinSet;

use crate::conn::Conn;
use crate::process::Server;

/// Bursts of a connection at the begin of a load whose latency does not count: they find caches that others have filled.
const COLD_BURSTS: usize = 2;

/// What each connection sends at once.
#[derive(Debug, Clone)]
pub(crate) struct Burst {
    bytes: Arc<[u8]>,
    depth: usize,
}

impl Burst {
    /// `depth` times the same request.
    pub(crate) fn of(request: &str, depth: usize) -> Self {
        Self {
            bytes: crate::frames::masked(std::iter::repeat_n(request, depth)).into(),
            depth,
        }
    }
}

/// What a load came to.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Requests answered.
    pub(crate) requests: u64,
    /// Time of each burst but the first ones from its write to its last reply, in nanoseconds.
    pub(crate) latencies: Vec<u32>,
}

/// Connections that the gateway has accepted, or to an echo server, ready for loads.
pub(crate) async fn connect(server: &Server, count: usize, accepted: bool) -> Result<Vec<Conn>> {
    let mut conns = Vec::with_capacity(count);
    for _ in 0..count {
        conns.push(open(server.address, accepted).await?);
    }
    Ok(conns)
}

async fn open(address: SocketAddr, accepted: bool) -> Result<Conn> {
    if accepted {
        Conn::to_gateway(address).await
    } else {
        Conn::open(address).await
    }
}

/// Loads a server through `conns` for `time`.
pub(crate) async fn run(conns: &mut Vec<Conn>, burst: &Burst, time: Duration) -> Result<Outcome> {
    let until = Instant::now() + time;
    let mut tasks = JoinSet::new();
    for conn in conns.drain(..) {
        tasks.spawn(one(conn, burst.clone(), until));
    }
    let mut all = Outcome::default();
    while let Some(done) = tasks.join_next().await {
        let (conn, outcome) = done??;
        all.requests += outcome.requests;
        all.latencies.extend(outcome.latencies);
        conns.push(conn);
    }
    Ok(all)
}

async fn one(mut conn: Conn, burst: Burst, until: Instant) -> Result<(Conn, Outcome)> {
    let mut outcome = Outcome::default();
    let mut cold = COLD_BURSTS;
    let mut before = Instant::now();
    while before < until {
        conn.send(&burst.bytes).await?;
        conn.replies(burst.depth).await?;
        let now = Instant::now();
        let nanos = u32::try_from((now - before).as_nanos()).unwrap_or(u32::MAX);
        match cold {
            0 => outcome.latencies.push(nanos),
            _ => cold -= 1,
        }
        outcome.requests += burst.depth as u64;
        before = now;
    }
    Ok((conn, outcome))
}
