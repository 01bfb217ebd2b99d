//! Tools: what a model may do beside talking. [`Toolbox`] is what one run may use of them: chosen by [`policy`], told to the
//! model as [`ToolSpec`]s, called by the loop in [`super::converse`].
//!
//! A tool never fails a run: whatever goes wrong is told to the model, which may try something else.

mod arguments;
mod bootstrap;
mod canvas;
mod cron;
mod device;
mod exec;
mod files;
mod gate;
mod mcp;
mod message;
mod nodes;
mod parameters;
mod pictures;
mod policy;
mod reach;
mod sessions;
mod workspace;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::attachments::Image;
use super::backend::{Call, ToolSpec};
use super::parts::Parts;
use super::runs::Runs;
use crate::sessions::SessionKey;
use crate::text::{first_bytes, first_chars};
use policy::{Policy, Tool};

pub(super) use bootstrap::files as bootstrap_files;
pub(super) use workspace::Workspace;
pub(crate) use workspace::{FileError, read_start};

pub use gate::{ConfigGate, ExecDecision, ExecGate, ExecRequest, NOT_LISTED, Ruling, SessionExec};
pub use mcp::Mcp;
pub use reach::{Reach, Reached};

/// Most bytes of text that one call brings: some twelve thousand tokens. What a tool has beyond it, it gives in parts.
pub(super) const MAX_OUTPUT: usize = 48 * 1024;
/// Longest shown summary of a call, in characters.
const MAX_META: usize = 200;

/// What a call brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Output {
    /// What the model is told.
    pub(super) text: String,
    /// Pictures that it is shown, if it sees any; at most [`pictures::MAX_PICTURES`].
    pub(super) pictures: Vec<Image>,
    /// Whether the tool failed.
    pub(super) is_error: bool,
}

impl Output {
    fn good(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            pictures: Vec::new(),
            is_error: false,
        }
    }

    /// A value as JSON.
    fn json(value: &Value) -> Self {
        Self::good(cut(value.to_string()))
    }

    /// A failure, in words for the model.
    pub(super) fn bad(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            pictures: Vec::new(),
            is_error: true,
        }
    }

    /// The same with pictures to see.
    fn showing(mut self, pictures: impl IntoIterator<Item = Image>) -> Self {
        self.pictures.extend(pictures);
        self
    }

    /// The result as transcripts hold it.
    pub(super) fn content(&self) -> Value {
        self.parts(pictures::part)
    }

    /// The result as listeners are told it: pictures are mentioned.
    pub(super) fn mention(&self) -> Value {
        self.parts(pictures::mention)
    }

    fn parts(&self, part: fn(&Image) -> Value) -> Value {
        let words = json!({"type": "text", "text": self.text});
        std::iter::once(words)
            .chain(self.pictures.iter().map(part))
            .collect()
    }
}

/// Hears of what a tool has brought so far.
pub(super) type Progress<'a> = &'a (dyn Fn(&str) + Send + Sync);

/// A tool of ours, or one of a server.
enum Offered {
    Own(Tool),
    Served(mcp::Served),
}

/// What one run may use.
pub(super) struct Toolbox {
    runs: Runs,
    session: SessionKey,
    /// Id of the run, or of the use by a program.
    run_id: String,
    /// Messages to people that the run has asked for.
    messages: AtomicU64,
    /// How many runs have asked each other before this one.
    hops: u8,
    workspace: Workspace,
    offered: Vec<Offered>,
    specs: Arc<[ToolSpec]>,
}

impl Toolbox {
    /// The tools that the configuration lets the session's agent use. Waits for servers of tools that have to be started.
    pub(super) async fn open(runs: &Runs, run_id: &str, session: &SessionKey, hops: u8) -> Self {
        let parts = runs.parts();
        let policy = Policy {
            all: &parts.config.tools,
            own: parts.agent(session.agent()).map(|agent| &agent.tools),
        };
        let can_reach = parts.reach.parts().is_some();
        let own = policy.offered().filter(|tool| can_reach || !tool.reaches());
        let mut offered: Vec<Offered> = own.map(Offered::Own).collect();
        let served = parts.mcp.offered(&policy).await;
        offered.extend(served.into_iter().map(Offered::Served));
        Self {
            runs: runs.clone(),
            session: session.clone(),
            run_id: run_id.to_owned(),
            messages: AtomicU64::new(0),
            hops,
            workspace: Workspace::new(parts.workspace(session.agent())),
            specs: offered.iter().map(Offered::spec).collect(),
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

    /// Whether one of our own tools is offered.
    fn has(&self, wanted: Tool) -> bool {
        let is_it = |offered: &Offered| matches!(offered, Offered::Own(tool) if *tool == wanted);
        self.offered.iter().any(is_it)
    }

    /// Runs a call. Dropping the future calls it off; a command it runs is killed then.
    pub(super) fn call<'a>(
        &'a self,
        call: &'a Call,
        progress: Progress<'a>,
    ) -> BoxFuture<'a, Output> {
        let mut offered = self.specs.iter().zip(&self.offered);
        let Some((_, tool)) = offered.find(|(spec, _)| spec.name == call.name) else {
            let text = format!("There is no tool \"{}\".", shorten(&call.name));
            return std::future::ready(Output::bad(text)).boxed();
        };
        let arguments = &call.arguments;
        let tool = match tool {
            Offered::Own(tool) => tool,
            Offered::Served(served) => return served.call(arguments).boxed(),
        };
        match (tool, self.runs.parts().reach.parts()) {
            (Tool::Read | Tool::Write | Tool::Edit, _) => {
                let shared = self.runs.parts().skills.shared().into_iter();
                let shared = shared.map(Workspace::new).collect();
                files::call(self.workspace.clone(), shared, *tool, arguments.clone()).boxed()
            }
            (Tool::Exec, _) => exec::call(self, arguments, progress).boxed(),
            (Tool::SessionsList, _) => sessions::list(self, arguments).boxed(),
            (Tool::SessionsHistory, _) => sessions::history(self, arguments).boxed(),
            (Tool::SessionsSend, _) => sessions::send(self, arguments).boxed(),
            (Tool::Message, _) => message::send(self, arguments).boxed(),
            (Tool::Cron, Some(reached)) => either(cron::call(self, reached, arguments)).boxed(),
            (Tool::Nodes, Some(reached)) => either(nodes::call(self, reached, arguments)).boxed(),
            (Tool::Canvas, Some(reached)) => either(canvas::call(self, reached, arguments)).boxed(),
            // Not offered.
            (Tool::Cron | Tool::Nodes | Tool::Canvas, None) => {
                std::future::ready(Output::bad("The tool is not ready.")).boxed()
            }
        }
    }
}

impl Offered {
    fn spec(&self) -> ToolSpec {
        match self {
            Self::Own(tool) => tool.spec(),
            Self::Served(served) => served.spec().clone(),
        }
    }
}

/// What a call came to, whichever way it ended: a model is told of both.
async fn either(call: impl Future<Output = Result<Output, Output>>) -> Output {
    match call.await {
        Ok(output) | Err(output) => output,
    }
}

/// Whether the configuration lets an agent (normalised id) read files.
pub(super) fn can_read(parts: &Parts, agent: &str) -> bool {
    let policy = Policy {
        all: &parts.config.tools,
        own: parts.agent(agent).map(|agent| &agent.tools),
    };
    policy.offered().any(|tool| tool == Tool::Read)
}

/// What a call is about, in a few words: the path, the command, the session.
pub(super) fn meta(call: &Call) -> Option<String> {
    ["path", "command", "sessionKey", "to", "label", "action"]
        .iter()
        .find_map(|name| call.arguments.get(name)?.as_str())
        .map(shorten)
        .filter(|meta| !meta.is_empty())
}

fn shorten(text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or_default();
    first_chars(line, MAX_META).to_owned()
}

/// A list as text, cut at its end until it fits.
fn told(mut rows: Vec<Value>) -> Output {
    loop {
        let text = Value::Array(rows.clone()).to_string();
        if text.len() <= MAX_OUTPUT {
            return Output::good(text);
        }
        // Lists are bounded, so this ends soon; half a list is better than a broken one.
        rows.truncate(rows.len() / 2);
    }
}

/// A text that is not too long, or the start of one that is.
fn cut(text: String) -> String {
    if text.len() <= MAX_OUTPUT {
        return text;
    }
    let start = first_bytes(&text, MAX_OUTPUT);
    let rest = text.len() - start.len();
    format!("{start}\n[{rest} bytes after this are left out]")
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
            (json!({"action": "list"}), Some("list")),
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

    #[test]
    fn lists_fit() {
        let row = json!("x".repeat(MAX_OUTPUT / 4));
        assert_eq!(
            told(vec![row.clone(); 3]).text.len(),
            3 * (MAX_OUTPUT / 4 + 2) + 4
        );
        assert_eq!(told(vec![row; 5]).text.len(), 2 * (MAX_OUTPUT / 4 + 2) + 3);
        assert_eq!(told(vec![json!("x".repeat(MAX_OUTPUT))]).text, "[]");
    }

    #[test]
    fn texts_are_cut_at_n_and_one_more() {
        let most = "x".repeat(MAX_OUTPUT);
        assert_eq!(cut(most.clone()), most);
        let cut = cut(format!("{most}y"));
        assert_eq!(cut, format!("{most}\n[1 bytes after this are left out]"));
    }
}
