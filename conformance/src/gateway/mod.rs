//! The gateway under test as a child process with a home of its own.

mod home;
mod process;

pub use home::{Home, HomeError, base_config};
pub use process::{
    Command, CommandError, Process, StartError, free_port, last_lines, search_path, signal,
};
