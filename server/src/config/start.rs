//! From files, variables and flags to what a gateway starts with: the first start, the precedence of settings, and the
//! refusals of contract 2.7 and 11.

use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use openclaw_schema_runtime::SecretString;
use serde_json::{Value, json};

use super::load::{Loaded, Source, load, remember};
use super::types::{AuthMode, Bind, GatewayMode, Tailscale, TailscaleMode};
use super::{GatewayAuth, Issue, file, guards};
use crate::hex::hex;
use crate::paths::{Environment, Paths};

/// Port when nothing says otherwise (contract 1.1).
pub const DEFAULT_PORT: u16 = 18_789;

/// Bytes of randomness in a generated token.
pub const TOKEN_BYTES: usize = 32;

/// What the command line sets; it goes before everything else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--port`; 0 lets the system choose one.
    pub port: Option<u16>,
    /// `--bind`.
    pub bind: Option<Bind>,
    /// `--auth`.
    pub auth_mode: Option<AuthMode>,
    /// `--token`.
    pub token: Option<SecretString>,
    /// `--password`.
    pub password: Option<SecretString>,
    /// `--tailscale`.
    pub tailscale: Option<TailscaleMode>,
    /// `--tailscale-reset-on-exit`.
    pub tailscale_reset_on_exit: bool,
    /// `--allow-unconfigured`: start although `gateway.mode` is not set.
    pub allow_unconfigured: bool,
}

/// What a gateway starts with.
#[derive(Debug, Clone)]
pub struct Startup {
    /// The configuration and what is wrong with it.
    pub loaded: Loaded,
    /// Port to listen on; 0 only by flag.
    pub port: u16,
    /// Bind mode.
    pub bind: Bind,
    /// Address for bind mode `custom`.
    pub custom_bind_host: Option<Ipv4Addr>,
    /// Secrets in force.
    pub auth: GatewayAuth,
    /// Exposure through Tailscale.
    pub tailscale: Tailscale,
    /// Whether the configuration file was written just now.
    pub first_start: bool,
}

/// Why no gateway starts. The texts are for the user and say what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port in the environment is none.
    #[error("{name}={value:?} is not a port (1 to 65535)")]
    Port {
        /// Variable that holds it.
        name: String,
        /// Its value.
        value: String,
    },
    /// `gateway.mode` is not set.
    #[error(
        "gateway start blocked: gateway.mode is not set in {}{notes}; set it to \"local\", or pass --allow-unconfigured",
        path.display()
    )]
    Unconfigured {
        /// The configuration file.
        path: PathBuf,
        /// What is wrong with the value, if it was there.
        notes: String,
    },
    /// `gateway.mode` is `remote`.
    #[error(
        "gateway start blocked: gateway.mode is \"remote\" in {}, so commands on this host use the gateway at gateway.remote.url; set it to \"local\" to run one here",
        path.display()
    )]
    Remote {
        /// The configuration file.
        path: PathBuf,
    },
    /// No secret, and the configuration cannot be read.
    #[error(
        "{} {reason}; fix it, or start with defaults and a secret: --token, or OPENCLAW_GATEWAY_TOKEN in the environment",
        path.display()
    )]
    Unusable {
        /// The configuration file.
        path: PathBuf,
        /// Why it cannot be read, with line and column where there are any.
        reason: String,
    },
    /// Nobody could connect: no secret for the mode.
    #[error(
        "no gateway {mode} is set, so nobody could connect{notes}; set gateway.auth.{mode} in {}, or pass --{mode}, or set {variable} in the environment",
        path.display(),
        variable = secret_variable(*.mode)
    )]
    NoSecret {
        /// Mode in force.
        mode: AuthMode,
        /// The configuration file.
        path: PathBuf,
        /// What is wrong with the value, if it was there.
        notes: String,
    },
    /// Reachable from other hosts without a shared secret.
    #[error(
        "refusing to listen beyond loopback (bind {bind}) without a gateway {mode}; set gateway.auth.{mode}, or bind to loopback"
    )]
    Exposed {
        /// Bind mode in force.
        bind: Bind,
        /// Auth mode in force.
        mode: AuthMode,
    },
    /// Tailscale proxies to loopback.
    #[error("tailscale {tailscale} needs bind loopback, not {bind}")]
    TailscaleBind {
        /// Exposure asked for.
        tailscale: TailscaleMode,
        /// Bind mode in force.
        bind: Bind,
    },
    /// Funnel is the open internet.
    #[error(
        "tailscale funnel needs auth mode password; set gateway.auth.mode and gateway.auth.password"
    )]
    FunnelAuth,
    /// A setting that keeps somebody out cannot be used.
    #[error(
        "gateway start blocked: {}{notes}; without it more would be open than it says, so mend it, or take it out",
        path.display()
    )]
    Guard {
        /// The configuration file.
        path: PathBuf,
        /// Where, and what was expected.
        notes: String,
    },
    /// The listener speaks no TLS, so a start would serve in clear what was to be encrypted.
    #[error(
        "gateway.tls.enabled is set, and this gateway's listener speaks no TLS; take it out, and use tailscale serve (gateway.tailscale.mode \"serve\") or a proxy that speaks TLS"
    )]
    Tls,
    /// The first configuration cannot be written.
    #[error("cannot write the first configuration {}: {cause}", path.display())]
    Write {
        /// The configuration file.
        path: PathBuf,
        /// What the file system said.
        cause: io::Error,
    },
}

fn secret_variable(mode: AuthMode) -> &'static str {
    match mode {
        AuthMode::Token => "OPENCLAW_GATEWAY_TOKEN",
        AuthMode::Password => "OPENCLAW_GATEWAY_PASSWORD",
    }
}

/// Prepares a start. Without a configuration file, writes one with `gateway.mode` `local` and, unless a secret is
/// given otherwise, a token of `fresh_token`. After a start without issues, keeps the last good copy.
///
/// # Errors
/// [`StartError`]: nothing was started, and but for the first file nothing was written.
pub fn prepare(
    paths: &Paths,
    environment: &Environment,
    overrides: &Overrides,
    fresh_token: [u8; TOKEN_BYTES],
) -> Result<Startup, StartError> {
    let mut loaded = load(paths, environment);
    // Under Nix the configuration is made elsewhere; a file of ours would be in its way.
    let first_start = !loaded.exists && !environment.is_on("NIX_MODE");
    if first_start {
        let auth = GatewayAuth::resolve(&loaded.config, &loaded.environment, overrides);
        write_first(paths, &auth, fresh_token)?;
        loaded = load(paths, environment);
    }
    check_mode(&loaded, overrides)?;
    check_guards(&loaded)?;
    let gateway = &loaded.config.gateway;
    if gateway.tls.enabled {
        return Err(StartError::Tls);
    }
    let bind = overrides.bind.unwrap_or(gateway.bind);
    let tailscale = Tailscale {
        mode: overrides.tailscale.unwrap_or(gateway.tailscale.mode),
        reset_on_exit: overrides.tailscale_reset_on_exit || gateway.tailscale.reset_on_exit,
        command: gateway.tailscale.command.clone(),
    };
    let auth = GatewayAuth::resolve(&loaded.config, &loaded.environment, overrides);
    check_auth(&loaded, &auth, bind, tailscale.mode)?;
    let port = resolve_port(
        overrides.port,
        &loaded.environment,
        gateway.port.map(std::num::NonZeroU16::get),
    )?;
    let custom_bind_host = gateway
        .custom_bind_host
        .as_deref()
        .and_then(|host| host.trim().parse().ok());
    if bind == Bind::Custom && custom_bind_host.is_none() {
        loaded.issues.push(Issue {
            path: "gateway.customBindHost".to_owned(),
            message: "is not an IPv4 address; the gateway listens on every address".to_owned(),
        });
    }
    keep_copy(remember(&loaded, paths));
    Ok(Startup {
        loaded,
        port,
        bind,
        custom_bind_host,
        auth,
        tailscale,
        first_start,
    })
}

/// The port: command line, else environment, else configuration, else [`DEFAULT_PORT`] (contract 1.1).
///
/// # Errors
/// [`StartError::Port`] when the environment names one that is none.
pub fn resolve_port(
    flag: Option<u16>,
    environment: &Environment,
    configured: Option<u16>,
) -> Result<u16, StartError> {
    if let Some(flag) = flag {
        return Ok(flag);
    }
    match environment.own("GATEWAY_PORT") {
        Some((name, value)) => match value.parse() {
            Ok(port) if port != 0 => Ok(port),
            _ => Err(StartError::Port {
                name,
                value: value.to_owned(),
            }),
        },
        None => Ok(configured.unwrap_or(DEFAULT_PORT)),
    }
}

fn check_mode(loaded: &Loaded, overrides: &Overrides) -> Result<(), StartError> {
    let path = loaded.path.clone();
    match loaded.config.gateway.mode {
        Some(GatewayMode::Local) => Ok(()),
        Some(GatewayMode::Remote) => Err(StartError::Remote { path }),
        // A file that cannot be read says nothing about the mode; that it exists says that this host is set up.
        None if loaded.unusable.is_some() && loaded.source == Source::Defaults => Ok(()),
        None if overrides.allow_unconfigured => Ok(()),
        None => Err(StartError::Unconfigured {
            path,
            notes: notes(loaded, "gateway.mode"),
        }),
    }
}

/// Refuses to start without something that keeps somebody out.
fn check_guards(loaded: &Loaded) -> Result<(), StartError> {
    let issues = loaded.issues.iter();
    let notes: String = issues
        .filter(|issue| guards::guards(&issue.path))
        .map(said)
        .collect();
    match notes.is_empty() {
        true => Ok(()),
        false => Err(StartError::Guard {
            path: loaded.path.clone(),
            notes,
        }),
    }
}

fn check_auth(
    loaded: &Loaded,
    auth: &GatewayAuth,
    bind: Bind,
    tailscale: TailscaleMode,
) -> Result<(), StartError> {
    let mode = auth.mode;
    if auth.secret().is_none() {
        if let Some(reason) = &loaded.unusable
            && (loaded.source == Source::Defaults || !auth.allow_tailscale)
        {
            return Err(StartError::Unusable {
                path: loaded.path.clone(),
                reason: reason.clone(),
            });
        }
        if mode == AuthMode::Password || !auth.allow_tailscale {
            return Err(StartError::NoSecret {
                mode,
                path: loaded.path.clone(),
                notes: notes(loaded, "gateway.auth"),
            });
        }
        if bind != Bind::Loopback {
            return Err(StartError::Exposed { bind, mode });
        }
    }
    if tailscale != TailscaleMode::Off && bind != Bind::Loopback {
        return Err(StartError::TailscaleBind { tailscale, bind });
    }
    if tailscale == TailscaleMode::Funnel && mode != AuthMode::Password {
        return Err(StartError::FunnelAuth);
    }
    Ok(())
}

/// The issues at and below `prefix`, for a message about a value that they made disappear.
fn notes(loaded: &Loaded, prefix: &str) -> String {
    loaded
        .issues
        .iter()
        .filter(|issue| {
            issue
                .path
                .strip_prefix(prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
        .map(said)
        .collect()
}

fn said(issue: &Issue) -> String {
    format!(" ({} {})", issue.path, issue.message)
}

/// Writes the first configuration. Another process that was faster is fine: its file is as good.
fn write_first(
    paths: &Paths,
    auth: &GatewayAuth,
    fresh_token: [u8; TOKEN_BYTES],
) -> Result<(), StartError> {
    let mut document = json!({ "gateway": { "mode": "local" } });
    if auth.mode == AuthMode::Token && auth.token.is_none() {
        document["gateway"]["auth"] = json!({ "mode": "token", "token": hex(&fresh_token) });
    }
    let text = pretty(&document);
    match file::create(&paths.config_file, &text) {
        Ok(()) => {
            keep_copy(file::replace(&paths.last_good_config_file(), &text));
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(cause) => Err(StartError::Write {
            path: paths.config_file.clone(),
            cause,
        }),
    }
}

/// The gateway can do without the last good copy.
fn keep_copy(outcome: io::Result<()>) {
    if let Err(error) = outcome {
        tracing::warn!(%error, "cannot keep a copy of the configuration");
    }
}

/// Indented JSON with a final newline, as editors leave it.
fn pretty(document: &Value) -> String {
    format!("{document:#}\n")
}

#[cfg(test)]
#[path = "start_tests.rs"]
mod tests;
