//! The part of the gateway that every frame passes: sockets, handshakes and who may come in, dispatch, events to
//! everybody, the store.
//!
//! The way of a frame: `http` hands over an upgraded socket, `connection` reads and dispatches to a
//! [`connection::Service`], `ws` gathers what is to be written. The way of an event: whoever has one gives it to `hub`,
//! which puts it into every outbox that may see it. What the frames are about (agents, conversations, schedules, channels)
//! is the gateway's, which is built on this crate and optimised for size where this one is optimised for speed.

pub mod clock;
pub mod connection;
pub mod hex;
pub mod http;
pub mod hub;
pub mod limits;
pub mod net;
pub mod nodes;
pub mod pairing;
pub mod refusals;
pub mod store;
pub mod text;
pub mod words;
pub mod ws;
