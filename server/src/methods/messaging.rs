//! Group `messaging`: `send` and `poll`.

use openclaw_protocol::server::MessagingMethods;
use openclaw_protocol::types::{ErrorShape, PollParams, PollResult, SendParams, SendResult};

use super::Methods;
use crate::connection::Caller;

impl MessagingMethods<Caller> for Methods {
    async fn send(&self, _: &Caller, params: SendParams) -> Result<SendResult, ErrorShape> {
        self.outbox.send(params).await
    }

    async fn poll(&self, _: &Caller, params: PollParams) -> Result<PollResult, ErrorShape> {
        self.outbox.poll(params).await
    }
}
