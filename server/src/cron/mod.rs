//! Jobs that run by the clock (contract 9.3; odds 28, 29; field pain "cron skipped or doubled across restart").
//!
//! What holds, whatever the clock and the process do:
//!
//! - A due time is claimed on disk before its run begins, and the job's next due time is written with the claim. So no due
//!   time is served twice. A claim that a stop or a crash cut short ends as an `error` in the run log that says so, when the
//!   gateway starts again; it is not repeated, since nobody knows how far it came.
//! - A due time that passed while the machine slept, the gateway was down or the job was still running is served once, as
//!   soon as it can be. Of several that passed, the oldest stands for all: a job never runs in a volley.
//! - A job for one moment runs once. After success it is disabled, or removed with `deleteAfterRun`; after an error it stays
//!   enabled without a next run, for people to see and to run by hand.
//! - A forced run is an extra one: it leaves the schedule alone, unless the job is due, which it then serves.
//! - Setting the clock back repeats nothing. When clocks change for summer time: see [`expression`].
//! - At most one run of a job at a time, and [`MAX_RUNNING`] over all jobs.
//!
//! There is one service for the scheduler and for the methods, so they cannot disagree (odd 29).
//!
//! `methods/cron.rs` calls [`Cron`]; the gateway drives [`Cron::run_by_clock`]. Writes tables `CronJobs`, `CronRuns` and
//! one value of `Meta`. What a run does is behind [`Worker`]: [`Jobs`] notes texts, wakes agents and runs turns.

mod error;
mod expression;
mod job;
mod log;
mod normalise;
mod request;
mod schedule;
mod service;
mod work;

pub use error::CronError;
pub use expression::BadExpression;
pub use log::MAX_REMOVED_LOGS;
pub use normalise::moment;
pub(crate) use request::one_id;
pub use request::{new_job, update};
pub use service::{Cron, MAX_JOBS, MAX_RUNNING, Parts};
pub use work::{Jobs, Outcome, Worker};

#[cfg(test)]
mod tests;
