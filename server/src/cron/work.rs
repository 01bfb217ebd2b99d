//! What a run of a job does: it notes a text for the main conversation, or runs the agent in a conversation of the job's
//! own, sends its reply through the outbox if the job says so, and tells the main one what came of it.

use std::time::Duration;

use openclaw_protocol::protocol::{limits, texts};
use openclaw_protocol::rt::BoxFuture;
use openclaw_protocol::types::{
    CronJob, CronPayload, CronPostMode, CronRunStatus, OutboxOrigin, WakeMode,
};
use std::sync::Arc;

use crate::agent::{Delivery, Errand, Runs};
use crate::heartbeat::{Beat, Heartbeats, Remark, remark};
use crate::outbox::{Order, Wish};
use crate::sessions::key::normalise_agent_id;
use crate::sessions::{NotKept, SessionKey, SystemEvents};
use crate::text::first_chars;

/// Cut of what the run log says of a reply, in characters: enough to know what it was about.
pub(super) const SUMMARY_CHARS: usize = 2_000;

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Well, badly, or not done.
    pub status: CronRunStatus,
    /// What went wrong, or why it was not done.
    pub error: Option<String>,
    /// What it said or noted, in short.
    pub summary: Option<String>,
}

impl Outcome {
    /// One that went well.
    #[must_use]
    pub fn ok(summary: Option<String>) -> Self {
        Self {
            status: CronRunStatus::Ok,
            error: None,
            summary,
        }
    }

    /// One that failed.
    #[must_use]
    pub fn error(text: impl Into<String>) -> Self {
        Self {
            status: CronRunStatus::Error,
            error: Some(text.into()),
            summary: None,
        }
    }

    /// One that was not done.
    #[must_use]
    pub fn skipped(why: impl Into<String>) -> Self {
        Self {
            status: CronRunStatus::Skipped,
            ..Self::error(why)
        }
    }

    fn saying(self, summary: String) -> Self {
        Self {
            summary: Some(summary),
            ..self
        }
    }
}

/// Runs jobs. [`Jobs`] is the gateway's; tests have another.
pub trait Worker: Send + Sync + 'static {
    /// Does what the job is for, from beginning to end.
    fn work(&self, job: CronJob) -> BoxFuture<'static, Outcome>;
}

/// The gateway's worker.
#[derive(Clone)]
pub struct Jobs {
    /// Runs of agents.
    pub runs: Runs,
    /// Texts that wait for a conversation's next run.
    pub events: Arc<SystemEvents>,
    /// What wakes agents.
    pub heartbeats: Heartbeats,
}

impl Worker for Jobs {
    fn work(&self, job: CronJob) -> BoxFuture<'static, Outcome> {
        let jobs = self.clone();
        Box::pin(async move { jobs.run(&job).await })
    }
}

impl Jobs {
    async fn run(&self, job: &CronJob) -> Outcome {
        let rules = self.runs.parts().sessions.rules();
        let agent = match &job.agent_id {
            Some(id) => normalise_agent_id(id),
            None => rules.default_agent.clone(),
        };
        if !self.runs.has_agent(&agent) {
            return Outcome::error(format!("no agent \"{agent}\" is configured"));
        }
        match &job.payload {
            CronPayload::SystemEvent { text } => self.note(job, &agent, text).await,
            CronPayload::AgentTurn { .. } => {
                let (outcome, reply) = self.turn(job, &agent).await;
                match self
                    .tell_main(job, &agent, &outcome, reply.as_deref())
                    .await
                {
                    Ok(()) => outcome,
                    Err(error) => Outcome {
                        summary: outcome.summary,
                        ..not_noted(&error)
                    },
                }
            }
        }
    }

    /// A text for the main conversation; if it is urgent, its agent is woken and waited for.
    async fn note(&self, job: &CronJob, agent: &str, text: &str) -> Outcome {
        let text = text.trim();
        if text.is_empty() {
            return Outcome::skipped("the text is blank");
        }
        if let Err(error) = self.push_to_main(agent, text).await {
            return not_noted(&error);
        }
        let noted = text.to_owned();
        if job.wake_mode != WakeMode::Now {
            return Outcome::ok(Some(noted));
        }
        let retry = Duration::from_millis(limits::CRON_WAKE_RETRY_MS);
        let tries = limits::CRON_WAKE_WAIT_MS / limits::CRON_WAKE_RETRY_MS;
        let reason = format!("{}{}", texts::CRON_SESSION_PREFIX, job.id.as_str());
        for _ in 0..tries {
            match self.heartbeats.beat(agent, &reason).await {
                Beat::Ran => return Outcome::ok(Some(noted)),
                Beat::Busy => tokio::time::sleep(retry).await,
                Beat::Skipped(why) => return Outcome::skipped(why).saying(noted),
                Beat::Failed(why) => return Outcome::error(why).saying(noted),
            }
        }
        Outcome::skipped("the main conversation stayed busy").saying(noted)
    }

    /// A run of the agent, and its whole reply if it said anything.
    async fn turn(&self, job: &CronJob, agent: &str) -> (Outcome, Option<String>) {
        let CronPayload::AgentTurn {
            message,
            model,
            thinking,
            timeout_seconds,
            ..
        } = &job.payload
        else {
            return (Outcome::skipped("there is nothing to run"), None);
        };
        let own = format!("{}{}", texts::CRON_SESSION_PREFIX, job.id.as_str());
        let rules = self.runs.parts().sessions.rules();
        let session = rules.canonicalise(&format!("agent:{agent}:{own}"));
        let errand = Errand {
            text: format!("[{own} {}] {}", job.name.as_str(), message.as_str()),
            // Each run begins with an empty conversation: what is to be remembered is in the workspace.
            fresh: true,
            model: model.clone().filter(|model| !model.trim().is_empty()),
            thinking: thinking.clone().filter(|word| !word.trim().is_empty()),
            timeout: timeout_seconds.map(Duration::from_secs),
            quiet: false,
            delivery: self.delivery(job, agent, &session),
            session,
        };
        let done = match self.runs.errand(errand).await {
            Ok(done) => done,
            Err(error) => return (Outcome::error(error.to_string()), None),
        };
        let said = (!done.text.is_empty()).then_some(done.text);
        let summary = said
            .as_deref()
            .map(|reply| first_chars(reply, SUMMARY_CHARS).to_owned());
        let delivered = match done.delivery {
            Some(delivery) => delivery.outcome().await.map(drop),
            None => Ok(()),
        };
        let outcome = match delivered {
            Ok(()) => Outcome::ok(summary),
            Err(error) => {
                let is_best_effort = matches!(
                    job.payload,
                    CronPayload::AgentTurn {
                        best_effort_deliver: Some(true),
                        ..
                    }
                );
                Outcome {
                    status: if is_best_effort {
                        CronRunStatus::Ok
                    } else {
                        CronRunStatus::Error
                    },
                    error: Some(format!("the reply was not delivered: {error}")),
                    summary,
                }
            }
        };
        (outcome, said)
    }

    /// Where the reply of a job's run goes: to whom the job names, or to where the agent was spoken to last; none if it stays
    /// in its conversation.
    fn delivery(&self, job: &CronJob, agent: &str, session: &SessionKey) -> Option<Delivery> {
        let wish = wish(&job.payload)?;
        let main = self.runs.parts().sessions.rules().main(agent);
        Some(Delivery {
            order: Order {
                origin: OutboxOrigin::Cron,
                key: format!(
                    "{}:{}",
                    job.id.as_str(),
                    job.state.running_at_ms.unwrap_or_default()
                ),
                wish,
                session: main.canonical().to_owned(),
                stands_in: Some(session.canonical().to_owned()),
            },
            is_whole: false,
            ack_max_chars: Some(0),
            known: None,
        })
    }

    /// What an isolated run leaves in the main conversation, if there is anything to say.
    async fn tell_main(
        &self,
        job: &CronJob,
        agent: &str,
        outcome: &Outcome,
        reply: Option<&str>,
    ) -> Result<(), NotKept> {
        let isolation = job.isolation.clone().unwrap_or_default();
        let limit = usize::try_from(
            isolation
                .post_to_main_max_chars
                .unwrap_or(limits::CRON_POST_CHARS_DEFAULT),
        )
        .unwrap_or(usize::MAX);
        let said = match isolation.post_to_main_mode {
            Some(CronPostMode::Full) => reply.map(|reply| first_chars(reply, limit)),
            Some(CronPostMode::Summary) | None => outcome.summary.as_deref(),
        };
        let body = match (outcome.status, said) {
            (CronRunStatus::Ok, Some(said)) => match remark(said, 0) {
                Remark::Say(said) => said,
                // Nothing to report.
                Remark::Empty | Remark::Token => return Ok(()),
            },
            (CronRunStatus::Ok, None) => return Ok(()),
            (_, said) => said
                .or(outcome.error.as_deref())
                .unwrap_or_default()
                .to_owned(),
        };
        let prefix = isolation.post_to_main_prefix.as_deref().map(str::trim);
        let prefix = prefix
            .filter(|prefix| !prefix.is_empty())
            .unwrap_or(texts::CRON_POST_PREFIX);
        let text = match outcome.status {
            CronRunStatus::Ok => format!("{prefix}: {body}"),
            status => format!("{prefix} ({}): {body}", status.as_str()),
        };
        self.push_to_main(agent, &text).await?;
        if job.wake_mode == WakeMode::Now {
            self.heartbeats.request(agent, texts::CRON_SESSION_PREFIX);
        }
        Ok(())
    }

    async fn push_to_main(&self, agent: &str, text: &str) -> Result<(), NotKept> {
        let main = self.runs.parts().sessions.rules().main(agent);
        self.events.push(&main, text).await
    }
}

/// The outcome of a run whose text for the main conversation could not be kept.
fn not_noted(error: &NotKept) -> Outcome {
    tracing::error!(?error, "a job could not tell the main conversation");
    Outcome::error(error.to_string())
}

/// Where the reply of a job's runs is to go; none if nowhere.
fn wish(payload: &CronPayload) -> Option<Wish> {
    let CronPayload::AgentTurn {
        deliver,
        channel,
        to,
        ..
    } = payload
    else {
        return None;
    };
    let has_address = to.as_deref().is_some_and(|to| !to.trim().is_empty());
    deliver.unwrap_or(has_address).then(|| Wish {
        channel: channel.clone().map(String::from),
        to: to.clone(),
        account_id: None,
    })
}
