//! Which programs may run on this machine: `~/.openclaw/exec-approvals.json` (contract 9.5), and what follows from it for
//! one command.
//!
//! `file` keeps the file, `policy` says what holds for an agent, `line` takes a command apart, `program` finds its
//! programs and matches them against the allowlist, `wrappers` knows which run anything, `command` joins these for one
//! command. The gateway's `exec.approvals.*`, its gate for agents' commands and the node host use it, possibly all on one
//! machine: every change is made under a lock of the operating system. Nothing here knows a socket or the
//! store.

mod command;
mod file;
mod line;
mod policy;
mod program;
mod wrappers;

pub use command::{Meant, Note, programs_of};
pub use file::{RulesError, RulesFile, SetRefusal};
pub use line::{MAX_SCRIPT_BYTES, command_line, is_plain_shell, script_of, simple_commands};
pub use policy::{Ask, Fallbacks, Permission, Policy, Security};
pub use program::{Program, find_program, matches};
pub use wrappers::runs_anything;

/// Agent whose rules hold when none is named, and into which those of the earlier name are merged.
pub const DEFAULT_AGENT: &str = "main";

/// Earlier name of [`DEFAULT_AGENT`] in the file.
const LEGACY_AGENT: &str = "default";

/// Name of the rules that hold for all agents.
const ALL_AGENTS: &str = "*";
