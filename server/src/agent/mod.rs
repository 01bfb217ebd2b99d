//! Agents: runs with their lanes, events and outcomes, and the models that answer.
//!
//! The way of a turn: [`requests`] and [`chat`] check a request, [`runs`] accepts it (idempotency, lane, durable record),
//! [`turn`] carries it (transcript, model, end), or [`commands`] if it is a slash command, [`bus`] tells the world, [`outcome`] remembers how it ended. A
//! [`backend`] turns a conversation into a stream of text and knows nothing of all this.
//!
//! Called by `methods/agent.rs`, `methods/chat.rs` and, for what runs may not meet, `methods/session_changes.rs`; built
//! once by the gateway.

mod attachments;
pub mod backend;
mod bus;
mod chat;
mod commands;
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
mod requests;
mod run;
mod runs;
mod turn;
mod wire;
mod words;

pub use models::{Choice, Models};
pub use parts::Parts;
pub use runs::Runs;
pub(crate) use words::{CHANNELS, LAST_CHANNEL};
pub use words::{Thinking, is_known_channel};

#[cfg(test)]
mod tests;
