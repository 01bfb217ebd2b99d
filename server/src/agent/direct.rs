//! The use of one tool without a model, for programs that ask for it (contract 10.5). Called by `http/tools.rs`.

use openclaw_protocol::protocol::errors;
use serde_json::{Map, Value, json};
use tokio::task::JoinSet;

use super::backend::Call;
use super::runs::Runs;
use super::tools::Toolbox;
use crate::sessions::SessionKey;

/// A use of a tool.
#[derive(Debug, Clone)]
pub struct ToolUse {
    /// Name of the tool.
    pub tool: String,
    /// What it takes.
    pub arguments: Map<String, Value>,
    /// Becomes the argument `action` of a tool that has one, unless `arguments` hold it.
    pub action: Option<String>,
    /// The conversation that it is used in, as the client writes its key; the main one when absent.
    pub session_key: Option<String>,
}

/// Why a tool brought nothing. The texts are for the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ToolRefusal {
    /// There is none of that name, or the conversation's agent may not use it.
    #[error("Tool not available: {0}")]
    NotAvailable(String),
    /// The conversation is nobody's.
    #[error("{0}")]
    UnknownAgent(String),
    /// It failed.
    #[error("{0}")]
    Failed(String),
}

impl Runs {
    /// Uses a tool as the agent of a conversation could, under the same policy. The result has `content`, as transcripts keep
    /// it, and `details`, the text read as JSON, where it is an object or an array. Dropping the future calls it off.
    ///
    /// # Errors
    /// See [`ToolRefusal`].
    pub async fn use_tool(&self, wanted: ToolUse) -> Result<Value, ToolRefusal> {
        let key = wanted.session_key.as_deref().map(str::trim);
        let key = key.filter(|key| !key.is_empty());
        let session = self.sessions().key(key.unwrap_or("main"));
        if !self.parts().is_agent(session.agent()) {
            let unknown = errors::AGENT_UNKNOWN_AGENT.with(&[("agentId", session.agent())]);
            return Err(ToolRefusal::UnknownAgent(unknown.message.to_string()));
        }
        // Children and connections of tools belong to the runtime that carries runs.
        let mut carried = JoinSet::new();
        let runs = self.clone();
        carried.spawn_on(
            async move { runs.use_tool_here(wanted, &session).await },
            &self.parts().work,
        );
        match carried.join_next().await {
            Some(Ok(done)) => done,
            _ => {
                tracing::error!("the use of a tool did not end well");
                Err(ToolRefusal::Failed(errors::INTERNAL_ERROR.text.to_owned()))
            }
        }
    }

    async fn use_tool_here(
        &self,
        wanted: ToolUse,
        session: &SessionKey,
    ) -> Result<Value, ToolRefusal> {
        let toolbox = Toolbox::open(self, session, 0).await;
        let specs = toolbox.specs();
        let Some(spec) = specs.iter().find(|spec| spec.name == wanted.tool) else {
            return Err(ToolRefusal::NotAvailable(wanted.tool));
        };
        let mut arguments = wanted.arguments;
        if let Some(action) = wanted.action
            && spec.parameters.pointer("/properties/action").is_some()
        {
            arguments.entry("action").or_insert(json!(action));
        }
        let call = Call {
            id: uuid::Uuid::new_v4().to_string(),
            name: wanted.tool,
            arguments: Value::Object(arguments),
        };
        let output = toolbox.call(&call, &|_| {}).await;
        if output.is_error {
            return Err(ToolRefusal::Failed(output.text));
        }
        let mut result = json!({"content": output.content()});
        if let Ok(details @ (Value::Object(_) | Value::Array(_))) =
            serde_json::from_str(&output.text)
        {
            result["details"] = details;
        }
        Ok(result)
    }
}
