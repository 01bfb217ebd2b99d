//! Group `agent`: `agent`, `agent.wait`, `agent.identity.get`.

use openclaw_protocol::server::{AgentMethods, Staged};
use openclaw_protocol::types::{
    AgentAccepted, AgentFailure, AgentFinal, AgentIdentityParams, AgentIdentityResult, AgentParams,
    AgentWaitParams, AgentWaitResult, ErrorShape,
};

use super::Methods;
use crate::connection::Caller;

impl AgentMethods<Caller> for Methods {
    async fn agent(
        &self,
        _: &Caller,
        params: AgentParams,
    ) -> Result<Staged<AgentAccepted, AgentFinal, AgentFailure>, ErrorShape> {
        self.runs.agent(params).await
    }

    async fn agent_wait(
        &self,
        _: &Caller,
        params: AgentWaitParams,
    ) -> Result<AgentWaitResult, ErrorShape> {
        Ok(self.runs.agent_wait(params).await)
    }

    async fn agent_identity_get(
        &self,
        _: &Caller,
        params: AgentIdentityParams,
    ) -> Result<AgentIdentityResult, ErrorShape> {
        let agent = self.runs.identified(&params)?;
        if let Some(known) = self.runs.known_identity(&agent) {
            return Ok(known);
        }
        let runs = self.runs.clone();
        self.aside(move || Ok(runs.identity(&agent))).await
    }
}
