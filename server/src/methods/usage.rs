//! Group `usage`: `usage.status`, `usage.cost`.

use std::sync::Arc;

use openclaw_protocol::server::UsageMethods;
use openclaw_protocol::types::{
    ErrorShape, IgnoredParams, UsageCostParams, UsageCostResult, UsageStatusResult,
};

use super::{Methods, unreadable};
use crate::connection::Caller;

impl UsageMethods<Caller> for Methods {
    async fn usage_status(
        &self,
        _: &Caller,
        _: IgnoredParams,
    ) -> Result<UsageStatusResult, ErrorShape> {
        let status = self.quotas.status(self.clock.now_ms()).await;
        Ok(UsageStatusResult::clone(&status))
    }

    async fn usage_cost(
        &self,
        _: &Caller,
        params: UsageCostParams,
    ) -> Result<UsageCostResult, ErrorShape> {
        let (costs, runs, now) = (
            Arc::clone(&self.costs),
            self.runs.clone(),
            self.clock.now_ms(),
        );
        self.aside(move || {
            costs
                .of(&params, &runs.parts().models, now)
                .map_err(|error| unreadable(&error))
        })
        .await
    }
}
