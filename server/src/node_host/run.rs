//! The command `system.run`: may it, then run it (contract 8.5, 9.5).
//!
//! The node itself asks nobody. Where a person has to be asked it refuses, the asker asks through the gateway and comes
//! back with the decision. What a person reads when deciding is `rawCommand`, so that has to say what is really run.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use openclaw_protocol::protocol::texts;
use openclaw_protocol::types::{
    ExecApprovalDecision, NodeExecDenied, NodeExecFinished, NodeExecStarted, SystemRunParams,
    SystemRunResult,
};

use super::process::{self, Ended, Spec};
use super::speaker::{Speaker, Told};
use super::{Failure, Host, OUTPUT_BYTES, RUN_TIME, variables};
use crate::exec_rules::{
    Ask, Fallbacks, Meant, Note, Permission, Policy, Program, Security, command_line, find_program,
    is_plain_shell, programs_of, runs_anything, script_of, simple_commands,
};
use crate::text::given;

/// What holds on a node whose rules say nothing: programs on the list run, a person decides about others.
const FALLBACKS: Fallbacks = Fallbacks {
    security: Security::Allowlist,
    ask: Ask::OnMiss,
};

/// Characters of output that the event shows; the rest is in the answer.
const EVENT_OUTPUT_CHARS: usize = 20_000;

/// What a shell skips around a script.
const BLANKS: [char; 3] = [' ', '\t', '\n'];

/// Mark of a cut.
const CUT: &str = "... (truncated)";

/// A command that was looked at.
struct Looked {
    argv: Vec<String>,
    line: String,
    cwd: PathBuf,
    policy: Policy,
    /// The programs that it runs, if that can be told.
    programs: Option<Vec<Meant>>,
}

/// Runs a command, or says why not; events go out on the way.
pub(super) async fn run(
    host: &Host,
    params: SystemRunParams,
    speaker: &Speaker,
) -> Result<SystemRunResult, Failure> {
    let told = Teller {
        session_key: given(params.session_key.as_deref())
            .unwrap_or_else(|| texts::NODE_EXEC_SESSION.to_owned()),
        run_id: given(params.run_id.as_deref()).unwrap_or_else(|| uuid::Uuid::new_v4().to_string()),
        speaker,
    };
    let env = params.env.clone().map(|env| env.0).unwrap_or_default();
    let variables = variables::with(&host.variables, &env);
    let looked = {
        let (host, params, path) = (
            host.clone(),
            params.clone(),
            variables::path_of(&variables).to_owned(),
        );
        super::aside(move || look(&host, &params, &path)).await??
    };
    let decision: Option<ExecApprovalDecision> = params
        .approval_decision
        .as_deref()
        .and_then(|word| word.trim().parse().ok());
    let decision = decision.filter(|decision| *decision != ExecApprovalDecision::Deny);
    let approved = decision.is_some() || params.approved == Some(true);
    let skills = if looked.policy.auto_allow_skills && looked.policy.security == Security::Allowlist
    {
        speaker.skill_bins().await
    } else {
        HashSet::new()
    };
    let is_listed = |meant: &Meant| {
        let name = &meant.program.name;
        // A skill that says it needs a shell must not open all programs.
        meant.entry.is_some() || (meant.is_own && skills.contains(name) && !runs_anything(name))
    };
    let listed = looked
        .programs
        .as_ref()
        .is_some_and(|programs| programs.iter().all(is_listed));
    let denied = match looked.policy.judge(listed, approved) {
        Permission::Allowed if params.needs_screen_recording == Some(true) => Some((
            texts::NODE_REASON_SCREEN_RECORDING,
            texts::NODE_RUN_SCREEN_RECORDING,
        )),
        Permission::Allowed => None,
        Permission::Disabled => Some((texts::NODE_REASON_DISABLED, texts::NODE_RUN_DISABLED)),
        Permission::NeedsApproval => Some((
            texts::NODE_REASON_APPROVAL,
            texts::NODE_RUN_APPROVAL_REQUIRED,
        )),
        Permission::NotListed => {
            Some((texts::NODE_REASON_ALLOWLIST, texts::NODE_RUN_ALLOWLIST_MISS))
        }
    };
    if let Some((reason, message)) = denied {
        told.denied(&looked.line, reason).await;
        return Err(Failure::unavailable(message));
    }
    let spec = Spec {
        program: looked.first().map_or_else(
            || PathBuf::from(&looked.argv[0]),
            |program| program.path.clone(),
        ),
        argv: looked.argv.clone(),
        cwd: looked.cwd.clone(),
        variables,
        time: params
            .timeout_ms
            .filter(|ms| *ms > 0)
            .map_or(RUN_TIME, |ms| Duration::from_millis(ms).min(RUN_TIME)),
        output_bytes: OUTPUT_BYTES,
    };
    {
        let always = decision == Some(ExecApprovalDecision::AllowAlways);
        let programs = looked.programs.as_deref().unwrap_or_default();
        let note = Note::new(&looked.policy, &looked.line, programs, always);
        let host = host.clone();
        super::aside(move || note.write(&host.rules, host.clock.now_ms())).await?;
    }
    told.started(&looked.line).await;
    let ended = process::run(&spec).await;
    let result = result(ended);
    told.finished(&looked.line, &result).await;
    Ok(result)
}

/// Reads the rules and finds the programs. Blocks on disk.
fn look(host: &Host, params: &SystemRunParams, path_env: &str) -> Result<Looked, Failure> {
    let argv = params.command.clone().unwrap_or_default();
    if argv.first().is_none_or(|first| first.trim().is_empty()) {
        return Err(Failure::invalid(texts::NODE_RUN_COMMAND_REQUIRED));
    }
    let line = command_line(&argv);
    let script = script_of(&argv);
    let raw = given(params.raw_command.as_deref());
    // Only for this comparison: what is judged is what the shell gets, to which other blanks are letters.
    let is_script = |raw: &str| script.is_some_and(|script| raw == script.trim_matches(BLANKS));
    if let Some(raw) = &raw
        && *raw != line
        && !is_script(raw)
    {
        return Err(Failure::invalid(
            "rawCommand does not say what command runs",
        ));
    }
    let rules = host.rules.read().map_err(|error| Failure::broken(&error))?;
    let policy = Policy::of(&rules, params.agent_id.as_deref(), FALLBACKS);
    let cwd = host.directory(given(params.cwd.as_deref()).as_deref());
    let commands = match (&raw, script) {
        (Some(raw), Some(script)) if is_script(raw) && is_plain_shell(&argv) => {
            simple_commands(script)
        }
        _ => Some(vec![argv.clone()]),
    };
    let programs = commands.and_then(|commands| {
        programs_of(
            &commands,
            &policy,
            &cwd,
            [path_env, host.path_env()],
            &host.home,
        )
    });
    let mut looked = Looked {
        line: raw.unwrap_or(line),
        argv,
        cwd,
        policy,
        programs,
    };
    looked.find_shell(path_env);
    Ok(looked)
}

impl Looked {
    /// The file that is executed: the one that was judged, not what the name means a moment later.
    fn first(&self) -> Option<&Program> {
        match self.programs.as_deref() {
            Some([only])
                if only.program.path.file_name() == Path::new(&self.argv[0]).file_name() =>
            {
                Some(&only.program)
            }
            _ => None,
        }
    }

    /// A script's shell is not among its programs; its bare name is made a path here.
    fn find_shell(&mut self, path_env: &str) {
        if self.first().is_none()
            && let Some(found) = find_program(&self.argv[0], &self.cwd, path_env)
            && let Some(path) = found.path.to_str()
        {
            path.clone_into(&mut self.argv[0]);
        }
    }
}

fn result(mut ended: Ended) -> SystemRunResult {
    if ended.is_cut {
        let stream = if ended.stderr.trim().is_empty() {
            &mut ended.stdout
        } else {
            &mut ended.stderr
        };
        stream.push('\n');
        stream.push_str(CUT);
    }
    SystemRunResult::new(
        ended.exit_code,
        ended.timed_out,
        ended.exit_code == Some(0) && !ended.timed_out && ended.error.is_none(),
        ended.stdout,
        ended.stderr,
        ended.error,
    )
}

/// The end of a text, whole characters.
fn tail(text: &str, chars: usize) -> String {
    match text.char_indices().rev().nth(chars.saturating_sub(1)) {
        Some((start, _)) if start > 0 => format!("{CUT} {}", &text[start..]),
        _ => text.to_owned(),
    }
}

/// Tells the gateway of one run.
struct Teller<'a> {
    session_key: String,
    run_id: String,
    speaker: &'a Speaker,
}

impl Teller<'_> {
    async fn denied(&self, line: &str, reason: &str) {
        let denied = NodeExecDenied {
            session_key: Some(self.session_key.clone()),
            run_id: Some(self.run_id.clone()),
            host: Some(texts::NODE_EXEC_HOST.to_owned()),
            command: Some(line.to_owned()),
            reason: Some(reason.to_owned()),
        };
        self.speaker
            .tell(Told::event(texts::NODE_EVENT_EXEC_DENIED, &denied))
            .await;
    }

    async fn started(&self, line: &str) {
        let started = NodeExecStarted {
            session_key: Some(self.session_key.clone()),
            run_id: Some(self.run_id.clone()),
            host: Some(texts::NODE_EXEC_HOST.to_owned()),
            command: Some(line.to_owned()),
        };
        self.speaker
            .tell(Told::event(texts::NODE_EVENT_EXEC_STARTED, &started))
            .await;
    }

    async fn finished(&self, line: &str, result: &SystemRunResult) {
        let parts = [
            Some(result.stdout.as_str()),
            Some(result.stderr.as_str()),
            result.error.as_deref(),
        ];
        let parts: Vec<&str> = parts
            .into_iter()
            .flatten()
            .filter(|part| !part.is_empty())
            .collect();
        let finished = NodeExecFinished {
            session_key: Some(self.session_key.clone()),
            run_id: Some(self.run_id.clone()),
            host: Some(texts::NODE_EXEC_HOST.to_owned()),
            command: Some(line.to_owned()),
            exit_code: result.exit_code,
            timed_out: Some(result.timed_out),
            success: Some(result.success),
            output: Some(tail(&parts.join("\n"), EVENT_OUTPUT_CHARS)),
        };
        self.speaker
            .tell(Told::event(texts::NODE_EVENT_EXEC_FINISHED, &finished))
            .await;
    }
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
