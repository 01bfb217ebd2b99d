//! Group `outbox`: what is on its way to people.

use openclaw_protocol::server::OutboxMethods;
use openclaw_protocol::types::{
    ErrorShape, OutboxCancelParams, OutboxDelivery, OutboxGetParams, OutboxGetResult,
    OutboxListParams, OutboxListResult, OutboxRetryParams,
};

use super::Methods;
use crate::connection::Caller;

impl OutboxMethods<Caller> for Methods {
    async fn outbox_list(
        &self,
        _: &Caller,
        params: OutboxListParams,
    ) -> Result<OutboxListResult, ErrorShape> {
        let outbox = self.outbox.clone();
        self.aside(move || outbox.list(&params)).await
    }

    async fn outbox_get(
        &self,
        _: &Caller,
        params: OutboxGetParams,
    ) -> Result<OutboxGetResult, ErrorShape> {
        let outbox = self.outbox.clone();
        self.aside(move || outbox.get(&params)).await
    }

    async fn outbox_retry(
        &self,
        _: &Caller,
        params: OutboxRetryParams,
    ) -> Result<OutboxDelivery, ErrorShape> {
        self.outbox.retry(params).await
    }

    async fn outbox_cancel(
        &self,
        _: &Caller,
        params: OutboxCancelParams,
    ) -> Result<OutboxDelivery, ErrorShape> {
        self.outbox.cancel(params).await
    }
}
