//! Number 3: CPU of a handshake, from the TCP connection to the close, beside a bare upgrade and one signature
//! verification.

use std::hint::black_box;
use std::iter::repeat_n;

use anyhow::{Context as _, Result, ensure};
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use futures_util::stream::{self, TryStreamExt as _};
use openclaw_client::{Clock, DeviceIdentity};
use tempfile::TempDir;

use super::{Bench, ROUNDS_OF_A_PROCESS, Samples};
use crate::conn::Conn;
use crate::floor::Floor;
use crate::machine;
use crate::process::Server;
use crate::table::Row;

const NUMBER: u8 = 3;

/// Handshakes of one round and kind.
const HANDSHAKES: usize = 200;

/// Rounds for each round of the other numbers. What a device adds is the difference of two figures that the host moves by
/// as much as that; the median of few differences would be a matter of luck.
const ROUNDS: usize = 5;

/// Under way at a time.
const AT_ONCE: usize = 8;

/// Under way at a time while devices are paired: each waits for the disk.
const PAIRING_AT_ONCE: usize = 64;

const FEW: usize = 10;
const MANY: usize = 10_000;

/// Verifications of one round.
const VERIFICATIONS: u32 = 300;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Upgrade,
    Token,
    Few,
    Many,
    /// What the device's proof adds.
    AddedFew,
    AddedMany,
    Verification,
}

/// A state directory and the devices that are paired in it.
struct Home {
    directory: TempDir,
    devices: Vec<DeviceIdentity>,
}

/// A kind of handshake with a server.
struct Subject<'a> {
    kind: Kind,
    server: &'a Server,
    devices: &'a [DeviceIdentity],
}

/// Measures.
pub(crate) async fn rows(bench: &Bench) -> Result<Vec<Row>> {
    let few = Home::with_devices(bench, FEW).await?;
    let many = Home::with_devices(bench, MANY).await?;
    let mut samples = Samples::new();
    let rounds = bench.rounds * ROUNDS;
    for first in (0..rounds).step_by(ROUNDS_OF_A_PROCESS * ROUNDS) {
        let echo = Server::floor(Floor::Echo)?;
        let small = Server::gateway(&bench.gateway, few.directory.path())?;
        let large = Server::gateway(&bench.gateway, many.directory.path())?;
        let subject = |kind, server, devices| Subject {
            kind,
            server,
            devices,
        };
        let subjects = [
            subject(Kind::Upgrade, &echo, &[]),
            subject(Kind::Token, &small, &[]),
            subject(Kind::Few, &small, &few.devices),
            subject(Kind::Many, &large, &many.devices),
        ];
        for subject in &subjects {
            warm_up(subject).await?;
        }
        for number in first..rounds.min(first + ROUNDS_OF_A_PROCESS * ROUNDS) {
            round(&subjects, number, &mut samples).await?;
        }
    }
    Ok(lines(&samples))
}

/// One round; other numbers take other devices.
async fn round(subjects: &[Subject<'_>], number: usize, into: &mut Samples<Kind>) -> Result<()> {
    for subject in subjects {
        into.add(subject.kind, measure(subject, number).await?);
    }
    into.add(Kind::Verification, verification()?);
    for (added, kind) in [(Kind::AddedFew, Kind::Few), (Kind::AddedMany, Kind::Many)] {
        let last = |kind| into.of(&kind).last().copied().unwrap_or(f64::NAN);
        let difference = last(kind) - last(Kind::Token);
        into.add(added, difference);
    }
    Ok(())
}

impl Home {
    async fn with_devices(bench: &Bench, count: usize) -> Result<Self> {
        let (server, directory) = bench.fresh_gateway()?;
        let devices = paired(&server, count).await?;
        // With what it writes behind, which would otherwise fall into a round.
        server.end().await?;
        Ok(Self { directory, devices })
    }
}

fn lines(samples: &Samples<Kind>) -> Vec<Row> {
    let figure = |kind| format!("{:.1} µs", samples.median(&kind));
    let mut rows = Vec::new();
    let mut line = |measured: &str, here, beside: String, ratio, limit| {
        let row = Row::info(NUMBER, measured, figure(here), beside, Some(ratio));
        rows.push(row.at_most(ratio, limit, "×"));
    };
    line(
        "token handshake, CPU",
        Kind::Token,
        format!("bare upgrade {}", figure(Kind::Upgrade)),
        samples.ratio(&Kind::Token, &Kind::Upgrade),
        1.5,
    );
    let verification = format!("one verification {}", figure(Kind::Verification));
    line(
        "device adds, 10 paired",
        Kind::AddedFew,
        verification.clone(),
        samples.ratio(&Kind::AddedFew, &Kind::Verification),
        1.3,
    );
    line(
        "device adds, 10,000 paired",
        Kind::AddedMany,
        verification,
        samples.ratio(&Kind::AddedMany, &Kind::Verification),
        1.3,
    );
    // Flat: within what two runs of the same differ by.
    line(
        "device handshake, 10,000 paired, CPU",
        Kind::Many,
        format!("10 paired {}", figure(Kind::Few)),
        samples.ratio(&Kind::Many, &Kind::Few),
        1.1,
    );
    rows
}

/// A round that does not count, in which every device comes at least once: the first time costs the gateway the reading of
/// its key, which it keeps.
async fn warm_up(subject: &Subject<'_>) -> Result<()> {
    let devices = subject.devices.iter().map(Some);
    let others = HANDSHAKES.saturating_sub(subject.devices.len());
    let all = devices.chain(repeat_n(subject.devices.first(), others));
    let is_gateway = subject.kind != Kind::Upgrade;
    shake(subject.server, all.collect(), is_gateway, AT_ONCE).await
}

/// CPU of one handshake, µs.
async fn measure(subject: &Subject<'_>, round: usize) -> Result<f64> {
    let devices = subject.devices;
    let chosen = (0..HANDSHAKES).map(|i| {
        // Other devices in each round, so that no cache makes many look like few.
        let index = (round * HANDSHAKES + i).checked_rem(devices.len())?;
        devices.get(index)
    });
    let is_gateway = subject.kind != Kind::Upgrade;
    let before = subject.server.cpu().await?;
    shake(subject.server, chosen.collect(), is_gateway, AT_ONCE).await?;
    let spent = subject.server.cpu().await?.since(&before);
    Ok(spent as f64 / HANDSHAKES as f64 / 1000.0)
}

/// One connection for each of `devices`, from opening to closing.
async fn shake(
    server: &Server,
    devices: Vec<Option<&DeviceIdentity>>,
    is_gateway: bool,
    at_once: usize,
) -> Result<()> {
    let clock = Clock::system();
    stream::iter(devices.into_iter().map(Ok))
        .try_for_each_concurrent(at_once, |device| {
            let clock = &clock;
            async move {
                let mut conn = Conn::open(server.address).await?;
                if is_gateway {
                    conn.shake_hands(device.map(|device| (device, clock)))
                        .await?;
                }
                conn.close().await
            }
        })
        .await
}

/// As many new devices, paired with `server`.
pub(crate) async fn paired(server: &Server, count: usize) -> Result<Vec<DeviceIdentity>> {
    let devices = devices(count)?;
    let all = devices.iter().map(Some);
    shake(server, all.collect(), true, PAIRING_AT_ONCE)
        .await
        .context("cannot pair the devices")?;
    Ok(devices)
}

fn devices(count: usize) -> Result<Vec<DeviceIdentity>> {
    let device = |_| {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(std::io::Error::other)?;
        Ok(DeviceIdentity::from_seed(&seed))
    };
    (0..count).map(device).collect()
}

/// CPU of reading a key and verifying a signature strictly, µs, in this process but on the server's core.
fn verification() -> Result<f64> {
    let key = SigningKey::from_bytes(&[7; 32]);
    let public = key.verifying_key().to_bytes();
    // As long as what devices sign.
    let payload = [b'x'; 240];
    let signature = key.sign(&payload);
    machine::pin(machine::SERVER_CORE)?;
    let before = machine::thread_cpu();
    let mut verified = 0;
    for _ in 0..VERIFICATIONS {
        let key = VerifyingKey::from_bytes(black_box(&public)).context("not a key")?;
        verified += u32::from(key.verify_strict(black_box(&payload), &signature).is_ok());
    }
    let spent = machine::thread_cpu() - before;
    if machine::cores() > 1 {
        machine::pin(machine::GENERATOR_CORE)?;
    }
    ensure!(verified == VERIFICATIONS, "a good signature was refused");
    Ok(spent.as_secs_f64() * 1e6 / f64::from(VERIFICATIONS))
}
