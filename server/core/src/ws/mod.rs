//! Everything written to a socket after the upgrade: frames are gathered in a connection's [`Outbox`] and leave it
//! with one write, whoever appended them.
//!
//! Replies come from the connection's own task, events from the hub on any thread. Both share one byte budget, so a
//! client that does not read costs a fixed amount of memory (contract 7.2, odd 54).

mod buffers;
mod event;
mod outbox;
mod wire;

pub use event::EventFrame;
pub use outbox::{COPY_UP_TO, Delivery, Flush, Outbox};
pub use wire::{Socket, Wire};

#[cfg(test)]
pub(crate) use wire::fake;
