//! `openclaw sessions`: lists conversations, and moves all of them in and out as files of the reference's layout.
//!
//! `list` asks the gateway. `export` and `import` work on the store itself, so no gateway may have it meanwhile: they
//! take the lock of the state directory, and say who has it if somebody does.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use openclaw_client::GatewayCalls;
use openclaw_protocol::types::{SessionsListParams, SessionsListResult};

use super::client::Failure;
use super::connect::{PlainArgs, connect};
use super::print;
use crate::clock::{Clock, SystemClock};
use crate::config;
use crate::lock::{InstanceLock, LockError, Owner};
use crate::paths::{Environment, Paths};
use crate::sessions::files::{Exported, FilesError, Imported};
use crate::sessions::key::normalise_agent_id;
use crate::sessions::{KeyRules, Sessions};
use crate::store::{Store, StoreError};

/// How often an import enlarges a store that is full: each time it doubles at least.
const MAX_ENLARGEMENTS: usize = 16;

/// What is done with conversations.
#[derive(Debug, Subcommand)]
pub(super) enum SessionsCommand {
    /// Show conversations, the newest first
    List(ListArgs),
    /// Write all conversations as files: agents/AGENT/sessions/sessions.json and one .jsonl for each transcript
    Export(ExportArgs),
    /// Read conversations from such files; those that are there already stay as they are
    Import(ImportArgs),
}

/// `openclaw sessions list`.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Show at most so many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// Only those of this agent
    #[arg(long)]
    agent: Option<String>,
    /// Only those that changed within so many minutes
    #[arg(long, value_name = "MINUTES", value_parser = clap::value_parser!(u64).range(1..))]
    active: Option<u64>,
    /// Only those whose name, label, subject, id or key contains this
    #[arg(long)]
    search: Option<String>,
    #[command(flatten)]
    #[allow(missing_docs)]
    plain: PlainArgs,
}

/// `openclaw sessions export`.
#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// Folder to write to, made if it is missing
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Only those of this agent
    #[arg(long)]
    agent: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// `openclaw sessions import`.
#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// Folder that holds agents/AGENT/sessions; the state directory itself when absent
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
    /// Only those of this agent
    #[arg(long)]
    agent: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Why conversations were not moved.
#[derive(Debug, thiserror::Error)]
enum MoveFailure {
    /// A gateway works on them.
    #[error(
        "a gateway{} has {}: stop it first, and start it again afterwards",
        pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default(),
        dir.display()
    )]
    Held {
        /// Its process, if the lock tells.
        pid: Option<u32>,
        /// The state directory.
        dir: PathBuf,
    },
    /// The lock cannot be taken.
    #[error(transparent)]
    Lock(LockError),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Files or store failed.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// No runtime.
    #[error("cannot start: {0}")]
    Runtime(std::io::Error),
}

/// Carries a command out.
pub(super) fn run(command: SessionsCommand, environment: &Environment) -> ExitCode {
    let outcome = match command {
        SessionsCommand::List(args) => return super::block_on(list(args, environment)),
        SessionsCommand::Export(args) => export(&args, environment),
        SessionsCommand::Import(args) => import(&args, environment),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            print::complain(&failure.to_string());
            ExitCode::FAILURE
        }
    }
}

async fn list(args: ListArgs, environment: &Environment) -> Result<(), Failure> {
    let client = connect(&args.plain.connect, environment).await?;
    let params = SessionsListParams {
        limit: Some(args.limit),
        active_minutes: args.active,
        agent_id: args
            .agent
            .and_then(openclaw_protocol::rt::NonEmptyString::new),
        search: args.search,
        include_global: Some(true),
        include_unknown: Some(true),
        ..SessionsListParams::default()
    };
    let listed = client.sessions_list(&params).await?;
    if args.plain.json {
        print::json(&listed);
    } else {
        show(&listed);
    }
    client.close().await;
    Ok(())
}

fn show(listed: &SessionsListResult) {
    if listed.sessions.is_empty() {
        print::line("No conversations.");
        return;
    }
    let dash = || "-".to_owned();
    let rows: Vec<Vec<String>> = listed
        .sessions
        .iter()
        .map(|row| {
            let age = row
                .updated_at
                .map(|at| print::age(listed.ts.saturating_sub(at)));
            vec![
                row.key.clone(),
                row.display_name.clone().unwrap_or_else(dash),
                age.unwrap_or_else(dash),
                row.model.clone().unwrap_or_else(dash),
                row.total_tokens.to_string(),
            ]
        })
        .collect();
    print::table(&["key", "name", "age", "model", "tokens"], &rows);
}

/// The state directory, locked.
struct Locked {
    paths: Paths,
    rules: KeyRules,
    _lock: InstanceLock,
}

impl Locked {
    fn take(environment: &Environment) -> Result<Self, MoveFailure> {
        let paths = Paths::resolve(environment);
        let config = config::load(&paths, environment).config;
        let owner = Owner::this_process(SystemClock.now_ms(), paths.config_file.clone(), 0);
        let lock =
            InstanceLock::try_acquire(&paths.lock_file(), &owner).map_err(|error| match error {
                LockError::Held { pid } => MoveFailure::Held {
                    pid,
                    dir: paths.state_dir.clone(),
                },
                other => MoveFailure::Lock(other),
            })?;
        Ok(Self {
            rules: KeyRules::of(&config),
            paths,
            _lock: lock,
        })
    }

    fn open(&self) -> Result<Sessions, StoreError> {
        let store = Store::open(&self.paths.store_dir())?;
        Sessions::open(store, self.paths.clone(), self.rules.clone())
    }
}

fn export(args: &ExportArgs, environment: &Environment) -> Result<(), MoveFailure> {
    let locked = Locked::take(environment)?;
    let out = std::path::absolute(&args.out).unwrap_or_else(|_| args.out.clone());
    let agent = args.agent.as_deref().map(normalise_agent_id);
    let exported = locked.open()?.export(&out, agent.as_deref())?;
    if args.json {
        print::json(&exported);
        return Ok(());
    }
    let Exported {
        agents,
        sessions,
        messages,
        archived,
    } = exported;
    print::line(&format!(
        "Wrote {sessions} conversations of {agents} agents and {archived} archived transcripts, {messages} messages in all, to {}.",
        out.display()
    ));
    Ok(())
}

fn import(args: &ImportArgs, environment: &Environment) -> Result<(), MoveFailure> {
    let locked = Locked::take(environment)?;
    let from = args.from.clone();
    let from = from.unwrap_or_else(|| locked.paths.state_dir.clone());
    let agent = args.agent.as_deref().map(normalise_agent_id);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(MoveFailure::Runtime)?;
    let mut imported = Imported::default();
    let mut enlargements = 0;
    loop {
        // Opening a full store makes room.
        let sessions = locked.open()?;
        match runtime.block_on(sessions.import(&from, agent.as_deref(), &mut imported)) {
            Ok(()) => break,
            Err(FilesError::Store(StoreError::Full)) if enlargements < MAX_ENLARGEMENTS => {
                enlargements += 1;
            }
            Err(error) => return Err(error.into()),
        }
    }
    if args.json {
        print::json(&imported);
        return Ok(());
    }
    print::line(&format!(
        "Read {} conversations and {} archived transcripts, {} messages in all, from {}.",
        imported.sessions,
        imported.archived,
        imported.messages,
        from.display()
    ));
    if imported.other_lines > 0 {
        print::line(&format!(
            "{} lines of transcripts hold no message and were left out.",
            imported.other_lines
        ));
    }
    for one in &imported.passed_over {
        print::line(&format!("Left alone: {} ({})", one.name, one.why));
    }
    Ok(())
}
