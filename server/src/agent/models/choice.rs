//! A model, chosen for a run: how it is reached, what it can take and what it costs.

use super::super::backend::Usage;
use super::ECHO;
use crate::config::Cost;

/// Tokens that a price of [`Cost`] is for.
const PRICED_TOKENS: f64 = 1_000_000.0;

/// A model, chosen for a run.
#[derive(Debug, Clone)]
pub struct Choice {
    /// Provider id.
    pub provider: String,
    /// Model id at the provider.
    pub model: String,
    /// API by which it is reached; what transcripts note.
    pub api: &'static str,
    /// Context window in tokens.
    pub context_tokens: u64,
    /// Longest reply in tokens, where it is configured.
    pub max_tokens: Option<u64>,
    /// Whether it can think before it answers.
    pub reasoning: bool,
    /// Whether it takes images.
    pub images: bool,
    /// Price per million tokens, where it is known.
    pub cost: Option<Cost>,
}

/// What a call cost, in the currency of the provider.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Price {
    /// Of the prompt.
    pub input: f64,
    /// Of the reply.
    pub output: f64,
    /// Of reading the cache.
    pub cache_read: f64,
    /// Of writing the cache.
    pub cache_write: f64,
}

impl Price {
    /// What so many tokens cost at a price per million.
    pub fn of(usage: &Usage, cost: &Cost) -> Self {
        // Counts of tokens are far below 2^52.
        #[allow(clippy::cast_precision_loss)]
        let of = |tokens: u64, price: f64| tokens as f64 / PRICED_TOKENS * price;
        Self {
            input: of(usage.input, cost.input),
            output: of(usage.output, cost.output),
            cache_read: of(usage.cache_read, cost.cache_read),
            cache_write: of(usage.cache_write, cost.cache_write),
        }
    }

    /// All of it.
    pub fn total(&self) -> f64 {
        self.input + self.output + self.cache_read + self.cache_write
    }
}

impl Choice {
    /// Whether the built-in echo answers, because no model is configured.
    #[must_use]
    pub fn is_echo(&self) -> bool {
        self.provider == ECHO && self.api == ECHO
    }

    /// What `usage` costs with this model, where that is known.
    pub fn price(&self, usage: &Usage) -> Option<Price> {
        self.cost.as_ref().map(|cost| Price::of(usage, cost))
    }
}
