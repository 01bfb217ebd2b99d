//! From a chosen model to what answers in its name: a client of its API, a program, or the built-in echo.

use std::path::Path;
use std::sync::{Arc, MutexGuard, PoisonError};

use super::super::backend::cli::{CliModel, Program};
use super::super::backend::http::{Dialect, Endpoint, HttpModel};
use super::super::backend::{Backend, BackendError, Echo};
use super::catalogue::{api_of, spec_of};
use super::{Choice, ECHO, Models, Turns};
use crate::config::{Provider, ProviderAuth};

impl Models {
    /// The backend of a choice for an agent that works in `workspace`, or why there is none.
    pub fn backend(
        &self,
        choice: &Choice,
        workspace: &Path,
    ) -> Result<Arc<dyn Backend>, BackendError> {
        if let Some(backend) = &self.instead {
            return Ok(Arc::clone(backend));
        }
        let Choice {
            provider: id,
            model,
            ..
        } = choice;
        let Some(provider) = self.config.models.providers.get(id) else {
            if id == ECHO {
                return Ok(Arc::new(Echo));
            }
            if let Some(program) = self.program(id) {
                let turn = Arc::clone(self.programs().entry(id.clone()).or_default());
                let environment = Arc::clone(&self.environment);
                let backend = CliModel::new(id, program, environment, workspace, turn);
                return Ok(Arc::new(backend));
            }
            return Err(BackendError::NotConfigured(format!(
                "no provider \"{id}\" is configured for the model \"{id}/{model}\" (models.providers)"
            )));
        };
        let api = api_of(provider, spec_of(provider, model));
        let Some(dialect) = Dialect::of(api) else {
            return Err(BackendError::NotConfigured(format!(
                "model provider \"{id}\": the api \"{}\" is not supported",
                api.as_str()
            )));
        };
        self.client(id, provider, model, dialect)
            .map(|client| Arc::new(client) as Arc<dyn Backend>)
    }

    /// The program that answers in place of this provider's models.
    pub(super) fn program(&self, id: &str) -> Option<Program> {
        Program::of(id, self.config.agents.defaults.cli_backends.get(id))
    }

    fn programs(&self) -> MutexGuard<'_, Turns> {
        self.programs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn client(
        &self,
        id: &str,
        provider: &Provider,
        model: &str,
        dialect: Dialect,
    ) -> Result<HttpModel, BackendError> {
        let spec = spec_of(provider, model);
        let own_headers = spec
            .map(|spec| &spec.headers)
            .filter(|headers| !headers.is_empty());
        let is_own = own_headers.is_some() || spec.is_some_and(|spec| spec.api.is_some());
        let key = (
            id.to_owned(),
            if is_own {
                model.to_owned()
            } else {
                String::new()
            },
        );
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&key) {
            return Ok(client.clone());
        }
        let headers = provider
            .headers
            .iter()
            .chain(own_headers.into_iter().flatten());
        let endpoint = Endpoint {
            provider: id.to_owned(),
            dialect,
            bearer: provider.auth_header
                || matches!(provider.auth, ProviderAuth::Oauth | ProviderAuth::Token),
            base_url: provider.base_url.clone(),
            api_key: provider.api_key.as_ref().map(|key| key.expose().to_owned()),
            headers: headers
                .map(|(name, value)| (name.clone(), value.expose().to_owned()))
                .collect(),
        };
        let client = HttpModel::new(&endpoint, self.timeouts)?;
        clients.insert(key, client.clone());
        Ok(client)
    }
}
