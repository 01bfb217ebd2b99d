//! `openclaw doctor`: looks at this host's set-up without changing anything. `probe` looks, `checks` are pure functions
//! over what it saw. Exit code 1 when something is wrong; what is merely risky or absent is a warning.

mod checks;
mod probe;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::print;
use crate::config::{self, GatewayAuth, Loaded, Overrides};
use crate::gateway::socket_path;
use crate::paths::{Environment, Paths};
use checks::{configuration, exposure, permissions, port, secret, socket};
use probe::{Answer, modes, who_is_at_port, who_is_at_socket};

/// `openclaw doctor`.
#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Ok,
    Warning,
    Error,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Finding {
    check: &'static str,
    level: Level,
    text: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

#[derive(Serialize)]
struct Report {
    ok: bool,
    findings: Vec<Finding>,
}

/// Examines and prints.
pub(super) fn doctor(args: &DoctorArgs, environment: &Environment) -> ExitCode {
    let findings = Look::at(environment).findings();
    let ok = findings.iter().all(|finding| finding.level < Level::Error);
    if args.json {
        print::json(&Report { ok, findings });
    } else {
        findings.iter().for_each(show);
    }
    if ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn show(finding: &Finding) {
    let level = match finding.level {
        Level::Ok => "ok",
        Level::Warning => "warning",
        Level::Error => "ERROR",
    };
    print::line(&format!(
        "{level:<8} {:<12} {}",
        finding.check, finding.text
    ));
    if let Some(advice) = &finding.advice {
        print::line(&format!("{:<21} -> {advice}", ""));
    }
}

/// What there is on this host.
struct Look {
    loaded: Loaded,
    auth: GatewayAuth,
    /// Private files and folders that exist, with their modes.
    modes: Vec<(PathBuf, u32)>,
    /// The port, or why the environment names none.
    port: Result<u16, String>,
    at_port: Answer,
    socket: Option<(PathBuf, Answer)>,
}

impl Look {
    fn at(environment: &Environment) -> Self {
        let paths = Paths::resolve(environment);
        let loaded = config::load(&paths, environment);
        let auth = GatewayAuth::resolve(&loaded.config, &loaded.environment, &Overrides::default());
        let gateway = &loaded.config.gateway;
        let configured = gateway.port.map(std::num::NonZeroU16::get);
        let port = config::resolve_port(None, &loaded.environment, configured)
            .map_err(|error| error.to_string());
        let socket = gateway.socket.as_deref().map(|configured| {
            let path = socket_path(configured, environment, &paths);
            let answer = who_is_at_socket(&path);
            (path, answer)
        });
        Self {
            at_port: port
                .as_ref()
                .map_or(Answer::Nobody, |port| who_is_at_port(*port)),
            modes: modes(&paths, environment),
            loaded,
            auth,
            port,
            socket,
        }
    }

    fn findings(&self) -> Vec<Finding> {
        let mut all = configuration(&self.loaded);
        all.extend(permissions(&self.modes));
        // The first start makes a secret.
        if self.loaded.exists || self.auth.secret().is_some() {
            all.push(secret(&self.auth));
        }
        all.extend(exposure(&self.loaded.config));
        all.push(port(&self.port, self.at_port));
        all.extend(
            self.socket
                .as_ref()
                .map(|(path, answer)| socket(path, *answer)),
        );
        all
    }
}

#[cfg(test)]
mod tests;
