//! One kind of load on one gateway for some seconds, for looking at the gateway with a profiler meanwhile.

use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::ValueEnum;
use openclaw_client::{Clock, DeviceIdentity};

use crate::conn::Conn;
use crate::load::{self, Burst};
use crate::process::Server;
use crate::rows;
use crate::rows::Bench;

const CONNECTIONS: usize = 8;

/// What the gateway is kept busy with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Work {
    /// Requests that are answered from memory.
    Heartbeat,
    /// Requests that read the disk first.
    Identity,
    /// Handshakes with the token.
    Token,
    /// Handshakes of paired devices, one after the other.
    Device,
}

/// Keeps a fresh gateway busy and says what it cost. `depth` counts for requests only, `devices` for handshakes of
/// devices.
pub(crate) async fn drive(
    bench: &Bench,
    work: Work,
    depth: usize,
    devices: u16,
    time: Duration,
) -> Result<()> {
    let (gateway, _home) = bench.fresh_gateway()?;
    let paired = match work {
        Work::Device => rows::handshake::paired(&gateway, devices.into()).await?,
        _ => Vec::new(),
    };
    writeln!(io::stderr(), "process {}", gateway.pid())?;
    let before = gateway.cpu().await?;
    let done = match work {
        Work::Heartbeat => requests(&gateway, rows::requests::METHODS[0], depth, time).await?,
        Work::Identity => requests(&gateway, rows::requests::METHODS[1], depth, time).await?,
        Work::Token | Work::Device => handshakes(&gateway, &paired, time).await?,
    };
    let spent = gateway.cpu().await?.since(&before);
    writeln!(
        io::stdout(),
        "{done} done, {:.2} µs of CPU each",
        spent as f64 / done as f64 / 1000.0
    )?;
    Ok(())
}

async fn requests(gateway: &Server, method: &str, depth: usize, time: Duration) -> Result<u64> {
    let mut conns = load::connect(gateway, CONNECTIONS, true).await?;
    let burst = Burst::of(&rows::requests::text(method), depth);
    Ok(load::run(&mut conns, &burst, time).await?.requests)
}

async fn handshakes(gateway: &Server, devices: &[DeviceIdentity], time: Duration) -> Result<u64> {
    let clock = Clock::system();
    let mut turns = devices.iter().cycle();
    let until = Instant::now() + time;
    let mut done = 0;
    while Instant::now() < until {
        let mut conn = Conn::open(gateway.address).await?;
        conn.shake_hands(turns.next().map(|device| (device, &clock)))
            .await?;
        conn.close().await?;
        done += 1;
    }
    Ok(done)
}
