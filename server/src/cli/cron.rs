//! `openclaw cron …`: jobs that run by the clock, from the command line.

use clap::{Args, Subcommand};
use openclaw_client::GatewayCalls;
use openclaw_protocol::protocol::limits;
use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::types::{
    CronJob, CronJobPatch, CronListParams, CronRemoveParams, CronRunLogEntry, CronRunMode,
    CronRunParams, CronRunsParams, CronSchedule, CronStatusParams, CronUpdateParams,
};

use super::client::Failure;
use super::connect::{ConnectArgs, PlainArgs, connect};
use super::cron_args::{AddArgs, EditArgs};
use super::print;
use crate::clock::{Clock, SystemClock, iso_8601};
use crate::paths::Environment;

/// Time that a run by hand may take, in ms: that of an agent's turn.
const RUN_TIMEOUT_MS: u64 = limits::AGENT_TIMEOUT_SECONDS * 1000;

/// Runs that `cron runs` shows when it is not told.
const RUNS_SHOWN: u64 = 50;

#[derive(Debug, Subcommand)]
pub(super) enum CronCommand {
    /// Show whether jobs run, how many there are and when the next one is
    Status(PlainArgs),
    /// List the jobs, the next one first
    List(ListArgs),
    /// Add a job
    #[command(visible_alias = "create")]
    Add(Box<AddArgs>),
    /// Change a job
    #[command(visible_alias = "edit")]
    Update(Box<EditArgs>),
    /// Remove a job; its run log stays
    #[command(visible_aliases = ["rm", "delete"])]
    Remove(JobArgs),
    /// Let the clock run a job again
    Enable(JobArgs),
    /// Keep a job without running it
    Disable(JobArgs),
    /// Run a job now and wait for its end
    Run(RunArgs),
    /// Show the last runs of a job
    Runs(RunsArgs),
}

/// `openclaw cron list`.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Also those that are disabled
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub plain: PlainArgs,
}

/// A command about one job.
#[derive(Debug, Args)]
pub(super) struct JobArgs {
    /// The job's id, as `cron list` shows it
    pub id: NonEmptyString,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub plain: PlainArgs,
}

/// `openclaw cron run`.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// The job's id, as `cron list` shows it
    pub id: NonEmptyString,
    /// Run it even if it is not due, or disabled
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub plain: PlainArgs,
}

/// `openclaw cron runs`.
#[derive(Debug, Args)]
pub(super) struct RunsArgs {
    /// The job's id, as `cron list` shows it
    #[arg(long)]
    pub id: NonEmptyString,
    /// At most so many
    #[arg(long, default_value_t = RUNS_SHOWN, value_parser = clap::value_parser!(u64).range(1..=limits::CRON_RUNS_MAX))]
    pub limit: u64,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub plain: PlainArgs,
}

/// Carries a command out.
///
/// # Errors
/// See [`Failure`].
pub(super) async fn cron(command: CronCommand, environment: &Environment) -> Result<(), Failure> {
    match command {
        CronCommand::Status(args) => status(args, environment).await,
        CronCommand::List(args) => list(args, environment).await,
        CronCommand::Add(args) => {
            let params = args.params(SystemClock.now_ms())?;
            let client = connect(&args.plain.connect, environment).await?;
            let job = client.cron_add(&params).await?;
            // A job that waits for a scheduler that is off surprises people later.
            let is_on = client
                .cron_status(&CronStatusParams::default())
                .await?
                .enabled;
            client.close().await;
            if !is_on {
                print::complain("the scheduler is off (cron.enabled): the job runs by hand only");
            }
            show_job(&job, args.plain.json);
            Ok(())
        }
        CronCommand::Update(args) => {
            let patch = args.patch(SystemClock.now_ms())?;
            change(&args.id, patch, &args.plain, environment).await
        }
        CronCommand::Enable(args) => switch(args, true, environment).await,
        CronCommand::Disable(args) => switch(args, false, environment).await,
        CronCommand::Remove(args) => {
            let client = connect(&args.plain.connect, environment).await?;
            let params = CronRemoveParams {
                id: Some(args.id.clone()),
                ..CronRemoveParams::default()
            };
            let result = client.cron_remove(&params).await?;
            client.close().await;
            if args.plain.json {
                print::json(&result);
            } else if result.removed {
                print::line(&format!("Removed {}", args.id.as_str()));
            } else {
                return Err(Failure::Flags(format!(
                    "there is no job {}",
                    args.id.as_str()
                )));
            }
            Ok(())
        }
        CronCommand::Run(args) => run(args, environment).await,
        CronCommand::Runs(args) => runs(args, environment).await,
    }
}

async fn status(args: PlainArgs, environment: &Environment) -> Result<(), Failure> {
    let client = connect(&args.connect, environment).await?;
    let status = client.cron_status(&CronStatusParams::default()).await?;
    client.close().await;
    if args.json {
        print::json(&status);
        return Ok(());
    }
    print::line(&format!(
        "Scheduler: {}",
        if status.enabled { "on" } else { "off" }
    ));
    print::line(&format!("Jobs: {}", status.jobs));
    let next = status.next_wake_at_ms;
    print::line(&format!(
        "Next run: {}",
        next.map_or_else(|| "none".to_owned(), until)
    ));
    Ok(())
}

async fn list(args: ListArgs, environment: &Environment) -> Result<(), Failure> {
    let client = connect(&args.plain.connect, environment).await?;
    let params = CronListParams {
        include_disabled: Some(args.all),
    };
    let result = client.cron_list(&params).await?;
    client.close().await;
    if args.plain.json {
        print::json(&result);
    } else if result.jobs.is_empty() {
        print::line(if args.all {
            "There are no jobs."
        } else {
            "There are no jobs that are enabled; --all shows the others."
        });
    } else {
        let rows: Vec<_> = result.jobs.iter().map(row).collect();
        print::table(
            &["id", "name", "schedule", "next", "last", "status", "target"],
            &rows,
        );
    }
    Ok(())
}

async fn switch(args: JobArgs, enabled: bool, environment: &Environment) -> Result<(), Failure> {
    let patch = CronJobPatch {
        enabled: Some(enabled),
        ..CronJobPatch::default()
    };
    change(&args.id, patch, &args.plain, environment).await
}

async fn change(
    id: &NonEmptyString,
    patch: CronJobPatch,
    plain: &PlainArgs,
    environment: &Environment,
) -> Result<(), Failure> {
    let client = connect(&plain.connect, environment).await?;
    let mut params = CronUpdateParams::new(patch);
    params.id = Some(id.clone());
    let job = client.cron_update(&params).await?;
    client.close().await;
    show_job(&job, plain.json);
    Ok(())
}

async fn run(args: RunArgs, environment: &Environment) -> Result<(), Failure> {
    let patient = ConnectArgs {
        timeout: args.plain.connect.timeout.max(RUN_TIMEOUT_MS),
        ..args.plain.connect.clone()
    };
    let client = connect(&patient, environment).await?;
    let params = CronRunParams {
        id: Some(args.id.clone()),
        mode: Some(if args.force {
            CronRunMode::Force
        } else {
            CronRunMode::Due
        }),
        ..CronRunParams::default()
    };
    let result = client.cron_run(&params).await?;
    let last = if result.ran && !args.plain.json {
        let last = CronRunsParams {
            id: Some(args.id.clone()),
            limit: Some(1),
            ..CronRunsParams::default()
        };
        client.cron_runs(&last).await?.entries.pop()
    } else {
        None
    };
    client.close().await;
    if args.plain.json {
        print::json(&result);
    } else if !result.ran {
        print::line("Not run: it is not due, or it is running. --force runs it all the same.");
    } else if let Some(entry) = last {
        show_runs(&[entry]);
    }
    Ok(())
}

async fn runs(args: RunsArgs, environment: &Environment) -> Result<(), Failure> {
    let client = connect(&args.plain.connect, environment).await?;
    let params = CronRunsParams {
        id: Some(args.id.clone()),
        limit: Some(args.limit),
        ..CronRunsParams::default()
    };
    let result = client.cron_runs(&params).await?;
    client.close().await;
    if args.plain.json {
        print::json(&result);
    } else if result.entries.is_empty() {
        print::line("It has not run yet.");
    } else {
        show_runs(&result.entries);
    }
    Ok(())
}

fn show_job(job: &CronJob, json: bool) {
    if json {
        print::json(job);
    } else {
        print::table(
            &["id", "name", "schedule", "next", "last", "status", "target"],
            &[row(job)],
        );
    }
}

fn row(job: &CronJob) -> Vec<String> {
    let state = &job.state;
    let status = match (job.enabled, state.running_at_ms, state.last_status) {
        (_, Some(_), _) => "running",
        (false, ..) => "disabled",
        (true, None, Some(status)) => status.as_str(),
        (true, None, None) => "idle",
    };
    let none = || "-".to_owned();
    vec![
        job.id.to_string(),
        job.name.to_string(),
        schedule(&job.schedule),
        state.next_run_at_ms.map_or_else(none, until),
        state.last_run_at_ms.map_or_else(none, since),
        status.to_owned(),
        job.session_target.as_str().to_owned(),
    ]
}

fn show_runs(entries: &[CronRunLogEntry]) {
    let rows: Vec<Vec<String>> = entries
        .iter()
        .map(|entry| {
            let said = entry.error.as_ref().or(entry.summary.as_ref());
            let said = said.map(String::as_str).unwrap_or_default();
            vec![
                iso_8601(entry.run_at_ms.unwrap_or(entry.ts)),
                entry
                    .status
                    .map_or_else(|| "-".to_owned(), |status| status.as_str().to_owned()),
                entry
                    .duration_ms
                    .map_or_else(|| "-".to_owned(), |ms| format!("{ms} ms")),
                said.lines().next().unwrap_or_default().to_owned(),
            ]
        })
        .collect();
    print::table(&["began", "status", "took", "what"], &rows);
}

/// A schedule in a few words.
fn schedule(schedule: &CronSchedule) -> String {
    match schedule {
        CronSchedule::At { at_ms } => format!("at {}", iso_8601(*at_ms)),
        CronSchedule::Every { every_ms, .. } => format!("every {}", length(*every_ms)),
        CronSchedule::Cron { expr, tz } => match tz.as_deref().filter(|tz| !tz.is_empty()) {
            Some(tz) => format!("{} ({tz})", expr.as_str()),
            None => expr.to_string(),
        },
    }
}

/// A length in the largest unit that it is whole in.
fn length(ms: u64) -> String {
    for (unit, name) in [
        (86_400_000, "d"),
        (3_600_000, "h"),
        (60_000, "m"),
        (1000, "s"),
    ] {
        if ms >= unit && ms.is_multiple_of(unit) {
            return format!("{}{name}", ms / unit);
        }
    }
    format!("{ms}ms")
}

fn until(at: u64) -> String {
    match at.checked_sub(SystemClock.now_ms()) {
        Some(ms) => format!("in {}", print::age(ms)),
        None => "now".to_owned(),
    }
}

fn since(at: u64) -> String {
    format!(
        "{} ago",
        print::age(SystemClock.now_ms().saturating_sub(at))
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn schedules_in_words() {
        for (value, words) in [
            (
                json!({"kind": "at", "atMs": 1_769_774_400_007_u64}),
                "at 2026-01-30T12:00:00.007Z",
            ),
            (json!({"kind": "every", "everyMs": 3_600_000}), "every 1h"),
            (json!({"kind": "every", "everyMs": 5_400_000}), "every 90m"),
            (json!({"kind": "every", "everyMs": 172_800_000}), "every 2d"),
            (json!({"kind": "every", "everyMs": 1500}), "every 1500ms"),
            (json!({"kind": "cron", "expr": "0 3 * * *"}), "0 3 * * *"),
            (
                json!({"kind": "cron", "expr": "0 3 * * *", "tz": "UTC"}),
                "0 3 * * * (UTC)",
            ),
        ] {
            assert_eq!(schedule(&serde_json::from_value(value).unwrap()), words);
        }
    }

    #[test]
    fn a_row_says_how_a_job_is() {
        let status = |enabled: bool, state: serde_json::Value| {
            let job = json!({
                "id": "j", "name": "n", "enabled": enabled, "createdAtMs": 1, "updatedAtMs": 1,
                "schedule": {"kind": "every", "everyMs": 1000}, "sessionTarget": "main", "wakeMode": "now",
                "payload": {"kind": "systemEvent", "text": "t"}, "state": state
            });
            let row = row(&serde_json::from_value(job).unwrap());
            (row[3].clone(), row[5].clone())
        };
        assert_eq!(status(true, json!({})), ("-".into(), "idle".into()));
        assert_eq!(
            status(true, json!({"nextRunAtMs": 1, "lastStatus": "ok"})),
            ("now".into(), "ok".into())
        );
        assert_eq!(
            status(false, json!({"lastStatus": "ok"})),
            ("-".into(), "disabled".into())
        );
        assert_eq!(status(true, json!({"runningAtMs": 1})).1, "running");
    }
}
