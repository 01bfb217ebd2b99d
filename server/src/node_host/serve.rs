//! Connects a node to its gateway, carries out what is asked, and comes back when the connection is lost.

use std::sync::Arc;

use openclaw_client::{Backoff, Client, ClientConfig, ConnectError, Disconnect, Reconnect};
use openclaw_protocol::events::Event;
use openclaw_protocol::protocol::Role;
use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::types::NodeInvokeRequestEvent;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::speaker::{self, Speaker, Told};
use super::{CAPS, COMMANDS, Failure, Host, MAX_COMMANDS, commands};

/// Tasks at a time: commands, and refusals that wait to be sent. A gateway that asks for more gets no answer.
const MAX_TASKS: usize = 8 * MAX_COMMANDS;

/// Characters of a command's name that the log shows.
const NAME_CHARS: usize = 80;

/// What the person at the terminal is told.
#[derive(Debug)]
pub enum Notice {
    /// Connected, for the first time or again.
    Connected {
        /// Id under which the gateway knows the node.
        node_id: String,
    },
    /// An operator of the gateway has to approve this device; the node keeps asking.
    WaitingForApproval {
        /// The request to be approved, if the gateway named it.
        request_id: Option<String>,
    },
    /// Not connected yet; the node keeps trying.
    NotYet(ConnectError),
    /// The connection is lost; the node keeps trying.
    Lost(Disconnect),
}

/// Why a node host ended.
#[derive(Debug, thiserror::Error)]
pub enum NodeHostError {
    /// The gateway refuses this node, and trying again would not help.
    #[error(transparent)]
    Refused(#[from] ConnectError),
    /// The node has no device identity, so no gateway can tell it from others.
    #[error("a node needs a device identity")]
    NoIdentity,
    /// The client has ended, which it does not do by itself.
    #[error("the connection was closed for good")]
    Ended,
}

/// Runs until it cannot go on; dropping the future ends all commands. `config` says where the gateway is and who the
/// node is; what makes it a node is filled in here.
///
/// # Errors
/// See [`NodeHostError`].
pub async fn serve(
    host: Host,
    mut config: ClientConfig,
    tell: impl Fn(Notice),
) -> Result<(), NodeHostError> {
    let identity = config.identity.as_ref().ok_or(NodeHostError::NoIdentity)?;
    let node_id = identity.device_id().to_owned();
    let backoff = Backoff::default();
    config.role = Role::Node;
    config.scopes = Vec::new();
    config.caps = CAPS.iter().map(|&cap| cap.to_owned()).collect();
    config.commands = COMMANDS.iter().map(|&command| command.to_owned()).collect();
    config.path_env = Some(host.path_env().to_owned());
    // Once it was let in, a refusal may be temporary: the device may be approved again.
    config.reconnect = Reconnect::Always(backoff.clone());
    let client = connect(&config, &backoff, &tell).await?;
    let mut notices = client.events();
    tell(Notice::Connected {
        node_id: node_id.clone(),
    });
    let (speaker, queue) = speaker::queue();
    let own_id = NonEmptyString::or(node_id.as_str(), "node");
    // Both are dropped with this future, and with them every command under way.
    let mut sending = JoinSet::new();
    sending.spawn(speaker::send_all(client.clone(), own_id, queue));
    let mut work = Work::new(host, speaker);
    while let Some(notice) = notices.next().await {
        match notice {
            openclaw_client::Notice::Event(event) => {
                if let Some(Event::NodeInvokeRequest(asked)) = &event.event
                    && !work.begin(asked)
                {
                    // The gateway's text, which may be anything and long.
                    let command: String = asked.command.chars().take(NAME_CHARS).collect();
                    tracing::warn!(?command, "a command is not even refused");
                }
            }
            openclaw_client::Notice::Disconnected(cause) => tell(Notice::Lost(cause)),
            openclaw_client::Notice::Reconnected(_) => tell(Notice::Connected {
                node_id: node_id.clone(),
            }),
            openclaw_client::Notice::Dropped { count } => {
                tracing::warn!(count, "events of the gateway were missed");
            }
            openclaw_client::Notice::Gap { .. } => {}
            openclaw_client::Notice::GaveUp(_) => return Err(NodeHostError::Ended),
        }
    }
    Err(NodeHostError::Ended)
}

/// Tries until there is a connection. A device that has to be approved waits for that; other refusals are final.
async fn connect(
    config: &ClientConfig,
    backoff: &Backoff,
    tell: &impl Fn(Notice),
) -> Result<Client, ConnectError> {
    let (mut attempt, mut asked) = (0, None);
    loop {
        match Client::connect(config.clone()).await {
            Ok(client) => return Ok(client),
            Err(ConnectError::PairingRequired { request_id }) => {
                // Said once for each request, not at each attempt.
                if asked.as_ref() != Some(&request_id) {
                    tell(Notice::WaitingForApproval {
                        request_id: request_id.clone(),
                    });
                    asked = Some(request_id);
                }
            }
            Err(error) if error.is_final() => return Err(error),
            Err(error) => tell(Notice::NotYet(error)),
        }
        tokio::time::sleep(backoff.delay(attempt)).await;
        attempt = attempt.saturating_add(1);
    }
}

/// The commands under way.
struct Work {
    host: Host,
    speaker: Speaker,
    tasks: JoinSet<()>,
    places: Arc<Semaphore>,
}

impl Work {
    fn new(host: Host, speaker: Speaker) -> Self {
        Self {
            host,
            speaker,
            tasks: JoinSet::new(),
            places: Arc::new(Semaphore::new(MAX_COMMANDS)),
        }
    }

    /// Begins to carry a command out, or to refuse it because of [`MAX_COMMANDS`]. `false` when there is no place even
    /// for that.
    fn begin(&mut self, asked: &NodeInvokeRequestEvent) -> bool {
        // What has ended is let go.
        while self.tasks.try_join_next().is_some() {}
        if self.tasks.len() >= MAX_TASKS {
            return false;
        }
        let (host, speaker) = (self.host.clone(), self.speaker.clone());
        let places = Arc::clone(&self.places);
        self.tasks
            .spawn(answer(host, asked.clone(), speaker, places));
        true
    }
}

async fn answer(
    host: Host,
    asked: NodeInvokeRequestEvent,
    speaker: Speaker,
    places: Arc<Semaphore>,
) {
    let outcome = match places.try_acquire() {
        Ok(_place) => commands::carry_out(&host, &asked, &speaker).await,
        Err(_) => Err(Failure::unavailable(&format!(
            "{MAX_COMMANDS} commands run on this node already"
        ))),
    };
    speaker.tell(Told::Result(asked.id, outcome)).await;
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use serde_json::json;
    use tokio::sync::mpsc;
    use tokio::task::unconstrained;

    use super::super::speaker::QUEUE;
    use super::*;
    use crate::clock::ManualClock;

    /// The work of a node that lets everything run, whose gateway takes nothing: the queue is full, so every command
    /// waits with the first thing that it says.
    async fn stuck(dir: &tempfile::TempDir) -> (Work, mpsc::Receiver<Told>) {
        let home = dir.path().join(".openclaw");
        std::fs::create_dir(&home).unwrap();
        let rules = r#"{"version":1,"defaults":{"security":"full","ask":"off"}}"#;
        std::fs::write(home.join("exec-approvals.json"), rules).unwrap();
        let path = ("PATH".to_owned(), "/usr/bin:/bin".to_owned());
        let host = Host::new(dir.path(), &[path].into(), Arc::new(ManualClock::new(0)));
        let (speaker, queue) = speaker::queue();
        for _ in 0..QUEUE {
            speaker.tell(Told::event("filler", &json!({}))).await;
        }
        (Work::new(host, speaker), queue)
    }

    fn asked(command: &str) -> NodeInvokeRequestEvent {
        let params = json!({"command": ["true"]}).to_string();
        let event = json!({"id": "i", "nodeId": "n", "command": command, "paramsJSON": params});
        serde_json::from_value(event).unwrap()
    }

    #[tokio::test]
    async fn the_queue_holds_so_much_and_no_more() {
        let (speaker, mut queue) = speaker::queue();
        // tokio makes whoever does much at a time wait; here only the queue may.
        let tell = || unconstrained(speaker.tell(Told::event("x", &json!({})))).now_or_never();
        for n in 0..QUEUE {
            assert!(tell().is_some(), "{n}");
        }
        assert!(tell().is_none(), "waits");
        queue.recv().await.unwrap();
        assert!(tell().is_some());
    }

    #[tokio::test]
    async fn so_many_commands_run_and_the_next_is_refused() {
        for (commands, refusals) in [(MAX_COMMANDS, 0), (MAX_COMMANDS + 1, 1)] {
            let dir = tempfile::tempdir().unwrap();
            let (mut work, mut queue) = stuck(&dir).await;
            for _ in 0..commands {
                assert!(work.begin(&asked("system.run")));
            }
            // Each takes its place or finds none before anything is sent.
            tokio::task::yield_now().await;
            let (mut ended, mut refused) = (0, 0);
            while ended < commands {
                match queue.recv().await.unwrap() {
                    Told::Result(_, Ok(_)) => ended += 1,
                    Told::Result(_, Err(failure)) => {
                        assert!(
                            failure.message.contains("run on this node already"),
                            "{failure:?}"
                        );
                        ended += 1;
                        refused += 1;
                    }
                    _ => {}
                }
            }
            assert_eq!(refused, refusals, "{commands}");
        }
    }

    #[tokio::test]
    async fn so_many_answers_wait_and_the_next_is_not_even_a_refusal() {
        let dir = tempfile::tempdir().unwrap();
        let (mut work, mut queue) = stuck(&dir).await;
        for n in 0..MAX_TASKS {
            assert!(work.begin(&asked("no.such")), "{n}");
        }
        tokio::task::yield_now().await;
        assert!(!work.begin(&asked("no.such")));
        // As soon as one is told, there is room.
        queue.recv().await.unwrap();
        while !work.begin(&asked("no.such")) {
            tokio::task::yield_now().await;
        }
    }
}
