//! Runs as requests and events show them, over a store in a temporary directory, with a scripted backend and tokio's
//! clock standing still.

mod calling_off;
mod catalog;
mod commands;
mod context;
mod delivery;
mod ends;
mod faults;
mod keys;
mod listed;
mod message;
mod quiet;
mod reach;
mod recovery;
mod requests;
mod tools;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use openclaw_protocol::events::Event;
use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::types::{
    AgentEventPhase, AgentParams, AgentStream, ChatHistoryParams, ChatSendParams, ChatState,
    ErrorShape, SessionsDefaults, SessionsListParams,
};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::backend::scripted::{Scripted, Step};
use super::requests::AgentAnswer;
use super::{Models, Parts, Runs};
use crate::clock::ManualClock;
use crate::config::Config;
use crate::hub::EventSink;
use crate::outbox::testing::Pigeon;
use crate::sessions::Entry;
use crate::skills::Skills;
use crate::testing::assert_conforms;

/// Longest wait for something that must happen, in real time.
const PATIENCE: Duration = Duration::from_secs(20);
const START: u64 = 1_000_000;

/// Collects events; each must be one that the schema has.
struct Recorder(watch::Sender<Vec<Event>>);

impl EventSink for Recorder {
    fn emit(&self, event: Event) {
        assert_conforms(&event);
        self.0.send_modify(|events| events.push(event));
    }
}

/// A gateway's runs in a temporary directory.
struct World {
    runs: Runs,
    model: Scripted,
    clock: Arc<ManualClock>,
    events: Arc<Recorder>,
    pigeon: Pigeon,
    dir: Arc<tempfile::TempDir>,
    /// Held so that tokio's paused clock does not run ahead while the store's thread works: it stands still as long as
    /// a blocking task is under way.
    _standstill: std::sync::mpsc::Sender<()>,
}

impl World {
    async fn new(replies: impl IntoIterator<Item = Vec<Step>>) -> Self {
        Self::configured(json!({}), replies).await
    }

    async fn configured(config: Value, replies: impl IntoIterator<Item = Vec<Step>>) -> Self {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        Self::over(dir, config, START, replies).await
    }

    async fn over(
        dir: Arc<tempfile::TempDir>,
        config: Value,
        now: u64,
        replies: impl IntoIterator<Item = Vec<Step>>,
    ) -> Self {
        let model = Scripted::new(replies);
        let answering = Arc::new(model.clone());
        let models = |config| Models::answered_by(config, answering);
        Self::answered(dir, config, now, model, models).await
    }

    /// With these models; what `model` was asked is nothing where they are others.
    async fn answered(
        dir: Arc<tempfile::TempDir>,
        config: Value,
        now: u64,
        model: Scripted,
        models: impl FnOnce(Arc<Config>) -> Models,
    ) -> Self {
        let (standstill, until) = std::sync::mpsc::channel::<()>();
        tokio::task::spawn_blocking(move || until.recv());
        let config: Arc<Config> = Arc::new(serde_json::from_value(with_model(config)).unwrap());
        let clock = Arc::new(ManualClock::new(now));
        let events = Arc::new(Recorder(watch::Sender::new(Vec::new())));
        let pigeon = Pigeon::new(false, []);
        let parts = Parts::of_test(dir.path(), &config, clock.clone(), &pigeon).await;
        let parts = Parts {
            models: models(Arc::clone(&config)),
            events: events.clone(),
            skills: Skills::new(&config, None, dir.path(), &parts.environment),
            ..parts
        };
        let runs = Runs::open(parts).await.unwrap();
        Self {
            runs,
            model,
            clock,
            events,
            pigeon,
            dir,
            _standstill: standstill,
        }
    }

    /// A directory as a killed process leaves it: what was acknowledged is on disk.
    fn killed(&self) -> Arc<tempfile::TempDir> {
        let copy = tempfile::tempdir().unwrap();
        let store = copy.path().join("store");
        std::fs::create_dir(&store).unwrap();
        for file in std::fs::read_dir(self.path().join("store")).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), store.join(file.file_name())).unwrap();
        }
        Arc::new(copy)
    }

    /// Lets a text wait for the next run of a session.
    async fn tell(&self, session_key: &str, text: &str) {
        let parts = self.runs.parts();
        let key = parts.sessions.key(session_key);
        parts.waiting.push(&key, text).await.unwrap();
    }

    /// What waits for the next run of a session.
    fn waiting(&self, session_key: &str) -> Vec<String> {
        let parts = self.runs.parts();
        parts.waiting.peek(&parts.sessions.key(session_key))
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    async fn agent(&self, params: Value) -> Result<AgentAnswer, ErrorShape> {
        self.runs
            .agent(serde_json::from_value::<AgentParams>(params).unwrap())
            .await
    }

    /// The answers to an `agent` request in order, as their payload or error text.
    async fn agent_answers(&self, params: Value) -> Vec<Value> {
        let shown = |outcome: Result<_, _>| match outcome {
            Ok(payload) => {
                serde_json::to_value::<openclaw_protocol::types::AgentFinal>(payload).unwrap()
            }
            Err(failure) => shown_failure(failure),
        };
        match self.agent(params).await {
            Err(error) => vec![json!({"refused": error.message, "code": error.code})],
            Ok(AgentAnswer::First(first)) => vec![json!(first)],
            Ok(AgentAnswer::Final(outcome)) => vec![shown(outcome)],
            Ok(AgentAnswer::Both { first, then }) => vec![json!(first), shown(then.await)],
        }
    }

    /// The answer to a `chat.send` request.
    async fn chat(&self, session_key: &str, message: &str, id: &str) -> Value {
        let params = json!({"sessionKey": session_key, "message": message, "idempotencyKey": id});
        self.chat_with(params).await
    }

    async fn chat_with(&self, params: Value) -> Value {
        let params: ChatSendParams = serde_json::from_value(params).unwrap();
        match self.runs.chat_send(params, Some("Client A")).await {
            Ok(result) => json!(result),
            Err(failure) => shown_failure(failure),
        }
    }

    fn abort(&self, session_key: &str, run_id: Option<&str>) -> Value {
        let params = serde_json::from_value(match run_id {
            Some(run_id) => json!({"sessionKey": session_key, "runId": run_id}),
            None => json!({"sessionKey": session_key}),
        });
        match self.runs.chat_abort(&params.unwrap()) {
            Ok(result) => json!(result),
            Err(error) => json!({"refused": error.message, "code": error.code}),
        }
    }

    fn history(&self, session_key: &str) -> Value {
        let key = NonEmptyString::or(session_key, "main");
        json!(self.runs.chat_history(ChatHistoryParams::new(key)).unwrap())
    }

    /// Role and text of every message of a session.
    fn said(&self, session_key: &str) -> Vec<String> {
        let history = self.history(session_key);
        let messages = history["messages"].as_array().unwrap().iter();
        let text = |message: &Value| {
            message["content"][0]["text"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        messages
            .map(|message| format!("{}: {}", message["role"].as_str().unwrap(), text(message)))
            .collect()
    }

    /// Changes the entry of a session, making it if there is none.
    async fn settle(&self, key: &str, change: impl FnOnce(&mut Entry) + Send + 'static) {
        let key = self.runs.sessions().key(key);
        let write = self.runs.sessions().write(move |changes| {
            let mut entry = changes.entry(&key)?.unwrap_or_else(|| Entry::new(START));
            change(&mut entry);
            changes.put_entry(&key, &entry)
        });
        write.await.unwrap();
    }

    /// Runs a turn of the main session to its end and returns its answers.
    async fn turn(&self, message: &str, id: &str) -> Vec<Value> {
        self.agent_answers(json!({"message": message, "sessionKey": "main", "idempotencyKey": id}))
            .await
    }

    fn row(&self, key: &str) -> Value {
        let params = SessionsListParams {
            search: Some(key.to_owned()),
            ..SessionsListParams::default()
        };
        let defaults = SessionsDefaults::new(None, None, None);
        json!(
            self.runs
                .sessions()
                .list(&params, START, defaults)
                .unwrap()
                .sessions[0]
        )
    }

    async fn wait(&self, run_id: &str, timeout_ms: u64) -> Value {
        let params =
            serde_json::from_value(json!({"runId": run_id, "timeoutMs": timeout_ms})).unwrap();
        json!(self.runs.agent_wait(params).await)
    }

    /// Waits until an event shows as `line`, and returns all lines up to it.
    async fn until(&self, line: &str) -> Vec<String> {
        let mut events = self.events.0.subscribe();
        let mut lines = Vec::new();
        let seen = events.wait_for(|events| {
            lines = events.iter().map(shown).collect();
            lines.iter().any(|shown| shown == line)
        });
        let seen = in_time(seen).await.is_some();
        assert!(seen, "no event {line:?} among {lines:#?}");
        lines.truncate(lines.iter().position(|shown| shown == line).unwrap() + 1);
        lines
    }

    fn lines(&self) -> Vec<String> {
        self.events.0.borrow().iter().map(shown).collect()
    }
}

/// Resolves `work`, or none if it takes longer than any machine needs. Tokio's clock stands still, so this one is real.
async fn in_time<T>(work: impl Future<Output = T>) -> Option<T> {
    let (stop, alarm) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || {
        let (_never, receiver) = std::sync::mpsc::channel::<()>();
        let _ = receiver.recv_timeout(PATIENCE);
        let _ = stop.send(());
    });
    tokio::select! {
        done = work => Some(done),
        _ = alarm => None,
    }
}

fn with_model(mut config: Value) -> Value {
    let provider = json!({"baseUrl": "http://127.0.0.1:1/v1", "models": [{"id": "echo-1", "contextWindow": 128_000}]});
    let defaults = json!({"model": "mock/echo-1"});
    for (path, value) in [
        ("/models", json!({"providers": {"mock": provider}})),
        ("/agents", json!({"defaults": defaults})),
    ] {
        if config.pointer(path).is_none() {
            config[path.trim_start_matches('/')] = value;
        }
    }
    config
}

fn shown_failure<X: serde::Serialize>(failure: openclaw_protocol::server::Failure<X>) -> Value {
    match failure.payload {
        None => json!({"refused": failure.error.message, "code": failure.error.code}),
        Some(payload) => {
            assert_eq!(
                json!(payload)["summary"],
                json!(failure.error.message),
                "the same words"
            );
            json!({"failed": payload, "code": failure.error.code})
        }
    }
}

/// An event in a line: who, number, what.
fn shown(event: &Event) -> String {
    match event {
        Event::Agent(agent) => {
            let data = &agent.data;
            let what = match (data.phase, &data.text) {
                (Some(phase), _) if agent.stream == AgentStream::Tool => {
                    let name = data.name.as_deref().unwrap();
                    let id = data.tool_call_id.as_deref().unwrap();
                    let rest = match phase {
                        AgentEventPhase::Start => data.args.clone().unwrap().to_string(),
                        AgentEventPhase::Update => data.partial_result.clone().unwrap().to_string(),
                        _ => format!(
                            "{:?} {} {}",
                            data.meta.as_deref().unwrap_or_default(),
                            if data.is_error.unwrap() {
                                "bad"
                            } else {
                                "good"
                            },
                            data.result.as_ref().unwrap()["content"][0]["text"]
                        ),
                    };
                    format!("tool {phase:?} {name} {id} {rest}")
                }
                (Some(phase), _) if agent.stream == AgentStream::Compaction => {
                    let retry = data.will_retry == Some(true);
                    format!("compaction {phase:?}{}", if retry { " retry" } else { "" })
                }
                (Some(AgentEventPhase::Start), _) => "start".to_owned(),
                (Some(AgentEventPhase::End), _) => "end".to_owned(),
                (Some(AgentEventPhase::Error), _) => {
                    format!("error {}", agent.data.error.as_deref().unwrap())
                }
                (_, Some(text)) => {
                    format!("text {text:?} +{:?}", agent.data.delta.as_deref().unwrap())
                }
                _ => panic!("{agent:?}"),
            };
            format!("{} agent {} {what}", agent.run_id, agent.seq.unwrap())
        }
        Event::Chat(chat) => {
            let text = chat
                .message
                .as_ref()
                .map(|message| message.content[0].text.clone().unwrap());
            let what = match chat.state {
                ChatState::Delta => format!("delta {:?}", text.unwrap()),
                ChatState::Final => {
                    text.map_or("final".to_owned(), |text| format!("final {text:?}"))
                }
                ChatState::Error => format!("error {}", chat.error_message.as_deref().unwrap()),
                ChatState::Aborted => format!("aborted {}", chat.stop_reason.as_deref().unwrap()),
            };
            format!("{} chat {} {what}", chat.run_id, chat.seq)
        }
        other => panic!("{other:?}"),
    }
}
