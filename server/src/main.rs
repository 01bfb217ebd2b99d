//! The `openclaw` command; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    openclaw_gateway::cli::run(std::env::args_os())
}
