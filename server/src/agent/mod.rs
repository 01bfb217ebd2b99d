//! Agents: runs with their lanes, events and outcomes, and the models that answer.
//!
//! The way of a turn: [`requests`] and [`chat`] check a request, [`runs`] accepts it (idempotency, lane, durable record),
//! [`turn`] carries it (transcript, model, end), or [`commands`] if it is a slash command, [`bus`] tells the world,
//! [`outcome`] remembers how it ended, [`aftermath`] sends its words to people, and after a crash [`recovery`] ends what was under way. A [`backend`] turns a
//! conversation into a stream of text and knows nothing of all this. Between the two stands [`converse`]: it lets the model
//! use [`tools`] until it has come to an end, and keeps what it is told within bounds.
//!
//! Called by `methods/agent.rs`, `methods/chat.rs`, `methods/catalog.rs` and, for what runs may not meet,
//! `methods/session_changes.rs`; by `http` for turns and for single tools ([`direct`]); by `cron` and `heartbeat` for turns
//! that no client asked for ([`Errand`]). Built once by the gateway.

mod aftermath;
mod attachments;
mod avatar;
pub mod backend;
mod bus;
mod catalog;
mod chat;
mod commands;
mod context;
mod converse;
mod direct;
mod errand;
pub(crate) mod http_client;
mod identity;
mod inject;
mod lanes;
mod messages;
mod models;
mod outcome;
mod overrides;
mod parts;
mod prompt;
mod quiet;
mod recovery;
mod requests;
mod run;
mod runs;
mod tools;
mod turn;
mod wire;
mod words;

pub use aftermath::{Aftermath, Delivery, Note};
pub use direct::{ToolRefusal, ToolUse};
pub use errand::{Begun, Done, Errand, ErrandError};
pub use models::{Choice, Models, Price};
pub use parts::Parts;
pub use requests::Manner;
pub use runs::Runs;
pub use tools::{
    ConfigGate, ExecDecision, ExecGate, ExecRequest, Mcp, NOT_LISTED, Reach, Reached, Ruling,
    SessionExec,
};
pub(crate) use tools::{FileError, read_start};
pub(crate) use words::{CHANNELS, LAST_CHANNEL};
pub use words::{Thinking, is_known_channel};

#[cfg(test)]
mod tests;
