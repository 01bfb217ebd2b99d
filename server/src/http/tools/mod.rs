//! `/tools/invoke` (contract 10.5): the use of one tool, under the policy of the agent whose conversation is named.
//!
//! The headers by which the original refines its policy (`x-openclaw-message-channel`, `x-openclaw-account-id`) have nothing
//! to refine here. Called by [`super::api`].

#[cfg(test)]
mod tests;

use std::sync::Arc;

use hyper::StatusCode;
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;

use super::Calls;
use super::answer::{self, Response};
use super::api;
use crate::agent::{Runs, ToolRefusal, ToolUse};
use crate::limits::MAX_TOOL_USES;

/// Uses tools for programs.
pub(super) struct Tools {
    runs: Runs,
    places: Arc<Semaphore>,
}

impl Tools {
    pub(super) fn new(runs: Runs) -> Self {
        Self {
            runs,
            places: Arc::new(Semaphore::new(MAX_TOOL_USES)),
        }
    }

    /// Answers a request whose sender may ask. A client that goes away calls the tool off.
    pub(super) async fn answer(&self, asked: Value, calls: &Calls) -> Response {
        let wanted = match read(asked) {
            Ok(wanted) => wanted,
            Err(problem) => return api::invalid(problem),
        };
        let Ok(_place) = self.places.try_acquire() else {
            return api::busy("too many tools are being used; try again later");
        };
        let _call = calls.begin();
        let failed = |kind: &str, refusal: &ToolRefusal| json!({"ok": false, "error": {"type": kind, "message": refusal.to_string()}});
        match self.runs.use_tool(wanted).await {
            Ok(result) => answer::json(StatusCode::OK, &json!({"ok": true, "result": result})),
            Err(refusal @ ToolRefusal::NotAvailable(_)) => {
                answer::json(StatusCode::NOT_FOUND, &failed("not_found", &refusal))
            }
            Err(ToolRefusal::UnknownAgent(message)) => api::invalid(&message),
            Err(refusal @ ToolRefusal::Failed(_)) => {
                answer::json(StatusCode::BAD_REQUEST, &failed("tool_error", &refusal))
            }
        }
    }
}

/// What a body asks for, or what is wrong with it.
fn read(asked: Value) -> Result<ToolUse, &'static str> {
    let Value::Object(mut body) = asked else {
        return Err("the body must be a JSON object");
    };
    let mut text = |name: &str| match body.remove(name) {
        Some(Value::String(text)) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        _ => None,
    };
    let tool = text("tool").ok_or("tools.invoke requires body.tool")?;
    let (action, session_key) = (text("action"), text("sessionKey"));
    let arguments = match body.remove("args") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(arguments)) => arguments,
        Some(_) => return Err("tools.invoke takes an object as body.args"),
    };
    Ok(ToolUse {
        tool,
        arguments,
        action,
        session_key,
    })
}
