//! The commands of a node, by name.

use std::collections::BTreeMap;

use openclaw_protocol::protocol::{errors, texts};
use openclaw_protocol::types::{
    ExecApprovalsSetParams, NodeInvokeRequestEvent, SystemNotifyParams, SystemRunParams,
    SystemWhichBins, SystemWhichParams, SystemWhichResult,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::process::{self, Spec};
use super::run;
use super::speaker::{Payload, Speaker};
use super::{Failure, Host, MAX_BINS, NOTIFY_TIME, OUTPUT_BYTES};
use crate::exec_rules::{SetRefusal, find_program};

/// The program that shows notifications on desktops.
const NOTIFIER: &str = "notify-send";

/// Carries out one command.
pub(super) async fn carry_out(
    host: &Host,
    asked: &NodeInvokeRequestEvent,
    speaker: &Speaker,
) -> Result<Payload, Failure> {
    let json = asked.params_json.as_deref();
    match asked.command.as_str() {
        texts::NODE_COMMAND_RUN => {
            let params: SystemRunParams = params(json)?;
            let result = run::run(host, params, speaker).await?;
            Ok(Payload::Run(Box::new(result)))
        }
        texts::NODE_COMMAND_WHICH => which(host, params(json)?).await,
        texts::NODE_COMMAND_NOTIFY => notify(host, params(json)?).await,
        texts::NODE_COMMAND_EXEC_APPROVALS_GET => {
            let rules = host.rules.clone();
            let shown = super::aside(move || rules.get()).await?;
            payload(&shown.map_err(|error| Failure::broken(&error))?)
        }
        texts::NODE_COMMAND_EXEC_APPROVALS_SET => {
            let ExecApprovalsSetParams { file, base_hash } = params(json)?;
            let rules = host.rules.clone();
            let base_hash = base_hash.map(String::from);
            let shown = super::aside(move || rules.set(file, base_hash.as_deref())).await?;
            payload(&shown.map_err(|refusal| match refusal {
                SetRefusal::HashRequired => {
                    Failure::invalid(errors::EXEC_APPROVALS_HASH_REQUIRED.text)
                }
                SetRefusal::Changed => Failure::invalid(errors::EXEC_APPROVALS_CHANGED.text),
                SetRefusal::Rules(error) => Failure::broken(&error),
            })?)
        }
        _ => Err(Failure::unavailable(texts::NODE_COMMAND_UNSUPPORTED)),
    }
}

fn params<P: DeserializeOwned>(json: Option<&str>) -> Result<P, Failure> {
    serde_json::from_str(json.unwrap_or("{}"))
        .map_err(|error| Failure::invalid(&format!("the params cannot be read: {error}")))
}

fn payload(value: &impl Serialize) -> Result<Payload, Failure> {
    serde_json::to_value(value)
        .map(Payload::Value)
        .map_err(|error| Failure::unavailable(&format!("the answer cannot be written: {error}")))
}

async fn which(host: &Host, params: SystemWhichParams) -> Result<Payload, Failure> {
    let bins = params
        .bins
        .ok_or_else(|| Failure::invalid("bins required"))?;
    if bins.len() > MAX_BINS {
        return Err(Failure::invalid(&format!("more than {MAX_BINS} bins")));
    }
    let host = host.clone();
    let found = super::aside(move || {
        let named = bins
            .iter()
            .map(|bin| bin.trim())
            .filter(|bin| !bin.contains(['/', '\\']));
        named
            .filter_map(|bin| {
                let program = find_program(bin, &host.home, host.path_env())?;
                Some((bin.to_owned(), program.path.to_str()?.to_owned()))
            })
            .collect::<BTreeMap<_, _>>()
    })
    .await?;
    payload(&SystemWhichResult::new(SystemWhichBins::new(found)))
}

async fn notify(host: &Host, params: SystemNotifyParams) -> Result<Payload, Failure> {
    let text = |text: Option<String>| text.map(|text| text.trim().to_owned()).unwrap_or_default();
    let (title, body) = (text(params.title), text(params.body));
    if title.is_empty() && body.is_empty() {
        return Err(Failure::invalid("empty notification"));
    }
    let urgency = match params.priority.as_deref() {
        Some("passive") => "low",
        Some("timeSensitive") => "critical",
        _ => "normal",
    };
    let finder = host.clone();
    let notifier =
        super::aside(move || find_program(NOTIFIER, &finder.home, finder.path_env())).await?;
    let notifier = notifier.ok_or_else(|| {
        Failure::unavailable(&format!(
            "{NOTIFIER} is not installed, so this node cannot show notifications"
        ))
    })?;
    let headline = if title.is_empty() {
        "OpenClaw"
    } else {
        title.as_str()
    };
    let argv = [
        NOTIFIER,
        "--app-name=OpenClaw",
        "--urgency",
        urgency,
        "--",
        headline,
        &body,
    ];
    let ended = process::run(&Spec {
        program: notifier.path,
        argv: argv
            .into_iter()
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect(),
        cwd: host.home.clone(),
        variables: (*host.variables).clone(),
        time: NOTIFY_TIME,
        output_bytes: OUTPUT_BYTES,
    })
    .await;
    match ended.exit_code {
        Some(0) => Ok(Payload::Nothing),
        _ => {
            let why = ended
                .error
                .unwrap_or_else(|| ended.stderr.trim().to_owned());
            Err(Failure::unavailable(&format!("{NOTIFIER} failed: {why}")))
        }
    }
}

#[cfg(test)]
#[path = "commands_tests.rs"]
mod tests;
