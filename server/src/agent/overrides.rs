//! Names of models as people write them: what a patch or `/model` chooses, and whether it may (contract 9.6).

use super::models::Choice;
use super::runs::Runs;
use crate::sessions::{Entry, ModelFacts, ModelName, ModelWish, PatchRefusal, SessionKey};
use openclaw_protocol::protocol::errors;

impl Runs {
    /// What the models say about a patch of `session`. `wished`: none keeps the model, an inner none means the
    /// configured one.
    pub fn model_facts(&self, session: &SessionKey, wished: Option<Option<&str>>) -> ModelFacts {
        let default = named(self.models().choose(session.agent(), None));
        let wish = wished.map(|name| match name {
            None => Ok(ModelWish::Default),
            Some(name) => self.wish(session, name, &default),
        });
        ModelFacts { default, wish }
    }

    fn wish(
        &self,
        session: &SessionKey,
        said: &str,
        default: &ModelName,
    ) -> Result<ModelWish, PatchRefusal> {
        let said = said.trim();
        if said.is_empty() {
            return Err(PatchRefusal::with(&errors::SESSION_MODEL_EMPTY, &[]));
        }
        let mut meant = self.meant(session, said);
        // A bare name that no provider lists is taken for one of the usual provider.
        let is_bare = !said.contains('/') && meant.provider == meant.model;
        if is_bare
            && !self
                .parts()
                .config
                .models
                .providers
                .contains_key(&meant.provider)
        {
            meant.provider.clone_from(&default.provider);
        }
        if meant.provider.is_empty() || meant.model.is_empty() {
            return Err(PatchRefusal::with(
                &errors::SESSION_MODEL_INVALID,
                &[("model", said)],
            ));
        }
        if meant == *default {
            return Ok(ModelWish::Default);
        }
        if !self.is_allowed(session, &meant) {
            return Err(PatchRefusal::with(
                &errors::SESSION_MODEL_NOT_ALLOWED,
                &[("model", &meant.joined())],
            ));
        }
        Ok(ModelWish::Other(meant))
    }

    /// Whether the configuration's list of models, if it has one, names this one.
    fn is_allowed(&self, session: &SessionKey, meant: &ModelName) -> bool {
        let listed = &self.parts().config.agents.defaults.models;
        listed.is_empty()
            || listed
                .keys()
                .any(|name| self.meant(session, name) == *meant)
    }

    fn meant(&self, session: &SessionKey, name: &str) -> ModelName {
        let entry = Entry {
            model_override: Some(name.to_owned()),
            ..Entry::default()
        };
        named(self.models().choose(session.agent(), Some(&entry)))
    }

    /// The models that are configured, as `provider/model`, in order and once each.
    pub(super) fn model_names(&self) -> Vec<String> {
        let config = &self.parts().config;
        let mut names: Vec<String> = config.agents.defaults.models.keys().cloned().collect();
        if names.is_empty() {
            let of_providers = config.models.providers.iter().flat_map(|(id, provider)| {
                let models = provider.models.iter();
                models.map(move |model| format!("{id}/{}", model.id))
            });
            names.extend(of_providers);
        }
        names.sort();
        names.dedup();
        names
    }
}

fn named(choice: Choice) -> ModelName {
    ModelName {
        provider: choice.provider,
        model: choice.model,
    }
}
