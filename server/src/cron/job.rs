//! A job and what may become of it: added, changed, claimed for a run, ended. Pure; the record of table `CronJobs`.

use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::types::{
    CronAction, CronAddParams, CronEvent, CronJob, CronJobPatch, CronJobState, CronPayload,
    CronPayloadPatch, CronRunLogEntry, CronRunStatus, CronSchedule, CronSessionTarget,
};
use serde::{Deserialize, Serialize};

use super::error::CronError;
use super::schedule;
use super::work::Outcome;

use crate::text::given;

/// What the run log says of a run that did not live to its end.
pub(super) const CUT: &str =
    "the gateway stopped during this run; it is not repeated, because nobody knows how far it came";

/// A job as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    pub(super) job: CronJob,
    /// The run that goes on. Written before it begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) claim: Option<Claim>,
}

/// A run that goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Claim {
    /// The due time that it serves; none for an extra run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) due_at_ms: Option<u64>,
    /// When it began.
    pub(super) run_at_ms: u64,
}

/// Why a run is to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trigger {
    /// The clock: only an enabled job that is due.
    Clock,
    /// A client, if the job is due.
    Due,
    /// A client, in any case.
    Force,
}

/// A run that is over.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ended {
    /// The job afterwards; none if it is to be removed.
    pub(super) record: Option<Record>,
    /// For the run log.
    pub(super) entry: CronRunLogEntry,
}

impl Record {
    /// A new job.
    ///
    /// # Errors
    /// What the form cannot say: [`CronError::Name`], [`CronError::MainPayload`], [`CronError::IsolatedPayload`],
    /// [`CronError::Expression`].
    pub(super) fn new(
        id: NonEmptyString,
        params: CronAddParams,
        now: u64,
    ) -> Result<Self, CronError> {
        let mut job = CronJob::new(
            id,
            trimmed(&params.name)?,
            // Odd 28: a job that nobody asked to be disabled runs.
            params.enabled.unwrap_or(true),
            now,
            now,
            params.schedule,
            params.session_target,
            params.wake_mode,
            params.payload,
            CronJobState::default(),
        );
        job.agent_id = params.agent_id;
        job.description = given(params.description.as_deref());
        job.delete_after_run = params.delete_after_run;
        job.isolation = params.isolation;
        check(&job)?;
        if job.enabled {
            job.state.next_run_at_ms = schedule::first(&job.schedule, now);
        }
        Ok(Self { job, claim: None })
    }

    /// The job after a change. The next run is computed anew when schedule or `enabled` changes. What a client says of
    /// next and running is the scheduler's own and ignored.
    ///
    /// # Errors
    /// As for a new job, [`CronError::MessageRequired`] and [`CronError::TextRequired`].
    pub(super) fn patched(&self, patch: CronJobPatch, now: u64) -> Result<Self, CronError> {
        let mut record = self.clone();
        let job = &mut record.job;
        if let Some(name) = &patch.name {
            job.name = trimmed(name)?;
        }
        if let Some(agent) = patch.agent_id {
            job.agent_id = agent;
        }
        if let Some(description) = patch.description {
            job.description = given(Some(&description));
        }
        if patch.delete_after_run.is_some() {
            job.delete_after_run = patch.delete_after_run;
        }
        let (was_enabled, was_at) = (job.enabled, job.schedule.clone());
        job.enabled = patch.enabled.unwrap_or(was_enabled);
        if let Some(schedule) = patch.schedule {
            job.schedule = schedule;
        }
        job.session_target = patch.session_target.unwrap_or(job.session_target);
        job.wake_mode = patch.wake_mode.unwrap_or(job.wake_mode);
        if let Some(change) = patch.payload {
            job.payload = merged(&job.payload, change)?;
        }
        if patch.isolation.is_some() {
            job.isolation = patch.isolation;
        }
        if let Some(state) = patch.state {
            let own = &mut job.state;
            own.last_run_at_ms = state.last_run_at_ms.or(own.last_run_at_ms);
            own.last_status = state.last_status.or(own.last_status);
            own.last_error = state.last_error.or(own.last_error.take());
            own.last_duration_ms = state.last_duration_ms.or(own.last_duration_ms);
        }
        check(job)?;
        job.updated_at_ms = now;
        if !job.enabled {
            job.state.next_run_at_ms = None;
            job.state.running_at_ms = None;
        } else if !was_enabled || job.schedule != was_at {
            job.state.next_run_at_ms =
                schedule::first(&job.schedule, now).filter(|_| !is_spent(job));
        }
        Ok(record)
    }

    /// When the clock is to run the job next; none while it runs.
    pub(super) fn next(&self) -> Option<u64> {
        let next = self.job.state.next_run_at_ms;
        next.filter(|_| self.job.enabled && self.claim.is_none())
    }

    /// The job with a run that begins now, if it may: never two runs at a time, and never two for one due time.
    pub(super) fn claimed(&self, trigger: Trigger, now: u64) -> Option<Self> {
        if self.claim.is_some() {
            return None;
        }
        let due = self.next().filter(|next| *next <= now);
        if due.is_none() && trigger != Trigger::Force {
            return None;
        }
        let mut record = self.clone();
        let state = &mut record.job.state;
        if let Some(due) = due {
            state.next_run_at_ms = schedule::following(&record.job.schedule, due, now);
        }
        state.running_at_ms = Some(now);
        record.job.updated_at_ms = now;
        record.claim = Some(Claim {
            due_at_ms: due,
            run_at_ms: now,
        });
        Some(record)
    }

    /// The job after its run.
    pub(super) fn ended(&self, claim: Claim, outcome: &Outcome, now: u64) -> Ended {
        let mut record = self.clone();
        record.claim = None;
        let job = &mut record.job;
        let duration = now.saturating_sub(claim.run_at_ms);
        job.updated_at_ms = now.max(job.updated_at_ms);
        job.state.running_at_ms = None;
        job.state.last_run_at_ms = Some(claim.run_at_ms);
        job.state.last_status = Some(outcome.status);
        job.state.last_error = outcome.error.clone();
        job.state.last_duration_ms = Some(duration);
        let own_time = claim.due_at_ms.or(job.state.next_run_at_ms);
        let is_done =
            outcome.status == CronRunStatus::Ok && matches!(job.schedule, CronSchedule::At { .. });
        if is_done {
            job.enabled = false;
            job.state.next_run_at_ms = None;
        } else if let Some(next) = job.state.next_run_at_ms
            && next <= now
            && claim.due_at_ms.is_some()
        {
            // Its run took longer than the distance: times that passed meanwhile are this run's.
            job.state.next_run_at_ms = schedule::following(&job.schedule, next, now);
        }
        let is_removed = is_done && job.delete_after_run == Some(true);
        let mut entry = CronRunLogEntry::new(now, job.id.clone());
        entry.status = Some(outcome.status);
        entry.error = outcome.error.clone();
        entry.summary = outcome.summary.clone();
        entry.run_at_ms = Some(claim.run_at_ms);
        entry.duration_ms = Some(duration);
        // The end of what removes itself names the time that it was for (seen in the recordings).
        entry.next_run_at_ms = if is_removed {
            own_time
        } else {
            job.state.next_run_at_ms
        };
        Ended {
            record: (!is_removed).then_some(record),
            entry,
        }
    }

    /// What becomes of a run that a former process did not end; none if there is none.
    pub(super) fn recovered(&self, now: u64) -> Option<Ended> {
        let claim = self.claim?;
        let outcome = Outcome {
            status: CronRunStatus::Error,
            error: Some(CUT.to_owned()),
            summary: None,
        };
        // Due times that passed since were not this run's: the next one stays, and is served if it has passed.
        let next = self.job.state.next_run_at_ms;
        let mut ended = self.ended(claim, &outcome, now);
        if let Some(record) = &mut ended.record {
            record.job.state.next_run_at_ms = next;
            // Nobody knows how long it went on.
            record.job.state.last_duration_ms = None;
        }
        ended.entry.duration_ms = None;
        ended.entry.next_run_at_ms = next;
        Some(ended)
    }
}

/// Whether this is a job for one moment that has had it.
fn is_spent(job: &CronJob) -> bool {
    match job.schedule {
        CronSchedule::At { at_ms } => job.state.last_run_at_ms.is_some_and(|last| last >= at_ms),
        _ => false,
    }
}

/// `finished` of a run.
pub(super) fn finished(entry: &CronRunLogEntry) -> CronEvent {
    let mut event = CronEvent::new(entry.job_id.clone(), CronAction::Finished);
    event.status = entry.status;
    event.error.clone_from(&entry.error);
    event.summary.clone_from(&entry.summary);
    event.run_at_ms = entry.run_at_ms;
    event.duration_ms = entry.duration_ms;
    event.next_run_at_ms = entry.next_run_at_ms;
    event
}

fn trimmed(name: &NonEmptyString) -> Result<NonEmptyString, CronError> {
    NonEmptyString::new(name.trim()).ok_or(CronError::Name)
}

fn check(job: &CronJob) -> Result<(), CronError> {
    match (job.session_target, &job.payload) {
        (CronSessionTarget::Main, CronPayload::AgentTurn { .. }) => {
            return Err(CronError::MainPayload);
        }
        (CronSessionTarget::Isolated, CronPayload::SystemEvent { .. }) => {
            return Err(CronError::IsolatedPayload);
        }
        _ => {}
    }
    schedule::check(&job.schedule).map_err(|cause| {
        let (expr, tz) = match &job.schedule {
            CronSchedule::Cron { expr, tz } => (expr.to_string(), tz.clone().unwrap_or_default()),
            _ => Default::default(),
        };
        CronError::Expression { expr, tz, cause }
    })
}

/// The payload after a change: members of the same kind are merged, another kind must be complete.
fn merged(payload: &CronPayload, change: CronPayloadPatch) -> Result<CronPayload, CronError> {
    match change {
        CronPayloadPatch::SystemEvent { text } => {
            let own = match payload {
                CronPayload::SystemEvent { text } => Some(text.clone()),
                CronPayload::AgentTurn { .. } => None,
            };
            let text = text.or(own).ok_or(CronError::TextRequired)?;
            Ok(CronPayload::SystemEvent { text })
        }
        CronPayloadPatch::AgentTurn {
            best_effort_deliver,
            channel,
            deliver,
            message,
            model,
            thinking,
            timeout_seconds,
            to,
        } => match payload.clone() {
            CronPayload::AgentTurn {
                best_effort_deliver: own_best_effort,
                channel: own_channel,
                deliver: own_deliver,
                message: own_message,
                model: own_model,
                thinking: own_thinking,
                timeout_seconds: own_timeout,
                to: own_to,
            } => Ok(CronPayload::AgentTurn {
                best_effort_deliver: best_effort_deliver.or(own_best_effort),
                channel: channel.or(own_channel),
                deliver: deliver.or(own_deliver),
                message: message.unwrap_or(own_message),
                model: model.or(own_model),
                thinking: thinking.or(own_thinking),
                timeout_seconds: timeout_seconds.or(own_timeout),
                to: to.or(own_to),
            }),
            CronPayload::SystemEvent { .. } => Ok(CronPayload::AgentTurn {
                best_effort_deliver,
                channel,
                deliver,
                message: message.ok_or(CronError::MessageRequired)?,
                model,
                thinking,
                timeout_seconds,
                to,
            }),
        },
    }
}
