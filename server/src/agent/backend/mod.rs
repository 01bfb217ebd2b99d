//! Model backends: what turns a conversation into a stream of reply text.
//!
//! A backend knows nothing of runs, sessions or sockets of clients. It gets a [`ModelRequest`] and returns a stream;
//! dropping the stream cancels the call. Called by [`crate::agent`] runs, on the work runtime.

pub mod cli;
mod echo;
pub mod http;
#[cfg(test)]
pub(crate) mod scripted;

pub use echo::Echo;

use std::borrow::Cow;
use std::sync::Arc;

use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};
use serde_json::Value;

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
    /// What the model said, and which tools it wanted.
    Assistant {
        /// The words; may be empty beside calls.
        text: String,
        /// The calls; each is followed by its [`Turn::Result`].
        calls: Vec<Call>,
        /// What the same model thought before it said so, if it is still at work on the user's last words.
        thoughts: Vec<Thought>,
    },
    /// What a tool brought.
    Result {
        /// Id of the call.
        call_id: String,
        /// What the model is told.
        text: String,
        /// Pictures that it is shown.
        images: Vec<Image>,
        /// Whether the tool failed.
        is_error: bool,
    },
}

/// A thought that its provider wants back, unchanged, with the results of the tools that it led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Thought {
    /// One that can be read.
    Open {
        /// The words; may be empty.
        text: String,
        /// By which the provider knows that they are unchanged.
        signature: String,
    },
    /// One that only the provider can read.
    Sealed {
        /// What it sent.
        data: String,
    },
}

impl Thought {
    /// Bytes that it takes.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Open { text, signature } => text.len() + signature.len(),
            Self::Sealed { data } => data.len(),
        }
    }
}

/// A tool as a model is told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolSpec {
    /// Name by which it is called: at most 64 of the letters `a-zA-Z0-9_-`, as all providers want it.
    pub name: Cow<'static, str>,
    /// What it does, for the model.
    pub description: Cow<'static, str>,
    /// JSON Schema of its arguments, an object.
    pub parameters: Value,
}

/// A call of a tool by a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Id by which the result is told; chosen by the provider, never empty.
    pub id: String,
    /// Name of the tool.
    pub name: String,
    /// The arguments; what was no JSON object is [`Value::String`] with the text that came.
    pub arguments: Value,
}

impl Call {
    /// A call whose arguments came as text: empty means none.
    pub(super) fn read(id: String, name: String, arguments: String) -> Self {
        let arguments = match arguments.trim() {
            "" => Value::Object(serde_json::Map::new()),
            text => match serde_json::from_str(text) {
                Ok(object @ Value::Object(_)) => object,
                _ => Value::String(arguments),
            },
        };
        Self {
            id,
            name,
            arguments,
        }
    }
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
    /// Tools that the model may call.
    pub tools: Arc<[ToolSpec]>,
    /// Longest reply in tokens, where the configuration tells it.
    pub max_tokens: Option<u64>,
}

/// Tokens of one call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
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
    /// The model waits for what its calls bring.
    ToolUse,
}

impl StopReason {
    /// The word in transcripts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolUse => "toolUse",
        }
    }
}

/// A piece of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chunk {
    /// More text.
    Delta(String),
    /// A thought that led to calls. Comes when it is complete, before `Done`.
    Thought(Thought),
    /// The model wants a tool to be run. Comes when the call is complete, before `Done`.
    Call(Call),
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
    /// More calls of tools in one reply than are taken.
    #[error("model asked for more than {limit} tools in one reply")]
    TooManyCalls {
        /// The limit.
        limit: usize,
    },
}

/// Most calls of tools that one reply may hold; people who watch see each of them.
pub(crate) const MAX_CALLS: usize = 32;
/// Most bytes of arguments in one reply, all calls together: as much as a reply may have of text.
pub(crate) const MAX_ARGUMENTS: usize = 256 * 1024;
/// Most bytes of thought in one reply, signatures and all: as much as a reply may have of text.
pub(crate) const MAX_THOUGHT: usize = 256 * 1024;

impl BackendError {
    /// Whether another provider may answer what this one did not: it is down, full, or does not let us in. A refusal of
    /// the request itself would be the same elsewhere.
    pub fn is_of_provider(&self) -> bool {
        match self {
            Self::Refused { status, .. } => {
                matches!(status, 401..=404 | 408 | 429 | 500..=599)
            }
            Self::Reported { .. }
            | Self::NotConfigured(_)
            | Self::Unreachable { .. }
            | Self::Silent { .. }
            | Self::Stalled { .. }
            | Self::CutOff
            | Self::Garbage { .. } => true,
            Self::TooLarge { .. } | Self::TooManyCalls { .. } => false,
        }
    }

    /// Whether the conversation was larger than the model's window. There is no code for it; these are the words of the
    /// servers that are in use.
    pub fn is_overflow(&self) -> bool {
        const WORDS: [&str; 7] = [
            "context length",
            "context window",
            "context size",
            "maximum context",
            "prompt is too long",
            "input is too long",
            "too many tokens",
        ];
        let (Self::Refused { message, .. } | Self::Reported { message }) = self else {
            return false;
        };
        let message = message.to_lowercase();
        // A limit of tokens per minute passes by itself.
        !matches!(self, Self::Refused { status: 429, .. })
            && WORDS.iter().any(|words| message.contains(words))
    }

    /// The text that a transcript keeps as `errorMessage`; the reference writes statuses without the word HTTP there.
    pub fn transcript_text(&self) -> String {
        match self {
            Self::Refused { status, message } => format!("{status} {message}"),
            other => other.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn arguments_are_an_object_or_the_text_that_came() {
        for (text, arguments) in [
            ("", json!({})),
            (" \n", json!({})),
            (r#"{"path":"a"}"#, json!({"path": "a"})),
            ("[1]", json!("[1]")),
            (r#"{"path":"#, json!(r#"{"path":"#)),
        ] {
            let call = Call::read("c".into(), "read".into(), text.into());
            assert_eq!(call.arguments, arguments, "{text:?}");
        }
    }

    #[test]
    fn conversations_that_are_too_large() {
        for (status, message, is) in [
            (
                400,
                "This model's maximum context length is 8192 tokens.",
                true,
            ),
            (
                400,
                "prompt is too long: 210000 tokens > 200000 maximum",
                true,
            ),
            (400, "the request exceeds the available context size", true),
            (429, "too many tokens per minute", false),
            (400, "no such model", false),
        ] {
            let error = BackendError::Refused {
                status,
                message: message.into(),
            };
            assert_eq!(error.is_overflow(), is, "{message}");
        }
        assert!(!BackendError::CutOff.is_overflow());
    }

    #[test]
    fn whose_fault_an_error_is() {
        let refused = |status| BackendError::Refused {
            status,
            message: String::new(),
        };
        for (error, of_provider) in [
            (refused(400), false),
            (refused(401), true),
            (refused(404), true),
            (refused(413), false),
            (refused(429), true),
            (refused(503), true),
            (BackendError::CutOff, true),
            (BackendError::TooLarge { limit: 1 }, false),
        ] {
            assert_eq!(error.is_of_provider(), of_provider, "{error:?}");
        }
    }
}
