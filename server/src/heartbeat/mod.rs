//! Heartbeats: turns that nobody asked for, in which an agent looks whether anything needs attention (contract 9.2, 7.3).
//!
//! An agent's heartbeat runs in its main conversation when its interval is over, and earlier when something asks for it
//! (`wake`, an urgent job, a command on a node that has ended). It is left out, without an event, while heartbeats are
//! switched off, outside the active hours, without a model that could answer, and while the conversation is busy; in the
//! last case it is tried again. It is left out with an event when `HEARTBEAT.md` says that there is nothing to do and no
//! text waits.
//!
//! | The agent says | Event | |
//! | --- | --- | --- |
//! | nothing | `ok-empty` | the conversation does not count as used |
//! | `HEARTBEAT_OK`, with at most `ackMaxChars` beside it | `ok-token` | likewise |
//! | anything else | `sent` | through the outbox, where the target or the last message says |
//! | | `skipped` | `no-target`, `target-none`, `duplicate` |
//! | | `failed` | the channel does not take it, or there is no such channel |
//! | (the run fails) | `failed` | |
//!
//! `methods/system.rs`, `cron` and whoever has news for an agent call [`Heartbeats`]; the gateway drives
//! [`Heartbeats::run`]; `health` shows [`Settings`]. Nothing is stored.

mod answer;
mod file;
mod hours;
mod remark;
mod runner;
mod settings;

pub use remark::{Remark, remark};
pub use runner::{Beat, Heartbeats, Parts};
pub use settings::{Settings, all};

#[cfg(test)]
mod tests;
