//! The gateway as a library; the `openclaw` binary is a thin shell around it.
//!
//! `gateway` builds the parts and runs them. The way of a frame: `http` hands over an upgraded socket, `connection`
//! reads and dispatches, `methods` answer with the help of the domain modules, `ws` gathers what is to be written.
//! The way of an event: a domain module gives it to `hub`, which puts it into every outbox that may see it.

pub mod agent;
pub mod approvals;
mod child;
pub mod cli;
pub mod clock;
pub mod config;
pub mod connection;
pub mod cron;
mod documents;
pub mod duration;
pub mod exec_rules;
pub mod gateway;
pub mod health;
pub mod heartbeat;
mod hex;
pub mod http;
pub mod hub;
pub mod limits;
pub mod lock;
pub mod methods;
pub mod net;
pub mod node_host;
pub mod nodes;
pub mod outbox;
pub mod pairing;
pub mod paths;
pub mod refusals;
pub mod sessions;
pub mod skills;
pub mod store;
mod text;
pub mod usage;
pub mod voicewake;
pub mod ws;
