//! `chat.inject`: words put into a conversation as if its agent had said them (contract 6.7).

use openclaw_protocol::protocol::{KnownError, errors};
use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::types::{ChatInjectParams, ChatInjectResult, ErrorShape};
use serde_json::json;

use super::runs::Runs;
use crate::sessions::{injected, transcript};

impl Runs {
    /// `chat.inject`: writes the words and tells everybody. Only where something was said before. Goes on when the
    /// caller is gone: what is written is told.
    ///
    /// # Errors
    /// `INVALID_REQUEST` if there is no such conversation or it has said nothing yet, `UNAVAILABLE` if the store fails.
    pub async fn chat_inject(
        &self,
        params: ChatInjectParams,
    ) -> Result<ChatInjectResult, ErrorShape> {
        let runs = self.clone();
        let injected = self
            .parts()
            .work
            .spawn(async move { runs.inject(params).await });
        injected
            .await
            .unwrap_or_else(|_| Err(errors::INTERNAL_ERROR.error()))
    }

    async fn inject(&self, params: ChatInjectParams) -> Result<ChatInjectResult, ErrorShape> {
        let session = self.sessions().key(&params.session_key);
        let label = params.label.as_deref().map(str::trim);
        let text = match label.filter(|label| !label.is_empty()) {
            Some(label) => format!("[{label}]\n\n{}", params.message.as_str()),
            None => params.message.to_string(),
        };
        let message = injected::message(&text, self.clock().now_ms());
        let stored = json!(message);
        let written = self.sessions().write(move |changes| {
            let known = changes.entry(&session)?;
            let Some(known) = known.filter(|known| !known.session_id.is_empty()) else {
                return Ok(Err(&errors::CHAT_INJECT_SESSION_NOT_FOUND));
            };
            if transcript::is_empty(&changes.writer().reader(), &known.session_id)? {
                return Ok(Err(&errors::CHAT_INJECT_NO_TRANSCRIPT));
            }
            changes.append(&known.session_id, &stored)?;
            Ok::<Result<(), &KnownError>, _>(Ok(()))
        });
        match written.await {
            Ok(Ok(())) => {}
            Ok(Err(refusal)) => return Err(refusal.error()),
            Err(error) => {
                tracing::error!(%error, "an injected message could not be written");
                let problem = error.to_string();
                return Err(errors::CHAT_INJECT_FAILED.with(&[("problem", &problem)]));
            }
        }
        let id: String = uuid::Uuid::new_v4()
            .simple()
            .to_string()
            .chars()
            .take(injected::ID_CHARS)
            .collect();
        let event = injected::event(&id, &params.session_key, message);
        self.parts().events.emit(event);
        Ok(ChatInjectResult::new(true, NonEmptyString::or(id, "0")))
    }
}
