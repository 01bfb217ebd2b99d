//! Programs that answer in place of a model (`agents.defaults.cliBackends`): text in, text out, no tools of ours.
//!
//! The program is told the whole conversation every time, on its standard input, and keeps none of its own: the transcript
//! stays the one truth, a reset or another model needs no care, and nobody reads a conversation in a list of processes. For
//! the same reason programs are not told to skip their questions for permission: what they may do by themselves is a
//! decision of their own configuration, which `args` can change.
//!
//! One call of a program at a time: they write files of their own, and not all of them lock those.

mod output;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::{Backend, BackendError, Chunk, ModelRequest, ReplyStream, Turn};
use crate::child::Group;
use crate::config::{CliBackend, CliInput, CliOutput};
use crate::paths::Environment;
use output::Reader;

/// Longest silence of a program that works. They use tools of their own, which takes time.
const SILENCE: Duration = Duration::from_secs(600);
/// Most bytes that a program may print, and in one line.
const MAX_OUTPUT: usize = 16 * 1024 * 1024;
const MAX_LINE: usize = 1024 * 1024;
/// Most bytes of complaints that are kept; the last line is told.
const MAX_COMPLAINT: usize = 4 * 1024;
/// Longest complaint that is told, in characters.
const MAX_TOLD: usize = 300;
/// Variables that no program gets: secrets of the gateway begin with these.
const OWN_PREFIXES: [&str; 2] = ["OPENCLAW_", "CLAWDBOT_"];

/// A program, as configured.
#[derive(Debug, Clone, PartialEq)]
pub struct Program {
    command: String,
    args: Vec<String>,
    output: CliOutput,
    input: CliInput,
    model_arg: Option<String>,
    configured: CliBackend,
}

impl Program {
    /// The program of that name: what is configured, over what is built in. None for a name that is neither.
    pub fn of(id: &str, configured: Option<&CliBackend>) -> Option<Self> {
        let built_in = built_in(id);
        let configured = configured.cloned().unwrap_or_default();
        let (command, args, output, model_arg) = match built_in {
            Some((command, args)) => (
                Some(command.to_owned()),
                args.iter().map(|arg| (*arg).to_owned()).collect(),
                CliOutput::Jsonl,
                Some("--model".to_owned()),
            ),
            None => (None, Vec::new(), CliOutput::Text, None),
        };
        Some(Self {
            command: configured.command.clone().or(command)?,
            args: configured.args.clone().unwrap_or(args),
            output: configured.output.unwrap_or(output),
            input: configured.input.unwrap_or(CliInput::Stdin),
            model_arg: configured.model_arg.clone().or(model_arg),
            configured,
        })
    }
}

/// Command and arguments of the programs that need no configuration.
fn built_in(id: &str) -> Option<(&'static str, &'static [&'static str])> {
    match id {
        "claude-cli" => Some((
            "claude",
            &["-p", "--output-format", "stream-json", "--verbose"],
        )),
        "codex-cli" => Some((
            "codex",
            &[
                "exec",
                "--json",
                "--color",
                "never",
                "--sandbox",
                "read-only",
                "--skip-git-repo-check",
            ],
        )),
        _ => None,
    }
}

/// A program that answers for one agent.
pub struct CliModel {
    provider: String,
    program: Program,
    environment: Arc<Environment>,
    workspace: PathBuf,
    /// Held while the program runs.
    turn: Arc<Mutex<()>>,
}

impl CliModel {
    /// The backend that runs `program` in `workspace`. Calls that share `turn` are made one after the other.
    pub fn new(
        provider: &str,
        program: Program,
        environment: Arc<Environment>,
        workspace: &Path,
        turn: Arc<Mutex<()>>,
    ) -> Self {
        Self {
            provider: provider.to_owned(),
            program,
            environment,
            workspace: workspace.to_owned(),
            turn,
        }
    }
}

impl Backend for CliModel {
    fn stream(&self, request: ModelRequest) -> ReplyStream {
        let prompt = prompt(&request);
        let command = self.command(&request.model, &prompt);
        let provider = self.provider.clone();
        let (output, input) = (self.program.output, self.program.input);
        let (turn, workspace) = (Arc::clone(&self.turn), self.workspace.clone());
        let opened = async move {
            let turn = turn.lock_owned().await;
            let unreachable = |error: std::io::Error| BackendError::Unreachable {
                provider: provider.clone(),
                cause: error.to_string(),
            };
            // The first turn of an agent may come before its workspace does.
            std::fs::create_dir_all(&workspace).map_err(unreachable)?;
            let told = (input == CliInput::Stdin).then_some(prompt);
            let running = Running::start(command, told, turn).map_err(unreachable)?;
            let reader = Reader::new(output, &provider);
            Ok::<_, BackendError>(chunks(running, reader, provider))
        };
        stream::once(opened).try_flatten().boxed()
    }
}

impl CliModel {
    fn command(&self, model: &str, prompt: &str) -> Command {
        let Program {
            command,
            args,
            input,
            model_arg,
            configured,
            ..
        } = &self.program;
        let mut program = Command::new(command);
        program.args(args);
        if let Some(arg) = model_arg
            .as_ref()
            .filter(|_| !model.is_empty() && model != "default")
        {
            program.arg(arg).arg(model);
        }
        let is_own = |name: &str| OWN_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        let is_cleared = |name: &String| configured.clear_env.contains(name);
        let variables = self.environment.variables.iter();
        let variables = variables.filter(|(name, _)| !is_own(name) && !is_cleared(name));
        let more = configured
            .env
            .iter()
            .map(|(name, value)| (name, value.expose()));
        program.env_clear().envs(variables).envs(more);
        if *input == CliInput::Arg {
            program.arg(prompt);
        }
        program.current_dir(&self.workspace);
        program
    }
}

/// The conversation as a text. One that has just begun is told as it is.
fn prompt(request: &ModelRequest) -> String {
    let mut parts = Vec::new();
    if !request.system.is_empty() {
        parts.push(request.system.clone());
    }
    let said: Vec<(&str, &str)> = request
        .turns
        .iter()
        .filter_map(|turn| match turn {
            Turn::User { text, .. } => Some(("User", text.as_str())),
            Turn::Assistant { text, .. } if !text.is_empty() => Some(("Assistant", text.as_str())),
            Turn::Assistant { .. } | Turn::Result { .. } => None,
        })
        .collect();
    if let Some(((_, last), before)) = said.split_last() {
        if !before.is_empty() {
            let lines = before.iter().map(|(who, text)| format!("{who}: {text}"));
            let lines = lines.collect::<Vec<_>>().join("\n\n");
            parts.push(format!(
                "The conversation so far:\n\n{lines}\n\nThe user says now:"
            ));
        }
        parts.push((*last).to_owned());
    }
    parts.join("\n\n")
}

/// A program under way.
struct Running {
    /// Dropped first, and when the program has ended: kills what it has started.
    group: Option<Group>,
    child: Child,
    lines: BoxStream<'static, Result<Vec<u8>, BackendError>>,
    complaint: tokio::task::JoinHandle<Vec<u8>>,
    telling: tokio::task::JoinHandle<()>,
    _turn: OwnedMutexGuard<()>,
}

impl Running {
    fn start(
        mut command: Command,
        told: Option<String>,
        turn: OwnedMutexGuard<()>,
    ) -> std::io::Result<Self> {
        let input = if told.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        };
        let mut child = command
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let group = Group::of(&child);
        let missing = || std::io::Error::other("no pipe to the program");
        let stdout = child.stdout.take().ok_or_else(missing)?;
        let stderr = child.stderr.take().ok_or_else(missing)?;
        let stdin = child.stdin.take();
        Ok(Self {
            group: Some(group),
            lines: lines(stdout),
            complaint: tokio::spawn(complaint(stderr)),
            // Beside reading: a program may print before it has read all.
            telling: tokio::spawn(tell(stdin, told)),
            child,
            _turn: turn,
        })
    }

    /// How the program ended, as an error unless it ended well.
    async fn ended(&mut self, provider: &str) -> Result<(), BackendError> {
        let status = self
            .child
            .wait()
            .await
            .map_err(|error| BackendError::Unreachable {
                provider: provider.to_owned(),
                cause: error.to_string(),
            })?;
        // What it left behind would hold its complaints open.
        self.group = None;
        if status.success() {
            return Ok(());
        }
        let complaint = (&mut self.complaint).await.unwrap_or_default();
        let complaint = String::from_utf8_lossy(&complaint).into_owned();
        let line = complaint.trim().lines().next_back().unwrap_or_default();
        let line: String = line.chars().take(MAX_TOLD).collect();
        let message = match line.as_str() {
            "" => format!("the program ended with {status}"),
            line => format!("the program ended with {status}: {line}"),
        };
        Err(BackendError::Reported { message })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.complaint.abort();
        self.telling.abort();
    }
}

async fn tell(stdin: Option<ChildStdin>, told: Option<String>) {
    if let (Some(mut stdin), Some(told)) = (stdin, told) {
        // A program that does not want to know more closes the pipe; its exit tells the rest.
        let _ = stdin.write_all(told.as_bytes()).await;
    }
}

/// The end of what a program complains; reads all, so that the program is not held up.
async fn complaint(mut stderr: impl AsyncRead + Unpin) -> Vec<u8> {
    let (mut kept, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = stderr.read(&mut buffer).await {
        kept.extend_from_slice(&buffer[..count]);
        kept.drain(..kept.len().saturating_sub(MAX_COMPLAINT));
    }
    kept
}

/// The lines of an output with their breaks, bounded in length and in all.
fn lines(
    output: impl AsyncRead + Send + Unpin + 'static,
) -> BoxStream<'static, Result<Vec<u8>, BackendError>> {
    let state = (BufReader::new(output), 0);
    let next = |(mut reader, total): (BufReader<_>, usize)| async move {
        let mut line = Vec::new();
        let limit = MAX_LINE as u64 + 1;
        let count = AsyncReadExt::take(&mut reader, limit)
            .read_until(b'\n', &mut line)
            .await;
        match count {
            // Broken off in the middle; the exit tells more.
            Ok(0) | Err(_) => Ok(None),
            Ok(_) if line.len() > MAX_LINE => Err(BackendError::TooLarge { limit: MAX_LINE }),
            Ok(count) if total + count > MAX_OUTPUT => {
                Err(BackendError::TooLarge { limit: MAX_OUTPUT })
            }
            Ok(count) => Ok(Some((line, (reader, total + count)))),
        }
    };
    stream::try_unfold(state, next).boxed()
}

/// The reply of a program as it prints it.
fn chunks(
    running: Running,
    reader: Reader,
    provider: String,
) -> BoxStream<'static, Result<Chunk, BackendError>> {
    let state = Some((running, reader));
    let batches = stream::try_unfold(state, move |state| {
        let provider = provider.clone();
        async move {
            let Some((mut running, mut reader)) = state else {
                return Ok::<_, BackendError>(None);
            };
            let stalled = |_| BackendError::Stalled {
                seconds: SILENCE.as_secs(),
            };
            let line = tokio::time::timeout(SILENCE, running.lines.next()).await;
            match line.map_err(stalled)? {
                Some(line) => {
                    let chunks = reader.line(&line?)?;
                    let state = (!reader.is_done()).then_some((running, reader));
                    Ok(Some((chunks, state)))
                }
                None => {
                    let ended = tokio::time::timeout(SILENCE, running.ended(&provider)).await;
                    ended.map_err(stalled)??;
                    Ok(Some((reader.end()?, None)))
                }
            }
        }
    });
    let chunks = |batch: Vec<Chunk>| stream::iter(batch.into_iter().map(Ok::<_, BackendError>));
    batches.map_ok(chunks).try_flatten().boxed()
}

#[cfg(test)]
mod tests;
