//! Group `catalog`: `models.list`, `agents.list`.

use openclaw_protocol::server::CatalogMethods;
use openclaw_protocol::types::{
    AgentsListParams, AgentsListResult, ErrorShape, ModelsListParams, ModelsListResult,
};

use super::Methods;
use crate::connection::Caller;

impl CatalogMethods<Caller> for Methods {
    async fn models_list(
        &self,
        _: &Caller,
        _: ModelsListParams,
    ) -> Result<ModelsListResult, ErrorShape> {
        Ok(self.runs.models_list())
    }

    async fn agents_list(
        &self,
        _: &Caller,
        _: AgentsListParams,
    ) -> Result<AgentsListResult, ErrorShape> {
        let runs = self.runs.clone();
        self.aside(move || Ok(runs.agents())).await
    }
}
