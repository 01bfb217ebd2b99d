//! `cron`: the agent's own jobs. Those of other agents are none of its business.

use openclaw_protocol::protocol::limits;
use openclaw_protocol::types::{CronJob, CronRunMode, ErrorShape};
use serde::Deserialize;
use serde_json::{Value, json};

use super::parameters::{all, flag, object, one_of, positive, text};
use super::reach::Reached;
use super::{Output, ToolSpec, Toolbox, arguments, told};
use crate::cron;
use crate::sessions::key::normalise_agent_id;

/// Runs of a job that are read when the model does not say, and at most.
const RUNS: (u64, u64) = (20, 200);

#[derive(Deserialize)]
#[serde(
    tag = "action",
    rename_all = "lowercase",
    rename_all_fields = "camelCase"
)]
enum Ask {
    Status,
    List {
        #[serde(default)]
        include_disabled: bool,
    },
    Add {
        job: Value,
    },
    Update {
        #[serde(alias = "id")]
        job_id: String,
        patch: Value,
    },
    Remove {
        #[serde(alias = "id")]
        job_id: String,
    },
    Run {
        #[serde(alias = "id")]
        job_id: String,
        #[serde(default)]
        mode: Mode,
    },
    Runs {
        #[serde(alias = "id")]
        job_id: String,
        #[serde(default)]
        limit: Option<u64>,
    },
}

/// Whether a job is run although it is not due.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Due,
    #[default]
    Force,
}

/// What models are told.
pub(super) fn spec() -> ToolSpec {
    let job = "name; schedule: {kind: \"at\", atMs}, {kind: \"every\", everyMs} or {kind: \"cron\", expr, tz}; payload: \
{kind: \"systemEvent\", text} for your main conversation, or {kind: \"agentTurn\", message} for a turn in a conversation of \
its own; wakeMode: \"now\" or \"next-heartbeat\"; deleteAfterRun; enabled.";
    ToolSpec {
        name: "cron".into(),
        description: "Your jobs: reminders and turns that run by the clock. Times are milliseconds since 1970; \"status\" tells the time."
            .into(),
        parameters: all(
            json!({
                "action": one_of(
                    &["status", "list", "add", "update", "remove", "run", "runs"],
                    "What to do. A job that is run by hand is not waited for; \"runs\" tells how it ended.",
                ),
                "includeDisabled": flag("list: with those that are switched off."),
                "job": object(&format!("add: {job}")),
                "jobId": text("update, remove, run, runs: the job."),
                "patch": object("update: the members of the job that change."),
                "mode": one_of(&["due", "force"], "run: only if it is due, or in any case."),
                "limit": positive("runs: most runs to read."),
            }),
            &["action"],
        ),
    }
}

/// Does what a call asks for.
///
/// # Errors
/// What to tell the model instead.
pub(super) async fn call(
    tools: &Toolbox,
    reached: &Reached,
    arguments: &Value,
) -> Result<Output, Output> {
    let ask = arguments::read(arguments)?;
    let jobs = OwnJobs {
        reached,
        agent: tools.session.agent(),
        default_agent: &tools.runs.sessions().rules().default_agent,
    };
    jobs.act(ask, tools.runs.clock().now_ms()).await
}

/// The jobs of one agent.
struct OwnJobs<'a> {
    reached: &'a Reached,
    agent: &'a str,
    default_agent: &'a str,
}

impl OwnJobs<'_> {
    async fn act(&self, ask: Ask, now_ms: u64) -> Result<Output, Output> {
        let cron = &self.reached.cron;
        Ok(match ask {
            Ask::Status => {
                let jobs = self.all(true);
                let next = jobs.iter().filter_map(|job| job.state.next_run_at_ms).min();
                Output::json(&json!({
                    "nowMs": now_ms,
                    "enabled": cron.status().enabled,
                    "jobs": jobs.len(),
                    "nextRunAtMs": next,
                }))
            }
            Ask::List { include_disabled } => {
                let jobs = self.all(include_disabled);
                told(jobs.into_iter().map(|job| json!(job)).collect())
            }
            Ask::Add { mut job } => {
                let Some(members) = job.as_object_mut() else {
                    return Err(Output::bad("The job is not a JSON object."));
                };
                members.insert("agentId".to_owned(), json!(self.agent));
                // What a model adds it means to run.
                members.entry("enabled").or_insert(json!(true));
                let params = cron::new_job(job).map_err(|error| refused(&error))?;
                let added = cron.add(params).await;
                Output::json(&json!(added.map_err(|error| refused(&error.shape()))?))
            }
            Ask::Update { job_id, mut patch } => {
                self.has(&job_id)?;
                if let Some(members) = patch.as_object_mut() {
                    members.remove("agentId");
                }
                let request = json!({"jobId": job_id, "patch": patch});
                let (id, patch) = cron::update(request).map_err(|error| refused(&error))?;
                let updated = cron.update(&id, patch).await;
                Output::json(&json!(updated.map_err(|error| refused(&error.shape()))?))
            }
            Ask::Remove { job_id } => {
                self.has(&job_id)?;
                let removed = cron.remove(&job_id).await;
                removed.map_err(|error| refused(&error.shape()))?;
                Output::good("Removed.")
            }
            Ask::Run { job_id, mode } => {
                self.has(&job_id)?;
                let mode = match mode {
                    Mode::Due => CronRunMode::Due,
                    Mode::Force => CronRunMode::Force,
                };
                // Not waited for: it may wait for this very conversation.
                let started = cron.start(&job_id, mode).await;
                match started.map_err(|error| refused(&error.shape()))? {
                    true => Output::good("It runs now."),
                    false => {
                        Output::bad("It does not run: it is not due, or it is running already.")
                    }
                }
            }
            Ask::Runs { job_id, limit } => {
                self.has(&job_id)?;
                let limit = limit
                    .unwrap_or(RUNS.0)
                    .clamp(1, RUNS.1.min(limits::CRON_RUNS_MAX));
                let limit = usize::try_from(limit).unwrap_or(usize::MAX);
                let cron = cron.clone();
                let read = tokio::task::spawn_blocking(move || cron.runs(&job_id, limit));
                match read.await {
                    Ok(Ok(entries)) => told(entries.into_iter().map(|run| json!(run)).collect()),
                    Ok(Err(error)) => {
                        tracing::error!(%error, "a tool could not read the runs of a job");
                        Output::bad("The runs cannot be read.")
                    }
                    Err(_) => Output::bad("The runs cannot be read."),
                }
            }
        })
    }

    fn all(&self, with_disabled: bool) -> Vec<CronJob> {
        let mut jobs = self.reached.cron.list(with_disabled);
        jobs.retain(|job| match &job.agent_id {
            Some(id) => normalise_agent_id(id) == self.agent,
            None => self.default_agent == self.agent,
        });
        jobs
    }

    fn has(&self, id: &str) -> Result<(), Output> {
        let is_there = self.all(true).iter().any(|job| job.id.as_str() == id);
        is_there
            .then_some(())
            .ok_or_else(|| Output::bad("You have no such job."))
    }
}

fn refused(error: &ErrorShape) -> Output {
    Output::bad(error.message.to_string())
}
