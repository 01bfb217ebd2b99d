//! The wire form of Anthropic messages: what is sent, and how a streamed answer is read. Pure.

mod call;
mod decoder;
mod event;
#[cfg(test)]
mod tests;

pub(super) use call::call;
pub(super) use decoder::Decoder;

/// Version of the API, which every call must name.
pub(super) const VERSION: &str = "2023-06-01";
