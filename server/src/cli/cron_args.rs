//! The flags that describe a job, and the params they make.

use clap::Args;
use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::types::{
    CronAddParams, CronIsolation, CronJobPatch, CronPayload, CronPayloadPatch, CronPostMode,
    CronSchedule, CronSessionTarget, WakeMode,
};

use super::client::Failure;
use super::connect::PlainArgs;
use crate::cron::moment;
use crate::duration::{self, Unit};

/// Flags that `cron add` and `cron update` share.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Described {
    /// What it is for
    #[arg(long)]
    pub description: Option<String>,
    /// Agent that it is for (default: the configured one)
    #[arg(long)]
    pub agent: Option<NonEmptyString>,
    /// Where it runs: main notes a text there, isolated runs the agent in a conversation of its own
    #[arg(long)]
    pub session: Option<CronSessionTarget>,
    /// When the agent sees it: now, or at the next-heartbeat
    #[arg(long)]
    pub wake: Option<WakeMode>,
    /// Run once at this time (ISO 8601, UTC without a zone), or so much later (20m)
    #[arg(long, group = "when")]
    pub at: Option<String>,
    /// Run again and again at this distance (10m, 1h)
    #[arg(long, group = "when")]
    pub every: Option<String>,
    /// Run by this cron expression (five fields, or six with seconds first)
    #[arg(long, group = "when")]
    pub cron: Option<NonEmptyString>,
    /// Time zone of the expression (default: the gateway's)
    #[arg(long)]
    pub tz: Option<String>,
    /// Text for the main conversation
    #[arg(long, group = "what")]
    pub system_event: Option<NonEmptyString>,
    /// What the agent is told
    #[arg(long, group = "what")]
    pub message: Option<NonEmptyString>,
    /// Model of the run
    #[arg(long)]
    pub model: Option<String>,
    /// How long to think: off, minimal, low, medium, high, xhigh
    #[arg(long)]
    pub thinking: Option<String>,
    /// Time limit of the run, in seconds
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub timeout_seconds: Option<u64>,
    /// Send the reply out through a channel
    #[arg(long, conflicts_with = "no_deliver")]
    pub deliver: bool,
    /// Do not send the reply out
    #[arg(long)]
    pub no_deliver: bool,
    /// Channel of the reply (default: the one last used)
    #[arg(long)]
    pub channel: Option<NonEmptyString>,
    /// Address of the reply (default: the one last used)
    #[arg(long)]
    pub to: Option<String>,
    /// Count a run as a good one even if its reply cannot go out
    #[arg(long)]
    pub best_effort_deliver: bool,
    /// Word before what an isolated job tells the main conversation
    #[arg(long)]
    pub post_prefix: Option<String>,
    /// How much it tells: summary or full
    #[arg(long)]
    pub post_mode: Option<CronPostMode>,
    /// Cut of a full reply, in characters
    #[arg(long)]
    pub post_max_chars: Option<u64>,
    /// Remove a job for one moment after a run that went well
    #[arg(long, conflicts_with = "keep_after_run")]
    pub delete_after_run: bool,
    /// Keep it, disabled
    #[arg(long)]
    pub keep_after_run: bool,
}

/// `openclaw cron add`.
#[derive(Debug, Args)]
pub(super) struct AddArgs {
    /// Its name for people
    #[arg(long)]
    pub name: NonEmptyString,
    /// Add it without letting the clock run it
    #[arg(long)]
    pub disabled: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub described: Described,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub plain: PlainArgs,
}

/// `openclaw cron update`.
#[derive(Debug, Args)]
pub(super) struct EditArgs {
    /// The job's id, as `cron list` shows it
    pub id: NonEmptyString,
    /// Its name for people
    #[arg(long)]
    pub name: Option<NonEmptyString>,
    /// Let the clock run it
    #[arg(long, conflicts_with = "disable")]
    pub enable: bool,
    /// Keep it without running it
    #[arg(long)]
    pub disable: bool,
    /// Make it for the default agent
    #[arg(long, conflicts_with = "agent")]
    pub clear_agent: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub described: Described,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub plain: PlainArgs,
}

impl AddArgs {
    /// The new job; `now` is for times that are told as a distance.
    ///
    /// # Errors
    /// [`Failure::Flags`] for flags that do not make a job.
    pub(super) fn params(&self, now: u64) -> Result<CronAddParams, Failure> {
        let it = &self.described;
        let schedule = it
            .schedule(now)?
            .ok_or_else(|| Failure::flags("when is it to run? Give --at, --every or --cron"))?;
        let payload = match (&it.system_event, &it.message) {
            (Some(text), _) => CronPayload::SystemEvent { text: text.clone() },
            (None, Some(message)) => CronPayload::AgentTurn {
                message: message.clone(),
                best_effort_deliver: it.best_effort_deliver.then_some(true),
                channel: it.channel.clone(),
                deliver: it.deliver(),
                model: it.model.clone(),
                thinking: it.thinking.clone(),
                timeout_seconds: it.timeout_seconds,
                to: it.to.clone(),
            },
            (None, None) => {
                return Err(Failure::flags(
                    "what is it to do? Give --system-event TEXT or --message TEXT",
                ));
            }
        };
        let target = it.session.unwrap_or(match payload {
            CronPayload::SystemEvent { .. } => CronSessionTarget::Main,
            CronPayload::AgentTurn { .. } => CronSessionTarget::Isolated,
        });
        let wake = it.wake.unwrap_or(WakeMode::NextHeartbeat);
        let mut params = CronAddParams::new(self.name.clone(), schedule, target, wake, payload);
        params.enabled = Some(!self.disabled);
        params.delete_after_run = Some(it.delete_after_run);
        params.description.clone_from(&it.description);
        params.agent_id.clone_from(&it.agent);
        params.isolation = it.isolation();
        Ok(params)
    }
}

impl EditArgs {
    /// The change; `now` is for times that are told as a distance.
    ///
    /// # Errors
    /// [`Failure::Flags`] for flags that change nothing or cannot be understood.
    pub(super) fn patch(&self, now: u64) -> Result<CronJobPatch, Failure> {
        let it = &self.described;
        let is_run = it.message.is_some()
            || it.model.is_some()
            || it.thinking.is_some()
            || it.timeout_seconds.is_some()
            || it.deliver().is_some()
            || it.channel.is_some()
            || it.to.is_some()
            || it.best_effort_deliver;
        let payload = match &it.system_event {
            Some(text) => Some(CronPayloadPatch::SystemEvent {
                text: Some(text.clone()),
            }),
            None => is_run.then(|| CronPayloadPatch::AgentTurn {
                message: it.message.clone(),
                best_effort_deliver: it.best_effort_deliver.then_some(true),
                channel: it.channel.clone(),
                deliver: it.deliver(),
                model: it.model.clone(),
                thinking: it.thinking.clone(),
                timeout_seconds: it.timeout_seconds,
                to: it.to.clone(),
            }),
        };
        let patch = CronJobPatch {
            name: self.name.clone(),
            agent_id: match (&it.agent, self.clear_agent) {
                (Some(agent), _) => Some(Some(agent.clone())),
                (None, true) => Some(None),
                (None, false) => None,
            },
            description: it.description.clone(),
            enabled: switched(self.enable, self.disable),
            delete_after_run: switched(it.delete_after_run, it.keep_after_run),
            schedule: it.schedule(now)?,
            session_target: it.session,
            wake_mode: it.wake,
            payload,
            isolation: it.isolation(),
            state: None,
        };
        if patch == CronJobPatch::default() {
            return Err(Failure::flags("nothing to change: give at least one flag"));
        }
        Ok(patch)
    }
}

impl Described {
    fn schedule(&self, now: u64) -> Result<Option<CronSchedule>, Failure> {
        let schedule = match (&self.at, &self.every, &self.cron) {
            (Some(at), ..) => CronSchedule::At {
                at_ms: time(at, now).ok_or_else(|| {
                    Failure::flags("--at takes a time (2030-01-01T09:00Z) or a length (20m)")
                })?,
            },
            (None, Some(every), _) => {
                let every = duration::parse(every, Unit::Minutes)
                    .and_then(|every| u64::try_from(every.as_millis()).ok())
                    .filter(|ms| *ms > 0);
                CronSchedule::Every {
                    every_ms: every
                        .ok_or_else(|| Failure::flags("--every takes a length (10m, 1h, 1d)"))?,
                    anchor_ms: None,
                }
            }
            (None, None, Some(expr)) => CronSchedule::Cron {
                expr: expr.clone(),
                tz: self.tz.clone(),
            },
            (None, None, None) if self.tz.is_some() => {
                return Err(Failure::flags("--tz goes with --cron"));
            }
            (None, None, None) => return Ok(None),
        };
        Ok(Some(schedule))
    }

    fn isolation(&self) -> Option<CronIsolation> {
        let isolation = CronIsolation {
            post_to_main_prefix: self.post_prefix.clone(),
            post_to_main_mode: self.post_mode,
            post_to_main_max_chars: self.post_max_chars,
        };
        (isolation != CronIsolation::default()).then_some(isolation)
    }

    fn deliver(&self) -> Option<bool> {
        switched(self.deliver, self.no_deliver)
    }
}

/// What two flags of opposite meaning say.
fn switched(on: bool, off: bool) -> Option<bool> {
    match (on, off) {
        (true, _) => Some(true),
        (false, true) => Some(false),
        (false, false) => None,
    }
}

/// A moment, or one so much later than `now`.
fn time(text: &str, now: u64) -> Option<u64> {
    let later = text.trim().trim_start_matches('+');
    if later.ends_with(|c: char| c.is_ascii_alphabetic())
        && let Some(length) = duration::parse(later, Unit::Minutes)
    {
        return now.checked_add(u64::try_from(length.as_millis()).ok()?);
    }
    moment(text)
}

#[cfg(test)]
mod tests {
    use super::super::cron::CronCommand;
    use super::super::{Cli, Command};
    use clap::Parser;
    use serde_json::{Value, json};

    const NOW: u64 = 1_000_000;

    fn command(line: &str) -> Result<CronCommand, String> {
        let words = line.split(' ').map(|word| word.replace('~', " "));
        let words = ["openclaw".to_owned(), "cron".to_owned()]
            .into_iter()
            .chain(words);
        match Cli::try_parse_from(words)
            .map_err(|error| error.kind().to_string())?
            .command
        {
            Command::Cron { command } => Ok(command),
            other => panic!("{other:?}"),
        }
    }

    fn params(line: &str) -> Result<Value, String> {
        match command(line)? {
            CronCommand::Add(args) => args.params(NOW).map(|params| json!(params)),
            CronCommand::Update(args) => args
                .patch(NOW)
                .map(|patch| json!({"id": args.id, "patch": patch})),
            other => panic!("{other:?}"),
        }
        .map_err(|error| error.to_string())
    }

    #[test]
    fn what_the_flags_of_add_make() {
        let event = json!({"kind": "systemEvent", "text": "cli event"});
        let base = |more: Value| {
            let mut job = json!({"name": "From CLI", "enabled": true, "deleteAfterRun": false, "sessionTarget": "main", "wakeMode": "next-heartbeat", "payload": event});
            job.as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            job
        };
        let name = "add --name From~CLI --system-event cli~event";
        for (line, expected) in [
            // As the original sends it.
            (format!("{name} --every 1h --json"), base(json!({"schedule": {"kind": "every", "everyMs": 3_600_000}}))),
            (format!("{name} --at 20m --delete-after-run"), base(json!({"schedule": {"kind": "at", "atMs": NOW + 1_200_000}, "deleteAfterRun": true}))),
            (format!("{name} --at +20m"), base(json!({"schedule": {"kind": "at", "atMs": NOW + 1_200_000}}))),
            (format!("{name} --at 2030-01-01T00:00:00Z"), base(json!({"schedule": {"kind": "at", "atMs": 1_893_456_000_000_u64}}))),
            (format!("{name} --at 2030-01-01"), base(json!({"schedule": {"kind": "at", "atMs": 1_893_456_000_000_u64}}))),
            (
                format!("{name} --cron 0~3~*~*~* --tz UTC --wake now --disabled --agent ops --description d"),
                base(json!({"schedule": {"kind": "cron", "expr": "0 3 * * *", "tz": "UTC"}, "wakeMode": "now", "enabled": false, "agentId": "ops", "description": "d"})),
            ),
            (
                "create --name T --message hi --every 5 --deliver --channel telegram --to 12 --model a/b --thinking low --timeout-seconds 30 --best-effort-deliver --post-prefix P --post-mode full --post-max-chars 9".to_owned(),
                json!({"name": "T", "enabled": true, "deleteAfterRun": false, "sessionTarget": "isolated", "wakeMode": "next-heartbeat",
                    "schedule": {"kind": "every", "everyMs": 300_000},
                    "payload": {"kind": "agentTurn", "message": "hi", "deliver": true, "channel": "telegram", "to": "12", "model": "a/b", "thinking": "low", "timeoutSeconds": 30, "bestEffortDeliver": true},
                    "isolation": {"postToMainPrefix": "P", "postToMainMode": "full", "postToMainMaxChars": 9}}),
            ),
        ] {
            assert_eq!(params(&line), Ok(expected), "{line}");
        }
    }

    #[test]
    fn what_the_flags_of_update_make() {
        for (line, expected) in [
            ("edit j --name Edited", json!({"name": "Edited"})),
            ("update j --enable", json!({"enabled": true})),
            (
                "edit j --disable --keep-after-run",
                json!({"enabled": false, "deleteAfterRun": false}),
            ),
            ("edit j --clear-agent", json!({"agentId": null})),
            (
                "edit j --agent ops --every 1d",
                json!({"agentId": "ops", "schedule": {"kind": "every", "everyMs": 86_400_000}}),
            ),
            (
                "edit j --no-deliver",
                json!({"payload": {"kind": "agentTurn", "deliver": false}}),
            ),
            (
                "edit j --system-event t --session main",
                json!({"payload": {"kind": "systemEvent", "text": "t"}, "sessionTarget": "main"}),
            ),
        ] {
            assert_eq!(
                params(line),
                Ok(json!({"id": "j", "patch": expected})),
                "{line}"
            );
        }
    }

    #[test]
    fn flags_that_make_no_job() {
        for line in [
            "add --name a --system-event t",
            "add --name a --every 1h",
            "add --name a --system-event t --every 0",
            "add --name a --system-event t --every soon",
            "add --name a --system-event t --at soon",
            "add --name a --system-event t --every 1h --cron *",
            "add --name a --system-event t --message m --every 1h",
            "add --system-event t --every 1h",
            "add --name a --system-event t --every 1h --wake later",
            "edit j",
            "edit j --tz UTC",
            "edit --name a",
        ] {
            assert!(params(line).is_err(), "{line}");
        }
        for line in [
            "rm j",
            "remove j",
            "delete j --json",
            "run j --force",
            "runs --id j --limit 5",
            "list --all --json",
            "status",
            "enable j",
            "disable j",
        ] {
            assert!(command(line).is_ok(), "{line}");
        }
        assert!(command("runs --id j --limit 0").is_err() && command("runs").is_err());
    }
}
