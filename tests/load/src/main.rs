//! Load generator and benchmark of the gateway. `bench` starts everything that it needs and prints one table; see
//! `docs/benchmarks.md`.

mod conn;
mod drive;
mod floor;
mod frames;
mod load;
mod machine;
mod order;
mod parsers;
mod process;
mod rows;
mod sessions;
mod stats;
mod table;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::{Parser as _, Subcommand};

use drive::Work;
use floor::Floor;
use parsers::{Case, Parser, Reader};
use rows::Bench;
use table::Table;

#[derive(Debug, clap::Parser)]
#[command(about = "Load generator and benchmark of the gateway")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure a gateway and print the table
    Bench {
        /// The gateway's executable, an optimised build
        #[arg(long)]
        gateway: PathBuf,
        /// Rounds that each median is of
        #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u16).range(1..))]
        rounds: u16,
        /// Numbers to measure, such as 2,4 (default: all)
        #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u8).range(1..=7))]
        only: Vec<u8>,
        /// Also write the table as JSON to this file
        #[arg(long)]
        json: Option<PathBuf>,
    },
    /// Keep a gateway busy with one kind of work, for a profiler to look at
    Drive {
        /// The gateway's executable
        #[arg(long)]
        gateway: PathBuf,
        /// What to do
        work: Work,
        /// Requests that each of eight connections sends at once
        #[arg(long, default_value_t = 1)]
        depth: usize,
        /// Paired devices that take turns with handshakes
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
        devices: u16,
        /// How long
        #[arg(long, default_value_t = 10)]
        seconds: u64,
    },
    /// Compare a gateway that has many conversations with one that has few
    Sessions {
        /// The gateway's executable, an optimised build
        #[arg(long)]
        gateway: PathBuf,
        /// Conversations of the small state
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
        few: u32,
        /// Conversations of the large one
        #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
        many: u32,
        /// Messages of each
        #[arg(long, default_value_t = 200)]
        messages: u32,
        /// Starts that each median is of
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
        rounds: u16,
    },
    /// Write the list of functions that the linker puts beside each other, from what a gateway with symbols executes
    Order {
        /// The gateway's executable: `cargo rustc --release -p openclaw-gateway --bin openclaw -- -C strip=none` makes it
        #[arg(long)]
        gateway: PathBuf,
        /// The list
        #[arg(long, default_value = "server/functions.order")]
        list: PathBuf,
    },
    /// Be one of the servers that the gateway is compared with
    #[command(hide = true)]
    Serve {
        /// Which
        floor: Floor,
        /// Port on the loopback interface
        #[arg(long)]
        port: u16,
    },
    /// Read one frame over and over, for counting instructions
    #[command(hide = true)]
    Frame {
        /// Which frame
        #[arg(long)]
        case: Case,
        /// How to read it
        #[arg(long)]
        parser: Parser,
        /// How often
        #[arg(long)]
        count: u64,
    },
}

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    match Args::parse().command {
        Command::Bench {
            gateway,
            rounds,
            only,
            json,
        } => {
            refuse_debug(&gateway)?;
            let bench = Bench {
                gateway,
                rounds: usize::from(rounds),
            };
            runtime.block_on(run(&bench, &only, json.as_deref()))
        }
        Command::Drive {
            gateway,
            work,
            depth,
            devices,
            seconds,
        } => {
            machine::cores();
            let bench = Bench { gateway, rounds: 1 };
            let time = Duration::from_secs(seconds);
            runtime.block_on(drive::drive(&bench, work, depth, devices, time))
        }
        Command::Sessions {
            gateway,
            few,
            many,
            messages,
            rounds,
        } => {
            machine::cores();
            let plan = sessions::Plan {
                gateway: gateway.canonicalize()?,
                few: few as usize,
                many: many as usize,
                messages: messages as usize,
                rounds: usize::from(rounds),
            };
            runtime.block_on(sessions::run(&plan))
        }
        Command::Order { gateway, list } => runtime.block_on(order::order(&gateway, &list)),
        Command::Serve { floor, port } => runtime.block_on(floor::serve(floor, port)),
        Command::Frame {
            case,
            parser,
            count,
        } => {
            let reader = Reader::new(case, parser)?;
            for _ in 0..count {
                reader.read();
            }
            Ok(())
        }
    }
}

/// Figures of a build without optimisation say nothing, and somebody would quote them.
fn refuse_debug(gateway: &Path) -> Result<()> {
    if cfg!(debug_assertions) {
        bail!("this is a debug build: run it with --release or --profile fast");
    }
    let path = gateway
        .canonicalize()
        .with_context(|| format!("no gateway at {}", gateway.display()))?;
    if path.components().any(|part| part.as_os_str() == "debug") {
        bail!("{} is a debug build", gateway.display());
    }
    Ok(())
}

async fn run(bench: &Bench, only: &[u8], json: Option<&Path>) -> Result<()> {
    machine::raise_descriptor_limit()?;
    if machine::cores() > 1 {
        machine::pin(machine::GENERATOR_CORE)?;
    }
    let mut table = Table {
        rounds: bench.rounds,
        cores: machine::cores().min(2),
        rows: Vec::new(),
    };
    for number in (1..=7).filter(|number| only.is_empty() || only.contains(number)) {
        writeln!(io::stderr(), "measuring {number} of 7")?;
        let rows = match number {
            1 => rows::frames::rows(bench),
            2 => rows::requests::rows(bench).await,
            3 => rows::handshake::rows(bench).await,
            4 => rows::fanout::rows(bench).await,
            5 => rows::idle::rows(bench).await,
            6 => rows::stalled::rows(bench).await,
            _ => rows::start::rows(bench).await,
        };
        table
            .rows
            .extend(rows.with_context(|| format!("number {number} cannot be measured"))?);
    }
    table.write(&mut io::stdout().lock())?;
    if let Some(path) = json {
        let text = serde_json::to_string_pretty(&table)?;
        std::fs::write(path, text + "\n")
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
