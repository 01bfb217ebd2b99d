//! Why a job was not added, changed or run, for the client and for the log.

use openclaw_protocol::protocol::errors;
use openclaw_protocol::types::ErrorShape;

use super::expression::BadExpression;
use super::service::MAX_JOBS;
use crate::store::{StoreError, WriteError};

/// Why a job was not added, changed or run. The texts are for the log; [`CronError::shape`] is for the client.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CronError {
    /// There is no such job.
    #[error("no job {0}")]
    Unknown(String),
    /// The name is blank.
    #[error("a job without a name")]
    Name,
    /// A job of the main conversation that would run the agent.
    #[error("a main job takes a systemEvent")]
    MainPayload,
    /// A job of its own conversation without a run.
    #[error("an isolated job takes an agentTurn")]
    IsolatedPayload,
    /// The payload becomes a run, but of what?
    #[error("the new payload lacks its message")]
    MessageRequired,
    /// The payload becomes a text, but which?
    #[error("the new payload lacks its text")]
    TextRequired,
    /// The expression or the zone is none.
    #[error("expression {expr:?} in zone {tz:?}: {cause}")]
    Expression {
        /// The expression.
        expr: String,
        /// The zone, as sent.
        tz: String,
        /// What is wrong.
        cause: BadExpression,
    },
    /// There are [`MAX_JOBS`] already.
    #[error("{MAX_JOBS} jobs already")]
    TooMany,
    /// The store failed; nothing was changed or begun.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<WriteError<StoreError>> for CronError {
    fn from(error: WriteError<StoreError>) -> Self {
        Self::Store(error.into())
    }
}

impl CronError {
    /// The error for the client.
    #[must_use]
    pub fn shape(&self) -> ErrorShape {
        match self {
            Self::Unknown(id) => errors::CRON_UNKNOWN_JOB.with(&[("id", id)]),
            Self::Name => errors::CRON_NAME_REQUIRED.error(),
            Self::MainPayload => errors::CRON_MAIN_PAYLOAD.error(),
            Self::IsolatedPayload => errors::CRON_ISOLATED_PAYLOAD.error(),
            Self::MessageRequired => errors::CRON_MESSAGE_REQUIRED.error(),
            Self::TextRequired => errors::CRON_TEXT_REQUIRED.error(),
            Self::Expression { expr, tz, cause } => match cause {
                BadExpression::Parts => errors::CRON_PATTERN_PARTS.with(&[("expr", expr)]),
                BadExpression::Pattern(problem) => {
                    errors::CRON_PATTERN_INVALID.with(&[("problem", problem)])
                }
                BadExpression::Zone => errors::CRON_TIME_ZONE.with(&[("tz", tz)]),
            },
            Self::TooMany => errors::CRON_TOO_MANY.with(&[("max", &MAX_JOBS.to_string())]),
            Self::Store(error) => {
                tracing::error!(%error, "jobs cannot be stored or read");
                errors::INTERNAL_ERROR.error()
            }
        }
    }
}
