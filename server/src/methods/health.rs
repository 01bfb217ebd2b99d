//! Group `health`: `health` and `status`.

use std::sync::Arc;

use openclaw_protocol::methods;
use openclaw_protocol::protocol::Scope;
use openclaw_protocol::server::HealthMethods;
use openclaw_protocol::types::{
    ErrorShape, HealthParams, HealthSummary, IgnoredParams, StatusSummary,
};

use super::{Methods, unreadable};
use crate::connection::Caller;

impl HealthMethods<Caller> for Methods {
    /// There is nothing to probe yet: with or without `probe` the summary is of this moment.
    async fn health(&self, _: &Caller, _: HealthParams) -> Result<HealthSummary, ErrorShape> {
        Ok(self.health.look())
    }

    async fn status(&self, caller: &Caller, _: IgnoredParams) -> Result<StatusSummary, ErrorShape> {
        let health = Arc::clone(&self.health);
        let status = self.aside(move || health.status().map_err(|error| unreadable(&error)));
        let mut status = status.await?;
        if methods::grants(&caller.scopes, &[Scope::Admin]) {
            status.refusals = self.refusals.shown();
        }
        Ok(status)
    }
}
