//! Group `chat`: `chat.send`, `chat.abort`, `chat.history`, `chat.inject`.

use openclaw_protocol::server::{ChatMethods, Failure};
use openclaw_protocol::types::{
    ChatAbortParams, ChatAbortResult, ChatHistoryParams, ChatHistoryResult, ChatInjectParams,
    ChatInjectResult, ChatSendFailure, ChatSendParams, ChatSendResult, ErrorShape,
};

use super::Methods;
use crate::connection::Caller;

impl ChatMethods<Caller> for Methods {
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

    async fn chat_inject(
        &self,
        _: &Caller,
        params: ChatInjectParams,
    ) -> Result<ChatInjectResult, ErrorShape> {
        self.runs.chat_inject(params).await
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
