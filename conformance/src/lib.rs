//! Conformance suite: replays recorded client sessions over real sockets against a gateway and compares what it answers
//! with what was recorded.
//!
//! The way of a session: [`import`] (recording → session file) → [`file`] (read) → `deviation` (where the recorded
//! gateway is to be improved on) → `race` (where it may show a value or not) → `replay` (acts the clients) → `judge`
//! (compares) → `report`. How to use and extend it: `conformance/README.md`.

pub mod binding;
pub mod clock;
pub mod compare;
pub mod deviation;
pub mod file;
pub mod gateway;
pub mod import;
pub mod judge;
pub mod keys;
pub mod model;
pub mod race;
pub mod replay;
pub mod report;
pub mod rules;
pub mod schema;
pub mod session;
pub mod suite;
pub mod track;
pub mod unserved;
