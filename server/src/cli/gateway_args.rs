//! `openclaw gateway`: the flags of contract 11.4. A flag whose feature does not exist yet says so instead of being
//! ignored in silence.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use openclaw_protocol::rt::SecretString;

use crate::config::{AuthMode, Bind, Overrides, TailscaleMode};

/// Flags of `openclaw gateway`.
#[derive(Debug, Clone, Default, Args)]
pub struct GatewayArgs {
    /// Port for everything (default: OPENCLAW_GATEWAY_PORT, else the configuration, else 18789)
    #[arg(long)]
    pub port: Option<u16>,
    /// Where to listen: loopback, lan, tailnet, auto, custom
    #[arg(long, value_parser = |text: &str| text.parse::<Bind>())]
    pub bind: Option<Bind>,
    /// Shared token that clients have to show
    #[arg(long)]
    pub token: Option<String>,
    /// What clients show: token or password
    #[arg(long, value_parser = |text: &str| text.parse::<AuthMode>())]
    pub auth: Option<AuthMode>,
    /// Shared password that clients have to show
    #[arg(long)]
    pub password: Option<String>,
    /// Exposure through Tailscale: off, serve, funnel (serve and funnel are not available yet)
    #[arg(long, value_parser = |text: &str| text.parse::<TailscaleMode>())]
    pub tailscale: Option<TailscaleMode>,
    /// Undo the Tailscale exposure on exit
    #[arg(long)]
    pub tailscale_reset_on_exit: bool,
    /// Start although gateway.mode is not "local"
    #[arg(long)]
    pub allow_unconfigured: bool,
    /// Use a development state directory, ~/.openclaw-dev, on port 19001
    #[arg(long)]
    pub dev: bool,
    /// Delete the development state first (needs --dev)
    #[arg(long)]
    pub reset: bool,
    /// End whatever listens on the port first: SIGTERM, then SIGKILL
    #[arg(long)]
    pub force: bool,
    /// Log details
    #[arg(short, long)]
    pub verbose: bool,
    /// Show only the logs of the Claude CLI backend (not available yet)
    #[arg(long)]
    pub claude_cli_logs: bool,
    /// How connections and requests are logged
    #[arg(long, value_enum, default_value_t)]
    pub ws_log: WsLog,
    /// The same as --ws-log compact
    #[arg(long)]
    pub compact: bool,
    /// Write the models' raw streams to a file (not available yet)
    #[arg(long)]
    pub raw_stream: bool,
    /// File for --raw-stream (not available yet)
    #[arg(long)]
    pub raw_stream_path: Option<PathBuf>,
}

/// How connections and requests are logged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum WsLog {
    /// Refusals and failures; with --verbose also connects and closes.
    #[default]
    Auto,
    /// Every request with its method and time.
    Full,
    /// Connects and closes.
    Compact,
}

/// A flag that cannot be obeyed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FlagError {
    /// The feature does not exist yet.
    #[error("{flag} does not work yet: {what}")]
    NotYet {
        /// The flag.
        flag: &'static str,
        /// What is missing.
        what: &'static str,
    },
    /// `--reset` deletes state, which is for development only.
    #[error("--reset needs --dev: it deletes the state directory")]
    ResetWithoutDev,
}

impl GatewayArgs {
    /// Refuses what does not work.
    ///
    /// # Errors
    /// [`FlagError`], the first one.
    pub fn check(&self) -> Result<(), FlagError> {
        if self.reset && !self.dev {
            return Err(FlagError::ResetWithoutDev);
        }
        let tailscale = self
            .tailscale
            .is_some_and(|mode| mode != TailscaleMode::Off);
        let missing = [
            (
                tailscale,
                "--tailscale",
                "exposure through Tailscale is not there; run `tailscale serve` by hand",
            ),
            (
                self.claude_cli_logs,
                "--claude-cli-logs",
                "the logs of a CLI backend are not shown apart from the others",
            ),
            (
                self.raw_stream || self.raw_stream_path.is_some(),
                "--raw-stream",
                "raw model streams are not recorded",
            ),
        ];
        match missing.into_iter().find(|(asked, ..)| *asked) {
            Some((_, flag, what)) => Err(FlagError::NotYet { flag, what }),
            None => Ok(()),
        }
    }

    /// What goes before configuration and environment.
    #[must_use]
    pub fn overrides(&self) -> Overrides {
        Overrides {
            port: self.port.or(self.dev.then_some(DEV_PORT)),
            bind: self.bind,
            auth_mode: self.auth,
            token: self.token.clone().map(SecretString::new),
            password: self.password.clone().map(SecretString::new),
            tailscale: self.tailscale,
            tailscale_reset_on_exit: self.tailscale_reset_on_exit,
            allow_unconfigured: self.allow_unconfigured || self.dev,
        }
    }

    /// What is logged, as a filter of `tracing`, unless `RUST_LOG` says otherwise.
    #[must_use]
    pub fn log_filter(&self, configured: &str) -> String {
        let level = if self.verbose { "debug" } else { configured };
        let level = format!("{level},{MCP}=off");
        match (self.compact, self.ws_log) {
            (true, _) | (false, WsLog::Compact) => {
                format!("{level},{CONNECTIONS}=debug,{REQUESTS}=off")
            }
            (false, WsLog::Full) => format!("{level},{CONNECTIONS}=debug,{REQUESTS}=debug"),
            (false, WsLog::Auto) => format!("{level},{REQUESTS}=off"),
        }
    }
}

/// Log target of the library that speaks to servers of tools: it writes whole messages, and with them whatever they hold. What
/// matters of them is logged by its caller.
const MCP: &str = "rmcp";

/// Log target of connects and closes.
const CONNECTIONS: &str = "openclaw_gateway::connection";
/// Log target of requests, one line each.
const REQUESTS: &str = "ws";

/// Port of a development gateway, out of the way of a real one.
const DEV_PORT: u16 = 19_001;

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        gateway: GatewayArgs,
    }

    fn parse(line: &str) -> Result<GatewayArgs, String> {
        let words = std::iter::once("openclaw").chain(line.split_whitespace());
        match Line::try_parse_from(words) {
            Ok(line) => Ok(line.gateway),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn every_flag_of_the_contract_is_known() {
        let all = "--port 1 --bind lan --token t --auth password --password p --tailscale off --tailscale-reset-on-exit \
                   --allow-unconfigured --dev --reset --force --verbose --ws-log full --compact";
        let args = parse(all).expect("all flags");
        assert_eq!(args.check(), Ok(()));
        let overrides = args.overrides();
        assert_eq!(
            (overrides.port, overrides.bind, overrides.auth_mode),
            (Some(1), Some(Bind::Lan), Some(AuthMode::Password))
        );
    }

    #[test]
    fn flags_that_do_not_work_say_so() {
        for (line, word) in [
            ("--tailscale serve", "--tailscale does not work yet"),
            ("--raw-stream", "--raw-stream does not work yet"),
            ("--raw-stream-path x", "--raw-stream does not work yet"),
            ("--claude-cli-logs", "--claude-cli-logs does not work yet"),
            ("--reset", "--reset needs --dev"),
        ] {
            let error = parse(line).expect("parses").check().expect_err("refused");
            assert!(error.to_string().contains(word), "{line}: {error}");
        }
        for line in [
            "--port 70000",
            "--bind everywhere",
            "--auth none",
            "--ws-log loud",
        ] {
            let error = parse(line).expect_err("refused");
            assert!(
                error.contains(line.split(' ').nth(1).unwrap_or("?")),
                "{line}: {error}"
            );
        }
    }

    #[test]
    fn the_log_filter() {
        for (line, filter) in [
            ("", "info,rmcp=off,ws=off"),
            ("--verbose", "debug,rmcp=off,ws=off"),
            (
                "--ws-log full",
                "info,rmcp=off,openclaw_gateway::connection=debug,ws=debug",
            ),
            (
                "--compact",
                "info,rmcp=off,openclaw_gateway::connection=debug,ws=off",
            ),
        ] {
            assert_eq!(
                parse(line).expect("parses").log_filter("info"),
                filter,
                "{line}"
            );
        }
    }
}
