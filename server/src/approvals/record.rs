//! What is stored of a question.

use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::types::{
    ExecApprovalDecision, ExecApprovalRequest, ExecApprovalRequestResult,
    ExecApprovalRequestedEvent,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::DECIDED_TTL_MS;

/// A question, and its decision once there is one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// Its id, chosen by the asker or by us.
    pub id: NonEmptyString,
    /// What is asked.
    pub request: ExecApprovalRequest,
    /// When it was asked, ms.
    pub created_at_ms: u64,
    /// When its time is over, ms.
    pub expires_at_ms: u64,
    /// The decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided: Option<Decided>,
}

/// A decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decided {
    /// What was said.
    pub decision: ExecApprovalDecision,
    /// Who said it, as people see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<NonEmptyString>,
    /// When, ms.
    pub at_ms: u64,
}

impl Question {
    /// Is it still of use: may it be decided, or may its decision be fetched?
    pub(super) fn is_alive(&self, now_ms: u64) -> bool {
        match &self.decided {
            Some(decided) => now_ms < decided.at_ms.saturating_add(DECIDED_TTL_MS),
            None => now_ms < self.expires_at_ms,
        }
    }

    /// Bytes of its texts.
    pub(super) fn size(&self) -> usize {
        let request = &self.request;
        let texts = [
            &request.cwd,
            &request.host,
            &request.security,
            &request.ask,
            &request.agent_id,
            &request.resolved_path,
            &request.session_key,
        ];
        self.id.len()
            + request.command.len()
            + texts.into_iter().flatten().map(String::len).sum::<usize>()
    }

    /// As people are told of it.
    pub(super) fn event(&self) -> ExecApprovalRequestedEvent {
        ExecApprovalRequestedEvent::new(
            self.id.clone(),
            self.request.clone(),
            self.created_at_ms,
            self.expires_at_ms,
        )
    }

    /// As its asker is answered.
    pub(super) fn answer(&self) -> ExecApprovalRequestResult {
        ExecApprovalRequestResult::new(
            self.id.clone(),
            self.decided.as_ref().map(|decided| decided.decision),
            self.created_at_ms,
            self.expires_at_ms,
        )
    }

    /// Key of its record: ids are chosen by clients and may be longer than a key.
    pub(super) fn key(&self) -> [u8; 32] {
        Sha256::digest(self.id.as_bytes()).into()
    }
}
