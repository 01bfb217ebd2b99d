//! Which model answers: from configuration and session to a backend, its price and its context window.
//!
//! [`catalogue`] finds out which model is meant, [`backends`] what speaks for it, [`cool_down`] who is asked last because
//! it failed. Called by runs; built once by the gateway.

mod backends;
mod catalogue;
mod choice;
mod cool_down;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

pub use choice::{Choice, Price};

use super::backend::Backend;
use super::backend::http::{HttpModel, Timeouts};
use crate::config::Config;
use crate::paths::Environment;
use cool_down::CoolDown;

/// Provider id and model id of the built-in echo.
const ECHO: &str = "echo";
/// What transcripts note of a program that answered.
const CLI: &str = "cli";

/// What keeps the calls of a program apart, by provider.
type Turns = HashMap<String, Arc<tokio::sync::Mutex<()>>>;

/// The configured models and their clients.
pub struct Models {
    config: Arc<Config>,
    timeouts: Timeouts,
    /// Clients by provider and, for models with headers or an API of their own, model. As many as are configured.
    clients: Mutex<HashMap<(String, String), HttpModel>>,
    /// Configured providers that failed lately.
    cool_down: CoolDown,
    /// As many as are configured or built in.
    programs: Mutex<Turns>,
    /// What programs are started with.
    environment: Arc<Environment>,
    /// Answers in place of every configured backend.
    instead: Option<Arc<dyn Backend>>,
}

impl Models {
    /// The models of `config`.
    pub fn new(config: Arc<Config>) -> Self {
        if config.agents.defaults.model.primary.is_none() && !config.models.providers.is_empty() {
            tracing::warn!(
                "models.providers is set but agents.defaults.model is not: the built-in echo answers"
            );
        }
        Self {
            config,
            timeouts: Timeouts::default(),
            clients: Mutex::default(),
            cool_down: CoolDown::default(),
            programs: Mutex::default(),
            environment: Arc::default(),
            instead: None,
        }
    }

    /// The same models; programs are started with `environment`.
    #[must_use]
    pub fn with_environment(self, environment: Environment) -> Self {
        Self {
            environment: Arc::new(environment),
            ..self
        }
    }

    /// The same models, waited for as long as `timeouts` say.
    #[cfg(test)]
    pub(super) fn with_timeouts(self, timeouts: Timeouts) -> Self {
        Self { timeouts, ..self }
    }

    /// As [`Models::new`], but `backend` answers every call: for tests.
    pub fn answered_by(config: Arc<Config>, backend: Arc<dyn Backend>) -> Self {
        Self {
            instead: Some(backend),
            ..Self::new(config)
        }
    }
}

#[cfg(test)]
mod tests;
