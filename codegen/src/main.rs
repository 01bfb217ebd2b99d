//! `cargo run -p codegen`: reads `schema/` and writes everything that must agree with it.
//!
//! Without arguments the outputs are written; `-- --check` compares them with what is committed and
//! fails on any difference, naming the command that mends it; `-- breaking` compares the schema with an
//! older one; `-- release` records it. The work is in the library so that the tests can run it on
//! schemas of their own.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use codegen::{Outputs, against, breaking, copies, generate};

const HELP: &str = "usage: cargo run -p codegen [-- [COMMAND] [OPTIONS]]
  (no command)   read schema/ and write generated/, swift/, client/typescript/tests/generated/ and schema/dist/
    --check      write nothing; fail if what is committed differs
  breaking       say what differs from an older schema, and whom it breaks
    --against X  a recorded bundle file, or a git revision; without it the newest of schema/dist/released/
                 exit code: 0 nothing breaks, 1 something does, 2 they cannot be compared
  release        record the bundle as schema/dist/released/<protocol version>.<number>.json
  --root DIR     another checkout than the one this was built in";

/// What is asked for.
struct Arguments {
    root: PathBuf,
    command: Command,
}

enum Command {
    Generate,
    Check,
    Breaking(Option<String>),
    Release,
    Help,
}

/// Exit code of a `breaking` that could not compare, and of arguments that make no sense.
const CANNOT: u8 = 2;

fn main() -> ExitCode {
    let arguments = match read(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(problem) => {
            say(&format!("{problem}\n{HELP}"));
            return ExitCode::from(CANNOT);
        }
    };
    let root = &arguments.root;
    let outcome = match arguments.command {
        Command::Generate => write(root, false),
        Command::Check => write(root, true),
        Command::Breaking(against) => return compare(root, against),
        Command::Release => against::release(root).map(|path| format!("recorded {path}")),
        Command::Help => Ok(HELP.to_owned()),
    };
    match outcome {
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

fn read(mut arguments: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut command = Command::Generate;
    while let Some(argument) = arguments.next() {
        command = match (argument.as_str(), command) {
            ("--check", Command::Generate) => Command::Check,
            ("breaking", Command::Generate) => Command::Breaking(None),
            ("release", Command::Generate) => Command::Release,
            ("--against", Command::Breaking(None)) => match arguments.next() {
                Some(against) => Command::Breaking(Some(against)),
                None => return Err("--against needs a file or a git revision".to_owned()),
            },
            ("--root", command) => {
                let directory = arguments.next().ok_or("--root needs a directory")?;
                root = PathBuf::from(directory);
                command
            }
            ("--help" | "-h", _) => Command::Help,
            (other, _) => return Err(format!("unexpected argument `{other}`")),
        };
    }
    Ok(Arguments { root, command })
}

fn write(root: &Path, check: bool) -> anyhow::Result<String> {
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

fn compare(root: &Path, against: Option<String>) -> ExitCode {
    let report = match report(root, against) {
        Ok(Some(report)) => report,
        Ok(None) => {
            say(&format!(
                "nothing is recorded in {} yet, so nothing can break; `cargo run -p codegen -- release` records the schema",
                against::RELEASED
            ));
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            say(&format!("error: {error:#}"));
            return ExitCode::from(CANNOT);
        }
    };
    show(&report);
    if report.breaks() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// `None` when there is nothing to compare with.
fn report(root: &Path, against: Option<String>) -> anyhow::Result<Option<breaking::Report>> {
    let against = match against {
        Some(against) => against,
        None => match against::newest(root)? {
            Some((_, path)) => path.to_string_lossy().into_owned(),
            None => return Ok(None),
        },
    };
    let old = against::model(root, &against)?;
    let new = codegen::read_schema(&root.join("schema"))?;
    say(&format!(
        "protocol {} of {against} and {} of schema/",
        old.version, new.version
    ));
    Ok(Some(breaking::compare(&old, &new)))
}

#[allow(clippy::print_stderr)] // one of the two places of this tool that talk to a person
fn say(text: &str) {
    eprintln!("{text}");
}

#[allow(clippy::print_stdout)] // the report is what was asked for: it can be piped
fn show(report: &breaking::Report) {
    println!("{report}");
}
