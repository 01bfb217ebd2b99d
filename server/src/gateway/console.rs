//! What a start tells the person at the terminal: the log, what is wrong with the configuration, where the gateway is.

use std::io::{self, IsTerminal as _};

use tokio::net::TcpListener;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;

use super::socket::LocalSocket;
use crate::cli::{GatewayArgs, print};
use crate::config::{Config, Startup};
use crate::paths::{Environment, Paths};

/// Begins the log, on standard output.
pub(super) fn log_to_stdout(args: &GatewayArgs, config: &Config, environment: &Environment) {
    let level = config.logging.console_level.unwrap_or(config.logging.level);
    let wanted = environment
        .get("RUST_LOG")
        .map_or_else(|| args.log_filter(level.as_filter()), str::to_owned);
    let filter: Targets = wanted
        .parse()
        .unwrap_or_else(|_| Targets::new().with_default(LevelFilter::INFO));
    let lines = tracing_subscriber::fmt::layer()
        .with_target(false)
        // A log file has no use for colours.
        .with_ansi(io::stdout().is_terminal() && environment.get("NO_COLOR").is_none())
        .with_writer(io::stdout);
    let subscriber = tracing_subscriber::registry().with(filter).with(lines);
    // A second gateway in one process (a test) keeps the first one's log.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// Says what is wrong with the configuration, so that defaults in its place surprise nobody.
pub(super) fn report(startup: &Startup) {
    let loaded = &startup.loaded;
    if let Some(reason) = &loaded.unusable {
        tracing::error!(file = %loaded.path.display(), reason, in_force = ?loaded.source, "the configuration cannot be read");
    }
    for issue in &loaded.issues {
        tracing::warn!(file = %loaded.path.display(), "{}: {}", issue.path, issue.message);
    }
}

/// What a person wants to know after a start.
pub(super) fn announce(
    listeners: &[TcpListener],
    socket: Option<&LocalSocket>,
    startup: &Startup,
    paths: &Paths,
) {
    let addresses: Vec<String> = listeners
        .iter()
        .filter_map(|listener| listener.local_addr().ok())
        .map(|address| format!("ws://{address}"))
        .chain(socket.map(|socket| socket.path().display().to_string()))
        .collect();
    if startup.first_start {
        print::line(&format!(
            "First start: wrote {}{}; only you can read it.",
            paths.config_file.display(),
            if startup.loaded.config.gateway.auth.token.is_some() {
                " with a random token"
            } else {
                ""
            }
        ));
    }
    print::line(&format!("Gateway listening on {}", addresses.join(" and ")));
    print::line(
        "Talk to it from another terminal: openclaw health, openclaw agent --message \"hello\"",
    );
    tracing::info!(state = %paths.state_dir.display(), "ready");
}
