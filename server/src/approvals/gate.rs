//! Commands of agents: the configuration decides, and people are asked where it says so (`tools.exec`).
//!
//! A lasting yes holds for the very command of the very agent until the gateway ends. Written down it would have to be a
//! rule about programs, and what an agent sends is a script for a shell.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::types::{ExecApprovalDecision, ExecApprovalRequestParams};

use super::{ApprovalError, Approvals};
use crate::agent::{ConfigGate, ExecGate, ExecRequest, Verdict};
use crate::config::{Config, ExecAsk, ExecSecurity};

/// Lasting yeses that are kept. Beyond them people are asked again, which is a nuisance and no danger.
pub const MAX_LASTING: usize = 256;

/// Decides by `tools.exec`, and asks people.
pub struct AskingGate {
    config: Arc<Config>,
    rules: ConfigGate,
    approvals: Approvals,
    /// Agent and command.
    lasting: Mutex<HashSet<(String, String)>>,
}

impl AskingGate {
    /// A gate that does as `config` says, and asks through `approvals`.
    #[must_use]
    pub fn new(config: Arc<Config>, approvals: Approvals) -> Self {
        Self {
            rules: ConfigGate::new(Arc::clone(&config)),
            config,
            approvals,
            lasting: Mutex::default(),
        }
    }

    fn asks(&self, ruled: &Verdict) -> bool {
        let exec = &self.config.tools.exec;
        match (exec.security, exec.ask) {
            // Nobody may say yes to what the configuration forbids.
            (ExecSecurity::Deny, _) | (_, ExecAsk::Off) => false,
            (_, ExecAsk::OnMiss) => *ruled != Verdict::Run,
            (_, ExecAsk::Always) => true,
        }
    }

    async fn ask(&self, request: ExecRequest) -> Verdict {
        let Some(command) = NonEmptyString::new(request.command.as_str()) else {
            return Verdict::Refuse("The command is not run: it is empty.".to_owned());
        };
        let key = (request.agent.clone(), request.command);
        let exec = &self.config.tools.exec;
        // Where people want to be asked always, no yes lasts.
        let may_last = exec.ask != ExecAsk::Always;
        if may_last && self.lasting().contains(&key) {
            return Verdict::Run;
        }
        let mut params = ExecApprovalRequestParams::new(command);
        params.cwd = Some(request.cwd.display().to_string());
        params.security = Some(exec.security.as_str().to_owned());
        params.ask = Some(exec.ask.as_str().to_owned());
        params.agent_id = Some(request.agent);
        params.session_key = Some(request.session_key);
        let decision = match self.approvals.ask(params).await {
            Ok(answer) => answer.decision,
            Err(error) => {
                tracing::warn!(%error, "nobody could be asked about a command");
                let why = match error {
                    ApprovalError::Full => "too many questions wait already",
                    _ => "nobody could be asked about it",
                };
                return Verdict::Refuse(format!("The command is not run: {why}."));
            }
        };
        match decision {
            Some(ExecApprovalDecision::AllowOnce) => Verdict::Run,
            Some(ExecApprovalDecision::AllowAlways) => {
                let mut lasting = self.lasting();
                if may_last && lasting.len() < MAX_LASTING {
                    lasting.insert(key);
                }
                Verdict::Run
            }
            Some(ExecApprovalDecision::Deny) => {
                Verdict::Refuse("The command is not run: the user said no.".to_owned())
            }
            None => Verdict::Refuse(
                "The command is not run: the user was asked and has not answered in time."
                    .to_owned(),
            ),
        }
    }

    fn lasting(&self) -> std::sync::MutexGuard<'_, HashSet<(String, String)>> {
        // Nothing under this lock leaves a change half done.
        self.lasting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ExecGate for AskingGate {
    fn decide(&self, request: ExecRequest) -> BoxFuture<'_, Verdict> {
        async move {
            let ruled = self.rules.decide(request.clone()).await;
            if self.asks(&ruled) {
                self.ask(request).await
            } else {
                ruled
            }
        }
        .boxed()
    }
}
