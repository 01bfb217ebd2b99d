//! The `openclaw-conformance` command: `run` replays sessions against a gateway, `import` makes session files of recordings.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};
use openclaw_conformance::deviation::Deviations;
use openclaw_conformance::gateway::Command;
use openclaw_conformance::keys::TestKeys;
use openclaw_conformance::race::Races;
use openclaw_conformance::rules::Rules;
use openclaw_conformance::schema::FrameSchemas;
use openclaw_conformance::suite::{self, Suite, Target};
use openclaw_conformance::{file, import, report};

/// Replays recorded OpenClaw gateway sessions against a gateway and compares what it answers.
#[derive(Parser)]
#[command(name = "openclaw-conformance", version)]
struct Cli {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Replay sessions.
    Run(RunArgs),
    /// Make session files of recordings (JSON lines).
    Import {
        /// Folder of recordings.
        from: PathBuf,
        /// Only these: a name, or a beginning and `*`.
        #[arg(long, num_args = 1..)]
        only: Vec<String>,
        /// Folder with `sessions/` and `keys.json`.
        #[arg(long, default_value_os_t = default_data())]
        data: PathBuf,
    },
}

#[derive(Args)]
struct RunArgs {
    /// Shell command that starts a gateway, with `{port}` where the port goes. Each session gets its own, with a temporary
    /// HOME that holds its configuration.
    #[arg(long, required_unless_present_any = ["url", "list"], conflicts_with = "url")]
    start: Option<String>,
    /// Added to the environment of a started gateway.
    #[arg(long, value_name = "NAME=VALUE", num_args = 1..)]
    env: Vec<String>,
    /// A gateway that runs already, such as ws://127.0.0.1:18789. Sessions that need one of their own are skipped.
    #[arg(long)]
    url: Option<String>,
    /// Its shared secret.
    #[arg(
        long,
        env = "OPENCLAW_GATEWAY_TOKEN",
        hide_env_values = true,
        default_value = "tok"
    )]
    token: String,
    /// Only these sessions: a name, or a beginning and `*`.
    #[arg(long, num_args = 1..)]
    only: Vec<String>,
    /// Sessions at a time.
    #[arg(long, default_value_t = 4)]
    jobs: usize,
    /// What is expected: the recorded behaviour with its improvements, or exactly what was recorded.
    #[arg(long, value_enum, default_value_t = Profile::Improved)]
    profile: Profile,
    /// Seconds to wait for a frame beyond its recorded time.
    #[arg(long, default_value_t = 10.0)]
    patience: f64,
    /// Seconds that a started gateway has until it listens.
    #[arg(long, default_value_t = 60.0)]
    start_patience: f64,
    /// Writes the results to a file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Keeps the homes of failing sessions in a folder.
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
    /// Also tells what is wrong in sessions that are known to fail.
    #[arg(long)]
    verbose: bool,
    /// Lists the sessions.
    #[arg(long)]
    list: bool,
    /// Published schema that every frame must follow.
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,
    /// Folder with `sessions/`, `keys.json`, `rules.json`, `deviations.json`, `races.json` and `known-failing.txt`.
    #[arg(long, default_value_os_t = default_data())]
    data: PathBuf,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Profile {
    /// With the improvements of `deviations.json`.
    Improved,
    /// Exactly what was recorded.
    Original,
}

fn default_data() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn main() -> ExitCode {
    perform(Cli::parse().action).unwrap_or_else(|error| {
        // Nobody to tell if standard error is closed.
        let _ = writeln!(std::io::stderr(), "openclaw-conformance: {error:#}");
        ExitCode::from(2)
    })
}

fn perform(action: Action) -> anyhow::Result<ExitCode> {
    match action {
        Action::Import { from, only, data } => {
            let keys = TestKeys::load(&data.join("keys.json"))?;
            let names = import::import(&from, &data.join("sessions"), &only, &keys)?;
            writeln!(std::io::stdout(), "{} sessions imported", names.len())?;
            Ok(ExitCode::SUCCESS)
        }
        Action::Run(args) => {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async {
                // Dropping the run kills every gateway that it started.
                tokio::select! {
                    done = run(args) => done,
                    _ = tokio::signal::ctrl_c() => bail!("interrupted"),
                }
            })
        }
    }
}

async fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout();
    let mut sessions = file::load_all(&args.data.join("sessions"))?;
    let deviations = match args.profile {
        Profile::Improved => Deviations::load(&args.data.join("deviations.json"))?,
        Profile::Original => Deviations::none(),
    };
    let odds = deviations.apply(&mut sessions)?;
    let races = Races::load(&args.data.join("races.json"), &sessions)?;
    if let Some(unknown) = args.only.iter().find(|p| {
        let only = std::slice::from_ref(*p);
        !sessions.iter().any(|s| import::selected(&s.name, only))
    }) {
        bail!("no session matches {unknown:?}; --list shows them");
    }
    sessions.retain(|s| import::selected(&s.name, &args.only));
    if args.list {
        for session in &sessions {
            writeln!(out, "{:<40} {}", session.name, session.description)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let suite = Arc::new(suite(&args, &deviations, odds, races)?);
    let (total, begun) = (sessions.len(), Instant::now());
    let (mut ended, mut bad) = (0, 0);
    let terminal = std::io::stderr().is_terminal();
    let outcomes = suite::run(suite, sessions, args.jobs, |outcome| {
        ended += 1;
        bad += usize::from(outcome.status.is_bad());
        let line = report::line(outcome);
        // A progress line; that nobody sees it is no reason to stop.
        let _ = if terminal {
            write!(
                std::io::stderr(),
                "\r\x1b[K[{ended}/{total}, {bad} bad] {line}"
            )
        } else {
            writeln!(std::io::stderr(), "[{ended}/{total}] {line}")
        };
    })
    .await?;
    if terminal {
        let _ = write!(std::io::stderr(), "\r\x1b[K");
    }
    write!(
        out,
        "{}",
        report::summary(&outcomes, begun.elapsed(), args.verbose)
    )?;
    if let Some(path) = &args.json {
        let text = format!("{:#}\n", report::to_json(&outcomes, begun.elapsed()));
        std::fs::write(path, text).with_context(|| path.display().to_string())?;
    }
    Ok(if outcomes.iter().any(|o| o.status.is_bad()) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn suite(
    args: &RunArgs,
    deviations: &Deviations,
    odds: BTreeMap<String, Vec<u32>>,
    races: Races,
) -> anyhow::Result<Suite> {
    let rules = Rules::load(&args.data.join("rules.json"))?;
    let (target, rules) = match (&args.start, &args.url) {
        (Some(command), _) => {
            let pair = |text: &String| {
                let (name, value) = text
                    .split_once('=')
                    .with_context(|| format!("--env {text}: not NAME=VALUE"))?;
                anyhow::Ok((name.to_owned(), value.to_owned()))
            };
            let env = args.env.iter().map(pair).collect::<anyhow::Result<_>>()?;
            let patience =
                Duration::try_from_secs_f64(args.start_patience).context("--start-patience")?;
            (
                Target::Start {
                    command: Command::new(command)?,
                    env,
                    patience,
                },
                rules,
            )
        }
        (None, Some(url)) => (
            Target::Attach {
                addr: address(url)?,
                token: args.token.clone(),
            },
            rules.for_attached(),
        ),
        (None, None) => bail!("--start or --url is needed"),
    };
    let published = args.data.join("../schema/dist/protocol.schema.json");
    let schemas = match (&args.schema, args.profile) {
        (Some(path), _) => Some(FrameSchemas::load(path)?),
        // The recorded gateway breaks its own schema in places (odds 22, 34).
        (None, Profile::Original) => None,
        (None, Profile::Improved) if published.is_file() => Some(FrameSchemas::load(&published)?),
        (None, Profile::Improved) => None,
    };
    let known_failing = match args.profile {
        Profile::Improved => suite::known_failing(&args.data.join("known-failing.txt"))?,
        Profile::Original => BTreeMap::new(),
    };
    Ok(Suite {
        target,
        keys: TestKeys::load(&args.data.join("keys.json"))?,
        rules,
        laws: deviations.laws(),
        races,
        odds,
        known_failing,
        schemas,
        patience: Duration::try_from_secs_f64(args.patience).context("--patience")?,
        keep: args.keep.as_deref().map(std::path::absolute).transpose()?,
    })
}

/// The address of `ws://host:port[/…]`.
fn address(url: &str) -> anyhow::Result<SocketAddr> {
    let rest = url
        .strip_prefix("ws://")
        .context("--url: only ws:// is supported")?;
    let host = rest.split('/').next().unwrap_or_default();
    let mut found =
        std::net::ToSocketAddrs::to_socket_addrs(host).with_context(|| format!("--url {url}"))?;
    found
        .next()
        .with_context(|| format!("--url {url}: no address"))
}
