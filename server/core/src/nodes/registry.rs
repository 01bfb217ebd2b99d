//! Who is connected as a node and what each was asked, as a plain data structure: no locks, no time, no sending.
//!
//! `L` is the way to a connection, `R` the way back to whoever asked. Every `R` that comes in goes out exactly once: to
//! the caller of [`Registry::answer`], [`Registry::give_up`], [`Registry::connect`] or [`Registry::leave`].

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::node::Node;

/// Most commands that may wait at a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Of one node.
    pub(super) per_node: usize,
    /// Of all nodes.
    pub(super) total: usize,
}

/// The connected nodes and their open commands.
#[derive(Debug)]
pub(super) struct Registry<L, R> {
    bounds: Bounds,
    nodes: HashMap<String, Entry<L>>,
    /// By the id of the request.
    pending: HashMap<String, Pending<R>>,
    /// Grows with each connect; tells a connection of a node from its successor.
    generation: u64,
}

#[derive(Debug)]
struct Entry<L> {
    generation: u64,
    node: Arc<Node>,
    line: L,
    /// Ids of its open commands.
    invokes: BTreeSet<String>,
    /// Programs that it was found to have.
    bins: BTreeSet<String>,
}

#[derive(Debug)]
struct Pending<R> {
    node_id: String,
    conn_id: String,
    orphan: Orphan<R>,
}

/// An open command whose node is gone.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Orphan<R> {
    pub(super) command: String,
    pub(super) reply: R,
}

/// What a connect has pushed out.
#[derive(Debug)]
pub(super) struct Connected<L, R> {
    pub(super) generation: u64,
    /// The earlier connection of the node, if it was still there.
    pub(super) replaced: Option<(Arc<Node>, L)>,
    pub(super) orphans: Vec<Orphan<R>>,
}

/// Why a command could not be entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoPlace {
    NotConnected,
    TooMany,
}

impl<L, R> Registry<L, R> {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            nodes: HashMap::new(),
            pending: HashMap::new(),
            generation: 0,
        }
    }

    /// A node has connected. An earlier connection of it loses its place.
    pub(super) fn connect(&mut self, node: Arc<Node>, line: L) -> Connected<L, R> {
        self.generation += 1;
        let generation = self.generation;
        let id = node.node_id.to_string();
        let earlier = self.nodes.remove(&id);
        let (replaced, orphans) = match earlier {
            Some(entry) => {
                let orphans = self.orphans(entry.invokes);
                (Some((entry.node, entry.line)), orphans)
            }
            None => (None, Vec::new()),
        };
        let entry = Entry {
            generation,
            node,
            line,
            invokes: BTreeSet::new(),
            bins: BTreeSet::new(),
        };
        self.nodes.insert(id, entry);
        Connected {
            generation,
            replaced,
            orphans,
        }
    }

    /// A connection of a node has ended. Nothing happens when it had been replaced (odd 23).
    pub(super) fn leave(&mut self, node_id: &str, generation: u64) -> Vec<Orphan<R>> {
        let is_present = |entry: &Entry<L>| entry.generation == generation;
        if !self.nodes.get(node_id).is_some_and(is_present) {
            return Vec::new();
        }
        let gone = self.nodes.remove(node_id);
        gone.map_or_else(Vec::new, |entry| self.orphans(entry.invokes))
    }

    /// Enters a command that waits for its node.
    pub(super) fn begin(
        &mut self,
        node_id: &str,
        id: &str,
        command: &str,
        reply: R,
    ) -> Result<&L, NoPlace> {
        let total = self.pending.len();
        let entry = self.nodes.get_mut(node_id).ok_or(NoPlace::NotConnected)?;
        if total >= self.bounds.total || entry.invokes.len() >= self.bounds.per_node {
            return Err(NoPlace::TooMany);
        }
        entry.invokes.insert(id.to_owned());
        let pending = Pending {
            node_id: node_id.to_owned(),
            conn_id: entry.node.conn_id.clone(),
            orphan: Orphan {
                command: command.to_owned(),
                reply,
            },
        };
        self.pending.insert(id.to_owned(), pending);
        Ok(&entry.line)
    }

    /// A connection answers a command: the way back, if that very connection was asked and nothing else ended it.
    pub(super) fn answer(&mut self, conn_id: &str, id: &str) -> Option<R> {
        if self.pending.get(id)?.conn_id != conn_id {
            return None;
        }
        self.give_up(id)
    }

    /// Whoever asked waits no longer.
    pub(super) fn give_up(&mut self, id: &str) -> Option<R> {
        let pending = self.pending.remove(id)?;
        if let Some(entry) = self.nodes.get_mut(&pending.node_id) {
            entry.invokes.remove(id);
        }
        Some(pending.orphan.reply)
    }

    /// The connected node of this id.
    pub(super) fn node(&self, node_id: &str) -> Option<&Arc<Node>> {
        self.nodes.get(node_id).map(|entry| &entry.node)
    }

    /// The way to a node, if it is still on this connection.
    pub(super) fn line(&self, node_id: &str, conn_id: &str) -> Option<&L> {
        let entry = self.nodes.get(node_id)?;
        (entry.node.conn_id == conn_id).then_some(&entry.line)
    }

    /// All connected nodes, in no order.
    pub(super) fn nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.nodes.values().map(|entry| &entry.node)
    }

    /// Keeps which programs a node has, if it is still on this connection.
    pub(super) fn found(&mut self, node: &Node, bins: BTreeSet<String>) {
        if let Some(entry) = self.nodes.get_mut(node.node_id.as_str())
            && entry.node.conn_id == node.conn_id
        {
            entry.bins = bins;
        }
    }

    /// Does a connected node have this program?
    pub(super) fn has_bin(&self, bin: &str) -> bool {
        self.nodes.values().any(|entry| entry.bins.contains(bin))
    }

    fn orphans(&mut self, ids: BTreeSet<String>) -> Vec<Orphan<R>> {
        ids.iter()
            .filter_map(|id| self.pending.remove(id))
            .map(|pending| pending.orphan)
            .collect()
    }
}

#[cfg(test)]
impl<L, R> Registry<L, R> {
    /// Open commands: of all, and of the node that has most.
    pub(super) fn open(&self) -> (usize, usize) {
        let most = self.nodes.values().map(|entry| entry.invokes.len()).max();
        (self.pending.len(), most.unwrap_or(0))
    }
}

#[cfg(test)]
mod tests;
