//! Tools: what a model may do beside talking. [`Toolbox`] is what one run may use of them: chosen by [`policy`], told to the
//! model as [`ToolSpec`]s, called by the loop in [`super::converse`].
//!
//! A tool never fails a run: whatever goes wrong is told to the model, which may try something else.

mod arguments;
mod bootstrap;
mod exec;
mod files;
mod gate;
mod message;
mod policy;
mod sessions;
mod workspace;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::backend::{Call, ToolSpec};
use super::runs::Runs;
use crate::sessions::SessionKey;
use crate::text::first_chars;
use policy::Tool;

pub(super) use bootstrap::files as bootstrap_files;
pub(super) use workspace::Workspace;
pub(crate) use workspace::{FileError, read_start};

pub use gate::{ConfigGate, ExecGate, ExecRequest, NOT_LISTED, Ruling, SessionExec, Verdict};

/// Most bytes of text that one call brings: some twelve thousand tokens. What a tool has beyond it, it gives in parts.
pub(super) const MAX_OUTPUT: usize = 48 * 1024;
/// Longest shown summary of a call, in characters.
const MAX_META: usize = 200;

/// What a call brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Output {
    /// What the model is told.
    pub(super) text: String,
    /// Whether the tool failed.
    pub(super) is_error: bool,
}

impl Output {
    fn good(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            is_error: false,
        }
    }

    /// A failure, in words for the model.
    pub(super) fn bad(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            is_error: true,
        }
    }

    /// The result in the shape of transcripts and events.
    pub(super) fn content(&self) -> Value {
        json!([{"type": "text", "text": self.text}])
    }
}

/// Hears of what a tool has brought so far.
pub(super) type Progress<'a> = &'a (dyn Fn(&str) + Send + Sync);

/// What one run may use.
pub(super) struct Toolbox {
    runs: Runs,
    session: SessionKey,
    /// Id of the run.
    run_id: String,
    /// Messages to people that the run has asked for.
    messages: AtomicU64,
    /// How many runs have asked each other before this one.
    hops: u8,
    workspace: Workspace,
    offered: Vec<Tool>,
    specs: Arc<[ToolSpec]>,
}

impl Toolbox {
    /// The tools that the configuration lets the session's agent use.
    pub(super) fn new(runs: &Runs, run_id: &str, session: &SessionKey, hops: u8) -> Self {
        let parts = runs.parts();
        let own = parts.agent(session.agent()).map(|agent| &agent.tools);
        let offered = policy::offered(&parts.config.tools, own);
        Self {
            runs: runs.clone(),
            session: session.clone(),
            run_id: run_id.to_owned(),
            messages: AtomicU64::new(0),
            hops,
            workspace: Workspace::new(parts.workspace(session.agent())),
            specs: offered.iter().map(|tool| tool.spec()).collect(),
            offered,
        }
    }

    /// The tools as models are told them.
    pub(super) fn specs(&self) -> Arc<[ToolSpec]> {
        Arc::clone(&self.specs)
    }

    /// The folder that the agent works in.
    pub(super) fn workspace(&self) -> &Path {
        self.workspace.path()
    }

    /// Runs a call. Dropping the future calls it off; a command it runs is killed then.
    pub(super) fn call<'a>(
        &'a self,
        call: &'a Call,
        progress: Progress<'a>,
    ) -> BoxFuture<'a, Output> {
        let Some(tool) = self.offered.iter().find(|tool| tool.name() == call.name) else {
            let text = format!("There is no tool \"{}\".", shorten(&call.name));
            return std::future::ready(Output::bad(text)).boxed();
        };
        match tool {
            Tool::Read | Tool::Write | Tool::Edit => {
                files::call(self.workspace.clone(), *tool, call.arguments.clone()).boxed()
            }
            Tool::Exec => exec::call(self, &call.arguments, progress).boxed(),
            Tool::SessionsList => sessions::list(self, &call.arguments).boxed(),
            Tool::SessionsHistory => sessions::history(self, &call.arguments).boxed(),
            Tool::SessionsSend => sessions::send(self, &call.arguments).boxed(),
            Tool::Message => message::send(self, &call.arguments).boxed(),
        }
    }
}

/// What a call is about, in a few words: the path, the command, the session.
pub(super) fn meta(call: &Call) -> Option<String> {
    ["path", "command", "sessionKey", "to", "label"]
        .iter()
        .find_map(|name| call.arguments.get(name)?.as_str())
        .map(shorten)
        .filter(|meta| !meta.is_empty())
}

fn shorten(text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or_default();
    first_chars(line, MAX_META).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_calls_are_about() {
        for (arguments, about) in [
            (json!({"path": "a.txt"}), Some("a.txt")),
            (json!({"command": " ls\nrm"}), Some("ls")),
            (json!({"sessionKey": "main", "message": "x"}), Some("main")),
            (json!({"path": 5}), None),
            (json!({"path": " "}), None),
            (json!("{pa"), None),
        ] {
            let call = Call {
                id: "c".into(),
                name: "x".into(),
                arguments,
            };
            assert_eq!(meta(&call).as_deref(), about, "{call:?}");
        }
        assert_eq!(shorten(&"ü".repeat(MAX_META + 1)).chars().count(), MAX_META);
    }
}
