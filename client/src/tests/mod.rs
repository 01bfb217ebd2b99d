//! A client against a scripted gateway, on paused time.

mod calls;
mod handshake;
mod link;
mod reconnect;
mod tokens;
