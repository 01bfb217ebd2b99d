//! Commands of agents: the configuration and the conversation decide (`tools.exec`, `sessions.patch`), then the rules of
//! this machine (`exec-approvals.json`, contract 9.5), of all of them the strictest; people are asked where these say so.
//!
//! A lasting yes allows the programs of the command from then on: they are written into the rules. What cannot be taken
//! apart, or runs whatever it is told, is remembered as the very command of the very agent, until the gateway ends: no
//! rule about programs could say it.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::types::{ExecApprovalDecision, ExecApprovalRequestParams};

use super::{ApprovalError, Approvals};
use crate::agent::{ConfigGate, ExecDecision, ExecGate, ExecRequest, NOT_LISTED, Ruling};
use crate::clock::Clock;
use crate::config::{Config, ExecAsk};
use crate::exec_rules::{
    self, Fallbacks, Meant, Note, Policy, RulesError, RulesFile, programs_of, simple_commands,
};

/// Lasting yeses that are kept in memory. Beyond them people are asked again, which is a nuisance and no danger.
pub const MAX_LASTING: usize = 256;

/// The machine on which commands of agents are run.
#[derive(Clone)]
pub struct Machine {
    /// Its rules.
    pub rules: RulesFile,
    /// The user's home, which patterns of the rules may name.
    pub home: PathBuf,
    /// Where a shell finds programs: `PATH`.
    pub path: String,
    /// Wall clock, for notes of use.
    pub clock: Arc<dyn Clock>,
}

/// Decides, and asks people.
pub struct AskingGate {
    config: ConfigGate,
    approvals: Approvals,
    machine: Machine,
    /// Agent and command.
    lasting: Mutex<HashSet<(String, String)>>,
}

/// A command that was looked at.
struct Looked {
    policy: Policy,
    /// The programs that it runs, if that can be told.
    programs: Option<Vec<Meant>>,
    /// All that it runs is allowed.
    is_listed: bool,
}

impl AskingGate {
    /// A gate that does as `config` and the rules of `machine` say, and asks through `approvals`.
    #[must_use]
    pub fn new(config: Arc<Config>, machine: Machine, approvals: Approvals) -> Self {
        Self {
            config: ConfigGate::new(config),
            approvals,
            machine,
            lasting: Mutex::default(),
        }
    }

    async fn judge(&self, request: ExecRequest) -> ExecDecision {
        let looked = {
            let (config, machine) = (self.config.clone(), self.machine.clone());
            let request = request.clone();
            aside(move || Ok(look(&machine, &request, config.rule(&request)?))).await
        };
        let looked = match looked {
            Some(Ok(Ok(looked))) => looked,
            Some(Err(why)) => return ExecDecision::Refuse(why),
            Some(Ok(Err(error))) => {
                tracing::error!(%error, "exec approvals");
                return ExecDecision::Refuse(
                    "The command is not run: the rules of this machine cannot be read.".to_owned(),
                );
            }
            None => {
                return ExecDecision::Refuse(
                    "The command is not run: the gateway is stopping.".to_owned(),
                );
            }
        };
        let answer = match looked.policy.judge(looked.is_listed, false) {
            exec_rules::Permission::Allowed => Ok(false),
            exec_rules::Permission::Disabled => Err(
                "The command is not run: the exec approvals of this machine deny it.".to_owned(),
            ),
            exec_rules::Permission::NotListed => Err(NOT_LISTED.to_owned()),
            exec_rules::Permission::NeedsApproval => self.ask(&request, &looked).await,
        };
        match answer {
            Err(why) => ExecDecision::Refuse(why),
            Ok(always) => {
                self.note(request, &looked, always).await;
                ExecDecision::Run
            }
        }
    }

    /// Asks a person; whether the yes is a lasting one. The error is why the command is not run.
    async fn ask(&self, request: &ExecRequest, looked: &Looked) -> Result<bool, String> {
        let Some(command) = NonEmptyString::new(request.command.as_str()) else {
            return Err("The command is not run: it is empty.".to_owned());
        };
        let policy = &looked.policy;
        let key = (request.agent.clone(), request.command.clone());
        if policy.ask != ExecAsk::Always && self.lasting().contains(&key) {
            return Ok(false);
        }
        let mut params = ExecApprovalRequestParams::new(command);
        params.cwd = Some(request.cwd.display().to_string());
        params.security = Some(policy.security.as_str().to_owned());
        params.ask = Some(policy.ask.as_str().to_owned());
        params.agent_id = Some(request.agent.clone());
        params.session_key = Some(request.session_key.clone());
        if let Some([only]) = looked.programs.as_deref() {
            params.resolved_path = Some(only.program.path.display().to_string());
        }
        let decision = match self.approvals.ask(params).await {
            Ok(answer) => answer.decision,
            Err(error) => {
                tracing::warn!(%error, "nobody could be asked about a command");
                let why = match error {
                    ApprovalError::Full => "too many questions wait already",
                    _ => "nobody could be asked about it",
                };
                return Err(format!("The command is not run: {why}."));
            }
        };
        match decision {
            Some(ExecApprovalDecision::AllowOnce) => Ok(false),
            Some(ExecApprovalDecision::AllowAlways) => Ok(true),
            Some(ExecApprovalDecision::Deny) => {
                Err("The command is not run: the user said no.".to_owned())
            }
            None if policy.runs_unanswered(looked.is_listed) => Ok(false),
            None => Err(
                "The command is not run: the user was asked and has not answered in time."
                    .to_owned(),
            ),
        }
    }

    /// Notes that a command is run: in the rules, and what they cannot say in memory.
    async fn note(&self, request: ExecRequest, looked: &Looked, always: bool) {
        let programs = looked.programs.as_deref().unwrap_or_default();
        let note = Note::new(&looked.policy, &request.command, programs, always);
        let is_said = looked.programs.is_some() && note.allows_all(programs);
        // Where people want to be asked always, no yes lasts.
        let may_last = looked.policy.ask != ExecAsk::Always;
        if always && may_last && !is_said {
            let mut lasting = self.lasting();
            if lasting.len() < MAX_LASTING {
                lasting.insert((request.agent, request.command));
            }
        }
        let machine = self.machine.clone();
        aside(move || note.write(&machine.rules, machine.clock.now_ms())).await;
    }

    fn lasting(&self) -> std::sync::MutexGuard<'_, HashSet<(String, String)>> {
        // Nothing under this lock leaves a change half done.
        self.lasting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the rules and finds the programs. Blocks on disk.
fn look(machine: &Machine, request: &ExecRequest, ruling: Ruling) -> Result<Looked, RulesError> {
    let rules = machine.rules.read()?;
    let Ruling { security, ask, .. } = ruling;
    let policy = Policy::of(&rules, Some(&request.agent), Fallbacks { security, ask });
    let policy = policy.within(security, ask);
    let programs = simple_commands(&request.command).and_then(|commands| {
        let (cwd, home) = (&request.cwd, &machine.home);
        programs_of(&commands, &policy, cwd, [&machine.path; 2], home)
    });
    let is_listed = programs
        .as_ref()
        .is_some_and(|programs| programs.iter().all(|meant| meant.entry.is_some()));
    Ok(Looked {
        is_listed: is_listed || ruling.is_harmless,
        policy,
        programs,
    })
}

/// Does what blocks away from the run; `None` when the gateway is ending.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}

impl ExecGate for AskingGate {
    fn decide(&self, request: ExecRequest) -> BoxFuture<'_, ExecDecision> {
        self.judge(request).boxed()
    }
}
