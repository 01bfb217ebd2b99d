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
    // Dropped with this future, and with it every command under way.
    let mut tasks = JoinSet::new();
    tasks.spawn(speaker::send_all(client.clone(), own_id, queue));
    let places = Arc::new(Semaphore::new(MAX_COMMANDS));
    while let Some(notice) = notices.next().await {
        // What has ended is let go.
        while tasks.try_join_next().is_some() {}
        match notice {
            openclaw_client::Notice::Event(event) => {
                if let Some(Event::NodeInvokeRequest(asked)) = &event.event {
                    if tasks.len() >= MAX_TASKS {
                        tracing::warn!(command = %&*asked.command, "a command is not even refused");
                        continue;
                    }
                    let (host, speaker) = (host.clone(), speaker.clone());
                    tasks.spawn(answer(host, asked.clone(), speaker, Arc::clone(&places)));
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
