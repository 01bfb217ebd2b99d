//! The gateway as a library; the `openclaw` binary is a thin shell around it.
//!
//! `gateway` builds the parts and runs them. The way of a frame: `http` hands over an upgraded socket, `connection`
//! reads and dispatches, `methods` answer with the help of the domain modules, `ws` gathers what is to be written.
//! The way of an event: a domain module gives it to `hub`, which puts it into every outbox that may see it.

pub mod agent;
pub mod approvals;
mod child;
pub mod cli;
pub mod config;
pub mod cron;
mod documents;
pub mod duration;
pub mod exec_rules;
pub mod gateway;
pub mod health;
pub mod heartbeat;
pub mod http;
pub mod lock;
pub mod methods;
pub mod node_host;
pub mod outbox;
pub mod paths;
pub mod sessions;
pub mod skills;
pub mod usage;
pub mod voicewake;

use openclaw_core::{
    clock, connection, hex, hub, limits, net, nodes, pairing, refusals, store, text,
};

#[cfg(test)]
mod testing;
