//! The older pairing of nodes by token, `node.pair.*` and `node.rename` (contract 3.5): a list that clients keep here.
//!
//! It admits nobody and `node.list` does not show it; what it is good for is that a client can ask whether a token is
//! that of a node ([`NodePairing::verify`]). `methods::node_pair` calls it. Every change is one transaction that looks,
//! decides and writes, so there is nothing in memory to be kept equal to the disk; all of it is rare.
//!
//! What connected nodes show of themselves is noted for those that are in the list: when one last connected
//! ([`NodePairing::connected`]) and which programs it has ([`NodePairing::found`]). The methods' greeting of nodes calls both.
//!
//! A token is shown once, to the operator who approves. Of it a digest is stored: the lists leave tokens out (odd 9), and
//! `verify` gives back the one that it was shown.

mod record;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use openclaw_protocol::events::Event;
use openclaw_protocol::protocol::limits;
use openclaw_protocol::rt::{NonEmptyString, SecretString};
use openclaw_protocol::types::{
    NodePairListed, NodePairPaired, NodePairPending, NodePairRequestParams, NodePairResolvedEvent,
    PairDecision,
};

use crate::clock::Clock;
use crate::hub::EventSink;
use crate::store::{Reader, Store, StoreError, Table, WriteError, Writer};
use record::{PairedNode, PendingNode, TokenDigest, node_key};

/// Requests that wait at most. Each is made by an operator's program for a node nearby; beyond it the oldest goes, and
/// whoever still wants in asks again.
pub const MAX_PENDING_NODES: u64 = 256;

/// Paired nodes at most: as many phones and computers as one gateway is ever used with, and few enough that a list of
/// them all stays one message.
pub const MAX_PAIRED_NODES: u64 = 1024;

/// Bytes of a record as JSON. What a node says about itself is for people to read; a real one takes under two KiB.
pub const MAX_NODE_BYTES: usize = 8 * 1024;

/// Bytes of a token, which is sent as twice as many hex digits.
const TOKEN_BYTES: usize = 16;

/// Why a call of the older node pairing did nothing.
#[derive(Debug, thiserror::Error)]
pub enum NodePairingError {
    /// A blank node id.
    #[error("no node is named")]
    NoNode,
    /// A blank name.
    #[error("no name is given")]
    NoName,
    /// No such request, or it expired.
    #[error("no such open request")]
    UnknownRequest,
    /// No such node in this list.
    #[error("no such node")]
    UnknownNode,
    /// More than [`MAX_NODE_BYTES`].
    #[error("must NOT have more than {MAX_NODE_BYTES} bytes")]
    TooLarge,
    /// There is no room for another node ([`MAX_PAIRED_NODES`]).
    #[error("{MAX_PAIRED_NODES} nodes are paired already")]
    TooManyNodes,
    /// The store failed; nothing was changed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system gives no random bytes.
    #[error("no random bytes from the system: {0}")]
    Random(#[from] getrandom::Error),
    /// The task that made the change was ended, as happens when the gateway stops.
    #[error("the change was interrupted")]
    Interrupted,
}

impl From<WriteError<NodePairingError>> for NodePairingError {
    fn from(error: WriteError<NodePairingError>) -> Self {
        match error {
            WriteError::Rejected(error) => error,
            WriteError::Store(error) => error.into(),
        }
    }
}

/// The list of nodes that are paired by token. Clones share it.
#[derive(Clone)]
pub struct NodePairing {
    store: Store,
    clock: Arc<dyn Clock>,
    events: Arc<dyn EventSink>,
}

impl NodePairing {
    /// The list in `store`; `events` is told of requests and decisions.
    #[must_use]
    pub fn new(store: Store, clock: Arc<dyn Clock>, events: Arc<dyn EventSink>) -> Self {
        Self {
            store,
            clock,
            events,
        }
    }

    /// Asks for a node to be paired; the request, and whether it is new. A node that waits already is not asked for
    /// twice, whatever is said of it now.
    ///
    /// # Errors
    /// [`NodePairingError::NoNode`], [`NodePairingError::TooLarge`], or trouble with the store.
    pub async fn request(
        &self,
        params: NodePairRequestParams,
    ) -> Result<(NodePairPending, bool), NodePairingError> {
        let node_id = trimmed(&params.node_id).ok_or(NodePairingError::NoNode)?;
        let request_id = fresh_id()?;
        self.run(move |this| async move {
            let now_ms = this.clock.now_ms();
            let written = this.store.write(move |writer| {
                let mut waiting = waiting(&writer.reader(), now_ms)?;
                if let Some(known) = waiting.alive.iter().find(|known| known.node_id == node_id) {
                    return Ok((known.clone(), false));
                }
                let is_repair = paired(&writer.reader(), &node_id)?.is_some();
                let request = PendingNode::new(request_id, node_id, params, is_repair, now_ms);
                bounded(&request)?;
                waiting.make_room();
                waiting.remove_gone(writer)?;
                let key = request.request_id.as_bytes();
                writer.put(Table::PendingNodes, key, &request)?;
                Ok::<_, NodePairingError>((request, true))
            });
            let (request, is_new) = written.await?;
            let shown = NodePairPending::from(request);
            if is_new {
                this.events.emit(Event::NodePairRequested(shown.clone()));
            }
            Ok((shown, is_new))
        })
        .await
    }

    /// Requests that wait, newest first, and paired nodes, latest approval first. Reads the disk.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn list(&self) -> Result<(Vec<NodePairPending>, Vec<NodePairListed>), StoreError> {
        let now_ms = self.clock.now_ms();
        let (mut pending, mut nodes) = self.store.read(|reader| {
            let mut nodes: Vec<PairedNode> = Vec::new();
            reader.scan(Table::PairedNodes, b"", |_, node| {
                nodes.push(node);
                ControlFlow::Continue(())
            })?;
            Ok((waiting(reader, now_ms)?.alive, nodes))
        })?;
        pending.sort_by(|a, b| {
            b.ts.cmp(&a.ts)
                .then_with(|| a.request_id.cmp(&b.request_id))
        });
        nodes.sort_by(|a, b| {
            b.approved_at_ms
                .cmp(&a.approved_at_ms)
                .then_with(|| a.node_id.cmp(&b.node_id))
        });
        Ok((
            pending.into_iter().map(Into::into).collect(),
            nodes.into_iter().map(Into::into).collect(),
        ))
    }

    /// Pairs a waiting node; with the only sight of its new token. An older token of it dies.
    ///
    /// # Errors
    /// [`NodePairingError::UnknownRequest`], [`NodePairingError::TooManyNodes`], or trouble with the store.
    pub async fn approve(&self, request_id: &str) -> Result<NodePairPaired, NodePairingError> {
        let request_id = request_id.to_owned();
        let mut token = [0; TOKEN_BYTES];
        getrandom::fill(&mut token)?;
        let token = SecretString::new(crate::hex::hex(&token));
        let digest = TokenDigest::of(&token);
        self.run(move |this| async move {
            let now_ms = this.clock.now_ms();
            let written = this.store.write(move |writer| {
                let request = take(writer, &request_id, now_ms)?;
                let known = paired(&writer.reader(), &request.node_id)?;
                if known.is_none() && writer.count(Table::PairedNodes, b"")? >= MAX_PAIRED_NODES {
                    return Err(NodePairingError::TooManyNodes);
                }
                let id = request.request_id.clone();
                let node = PairedNode::approved(request, known, digest, now_ms);
                writer.put(Table::PairedNodes, &node_key(&node.node_id), &node)?;
                Ok::<_, NodePairingError>((id, node))
            });
            let (id, node) = written.await?;
            this.tell(id, node.node_id.clone(), PairDecision::Approved);
            Ok(node.with_token(token))
        })
        .await
    }

    /// Drops a request; returns the node's id. It may be asked for again.
    ///
    /// # Errors
    /// [`NodePairingError::UnknownRequest`], or trouble with the store.
    pub async fn reject(&self, request_id: &str) -> Result<NonEmptyString, NodePairingError> {
        let request_id = request_id.to_owned();
        self.run(move |this| async move {
            let now_ms = this.clock.now_ms();
            let written = this
                .store
                .write(move |writer| take(writer, &request_id, now_ms));
            let request = written.await?;
            let node_id = request.node_id;
            this.tell(request.request_id, node_id.clone(), PairDecision::Rejected);
            Ok(node_id)
        })
        .await
    }

    /// The node, if `token` is its own.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn verify(
        &self,
        node_id: &str,
        token: &SecretString,
    ) -> Result<Option<NodePairPaired>, StoreError> {
        let Some(node_id) = trimmed(node_id) else {
            return Ok(None);
        };
        let node = self.store.read(|reader| paired(reader, &node_id))?;
        Ok(node
            .filter(|node| node.token_digest.is_of(token))
            .map(|node| node.with_token(token.clone())))
    }

    /// Gives a paired node another name; both as they are kept.
    ///
    /// # Errors
    /// [`NodePairingError::UnknownNode`], [`NodePairingError::NoName`], [`NodePairingError::TooLarge`], or trouble with
    /// the store.
    pub async fn rename(
        &self,
        node_id: &str,
        name: &str,
    ) -> Result<(NonEmptyString, NonEmptyString), NodePairingError> {
        let name = trimmed(name).ok_or(NodePairingError::NoName)?;
        let node_id = trimmed(node_id).ok_or(NodePairingError::UnknownNode)?;
        let kept = name.clone();
        self.update(node_id.clone(), move |node, _| {
            node.profile.display_name = Some(kept);
        })
        .await?;
        Ok((node_id, name))
    }

    /// Notes that a node has connected, if it is in the list.
    ///
    /// # Errors
    /// Trouble with the store.
    pub async fn connected(&self, node_id: &str) -> Result<(), NodePairingError> {
        self.note(node_id, |node, now_ms| {
            node.last_connected_at_ms = Some(now_ms);
        })
        .await
    }

    /// Notes which programs were found on a node, if it is in the list.
    ///
    /// # Errors
    /// [`NodePairingError::TooLarge`], or trouble with the store.
    pub async fn found(
        &self,
        node_id: &str,
        bins: &BTreeSet<String>,
    ) -> Result<(), NodePairingError> {
        let bins: Vec<_> = bins.iter().filter_map(NonEmptyString::new).collect();
        self.note(node_id, |node, _| node.bins = Some(bins)).await
    }

    /// As [`Self::update`]. Most nodes are not in the list; they cost no write.
    async fn note(
        &self,
        node_id: &str,
        change: impl FnOnce(&mut PairedNode, u64) + Send + 'static,
    ) -> Result<(), NodePairingError> {
        let Some(node_id) = trimmed(node_id) else {
            return Ok(());
        };
        if self
            .store
            .read(|reader| paired(reader, &node_id))?
            .is_none()
        {
            return Ok(());
        }
        self.update(node_id, change).await
    }

    /// Changes the record of a node; the second argument of `change` is the time.
    async fn update(
        &self,
        node_id: NonEmptyString,
        change: impl FnOnce(&mut PairedNode, u64) + Send + 'static,
    ) -> Result<(), NodePairingError> {
        self.run(move |this| async move {
            let now_ms = this.clock.now_ms();
            let written = this.store.write(move |writer| {
                let node = paired(&writer.reader(), &node_id)?;
                let mut node = node.ok_or(NodePairingError::UnknownNode)?;
                change(&mut node, now_ms);
                bounded(&node)?;
                writer.put(Table::PairedNodes, &node_key(&node_id), &node)?;
                Ok::<_, NodePairingError>(())
            });
            Ok(written.await?)
        })
        .await
    }

    fn tell(&self, request_id: NonEmptyString, node_id: NonEmptyString, decision: PairDecision) {
        let ts = self.clock.now_ms();
        let resolved = NodePairResolvedEvent::new(request_id, node_id, decision, ts);
        self.events.emit(Event::NodePairResolved(resolved));
    }

    /// Runs a change as a task of its own, so that whoever is interested is told of it even when the caller goes away.
    async fn run<T, F>(&self, change: impl FnOnce(Self) -> F) -> Result<T, NodePairingError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, NodePairingError>> + Send + 'static,
    {
        tokio::spawn(change(self.clone()))
            .await
            .unwrap_or(Err(NodePairingError::Interrupted))
    }
}

/// Requests in the store.
struct Waiting {
    alive: Vec<PendingNode>,
    gone: Vec<NonEmptyString>,
}

impl Waiting {
    /// Lets the oldest go where one more would be too many.
    fn make_room(&mut self) {
        self.alive.sort_by(|a, b| {
            a.ts.cmp(&b.ts)
                .then_with(|| a.request_id.cmp(&b.request_id))
        });
        let excess = (self.alive.len() + 1).saturating_sub(MAX_PENDING_NODES as usize);
        let excess = self.alive.drain(..excess);
        self.gone.extend(excess.map(|request| request.request_id));
    }

    fn remove_gone(&self, writer: &mut Writer<'_>) -> Result<(), StoreError> {
        for id in &self.gone {
            writer.delete(Table::PendingNodes, id.as_bytes())?;
        }
        Ok(())
    }
}

fn waiting(reader: &Reader<'_>, now_ms: u64) -> Result<Waiting, StoreError> {
    let (mut alive, mut gone) = (Vec::new(), Vec::new());
    reader.scan(Table::PendingNodes, b"", |_, request: PendingNode| {
        if is_alive(&request, now_ms) {
            alive.push(request);
        } else {
            gone.push(request.request_id);
        }
        ControlFlow::Continue(())
    })?;
    Ok(Waiting { alive, gone })
}

fn is_alive(request: &PendingNode, now_ms: u64) -> bool {
    now_ms.saturating_sub(request.ts) <= limits::PAIRING_TTL_MS
}

fn take(
    writer: &mut Writer<'_>,
    request_id: &str,
    now_ms: u64,
) -> Result<PendingNode, NodePairingError> {
    let key = request_id.as_bytes();
    // No request has so long an id.
    if key.len() > crate::store::MAX_KEY_BYTES {
        return Err(NodePairingError::UnknownRequest);
    }
    let request: Option<PendingNode> = writer.get(Table::PendingNodes, key)?;
    let request = request.filter(|request| is_alive(request, now_ms));
    let request = request.ok_or(NodePairingError::UnknownRequest)?;
    writer.delete(Table::PendingNodes, key)?;
    Ok(request)
}

/// The node of that id. A damaged record counts as none: the node has to be paired again.
fn paired(reader: &Reader<'_>, node_id: &str) -> Result<Option<PairedNode>, StoreError> {
    match reader.get(Table::PairedNodes, &node_key(node_id)) {
        Err(StoreError::Damaged { .. }) => Ok(None),
        found => found,
    }
}

fn bounded(record: &impl serde::Serialize) -> Result<(), NodePairingError> {
    let size = serde_json::to_vec(record).map_or(usize::MAX, |text| text.len());
    if size > MAX_NODE_BYTES {
        return Err(NodePairingError::TooLarge);
    }
    Ok(())
}

fn trimmed(text: &str) -> Option<NonEmptyString> {
    NonEmptyString::new(text.trim())
}

fn fresh_id() -> Result<NonEmptyString, getrandom::Error> {
    let mut id = [0; 16];
    getrandom::fill(&mut id)?;
    let id = uuid::Builder::from_random_bytes(id).into_uuid();
    Ok(NonEmptyString::or(id.to_string(), "request"))
}

#[cfg(test)]
mod tests;
