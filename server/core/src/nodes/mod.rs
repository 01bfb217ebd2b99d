//! Nodes: devices that are connected and offer commands (contract 8).
//!
//! [`Nodes`] knows which are connected, checks what they may be asked, and waits for their answers. `connection` enters
//! a node when its connect is accepted and lets it go when the connection ends; `methods` and the domain modules ask
//! through [`Nodes::invoke`]; answers come in through [`Nodes::answer`]. Chat subscriptions live with the connection, in
//! `hub`, and are reached through [`Nodes::subscribe`].
//!
//! One entry a node: a newer connection takes the place of an older one, and the end of the older one then changes
//! nothing (odd 23). Each command gets exactly one outcome: an answer of the very connection that was asked, the end of
//! its time, or the end of that connection; nothing is left of it when whoever asked goes away.

mod invoke;
mod node;
pub mod policy;
mod probe;
mod registry;
mod rows;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use openclaw_protocol::events::Event;
use openclaw_protocol::methods;
use openclaw_protocol::protocol::{Close, close, limits};
use openclaw_protocol::rt::NonEmptyString;
use openclaw_protocol::types::NodeInvokeRequestEvent;
use tokio::sync::oneshot;

pub use invoke::{Invocation, InvokeAnswer, InvokeError, InvokeReply};
pub use node::{Node, Offer, node_id};
pub use policy::Policy;
pub use rows::{described, rows};

use crate::clock::Clock;
use crate::connection::Caller;
use registry::{Bounds, Connected, NoPlace, Orphan, Registry};

/// Commands of one node that may wait at a time. A node does them one after another or a few at a time, so more only
/// time out; each may hold a message of `maxPayload` in memory.
pub const MAX_INVOKES_PER_NODE: usize = 64;

/// Commands of all nodes that may wait at a time: sixteen nodes that are as busy as can be.
pub const MAX_INVOKES: usize = 1024;

/// The way to one connection.
pub trait NodeLine: Send + Sync + 'static {
    /// Queues an event for this connection alone, without a number. False when it was not queued: the connection is
    /// over, or reads too slowly.
    fn send(&self, event: &Event) -> bool;

    /// From now on also copies of the chat and agent events of a conversation go to it. False when it has as many
    /// subscriptions as it may have, or the key is too long.
    fn subscribe(&self, session_key: &str) -> bool;

    /// Ends [`Self::subscribe`].
    fn unsubscribe(&self, session_key: &str);

    /// Closes it.
    fn close(&self, close: Close);
}

type Line = Arc<dyn NodeLine>;
type Reply = oneshot::Sender<Result<InvokeAnswer, InvokeError>>;

/// The connected nodes. Clones share them.
#[derive(Clone)]
pub struct Nodes {
    inner: Arc<Inner>,
}

struct Inner {
    policy: Policy,
    clock: Arc<dyn Clock>,
    registry: Mutex<Registry<Line, Reply>>,
}

/// A connected node's place, given back when this is dropped.
pub struct NodePlace {
    nodes: Nodes,
    node: Arc<Node>,
    generation: u64,
}

/// Somebody waits for an answer; nothing is left of it when this is dropped.
struct Waiting<'a> {
    nodes: &'a Nodes,
    id: String,
}

impl Nodes {
    /// No nodes yet.
    #[must_use]
    pub fn new(policy: Policy, clock: Arc<dyn Clock>) -> Self {
        let bounds = Bounds {
            per_node: MAX_INVOKES_PER_NODE,
            total: MAX_INVOKES,
        };
        Self {
            inner: Arc::new(Inner {
                policy,
                clock,
                registry: Mutex::new(Registry::new(bounds)),
            }),
        }
    }

    /// A caller of role `node` has connected; its hello-ok is queued already. An older connection of the same device is
    /// closed; one that only shares the name of its program is not, because it may well be another machine, and two that
    /// close each other would go on for ever.
    #[must_use]
    pub fn connect(&self, caller: &Caller, offer: Offer, line: impl NodeLine) -> NodePlace {
        let now_ms = self.inner.clock.now_ms();
        let node = Arc::new(Node::new(caller, offer, &self.inner.policy, now_ms));
        let Connected {
            generation,
            replaced,
            orphans,
        } = self.registry().connect(Arc::clone(&node), Arc::new(line));
        bereave(orphans);
        if let Some((older, line)) = replaced {
            tracing::info!(node = %node.node_id, old = older.conn_id, new = node.conn_id, "a node has connected again");
            if older.has_device {
                line.close(close::REPLACED);
            }
        }
        NodePlace {
            nodes: self.clone(),
            node,
            generation,
        }
    }

    /// The connected nodes, in no order.
    #[must_use]
    pub fn connected(&self) -> Vec<Arc<Node>> {
        self.registry().nodes().cloned().collect()
    }

    /// A connected node.
    #[must_use]
    pub fn get(&self, node_id: &str) -> Option<Arc<Node>> {
        self.registry().node(node_id).cloned()
    }

    /// As [`Self::invoke`], for somebody with these scopes, who may ask nodes, but not for everything: the word of a
    /// person is for those who may decide, a node's rules are for admins.
    ///
    /// # Errors
    /// [`InvokeError::NotYours`], before anything is said about the node; else see there.
    pub async fn invoke_for(
        &self,
        scopes: &[String],
        ask: Invocation,
    ) -> Result<InvokeAnswer, InvokeError> {
        if let Some(needed) = policy::needs(&ask.command, ask.params.as_ref())
            && !methods::grants(scopes, &[needed])
        {
            return Err(InvokeError::NotYours(needed));
        }
        self.invoke(ask).await
    }

    /// Asks a node for a command that it offers and may have (contract 8.2), and waits for its answer. The node is not
    /// told when whoever asked stops waiting.
    ///
    /// # Errors
    /// See [`InvokeError`].
    pub async fn invoke(&self, ask: Invocation) -> Result<InvokeAnswer, InvokeError> {
        let node = self.get(&ask.node_id).ok_or(InvokeError::NotConnected)?;
        let command = ask.command.as_str();
        if let Some(reason) = self
            .inner
            .policy
            .refusal(node.kind(), &node.commands, command)
        {
            return Err(InvokeError::NotAllowed {
                command: ask.command,
                reason,
            });
        }
        self.invoke_unlisted(ask).await
    }

    /// As [`Self::invoke`], for commands of the gateway itself, whatever the node offers: the operator who keeps a
    /// node's exec approvals needs no entry in any list (contract 8.6).
    ///
    /// # Errors
    /// See [`InvokeError`].
    pub async fn invoke_unlisted(&self, ask: Invocation) -> Result<InvokeAnswer, InvokeError> {
        let id = uuid::Uuid::new_v4().to_string();
        let timeout =
            Duration::from_millis(ask.timeout_ms.unwrap_or(limits::NODE_INVOKE_TIMEOUT_MS));
        let (reply, answer) = oneshot::channel();
        let line = self
            .registry()
            .begin(&ask.node_id, &id, &ask.command, reply)
            .map(Arc::clone)
            .map_err(|no_place| match no_place {
                NoPlace::NotConnected => InvokeError::NotConnected,
                NoPlace::TooMany => InvokeError::Busy,
            })?;
        let waiting = Waiting {
            nodes: self,
            id: id.clone(),
        };
        if !request(id, ask).is_some_and(|event| line.send(&event)) {
            return Err(InvokeError::NotSent);
        }
        drop(line);
        let outcome = tokio::time::timeout(timeout, answer).await;
        drop(waiting);
        match outcome {
            Ok(Ok(outcome)) => outcome,
            // The registry answers whatever it lets go of; a dropped sender would be its mistake.
            Ok(Err(_)) => Err(InvokeError::NotSent),
            Err(_) => Err(InvokeError::TimedOut),
        }
    }

    /// A connection says what came of a command. False when nobody waits for that: it comes late, was asked of another
    /// connection, or never asked.
    pub fn answer(&self, conn_id: &str, id: &str, reply: InvokeReply) -> bool {
        let waiting = self.registry().answer(conn_id, id);
        waiting.is_some_and(|waiting| waiting.send(reply.outcome()).is_ok())
    }

    /// A node wants copies of a conversation's events. False when it has too many subscriptions, or is not the
    /// connection that its id stands for any more.
    pub fn subscribe(&self, caller: &Caller, session_key: &str) -> bool {
        let line = self.line(caller);
        line.is_some_and(|line| line.subscribe(session_key))
    }

    /// Ends [`Self::subscribe`].
    pub fn unsubscribe(&self, caller: &Caller, session_key: &str) {
        if let Some(line) = self.line(caller) {
            line.unsubscribe(session_key);
        }
    }

    /// Was some connected node found to have this program?
    #[must_use]
    pub fn has_bin(&self, bin: &str) -> bool {
        self.registry().has_bin(bin)
    }

    fn line(&self, caller: &Caller) -> Option<Line> {
        let registry = self.registry();
        registry.line(&node_id(caller), &caller.conn_id).cloned()
    }

    fn found(&self, node: &Node, bins: BTreeSet<String>) {
        self.registry().found(node, bins);
    }

    fn registry(&self) -> MutexGuard<'_, Registry<Line, Reply>> {
        // Every change of the registry is complete or has not begun.
        self.inner
            .registry
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl NodePlace {
    /// The node.
    #[must_use]
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }
}

impl Drop for NodePlace {
    fn drop(&mut self) {
        let orphans = {
            let mut registry = self.nodes.registry();
            registry.leave(&self.node.node_id, self.generation)
        };
        bereave(orphans);
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        // Dropped after the lock is free again: it may be the last owner of an answer.
        let left = self.nodes.registry().give_up(&self.id);
        drop(left);
    }
}

/// Tells those who wait that the node is gone.
fn bereave(orphans: Vec<Orphan<Reply>>) {
    for Orphan { command, reply } in orphans {
        // Whoever has stopped waiting in this moment has its outcome.
        let _ = reply.send(Err(InvokeError::Left { command }));
    }
}

/// The event for a node; none for an empty node id or command, which no node has.
fn request(id: String, ask: Invocation) -> Option<Event> {
    let params = ask.params.filter(|params| !params.is_null());
    let mut event = NodeInvokeRequestEvent::new(
        NonEmptyString::new(id)?,
        NonEmptyString::new(ask.node_id)?,
        NonEmptyString::new(ask.command)?,
        params.map(|params| params.to_string()),
    );
    event.timeout_ms = ask.timeout_ms;
    event.idempotency_key = ask.idempotency_key;
    Some(Event::NodeInvokeRequest(event))
}

impl std::fmt::Debug for Nodes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let connected = self.registry().nodes().count();
        f.debug_struct("Nodes")
            .field("connected", &connected)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for NodePlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("NodePlace")
            .field(&self.node.node_id)
            .finish()
    }
}

#[cfg(test)]
mod tests;
