//! The `openclaw` command; everything is in the library.

use std::process::ExitCode;

/// Takes less CPU for each request and connect than the system's; see `docs/dependencies.md`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    openclaw_gateway::cli::run(std::env::args_os())
}
