//! Reading a streamed answer.

use std::collections::BTreeMap;

use serde_json::json;

use super::super::calls::Calls;
use super::super::refusal::message_in;
use super::super::{Decode, garbage};
use super::event::{Block, Counts, Delta, Event};
use crate::agent::backend::{BackendError, Chunk, MAX_THOUGHT, StopReason, Thought, Usage};

/// Reads the events of one answer.
#[derive(Debug)]
pub(in crate::agent::backend::http) struct Decoder {
    provider: String,
    calls: Calls,
    /// Open thoughts under way, by the number of their block.
    thoughts: BTreeMap<u64, (String, String)>,
    /// Bytes of all thoughts.
    thought: usize,
    usage: Usage,
    finish: Option<StopReason>,
    done: bool,
}

impl Decoder {
    pub(in crate::agent::backend::http) fn new(provider: &str) -> Self {
        Self {
            provider: provider.to_owned(),
            calls: Calls::default(),
            thoughts: BTreeMap::new(),
            thought: 0,
            usage: Usage::default(),
            finish: None,
            done: false,
        }
    }

    fn count(&mut self, counts: Option<Counts>) -> Vec<Chunk> {
        let Some(counts) = counts else {
            return Vec::new();
        };
        for (count, told) in [
            (&mut self.usage.input, counts.input_tokens),
            (&mut self.usage.output, counts.output_tokens),
            (&mut self.usage.cache_read, counts.cache_read_input_tokens),
            (
                &mut self.usage.cache_write,
                counts.cache_creation_input_tokens,
            ),
        ] {
            *count = told.unwrap_or(*count);
        }
        vec![Chunk::Usage(self.usage)]
    }

    /// Counts what is thought.
    fn weigh(&mut self, bytes: usize) -> Result<(), BackendError> {
        self.thought += bytes;
        if self.thought > MAX_THOUGHT {
            return Err(BackendError::TooLarge { limit: MAX_THOUGHT });
        }
        Ok(())
    }

    /// Takes a piece of a thought, and of its signature.
    fn think(&mut self, block: u64, text: &str, signature: &str) -> Result<(), BackendError> {
        self.weigh(text.len() + signature.len())?;
        let thought = self.thoughts.entry(block).or_default();
        thought.0.push_str(text);
        thought.1.push_str(signature);
        Ok(())
    }

    /// The thought of a block that is complete. One without a signature would be refused when it is sent back.
    fn thought_of(&mut self, block: u64) -> Vec<Chunk> {
        match self.thoughts.remove(&block) {
            Some((text, signature)) if !signature.is_empty() => {
                vec![Chunk::Thought(Thought::Open { text, signature })]
            }
            _ => Vec::new(),
        }
    }
}

impl Decode for Decoder {
    fn is_done(&self) -> bool {
        self.done
    }

    fn event(&mut self, data: &str) -> Result<Vec<Chunk>, BackendError> {
        let event: Event = serde_json::from_str(data)
            .map_err(|_| garbage(&self.provider, "an event is not one of a message"))?;
        Ok(match event {
            Event::MessageStart { message } => self.count(message.usage),
            Event::ContentBlockStart {
                index,
                content_block: Block::ToolUse { id, name },
            } => {
                self.calls.add(index, Some(id), Some(name), "")?;
                Vec::new()
            }
            Event::ContentBlockStart {
                index,
                content_block:
                    Block::Thinking {
                        thinking,
                        signature,
                    },
            } => {
                self.think(index, &thinking, &signature)?;
                Vec::new()
            }
            Event::ContentBlockStart {
                content_block: Block::RedactedThinking { data },
                ..
            } => {
                self.weigh(data.len())?;
                vec![Chunk::Thought(Thought::Sealed { data })]
            }
            Event::ContentBlockStart {
                content_block: Block::Text { text },
                ..
            }
            | Event::ContentBlockDelta {
                delta: Delta::Text { text },
                ..
            } if !text.is_empty() => vec![Chunk::Delta(text)],
            Event::ContentBlockDelta {
                index,
                delta: Delta::InputJson { partial_json },
            } => {
                self.calls.add(index, None, None, &partial_json)?;
                Vec::new()
            }
            Event::ContentBlockDelta {
                index,
                delta: Delta::Thinking { thinking },
            } => {
                self.think(index, &thinking, "")?;
                Vec::new()
            }
            Event::ContentBlockDelta {
                index,
                delta: Delta::Signature { signature },
            } => {
                self.think(index, "", &signature)?;
                Vec::new()
            }
            Event::ContentBlockStop { index } => self.thought_of(index),
            Event::MessageDelta { delta, usage } => {
                if let Some(reason) = delta.stop_reason {
                    self.finish = Some(finish(&reason)?);
                }
                self.count(usage)
            }
            Event::MessageStop => {
                self.done = true;
                self.calls.finish(self.finish.unwrap_or(StopReason::Stop))
            }
            Event::Error { error } => {
                let message = message_in(&json!({"error": error}))
                    .unwrap_or_else(|| "no reason given".to_owned());
                return Err(BackendError::Reported { message });
            }
            Event::ContentBlockStart { .. } | Event::ContentBlockDelta { .. } | Event::Other => {
                Vec::new()
            }
        })
    }

    /// With a reason given before, the answer is whole even without an end mark.
    fn end(&mut self) -> Result<Vec<Chunk>, BackendError> {
        let reason = self.finish.ok_or(BackendError::CutOff)?;
        self.done = true;
        Ok(self.calls.finish(reason))
    }
}

fn finish(reason: &str) -> Result<StopReason, BackendError> {
    match reason {
        "max_tokens" | "model_context_window_exceeded" => Ok(StopReason::Length),
        "refusal" => Err(BackendError::Reported {
            message: "the model declined to answer".to_owned(),
        }),
        // `tool_use` follows calls, which tell it themselves; unknown words must not lose a reply.
        _ => Ok(StopReason::Stop),
    }
}
