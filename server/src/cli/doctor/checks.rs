//! What is judged, each by a pure function over what was seen.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::probe::Answer;
use super::{Finding, Level};
use crate::config::{self, AuthMode, Bind, Config, GatewayAuth, Loaded, StartError};

/// Shortest token that is not called weak. Generated ones have 64 characters of hex; 24 of any kind are beyond guessing.
pub(super) const TOKEN_CHARS: usize = 24;

/// Shortest password that is not called weak. With the limiter a guesser has half a million tries a year.
const PASSWORD_CHARS: usize = 12;

/// Fewest different characters of a secret: `aaaaaaaa…` is long, too.
const DIFFERENT_CHARS: usize = 6;

fn finding(check: &'static str, level: Level, text: impl Into<String>, advice: &str) -> Finding {
    Finding {
        check,
        level,
        text: text.into(),
        advice: (!advice.is_empty()).then(|| advice.to_owned()),
    }
}

pub(super) fn configuration(loaded: &Loaded) -> Vec<Finding> {
    const CHECK: &str = "config";
    let path = loaded.path.display();
    if let Some(reason) = &loaded.unusable {
        let text = format!("{path} {reason}");
        let advice = "mend the file; until then the gateway uses its last good copy, or defaults";
        return vec![finding(CHECK, Level::Error, text, advice)];
    }
    if !loaded.exists {
        let text = format!("{path} does not exist");
        return vec![finding(
            CHECK,
            Level::Warning,
            text,
            "the first start of the gateway writes it",
        )];
    }
    if loaded.issues.is_empty() {
        return vec![finding(CHECK, Level::Ok, format!("{path} can be read"), "")];
    }
    let issue = |issue: &config::Issue| {
        let text = format!("{}: {}", issue.path, issue.message);
        finding(
            CHECK,
            Level::Error,
            text,
            "until it is mended the gateway leaves it out",
        )
    };
    loaded.issues.iter().map(issue).collect()
}

pub(super) fn permissions(modes: &[(PathBuf, u32)]) -> Vec<Finding> {
    const CHECK: &str = "permissions";
    let open: Vec<Finding> = modes
        .iter()
        .filter(|(_, mode)| mode & 0o077 != 0)
        .map(|(path, mode)| {
            let right = if mode & 0o100 == 0 { "600" } else { "700" };
            let path = path.display();
            let text = format!("{path} is open to other users (mode {:o})", mode & 0o777);
            finding(
                CHECK,
                Level::Error,
                text,
                &format!("chmod {right} '{path}'"),
            )
        })
        .collect();
    if open.is_empty() {
        let text = format!(
            "{} private files and folders are closed to others",
            modes.len()
        );
        return vec![finding(CHECK, Level::Ok, text, "")];
    }
    open
}

pub(super) fn secret(auth: &GatewayAuth) -> Finding {
    const CHECK: &str = "secret";
    let mode = auth.mode;
    let Some(secret) = auth.secret() else {
        if mode == AuthMode::Token && auth.allow_tailscale {
            return finding(
                CHECK,
                Level::Ok,
                "no token: only the tailnet lets clients in",
                "",
            );
        }
        let advice = format!("set gateway.auth.{mode}; `openssl rand -hex 32` makes a good one");
        return finding(
            CHECK,
            Level::Error,
            format!("no gateway {mode} is set"),
            &advice,
        );
    };
    let text = secret.expose();
    let shortest = match mode {
        AuthMode::Token => TOKEN_CHARS,
        AuthMode::Password => PASSWORD_CHARS,
    };
    let different = text.chars().collect::<BTreeSet<_>>().len();
    if text.chars().count() < shortest || different < DIFFERENT_CHARS {
        let text = format!(
            "the gateway {mode} is weak: under {shortest} characters, or too few different ones"
        );
        let advice = "replace it; `openssl rand -hex 32` makes a good one";
        return finding(CHECK, Level::Warning, text, advice);
    }
    finding(
        CHECK,
        Level::Ok,
        format!("the gateway {mode} is long enough"),
        "",
    )
}

pub(super) fn exposure(config: &Config) -> Vec<Finding> {
    const CHECK: &str = "exposure";
    let gateway = &config.gateway;
    let mut all = Vec::new();
    if gateway.tls.enabled {
        let text = StartError::Tls.to_string();
        all.push(finding(CHECK, Level::Error, text, ""));
    }
    let mut warn =
        |text: &str, advice: &str| all.push(finding(CHECK, Level::Warning, text, advice));
    let is_open = !matches!(gateway.bind, Bind::Loopback | Bind::Auto);
    if is_open && !gateway.auth.strict_devices {
        let text = format!(
            "bind {} is reachable from other hosts, and the shared secret alone opens it",
            gateway.bind
        );
        warn(
            &text,
            "set gateway.auth.strictDevices to true: then every client needs an approved device key as well",
        );
    }
    // A tailnet encrypts by itself.
    if is_open && gateway.bind != Bind::Tailnet {
        let text = format!(
            "bind {} without TLS: who listens on the network reads along",
            gateway.bind
        );
        warn(
            &text,
            "use a tailnet, an SSH tunnel, or a proxy that speaks TLS",
        );
    }
    let ui = &gateway.control_ui;
    if ui.dangerously_disable_device_auth && !gateway.auth.strict_devices {
        warn(
            "gateway.controlUi.dangerouslyDisableDeviceAuth lets any page that knows the secret in",
            "take it out",
        );
    } else if ui.allow_insecure_auth && !gateway.auth.strict_devices {
        warn(
            "gateway.controlUi.allowInsecureAuth lets the Control UI in without a device key",
            "take it out once the page is served over HTTPS",
        );
    }
    if ui.allowed_origins.iter().any(|origin| origin.contains('*')) {
        warn(
            "gateway.controlUi.allowedOrigins has a wildcard, which matches nothing",
            "name each origin",
        );
    }
    for proxy in &gateway.trusted_proxies {
        if proxy.trim().parse::<IpAddr>().is_err() {
            let text =
                format!("gateway.trustedProxies: {proxy:?} is no address and matches nothing");
            warn(&text, "name the address of each proxy");
        }
    }
    if all.is_empty() {
        let text = format!("bind {}, and nothing weakens the doors", gateway.bind);
        all.push(finding(CHECK, Level::Ok, text, ""));
    }
    all
}

pub(super) fn port(port: &Result<u16, String>, answer: Answer) -> Finding {
    const CHECK: &str = "port";
    match (port, answer) {
        (Err(reason), _) => finding(CHECK, Level::Error, reason.as_str(), ""),
        (Ok(port), Answer::Gateway) => finding(
            CHECK,
            Level::Ok,
            format!("a gateway answers on port {port}"),
            "",
        ),
        (Ok(port), Answer::SomebodyElse) => finding(
            CHECK,
            Level::Error,
            format!("something else listens on port {port}"),
            "end it, or set gateway.port",
        ),
        (Ok(port), Answer::Nobody) => finding(
            CHECK,
            Level::Warning,
            format!("nobody listens on port {port}"),
            "start the gateway: openclaw gateway",
        ),
    }
}

pub(super) fn socket(path: &Path, answer: Answer) -> Finding {
    const CHECK: &str = "socket";
    let path = path.display();
    match answer {
        Answer::Gateway => finding(CHECK, Level::Ok, format!("a gateway answers at {path}"), ""),
        Answer::SomebodyElse => finding(
            CHECK,
            Level::Error,
            format!("something else is at {path}"),
            "set gateway.socket to a path of its own",
        ),
        Answer::Nobody => finding(
            CHECK,
            Level::Warning,
            format!("nobody listens at {path}; commands use the port"),
            "start the gateway: openclaw gateway",
        ),
    }
}
