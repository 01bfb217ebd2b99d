//! Group `exec`: `exec.approvals.*` and `exec.approval.*`.

use openclaw_protocol::events::Event;
use openclaw_protocol::protocol::{Scope, errors, texts};
use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::server::ExecMethods;
use openclaw_protocol::types::{
    ErrorShape, ExecApprovalRequestParams, ExecApprovalRequestResult, ExecApprovalResolveParams,
    ExecApprovalsGetParams, ExecApprovalsNodeGetParams, ExecApprovalsNodeResult,
    ExecApprovalsNodeSetParams, ExecApprovalsSetParams, ExecApprovalsSnapshot, OkResult,
};
use serde_json::{Value, json};

use super::Methods;
use crate::approvals::ApprovalError;
use crate::connection::Caller;
use crate::exec_rules::{RulesError, SetRefusal};
use crate::hub::Line;
use crate::nodes::{Invocation, NodeLine as _};

impl ExecMethods<Caller> for Methods {
    async fn exec_approvals_get(
        &self,
        _: &Caller,
        _: ExecApprovalsGetParams,
    ) -> Result<ExecApprovalsSnapshot, ErrorShape> {
        let rules = self.exec_rules.clone();
        self.aside(move || rules.get().map_err(|error| broken(&error)))
            .await
    }

    async fn exec_approvals_set(
        &self,
        _: &Caller,
        params: ExecApprovalsSetParams,
    ) -> Result<ExecApprovalsSnapshot, ErrorShape> {
        let rules = self.exec_rules.clone();
        self.aside(move || {
            let base_hash = params.base_hash.as_ref().map(NonEmptyString::as_str);
            rules
                .set(params.file, base_hash)
                .map_err(|refusal| match refusal {
                    SetRefusal::HashRequired => errors::EXEC_APPROVALS_HASH_REQUIRED.error(),
                    SetRefusal::Changed => errors::EXEC_APPROVALS_CHANGED.error(),
                    SetRefusal::Rules(error) => broken(&error),
                })
        })
        .await
    }

    async fn exec_approvals_node_get(
        &self,
        _: &Caller,
        params: ExecApprovalsNodeGetParams,
    ) -> Result<ExecApprovalsNodeResult, ErrorShape> {
        let command = texts::NODE_COMMAND_EXEC_APPROVALS_GET;
        self.ask_node(&params.node_id, command, json!({})).await
    }

    async fn exec_approvals_node_set(
        &self,
        _: &Caller,
        params: ExecApprovalsNodeSetParams,
    ) -> Result<ExecApprovalsNodeResult, ErrorShape> {
        let mut rules = json!({ "file": params.file });
        if let Some(hash) = params.base_hash {
            rules["baseHash"] = json!(hash);
        }
        let command = texts::NODE_COMMAND_EXEC_APPROVALS_SET;
        self.ask_node(&params.node_id, command, rules).await
    }

    async fn exec_approval_request(
        &self,
        _: &Caller,
        params: ExecApprovalRequestParams,
    ) -> Result<ExecApprovalRequestResult, ErrorShape> {
        self.approvals.ask(params).await.map_err(refused)
    }

    async fn exec_approval_resolve(
        &self,
        caller: &Caller,
        params: ExecApprovalResolveParams,
    ) -> Result<OkResult, ErrorShape> {
        let client = &caller.client;
        let by = client
            .display_name
            .clone()
            .or_else(|| NonEmptyString::new(client.id.as_str()));
        self.approvals
            .resolve(&params.id, &params.decision, by)
            .await
            .map_err(refused)?;
        Ok(OkResult::new(true))
    }
}

impl Methods {
    /// Has a node show or replace its rules, whatever commands it may have otherwise (contract 8.6).
    async fn ask_node(
        &self,
        node_id: &str,
        command: &str,
        params: Value,
    ) -> Result<ExecApprovalsNodeResult, ErrorShape> {
        let node_id = node_id.trim();
        if node_id.is_empty() {
            return Err(errors::NODE_ID_REQUIRED.error());
        }
        let ask = Invocation {
            params: Some(params),
            ..Invocation::new(node_id, command)
        };
        let answer = self.nodes.invoke_unlisted(ask).await;
        let answer = answer.map_err(|error| error.shape())?;
        Ok(answer.payload.unwrap_or_default())
    }

    /// Tells an operator who has just come which questions wait, so that none is lost with a dialog that was closed.
    pub(crate) fn show_questions(&self, caller: &Caller, line: &Line) {
        let may_decide = [Scope::Approvals, Scope::Admin]
            .iter()
            .any(|scope| caller.scopes.iter().any(|held| held == scope.as_str()));
        if !may_decide {
            return;
        }
        for question in self.approvals.waiting() {
            line.send(&Event::ExecApprovalRequested(question));
        }
    }
}

/// The rules of this machine cannot be read or kept; why is for the log.
fn broken(error: &RulesError) -> ErrorShape {
    tracing::error!(%error, "exec approvals");
    errors::INTERNAL_ERROR.error()
}

fn refused(error: ApprovalError) -> ErrorShape {
    match error {
        ApprovalError::Pending => errors::EXEC_APPROVAL_PENDING.error(),
        ApprovalError::Full => errors::EXEC_APPROVAL_FULL.error(),
        ApprovalError::Decision => errors::EXEC_APPROVAL_DECISION.error(),
        ApprovalError::Unknown => errors::EXEC_APPROVAL_UNKNOWN.error(),
        ApprovalError::Store(_) | ApprovalError::Interrupted => {
            tracing::error!(%error, "a question about a command");
            errors::INTERNAL_ERROR.error()
        }
    }
}
