//! `cargo run -p codegen`: reads `schema/` and writes everything that must agree with it.
//!
//! Without arguments the outputs are written; `-- --check` compares them with what is committed and
//! fails on any difference, naming the command that mends it. The work is in the library so that the
//! tests can run it on schemas of their own.

use std::path::PathBuf;
use std::process::ExitCode;

use codegen::{Outputs, copies, generate};

fn main() -> ExitCode {
    let mut check = false;
    let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--check" => check = true,
            "--root" => match arguments.next() {
                Some(directory) => root = PathBuf::from(directory),
                None => {
                    say(&format!("--root needs a directory\n{HELP}"));
                    return ExitCode::from(2);
                }
            },
            "--help" | "-h" => {
                say(HELP);
                return ExitCode::SUCCESS;
            }
            other => {
                say(&format!("unknown argument `{other}`\n{HELP}"));
                return ExitCode::from(2);
            }
        }
    }
    match run(&root, check) {
        Ok(message) => {
            say(&message);
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

const HELP: &str = "usage: cargo run -p codegen [-- [--check] [--root DIR]]
  (no argument)  read schema/ and write generated/, swift/, client/typescript/tests/generated/ and schema/dist/
  --check        write nothing; fail if what is committed differs
  --root DIR     another checkout than the one this was built in";

fn run(root: &std::path::Path, check: bool) -> anyhow::Result<String> {
    let (model, mut outputs): (_, Outputs) = generate(&root.join("schema"))?;
    copies::add(root, &mut outputs)?;
    let counts = model.counts();
    if check {
        outputs.check(root)?;
        Ok(format!("fresh: {} files; {counts}", outputs.len()))
    } else {
        let written = outputs.write(root)?;
        Ok(format!(
            "wrote {written} of {} files; {counts}",
            outputs.len()
        ))
    }
}

#[allow(clippy::print_stderr)] // the one place of this tool that talks to a person
fn say(text: &str) {
    eprintln!("{text}");
}
