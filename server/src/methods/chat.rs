//! Group `chat`: `chat.send`, `chat.abort`, `chat.history`.

use openclaw_protocol::server::{ChatMethods, Failure};
use openclaw_protocol::types::{
    ChatAbortParams, ChatAbortResult, ChatHistoryParams, ChatHistoryResult, ChatSendFailure,
    ChatSendParams, ChatSendResult, ErrorShape,
};
use openclaw_protocol::unfinished;

use super::Methods;
use crate::connection::Caller;

impl ChatMethods<Caller> for Methods {
    unfinished!(Caller: chat_inject);

    async fn chat_history(
        &self,
        _: &Caller,
        params: ChatHistoryParams,
    ) -> Result<ChatHistoryResult, ErrorShape> {
        let runs = self.runs.clone();
        self.aside(move || runs.chat_history(params)).await
    }

    async fn chat_abort(
        &self,
        _: &Caller,
        params: ChatAbortParams,
    ) -> Result<ChatAbortResult, ErrorShape> {
        self.runs.chat_abort(&params)
    }

    async fn chat_send(
        &self,
        caller: &Caller,
        params: ChatSendParams,
    ) -> Result<ChatSendResult, Failure<ChatSendFailure>> {
        let sender = caller
            .client
            .display_name
            .as_ref()
            .map(|name| name.as_str());
        self.runs.chat_send(params, sender).await
    }
}
