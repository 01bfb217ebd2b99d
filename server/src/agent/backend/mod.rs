//! Model backends: what turns a conversation into a stream of reply text.
//!
//! A backend knows nothing of runs, sessions or sockets of clients. It gets a [`ModelRequest`] and returns a stream;
//! dropping the stream cancels the call. Called by [`crate::agent`] runs, on the work runtime.

mod echo;
pub mod openai;
#[cfg(test)]
pub(crate) mod scripted;

pub use echo::Echo;

use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};

use super::attachments::Image;
use super::words::Thinking;

/// One turn of a conversation as a model is told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// What the user said.
    User {
        /// The words.
        text: String,
        /// Images sent along.
        images: Vec<Image>,
    },
    /// What the model said.
    Assistant {
        /// The words.
        text: String,
    },
}

/// A conversation that wants its next turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelRequest {
    /// The model, as its provider calls it.
    pub model: String,
    /// Instructions that precede the conversation; may be empty.
    pub system: String,
    /// The conversation, oldest turn first; the last one is the user's.
    pub turns: Vec<Turn>,
    /// How hard to think; `None` for models that cannot.
    pub thinking: Option<Thinking>,
}

/// Tokens of one call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Prompt tokens that did not come from a cache.
    pub input: u64,
    /// Reply tokens.
    pub output: u64,
    /// Prompt tokens read from a cache.
    pub cache_read: u64,
    /// Prompt tokens written to a cache.
    pub cache_write: u64,
}

impl Usage {
    /// All tokens of the call.
    pub fn total(&self) -> u64 {
        self.prompt() + self.output
    }

    /// Tokens of context that the prompt took.
    pub fn prompt(&self) -> u64 {
        self.input + self.cache_read + self.cache_write
    }
}

/// Why a reply ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// The model was finished.
    Stop,
    /// The model's length limit was reached.
    Length,
}

impl StopReason {
    /// The word in transcripts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
        }
    }
}

/// A piece of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chunk {
    /// More text.
    Delta(String),
    /// The model wants a tool to be run. No tools are offered yet, so this ends a run with an error.
    ToolCall {
        /// Name of the tool.
        name: String,
    },
    /// What the call cost.
    Usage(Usage),
    /// The reply is complete; nothing follows.
    Done(StopReason),
}

/// A reply as it comes. Ends after `Done` or the first error; a stream that ends before either was cut off.
pub type ReplyStream = BoxStream<'static, Result<Chunk, BackendError>>;

/// Something that answers.
pub trait Backend: Send + Sync + 'static {
    /// Starts a call. Nothing happens before the stream is polled.
    fn stream(&self, request: ModelRequest) -> ReplyStream;
}

/// Why there is no (whole) reply. The text is for the client and never holds a secret or an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// The provider answered with an error status.
    #[error("HTTP {status}: {message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The provider's words, shortened.
        message: String,
    },
    /// The provider reported an error inside its stream.
    #[error("model error: {message}")]
    Reported {
        /// The provider's words, shortened.
        message: String,
    },
    /// The configuration does not lead to a model.
    #[error("{0}")]
    NotConfigured(String),
    /// No connection, or it broke before an answer.
    #[error("model provider \"{provider}\" could not be reached: {cause}")]
    Unreachable {
        /// Provider id.
        provider: String,
        /// What the system said.
        cause: String,
    },
    /// No answer in time.
    #[error("model provider \"{provider}\" sent no answer for {seconds} s")]
    Silent {
        /// Provider id.
        provider: String,
        /// How long was waited.
        seconds: u64,
    },
    /// The stream stopped moving.
    #[error("model stream stalled: nothing arrived for {seconds} s")]
    Stalled {
        /// How long was waited.
        seconds: u64,
    },
    /// The stream ended before the reply did.
    #[error("model stream ended before the reply was complete")]
    CutOff,
    /// What arrived is no reply.
    #[error("model provider \"{provider}\" sent an answer that is not understood: {what}")]
    Garbage {
        /// Provider id.
        provider: String,
        /// What is wrong with it.
        what: String,
    },
    /// More arrived than is taken.
    #[error("model reply is larger than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// The model asked for a tool.
    #[error("model asked for the tool \"{name}\", but no tools were offered")]
    UnofferedTool {
        /// Name of the tool.
        name: String,
    },
}

impl BackendError {
    /// The text that a transcript keeps as `errorMessage`; the reference writes statuses without the word HTTP there.
    pub fn transcript_text(&self) -> String {
        match self {
            Self::Refused { status, message } => format!("{status} {message}"),
            other => other.to_string(),
        }
    }
}
