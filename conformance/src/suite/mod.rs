//! Runs sessions, several at a time, each with a gateway of its own or all against one that runs already.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::clock;
use crate::gateway::{Command, Home, Process, free_port, last_lines, search_path, signal};
use crate::judge::{Finding, Heard, Judge, Laws, SchemaCheck};
use crate::keys::TestKeys;
use crate::model::Model;
use crate::race::Races;
use crate::replay::{Endpoint, Names, Player, Stall, play};
use crate::rules::Rules;
use crate::schema::FrameSchemas;
use crate::session::{Action, Mark, Session};
use crate::track::Requests;

/// Shortest time before a client closes; most recorded pauses there are longer.
const SETTLE: Duration = Duration::from_millis(50);
/// Methods that run the agent and so need the scripted model.
const NEED_MODEL: [&str; 5] = ["agent", "chat.send", "cron.run", "wake", "node.event"];
/// Beginnings of methods whose answers depend on what is stored.
const NEED_FRESH: [&str; 9] = [
    "sessions.",
    "chat.",
    "agents.",
    "cron.",
    "device.",
    "node.",
    "config.",
    "exec.",
    "wizard.",
];

/// Where the gateway under test comes from.
#[derive(Debug, Clone)]
pub enum Target {
    /// Started for each session.
    Start {
        /// How.
        command: Command,
        /// Added to its environment.
        env: BTreeMap<String, String>,
        /// Longest start.
        patience: Duration,
    },
    /// Runs already.
    Attach {
        /// Where it listens.
        addr: SocketAddr,
        /// Its shared secret.
        token: String,
    },
}

/// What a run needs.
pub struct Suite {
    /// The gateway under test.
    pub target: Target,
    /// Test devices.
    pub keys: TestKeys,
    /// How fields are compared.
    pub rules: Rules,
    /// Improvements that hold everywhere.
    pub laws: Laws,
    /// Values that may show or not.
    pub races: Races,
    /// Odds of the sessions that were edited.
    pub odds: BTreeMap<String, Vec<u32>>,
    /// Sessions that are known to fail, and why.
    pub known_failing: BTreeMap<String, String>,
    /// The published schema of frames.
    pub schemas: Option<FrameSchemas>,
    /// Longest wait for a frame beyond its recorded time.
    pub patience: Duration,
    /// Where homes of failing sessions are moved to; none: they are removed.
    pub keep: Option<PathBuf>,
}

/// What became of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// As recorded.
    Passed,
    /// As expected where the recording is to be improved on (odds).
    Deviating(Vec<u32>),
    /// As recorded or expected, as far as it is about methods that the gateway serves: these it says it does not have yet.
    Without(Vec<String>),
    /// Failed, which is known and has this reason.
    KnownFailing(String),
    /// Passed although it is listed as failing.
    UnexpectedPass(String),
    /// Failed.
    Failed,
    /// Not played, with the reason.
    Skipped(String),
}

impl Status {
    /// Whether the run as a whole fails because of it.
    pub fn is_bad(&self) -> bool {
        matches!(self, Self::Failed | Self::UnexpectedPass(_))
    }
}

/// Result of one session.
pub struct Outcome {
    /// The session as it was expected, deviations applied.
    pub session: Arc<Session>,
    /// What became of it.
    pub status: Status,
    /// Everything that was wrong.
    pub findings: Vec<Finding>,
    /// Why it could not be played to the end.
    pub stall: Option<Stall>,
    /// What kept the gateway from being tested at all.
    pub error: Option<String>,
    /// What the gateway said.
    pub heard: Heard,
    /// The kept home.
    pub home: Option<PathBuf>,
    /// Start of the gateway included.
    pub took: Duration,
}

/// What playing one session gave.
#[derive(Default)]
struct Trial {
    findings: Vec<Finding>,
    stall: Option<Stall>,
    error: Option<String>,
    /// Methods that the gateway said it does not serve yet.
    unserved: BTreeSet<String>,
    heard: Heard,
    home: Option<PathBuf>,
}

impl Trial {
    fn failed(error: impl std::fmt::Display) -> Self {
        Self {
            error: Some(error.to_string()),
            ..Self::default()
        }
    }

    fn is_pass(&self) -> bool {
        self.findings.is_empty() && self.stall.is_none() && self.error.is_none()
    }
}

/// Runs sessions, `jobs` at a time, longest first. Calls `done` with each outcome; gives all of them by name.
///
/// # Errors
///
/// When the model server cannot be started.
pub async fn run(
    suite: Arc<Suite>,
    sessions: Vec<Session>,
    jobs: usize,
    mut done: impl FnMut(&Outcome),
) -> std::io::Result<Vec<Outcome>> {
    let model = Arc::new(Model::start(crate::model::Pace::default()).await?);
    let slots = Arc::new(Semaphore::new(jobs.max(1)));
    let mut sessions: Vec<Arc<Session>> = sessions.into_iter().map(Arc::new).collect();
    sessions.sort_by_key(|s| std::cmp::Reverse(s.steps.last().map(|step| step.t)));
    let constants: Arc<Vec<String>> = Arc::new(suite.keys.constants().map(str::to_owned).collect());
    let mut running = JoinSet::new();
    for session in sessions {
        let (suite, model, slots) = (suite.clone(), model.clone(), slots.clone());
        let constants = constants.clone();
        running.spawn(async move {
            // The semaphore is never closed.
            let _slot = slots.acquire().await;
            suite.outcome(session, model.port(), &constants).await
        });
    }
    let mut outcomes = Vec::new();
    while let Some(outcome) = running.join_next().await {
        // A task that panicked is a bug of the suite; it must not look like a session less.
        let outcome = outcome.map_err(std::io::Error::other)?;
        done(&outcome);
        outcomes.push(outcome);
    }
    outcomes.sort_by(|a, b| a.session.name.cmp(&b.session.name));
    Ok(outcomes)
}

impl Suite {
    async fn outcome(
        &self,
        session: Arc<Session>,
        model_port: u16,
        constants: &[String],
    ) -> Outcome {
        let begun = Instant::now();
        let skipped = match self.target {
            Target::Start { .. } => None,
            Target::Attach { .. } => needs_own_gateway(&session),
        };
        let trial = match (&skipped, &self.target) {
            (Some(_), _) => Trial::default(),
            (
                None,
                Target::Start {
                    command,
                    env,
                    patience,
                },
            ) => {
                self.start_and_play(&session, (command, env, *patience), model_port, constants)
                    .await
            }
            (None, Target::Attach { addr, token }) => {
                let names = Names::new(None, addr.port(), None);
                let endpoint = Endpoint {
                    addr: *addr,
                    names,
                    token: Some(token.clone()),
                    signal: None,
                };
                self.play(&session, &endpoint, constants, true).await
            }
        };
        let name = &session.name;
        let status = status(
            skipped,
            self.known_failing.get(name),
            self.odds.get(name),
            trial.is_pass().then_some(&trial.unserved),
        );
        let Trial {
            findings,
            stall,
            error,
            unserved: _,
            heard,
            home,
        } = trial;
        Outcome {
            session,
            status,
            findings,
            stall,
            error,
            heard,
            home,
            took: begun.elapsed(),
        }
    }

    async fn start_and_play(
        &self,
        session: &Session,
        (command, env, patience): (&Command, &BTreeMap<String, String>, Duration),
        model_port: u16,
        constants: &[String],
    ) -> Trial {
        let port = match free_port() {
            Ok(port) => port,
            Err(error) => return Trial::failed(format_args!("no free port: {error}")),
        };
        let home = match Home::new(&session.setup, port, model_port) {
            Ok(home) => home,
            Err(error) => return Trial::failed(error),
        };
        let mut environment = home.environment(&session.setup, &search_path());
        environment.extend(env.clone());
        let started = Process::start(
            command,
            port,
            home.path(),
            &environment,
            &home.output(),
            patience,
        )
        .await;
        let process = match started {
            Ok(process) => process,
            Err(error) => return Trial::failed(error),
        };
        let pid = process.pid();
        let send = |name: &str| match pid {
            Some(pid) => signal(pid, name),
            None => Err(std::io::Error::other("the gateway has ended")),
        };
        let names = Names::new(home.path().to_str(), port, Some(model_port));
        let endpoint = Endpoint {
            addr: process.addr(),
            names,
            token: None,
            signal: Some(&send),
        };
        let mut trial = self
            .play(session, &endpoint, constants, !session.setup.fresh)
            .await;
        process.stop().await;
        if !trial.is_pass() {
            if let Some(stall) = &mut trial.stall
                && stall.message.contains("cannot connect")
            {
                stall.message.push_str(&format!(
                    "; last words of the gateway:\n{}",
                    last_lines(&home.output())
                ));
            }
            trial.home = self
                .keep
                .as_deref()
                .and_then(|keep| keep_home(home, keep, &session.name));
        }
        trial
    }

    async fn play(
        &self,
        session: &Session,
        endpoint: &Endpoint<'_>,
        constants: &[String],
        shared_gateway: bool,
    ) -> Trial {
        let player = Player {
            keys: &self.keys,
            rules: &self.rules,
            constants,
            pace: 1.0,
            settle: SETTLE,
            patience: self.patience,
            now_ms: clock::now_ms,
        };
        let played = play(player, session, endpoint).await;
        let schema = self
            .schemas
            .as_ref()
            .map(|schemas| |label: &str, frame: &Value| schemas.errors(label, frame));
        let judge = Judge {
            rules: &self.rules,
            constants,
            laws: self.laws,
            shared_gateway,
            schema: schema.as_ref().map(|s| s as &SchemaCheck<'_>),
            races: self.races.of(&session.name),
        };
        let findings = judge.findings(session, &played.heard, played.reached);
        Trial {
            unserved: judge.unserved(session, &played.heard),
            findings,
            stall: played.stall,
            error: None,
            heard: played.heard,
            home: None,
        }
    }
}

/// What became of a session that is skipped for a reason, known to fail for a reason, expected to deviate. One that
/// `passed` may have done so without methods that are not served yet.
fn status(
    skipped: Option<String>,
    known: Option<&String>,
    odds: Option<&Vec<u32>>,
    passed: Option<&BTreeSet<String>>,
) -> Status {
    match (skipped, known, passed) {
        (Some(reason), ..) => Status::Skipped(reason),
        (None, Some(reason), None) => Status::KnownFailing(reason.clone()),
        (None, Some(reason), Some(_)) => Status::UnexpectedPass(reason.clone()),
        (None, None, None) => Status::Failed,
        (None, None, Some(unserved)) if !unserved.is_empty() => {
            Status::Without(unserved.iter().cloned().collect())
        }
        (None, None, Some(_)) => {
            odds.map_or(Status::Passed, |odds| Status::Deviating(odds.clone()))
        }
    }
}

/// Moves a home to `keep/<name>`.
fn keep_home(home: Home, keep: &Path, name: &str) -> Option<PathBuf> {
    let target = keep.join(name);
    std::fs::create_dir_all(keep).ok()?;
    // From an earlier run.
    let _ = std::fs::remove_dir_all(&target);
    let from = home.keep();
    // A temporary folder on another file system stays where it is.
    Some(std::fs::rename(&from, &target).map_or(from, |()| target))
}

/// Why a session cannot be played against a gateway that others use too.
pub fn needs_own_gateway(session: &Session) -> Option<String> {
    if session
        .setup
        .config
        .as_object()
        .is_some_and(|c| !c.is_empty())
    {
        return Some("needs a configuration of its own".into());
    }
    if !session.setup.env.is_empty() {
        return Some("needs an environment of its own".into());
    }
    for step in &session.steps {
        if let Action::Mark(Mark::Signal { signal }) = &step.action {
            return Some(format!("sends {signal} to the gateway"));
        }
    }
    let requests = Requests::of(session);
    for step in &session.steps {
        // A call that is refused is refused everywhere.
        let Action::Receive { conn, frame } = &step.action else {
            continue;
        };
        let label = requests.describe(conn, frame);
        let served = frame.get("ok").is_some_and(|ok| ok == true);
        let Some(method) = label.strip_prefix("res ").filter(|_| served) else {
            continue;
        };
        if NEED_MODEL.contains(&method) {
            return Some(format!("{method} needs the scripted model"));
        }
        if NEED_FRESH.iter().any(|start| method.starts_with(start)) {
            return Some(format!("{method} needs an empty home"));
        }
    }
    None
}

/// Reads a list of sessions that are known to fail: `name  reason`, one a line; `#` begins a comment.
///
/// # Errors
///
/// When the file cannot be read or a line has no reason.
pub fn known_failing(path: &Path) -> std::io::Result<BTreeMap<String, String>> {
    let mut known = BTreeMap::new();
    for (i, line) in std::fs::read_to_string(path)?.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, reason) = line.split_once(char::is_whitespace).ok_or_else(|| {
            std::io::Error::other(format!(
                "{}:{}: no reason why {line} fails",
                path.display(),
                i + 1
            ))
        })?;
        known.insert(name.to_owned(), reason.trim().to_owned());
    }
    Ok(known)
}

#[cfg(test)]
mod tests;
