//! What a user does, with real processes: first start, the commands, mistakes, stops and restarts, and what the
//! README says.

#![allow(clippy::expect_used, clippy::panic)] // everything here is a test

mod conversations;
mod cut_tools;
mod devices;
mod dice;
mod doctor;
mod doors;
mod elsewhere;
mod first_minutes;
mod kills;
mod messages;
mod methods;
mod mistakes;
mod node_host;
mod nodes;
mod openai;
mod outbox;
mod protocol;
mod readme;
mod real_model;
mod remote;
mod replies;
mod restarts;
mod schedules;
mod sessions;
mod skills;
mod tools;
